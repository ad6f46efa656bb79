"""What an operation leaves out, from its registers."""

from isa.registers import Skip


def skips(registers, what: Skip):
    """Whether the tensor operation skips any of `what`."""
    return (registers.mode.skip & what).any()
