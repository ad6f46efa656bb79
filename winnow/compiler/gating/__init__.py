"""Channel gating: which outputs are computed from all channels, and which from a base of them."""
