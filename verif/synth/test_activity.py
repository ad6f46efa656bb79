import itertools

import numpy as np
import pytest

from synth import gates, netlist
from synth.activity import WARM, WORD, Simulation, pack, unpack
from synth.errors import SynthesisError
from verif.seeds import generator


@pytest.mark.parametrize("text, meant", [
    ("!A", lambda a, b, c: not a),
    ("(A & !B) | (!A & B)", lambda a, b, c: a != b),
    ("A*B + A*C + B*C", lambda a, b, c: a + b + c > 1),
    ("A B' + C", lambda a, b, c: (a and not b) or c),
    ("(A ^ B) ^ C", lambda a, b, c: (a + b + c) % 2),
    ("!(A+B)'&C", lambda a, b, c: (a or b) and c),
    ("1", lambda a, b, c: True),
    ("A & 0", lambda a, b, c: False),
])
def test_functions(text, meant):
    of = gates.function(text, ("A", "B", "C"))
    for inputs in itertools.product((0, 1), repeat=3):
        found = of(*(np.uint64(value) for value in inputs))
        assert found & np.uint64(1) == bool(meant(*inputs)), inputs


@pytest.mark.parametrize("text", ["A &", "A & D", "(A", "A)", "A & & B", ""])
def test_wrong_functions(text):
    with pytest.raises(SynthesisError, match="function"):
        gates.function(text, ("A", "B"))


def simulation(library, *cells: str, ports: str = "input clk;\n  input a;\n  input b;\n"
                                                  "  output y;") -> Simulation:
    """Of cells as KIND:PIN=NET,..., in a module top."""
    text = "\nmodule top(a);\n  " + ports + "\n"
    for number, cell in enumerate(cells):
        kind, pins = cell.split(":")
        lines = ",\n".join("    .{}({} )".format(*pin.split("=")) for pin in pins.split(","))
        text += f"  {kind} u{number} (\n{lines}\n  );\n"
    found = netlist.read(text + "endmodule\n", "top")
    return Simulation(found, gates.gates(library.path.read_text(),
                                         {cell.kind for cell in found.cells}))


def test_a_pipeline(library):
    held = simulation(library, "NAND2:A=a,B=b,Y=n", "DFF:CK=clk,D=n,Q=q", "INV:A=q,Y=y")
    assert held.sources == ["a", "b", "clk"]
    a, b = (generator(str(seed)).integers(0, 2, 4 * WORD).astype(bool) for seed in "ab")
    activity = held.run({"a": pack(a), "b": pack(b)})
    expected = np.concatenate([[True], (a & b)[:-1]])  # the register begins with zero
    assert np.array_equal(unpack(activity.values["y"]), expected)
    assert activity.cycles == 4 * WORD - WARM
    assert activity.settled["y"] == np.count_nonzero(np.diff(expected)[WARM - 1:])
    assert activity.changes == activity.settled


def test_glitches_are_counted_apart(library):
    # both inputs of the last gate change, one of them two gates later
    paths = simulation(library, "INV:A=a,Y=n", "INV:A=n,Y=m", "INV:A=m,Y=k", "NAND2:A=a,B=k,Y=y")
    a = generator("a").integers(0, 2, 2 * WORD).astype(bool)
    activity = paths.run({"a": pack(a), "b": pack(a)})
    rises = np.count_nonzero(~a[WARM - 1:-1] & a[WARM:])
    assert activity.settled["y"] == 0
    assert activity.changes["y"] == 2 * rises > 0
    assert activity.changes["k"] == activity.settled["k"] == activity.settled["a"]


def test_what_cannot_be_run(library):
    with pytest.raises(SynthesisError, match="2 cells depend on themselves"):
        simulation(library, "NAND2:A=a,B=q,Y=n", "DFF:CK=clk,D=n,Q=q")
    with pytest.raises(SynthesisError, match="no values are given for b"):
        simulation(library, "NAND2:A=a,B=b,Y=y").run({"a": np.zeros(1, np.uint64)})
    with pytest.raises(SynthesisError, match="has not: OR2"):
        simulation(library, "OR2:A=a,B=b,Y=y")
    with pytest.raises(SynthesisError, match="no module top"):
        netlist.read("\nmodule other(a);\nendmodule\n", "top")
    with pytest.raises(SynthesisError, match="2 instances"):
        netlist.read("\nmodule top(a);\n  INV u (\n    .A(a)\n  );\n  INV # (\n  );\nendmodule\n",
                     "top")


def test_a_flip_flop_with_an_enable(library):
    """It is given what it holds, and cannot be run."""
    text = library.path.read_text().replace('next_state : "D"', 'next_state : "(D&E) | (IQ&!E)"')
    text = text.replace("pin (D) {", "pin (E) { direction : input; capacitance : 0.001; }\n"
                                     "pin (D) {")
    kinds = gates.gates(text, {"DFF"})
    d, e, q = (np.uint64(bits) for bits in (0b1100, 0b1010, 0b0101))
    assert kinds["DFF"].inputs == ("E", "D")
    assert kinds["DFF"].next_state(e, d, q) == (d & e) | (q & ~e)
    found = netlist.read("\nmodule top(clk, a, b, y);\n  input clk;\n  input a;\n  input b;\n"
                         "  output y;\n  DFF u (\n    .CK(clk ),\n    .D(a ),\n    .E(b ),\n"
                         "    .Q(y )\n  );\nendmodule\n", "top")
    with pytest.raises(SynthesisError, match="DFF keeps its state"):
        Simulation(found, kinds)
    assert "y" in Simulation(found, kinds, held=True).sources
