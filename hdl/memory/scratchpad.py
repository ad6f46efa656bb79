"""The scratchpad: banks, and who may use them in a cycle."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hdl.choose import choose
from hdl.interfaces import ReadPort, WritePort, address_bits
from hdl.memory.bank import Bank
from hdl.memory.sram import require_positive
from isa.config import WORD_BITS, WORD_BYTES, Config


def zero_flags(word):
    """For each byte of `word` whether it is +-0, byte 0 in bit 0."""
    return Cat(word.word_select(i, 8)[:7] == 0 for i in range(WORD_BYTES))


class Scratchpad(wiring.Component):
    """`config.banks` banks behind `wide` + `reads` read ports and `writes` write ports.

    Bank b holds the words whose address is b modulo `config.banks`, so that consecutive words lie
    in consecutive banks. Each bank takes one read and one write a cycle. Of several requests for it
    the port with the lowest number wins, the others' `ready` is low in that cycle; reads never lose
    to writes. Ready depends on the requests of lower ports in the same cycle, and not on the port's
    own valid. A wide request is for `config.slot` neighbouring banks, all or none: word i of it
    comes from one of the banks that are i modulo `config.slot`.

    Parameters
    ----------
    config : Config
    reads, writes : int
        Ports of a word.
    wide : int
        Read ports of `config.slot` words, which is above 1. They win before the others.

    Members
    -------
    wide_ports, read_ports, write_ports : arrays of ReadPort and WritePort; wide ones if there are
    conflicts : number of requests, reads and writes, that lost in the cycle before this one
    words_read, words_written : number of words that were asked for and taken in the cycle before

    Timing
    ------
    The answer comes one cycle after its read was taken. A word that is read in the cycle in which
    it is written is the old one; from the next cycle on it is the new one.

    Zero flags are made from the data at the write port. A word is undefined before it
    is written.
    """

    LATENCY = Bank.LATENCY

    def __init__(self, *, config: Config, reads: int, writes: int, wide: int = 0):
        require_positive(reads=reads, writes=writes)
        self.config = config
        self.reads = reads
        self.writes = writes
        self.wide = wide
        wide_ports = {"wide_ports": In(ReadPort(config, config.slot)).array(wide)} if wide else {}
        super().__init__({
            **wide_ports,
            "read_ports": In(ReadPort(config)).array(reads),
            "write_ports": In(WritePort(config)).array(writes),
            "conflicts": Out(bits_for(wide + reads + writes)),
            "words_read": Out(bits_for(wide * config.slot + reads)),
            "words_written": Out(bits_for(writes)),
        })

    def elaborate(self, platform):
        m = Module()
        banks = [Bank(depth=self.config.bank_words) for _ in range(self.config.banks)]
        for i, bank in enumerate(banks):
            m.submodules[f"bank_{i}"] = bank
        lost_reads, taken_reads = self._reads(m, banks)
        lost_writes, taken_writes = self._writes(m, banks)
        for name, found in (("conflicts", lost_reads + lost_writes), ("words_read", taken_reads),
                            ("words_written", taken_writes)):
            m.d.comb += getattr(self, name).eq(sum(_kept(m, f"{name}_{i}", value)
                                                   for i, value in enumerate(found)))
        return m

    def _split(self, address):
        """Row in the bank, and bank."""
        bank = (self.config.banks - 1).bit_length()
        return address[bank:address_bits(self.config)], address[:bank]

    def _arbitrate(self, m, requests, banks, wide):
        """Drives ready of requests for a bank each, or with `wide` for that and its neighbours;
        gives what was lost and what was taken."""
        lost, taken = [], []
        for i, (request, bank) in enumerate(zip(requests, banks, strict=True)):
            blocked = Signal(name=f"blocked_{i}")
            before = [requests[j].valid & self._meet(banks[j], wide[j], bank, wide[i])
                      for j in range(i)]
            m.d.comb += [blocked.eq(Cat(before).any()), request.ready.eq(~blocked)]
            lost.append(request.valid & blocked)
            taken.append(request.valid & ~blocked)
        return lost, taken

    def _meet(self, a, a_wide, b, b_wide):
        """Whether two requests have a bank in common."""
        if a_wide is None and b_wide is None:
            return a == b
        low = (self.config.slot - 1).bit_length()
        wide = Cat(w for w in (a_wide, b_wide) if w is not None).any()
        return (a[low:] == b[low:]) & (wide | (a[:low] == b[:low]))

    def _reads(self, m, banks):
        ports = [*(self.wide_ports if self.wide else ()), *self.read_ports]
        wide = [port.wide if i < self.wide else None for i, port in enumerate(ports)]
        requests = [port.request for port in ports]
        places = [self._split(request.payload) for request in requests]
        for b, bank in enumerate(banks):
            for i in reversed(range(len(ports))):  # the last assignment wins: the lowest port
                row, chosen = places[i]
                with m.If(requests[i].valid & self._meet(chosen, wide[i], Const(b, len(chosen)),
                                                         None)):
                    m.d.comb += [bank.read_enable.eq(1), bank.read_address.eq(row)]
        lost, taken = self._arbitrate(m, requests, [chosen for _, chosen in places], wide)
        for i, port in enumerate(ports):
            chosen = places[i][1]
            answering = Signal(len(chosen), name=f"answering_{i}", reset_less=True)
            m.d.sync += port.valid.eq(taken[i])
            with m.If(requests[i].valid):
                m.d.sync += answering.eq(chosen)
            if wide[i] is None:
                self._answer(m, answering, banks, port.data, port.zeros)
            else:
                taken[i] = self._answer_wide(m, i, answering, banks, port, taken[i])
        return lost, taken

    def _answer(self, m, number, banks, data, zeros):
        m.d.comb += [data.eq(choose([bank.read_data for bank in banks], number)),
                     zeros.eq(choose([bank.read_zeros for bank in banks], number))]

    def _answer_wide(self, m, i, answering, banks, port, taken):
        """Gives the number of words taken."""
        slot = self.config.slot
        low = (slot - 1).bit_length()
        was_wide = Signal(name=f"was_wide_{i}", reset_less=True)
        with m.If(port.request.valid):
            m.d.sync += was_wide.eq(port.wide)
        data = [Signal(WORD_BITS, name=f"data_{i}_{k}") for k in range(slot)]
        zeros = [Signal(WORD_BYTES, name=f"zeros_{i}_{k}") for k in range(slot)]
        for k in range(slot):
            self._answer(m, answering[low:], banks[k::slot], data[k], zeros[k])
            m.d.comb += [port.data[k].eq(data[k]), port.zeros[k].eq(zeros[k])]
        first = Mux(was_wide, 0, answering[:low])
        m.d.comb += [port.data[0].eq(choose(data, first)), port.zeros[0].eq(choose(zeros, first))]
        return Mux(taken, Mux(port.wide, slot, 1), 0)

    def _writes(self, m, banks):
        requests = [port.request for port in self.write_ports]
        places = [self._split(request.payload.address) for request in requests]
        flags = []
        for i, request in enumerate(requests):
            zeros = Signal(WORD_BYTES, name=f"zeros_{i}")
            m.d.comb += zeros.eq(zero_flags(request.payload.data))
            flags.append(zeros)
        for b, bank in enumerate(banks):
            for i in reversed(range(self.writes)):
                row, chosen = places[i]
                with m.If(requests[i].valid & (chosen == b)):
                    m.d.comb += [
                        bank.write_enable.eq(1),
                        bank.write_address.eq(row),
                        bank.write_data.eq(requests[i].payload.data),
                        bank.write_zeros.eq(flags[i]),
                    ]
        return self._arbitrate(m, requests, [chosen for _, chosen in places],
                               [None] * len(requests))


def _kept(m, name, value):
    """`value` of the cycle before."""
    kept = Signal.like(value, name=name)
    m.d.sync += kept.eq(value)
    return kept
