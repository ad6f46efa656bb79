"""Memories of a design as modules by shape, so that each shape is mapped once or left out."""

import re
from dataclasses import dataclass

from hdl.bodies import verilog_files

CLOCK_GATE = "winnow_clock_gate"
PASSED_GATE = f"""module {CLOCK_GATE} (input clk, input enable, output gated);
  assign gated = clk;
endmodule
"""
_INSTANCE = re.compile(r"winnow_(sram|regfile) #\(\s*((?:\.\w+\(\S+\),?\s*)+)\) ")
_PARAMETER = re.compile(r"\.(\w+)\((?:\d+'d)?(\d+)\)")
_NAME = re.compile(r"winnow_(sram|regfile)_(\d+)x(\d+)")


@dataclass(frozen=True, order=True)
class Memory:
    """A memory of `depth` rows of `width` bits; `kind` is sram or regfile."""

    kind: str
    width: int
    depth: int

    @property
    def module(self) -> str:
        return f"winnow_{self.kind}_{self.width}x{self.depth}"

    @property
    def bits(self) -> int:
        return self.width * self.depth

    @property
    def body(self) -> str:
        """Verilog of a module of this shape alone."""
        path, = (p for p in verilog_files() if p.stem == f"winnow_{self.kind}")
        text = path.read_text().replace(f"module winnow_{self.kind} ", f"module {self.module} ")
        address = max(1, (self.depth - 1).bit_length())
        for name, value in (("WIDTH", self.width), ("DEPTH", self.depth),
                            ("ADDRESS_BITS", address)):
            text = re.sub(rf"parameter {name} = \d+", f"parameter {name} = {value}", text)
        return text

    @staticmethod
    def of(module: str) -> "Memory | None":
        """The memory that a module of this name is, if it is one."""
        found = _NAME.fullmatch(module)
        return found and Memory(found[1], int(found[2]), int(found[3]))


def by_shape(verilog: str) -> tuple[str, list[Memory]]:
    """`verilog` with instances of memories named by their shape, and the shapes there are."""
    memories = set()

    def shaped(found):
        values = dict(_PARAMETER.findall(found[2]))
        memory = Memory(found[1], int(values["WIDTH"]), int(values["DEPTH"]))
        memories.add(memory)
        return f"{memory.module} "

    return _INSTANCE.sub(shaped, verilog), sorted(memories)
