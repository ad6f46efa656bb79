"""The model of the machine without its tensor and vector units, and random programs for it."""

import numpy as np

from isa.assembler import assemble, to_bytes
from isa.instructions import LOOP_DEPTH, SCALARS
from isa.memmap import counter_offset
from isa.registers import REGISTERS, Unit
from sim.machine import Machine

OUTPUT = REGISTERS["vector.k0"]  # where programs show a scalar


def shown(unit):
    """Values that a program wrote to the register that shows a scalar."""
    return [entry[2] for entry in unit.log if entry[0] == "set" and entry[1] == OUTPUT.index]


def show(scalar):
    return f"setr {OUTPUT.name}, {scalar}, 0\n"


class Recorder(Machine):
    """Keeps what was shown; tensor and vector operations do nothing."""

    def __init__(self, config, size, program):
        external = np.zeros(size, np.uint8)
        code = np.frombuffer(to_bytes(assemble(program)), np.uint8)
        external[:code.size] = code
        super().__init__(config, external)
        self.shown = []
        self.start(0)
        self.run(100000)

    def _do_set(self, register, value):
        super()._do_set(register, value)
        if register == OUTPUT.index:
            self.shown.append(value)

    def _execute(self, unit, operation):
        if unit is Unit.MOVE:
            super()._execute(unit, operation)
        else:
            self._give(operation.post)


class RandomProgram:
    """Scalars, skips and loops, nested; every result is shown through a register."""

    def __init__(self, draw):
        self.draw = draw
        self.lines = []
        self.labels = 0
        self.count = 0
        self._block(0, 8)
        self._put("fence")
        self._put("halt 0")
        self.text = "\n".join(self.lines)

    def _put(self, line):
        self.lines.append(line)
        self.count += 1

    def _label(self):
        self.labels += 1
        return f"l{self.labels}"

    def _scalar(self):
        return f"r{self.draw.randrange(SCALARS)}"

    def _block(self, depth, length):
        draw = self.draw
        for _ in range(draw.randrange(1, length)):
            kind = draw.randrange(12)
            if kind == 0:
                self._put(f"li {self._scalar()}, {draw.choice((0, 1, -1, draw.randrange(-9, 9)))}")
            elif kind == 1:
                self._put(f"li {self._scalar()}, {draw.randrange(-2**31, 2**31)}")
            elif kind == 2:
                self._put(f"add {self._scalar()}, {self._scalar()}, {self._scalar()}")
            elif kind == 3:
                self._put(f"addi {self._scalar()}, {self._scalar()}, {draw.randrange(-99, 99)}")
            elif kind == 4:
                self._put(f"csr {self._scalar()}, {counter_offset('instructions')}")
            elif kind == 5:
                self._put(draw.choice(("nop", "fence", "clear tensor", "sync")))
            elif kind == 6:
                guard = draw.choice(("", f", guard={draw.choice(('ge', 'lt'))}, rs={self._scalar()}"
                                         f", least={draw.randrange(4)}, count=1"))
                self._put(f"run {draw.choice(('tensor', 'vector'))}, tag={draw.randrange(32)}"
                          f"{guard}")
            elif kind in (7, 8):
                end = self._label()
                self._put(f"skip {draw.choice(('eq', 'ne', 'lt', 'ge'))}, {self._scalar()}, "
                          f"{self._scalar()}, {end}")
                self._block(depth, 4)
                self.lines.append(f"{end}:")
            elif kind in (9, 10) and depth < LOOP_DEPTH:
                end = self._label()
                count = draw.choice((0, 1, 1, 2, 3))
                if draw.random() < 0.5:
                    self._put(f"loop {count}, {end}")
                else:
                    scalar = self._scalar()
                    self._put(f"li {scalar}, {count}")
                    self._put(f"loopr {scalar}, {end}")
                if draw.random() < 0.9:
                    self._block(depth + 1, 5)  # the end may be that of the loop around it
                self.lines.append(f"{end}:")
            self._put(f"setr {OUTPUT.name}, {self._scalar()}, {draw.randrange(-5, 5)}"
                      if draw.random() < 0.7 else "nop")
