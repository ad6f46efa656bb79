"""FP8 elements as fixed-point numbers of the accumulators."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed

from hdl.tensor.core.decode import OperandDecoder
from isa.config import TREES, Config
from isa.formats import E5M2

ELEMENT_EXPONENT = E5M2.lowest_exponent  # of the lowest bit of an element: no format has a lower
ELEMENT_BITS = 33  # signed
LIFTED = 18  # exponent of a code whose lifted exponent is zero, see `OperandDecoder`


def element_shift(config: Config) -> int:
    """Zeros below an element in an accumulator."""
    return ELEMENT_EXPONENT - config.lowest_exponent


def lifted_decoder(m: Module, name: str, codes: Value, format_: Value) -> OperandDecoder:
    """A decoder, added to `m`, of codes of either format: a code is significand * 2^(exponent -
    LIFTED)."""
    m.submodules[name] = decoder = OperandDecoder(wide=True)
    m.d.comb += [decoder.codes.eq(codes), decoder.format.eq(format_), decoder.lift.eq(1)]
    return decoder


def of_lane(planes, lane: int) -> Value:
    """The number that a lane has in a list of planes."""
    return Cat(plane[lane] for plane in planes)


def fixed(m: Module, name: str, sign: Value, exponent: Value, significand: Value) -> Signal:
    """The value of a code in units of 2^ELEMENT_EXPONENT."""
    drop = LIFTED + ELEMENT_EXPONENT
    placed = Signal(ELEMENT_BITS - 1 + drop, name=f"{name}_placed")
    result = Signal(signed(ELEMENT_BITS), name=name)
    m.d.comb += [
        placed.eq(significand << exponent),
        result.eq(Mux(sign, -placed[drop:], placed[drop:])),
    ]
    return result


def in_accumulator(config: Config, value: Value) -> Value:
    """A number in units of 2^ELEMENT_EXPONENT in those of an accumulator."""
    return Cat(Const(0, element_shift(config)), value).as_signed()


def fixed_elements(m: Module, sign: Value, exponent, significand) -> list[Value]:
    """The values of 8 codes, planes of a decoder, in units of 2^ELEMENT_EXPONENT."""
    return [fixed(m, f"element_{i}", sign[i], of_lane(exponent, i), of_lane(significand, i))
            for i in range(TREES)]
