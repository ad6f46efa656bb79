"""The share of a datapath in an operation that several of them work on."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.vector.layouts import (
    COUNTS,
    GROUP_INDEX_BITS,
    NUMBER_STRIDE_BITS,
    REGISTERS,
    STRIDES,
)
from isa.registers import (
    ADDRESS_BITS,
    STRIDE_BITS,
    VECTOR_INPUTS,
    VECTOR_LOOPS,
    VECTOR_OUTPUTS,
)

STREAMS = (*VECTOR_INPUTS, *VECTOR_OUTPUTS)
NUMBER_STRIDES = data.StructLayout(dict.fromkeys(VECTOR_LOOPS, signed(NUMBER_STRIDE_BITS)))
_K_LOOP = VECTOR_LOOPS.index("n5")  # the loop that moves the coefficients


class Split(wiring.Component):
    """Datapath d of V works on the rounds d, d + V, d + 2V... of the loop that is split.

    Parameters
    ----------
    datapaths : V, a power of two
    index : d

    Members
    -------
    registers : the operation's
    none : there is no such round; where nothing is split, for all datapaths but the first
    counts
    bases, strides : of x, y, z, o0, o1, o2, with the strides from n0 on
    number_base, number_strides : of the groups' numbers, which need more bits
    k_base, k_stride : of the coefficients by channel

    Timing
    ------
    Combinational.
    """

    def __init__(self, *, datapaths: int, index: int):
        self.datapaths = datapaths
        self.index = index
        super().__init__({
            "registers": In(REGISTERS),
            "none": Out(1),
            "counts": Out(COUNTS),
            "bases": Out(ADDRESS_BITS).array(len(STREAMS)),
            "strides": Out(STRIDES).array(len(STREAMS)),
            "number_base": Out(GROUP_INDEX_BITS),
            "number_strides": Out(NUMBER_STRIDES),
            "k_base": Out(ADDRESS_BITS),
            "k_stride": Out(signed(STRIDE_BITS)),
        })

    def elaborate(self, platform):
        m = Module()
        registers = self.registers
        rows = (registers.counts, registers.outer)
        mine = Signal(len(VECTOR_LOOPS))  # bit i: loop i is the one
        m.d.comb += mine.eq(Cat(registers.outer.split == i + 1 for i in range(len(VECTOR_LOOPS))))
        shift = (self.datapaths - 1).bit_length()
        counts = [row[loop] for row in rows for loop, _ in row.shape() if loop in VECTOR_LOOPS]
        for loop, here, count in zip(VECTOR_LOOPS, mine, counts, strict=True):
            share = count + (self.datapaths - 1 - self.index) >> shift
            m.d.comb += self.counts[loop].eq(Mux(here, share, count))
        m.d.comb += self.none.eq(Cat(self.counts[loop] == 0 for loop in VECTOR_LOOPS).any()
                                 | (~mine.any() & (self.index != 0)))

        for i, name in enumerate(STREAMS):
            steps = self._steps(name)
            m.d.comb += [
                self.bases[i].eq(self._base(m, name, registers[f"{name}_base"].address, mine,
                                            steps)),
                *(self.strides[i][loop].eq(Mux(here, step << shift, step))
                  for loop, here, step in zip(VECTOR_LOOPS, mine, steps, strict=True)),
            ]
        k_step, number_steps = registers.k_n5.stride, self._steps("number")
        m.d.comb += [
            self.number_base.eq(self._base(m, "number", registers.number_base.word, mine,
                                           number_steps)),
            *(self.number_strides[loop].eq(Mux(here, step << shift, step))
              for loop, here, step in zip(VECTOR_LOOPS, mine, number_steps, strict=True)),
            self.k_base.eq(self._base(m, "k", registers.k_base.address, mine[_K_LOOP:], [k_step])),
            self.k_stride.eq(Mux(mine[_K_LOOP], k_step << shift, k_step)),
        ]
        return m

    def _steps(self, name):
        """The strides of a stream, n0 first."""
        return [self.registers[f"{name}_{pair}"][f"n{n}"] for pair in ("n01", "n23", "n45")
                for n in pair[1:]]

    def _base(self, m, name, base, mine, steps):
        """Where the first round of this datapath begins; at the base where nothing is split."""
        step = Signal(signed(STRIDE_BITS), name=f"{name}_step")
        for here, each in zip(mine, steps, strict=True):
            with m.If(here):
                m.d.comb += step.eq(each)
        return base + self.index * step
