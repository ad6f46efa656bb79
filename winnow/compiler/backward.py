"""The backward pass: gradients of maps, from the last to the first, and what they tell of
normalisation and biases."""

from dataclasses import replace

from isa.formats import FormatCode
from winnow.compiler import (
    averages,
    constant,
    drains,
    forms,
    nests,
    pools,
    scores,
    update,
    weight_streams,
)
from winnow.compiler.cuts import Cuts, Need, hull
from winnow.compiler.drains import GROUP_WORDS, Beside
from winnow.compiler.forming import Formed, Forming, Pass
from winnow.compiler.gating import weights as gating
from winnow.compiler.learning import Learning
from winnow.compiler.normalisation import SUM_WORDS, Norm, Slot
from winnow.compiler.operations import UNTAGGED, Buffer, Tag
from winnow.compiler.step import Step
from winnow.compiler.tiles import Part, Tile, equal
from winnow.compiler.weight_streams import StreamedWeights
from winnow.graph import Layer, Map


class Backward(Pass):
    """Emits the backward pass of a step; weights learn as soon as the errors that they need for
    the pass were sent back."""

    def __init__(self, step: Step, forming: Forming):
        super().__init__(step, forming)
        self.learning = Learning(step, forming)

    def run(self, tag) -> None:
        """All maps from the last; `tag` gives the counter group of a layer and phase."""
        self.step.job += 1
        for made in reversed(self.graph.maps):
            last = any(self.graph.layers[r].is_last for r in made.readers)
            with self.step.of_live(not last):
                if made.source is not None:
                    self._gradient(made, tag)
                self.learning.run(made, tag)
        self.step.catch_up()

    def _gradient(self, made: Map, tag) -> None:
        """The gradient of a map: what its readers send back, masked by its ReLU."""
        sums = self._sums(made.source)
        other = None if made.shortcut is None else self._sums(made.shortcut)
        keep = made.relu or sums is not None
        cuts, tiles = self._cut(made, keep)
        weights = {r: self.step.gated(r, self.step.weights(r)) for r in made.readers
                   if self._stays(r, cuts)}
        self._streamed = {r: streamed for r in [*weights][:1]
                          if (streamed := self.step.streamed(r, weights[r], "BP"))}
        for each in filter(None, (sums, other)):
            self.emit(each.clear("backward"))
        for images in tiles:
            for band in range(cuts.bands):
                errors: dict[int, Tile] = {}
                for chunk in range(cuts.chunks):
                    part = Part(images, equal(made.shape.height, cuts.bands, band),
                                equal(made.shape.blocks, cuts.chunks, chunk))
                    if part.rows and part.blocks:
                        with self.step.tile_of(images):
                            self._chunk(made, part, cuts, weights, errors, sums, other, tag)
        for layer, each in ((made.source, sums), (made.shortcut, other)):
            if each:  # kept by the drain of the last reader, which they end
                self._finish(layer, each, tag(made.readers[-1], "BP"))
        self.step.job += 1

    def _chunk(self, made: Map, part: Part, cuts: Cuts, weights: dict[int, Buffer],
               errors: dict[int, Tile], sums: Norm | None, other: Norm | None, tag) -> None:
        """The gradient of a part of a map, stored. `weights` and `errors` of readers are there
        already, or are added."""
        keep = made.relu or sums is not None
        formed = self.forming.form(made, part, keep=True) if keep else None
        stored = self.memory.gradients[made]
        dy = Tile.new(stored.name, part, made.shape, stored.layout)
        beside = Beside(mask=formed.y if made.relu else None,
                        norm=formed.source if sums else None,
                        stats=sums.backward_stats if sums else None)
        self._send_back(made, part, cuts, weights, errors, dy, formed, beside, tag)
        if other:
            x = self.step.fill(self.memory.outputs[made.shortcut], part)
            self.emit(constant.through(
                self.config, f"statistics of {made.name}", dy, dy,
                Beside(norm=x, stats=other.backward_stats), self.memory.identity),
                tag(made.shortcut, "BP"))
        self.step.store(dy, stored, part)
        self.step.job += 1
        self.step.catch_up()

    def _stays(self, reader: int, cuts: Cuts) -> bool:
        """Whether the weights of a reader stay in the scratchpad for all jobs."""
        layer = self.graph.layers[reader]
        return layer.learns and cuts.chunks == cuts.pieces == 1 and not (
            layer.is_linear and cuts.bands > 1)

    def _sums(self, i: int) -> Norm | None:
        """Where the sums of the gradient by channel go: normalisation needs both, a bias one."""
        layer = self.graph.layers[i]
        if not layer.bias:
            return self.step.norm(i)
        bias = Norm(layer, self.config.raw_words)
        bias.new_step()
        return bias

    def _cut(self, made: Map, keep: bool) -> tuple[Cuts, list[range]]:
        layers = [self.graph.layers[r] for r in made.readers]
        gated = any(self.memory.gates[r] for r in made.readers)  # their weights stay
        most = Cuts(1 if gated else made.shape.blocks, made.shape.height,
                    1 if gated or layers[0].is_last else max(
                        layer.output.blocks for layer in layers))
        return self.step.cut(f"{made.name} BP", made.readers, most,
                             lambda cuts, images: self._need(made, keep, cuts, images),
                             self.layouts.errors.together)

    def _need(self, made: Map, keep: bool, cuts: Cuts, images: range) -> Need:
        layers = {r: self.graph.layers[r] for r in made.readers}
        part = Part(images, equal(made.shape.height, cuts.bands, cuts.largest_band),
                    equal(made.shape.blocks, cuts.chunks, 0))
        jobs = self.batch // len(images) * cuts.chunks * cuts.bands
        own = part.words(made.shape)
        beside = own * (len(made.added_to) + (made.shortcut is not None))
        if keep or any(not layer.learns for layer in layers.values()):
            beside += self.forming.form_words(made, part, keep)
        errors, weights = [], []
        for r, layer in layers.items():
            outputs = equal(layer.output.blocks, cuts.pieces, 0)
            if not layer.learns:
                beside += self._pool_words(layer, part)
                continue
            errors.append(0 if layer.is_last else self.forming.error_words(
                r, self._reached(layer, part, outputs)))
            times = gating.TIMES if self.memory.gates[r] else 1
            weights.append(times * self.memory.parameters[r].place(outputs, part).words)
        raw = own * self.config.raw_words
        if cuts.pieces > 1:
            pieces = (sum(errors) + sum(weights) + 2 * raw) * cuts.pieces
            most = max(map(sum, zip(errors, weights, strict=True)), default=0)
            beside += own * GROUP_WORDS if made.relu else 0
            return Need(most, own + raw + beside,
                        (own + beside + pieces) * jobs, jobs * cuts.pieces)
        if cuts.chunks > 1:
            chunk = own + beside + sum(weights)
            return Need(sum(errors), 2 * chunk,
                        (sum(errors) + chunk * cuts.chunks) * jobs // cuts.chunks, jobs)
        stay = 0
        if any(self._stays(r, cuts) for r in layers):
            weights += [self.step.streamed_words(r, "BP") for r in layers]
            stay = sum(weights)
        tile = own + beside + sum(errors) + sum(weights) - stay
        return Need(tile, stay, tile * jobs + stay, jobs)

    def _reached(self, layer: Layer, part: Part, blocks: range | None = None) -> Part:
        """The part of a layer's output that a part of its input reaches."""
        return Part.of(layer.output, part.images, layer.rows_reached(part.rows), blocks)

    def _pool_words(self, layer: Layer, part: Part) -> int:
        """Words that a reader that pools needs to send its error back to a part of its input."""
        above = self._reached(layer, part, part.blocks)
        words, spread = above.words(layer.output), part.words(layer.input)
        if layer.pool.largest:
            under = self._under(layer, part, above).words(layer.input)
            words *= 1 + pools.number_words(layer.pool)
            spread = under * (2 + pools.error_words(layer.pool))
        return words + spread

    def _under(self, layer: Layer, part: Part, above: Part) -> Part:
        """A part of the input of a reader that pools, with all that is under windows `above`."""
        return replace(part, rows=hull([part.rows, layer.rows_read(above.rows)]))

    def _send_back(self, made: Map, part: Part, cuts: Cuts, weights: dict[int, Buffer],
                   errors: dict[int, Tile], dy: Tile, formed: Formed | None, beside: Beside,
                   tag) -> None:
        """All readers' errors through their weights into `dy`: they add to one another and to
        what the maps that `made` is added to send back, and the last one masks."""
        first = made.readers[0]
        if self.graph.layers[first].is_last:
            w = weights.get(first) or self.step.weights(first, part=part)
            operation = scores.backward(self.config, self.graph.layers[first], self.step.errors, w,
                                        dy, beside)
            self._emit_rounded(operation, "the scores", made, part, dy, tag(first, "BP"))
            return
        element = self._elements(made, part)
        pooling, convolving = ([r for r in made.readers if self.graph.layers[r].learns is learns]
                               for learns in (False, True))
        for r in pooling:
            is_last = r == pooling[-1] and not convolving
            here = replace(beside if is_last else Beside(), element=element)
            self._pool_back(made, r, part, dy, formed, here, tag(r, "BP"))
            element = dy
        beside = replace(beside, element=element)
        if convolving and cuts.pieces > 1:
            self._in_pieces(made, convolving, part, cuts, dy, beside, tag)
        elif convolving:
            self._convolve_back(made, convolving, part, weights, errors, dy, beside, tag)

    def _emit_rounded(self, operations, source: str, made: Map, part: Part, tile: Tile,
                      tag: Tag = UNTAGGED) -> None:
        """Operations that write a tile of the gradient of a map, or a part of it that comes from
        `source`."""
        self.emit(self.step.rounded(operations, f"gradient of {made.name} from {source}", tile,
                                    made.shape, part), tag)

    def _elements(self, made: Map, part: Part) -> Tile | None:
        """The sum of the gradients of all maps that `made` is added to, in E5M2."""
        first, *others = [self.step.fill_gradient(above, part)
                          for above in made.added_to] or [None]
        for i, other in enumerate(others):
            self._emit_rounded(forms.added(f"gradients added to {made.name}", first, other, first,
                                           FormatCode.E5M2), f"sum {i}", made, part, first)
        return first

    def _pool_back(self, made: Map, r: int, part: Part, dy: Tile, formed: Formed | None,
                   beside: Beside, tag: Tag) -> None:
        """The error of a reader that pools. `formed` is the map, if it is there already."""
        layer, label = self.graph.layers[r], f"form error of {self.graph.layers[r].name}"
        above = self._reached(layer, part, part.blocks)
        error = self.step.fill_gradient(self.graph.outputs[r], above)
        constants = self.memory.constants.get(averages.factors(layer.pool))
        if not layer.pool.largest and not beside.element:
            self._emit_rounded(averages.backward(self.config, layer, error, constants, dy, beside),
                               layer.name, made, part, dy, tag)
            return
        if layer.pool.largest:
            under = self._under(layer, part, above)
            kept = formed and under == part
            x = (formed if kept else self.forming.form(made, under)).y
            spread = Tile.new(f"error of {layer.name}", under, layer.input, self.layouts.errors)
            number = pools.Numbers.new(layer.pool, above, layer.output, self.layouts.maps)
            self.emit(pools.largest(label, x, layer.pool, False, None, number=number))
            self._emit_rounded(
                pools.error(label, error, number, x, spread, layer.pool, None, part.rows),
                f"{layer.name} alone", made, part, spread)
        else:
            spread = Tile.new(f"error of {layer.name}", part, layer.input, self.layouts.errors)
            self._emit_rounded(
                averages.backward(self.config, layer, error, constants, spread, Beside()),
                f"{layer.name} alone", made, part, spread, tag)
        self._emit_rounded(constant.through(self.config, f"{layer.name} BP", spread, dy, beside,
                                            self.memory.identity), layer.name, made, part, dy, tag)

    def _convolve_back(self, made: Map, readers: list[int], part: Part,
                       weights: dict[int, Buffer], errors: dict[int, Tile], dy: Tile,
                       beside: Beside, tag) -> None:
        """Readers that convolve, with the first one's weights as the stream if it is to be."""
        for r in readers:
            if r not in errors:
                form = self.forming.gated_error if self.memory.gates[r] else self.forming.error
                errors[r] = form(r, self._reached(self.graph.layers[r], part))
            if r not in weights:
                self.step.refuse_gate(r, "its weights, twice,")
        weights = {r: weights.get(r) or self.step.weights(r, part=part) for r in readers}
        first = readers[0]
        for stream in self.step.ways(first, "BP", first in self._streamed):
            here = replace(beside, norm=None, stats=None) if stream else beside
            self._together(made, readers, part, weights, errors, dy, here, tag,
                           self._streamed if stream else {})
            if stream and beside.stats:
                self.emit(constant.through(
                    self.config, f"statistics of {made.name}", dy, dy,
                    replace(beside, element=None, mask=None), self.memory.identity),
                    tag(readers[-1], "BP"))

    def _together(self, made: Map, readers: list[int], part: Part, weights: dict[int, Buffer],
                  errors: dict[int, Tile], dy: Tile, beside: Beside, tag,
                  streamed: dict[int, StreamedWeights]) -> None:
        """Where their strides are alike, parity by parity of row and column, without those that do
        not reach it; else one after the other. Of `streamed` weights stream, where they can."""
        layers = self.graph.layers
        alike = len({layers[r].stride for r in readers}) == 1
        for together in ([readers] if alike else [[r] for r in readers]):
            for row, column in self._parities(layers[together[0]]):
                reaching = [r for r in together if nests.reaches(layers[r], row, column)]
                element = beside.element if together[0] == readers[0] else dy
                *chain, last = reaching or together[:1]
                for reader in (*chain, last):
                    is_last = reader == last and together[-1] == readers[-1]
                    here = replace(beside if is_last else Beside(), element=element)
                    operation = [] if reader not in streamed else weight_streams.backward(
                        self.config, layers[reader], errors[reader], streamed[reader], dy, row,
                        column, here)
                    operation = operation or nests.backward(
                        self.config, layers[reader], errors[reader], weights[reader], dy, row,
                        column, here, cores=self.step.cores(reader))
                    self._emit_rounded(operation, layers[reader].name, made, part, dy,
                                       tag(reader, "BP"))
                    element = dy

    @staticmethod
    def _parities(layer: Layer) -> list[tuple[int, int]]:
        """Rows and columns of a layer's input modulo its stride."""
        return [(row, column) for row in range(layer.stride)
                for column in range(min(layer.stride, layer.input.width))]

    def _in_pieces(self, made: Map, readers: list[int], part: Part, cuts: Cuts, dy: Tile,
                   beside: Beside, tag) -> None:
        """The same with some output blocks of a reader at a time: raw sums, which begin with what
        there is. What is masked goes by way of binary32: what never becomes an error must not count
        as one that saturated."""
        element, label = beside.element, self.graph.layers[readers[-1]].name
        whole = Buffer(f"gradient of {made.name} before its mask", GROUP_WORDS * dy.buffer.words)
        for r in readers:
            layer = self.graph.layers[r]
            outputs = [blocks for i in range(cuts.pieces)
                       if (blocks := equal(layer.output.blocks, cuts.pieces, i))]
            begun = int(element is not None)
            sums = drains.split_sums(self.config, layer.name, dy.buffer.words, [1] * begun + [
                layer.kernel**2 * len(blocks) for blocks in outputs])[begun:]
            if beside.mask and r == readers[-1]:
                sums[-1] = replace(sums[-1], after=whole, format=FormatCode.BINARY32)
            if element:
                self.emit(constant.raw(self.config, f"sums of {layer.name}", element,
                                       self.memory.identity, sums[0].before), tag(r, "BP"))
            self.step.refuse_gate(r, "its errors, twice,")
            for blocks, here in zip(outputs, sums, strict=True):
                error = self.forming.error(r, self._reached(layer, part, blocks))
                w = self.step.weights(r, blocks, part)
                for row, column in self._parities(layer):
                    operation = nests.backward(self.config, layer, error, w, dy, row, column,
                                               Beside(), here, self.step.cores(r))
                    self._emit_rounded(operation, layer.name, made, part, dy, tag(r, "BP"))
                self.step.job += 1
            element = dy
        if beside.mask:
            operation = forms.masked(f"mask gradient of {made.name}", whole, beside.mask, dy)
            self._emit_rounded(operation, label, made, part, dy)
        beside = replace(beside, element=None, mask=None)
        if beside.reads:
            self.emit(constant.through(self.config, f"{label} BP", dy, dy, beside,
                                       self.memory.identity), tag(readers[-1], "BP"))

    def _finish(self, i: int, norm: Norm, tag: Tag) -> None:
        """Coefficients of the errors, and the update of gamma and beta, or of a bias."""
        layer, rules = self.graph.layers[i], self.step.rules
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
            self.emit(update.momentum_step(
                f"update {name} of {layer.name}", gradient, 0, update.Learned(master, moment),
                rules.recipe.momentum, rules.rate, factor=2.0**rules.mean_scale,
                factor_register=rules.factor if rules.recipe.dynamic else None))
