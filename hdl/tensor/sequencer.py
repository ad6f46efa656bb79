"""The passes of a tensor operation: which word meets which tile, and where it is added."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from isa.config import WORD_BITS, Config

BANKS = 2  # halves of the accumulators: one is filled while the other is drained


def position_bits(config: Config) -> int:
    """Width of a position in a block; at least 1, since Verilog has no narrower port."""
    return max(1, (config.block - 1).bit_length())


STREAM_WORD = data.StructLayout({
    "data": WORD_BITS,
    "pass_last": 1,  # the last position of a pass
})


class Sequencer(wiring.Component):
    """Feeds the cores.

    Parameters
    ----------
    config : Config

    Members
    -------
    clear : between operations
    words : stream of `STREAM_WORD`
    tiles_ready, swap : of the tiles of all cores at work
    tile_block_last, tile_last
        Flags of the tile that is ready: it is of the last pass of a block, of the operation.
    drained : pulse; the older bank is free again
    valid, word, position, bank, first : to the cores
    final : with `valid`: the sum at this position is complete with this word
    positions_last : the last position of a block; until the end of the first pass the highest
    wait_stream, wait_stationary, wait_drain : why there is no word in this cycle, if some are left

    Timing
    ------
    The next tile is swapped in with the last word of a pass: passes follow without a gap. A block
    begins when one of the two banks is free.
    """

    def __init__(self, *, config: Config):
        self.config = config
        position = position_bits(config)
        super().__init__({
            "clear": In(1),
            "words": In(stream.Signature(STREAM_WORD)),
            "tiles_ready": In(1),
            "tile_block_last": In(1),
            "tile_last": In(1),
            "swap": Out(1),
            "drained": In(1),
            "valid": Out(1),
            "word": Out(WORD_BITS),
            "position": Out(position),
            "bank": Out(1),
            "first": Out(1),
            "final": Out(1),
            "positions_last": Out(position),
            "wait_stream": Out(1),
            "wait_stationary": Out(1),
            "wait_drain": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        loaded = Signal()  # the present tile has words to come
        last = Signal()  # the present tile is the operation's last
        complete = Signal()  # every word was fed
        begun = Signal()  # the present block has its bank
        used = Signal(range(BANKS + 1))  # banks begun and not drained
        room = Signal()
        take = Signal()
        pass_last, block_last = Signal(), Signal()
        later = Signal()  # not in the first pass of a block
        words = self.words

        m.d.comb += [
            room.eq(begun | (used < BANKS)),
            words.ready.eq(loaded & room),
            take.eq(words.valid & words.ready),
            pass_last.eq(take & words.payload.pass_last),
            block_last.eq(pass_last & self.final),
            self.swap.eq(self.tiles_ready & (~loaded | pass_last)),
            self.valid.eq(take),
            self.word.eq(words.payload.data),
            self.first.eq(~later),
            self.wait_drain.eq(~complete & ~room),
            self.wait_stationary.eq(~complete & room & ~loaded),
            self.wait_stream.eq(~complete & room & loaded & ~words.valid),
        ]
        m.d.sync += used.eq(used + (take & ~begun) - self.drained)
        with m.If(take):
            m.d.sync += [begun.eq(~block_last),
                         self.position.eq(Mux(pass_last, 0, self.position + 1))]
        with m.If(pass_last):
            m.d.sync += [loaded.eq(0), later.eq(~block_last), complete.eq(last),
                         self.positions_last.eq(self.position),
                         self.bank.eq(self.bank ^ block_last)]
        with m.If(self.swap):
            m.d.sync += [loaded.eq(1), self.final.eq(self.tile_block_last),
                         last.eq(self.tile_last)]
        with m.If(self.clear):
            m.d.sync += [loaded.eq(0), complete.eq(0), begun.eq(0), used.eq(0), later.eq(0),
                         self.position.eq(0), self.bank.eq(0), self.positions_last.eq(-1)]
        return m
