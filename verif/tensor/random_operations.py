"""Random operations that are in order, or break one rule."""

from math import prod

import numpy as np

from isa.config import MODES, TREES, WORD_BITS
from isa.formats import E5M2, FormatCode
from isa.registers import (
    ADDRESS_BITS,
    BLOCKS,
    COUNT_BITS,
    POSITIONS,
    REDUCTION,
    REDUCTION_BITS,
    STRIDE_BITS,
    TENSOR_STREAMS,
    AuxMode,
    Skip,
    StatsMode,
    Unit,
)
from sim.loops import nest
from sim.registers import defaults

WRAP = 1 << ADDRESS_BITS
RUN = 32  # words that are zero together
TRIES = 200  # at a stream that fits its region


class Operations:
    """Draws operations of a configuration.

    Inputs lie in the lower half of the scratchpad and outputs in the upper half; the lower half
    is regions of FP8 words, FP8 words, raw accumulators, statistics, binary32 numbers.

    Parameters
    ----------
    draw : numpy generator
    """

    def __init__(self, config, draw):
        self.config = config
        self.draw = draw
        quarter = config.words // 8
        self.regions = {"stream": (0, 2 * quarter), "stationary": (0, 2 * quarter),
                        "raw": (2 * quarter, 3 * quarter),
                        "stats": (3 * quarter, 7 * quarter // 2),
                        "bias": (7 * quarter // 2, 4 * quarter),
                        "output": (4 * quarter, 8 * quarter),
                        "beside": (4 * quarter, 6 * quarter)}  # as large as that of the stream

    def chance(self, probability):
        return bool(self.draw.random() < probability)

    def below(self, least, most):
        """An integer from `least` to `most`."""
        return int(self.draw.integers(least, most + 1))

    def fill(self, words):
        """Random contents of the scratchpad."""
        draw = self.draw
        codes = draw.integers(0, 256, (words.size, 8), np.uint8)
        if self.chance(0.6):  # no NaN nor infinity
            codes = (codes & 0x80) | (codes % 0x78).astype(np.uint8)
        if self.chance(0.5):
            codes = (codes & 0x80) | (0x28 + codes % 0x18).astype(np.uint8)
        codes[draw.random(codes.shape) < draw.choice([0.05, 0.5, 0.9])] = 0
        codes[draw.random(words.size) < draw.choice([0, 0.5, 0.9])] = 0
        runs = draw.random(-(-words.size // RUN)) < draw.choice([0, 0.3, 0.8])
        codes[np.repeat(runs, RUN)[:words.size]] = 0  # whole tiles
        words[:] = codes.view(np.uint64)[:, 0]
        for region in ("raw", "stats"):
            first, end = self.regions[region]
            words[first:end] = [self._raw() for _ in range(first, end)]
        first, end = self.regions["bias"]
        numbers = (draw.standard_normal(2 * (end - first))
                   * 2.0 ** draw.integers(-20, 20)).astype(np.float32).view(np.uint32)
        special = draw.random(numbers.size) < 0.05
        numbers[special] = draw.choice(
            np.array([0, 0x80000000, 0x7F800000, 0xFF800000, 0x7FC00000, 0xFFC12345, 1,
                      0x80000001, 0x007FFFFF], np.uint32), special.sum())
        words[first:end] = numbers.view(np.uint64)

    def _raw(self):
        """A word that a raw accumulator may have, whichever of its words it is, and far enough
        from the ends of the range that no sum leaves it."""
        bits = self.config.accumulator_bits
        if bits > WORD_BITS:
            return int.from_bytes(bytes(self.draw.choice([0, 0xFF, 0xF0, 3], 8).tolist()), "little")
        if self.chance(0.05):
            return -(1 << bits - 1) % 2**64
        return self.below(-(1 << bits - 3), 1 << bits - 3) % 2**64

    def counts(self, loops, most):
        """Counts of `loops` with a product of at most `most`, those that have few bits of a few."""
        counts = dict.fromkeys(loops, 1)
        for loop in self.draw.permutation(list(loops)):
            room = min(most // prod(counts.values()),
                       (1 << REDUCTION_BITS.get(str(loop), COUNT_BITS)) - 1)
            counts[str(loop)] = self.below(1, max(1, min(room, 6 if self.chance(0.7) else 32)))
        return counts

    def operation(self, skip=Skip.NONE, gate=False):
        """Registers of an operation that is in order, skips what it is told to, and may have a
        gate."""
        config, draw = self.config, self.draw
        r = defaults(Unit.TENSOR)
        mode = r["tensor.mode"]
        mode["gate"] = int(gate)
        mode["output"] = int(draw.choice([0, 1] if gate else [0, 0, 0, 1, 1, 1, 2, 3]))
        fp8, raw = mode["output"] < 2, mode["output"] == FormatCode.RAW
        width = {FormatCode.BINARY32: 4, FormatCode.RAW: config.raw_words}.get(mode["output"], 1)
        cores, groups = (1, self.below(1, config.cores)) if gate else self._groups()
        r["tensor.groups"] = {"groups": groups, "merge": 0 if gate else self.below(0, 1)}
        # all outputs fill at most half of their region
        room = (config.words // 4) // (width * cores * groups)
        positions = self.counts(POSITIONS, min(room, config.block))
        turnable = prod(positions.values()) % 8 == 0
        if not turnable and config.block >= 8 and self.chance(0.3):
            positions = {"p0": self.below(1, config.block // 8), "p1": 8, "p2": 1}
            positions = dict(zip(POSITIONS, draw.permutation(list(positions.values())).tolist(),
                                 strict=True))
            turnable = True
        q0 = int(draw.choice([1, 2, 4, 8]))
        outputs, slots = bool(skip & Skip.OUTPUTS), bool(skip & (Skip.OUTPUTS | Skip.ELEMENTS))
        if outputs:
            positions = self._slots(positions, min(room, config.block))
        r["tensor.positions"] = {**positions, "q0": q0, "q1": TREES // q0,
                                 "cores": cores}
        merged = groups if r["tensor.groups"]["merge"] else 1
        if merged > config.max_passes:
            merged, r["tensor.groups"]["merge"] = 1, 0
        passes = config.max_passes // merged
        r["tensor.reduction"] = self.counts(REDUCTION, min(passes, self.below(1, 6)))
        if gate:
            r["tensor.reduction"]["r4"] = self.below(1, min(3, max(1, passes // prod(
                r["tensor.reduction"].values()))))
        if skip & Skip.ELEMENTS:
            self._rounds(r["tensor.reduction"], passes)
        room //= prod(positions.values())
        r["tensor.blocks"] = self.counts(BLOCKS, max(1, min(room, self.below(1, 5))))
        wide = sum(f is E5M2 for f in MODES[config.mode])
        mode["stationary"] = self.below(0, min(wide, 1))
        mode["stream"] = self.below(0, min(wide - mode["stationary"], 1))
        mode["transpose"] = self.below(0, 1)
        mode["skip"] = int(skip)
        mode["turn_stream"] = int(turnable and not slots and self.chance(0.5))
        mode["turn_output"] = int(turnable and not (outputs or gate) and fp8
                                  and self.chance(0.4))
        mode["aux"] = 0 if gate else int(draw.choice([0, 0, 1, 2] if fp8 else [0, 1]))
        beside = fp8 and mode["aux"] != AuxMode.RAW
        mode["mask"] = int(not gate and (outputs or self.chance(0.4)))
        mode["stats"] = self._stats(mode, wide) if beside and not mode["turn_output"] else 0
        if gate and mode["stats"] == StatsMode.NORM:
            mode["stats"] = 0
        mode["bias"] = int(not raw and not mode["turn_output"] and self.chance(0.4))
        mode["relu"] = int(not raw and self.chance(0.3))
        mode["stochastic"] = int(not raw and self.chance(0.4))
        mode["scale"] = self.below(-64, 63) if self.chance(0.2) else self.below(-14, 4)
        r["tensor.key"]["key"] = int(draw.integers(0, 2**32))
        r["tensor.number.base"]["word"] = int(draw.integers(0, 2**32))
        bits = int(draw.choice([4, STRIDE_BITS]))
        for loop in TENSOR_STREAMS["number"]:
            r[f"tensor.number.{loop}"]["stride"] = self.below(-(1 << bits - 1), (1 << bits - 1) - 1)
        r["tensor.depth"]["passes"] = self.below(
            0, min(2**32 - 1, config.max_passes - merged * prod(r["tensor.reduction"].values())))
        self._place(r, "stream", "stream", 1)
        self._place(r, "stationary", "stationary", 1)
        half = gate or mode["aux"] == AuxMode.ELEMENT
        self._place(r, "output", "beside" if half else "output", width)
        away = self.regions["output"][0] - self.regions["stream"][0]
        r["tensor.gate.base"]["address"] = (r["tensor.output.base"]["address"] + away // 2) % WRAP
        self._place(r, "bias", "bias", 4)
        r["tensor.threshold.base"] = dict(r["tensor.bias.base"])
        raw = mode["aux"] == AuxMode.RAW
        self._place(r, "aux", "raw" if raw else "stream", config.raw_words if raw else 1)
        for stream in ("mask", "norm"):  # anywhere near: they have the steps of aux
            base = r["tensor.aux.base"]["address"]
            r[f"tensor.{stream}.base"]["address"] = (base + self.below(0, 3)) % WRAP
        if mode["aux"] == AuxMode.ELEMENT:  # it has the steps of output
            base = r["tensor.output.base"]["address"] - away
            r["tensor.aux.base"]["address"] = base % WRAP
        self._place(r, "stats", "stats", 2 * config.raw_words)
        return r

    def _rounds(self, reduction, most):
        """Makes r0 that of slots, at most `most` passes in all."""
        slot = self.config.slot
        r0 = slot if self.chance(0.5) else min(slot, reduction["r0"])
        reduction["r0"] = max(1, min(r0, most * reduction["r0"] // prod(reduction.values())))

    def _slots(self, positions, most):
        """Positions with whole slots of p0, at most `most`."""
        slot = self.config.slot
        p0 = -(-positions["p0"] // slot) * slot
        assert p0 <= most
        positions = {**positions, "p0": p0}
        for loop in ("p1", "p2"):
            others = prod(positions.values()) // positions[loop]
            positions[loop] = max(1, min(positions[loop], most // others))
        return positions

    def _groups(self):
        """Cores of a group and groups."""
        most = self.config.cores
        if self.chance(0.4):
            return self.below(1, most), 1
        cores = int(self.draw.choice([n for n in (1, 2, 4, 8) if n <= most]))
        return cores, self.below(1, most // cores)

    def _stats(self, mode, wide):
        """Statistics that the formats allow; `wide` operands of a product may be E5M2."""
        allowed = [StatsMode.NONE]
        if not mode["output"] or wide == 2:
            allowed.append(StatsMode.SQUARE)
        if not mode["output"] or wide:
            allowed.append(StatsMode.NORM)
        return int(self.draw.choice(allowed))

    def _alike(self, r, wide):
        """Makes some blocks have the tiles of others, and the words of a tile consecutive."""
        still = {"stride": 0, "dy": 0, "dx": 0}
        for loop in BLOCKS:
            if self.chance(0.4):
                r[f"tensor.stationary.{loop}"] = dict(still)
        if wide:
            r["tensor.stationary.q0"] = still | {"stride": 1}

    def _place(self, r, stream, region, width):
        """Strides, window and base of a stream, so that what is inside lies in its region."""
        first, end = self.regions[region]
        loops = TENSOR_STREAMS[stream]
        bounded = f"tensor.{stream}.window" in r
        counts = {loop: r[f"tensor.{group}"][field]
                  for group, fields in (("positions", (*POSITIONS, "q0", "q1")),
                                        ("reduction", REDUCTION), ("blocks", BLOCKS))
                  for loop in loops if loop in fields for field in (loop,)}
        counts["core"] = r["tensor.positions"]["cores"]
        counts["group"] = r["tensor.groups"]["groups"]
        if r["tensor.groups"]["merge"] and stream not in ("stream", "stationary"):
            counts["group"] = 1
        axes = loops[::-1]
        window = self.chance(0.5)
        skip = Skip(r["tensor.mode"]["skip"]) & ~Skip.TILES if stream == "stream" else Skip.NONE
        wide = stream == "stationary" and self.chance(0.4)
        slot = self.config.slot if skip or wide else 1
        for attempt in range(TRIES):
            reach = max(1, 40 - attempt // 4)
            dense = width
            for loop in map(str, self.draw.permutation(list(loops))):
                row = r[f"tensor.{stream}.{loop}"]
                row["stride"] = self.below(-reach, reach) * (width if self.chance(0.5) else 1)
                if stream == "stats":  # the same words, or others
                    row["stride"] = self.below(-2, 2) * width
                if attempt % 4 == 3:  # one loop within another
                    row["stride"] = dense * self.draw.choice([-1, 1]).item()
                    dense *= counts[loop]
                row["stride"] *= slot
                if bounded and window:
                    row["dy"], row["dx"] = self.below(-2, 3), self.below(-2, 3)
            loop = {Skip.OUTPUTS: "p0", Skip.ELEMENTS: "r0"}.get(skip)
            if loop and (loop == "p0" or counts["r0"] > 1):
                r[f"tensor.stream.{loop}"] = {"stride": 1, "dy": 0, "dx": 0}
            if stream == "stationary":
                self._alike(r, wide)
            if bounded and window:
                r[f"tensor.{stream}.window"] = {
                    "y": self.below(-3, 3), "x": self.below(-3, 3),
                    "height": self.below(1, 12), "width": self.below(1, 12)}
            # aux is read where the output is written
            items = nest(r, f"tensor.{stream}", counts, axes, window=bounded)
            offsets = (items.address + WRAP // 2) % WRAP - WRAP // 2
            inside = items.inside if stream != "aux" else nest(
                r, "tensor.output", counts, axes).inside
            offsets = offsets[inside]
            low, high = (int(offsets.min()), int(offsets.max())) if offsets.size else (0, 0)
            room = end - first - width - (high - low)
            if stream == "aux":
                room -= 3
            if room >= 0 and (stream != "output" or _apart(offsets, width)):
                base = first - low + slot * self.below(0, room // slot)
                r[f"tensor.{stream}.base"]["address"] = base % WRAP
                return
        raise AssertionError(f"no place for {stream} {counts}")


def _apart(offsets, width) -> bool:
    """Whether words of `width` at these offsets do not overlap."""
    ordered = np.sort(offsets, axis=None)
    return bool(np.all(ordered[1:] - ordered[:-1] >= width))
