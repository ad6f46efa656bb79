"""What a user did wrong: shown as one line, without a traceback."""


class UserError(Exception):
    """A mistake in what the user gave; the message names the value and the rule."""
