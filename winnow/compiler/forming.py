"""Maps and errors as layers read them, made in the scratchpad from what is stored."""

from dataclasses import dataclass, replace

from isa.config import LANES
from isa.formats import FormatCode
from winnow.compiler import forms, pools, turned
from winnow.compiler.cuts import hull
from winnow.compiler.forms import Coefficients
from winnow.compiler.layouts import Layout
from winnow.compiler.operations import Buffer
from winnow.compiler.step import Step
from winnow.compiler.tiles import Part, Tile
from winnow.compiler.turned import TurnedTile
from winnow.graph import Map

GATED = 3  # words beside each word of an error: its gate, and what that lets through, or both


@dataclass(frozen=True)
class Formed:
    """A map as layers read it, and the stored values (of winners, behind a pool) it came from."""

    y: Tile
    source: Tile | None


class Forming:
    """Emits the fills and vector operations that make a tile; knows how many words they take.

    Parameters
    ----------
    step : Step
    """

    def __init__(self, step: Step):
        self.step = step
        self.graph, self.memory, self.layouts, self.emit = (
            step.graph, step.memory, step.memory.layouts, step.emit)
        self.stored: set[Map] = set()  # maps that were formed and stored

    def coefficients(self, layer: int, way: str, first: int = 0) -> Coefficients | None:
        norm = self.step.norm(layer)
        return Coefficients(getattr(norm, f"{way}_coefficients"), first) if norm else None

    def form(self, made: Map, part: Part, keep: bool = False, slots: bool = False) -> Formed:
        """A part of the map, and with `keep` what it came from. What costs more than one operation
        is stored when it is formed for the first time. With `slots` few channel blocks may lie with
        gaps, each pixel at the beginning of a slot."""
        if made.source is None:
            return Formed(self.step.fill(self.step.images, part), None)
        if self._is_filled(made, keep):
            return Formed(self.step.fill(self.memory.formed[made], part),
                          self.step.fill(self.memory.outputs[made.source], part) if keep else None)
        stored, norm = self.memory.outputs[made.source], self.step.norm(made.source)
        x = self.step.fill(stored, self._source(made, part))
        label = f"form {made.name}"
        factors = self.coefficients(made.source, "forward", part.blocks.start)
        if made.pool:
            y, winner = (Tile.new(name, part, made.shape, self.layouts.maps)
                         for name in (made.name, "winners"))
            self.emit(pools.largest(label, x, made.pool, made.relu, factors, y=y,
                                    winner=winner if keep else None))
            return Formed(y, winner)
        if not norm and not made.adds:
            return Formed(x, x)
        layout = self._with_gaps(made, part) if slots else None
        y = Tile.new(made.name, part, made.shape, layout or self.layouts.maps) if (
            keep or layout) else x
        other = None
        if made.identity:
            other = self.form(made.identity, part).y
        elif made.shortcut is not None:
            other = self.step.fill(self.memory.outputs[made.shortcut], part)
        scales = None
        if made.shortcut is not None:
            scales = self.coefficients(made.shortcut, "forward", part.blocks.start)
        if factors:
            self.emit(forms.normalised(label, x, y, factors, made.relu, other,
                                       scaled=scales is not None))
        elif scales:
            self.emit(forms.normalised(label, other, y, scales, made.relu, x))
        else:
            self.emit(forms.added(label, x, other, y, FormatCode.E4M3, made.relu))
        return Formed(y, x)

    def to_turn(self, made: Map, part: Part) -> Tile:
        """What it is turned from: stored outputs, where one operation forms and turns it, or the
        map."""
        if self._turns_at_once(made):
            return self.step.fill(self.memory.outputs[made.source], part)
        return self.form(made, part).y

    def _turns_at_once(self, made: Map) -> bool:
        if made.source is None or made in self.stored or made.pool or made.adds:
            return False
        return self.step.norm(made.source) is not None

    def turned(self, made: Map, part: Part, stride: int, inside: bool, x: Tile | None = None,
               source: Tile | None = None, buffer: Buffer | None = None) -> TurnedTile:
        """The same turned (turned.py), for layers with a stride: of `x`, if it was formed, or as it
        is formed, from `source` if that is there (`to_turn`). It may be in a `buffer`, which
        grows."""
        y = TurnedTile.new(self.step.config, f"{made.name} turned", part, made.shape, stride,
                           inside)
        if buffer:
            buffer.words = max(buffer.words, y.buffer.words)
            y = replace(y, buffer=buffer)
        label = f"turn {made.name}"
        if x or not self._turns_at_once(made):
            self.emit(turned.turn(label, x or source or self.form(made, part).y, y))
        else:
            x = source or self.step.fill(self.memory.outputs[made.source], part)
            factors = self.coefficients(made.source, "forward", part.blocks.start)
            self.emit(turned.turn(label, x, y, factors, made.relu))
        return y

    def error(self, layer: int, part: Part, backwards: bool = False) -> Tile:
        """The error at the stored output of a layer, for a part of it and perhaps more rows.
        `backwards` as in `vector`; errors behind a pool are formed forwards."""
        made, stored = self.graph.outputs[layer], self.memory.outputs[layer]
        above = self._above(layer, part)
        dy = self.step.fill_gradient(made, above)
        first = part.blocks.start
        backward = self.coefficients(layer, "backward", first)
        label = f"form error of {self.graph.layers[layer].name}"
        if not made.pool:
            if backward:
                x = self.step.fill(stored, part)
                self.emit(self.step.rounded(forms.error(label, dy, x, backward, backwards), label,
                                            dy, stored.shape, part))
                self.step.clear_places(dy, part.images)
            return dy
        under = self._under(made, above, part)
        x = self.step.fill(stored, under)
        dx = x if self.in_place else Tile.new(f"error of {self.graph.layers[layer].name}", under,
                                              stored.shape, self.layouts.errors)
        number = pools.Numbers.new(made.pool, above, made.shape, self.layouts.maps)
        self.emit(pools.largest(label, x, made.pool, made.relu,
                                self.coefficients(layer, "forward", first), number=number))
        self.emit(self.step.rounded(
            pools.error(label, dy, number, x, dx, made.pool, backward, part.rows), label, dx,
            stored.shape, part))
        if backward:
            self.step.clear_places(dx, part.images)
        return dx

    def gated_error(self, layer: int, part: Part) -> Tile:
        """The error of a gated layer for its bases, and behind it in each pixel what the gates let
        through: a tile of twice as many channel blocks."""
        dy, label = self.error(layer, part), f"gate error of {self.graph.layers[layer].name}"
        whole = replace(dy.shape, channels=2 * LANES * dy.shape.blocks)
        both = Tile(Buffer(label, dy.images * whole.words), dy.images, whole, dy.row, dy.block,
                    self.layouts.maps)
        self.emit(forms.gated(label, dy, self._gates(layer, dy, part), both))
        return both

    def opened(self, layer: int, dy: Tile, part: Part) -> Tile:
        """What the gates let through of the error of a gated layer."""
        label = f"gate error of {self.graph.layers[layer].name}"
        out = replace(dy, buffer=Buffer(label, dy.buffer.words))
        self.emit(forms.opened(label, dy, self._gates(layer, dy, part), out))
        return out

    def _gates(self, layer: int, dy: Tile, part: Part) -> Tile:
        """The gates of what an error is of."""
        rows = range(dy.row, dy.row + dy.shape.height)
        return self.step.fill(self.memory.gates[layer], replace(part, rows=rows))

    @property
    def in_place(self) -> bool:
        """Whether errors behind a pool take the place of the stored output: they lie like it."""
        return self.layouts.errors == self.layouts.maps

    def _with_gaps(self, made: Map, part: Part) -> Layout | None:
        """The layout of a part with too few channel blocks to fill a slot, if it is formed by one
        operation, from what is not stored again, for layers that do not read it flat."""
        slot, flat = self.step.config.slot, any(
            self.graph.layers[i].is_linear for i in made.readers)
        if flat or made in self.memory.formed or not self.step.norm(made.source) or (
                not 1 < len(part.blocks) < slot):
            return None
        return replace(self.layouts.maps, pitch=slot)

    def form_words(self, made: Map, part: Part, keep: bool, slots: bool = False) -> int:
        """Words while a part of a map is formed."""
        words = part.words(made.shape)
        if made.source is None:
            return words
        output = self.graph.layers[made.source].output
        source = self._source(made, part).words(output)
        if self._is_filled(made, keep):
            return source + words if keep else words
        if made.pool:
            return source + words * (2 if keep else 1)
        if (self.step.norm(made.source) or made.adds) and keep:
            source += words
        if slots and (layout := self._with_gaps(made, part)):
            source += layout.images(part.shape(made.shape), len(part.images))
        if made.identity:
            source += self.form_words(made.identity, part, False)
        elif made.shortcut is not None:
            source += words
        return source

    def error_words(self, layer: int, part: Part) -> int:
        """Words while the error of a part of a layer's output is formed."""
        made, output = self.graph.outputs[layer], self.graph.layers[layer].output
        above = self._above(layer, part)
        words = above.words(made.shape)
        if made.pool:
            under = self._under(made, above, part).words(output)
            words = words * (1 + pools.number_words(made.pool)) + under * (
                1 + (not self.in_place) + pools.error_words(made.pool))
        else:
            under = part.words(output)
            words += under if self.step.norm(layer) else 0
        return words + GATED * under * (self.memory.gates[layer] is not None)

    def _source(self, made: Map, part: Part) -> Part:
        """What of the stored output a part of a map comes from."""
        if not made.pool:
            return part
        height = self.graph.layers[made.source].output.height
        return replace(part, rows=made.pool.rows_read(part.rows, height))

    def _above(self, layer: int, part: Part) -> Part:
        """The part of a layer's map that comes from a part of its stored output."""
        made = self.graph.outputs[layer]
        if not made.pool:
            return part
        return replace(part, rows=made.pool.rows_reached(part.rows, made.shape.height))

    def _under(self, made: Map, above: Part, part: Part) -> Part:
        """A part of a stored output, and all that is under its windows."""
        return replace(part, rows=hull([part.rows, self._source(made, above).rows]))

    def _is_filled(self, made: Map, keep: bool) -> bool:
        """Whether a map is there as it was formed; the winners behind a pool are not."""
        return made in self.stored and not (keep and made.pool)


class Pass:
    """What the passes of a step have in common.

    Parameters
    ----------
    step : Step
    forming : Forming
    """

    def __init__(self, step: Step, forming: Forming):
        self.step, self.forming = step, forming
        self.config, self.graph, self.memory, self.batch, self.emit = (
            step.config, step.graph, step.memory, step.batch, step.emit)
        self.layouts = step.memory.layouts
