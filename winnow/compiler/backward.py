"""The backward pass: gradients of maps, from the last to the first, and what they tell of
normalisation and biases."""

from dataclasses import replace

from winnow.compiler import constant, loss, nests, scores, update
from winnow.compiler.forming import Forming, Pass
from winnow.compiler.learning import Learning
from winnow.compiler.nests import GROUP_WORDS, Beside
from winnow.compiler.normalisation import SUM_WORDS, Norm, Slot
from winnow.compiler.operations import Buffer
from winnow.compiler.step import Step, flat
from winnow.compiler.tiles import Tile
from winnow.errors import UserError
from winnow.graph import Map


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
        sums = self._sums(made)
        other = None if made.shortcut is None else self.step.norm(made.shortcut)
        weights = {r: self.step.weights(r) for r in made.readers
                   if not self.graph.layers[r].average}
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
            self._send_back(made, part, weights, dy, beside, tag)
            if other:
                x = self.step.fill(self.memory.outputs[made.shortcut], first, images)
                self.emit(constant.statistics(
                    self.config, f"statistics of {made.name}", dy, x, other.backward_stats,
                    self.memory.identity), tag(made.shortcut, "BP"))
            self.step.store(dy, self.memory.gradients[made], first)
            self.step.job += 1
            self.step.catch_up()
        for layer, each in ((made.source, sums), (made.shortcut, other)):
            if each:
                self._finish(layer, each, tag(layer, "BP"))
        self.step.job += 1

    def _sums(self, made: Map) -> Norm | None:
        """Where the sums of the gradient by channel go: normalisation needs both, a bias one."""
        source = self.graph.layers[made.source]
        if not source.bias:
            return self.step.norm(made.source)
        bias = Norm(source, self.config.raw_words)
        bias.new_step()
        return bias

    def _tiles(self, made: Map, keep: bool, weights: dict[int, Buffer]) -> list[range]:
        layers = {r: self.graph.layers[r] for r in made.readers}
        beside = len(made.added_to) + (made.shortcut is not None)
        words = made.shape.words * (1 + beside) + sum(
            0 if layer.is_last else self.forming.error_words(r) for r, layer in layers.items())
        if keep:
            words += self.forming.form_words(made, True)
        return self.step.tiles(f"{made.name} BP", words, sum(b.words for b in weights.values()),
                               made.readers)

    def _send_back(self, made: Map, part: range, weights, dy: Tile, beside: Beside, tag) -> None:
        """All readers' errors through their weights into `dy`."""
        layers = [self.graph.layers[r] for r in made.readers]
        if layers[0].is_last:
            operation = scores.backward(self.config, layers[0], self.step.errors,
                                        weights[made.readers[0]], flat(dy, layers[0]), beside)
            self.emit(operation, tag(made.readers[0], "BP"))
        elif layers[0].average:
            above = self.memory.gradients[self.graph.outputs[made.readers[0]]]
            error = self.step.fill(above, part.start, len(part))
            operation = constant.average_backward(self.config, layers[0], error,
                                                  self.memory.identity, dy, beside)
            self.emit(operation, tag(made.readers[0], "BP"))
        else:
            self._convolve_back(made, part, weights, dy, beside, tag)

    def _convolve_back(self, made: Map, part: range, weights, dy: Tile, beside: Beside,
                       tag) -> None:
        """Readers add to one another, parity by parity of row and column; the last one masks."""
        layers = self.graph.layers
        elements = [self.step.fill(self.memory.gradients[above], part.start, len(part))
                    for above in made.added_to]
        if len(elements) > 1:
            raise UserError(f"{made.name}: is added to more than one other map")
        strides = {layers[r].stride for r in made.readers}
        if len(strides) > 1:
            raise UserError(f"{made.name}: is read by layers of unlike strides")
        errors = {r: self.forming.error(r, part.start, len(part)) for r in made.readers}
        (stride,) = strides
        for row in range(min(stride, made.shape.height)):
            for column in range(min(stride, made.shape.width)):
                reaching = [r for r in made.readers if nests.reaches(layers[r], row, column)]
                element = elements[0] if elements else None
                *chain, last = reaching or made.readers[:1]
                for reader in (*chain, last):
                    here = replace(beside if reader == last else Beside(), element=element)
                    self.emit(nests.backward(
                        self.config, layers[reader], errors[reader], weights[reader],
                        flat(dy, layers[reader]), row, column, here), tag(reader, "BP"))
                    element = dy

    def _finish(self, i: int, norm: Norm, tag: int) -> None:
        """Coefficients of the errors, and the update of gamma and beta, or of a bias."""
        layer, rules = self.graph.layers[i], self.step.rules
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
