"""The stationary tiles of a core, and which of them are zero."""
