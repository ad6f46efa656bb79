"""Longest paths through the hierarchy of a mapped design."""

import pytest

from synth.depth import Longest, longest
from synth.errors import SynthesisError


def module(ports: dict, cells: dict, names: dict | None = None) -> dict:
    """As Yosys writes it: ports and names with their bits, cells with type and pins."""
    return {"ports": {name: {"bits": bits} for name, bits in ports.items()},
            "cells": {name: {"type": kind, "connections": pins}
                      for name, (kind, pins) in cells.items()},
            "netnames": {name: {"bits": bits} for name, bits in (names or ports).items()}}


def gate(kind: str, *nets) -> tuple:
    """The output first."""
    return f"$_{kind}_", dict(zip("YABS", ([net] for net in nets), strict=False))


TWICE = module({"a": [2], "q": [4], "same": [2]},
               {"g": gate("AND", 3, 2, "1"), "h": gate("NOT", 4, 3)})


def design(first: list) -> dict[str, dict]:
    """Two modules in a row; `first` is what the second one is given."""
    return {"twice": TWICE, "top": module({"a": [2], "y": [9]}, {
        "first": ("twice", {"a": [2], "q": [3], "same": [4]}),
        "held": ("$_DFF_P_", {"C": [20], "D": [3], "Q": [5]}),
        "second": ("twice", {"a": first, "q": [6], "same": [7]}),
        "last": gate("MUX", 9, 6, 7, "0"),
    }, {"a": [2], "y": [9], "$1": [5], "kept": [5]})}


@pytest.mark.parametrize("first, path", [
    ([5], Longest(3, "kept", "y")),  # behind a register
    ([3], Longest(5, "a", "y")),
    ([4], Longest(3, "a", "y")),  # what goes straight through a module costs nothing
])
def test_a_path_goes_through_modules(first, path):
    assert longest(design(first), "top", lambda name: False) == path


def test_black_boxes_end_a_path():
    assert longest(design([3]), "top", lambda name: name == "twice").length == 1
    assert longest({"top": module({"a": [2]}, {})}, "top", lambda name: False).length == 0


def test_circles_are_told():
    with pytest.raises(SynthesisError, match="gates in a circle"):
        longest(design([9]), "top", lambda name: False)
