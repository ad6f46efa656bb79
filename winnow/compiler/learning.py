"""Weight gradients and the update of weights."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial

from isa.config import LANES
from isa.formats import FORMATS
from winnow.compiler import gradients, live, moves, scores, turned, update
from winnow.compiler.cuts import Cuts, Need, hull, most_pieces, pieces
from winnow.compiler.drains import GROUP_WORDS, Sums
from winnow.compiler.forming import Pass
from winnow.compiler.memory import Place
from winnow.compiler.numbers import Numbers
from winnow.compiler.operations import Buffer, Chosen, Operation
from winnow.compiler.pruning import lasso, refresh
from winnow.compiler.step import growing
from winnow.compiler.tiles import Part, Tile, divisor, equal
from winnow.compiler.turned import LiveWeights, Pairs, TurnedTile
from winnow.compiler.vector import BINARY32, ZERO, Stream, row, vector
from winnow.graph import Map

GRADIENTS = 0.35  # of the scratchpad that the raw gradients of a layer may fill
UPDATED = 4096, 0.06  # words of masters that are updated at once, and of the scratchpad, at most


@dataclass(frozen=True)
class _Share:
    """Weights whose gradients are summed together, and how their jobs are cut."""

    outputs: dict[int, range]  # blocks of the layers that read the map
    inputs: Part  # of an image of the map
    kernel: range | None = None  # its rows, if not all
    bands: int = 1  # of rows of the outputs
    alone: bool = False  # one image a job, or the whole batch where a pass takes 8 images


class Learning(Pass):
    """Emits the weight gradients of layers, summed over tiles of images, and their update."""

    def run(self, made: Map, tag) -> None:
        """The weights of all readers of a map: together, if their gradients fit, or one by one,
        some output blocks at a time, or also some of what they take."""
        readers = [i for i in made.readers if self.graph.layers[i].learns]
        if not readers:
            return
        inputs = Part.of(made.shape, range(1))
        whole = _Share({i: range(self.graph.layers[i].output.blocks) for i in readers}, inputs)
        shares = [whole]
        if not self._fits(made, whole):
            shares = [share for i in readers for share in self._shares(made, i)]
        for share in shares:
            self._sum_gradients(made, share, tag)
        for i in readers:
            if self.memory.parameters[i] in self.memory.pruned and self.step.rules.shrinks:
                self.step.later.append(partial(self._shrink, i))
        if not self.step.plan.late:
            self.step.catch_up()

    def _raw(self, share: _Share) -> int:
        """Words of the raw sums of a share: those of bases are apart."""
        return self._raw_words * sum(
            self.memory.parameters[i].place(blocks, share.inputs, share.kernel).words
            * (2 if self.memory.gates[i] else 1) for i, blocks in share.outputs.items())

    def _rows(self, share: _Share) -> int:
        """Rows of the gradient of a share: words of its weights."""
        return sum(self.memory.parameters[i].place(blocks, share.inputs, share.kernel).words
                   for i, blocks in share.outputs.items())

    def _shares(self, made: Map, i: int) -> list[_Share]:
        """The weights of a layer in shares that fit: if they can, of some output blocks each."""
        output, whole = self.graph.layers[i].output, Part.of(made.shape, range(1))
        shares = [_Share({i: blocks}, whole) for blocks in self._chunks(i)]
        if self._fits(made, shares[0]):
            return shares
        linear = self.graph.layers[i].is_linear
        unit = range(self.batch if linear else self._together([i]))

        def share(cuts: Cuts, chunk: int, inputs: tuple[Part, range | None]) -> _Share:
            return _Share({i: equal(output.blocks, cuts.chunks, chunk)}, *inputs, cuts.bands,
                          linear or cuts.bands > 1)

        def need(cuts: Cuts) -> Need:
            first = share(cuts, 0, self._inputs(made, i, cuts.pieces)[0])
            rows, tile = self._rows(first), self._words(made, first, unit, cuts.largest_band)
            jobs = self.batch // len(unit) * cuts.bands * cuts.chunks * cuts.pieces
            raw = 0 if linear else self._raw(first)
            wide = rows * GROUP_WORDS
            return Need(tile, wide + max(raw, 3 * self._updated()), (tile + 2 * raw + wide) * jobs,
                        jobs)

        most = Cuts(output.blocks, 1 if linear else output.height,
                    most_pieces(made.shape, linear) * self.graph.layers[i].kernel)
        cuts, _ = self.step.choose(f"{self.graph.layers[i].name} WU", most, need,
                                   self.batch * self.step.cycles(i))
        return [each for chunk in range(cuts.chunks)
                for inputs in self._inputs(made, i, cuts.pieces)
                if (each := share(cuts, chunk, inputs)).outputs[i]]

    def _inputs(self, made: Map, i: int, count: int) -> list[tuple[Part, range | None]]:
        """What a layer reads, in `count` parts: of the map, or also of the rows of its kernel."""
        layer, whole = self.graph.layers[i], Part.of(made.shape, range(1))
        parts = pieces(made.shape, whole, count, layer.is_linear)
        bands = -(-count // most_pieces(made.shape, layer.is_linear))
        if bands == 1:
            return [(part, None) for part in parts]
        return [(part, rows) for part in parts for band in range(bands)
                if (rows := equal(layer.kernel, bands, band))]

    def _chunks(self, i: int) -> list[range]:
        """Output blocks of a layer whose raw gradient fits; multiples of what a block holds."""
        own, together = self.memory.parameters[i], self.config.block // LANES
        blocks = own.layer.output.blocks
        room = int(GRADIENTS * self.config.words) // (
            own.place(range(1)).words * self._raw_words * (2 if own.groups else 1))
        chunk = divisor(blocks, max(1, room))
        if blocks % together == 0 and chunk > together:
            chunk = together * divisor(blocks // together, chunk // together)
        return [range(start, start + chunk) for start in range(0, blocks, chunk)]

    def _fits(self, made: Map, share: _Share) -> bool:
        """Whether the raw gradients leave room, and two whole images fit, or the whole batch."""
        step, fixed = self.step, self._raw(share)
        words = self._words(made, share, range(self._together(share.outputs)))
        return fixed <= GRADIENTS * self.config.words and (
            self._at_once(made, share)
            or (not self._is_last(share) and fixed + 2 * words <= step.room(step.plan.alone)))

    def _at_once(self, made: Map, share: _Share) -> bool:
        """Whether the whole batch fits."""
        words = self._words(made, share, range(self.batch)) + self._rows(share) * GROUP_WORDS
        plan = self.step.plan
        return words <= self.step.room(plan.alone if self._is_last(share) else plan.share)

    def _is_last(self, share: _Share) -> bool:
        return any(self.graph.layers[i].is_last for i in share.outputs)

    def _job(self, share: _Share, images: range, band: int) -> tuple[Part, dict[int, Part]]:
        """The part of the map and those of the outputs that a job takes."""
        layers = self.graph.layers
        outputs = {i: Part(images, rows, blocks) for i, blocks in share.outputs.items()
                   if (rows := equal(layers[i].output.height, share.bands, band))}
        rows = share.inputs.rows
        if not any(layers[i].is_linear for i in outputs):
            rows = hull([layers[i].rows_read(part.rows) for i, part in outputs.items()])
        return replace(share.inputs, images=images, rows=rows), outputs

    def _words(self, made: Map, share: _Share, images: range, band: int = 0) -> int:
        part, outputs = self._job(share, images, band)
        words = self.forming.form_words(made, part, False) + sum(
            0 if self.graph.layers[i].is_last else self.forming.error_words(i, output)
            for i, output in outputs.items())
        return words + max(sum(
            TurnedTile.new(self.config, "", part, made.shape, *way).buffer.words
            for way in self._ways(outputs, few)) for few in self._few(outputs))

    def _turns(self, i: int) -> bool:
        return self.layouts.turns(self.graph.layers[i])

    def _first(self, readers: Iterable[int]) -> int | None:
        """Whose choice holds for all that take a map turned; None if none does."""
        return next((r for i in readers for r in self.graph.inputs[i].readers if self._turns(r)),
                    None)

    def _few(self, readers: Iterable[int]) -> tuple[bool, ...]:
        """Whether few weights are live, so that dead outputs are left out instead of zeros of the
        map: no, yes, or both, as the device chooses."""
        first = self._first(readers)
        return (False,) if first is None else self.step.choices.ways(first, "WU")

    def _way(self, i: int, few: bool) -> tuple[int, bool]:
        """How a layer takes its map turned: its stride, and whether dead outputs are left out, for
        which channels lie inside."""
        return self.graph.layers[i].stride, few and self.memory.parameters[i].mask is not None

    def _ways(self, readers: Iterable[int], few: bool) -> list[tuple[int, bool]]:
        """Of all that take their map turned: one turned map for each."""
        return sorted({self._way(i, few) for i in readers if self._turns(i)})

    @property
    def _raw_words(self) -> int:
        """Of a raw position, and its word of a mask."""
        masks = self.step.rules.recipe.prune and self.layouts.maps.channels_last
        return self.config.raw_words + bool(masks)

    def _together(self, readers: Iterable[int]) -> int:
        """Images that a job has at least."""
        return LANES if any(map(self._turns, readers)) else self.layouts.errors.together

    def _jobs(self, made: Map, share: _Share) -> list[tuple[range, int]]:
        """Images and bands of the jobs of a share. Tiles of whole images are as large as possible:
        the drain of raw sums costs more than a tile that comes late."""
        layers = self.graph.layers
        linear = any(layers[i].is_linear for i in share.outputs)
        if share.alone:
            unit = self.batch if linear else self._together(share.outputs)
            bands = [band for band in range(share.bands) if any(
                equal(layers[i].output.height, share.bands, band) for i in share.outputs)]
            return [(range(first, first + unit), band) for first in range(0, self.batch, unit)
                    for band in bands]
        in_tiles = self.step.over_live and not linear
        if self._at_once(made, share) and not in_tiles:
            return [(range(self.batch), 0)]
        together = self._together(share.outputs)
        words = self._words(made, share, range(together))
        fixed = self._raw(share)
        size = max(1, (self.step.room(self.step.plan.raw) - fixed) // (2 * words)) * together
        if in_tiles:
            size = max(together, min(size, self._places_at_once(share)))
        eights = size > LANES and (linear or together > 1)  # 8 images are one pass
        unit = LANES if eights else together
        size -= size % unit
        first = size if eights and linear else -(-size // self.step.plan.first)
        tiles = growing(self.batch, -(-first // unit) * unit, size)
        return [(images, 0) for images in tiles]

    def _places_at_once(self, share: _Share) -> int:
        """Places of the list of live images that a job takes: few, but so many that its passes take
        as long as raw sums need to leave."""
        outputs = [self.graph.layers[i].output for i in share.outputs]
        least = max(-(-self.config.raw_words // gradients.passes_of(o.height, o.width, 1))
                    for o in outputs)
        return -(-self.batch // max(1, min(live.TILES, self.batch // least)))

    def _sum_gradients(self, made: Map, share: _Share, tag) -> None:
        """Gradients of a share of the weights, and their update."""
        rules = self.step.rules
        scale = 0 if rules.recipe.dynamic else rules.mean_scale
        layers = self.graph.layers
        rows = {i: self.memory.parameters[i].place(blocks, share.inputs, share.kernel).words
                for i, blocks in share.outputs.items()}
        found = {i: Buffer(f"gradient of {layers[i].name}", rows[i] * GROUP_WORDS)
                 for i in share.outputs}
        jobs = [(self._job(share, *job)) for job in self._jobs(made, share)]
        if self.step.over_live:
            jobs.reverse()  # the last ones, which always have an image if there is any, round
        last = {i: max(n for n, (_, outputs) in enumerate(jobs) if i in outputs)
                for i in share.outputs}
        sums = {i: Sums(None, Buffer(f"sums of {layers[i].name}",
                                     rows[i] * self._raw_words)) for i in share.outputs}
        bases = {i: Sums(None, Buffer(f"sums of the bases of {layers[i].name}",
                                      rows[i] * self._raw_words))
                 for i in share.outputs if self.memory.gates[i]}
        if self.step.over_live and len(jobs) > 1:
            sums, bases = ({i: self._cleared(here) for i, here in each.items()}
                           for each in (sums, bases))
        masks = {i: self._live(i, share, sums[i].after if last[i] else None)
                 for i in share.outputs
                 if self._turns(i) and self._way(i, self._few([i])[-1])[1]}
        for n, (part, outputs) in enumerate(jobs):
            # nothing else rounds the sums, or makes them zero where there is no live image
            self.step.guard = self.step.live.some(part.images) if (
                self.step.over_live and part.images.start) else None
            plain = None if all(map(self._turns, outputs)) else self.forming.form(made, part).y
            here, base = ({i: replace(each[i], after=None) if n == last[i] else each[i]
                           for i in outputs if i in each} for each in (sums, bases))
            source, errors, buffers = None, {}, {}
            if len(self._few(outputs)) > 1:  # what both ways need
                source = plain or self.forming.to_turn(made, part)
                errors = {i: self.forming.error(i, output, backwards=True)
                          for i, output in outputs.items() if not layers[i].is_last}
                buffers = {way[0]: Buffer(f"{made.name} turned", 0)
                           for way in self._ways(outputs, False)}
            first = self._first(outputs)
            for few in (False,) if first is None else self.step.ways(first, "WU"):
                across = {way: self.forming.turned(made, part, *way, plain, source,
                                                   buffers.get(way[0]))
                          for way in self._ways(outputs, few)}
                for i, output in outputs.items():
                    way = self._way(i, few)
                    x = across[way] if self._turns(i) else plain
                    operations, done = self._gradient(
                        i, x, output, found[i], scale, here[i], base.get(i), share,
                        masks[i] if way[1] and self._turns(i) else None, errors.get(i))
                    if rules.recipe.dynamic and not here[i].after:
                        for operation in operations:
                            operation.scalars["tensor.mode"] = rules.mean
                    self.emit(operations, tag(i, "WU"))
                    for each, now in ((sums, here), (bases, base)):
                        if i in now:
                            each[i] = replace(now[i], before=now[i].after, passes=max(
                                each[i].passes, now[i].passes + done))
            self.step.guard = None
            self.step.job += 1
            self.step.catch_up()
        for i in share.outputs:
            self.step.later.append(partial(self._update, i, share, found[i]))
        if not self.step.plan.late:
            self.step.catch_up()

    def _gradient(self, i: int, x: Tile | TurnedTile, output: Part, found: Buffer, scale: int,
                  sums: Sums, base: Sums, share: _Share, live: LiveWeights | None,
                  dy: Tile | None) -> tuple[list[Operation], int]:
        """The gradient of a share of a layer's weights on a part of its output, and the passes that
        it adds. The errors may be there. Where the layer is gated it is that of what gates let
        through, and in the bases, whose sums are `base`, that of all."""
        layer, rows = self.graph.layers[i], output.rows
        if layer.is_last:
            return [scores.weight_gradient(self.config, layer, x.flat, self.step.errors, found,
                                           scale, output.blocks)], 0
        # A stream of 8 pixels a tile is slower than a word a cycle.
        dy, kernel = dy or self.forming.error(i, output, backwards=True), share.kernel
        if self._turns(i):
            gated = self.memory.parameters[i].groups
            through = self.forming.opened(i, dy, output) if gated else dy
            operations = turned.weight_gradient(self.config, layer, x, through, rows, found, scale,
                                                sums, kernel, live)
            for pairs in gated.bases(output.blocks, share.inputs.blocks) if gated else []:
                operations += turned.weight_gradient(self.config, layer, x, dy, rows, found, scale,
                                                     base, kernel, live, Pairs(*pairs))
            return operations, turned.passes_of(x, len(rows))
        return [gradients.weight_gradient(
            self.config, layer, x.flat if layer.is_linear else x, dy, rows, found, scale, sums,
            kernel)], gradients.passes_of(len(rows), layer.output.width, x.images,
                                         self.layouts.errors.together)

    def _cleared(self, sums: Sums) -> Sums:
        """Sums that begin with zero, and not with the first job."""
        counts = row(sums.after.words // GROUP_WORDS)
        self.emit(vector(f"clear {sums.after.name}", counts, (ZERO, ZERO, ZERO),
                         o0=Stream(sums.after, BINARY32, (GROUP_WORDS, GROUP_WORDS * counts[0]))))
        return replace(sums, before=sums.after)

    def _live(self, i: int, share: _Share, raw: Buffer | None) -> LiveWeights:
        """The mask of a share's weights, beside their raw sums if there are any."""
        own = self.memory.parameters[i]
        place = own.place(share.outputs[i], share.inputs, share.kernel)
        mask = Buffer(f"mask of {own.layer.name}", place.words)
        self.step.move(moves.fill, mask, own.mask, place)
        if not raw:
            return LiveWeights(mask)
        live = LiveWeights(raw, self.config.raw_words, self._raw_words)
        self.emit(turned.spread(f"mask of {own.layer.name}", mask, live))
        return live

    def _update(self, i: int, share: _Share, gradient: Buffer) -> None:
        """Master weights, moments and weights of some output blocks, piece by piece."""
        own, rules, recipe = self.memory.parameters[i], self.step.rules, self.step.rules.recipe
        label, first = f"update of {own.layer.name}", 0
        for place in self._places(i, share):
            wide = [place.wide(FORMATS[f].group_words)
                    for f in (own.master_format, own.moment_format)]
            master, moment = (Buffer(f"{name} of {own.layer.name}", each.words)
                              for name, each in zip(("masters", "moments"), wide, strict=True))
            weights = Buffer(f"new weights of {own.layer.name}", place.words)
            lasting = ((master, own.master, wide[0]), (moment, own.moment, wide[1]))
            mask = None if own.mask is None else Buffer(f"mask of {own.layer.name}", place.words)
            for kept in (*lasting, *([(mask, own.mask, place)] if mask else [])):
                self.step.move(moves.fill, *kept)
            operations = update.momentum_step(
                label, gradient, first,
                update.Learned(master, moment, weights, mask, own.master_format, own.moment_format,
                               recipe.stochastic, Numbers(label, rules.key, place.first),
                               moves.joined(place.run, place.loops),
                               self._turns(i) and self._few([i]) == (True,)),
                recipe.momentum, rules.rate, decay=recipe.decay)
            choice = self.step.choices.chosen.get((self._first([i]), "WU"))
            if choice and self._turns(i):
                operations[0].guard = Chosen(choice.number, False)  # the drain has masked else
            self.emit(operations)
            for kept in (*lasting, (weights, own.weights, place)):
                self.step.move(moves.store, *kept)
            self.step.job += 1
            first += GROUP_WORDS * place.words

    def _shrink(self, i: int) -> None:
        """Group Lasso on the new weights of a layer, piece by piece."""
        own, rules = self.memory.parameters[i], self.step.rules
        limit = Buffer(f"limit of {own.layer.name}", GROUP_WORDS)
        self.emit(moves.fill(limit, own.limit))
        for piece in refresh.pieces(self.memory, own, rules.recipe.prune):
            weights = Buffer(f"shrunk weights of {own.layer.name}", piece.mask.words)
            self.emit([refresh.fill(piece),
                       refresh.moved(moves.fill, piece.mask, own.mask, piece),
                       *lasso.shrink(piece, limit, rules.rate, weights, rules.key,
                                     rules.recipe.stochastic),
                       refresh.moved(moves.store, piece.master, own.master, piece,
                                     own.master_words),
                       refresh.moved(moves.store, weights, own.weights, piece)])
            self.step.job += 1

    def _places(self, i: int, share: _Share) -> list[Place]:
        """The weights of a layer in a share, as many at once as are updated."""
        own, most = self.memory.parameters[i], self._updated() // GROUP_WORDS
        blocks, inputs = share.outputs[i], (share.inputs, share.kernel)
        rows = own.place(range(1), *inputs).words
        if rows > most:
            return [part for block in blocks
                    for part in own.place(range(block, block + 1), *inputs).parts(most)]
        together = divisor(len(blocks), most // rows)
        return [own.place(range(start, start + together), *inputs)
                for start in range(blocks.start, blocks.stop, together)]

    def _updated(self) -> int:
        """Words of masters that are updated at once."""
        return min(UPDATED[0], int(UPDATED[1] * self.config.words))
