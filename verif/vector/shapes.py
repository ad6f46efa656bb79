"""Random operations of the vector unit that are legal, and ways to make them illegal."""

from isa.config import Config
from isa.formats import FORMATS, FormatCode
from isa.registers import (
    REDUCED,
    VECTOR_INPUTS,
    VECTOR_LOOPS,
    VECTOR_OUTPUTS,
    Activation,
    Operand,
    Reduce,
)
from verif.vector.driver import registers

SIZES = {code: fmt.group_words for code, fmt in FORMATS.items()}  # words of a group
SPECIAL = (0x00000000, 0x80000000, 0x00000001, 0x807FFFFF, 0x00800000, 0x3F800000, 0xBF800000,
           0x7F7FFFFF, 0xFF7FFFFF, 0x7F800000, 0xFF800000, 0x7FC00000, 0xFF812345, 0x43E00000,
           0x47600000, 0x3B000000)
SMALL = (0x00, 0x80, 0x38, 0x3C, 0x40, 0x42, 0x44, 0x48)  # FP8 codes, most of them integers


def binary32(draw) -> int:
    """Mostly numbers near one, some from all over, some special."""
    kind = draw.random()
    if kind < 0.8:
        return draw.getrandbits(1) << 31 | draw.randrange(115, 140) << 23 | draw.getrandbits(23)
    if kind < 0.85:
        return draw.getrandbits(32)
    if kind < 0.93:
        return small(draw.randrange(5))
    return draw.choice(SPECIAL)


def small(number: int) -> int:
    """The bits of an integer in binary32."""
    top = number.bit_length() - 1
    return 127 + top << 23 | (number << 23 - top) & 0x7FFFFF if number else 0


def word(draw) -> int:
    """Two binary32 numbers, 8 FP8 codes without NaN, few different ones, or anything."""
    kind = draw.random()
    if kind < 0.55:
        return binary32(draw) | binary32(draw) << 32
    if kind < 0.65:
        return int.from_bytes(bytes(draw.choices(SMALL, k=8)), "little")
    if kind < 0.9:
        return int.from_bytes(bytes(draw.choice((0, 128, draw.randrange(0x70),
                                                 draw.randrange(0x80, 0xF0)))
                                    for _ in range(8)), "little")
    return draw.getrandbits(64)


