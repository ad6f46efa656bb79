"""The backward pass: gradients of maps, from the last to the first, and what they tell of
normalisation and biases."""

from dataclasses import replace

from isa.formats import FormatCode
from winnow.compiler import averages, constant, forms, nests, pools, scores, update
from winnow.compiler.forming import Formed, Forming, Pass
from winnow.compiler.learning import Learning
from winnow.compiler.nests import GROUP_WORDS, Beside
from winnow.compiler.normalisation import SUM_WORDS, Norm, Slot
from winnow.compiler.operations import Buffer
from winnow.compiler.step import Step, flat
from winnow.compiler.tiles import Tile
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
            if made.source is not None:
                self._gradient(made, tag)
            self.learning.run(made, tag)
        self.step.catch_up()

    def _gradient(self, made: Map, tag) -> None:
        """The gradient of a map: what its readers send back, masked by its ReLU."""
        sums = self._sums(made.source)
        other = None if made.shortcut is None else self._sums(made.shortcut)
        weights = {r: self.step.weights(r) for r in made.readers
                   if self.graph.layers[r].learns}
        for each in filter(None, (sums, other)):
            self.emit(each.clear("backward"))
        keep = made.relu or sums is not None
        for part in self._tiles(made, keep, weights):
            first, images = part.start, len(part)
            formed = self.forming.form(made, first, images, keep=True) if keep else None
            dy = Tile.new(f"gradient of {made.name}", images, made.shape)
            beside = Beside(mask=formed.y if made.relu else None,
                            norm=formed.source if sums else None,
                            stats=sums.backward_stats if sums else None)
            self._send_back(made, part, weights, dy, formed, beside, tag)
            if other:
                x = self.step.fill(self.memory.outputs[made.shortcut], first, images)
                self.emit(constant.through(
                    self.config, f"statistics of {made.name}", dy, dy,
                    Beside(norm=x, stats=other.backward_stats), self.memory.identity),
                    tag(made.shortcut, "BP"))
            self.step.store(dy, self.memory.gradients[made], first)
            self.step.job += 1
            self.step.catch_up()
        for layer, each in ((made.source, sums), (made.shortcut, other)):
            if each:
                self._finish(layer, each, tag(layer, "BP"))
        self.step.job += 1

    def _sums(self, i: int) -> Norm | None:
        """Where the sums of the gradient by channel go: normalisation needs both, a bias one."""
        layer = self.graph.layers[i]
        if not layer.bias:
            return self.step.norm(i)
        bias = Norm(layer, self.config.raw_words)
        bias.new_step()
        return bias

    def _tiles(self, made: Map, keep: bool, weights: dict[int, Buffer]) -> list[range]:
        beside = len(made.added_to) + (made.shortcut is not None)
        words = made.shape.words * (1 + beside) + sum(map(self._reader_words, made.readers))
        if keep or any(not self.graph.layers[r].learns for r in made.readers):
            words += self.forming.form_words(made, keep)
        return self.step.tiles(f"{made.name} BP", words, sum(b.words for b in weights.values()),
                               made.readers)

    def _reader_words(self, r: int) -> int:
        """Words of an image that a reader of a map needs to send its error back."""
        layer = self.graph.layers[r]
        if layer.is_last:
            return 0
        if not layer.pool:
            return self.forming.error_words(r)
        if not layer.pool.largest:
            return layer.input.words + layer.output.words
        return (layer.input.words + layer.output.words * (1 + pools.number_words(layer.pool))
                + pools.error_words(layer.pool, layer.input))

    def _send_back(self, made: Map, part: range, weights, dy: Tile, formed: Formed | None,
                   beside: Beside, tag) -> None:
        """All readers' errors through their weights into `dy`: they add to one another and to
        what the maps that `made` is added to send back, and the last one masks."""
        first = self.graph.layers[made.readers[0]]
        if first.is_last:
            operation = scores.backward(self.config, first, self.step.errors,
                                        weights[made.readers[0]], flat(dy, first), beside)
            self._emit_rounded(operation, "the scores", made, part, dy,
                               tag(made.readers[0], "BP"))
            return
        element = self._elements(made, part)
        pooling, convolving = ([r for r in made.readers if self.graph.layers[r].learns is learns]
                               for learns in (False, True))
        for r in pooling:
            is_last = r == pooling[-1] and not convolving
            here = replace(beside if is_last else Beside(), element=element)
            self._pool_back(made, r, part, dy, formed, here, tag(r, "BP"))
            element = dy
        if convolving:
            self._convolve_back(made, convolving, part, weights, dy,
                                replace(beside, element=element), tag)

    def _emit_rounded(self, operations, source: str, made: Map, part: range, tile: Tile,
                      tag: int = 0) -> None:
        """Operations that write a tile of the gradient of a map, or a part of it that comes from
        `source`."""
        self.emit(self.step.rounded(operations, f"gradient of {made.name} from {source}", tile,
                                    made.shape, part.start), tag)

    def _elements(self, made: Map, part: range) -> Tile | None:
        """The sum of the gradients of all maps that `made` is added to, in E5M2."""
        first, *others = [self.step.fill(self.memory.gradients[above], part.start, len(part))
                          for above in made.added_to] or [None]
        for i, other in enumerate(others):
            self._emit_rounded(forms.added(f"gradients added to {made.name}", first, other, first,
                                           FormatCode.E5M2), f"sum {i}", made, part, first)
        return first

    def _pool_back(self, made: Map, r: int, part: range, dy: Tile, formed: Formed | None,
                   beside: Beside, tag: int) -> None:
        """The error of a reader that pools. `formed` is the map, if it is there already."""
        layer, label = self.graph.layers[r], f"form error of {self.graph.layers[r].name}"
        above = self.memory.gradients[self.graph.outputs[r]]
        error = self.step.fill(above, part.start, len(part))
        constants = self.memory.constants.get(averages.factors(layer.pool))
        if not layer.pool.largest and not beside.element:
            self._emit_rounded(averages.backward(self.config, layer, error, constants, dy, beside),
                               layer.name, made, part, dy, tag)
            return
        spread = Tile.new(f"error of {layer.name}", len(part), layer.input)
        if layer.pool.largest:
            x = (formed or self.forming.form(made, part.start, len(part))).y
            number = pools.Numbers.new(layer.pool, len(part), layer.output)
            self.emit(pools.largest(label, x, layer.pool, False, None, number=number))
            self._emit_rounded(pools.error(label, error, number, spread, layer.pool, None),
                               f"{layer.name} alone", made, part, spread)
        else:
            self._emit_rounded(
                averages.backward(self.config, layer, error, constants, spread, Beside()),
                f"{layer.name} alone", made, part, spread, tag)
        self._emit_rounded(constant.through(self.config, f"{layer.name} BP", spread, dy, beside,
                                            self.memory.identity), layer.name, made, part, dy, tag)

    def _convolve_back(self, made: Map, readers: list[int], part: range, weights, dy: Tile,
                       beside: Beside, tag) -> None:
        """Readers that convolve: where their strides are alike, parity by parity of row and
        column, without those that do not reach it; else one after the other."""
        layers = self.graph.layers
        errors = {r: self.forming.error(r, part.start, len(part)) for r in readers}
        alike = len({layers[r].stride for r in readers}) == 1
        for together in ([readers] if alike else [[r] for r in readers]):
            for row, column in self._parities(layers[together[0]]):
                reaching = [r for r in together if nests.reaches(layers[r], row, column)]
                element = beside.element if together[0] == readers[0] else dy
                *chain, last = reaching or together[:1]
                for reader in (*chain, last):
                    is_last = reader == last and together[-1] == readers[-1]
                    here = replace(beside if is_last else Beside(), element=element)
                    operation = nests.backward(
                        self.config, layers[reader], errors[reader], weights[reader],
                        flat(dy, layers[reader]), row, column, here)
                    self._emit_rounded(operation, layers[reader].name, made, part, dy,
                                       tag(reader, "BP"))
                    element = dy

    @staticmethod
    def _parities(layer: Layer) -> list[tuple[int, int]]:
        """Rows and columns of a layer's input modulo its stride."""
        return [(row, column) for row in range(min(layer.stride, layer.input.height))
                for column in range(min(layer.stride, layer.input.width))]

    def _finish(self, i: int, norm: Norm, tag: int) -> None:
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
