"""One step of training as operations: forward, loss, backward, update.

Everything is stored in external memory between phases. A phase of a layer is a row of jobs, one
for each tile of images: fill, form, multiply, store. What a job needs it fills by itself, so jobs
overlap as far as the scratchpad allows (schedule.py).
"""

from dataclasses import dataclass

from isa.config import LANES, TREES, WORD_BYTES
from isa.registers import Unit
from winnow.compiler import constant, forms, gradients, loss, moves, nests, scores, update
from winnow.compiler.forms import Coefficients
from winnow.compiler.memory import Memory, Stored
from winnow.compiler.nests import GROUP_WORDS, Beside
from winnow.compiler.normalisation import SUM_WORDS, Norm, Slot
from winnow.compiler.operations import Buffer, Operation
from winnow.compiler.tiles import Tile, divisor
from winnow.errors import UserError
from winnow.graph import Map
from winnow.network import Shape

LEAST_CYCLES = 4096  # of tensor work in the first job of a phase, where the batch has it
MOST_CYCLES = 65536  # in later ones
SHARE = 0.6  # of the scratchpad that two jobs may fill
WHOLE = 0.85  # that one job may
RAW = 0.75  # that two jobs beside raw gradients may
GRADIENTS = 0.35  # and that the raw gradients of a layer may


class TileError(UserError):
    """A layer whose smallest piece does not fit the scratchpad."""


@dataclass(frozen=True)
class Rules:
    """How a step is trained; see `winnow.compiler.training.Recipe`."""

    loss: str
    momentum: float
    decay: float
    error_scale: int
    rate: int  # scalar register with the negated learning rate


@dataclass(frozen=True)
class Formed:
    """A map as layers read it, and the stored values (of winners, behind a pool) it came from."""

    y: Tile
    source: Tile | None


