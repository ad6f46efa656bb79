"""Maps and errors as layers read them, made in the scratchpad from what is stored."""

from dataclasses import dataclass

from isa.formats import FormatCode
from winnow.compiler import forms, pools
from winnow.compiler.forms import Coefficients
from winnow.compiler.step import Step
from winnow.compiler.tiles import Tile
from winnow.graph import Map


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
        self.graph, self.memory, self.emit = (
            step.graph, step.memory, step.emit)
        self.stored: set[Map] = set()  # maps that were formed and stored

    def coefficients(self, layer: int, way: str, first: int = 0) -> Coefficients | None:
        norm = self.step.norm(layer)
        return Coefficients(getattr(norm, f"{way}_coefficients"), first) if norm else None

    def form(self, made: Map, first: int, images: int, keep: bool = False) -> Formed:
        """The map, and with `keep` what it came from. What costs more than one operation is
        stored when it is formed for the first time."""
        if made.source is None:
            return Formed(self.step.fill(self.step.images, first, images), None)
        if self._is_filled(made, keep):
            source = self.memory.outputs[made.source]
            return Formed(self.step.fill(self.memory.formed[made], first, images),
                          self.step.fill(source, first, images) if keep else None)
        stored, norm = self.memory.outputs[made.source], self.step.norm(made.source)
        x = self.step.fill(stored, first, images)
        label = f"form {made.name}"
        factors = self.coefficients(made.source, "forward")
        if made.pool:
            y, winner = (Tile.new(name, images, made.shape) for name in (made.name, "winners"))
            self.emit(pools.largest(label, x, made.pool, made.relu, factors, y=y,
                                    winner=winner if keep else None))
            return Formed(y, winner)
        if not norm and not made.adds:
            return Formed(x, x)
        y = Tile.new(made.name, images, made.shape) if keep else x
        other = None
        if made.identity:
            other = self.form(made.identity, first, images).y
        elif made.shortcut is not None:
            other = self.step.fill(self.memory.outputs[made.shortcut], first, images)
        scales = self.coefficients(made.shortcut, "forward") if made.shortcut is not None else None
        if factors:
            self.emit(forms.normalised(label, x, y, factors, made.relu, other,
                                       scaled=scales is not None))
        elif scales:
            self.emit(forms.normalised(label, other, y, scales, made.relu, x))
        else:
            self.emit(forms.added(label, x, other, y, FormatCode.E4M3, made.relu))
        return Formed(y, x)

    def error(self, layer: int, first: int, images: int, blocks: range | None = None,
              backwards: bool = False) -> Tile:
        """The error at the stored output of a layer, for some of its channel blocks. `backwards`
        as in `vector`; errors behind a pool are formed forwards."""
        made, stored = self.graph.outputs[layer], self.memory.outputs[layer]
        dy = self.step.fill(self.memory.gradients[made], first, images, blocks)
        start = blocks.start if blocks is not None else 0
        backward = self.coefficients(layer, "backward", start)
        label = f"form error of {self.graph.layers[layer].name}"
        if not made.pool:
            if backward:
                x = self.step.fill(stored, first, images, blocks)
                self.emit(self.step.rounded(forms.error(label, dy, x, backward, backwards), label,
                                            dy, stored.shape, first, start))
            return dy
        x = self.step.fill(stored, first, images, blocks)
        number = pools.Numbers.new(made.pool, images, dy.shape)
        self.emit(pools.largest(label, x, made.pool, made.relu,
                                self.coefficients(layer, "forward", start), number=number))
        self.emit(self.step.rounded(pools.error(label, dy, number, x, made.pool, backward), label,
                                    x, stored.shape, first, start))
        return x

    def form_words(self, made: Map, keep: bool) -> int:
        """Words of an image while a map is formed."""
        if made.source is None:
            return made.shape.words
        words = self.graph.layers[made.source].output.words
        if self._is_filled(made, keep):
            return words + made.shape.words if keep else made.shape.words
        if made.pool:
            return words + made.shape.words * (2 if keep else 1)
        if (self.step.norm(made.source) or made.adds) and keep:
            words += made.shape.words
        if made.identity:
            words += self.form_words(made.identity, False)
        elif made.shortcut is not None:
            words += made.shape.words
        return words

    def error_words(self, layer: int, blocks: int | None = None) -> int:
        """Words of an image while the error of a layer is formed."""
        made, output = self.graph.outputs[layer], self.graph.layers[layer].output
        part = (blocks or output.blocks) / output.blocks
        words = made.shape.words
        if made.pool:
            words += made.shape.words * pools.number_words(made.pool)
            words += pools.error_words(made.pool, output)
        words += output.words if self.step.norm(layer) or made.pool else 0
        return int(words * part)

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