class Shapes:
    """Draws operations whose tensors fit a scratchpad of `config`.

    Outputs stand alone, or in place of an input. Inputs that repeat words or cross each other, and
    coefficients, lie in the last quarter of the scratchpad, where nothing is written.
    """

    def __init__(self, config: Config, draw):
        self.words = config.words
        self.written = config.words * 3 // 4  # words below this may be written
        self.draw = draw

    def operation(self, groups: int) -> dict:
        """Registers of an operation of at most `groups` groups."""
        while True:
            self.free = 0
            values = self._operation(groups)
            if self.free <= self.written:
                return values

    def _operation(self, groups):
        draw = self.draw
        counts = self._counts(groups)
        op = self._op()
        inputs = {name: draw.choice([*SIZES]) for name in VECTOR_INPUTS}
        modes = {name: self._mode() for name in VECTOR_OUTPUTS}
        self._turn(modes, counts, op)
        values = {"counts": {loop: counts[loop] for loop in VECTOR_LOOPS[:4]},
                  "outer": {loop: counts[loop] for loop in VECTOR_LOOPS[4:]},
                  "op": op, "tally": self._tally(op["reduce"]), "inputs": inputs,
                  "key": {"key": draw.getrandbits(32)},
                  **self._coefficients(op["channel"], counts["n5"])}
        places, dense = {}, {}
        for name in VECTOR_INPUTS:
            dense[name] = draw.random() < 0.7
            size = SIZES[inputs[name]]
            twin = [i for i in places if inputs[i] == inputs[name]]
            if twin and draw.random() < 0.2:
                dense[name], places[name] = dense[twin[0]], places[twin[0]]
            else:
                places[name] = (self._dense if dense[name] else self._sparse)(counts, size)
        free = [name for name in VECTOR_INPUTS if dense[name]]
        for name in VECTOR_OUTPUTS:
            sums = op["reduce"] == Reduce.SUM and name == VECTOR_OUTPUTS[-1]
            once = sums or op["reduce"] == Reduce.MAX
            used = {loop: 1 if once and loop in REDUCED else counts[loop] for loop in VECTOR_LOOPS}
            size = SIZES[FormatCode.BINARY32 if sums else modes[name]["format"]]
            same = [i for i in free if not sums and inputs[i] == modes[name]["format"]]
            if same and draw.random() < 0.5:
                places[name] = places[same[0]]
                free = [i for i in free if places[i] != places[name]]
            else:
                places[name] = self._dense(used, size)
        for name, (base, strides) in places.items():
            values[f"{name}__base"] = {"address": base + (draw.randrange(4096) << 20)}
            for pair in ("n01", "n23", "n45"):
                values[f"{name}__{pair}"] = {f"n{i}": strides[f"n{i}"] for i in pair[1:]}
        for name, mode in modes.items():
            values[f"{name}__mode"] = mode
        return registers(**values, **self._numbers())

    def _turn(self, modes, counts, op):
        """Perhaps one of the outputs in FP8 turns, where it may."""
        code = [mode for mode in modes.values() if mode["format"] in (
            FormatCode.E4M3, FormatCode.E5M2)]
        if code and not op["reduce"] and counts["n0"] * counts["n1"] % 8 == 0:
            self.draw.choice(code)["turn"] = self.draw.random() < 0.8

    def _numbers(self):
        """Base and strides of the numbers, near or from all over."""
        bits = self.draw.choice((4, 20))
        strides = {loop: self.draw.randrange(-(1 << bits - 1), 1 << bits - 1)
                   for loop in VECTOR_LOOPS}
        return {"number__base": {"word": self.draw.getrandbits(32)}} | {
            f"number__{pair}": {f"n{i}": strides[f"n{i}"] for i in pair[1:]}
            for pair in ("n01", "n23", "n45")}

    def _counts(self, groups):
        counts, left = {}, groups
        loops = list(VECTOR_LOOPS)
        self.draw.shuffle(loops)
        if groups >= 8 and self.draw.random() < 0.3:
            counts["n0"] = self.draw.choice((1, 2, 4, 8, 16, 24))
            counts["n1"] = 8 // min(counts["n0"], 8) * self.draw.randint(1, 2)
            left //= counts["n0"] * counts["n1"]
            loops = [loop for loop in loops if loop not in REDUCED]
        for loop in loops:
            counts[loop] = self.draw.choice((1, self.draw.randint(1, max(1, min(left, 12)))))
            left //= counts[loop]
        return {loop: counts[loop] for loop in VECTOR_LOOPS}

    def _op(self):
        draw = self.draw
        first = [o for o in Operand if o != Operand.T]
        return {
            **{name: draw.choice(first) for name in "abc"},
            **{name: draw.choice((*Operand, Operand.T)) for name in "def"},
            "negate_c": draw.getrandbits(1), "negate_f": draw.getrandbits(1),
            "activation": draw.choice((Activation.NONE, *Activation)),
            "reduce": draw.choice((Reduce.NONE, *Reduce)), "source": draw.getrandbits(1),
            "quantum": draw.choice((draw.randrange(-64, 64), draw.randrange(-24, 0))),
            "gate": draw.choice((0, 0, draw.randrange(1, 6), draw.randrange(1, 32))),
            "channel": draw.choice((0, draw.randrange(1, 8))),
        }

    def _tally(self, reduce):
        draw = self.draw
        if reduce == Reduce.SUM:
            return {"across": draw.getrandbits(1)}
        if reduce == Reduce.NONE and draw.random() < 0.4:
            first = draw.choice((0, draw.randrange(1024), draw.randrange(400, 520)))
            return {"histogram": 1, "more": draw.getrandbits(1), "first": first}
        return {"first": draw.randrange(1024)}

    def _mode(self):
        draw = self.draw
        return {"enable": draw.random() < 0.7, "source": draw.getrandbits(1),
                "format": draw.choice([*SIZES]), "stochastic": draw.random() < 0.4,
                "scale": draw.choice((0, 0, draw.randrange(-8, 8), draw.randrange(-128, 128)))}

    def _dense(self, counts, size):
        """Base and strides of a tensor of its own: loops in any order, gaps, either direction."""
        draw = self.draw
        loops = list(VECTOR_LOOPS)
        draw.shuffle(loops)
        strides, low, extent = {}, 0, size
        for loop in loops:
            pitch = extent + (draw.randrange(3) if extent < 24 else 0)
            strides[loop] = pitch
            reach = pitch * (counts[loop] - 1)
            if draw.random() < 0.3:
                strides[loop], low = -pitch, low + reach
            extent += reach
        base = self.free + low
        self.free += extent
        return base, strides

    def _sparse(self, counts, size):
        """Base and strides of an input that may repeat words or cross others."""
        strides = {loop: self.draw.randrange(-2, 3) for loop in VECTOR_LOOPS}
        reach = [strides[loop] * (counts[loop] - 1) for loop in VECTOR_LOOPS]
        least = self.written - sum(min(0, r) for r in reach)
        most = self.words - size - sum(max(0, r) for r in reach)
        return self.draw.randint(least, most), strides


    def _coefficients(self, channel, rounds):
        """Registers of K0, K1 and K2; only words that are read need to be in the scratchpad."""
        draw = self.draw
        values = {k: {"value": binary32(draw)} for k in ("k0", "k1", "k2")}
        read = [i for i in range(3) if channel >> i & 1]
        if read:
            spare = self.words - self.written - 12
            most = min(16, spare // rounds)
            stride = draw.randint(-most, most)
            reach = stride * (rounds - 1)
            base = draw.randint(self.written - 4 * read[0] - min(0, reach),
                                self.words - 4 * read[-1] - 4 - max(0, reach))
            values |= {"k.base": {"address": base}, "k.n5": {"stride": stride}}
        else:
            values |= {"k.base": {"address": draw.getrandbits(20)},
                       "k.n5": {"stride": draw.randrange(-64, 64)}}
        return values


def spoiled(values: dict, words: int, draw) -> dict:
    """A copy of `values` with one thing that is, or may be, not allowed."""
    values = {name: dict(fields) for name, fields in values.items()}
    stream = draw.choice(VECTOR_INPUTS + VECTOR_OUTPUTS)
    draw.choice((
        lambda: values["vector.counts"].update({draw.choice(VECTOR_LOOPS[:4]): 0}),
        lambda: values["vector.outer"].update({draw.choice(VECTOR_LOOPS[4:]): 0}),
        lambda: values["vector.op"].update({draw.choice("abc"): draw.randrange(8, 16)}),
        lambda: values["vector.op"].update({draw.choice("def"): draw.randrange(9, 16)}),
        lambda: values["vector.outer"].update(split=draw.choice((1, 2, 7))),
        lambda: values["vector.op"].update(activation=7),
        lambda: values[f"vector.{draw.choice(VECTOR_OUTPUTS)}.mode"].update(turn=1),
        lambda: values["vector.op"].update(reduce=3),
        lambda: values["vector.op"].update(quantum=draw.choice((-128, -65, 64, 127))),
        lambda: values["vector.tally"].update(across=1),
        lambda: values["vector.tally"].update(histogram=1),
        lambda: values[f"vector.{stream}.base"].update(address=words - draw.randrange(8)),
        lambda: values[f"vector.{stream}.base"].update(address=words),
        lambda: values[f"vector.{stream}.n01"].update(n0=draw.choice((-5000, 5000))),
        lambda: values[f"vector.{stream}.n23"].update(n3=draw.choice((-2**19, 2**19 - 1))),
        lambda: values[f"vector.{stream}.n45"].update(n5=draw.choice((-5000, 2**19 - 1))),
        lambda: values["vector.k.base"].update(address=words - draw.randrange(12)),
        lambda: values["vector.k.n5"].update(stride=draw.choice((-5000, 2**19 - 1))),
    ))()
    return values
