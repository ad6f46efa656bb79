"""What stops a synthesis: shown as one message, without a traceback."""


class SynthesisError(RuntimeError):
    """A tool or an input is missing or failed. The message says which and what was needed."""