class Step:
    """Collects the operations of a step.

    Parameters
    ----------
    memory : Memory
    rules : Rules
    images : Stored
        Where the first map of this step lies.
    """

    def __init__(self, memory: Memory, rules: Rules, images: Stored):
        self.memory, self.rules, self.images = memory, rules, images
        self.config, self.graph, self.batch = memory.config, memory.graph, memory.batch
        self.operations: list[Operation] = []
        self.job = 0
        for parameters in memory.parameters:
            if parameters.norm:
                parameters.norm.new_step()
        self.stored: set[Map] = set()  # maps that were formed and stored
        self.scores = Buffer("scores", memory.eights * memory.classes * GROUP_WORDS)
        self.errors = Buffer("errors", memory.eights * memory.classes)

    def emit(self, operations, tag: int = 0) -> None:
        for operation in [operations] if isinstance(operations, Operation) else operations:
            operation.job = self.job
            if operation.unit is Unit.TENSOR:
                operation.tag = tag
            self.operations.append(operation)

    # Forming maps and errors.

    def fill(self, stored: Stored, first: int, images: int, blocks: range | None = None) -> Tile:
        """Images (and of each some channel blocks) of a stored map."""
        shape, part = stored.shape, stored.shape
        if blocks is not None and len(blocks) < shape.blocks:
            part = Shape(len(blocks) * 8, shape.height, shape.width)
        tile = Tile.new(stored.name, images, part)
        address = stored.address + first * stored.image_bytes
        if part is shape:
            self.emit(moves.fill(tile.buffer, address, stored.scalar))
        else:
            self.emit(moves.fill(
                tile.buffer, address + blocks.start * shape.pixels * WORD_BYTES, stored.scalar,
                words=part.words, runs=images, stride=shape.words))
        return tile

    def store(self, tile: Tile, stored: Stored, first: int) -> None:
        self.emit(moves.store(tile.buffer, stored.address + first * stored.image_bytes))

    def norm(self, layer: int) -> Norm | None:
        return self.memory.parameters[layer].norm

    def coefficients(self, layer: int, way: str, first: int = 0) -> Coefficients | None:
        norm = self.norm(layer)
        return Coefficients(getattr(norm, f"{way}_coefficients"), first) if norm else None

    def form(self, made: Map, first: int, images: int, keep: bool = False) -> Formed:
        """The map, and with `keep` what it came from. What costs more than one operation is
        stored when it is formed for the first time."""
        if made.source is None:
            return Formed(self.fill(self.images, first, images), None)
        if made in self.stored and not (keep and made.pool > 1):
            source = self.memory.outputs[made.source]
            return Formed(self.fill(self.memory.formed[made], first, images),
                          self.fill(source, first, images) if keep else None)
        stored, norm = self.memory.outputs[made.source], self.norm(made.source)
        x = self.fill(stored, first, images)
        label = f"form {made.name}"
        factors = self.coefficients(made.source, "forward")
        if made.pool > 1:
            y, winner = (Tile.new(name, images, made.shape) for name in (made.name, "winners"))
            self.emit(forms.pooled(label, x, made.pool, made.relu, factors, y=y,
                                   winner=winner if keep else None))
            return Formed(y, winner)
        if not norm:
            return Formed(x, x)
        y = Tile.new(made.name, images, made.shape) if keep else x
        other = None
        if made.identity:
            other = self.form(made.identity, first, images).y
        elif made.shortcut is not None:
            other = self.fill(self.memory.outputs[made.shortcut], first, images)
        self.emit(forms.normalised(label, x, y, factors, made.relu, other,
                                   scaled=made.shortcut is not None))
        return Formed(y, x)

    def error(self, layer: int, first: int, images: int, blocks: range | None = None) -> Tile:
        """The error at the stored output of a layer, for some of its channel blocks."""
        made, stored = self.graph.outputs[layer], self.memory.outputs[layer]
        dy = self.fill(self.memory.gradients[made], first, images, blocks)
        start = blocks.start if blocks is not None else 0
        backward = self.coefficients(layer, "backward", start)
        label = f"form error of {self.graph.layers[layer].name}"
        if made.pool == 1:
            if backward:
                x = self.fill(stored, first, images, blocks)
                self.emit(forms.error(label, dy, x, backward))
            return dy
        x = self.fill(stored, first, images, blocks)
        number = Tile.new("winners' numbers", images, dy.shape)
        self.emit(forms.pooled(label, x, made.pool, made.relu,
                               self.coefficients(layer, "forward", start), number=number))
        self.emit(forms.unpooled_error(label, dy, number, x, made.pool, backward))
        return x

    # Tiles.

    def tiles(self, label: str, words: int, fixed: int, cycles: int,
              whole: bool = False) -> list[range]:
        """Images of the tiles of the batch.

        `words` and `cycles` are of one image, `fixed` words are there whatever the tile. The first
        tiles are small, since the tensor cores wait for them; later ones are as large as two of
        them fit, since each operation has cycles of its own.
        """
        room = self.room(WHOLE if whole else SHARE) - fixed
        most = self.batch if whole else room // (2 * words)
        if most < 1 or (whole and words * self.batch > room):
            raise self.too_large(label, words, fixed)
        most = max(1, min(most, -(-MOST_CYCLES // max(cycles, 1))))
        size = self.batch if whole else min(most, max(1, -(-LEAST_CYCLES // max(cycles, 1))))
        tiles, first = [], 0
        while first < self.batch:
            size = min(size, self.batch - first)
            tiles.append(range(first, first + size))
            first, size = first + size, min(2 * size, most)
        return tiles

    def room(self, share: float) -> int:
        """Words of the scratchpad that jobs may fill."""
        return int(share * (self.config.words - sum(b.words for b in self.memory.resident)))

    def too_large(self, label: str, words: int, fixed: int) -> TileError:
        resident = sum(b.words for b in self.memory.resident)
        return TileError(
            f"{label}: one image needs {words * WORD_BYTES} bytes of scratchpad twice, beside "
            f"{(fixed + resident) * WORD_BYTES} bytes; configuration {self.config.name} has "
            f"{self.config.words * WORD_BYTES}")

    def form_words(self, made: Map, keep: bool) -> int:
        """Words of an image while a map is formed."""
        if made.source is None:
            return made.shape.words
        words = self.graph.layers[made.source].output.words
        if made in self.stored and not (keep and made.pool > 1):
            return words + made.shape.words if keep else made.shape.words
        if made.pool > 1:
            return words + made.shape.words * (2 if keep else 1)
        if self.norm(made.source) and keep:
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
        words = made.shape.words * (2 if made.pool > 1 else 1)
        words += output.words if self.norm(layer) or made.pool > 1 else 0
        return int(words * part)

    def cycles(self, layer: int) -> int:
        """Multiply-adds of an image over lanes."""
        shape = self.graph.layers[layer]
        return shape.tiles * shape.output.pixels * 64 // self.config.macs_per_cycle

    # Phases.

    def weights(self, layer: int) -> Buffer:
        parameters = self.memory.parameters[layer]
        buffer = Buffer(f"weights of {parameters.layer.name}", parameters.weight_words)
        self.emit(moves.fill(buffer, parameters.weights))
        return buffer

    def forward(self, training: bool, tag) -> None:
        for made in self.graph.maps:
            self._forward(made, training, tag)

    def _forward(self, made: Map, training: bool, tag) -> None:
        """All readers of a map, which is formed once for each tile."""
        readers = {i: self.graph.layers[i] for i in made.readers}
        weights = {i: None if layer.average else self.weights(i) for i, layer in readers.items()}
        norms = {i: self.norm(i) for i in readers if self.norm(i)}
        if training:
            for norm in norms.values():
                self.emit(norm.clear("forward"))
        tiles = self.tiles(
            f"{made.name}, read by {', '.join(layer.name for layer in readers.values())}",
            self.form_words(made, False) + sum(layer.output.words for layer in readers.values()),
            sum(b.words for b in weights.values() if b), sum(self.cycles(i) for i in readers),
            whole=any(layer.is_linear for layer in readers.values()))
        for images in tiles:
            x = self.form(made, images.start, len(images)).y
            if training and made in self.memory.formed:
                self.store(x, self.memory.formed[made], images.start)
            for i, layer in readers.items():
                self._convolve(i, layer, x, images, weights[i], training, tag(i, "FP"))
            self.job += 1
        for i, norm in norms.items():
            if training:
                layer = readers[i]
                self.emit(constant.rounded(self.config, f"sums of {layer.name}",
                                           norm.forward_stats, norm.forward_sums,
                                           layer.output.blocks), tag(i, "FP"))
                self.emit(norm.forward(self.batch * layer.output.pixels))
            else:
                self.emit(norm.evaluation())
        for i in readers:
            self._join(i)
        if made in self.memory.formed:
            self.stored.add(made)
        self.job += 1

    def _convolve(self, i: int, layer, x: Tile, images: range, weights: Buffer | None,
                  training: bool, tag: int) -> None:
        """One layer's output for a tile, stored."""
        if layer.is_last:
            self.emit(scores.forward(self.config, layer, _flat(x, layer), weights, self.scores),
                      tag)
            return
        y = Tile.new(f"output of {layer.name}", len(images), layer.output)
        norm = self.norm(i)
        if layer.average:
            self.emit(constant.average(self.config, layer, x, self.memory.identity, y), tag)
        else:
            self.emit(nests.forward(
                self.config, layer, _flat(x, layer), weights, y, self.memory.parameters[i].bias,
                norm.forward_stats if norm and training else None), tag)
        self.store(y, self.memory.outputs[i], images.start)

    def _join(self, i: int) -> None:
        """Where layer `i` is the last that a sum of two normalised maps needs: one set of
        coefficients, K1 the sum of both. The last is that of the body, whose first layer reads
        the same map as the shortcut."""
        made = self.graph.outputs[i]
        if made is None or made.shortcut is None or i != made.source:
            return
        main, other = self.norm(made.source), self.norm(made.shortcut)
        self.emit(main.join(other))

    def loss(self, targets: Buffer) -> None:
        last = self.graph.layers[-1]
        self.emit(loss.Loss(
            self.rules.loss, last.output.channels, self.memory.classes, self.memory.eights,
            self.scores, targets, self.errors, self.rules.error_scale).operations())

    def backward(self, tag) -> None:
        self.job += 1
        for made in reversed(self.graph.maps):
            if made.source is not None:
                self._gradient(made, tag)
            self._weight_gradients(made, tag)

    def _gradient(self, made: Map, tag) -> None:
        """The gradient of a map: what its readers send back, masked by its ReLU."""
        source = self.graph.layers[made.source]
        norm, other = self.norm(made.source), None
        if made.shortcut is not None:
            other = self.norm(made.shortcut)
        weights = {layer: self.weights(layer) for layer in made.readers
                   if not self.graph.layers[layer].average}
        bias = Norm(source, self.config.raw_words) if source.bias else None
        if bias:
            bias.new_step()
        sums = norm or bias
        for each in filter(None, (sums, other)):
            self.emit(each.clear("backward"))
        keep = made.relu or sums is not None
        words = made.shape.words * (1 + len(made.added_to) + (other is not None)) + sum(
            0 if self.graph.layers[r].is_last else self.error_words(r) for r in made.readers)
        if keep:
            words += self.form_words(made, True)
        tiles = self.tiles(
            f"{made.name} BP", words, sum(b.words for b in weights.values()),
            sum(self.cycles(r) for r in made.readers),
            whole=any(self.graph.layers[r].is_linear for r in made.readers))
        for part in tiles:
            first, images = part.start, len(part)
            formed = self.form(made, first, images, keep=True) if keep else None
            dy = Tile.new(f"gradient of {made.name}", images, made.shape)
            elements = [self.fill(self.memory.gradients[above], first, images)
                        for above in made.added_to]
            beside = Beside(mask=formed.y if made.relu else None,
                            norm=formed.source if sums else None,
                            stats=sums.backward_stats if sums else None)
            self._send_back(made, first, images, weights, dy, elements, beside, tag)
            if other:
                x = self.fill(self.memory.outputs[made.shortcut], first, images)
                self.emit(constant.statistics(
                    self.config, f"statistics of {made.name}", dy, x, other.backward_stats,
                    self.memory.identity), tag(made.shortcut, "BP"))
            self.store(dy, self.memory.gradients[made], first)
            self.job += 1
        for layer, each in ((made.source, sums), (made.shortcut, other)):
            if each:
                self._finish(layer, each, tag(layer, "BP"))
        self.job += 1

    def _send_back(self, made: Map, first: int, images: int, weights, dy: Tile, elements,
                   beside: Beside, tag) -> None:
        """All readers' errors through their weights into `dy`; the last operation masks."""
        layers = self.graph.layers
        if any(layers[r].is_last or layers[r].average for r in made.readers):
            (reader,) = made.readers
            layer = layers[reader]
            if layer.is_last:
                self.emit(scores.backward(self.config, layer, self.errors, weights[reader],
                                          _flat(dy, layer), beside), tag(reader, "BP"))
            else:
                error = self.fill(self.memory.gradients[self.graph.outputs[reader]], first,
                                  images)
                self.emit(constant.average_backward(
                    self.config, layer, error, self.memory.identity, dy, beside),
                    tag(reader, "BP"))
            return
        strides = {layers[r].stride for r in made.readers}
        if len(strides) > 1:
            raise UserError(f"{made.name}: is read by layers of unlike strides")
        (stride,) = strides
        errors = {r: self.error(r, first, images) for r in made.readers}
        for row in range(min(stride, made.shape.height)):
            for column in range(min(stride, made.shape.width)):
                reaching = [r for r in made.readers if nests.reaches(layers[r], row, column)]
                chain = reaching or made.readers[:1]
                for reader in chain:
                    layer = layers[reader]
                    last = reader == chain[-1]
                    element = elements[0] if elements and reader == chain[0] else (
                        dy if reader != chain[0] else None)
                    here = Beside(element, beside.mask, beside.norm, beside.stats) if last else \
                        Beside(element)
                    self.emit(nests.backward(
                        self.config, layer, errors[reader],
                        weights[reader], _flat(dy, layer), row, column, here),
                        tag(reader, "BP"))

    def _finish(self, i: int, norm: Norm, tag: int) -> None:
        """Coefficients of the errors, and the update of gamma and beta, or of a bias."""
        layer, rules = self.graph.layers[i], self.rules
        factor = 2.0 ** loss.mean_scale(rules.error_scale, self.batch)
        self.emit(constant.rounded(self.config, f"sums of {layer.name}", norm.backward_stats,
                                   norm.backward_sums, layer.output.blocks), tag)
        own = self.memory.parameters[i]
        if layer.bias:
            gradient = Buffer(f"bias gradient of {layer.name}",
                              GROUP_WORDS * layer.output.blocks)
            self.emit(norm.copied(Slot(norm.backward_sums, 0, SUM_WORDS), gradient))
            learned = [("bias", gradient, own.bias_moment, own.bias)]
        else:
            self.emit(norm.backward(self.batch * layer.output.pixels))
            learned = [("gamma", norm.gamma_gradient, norm.gamma_moment, norm.gamma),
                       ("beta", norm.beta_gradient, norm.beta_moment, norm.beta)]
        for name, gradient, moment, master in learned:
            self.emit(update.momentum_step(f"update {name} of {layer.name}", gradient, 0, moment,
                                           master, rules.momentum, rules.rate, factor=factor))

    def _weight_gradients(self, made: Map, tag) -> None:
        """The weights of all readers of a map: together, if their gradients fit, or one by one,
        some output blocks at a time."""
        readers = [i for i in made.readers if not self.graph.layers[i].average]
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
        scale = loss.mean_scale(self.rules.error_scale, self.batch)
        layers = self.graph.layers
        tiles = self.gradient_tiles(made, chunks)
        sums = {i: gradients.Part(None, None, False, 0) for i in chunks}
        for images in tiles:
            x = self.form(made, images.start, len(images)).y
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
                    operation = scores.weight_gradient(self.config, layer, _flat(x, layer),
                                                       self.errors, part, scale)
                else:
                    dy = self.error(i, images.start, len(images), blocks)
                    operation = gradients.weight_gradient(self.config, layer, _flat(x, layer), dy,
                                                          part, scale)
                self.emit(operation, tag(i, "WU"))
            self.job += 1
        for i, blocks in chunks.items():
            self._update(i, blocks, self.gradient_rows(i), sums[i].after)

    def gradient_tiles(self, made: Map, chunks: dict[int, range]) -> list[range]:
        """As large as possible: the drain of raw sums costs more than a tile that comes late."""
        layers = self.graph.layers
        words = self.form_words(made, False) + sum(
            0 if layers[i].is_last else self.error_words(i, len(blocks))
            for i, blocks in chunks.items())
        rows = sum(self.gradient_rows(i) * len(blocks) for i, blocks in chunks.items())
        label = f"{', '.join(layers[i].name for i in chunks)} WU"
        if words * self.batch + rows * GROUP_WORDS <= self.room(SHARE):
            return [range(self.batch)]
        room = self.room(RAW) - rows * self.config.raw_words
        if words * 2 > room or any(layers[i].is_linear for i in chunks):
            raise self.too_large(label, words, rows * self.config.raw_words)
        size = room // (2 * words)
        return [range(first, min(first + size, self.batch))
                for first in range(0, self.batch, size)]

    def _update(self, i: int, blocks: range, rows: int, gradient: Buffer) -> None:
        """Master weights, moments and weights of some output blocks, piece by piece."""
        own, rules = self.memory.parameters[i], self.rules
        together = divisor(len(blocks), max(1, 4096 // (rows * GROUP_WORDS)))
        words = together * rows
        for first in range(0, len(blocks), together):
            offset = (blocks.start + first) * rows * WORD_BYTES
            master, moment = (Buffer(f"{name} of {own.layer.name}", words * GROUP_WORDS)
                              for name in ("masters", "moments"))
            weights = Buffer(f"new weights of {own.layer.name}", words)
            places = ((master, own.master + GROUP_WORDS * offset),
                      (moment, own.moment + GROUP_WORDS * offset))
            self.emit([moves.fill(*place) for place in places])
            self.emit(update.momentum_step(
                f"update of {own.layer.name}", gradient, first * rows * GROUP_WORDS, moment,
                master, rules.momentum, rules.rate, decay=rules.decay, weights=weights))
            self.emit([moves.store(*place) for place in places])
            self.emit(moves.store(weights, own.weights + offset))
            self.job += 1


def _flat(tile: Tile, layer) -> Tile:
    """A map as a fully connected layer sees it: one pixel."""
    return Tile(tile.buffer, tile.images, layer.input) if layer.is_linear else tile
