"""Clock gating: what is idle stands still, on the chip and in simulation."""

from amaranth.hdl import (
    ClockDomain,
    ClockSignal,
    DomainRenamer,
    Instance,
    Module,
    ResetSignal,
    Signal,
)


def gated(m: Module, name: str, enable, units: dict) -> None:
    """Adds `units` (by submodule name) to `m`, clocked only in cycles with `enable`, and in reset.

    In cycles without `enable` no register of them may be due to change: gating saves energy, and in
    simulation the time to evaluate them, and changes nothing. Gates may be nested.

    Parameters
    ----------
    m : Module
        Its domain `sync` is what is gated, and what the units call theirs.
    name : str
        Of the gate.
    enable : Value
        May come late in the cycle; it is looked at before the edge at the cycle's end.
    units : dict
        Elaboratables by name.
    """
    domain = ClockDomain(name, local=True)
    domain.clk, domain.rst = Signal(name="clk"), Signal(name="rst")
    m.domains += domain
    m.d.comb += domain.rst.eq(ResetSignal())
    m.submodules[f"{name}_gate"] = Instance(
        "winnow_clock_gate",
        i_clk=ClockSignal(),
        i_enable=enable | ResetSignal(),
        o_gated=domain.clk,
    )
    for unit_name, unit in units.items():
        m.submodules[unit_name] = DomainRenamer(name)(unit)


def lingering(m: Module, active, cycles: int = 4):
    """`active`, and for `cycles` cycles after it."""
    since = Signal(cycles)
    m.d.sync += since.eq(since << 1 | active)
    return active | since.any()
