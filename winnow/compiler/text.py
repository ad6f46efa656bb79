"""Assembly text from operations: only the registers that change are written."""

from isa.fields import encode
from isa.instructions import Guard
from isa.registers import REGISTERS, Unit
from winnow.compiler.operations import At, Chosen, Operation
from winnow.compiler.order import CONTROL_TOKEN
from winnow.compiler.scalars import CHOICES, COUNTED, NOW, PASSED

ZERO, WALK, HOLDS = NOW, COUNTED, PASSED  # that looking at a choice takes
SIGN = 31
UNKNOWN = object()  # what a register holds where one of two ways has set it


class ProgramText:
    """Collects the lines of a program, and knows what the unit registers hold at each point."""

    def __init__(self):
        self.lines: list[str] = []
        self._labels = 0
        self.forget()

    def forget(self) -> None:
        """What registers hold is not known from here on: the start or end of a loop."""
        self._held: dict[Unit, dict | None] = dict.fromkeys(Unit)
        self._choice: int | None = None  # that HOLDS is about

    def line(self, text: str, comment: str = "") -> None:
        self.lines.append(f"    {text:<60} ; {comment}" if comment else f"    {text}")

    def label(self, name: str) -> None:
        self.lines.append(f"{name}:")

    def unique(self, what: str) -> str:
        """A name for a label that no other has."""
        self._labels += 1
        return f"{what}_{self._labels}"

    def loop(self, count: int, what: str) -> "_LoopText":
        """A context: its lines run `count` times."""
        return _LoopText(self, f"loop {count}", self.unique(what))

    def times(self, register: int, what: str) -> "_LoopText":
        """A context: its lines run as often as a scalar register says, perhaps never."""
        return _LoopText(self, f"loopr r{register}", self.unique(what))

    def operations(self, operations: list[Operation]) -> None:
        """A straight line of operations, ended by a fence."""
        for operation in operations:
            self._operation(operation)
        self.line("fence")

    def _either(self, operation: Operation) -> None:
        """One of two rows of operations of a unit, which take and give the same tokens."""
        unit, number = operation.unit, operation.ways.number
        self._look(number)
        second, end = self.unique("second_way"), self.unique("chosen")
        before, after = self._held[unit], []
        self.line(f"skip lt, r{WALK}, r{ZERO}, {second}")
        for row, label in zip(operation.ways.rows, (second, end), strict=True):
            self._held[unit] = before
            for i, each in enumerate(row):
                each.wait = operation.wait if i == 0 else 0
                each.post = operation.post if i == len(row) - 1 else 0
                self._operation(each)
            after.append(self._held[unit])
            if label is second:
                self.line(f"skip eq, r{ZERO}, r{ZERO}, {end}")
            self.label(label)
        a, b = after
        self._held[unit] = {name: a[name] if a.get(name) == b.get(name) else UNKNOWN
                            for name in a.keys() | b.keys()}

    def _operation(self, operation: Operation) -> None:
        if operation.ways:
            self._either(operation)
            return
        unit = operation.unit
        held = self._held[unit]
        if held is None:
            self.line(f"clear {unit.name.lower()}")
            held = {}
        wanted = resolve(operation)
        for name in operation.scalars:
            wanted.setdefault(name, {})
        for name in sorted(held.keys() - wanted.keys()):
            self.line(f"set {name}")
        for name, values in sorted(wanted.items(), key=lambda item: REGISTERS[item[0]].index):
            if name in operation.scalars:
                imm = signed(encode(REGISTERS[name].fields, values))
                self.line(f"setr {name}, r{operation.scalars[name]}, {imm}")
            elif held.get(name) != values:
                arguments = "".join(f", {field}={value}" for field, value in values.items())
                self.line(f"set {name}{arguments}")
        self._held[unit] = {n: v for n, v in wanted.items() if n not in operation.scalars}
        self._held[unit] |= dict.fromkeys(operation.scalars)
        post, guard = operation.post, ""
        if operation.control:
            post |= CONTROL_TOKEN
        if isinstance(operation.guard, Chosen):
            self._look(operation.guard.number)
            kind = Guard.GE if operation.guard.holds else Guard.LT
            guard = f", guard={kind.name.lower()}, rs=r{HOLDS}, least=1"
        elif operation.guard:
            guard = (f", guard={operation.guard.guard.name.lower()}, rs=r{operation.guard.register}"
                     f", least={operation.guard.least}, count={int(unit is Unit.TENSOR)}")
        self.line(f"run {unit.name.lower()}, wait={operation.wait:#x}, post={post:#x}, "
                  f"tag={operation.tag}{guard}", operation.label)
        if operation.control:
            self.line(f"sync wait={CONTROL_TOKEN:#x}")
        for line in operation.control:
            self.line(line)

    def _look(self, number: int) -> None:
        """HOLDS becomes a bit of the choices: they walk to the left until it is the sign."""
        if self._choice == number:
            return
        before = self._choice
        if before is None or before < number:
            before = SIGN
            self.line(f"addi r{WALK}, r{CHOICES}, 0", f"choice {number}")
        for _ in range(before - number):
            self.line(f"add r{WALK}, r{WALK}, r{WALK}")
        self._choice = number
        self.line(f"li r{ZERO}, 0")
        self.line(f"li r{HOLDS}, 1")
        self.line(f"skip lt, r{WALK}, r{ZERO}, +1")
        self.line(f"li r{HOLDS}, 0")

    def __str__(self):
        return "\n".join(self.lines) + "\n"


def signed(value: int) -> int:
    """32 bits as an immediate writes them."""
    return value - (1 << 32) if value >> 31 else value


class _LoopText:
    def __init__(self, text: ProgramText, begin: str, label: str):
        self.text, self.begin, self.label = text, begin, label

    def __enter__(self):
        self.text.line(f"{self.begin}, {self.label}")
        self.text.forget()

    def __exit__(self, *_):
        self.text.label(self.label)
        self.text.forget()


def resolve(operation: Operation) -> dict[str, dict[str, int]]:
    """The registers of a placed operation, with addresses in the place of buffers."""
    return {name: {field: v.address if isinstance(v, At) else int(v)
                   for field, v in values.items()}
            for name, values in operation.registers.items()}
