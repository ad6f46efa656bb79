"""The longest paths of a mapped design, cell by cell, through the hierarchy of its modules."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from synth.errors import SynthesisError

_GATES = frozenset(f"$_{kind}_" for kind in ("NOT", "AND", "NAND", "OR", "NOR", "XOR", "XNOR",
                                             "ANDNOT", "ORNOT", "MUX", "BUF"))
_OUTPUT = "Y"


@dataclass(frozen=True)
class Longest:
    """A path: cells on it, and the nets where it begins and ends ("" where there is none)."""

    length: int
    begin: str
    end: str


@dataclass(frozen=True)
class _Place:
    """An instance, and which net of the whole each bit of its module is."""

    path: str
    module: dict
    nets: dict[int, int]


def longest(modules: dict[str, dict], top: str, boxed: Callable[[str], bool]) -> Longest:
    """The longest path of generic gates in the design `top`.

    Parameters
    ----------
    modules : as in the JSON of Yosys, by name; what is no gate and not in it begins and ends paths
    boxed : whether a module is a black box, too

    Raises
    ------
    SynthesisError : gates in a circle
    """
    inputs: list[tuple | None] = []  # of the gate that drives a net, or the one net that it is
    gates: list[bool] = []
    places = []

    def net() -> int:
        inputs.append(None)
        gates.append(False)
        return len(inputs) - 1

    def enter(path: str, module: dict, nets: dict[int, int]) -> None:
        places.append(_Place(path, module, nets))

        def of(bits: Iterable) -> list[int | None]:
            """Nets of bits; None for a constant."""
            found = []
            for bit in bits:
                if isinstance(bit, str):
                    found.append(None)
                    continue
                if bit not in nets:
                    nets[bit] = net()
                found.append(nets[bit])
            return found

        for name, cell in module["cells"].items():
            kind, pins = cell["type"], cell["connections"]
            if kind in _GATES:
                output, = of(pins[_OUTPUT])
                inputs[output] = tuple(each for pin, bits in pins.items() if pin != _OUTPUT
                                       for each in of(bits) if each is not None)
                gates[output] = True
            elif kind in modules and not boxed(kind):
                below = {}
                for port, said in modules[kind]["ports"].items():
                    outer = of(pins.get(port, ()))
                    for bit, outside in zip(said["bits"], outer, strict=False):
                        if outside is None or isinstance(bit, str):
                            continue
                        if below.setdefault(bit, outside) != outside:
                            inputs[outside] = below[bit],  # it goes straight through
                enter(f"{path}.{name}" if path else name, modules[kind], below)

    enter("", modules[top], {})
    levels, before = _levels(inputs, gates)
    if not any(gates):
        return Longest(0, "", "")
    end = max(range(len(levels)), key=levels.__getitem__)
    begin = end
    while before[begin] is not None:
        begin = before[begin]
    return Longest(levels[end], _name(places, begin), _name(places, end))


def _levels(inputs: list, gates: list[bool]) -> tuple[list[int], list[int | None]]:
    """For each net the gates on the longest path to it, and the net before it on that path."""
    levels = [-1] * len(inputs)
    before: list[int | None] = [None] * len(inputs)
    for root in range(len(inputs)):
        stack = [root] if levels[root] < 0 else []
        waiting = set()
        while stack:
            net = stack[-1]
            sources = inputs[net]
            if not sources:
                levels[net] = int(gates[net])
            else:
                late = [each for each in sources if levels[each] < 0]
                if late:
                    if net in waiting:
                        raise SynthesisError("a mapped design has gates in a circle")
                    waiting.add(net)
                    stack.extend(late)
                    continue
                before[net] = max(sources, key=levels.__getitem__)
                levels[net] = levels[before[net]] + gates[net]
            stack.pop()
    return levels, before


def _name(places: list[_Place], net: int) -> str:
    """What the source calls a net, by the outermost instance that has a name of the source's."""
    found = ""
    for place in places:
        bits = {bit for bit, each in place.nets.items() if each == net}
        for name, said in place.module["netnames"].items() if bits else ():
            if not bits.isdisjoint(said["bits"]) and (not found or "$" in found):
                found = f"{place.path}.{name}" if place.path else name
    return found
