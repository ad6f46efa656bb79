"""The forward pass: each map is formed, and all layers that read it are computed."""

from dataclasses import replace

from isa.config import TREES
from isa.formats import FormatCode
from winnow.compiler import (
    averages,
    constant,
    drains,
    forms,
    nests,
    pools,
    scores,
    weight_streams,
)
from winnow.compiler.cuts import Cuts, Need, common, hull, most_pieces, pieces
from winnow.compiler.drains import Gate, Sums
from winnow.compiler.forming import Pass
from winnow.compiler.gating import weights as gating
from winnow.compiler.operations import Buffer, Tag
from winnow.compiler.tiles import Part, Tile, equal
from winnow.graph import Layer, Map


class Forward(Pass):
    """Emits the forward pass of a step."""

    def run(self, training: bool, tag) -> None:
        """All maps in their order; `tag` gives the counter group of a layer and phase.

        Without `training` normalisation takes the running statistics.
        """
        self.training = training
        for made in self.graph.maps:
            self._forward(made, tag)

    def _forward(self, made: Map, tag) -> None:
        """All readers of a map, which is formed once for each tile."""
        readers = {i: self.graph.layers[i] for i in made.readers}
        norms = {i: self.step.norm(i) for i in readers if self.step.norm(i)}
        cuts, tiles = self._cut(made)
        weights = self._weights(readers, cuts)
        self._streamed = {i: streamed for i, w in weights.items()
                          if self.training and (streamed := self.step.streamed(i, w, "FP"))}
        if self.training:
            for norm in norms.values():
                self.emit(norm.clear("forward"))
        for images in tiles:
            for band in range(cuts.bands):
                self._tile(made, cuts, images, band, weights, tag)
        for i, norm in norms.items():
            if self.training:
                layer = readers[i]
                self.emit(constant.rounded(self.config, f"sums of {layer.name}",
                                           norm.forward_stats, norm.forward_sums,
                                           layer.output.blocks), tag(i, "FP"))
                self.emit(norm.forward(self.batch * layer.output.pixels))
            else:
                self.emit(norm.evaluation())
        for i in readers:
            self._join(i)
        if self.training and made in self.memory.formed:
            self.forming.stored.add(made)
        self.step.job += 1

    def _cut(self, made: Map) -> tuple[Cuts, list[range]]:
        layers = [self.graph.layers[i] for i in made.readers]
        names = ", ".join(layer.name for layer in layers)
        gated = any(self.memory.gates[i] for i in made.readers)  # their weights stay
        most = Cuts(
            chunks=1 if gated or layers[0].is_last else max(
                layer.output.blocks for layer in layers),
            bands=max(layer.output.height for layer in layers),
            pieces=1 if gated or any(layer.pool for layer in layers) else most_pieces(
                made.shape, layers[0].is_linear))
        together = self.layouts.errors.together if self._streams(made) else 1
        return self.step.cut(f"{made.name}, read by {names}", made.readers, most,
                             lambda cuts, images: self._need(made, cuts, images), together)

    def _streams(self, made: Map) -> bool:
        """Whether weights of a reader may stream."""
        return self.training and any(self.step.streamed_words(i, "FP") for i in made.readers)

    def _need(self, made: Map, cuts: Cuts, images: range) -> Need:
        part, _ = self._part(made, cuts, images, cuts.largest_band)
        outputs = self._outputs(made, cuts, images, cuts.largest_band, 0)
        piece = self._pieces(made, part, outputs, cuts)[0]
        tiles = self.batch // len(images) * cuts.bands
        formed = self.forming.form_words(made, piece, False, slots=True)
        written = sum(out.words(self.graph.layers[i].output) for i, out in outputs.items())
        weights = sum(self.memory.parameters[i].place(out.blocks, piece).words
                      * (gating.TIMES if self.memory.gates[i] else 1)
                      for i, out in outputs.items() if self.graph.layers[i].learns)
        written += sum(out.words(self.graph.layers[i].output) for i, out in outputs.items()
                       if self.memory.gates[i])
        if cuts.pieces > 1:
            raw = written * self.config.raw_words
            each = formed + weights + 2 * raw
            return Need(formed + weights, written + raw,
                        (each * cuts.pieces + written) * tiles * cuts.chunks,
                        tiles * cuts.chunks * cuts.pieces)
        if cuts.chunks > 1:
            return Need(formed, 2 * (written + weights),
                        (formed + (written + weights) * cuts.chunks) * tiles, tiles * cuts.chunks)
        if self._streams(made):
            weights += sum(self.step.streamed_words(i, "FP") for i in outputs)
            formed += sum(part.words(made.shape) for i in outputs
                          if self.step.streamed_words(i, "FP"))
        return Need(formed + written, weights, (formed + written) * tiles + weights, tiles)

    def _weights(self, readers: dict[int, Layer], cuts: Cuts) -> dict[int, Buffer]:
        """Weights that stay in the scratchpad for all jobs."""
        whole = cuts.chunks == cuts.pieces == 1
        return {i: self.step.gated(i, self.step.weights(i)) for i, layer in readers.items()
                if whole and layer.learns}

    def _outputs(self, made: Map, cuts: Cuts, images: range, band: int,
                 chunk: int) -> dict[int, Part]:
        """The parts of its readers' outputs that a job makes. Pools are in the first chunk."""
        layers = {i: self.graph.layers[i] for i in made.readers}
        return {i: Part(images, rows, blocks) for i, layer in layers.items()
                if (rows := equal(layer.output.height, cuts.bands, band))
                and (blocks := equal(layer.output.blocks, cuts.chunks if layer.learns else 1,
                                     chunk))}

    def _part(self, made: Map, cuts: Cuts, images: range, band: int) -> tuple[Part, range]:
        """The part of the map that the jobs of a band need, and the rows that it stores of it."""
        outputs = self._outputs(made, cuts, images, band, 0)
        own = range(0)
        if self.training and made in self.memory.formed:
            own = equal(made.shape.height, cuts.bands, band)
        needed = [self.graph.layers[i].rows_read(out.rows) for i, out in outputs.items()]
        needed += [own] if own else []
        return Part.of(made.shape, images, hull(needed) if needed else range(0)), own

    def _pieces(self, made: Map, part: Part, outputs: dict[int, Part], cuts: Cuts) -> list[Part]:
        """What is formed at once of a part of a map."""
        layers = [self.graph.layers[i] for i in outputs]
        return pieces(made.shape, part, cuts.pieces, any(layer.is_linear for layer in layers))

    def _tile(self, made: Map, cuts: Cuts, images: range, band: int, weights: dict[int, Buffer],
              tag) -> None:
        """All outputs of a band, a chunk of blocks at a time."""
        part, own = self._part(made, cuts, images, band)
        tiles: dict[Part, Tile] = {}
        for chunk in range(cuts.chunks):
            outputs = self._outputs(made, cuts, images, band, chunk)
            if part.rows and (outputs or chunk == 0):
                parts = self._pieces(made, part, outputs, cuts)
                self._chunk(made, parts, own, outputs, tiles, weights, tag)
                self.step.job += 1

    def _chunk(self, made: Map, parts: list[Part], own: range, outputs: dict[int, Part],
               tiles: dict[Part, Tile], weights: dict[int, Buffer], tag) -> None:
        """Outputs from some parts of a map, stored. `tiles` are those formed before; what is
        formed for the first time is stored, where it is one of the rows `own`."""
        layers = self.graph.layers
        results = {i: None if layers[i].is_last else Tile.new(
            f"output of {layers[i].name}", out, layers[i].output, self.layouts.maps)
            for i, out in outputs.items()}
        gates = {i: Tile.new(f"gates of {layers[i].name}", out, layers[i].output,
                             self.layouts.maps)
                 for i, out in outputs.items() if self.memory.gates[i]}
        sums = {i: drains.split_sums(
            self.config, layers[i].name, y.buffer.words if y else self.step.errors.words,
            [nests.passes(layers[i], part) for part in parts]) for i, y in results.items()}
        for n, part in enumerate(parts):
            if len(parts) > 1 or part not in tiles:
                x = self.forming.form(made, part, slots=True).y
                if part not in tiles and (rows := common(own, part.rows)):
                    self.step.store(x, self.memory.formed[made], replace(part, rows=rows))
                tiles[part] = x
            for i, y in results.items():
                w = weights.get(i)
                if not w and layers[i].learns:
                    self.step.refuse_gate(i, "its weights, twice,")
                    w = self.step.weights(i, outputs[i].blocks, part)
                self._convolve(i, tiles[part], w, y, sums[i][n], len(parts) == 1, tag(i, "FP"),
                               gates.get(i))
            if n < len(parts) - 1:
                self.step.job += 1
        for i, y in results.items():
            if self.training and self.step.norm(i) and len(parts) > 1:
                self._statistics(i, y, self.step.norm(i).forward_stats, tag(i, "FP"))
            if y:
                self.step.store(y, self.memory.outputs[i], outputs[i])
            if i in gates and self.training:
                self.step.store(gates[i], self.memory.gates[i], outputs[i])

    def _convolve(self, i: int, x: Tile, weights: Buffer | None, y: Tile | None, sums: Sums,
                  statistics: bool, tag: Tag, gates: Tile | None) -> None:
        """One layer's output from the map in `x`, or sums for it."""
        layer, norm = self.graph.layers[i], self.step.norm(i)
        gate = gates and Gate(layer.tiles * TREES, self.memory.parameters[i].threshold, gates)
        if layer.is_last:
            self.emit(scores.forward(self.config, layer, x.flat, weights, self.step.scores, sums),
                      tag)
        elif layer.pool:
            if layer.pool.largest:
                self.emit(pools.largest(f"{layer.name} FP", x, layer.pool, False, None, y=y))
            else:
                constants = self.memory.constants[averages.factors(layer.pool)]
                self.emit(averages.forward(self.config, layer, x, constants, y), tag)
        else:
            bias = None if sums.after else self.memory.parameters[i].bias
            stats = norm.forward_stats if norm and statistics and self.training else None
            for stream in self.step.ways(i, "FP", i in self._streamed):
                if stream:
                    self._stream_weights(i, x, y, tag)
                    self._statistics(i, y, stats, tag)
                else:
                    self.emit(nests.forward(
                        self.config, layer, x.flat if layer.is_linear else x, weights, y, bias,
                        stats, sums, self.step.cores(i), gate), tag)

    def _stream_weights(self, i: int, x: Tile, y: Tile, tag: Tag) -> None:
        """A layer's output from tiles of 8 pixels: images side by side are read a slot at a time.
        """
        side = self.layouts.errors
        if x.images % side.together == 0:
            name = f"{x.buffer.name} side by side"
            beside = replace(x, buffer=Buffer(name, side.images(x.shape, x.images)), layout=side)
            self.emit(forms.copied(name, x, beside, FormatCode.E4M3))
            x = beside
        self.emit(weight_streams.forward(self.config, self.graph.layers[i], x, self._streamed[i],
                                         y), tag)

    def _statistics(self, i: int, y: Tile, stats: Buffer | None, tag: Tag) -> None:
        """Those of a tile of a layer's output, by a pass of its own."""
        if stats:
            self.emit(constant.squares(self.config, f"statistics of {self.graph.layers[i].name}", y,
                                       self.memory.identity, stats), tag)

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
