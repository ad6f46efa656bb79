import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.memory.regfile import RegisterFile
from hdl.memory.sram import Sram
from isa.config import Config
from synth import generic, yosys


class Chain(wiring.Component):
    """Exclusive-ors in a row, then registers with and without a reset; and memories beside it."""

    def __init__(self, *, length):
        self.length = length
        super().__init__({"a": In(length), "o": Out(1), "kept": Out(1), "row": Out(4)})

    def elaborate(self, platform):
        m = Module()
        total = self.a[0]
        for bit in self.a[1:]:
            total = total ^ bit
        held = Signal(reset_less=True)
        m.d.sync += [self.o.eq(total), held.eq(self.o)]
        m.d.comb += self.kept.eq(held)
        m.submodules.sram = sram = Sram(width=3, depth=10)
        m.submodules.files = files = RegisterFile(width=4, depth=2, reads=1)
        m.d.comb += [sram.write_enable.eq(total), files.write_enable.eq(held),
                     self.row.eq(files.read_data[0] ^ sram.read_data)]
        return m


@pytest.mark.parametrize("flat", [True, False])
def test_figures_of_a_small_unit(flat, capfd):
    figures = generic.measure(Chain(length=8), "chain", flat=flat)
    assert figures["flip_flops"] == 2
    assert figures["combinational_cells"] == 7 + 3
    assert figures["cells"] == 12
    assert figures["memory_bits"] == 3 * 10 + 4 * 2
    assert sum(figures["cells_by_type"].values()) == 12
    assert 3 <= figures["depth"] <= 7
    assert figures["flow"] == ("flat" if flat else "hierarchical")
    out, err = capfd.readouterr()
    assert out == ""
    assert "abc" in err


def test_tree_is_within_its_bar():
    figures = generic.run("tree", Config())
    shown = ("cells", "flip_flops", "cells_per_mac", "depth", "fast_depth")
    print({name: figures[name] for name in shown})
    assert figures["cells_per_mac"] <= 700
    assert figures["cells_per_mac"] == figures["combinational_cells"] / 8
    assert figures["depth"] >= figures["fast_depth"] > 0
    assert figures["memory_bits"] == 0


def test_errors(tmp_path):
    with pytest.raises(ValueError, match="unit 'core2' is unknown: there are tree, core, chip"):
        generic.run("core2", Config())
    with pytest.raises(yosys.SynthesisError, match="no_such_command"):
        yosys.run(["no_such_command"], tmp_path)
