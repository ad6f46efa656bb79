"""Copies of a pipelined unit side by side, so that one simulated cycle tests several vectors."""

from amaranth.hdl import Module, Shape
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out


class Many(wiring.Component):
    """`copies` of the component that `make` makes; each port is the copies' ports in one word.

    `en` is common. `shapes` has the shape of each port of one copy, `latency` is the unit's.
    """

    def __init__(self, make, copies: int):
        self.units = [make() for _ in range(copies)]
        self.copies = copies
        self.latency = self.units[0].LATENCY
        members = self.units[0].signature.members
        self.shapes = {name: Shape.cast(member.shape) for name, member in members.items()
                       if name != "en"}
        ports = {name: members[name].flow(data.ArrayLayout(shape.width, copies))
                 for name, shape in self.shapes.items()}
        self.inputs = [name for name in ports if members[name].flow == In]
        self.outputs = [name for name in ports if members[name].flow == Out]
        super().__init__(ports | {"en": In(1)})

    def elaborate(self, platform):
        m = Module()
        for i, unit in enumerate(self.units):
            m.submodules[f"unit{i}"] = unit
            if hasattr(unit, "en"):
                m.d.comb += unit.en.eq(self.en)
            m.d.comb += [getattr(unit, name).eq(getattr(self, name)[i]) for name in self.inputs]
            m.d.comb += [getattr(self, name)[i].eq(getattr(unit, name)) for name in self.outputs]
        return m
