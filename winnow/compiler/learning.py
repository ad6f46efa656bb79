"""Weight gradients and the update of weights."""

from functools import partial

from isa.config import LANES, TREES, WORD_BYTES
from isa.formats import FORMATS
from winnow.compiler import gradients, moves, scores, update
from winnow.compiler.forming import Pass
from winnow.compiler.nests import GROUP_WORDS
from winnow.compiler.numbers import Numbers
from winnow.compiler.operations import Buffer
from winnow.compiler.step import WHOLE, flat, growing
from winnow.compiler.tiles import divisor
from winnow.graph import Map

GRADIENTS = 0.35  # of the scratchpad that the raw gradients of a layer may fill


class Learning(Pass):
    """Emits the weight gradients of layers, summed over tiles of images, and their update."""

    def run(self, made: Map, tag) -> None:
        """The weights of all readers of a map: together, if their gradients fit, or one by one,
        some output blocks at a time."""
        readers = [i for i in made.readers if self.graph.layers[i].learns]
        whole = {i: range(self.graph.layers[i].output.blocks) for i in readers}
        if sum(self.gradient_rows(i) * len(whole[i]) for i in readers) * self.config.raw_words \
                <= GRADIENTS * self.config.words:
            if readers:
                self._sum_gradients(made, whole, tag)
            return
        for i in readers:
            for blocks in self.gradient_chunks(i):
                self._sum_gradients(made, {i: blocks}, tag)

    def gradient_rows(self, i: int) -> int:
        """Rows of the gradient of one output block."""
        layer = self.graph.layers[i]
        return layer.tiles * TREES // layer.output.blocks

    def gradient_chunks(self, i: int) -> list[range]:
        """Output blocks of a layer whose raw gradient fits; multiples of what a block holds."""
        blocks, together = self.graph.layers[i].output.blocks, self.config.block // LANES
        room = int(GRADIENTS * self.config.words) // (self.gradient_rows(i) * self.config.raw_words)
        chunk = divisor(blocks, max(1, room))
        if blocks % together == 0 and chunk > together:
            chunk = together * divisor(blocks // together, chunk // together)
        return [range(start, start + chunk) for start in range(0, blocks, chunk)]

    def _sum_gradients(self, made: Map, chunks: dict[int, range], tag) -> None:
        """Gradients of some output blocks of layers that read a map, and their update."""
        rules = self.step.rules
        scale = 0 if rules.recipe.dynamic else rules.mean_scale
        layers = self.graph.layers
        tiles = self.gradient_tiles(made, chunks)
        sums = {i: gradients.Part(None, None, False, 0) for i in chunks}
        for images in tiles:
            x = self.forming.form(made, images.start, len(images)).y
            for i, blocks in chunks.items():
                layer, raw = layers[i], images.stop < self.batch
                size = self.gradient_rows(i) * len(blocks) * (
                    self.config.raw_words if raw else GROUP_WORDS)
                before = sums[i].after
                after = before if before and raw else Buffer(
                    f"{'sums' if raw else 'gradient'} of {layer.name}", size)
                done = gradients.passes_of(layer, images.start)
                part = sums[i] = gradients.Part(before, after, raw, done)
                if layer.is_last:
                    operation = scores.weight_gradient(self.config, layer, flat(x, layer),
                                                       self.step.errors, part, scale, blocks)
                else:
                    # A stream of 8 pixels a tile is slower than a word a cycle.
                    dy = self.forming.error(i, images.start, len(images), blocks, backwards=True)
                    operation = gradients.weight_gradient(self.config, layer, flat(x, layer), dy,
                                                          part, scale)
                if rules.recipe.dynamic and not raw:
                    operation.scalars["tensor.mode"] = rules.mean
                self.emit(operation, tag(i, "WU"))
            self.step.job += 1
            self.step.catch_up()
        for i, blocks in chunks.items():
            self.step.later.append(partial(self._update, i, blocks, self.gradient_rows(i),
                                           sums[i].after))
        if not self.step.plan.late:
            self.step.catch_up()

    def gradient_tiles(self, made: Map, chunks: dict[int, range]) -> list[range]:
        """As large as possible: the drain of raw sums costs more than a tile that comes late."""
        layers = self.graph.layers
        words = self.forming.form_words(made, False) + sum(
            0 if layers[i].is_last else self.forming.error_words(i, len(blocks))
            for i, blocks in chunks.items())
        rows = sum(self.gradient_rows(i) * len(blocks) for i, blocks in chunks.items())
        label = f"{', '.join(layers[i].name for i in chunks)} WU"
        last = any(layers[i].is_last for i in chunks)
        share = WHOLE if last else self.step.plan.share
        if words * self.batch + rows * GROUP_WORDS <= self.step.room(share):
            return [range(self.batch)]
        fixed = rows * self.config.raw_words
        if last or words > self.step.room(WHOLE) - fixed:
            raise self.step.too_large(label, words * (self.batch if last else 1), fixed)
        size = max(1, (self.step.room(self.step.plan.raw) - fixed) // (2 * words))
        if size > LANES and any(layers[i].is_linear for i in chunks):
            size -= size % LANES  # 8 images are one pass
            return growing(self.batch, size, size)
        return growing(self.batch, -(-size // self.step.plan.first), size)

    def _update(self, i: int, blocks: range, rows: int, gradient: Buffer) -> None:
        """Master weights, moments and weights of some output blocks, piece by piece."""
        own, rules, recipe = self.memory.parameters[i], self.step.rules, self.step.rules.recipe
        sizes = [FORMATS[f].group_words for f in (own.master_format, own.moment_format)]
        together = divisor(len(blocks), max(1, 4096 // (rows * GROUP_WORDS)))
        words = together * rows
        for first in range(0, len(blocks), together):
            start = (blocks.start + first) * rows
            master, moment = (Buffer(f"{name} of {own.layer.name}", words * size)
                              for name, size in zip(("masters", "moments"), sizes, strict=True))
            weights = Buffer(f"new weights of {own.layer.name}", words)
            places = [(buffer, address + start * size * WORD_BYTES) for buffer, address, size in
                      zip((master, moment), (own.master, own.moment), sizes, strict=True)]
            self.emit([moves.fill(*place) for place in places])
            label = f"update of {own.layer.name}"
            self.emit(update.momentum_step(
                label, gradient, first * rows * GROUP_WORDS,
                update.Learned(master, moment, weights, own.master_format, own.moment_format,
                               recipe.stochastic, Numbers(label, rules.key, start)),
                recipe.momentum, rules.rate, decay=recipe.decay))
            self.emit([moves.store(*place) for place in places])
            self.emit(moves.store(weights, own.weights + start * WORD_BYTES))
            self.step.job += 1
