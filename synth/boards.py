"""Bitstreams of boards: chip, memory and serial bridge, routed for the part that is on the board.

Pins, part and speed come from amaranth-boards.
"""

import re
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from hdl.board.top import Board
from hdl.emit import emit_design
from isa.config import Config
from synth import fpga, nextpnr
from synth.errors import SynthesisError
from synth.mapping import Mapping, map_design

OSCILLATOR_MHZ = 25
CLOCK_MHZ = 40
DIVIDERS = 5, 8, 15  # of the oscillator, of the feedback, of the 600 MHz in between
SERIAL_RATE = 1_000_000
TOP = "winnow_board"


@dataclass(frozen=True)
class Kind:
    """A board: its class in amaranth-boards, and the part that is on it."""

    platform: str
    part: str


BOARDS = {
    "ulx3s-85f": Kind("ULX3S_85F_Platform", "85k"),
    "ulx3s-45f": Kind("ULX3S_45F_Platform", "45k"),
    "ulx3s-25f": Kind("ULX3S_25F_Platform", "25k"),
    "ulx3s-12f": Kind("ULX3S_12F_Platform", "12k"),
}


def build(name: str, config: Config, memory_bytes: int, out: Path) -> dict:
    """Builds the bitstream of a board into `out`/winnow.bit.

    Parameters
    ----------
    memory_bytes : int
        Of external memory, which is block memory: 8 times a power of two.

    Returns
    -------
    dict
        board, config, memory_bytes, resources, clock_mhz (routed), wanted_mhz, serial_rate,
        bitstream (path), seconds

    Raises
    ------
    SynthesisError
        An unknown board; a package is missing; what does not fit the part, or is too slow for the
        board's clock
    """
    if name not in BOARDS:
        raise SynthesisError(f"board {name!r} is unknown: there are {', '.join(BOARDS)}")
    kind, begin = BOARDS[name], time.monotonic()
    constraints = _constraints(kind)
    words = memory_bytes // 8
    if memory_bytes % 8 or words < 2 or words & (words - 1):
        raise SynthesisError(f"memory of {memory_bytes} bytes: must be 8 times a power of two")
    if config.axi_words != 1:
        raise SynthesisError(f"axi_words = {config.axi_words}: must be 1 on a board")
    print(f"synth: writing the Verilog of {name}", file=sys.stderr)
    board = Board(config=config, memory_words=words, divisor=CLOCK_MHZ * 10**6 // SERIAL_RATE)
    design, family = emit_design(board, "board"), fpga.FAMILIES["ecp5"]
    mapped = map_design(design, Mapping("ecp5", family.commands, whole=True), flat=False)
    resources = fpga.resources(family, mapped.hierarchy.total("board"))
    nextpnr.check(resources, f"{config.name} with {memory_bytes:,} bytes of memory", kind.part)
    directory = mapped.directory
    (directory / f"{TOP}.v").write_text(_top(design.verilog))
    (directory / f"{TOP}.lpf").write_text(constraints)
    nextpnr.joined(mapped, TOP, directory)
    print(f"synth: placing and routing on LFE5U-{kind.part}", file=sys.stderr)
    said = nextpnr.run([
        f"--{kind.part}", "--package", "CABGA381", "--speed", "6", "--json", f"{TOP}.json",
        "--lpf", f"{TOP}.lpf", "--textcfg", f"{TOP}.config", "--seed", str(nextpnr.SEED),
        "--timing-allow-fail"], directory)
    clock = min(mhz for net, mhz in nextpnr.clocks(said).items() if "oscillator" not in net)
    if clock < CLOCK_MHZ:
        raise SynthesisError(f"{config.name} on {name} is routed at {clock} MHz, and its clock is "
                             f"{CLOCK_MHZ} MHz")
    nextpnr.pack(["--compress", f"{TOP}.config", "winnow.bit"], directory)
    out.mkdir(parents=True, exist_ok=True)
    bitstream = out / "winnow.bit"
    bitstream.write_bytes((directory / "winnow.bit").read_bytes())
    return {"board": name, "config": config.name, "memory_bytes": memory_bytes,
            "resources": resources, "clock_mhz": clock, "wanted_mhz": CLOCK_MHZ,
            "serial_rate": SERIAL_RATE, "bitstream": str(bitstream),
            "seconds": round(time.monotonic() - begin, 1)}


def _constraints(kind: Kind) -> str:
    """Pins and clock, in nextpnr's format."""
    if find_spec("amaranth_boards") is None:
        raise SynthesisError("amaranth-boards is missing: pip install 'winnow-hdl[fpga]'")
    from amaranth_boards import ulx3s

    platform = getattr(ulx3s, kind.platform)()
    uart = {each.name: each.ios[0].names[0] for each in platform.lookup("uart", 0).ios}
    pins = {"oscillator": platform.lookup("clk25", 0).ios[0].names[0],
            "received": uart["rx"], "sent": uart["tx"],
            "busy": platform.lookup("led", 0).ios[0].names[0]}
    return "".join([f'LOCATE COMP "{port}" SITE "{pin}";\nIOBUF PORT "{port}" IO_TYPE=LVCMOS33;\n'
                    for port, pin in pins.items()]
                   + [f'FREQUENCY PORT "oscillator" {OSCILLATOR_MHZ} MHZ;\n'])


def _top(verilog: str) -> str:
    """The pins, the clock generator and the reset around the board's logic."""
    reference, feedback, output = DIVIDERS
    names = {name for _, _, name in nextpnr.ports("board", verilog)}
    assert names == {"clk", "rst", "received", "sent", "busy"}, names
    generator = re.sub(r"\s+", " ", f"""
        .CLKI_DIV({reference}), .CLKFB_DIV({feedback}), .CLKOP_DIV({output}),
        .CLKOP_CPHASE({output // 2}), .CLKOP_FPHASE(0), .CLKOP_ENABLE("ENABLED"),
        .FEEDBK_PATH("CLKOP"), .OUTDIVIDER_MUXA("DIVA"), .PLLRST_ENA("DISABLED"),
        .INTFB_WAKE("DISABLED"), .STDBY_ENABLE("DISABLED"), .DPHASE_SOURCE("DISABLED")""").strip()
    return f"""module {TOP} (input oscillator, input received, output sent, output busy);
  wire clk, locked;
  reg [7:0] count = 0;
  reg rst = 1;
  (* FREQUENCY_PIN_CLKI="{OSCILLATOR_MHZ}", FREQUENCY_PIN_CLKOP="{CLOCK_MHZ}" *)
  EHXPLLL #({generator}) generator (
    .RST(1'b0), .STDBY(1'b0), .CLKI(oscillator), .CLKOP(clk), .CLKFB(clk), .LOCK(locked),
    .PHASESEL0(1'b0), .PHASESEL1(1'b0), .PHASEDIR(1'b0), .PHASESTEP(1'b0), .PHASELOADREG(1'b0),
    .PLLWAKESYNC(1'b0), .ENCLKOP(1'b0));
  always @(posedge clk) begin
    if (!locked) count <= 0;
    else if (!(&count)) count <= count + 1;
    rst <= !(&count);
  end
  board logic_inside (.clk(clk), .rst(rst), .received(received), .sent(sent), .busy(busy));
endmodule
{nextpnr.box("board", verilog)}"""
