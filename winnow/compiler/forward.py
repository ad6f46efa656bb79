"""The forward pass: each map is formed, and all layers that read it are computed."""

from winnow.compiler import averages, constant, nests, pools, scores
from winnow.compiler.forming import Pass
from winnow.compiler.operations import Buffer
from winnow.compiler.step import flat
from winnow.compiler.tiles import Tile
from winnow.graph import Map


class Forward(Pass):
    """Emits the forward pass of a step."""

    def run(self, training: bool, tag) -> None:
        """All maps in their order; `tag` gives the counter group of a layer and phase.

        Without `training` normalisation takes the running statistics.
        """
        for made in self.graph.maps:
            self._forward(made, training, tag)

    def _forward(self, made: Map, training: bool, tag) -> None:
        """All readers of a map, which is formed once for each tile."""
        readers = {i: self.graph.layers[i] for i in made.readers}
        weights = {i: self.step.weights(i) if layer.learns else None
                   for i, layer in readers.items()}
        norms = {i: self.step.norm(i) for i in readers if self.step.norm(i)}
        if training:
            for norm in norms.values():
                self.emit(norm.clear("forward"))
        tiles = self.step.tiles(
            f"{made.name}, read by {', '.join(layer.name for layer in readers.values())}",
            self.forming.form_words(made, False)
            + sum(layer.output.words for layer in readers.values()),
            sum(b.words for b in weights.values() if b), made.readers)
        for images in tiles:
            x = self.forming.form(made, images.start, len(images)).y
            if training and made in self.memory.formed:
                self.step.store(x, self.memory.formed[made], images.start)
            for i, layer in readers.items():
                self._convolve(i, layer, x, images, weights[i], training, tag(i, "FP"))
            self.step.job += 1
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
            self.forming.stored.add(made)
        self.step.job += 1

    def _convolve(self, i: int, layer, x: Tile, images: range, weights: Buffer | None,
                  training: bool, tag: int) -> None:
        """One layer's output for a tile, stored."""
        if layer.is_last:
            self.emit(scores.forward(self.config, layer, flat(x, layer), weights, self.step.scores),
                      tag)
            return
        y = Tile.new(f"output of {layer.name}", len(images), layer.output)
        norm = self.step.norm(i)
        if layer.pool and layer.pool.largest:
            self.emit(pools.largest(f"{layer.name} FP", x, layer.pool, False, None, y=y))
        elif layer.pool:
            constants = self.memory.constants[averages.factors(layer.pool)]
            self.emit(averages.forward(self.config, layer, x, constants, y), tag)
        else:
            self.emit(nests.forward(
                self.config, layer, flat(x, layer), weights, y, self.memory.parameters[i].bias,
                norm.forward_stats if norm and training else None), tag)
        self.step.store(y, self.memory.outputs[i], images.start)

    def _join(self, i: int) -> None:
        """Where layer `i` is the last that a sum of two normalised maps needs: one set of
        coefficients, K1 the sum of both. The last is that of the body, whose first layer reads
        the same map as the shortcut."""
        made = self.graph.outputs[i]
        if made is None or made.shortcut is None or i != made.source:
            return
        main, other = self.step.norm(made.source), self.step.norm(made.shortcut)
        if main and other:
            self.emit(main.join(other))
