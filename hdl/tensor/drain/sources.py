"""What the drain reads: bias, aux, mask, norm, and statistics."""

from amaranth.hdl import Cat, Module, Mux
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.interfaces import ReadPort, registers_layout
from hdl.streams.reader import WordReader
from hdl.streams.walker import item_layout
from hdl.tensor.drain.bias import WORDS as BIAS_WORDS
from hdl.tensor.drain.companions import COMPANION_LAYOUT, Companions
from hdl.tensor.drain.expand import Expand
from hdl.tensor.drain.share import Share
from hdl.tensor.nest import drain_loops, section_loops, tensor_walker
from isa.config import WORD_BITS, Config
from isa.registers import AuxMode, StatsMode, Unit


class Sources(wiring.Component):
    """Reads words for the drain in its order, through one port.

    Parameters
    ----------
    config : Config

    Members
    -------
    start : pulse
    clear : everything is forgotten, nothing is asked for; also with `start`
    registers
    port : ReadPort
    bias : stream of words, `bias.WORDS` a block, group and core, if there is bias
    aux : stream of words, one or `config.raw_words` a position, in the order of `Expand`
    companions : stream of `COMPANION_LAYOUT`, one a position, if there is mask or norm
    asked : stream of `item_layout(1)`: raw positions
    stored : stream of their words, in the order of `Expand`
    trap : an address is out of range

    Timing
    ------
    A word a cycle for all together. What a whole block waits for comes first, then what is nearer
    to the end of the drain.
    """

    def __init__(self, *, config: Config):
        self.config = config
        words = stream.Signature(WORD_BITS)
        super().__init__({
            "start": In(1),
            "clear": In(1),
            "registers": In(registers_layout(Unit.TENSOR)),
            "port": Out(ReadPort(config)),
            "bias": Out(words),
            "aux": Out(words),
            "companions": Out(stream.Signature(COMPANION_LAYOUT)),
            "asked": In(stream.Signature(item_layout(1))),
            "stored": Out(words),
            "trap": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        readers = [self._bias(m), self._stored(m), self._companions(m), self._aux(m)]
        m.submodules.share = share = Share(config=self.config, readers=len(readers))
        for i, reader in enumerate(readers):
            connect(m, reader.port, share.readers[i])
            m.d.comb += reader.clear.eq(self.clear)
        connect(m, share.port, flipped(self.port))
        m.d.comb += self.trap.eq(Cat(reader.trap for reader in readers).any())
        return m

    def _give(self, m, reader, words):
        m.d.comb += [
            words.valid.eq(reader.words.valid),
            words.payload.eq(reader.words.payload.data),
            reader.words.ready.eq(words.ready),
        ]

    def _bias(self, m):
        loops = ("word", *section_loops(self.config))
        walker = tensor_walker(m, "bias_walker", self.registers, "bias", loops,
                               start=self.start & self.registers.mode.bias, stop=self.clear,
                               counts={"word": BIAS_WORDS}, strides={"word": 1, "group": 0})
        m.submodules.bias_reader = reader = WordReader(config=self.config, loops=len(loops))
        connect(m, walker.items, reader.items)
        self._give(m, reader, self.bias)
        return reader

    def _aux(self, m):
        mode = self.registers.mode
        loops = drain_loops(self.config)
        element = mode.aux == AuxMode.ELEMENT
        strides = {loop: Mux(element, self.registers[f"output_{loop}"].stride,
                             self.registers[f"aux_{loop}"].stride) for loop in loops}
        walker = tensor_walker(m, "aux_walker", self.registers, "aux", loops, place="output",
                               start=self.start & mode.aux.any(), stop=self.clear,
                               strides=strides)
        m.submodules.expand = expand = Expand(config=self.config, loops=len(loops))
        m.submodules.aux_reader = reader = WordReader(config=self.config, loops=len(loops))
        connect(m, walker.items, expand.items)
        connect(m, expand.words, reader.items)
        m.d.comb += [expand.clear.eq(self.clear), expand.raw.eq(mode.aux == AuxMode.RAW)]
        self._give(m, reader, self.aux)
        return reader

    def _companions(self, m):
        mode, loops = self.registers.mode, drain_loops(self.config)
        norm = mode.stats == StatsMode.NORM
        walker = tensor_walker(m, "companion_walker", self.registers, "aux", loops,
                               place="output", base=0, stop=self.clear,
                               start=self.start & (mode.mask | norm))
        m.submodules.companion_pairs = pairs = Companions(loops=len(loops))
        m.submodules.companion_reader = reader = WordReader(config=self.config, loops=len(loops))
        connect(m, walker.items, pairs.items)
        connect(m, pairs.asked, reader.items)
        connect(m, reader.words, pairs.words)
        connect(m, pairs.companions, flipped(self.companions))
        m.d.comb += [
            pairs.clear.eq(self.clear),
            pairs.mask.eq(mode.mask),
            pairs.norm.eq(norm),
            pairs.mask_base.eq(self.registers.mask_base.address),
            pairs.norm_base.eq(self.registers.norm_base.address),
        ]
        return reader

    def _stored(self, m):
        m.submodules.stored_expand = expand = Expand(config=self.config, loops=1)
        m.submodules.stored_reader = reader = WordReader(config=self.config, loops=1)
        connect(m, flipped(self.asked), expand.items)
        connect(m, expand.words, reader.items)
        m.d.comb += [expand.clear.eq(self.clear), expand.raw.eq(1)]
        self._give(m, reader, self.stored)
        return reader
