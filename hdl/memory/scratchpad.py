"""The scratchpad: banks, and who may use them in a cycle."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hdl.interfaces import ReadPort, WritePort, address_bits
from hdl.memory.bank import Bank
from hdl.memory.sram import require_positive
from isa.config import WORD_BYTES, Config


def zero_flags(word):
    """For each byte of `word` whether it is +-0, byte 0 in bit 0."""
    return Cat(word.word_select(i, 8)[:7] == 0 for i in range(WORD_BYTES))


class Scratchpad(wiring.Component):
    """`config.banks` banks behind `reads` read ports and `writes` write ports.

    Bank b holds the words whose address is b modulo `config.banks`, so that consecutive words lie
    in consecutive banks. Each bank takes one read and one write a cycle. Of several requests for it
    the port with the lowest number wins, the others' `ready` is low in that cycle; reads never lose
    to writes. Ready depends on the requests of lower ports in the same cycle, and not on the port's
    own valid.

    Members
    -------
    read_ports, write_ports : arrays of ReadPort and WritePort
    conflicts : number of requests, reads and writes, that lost in this cycle
    words_read, words_written : number of requests that were taken in this cycle

    Timing
    ------
    The answer comes one cycle after its read was taken. A word that is read in the cycle in which
    it is written is the old one; from the next cycle on it is the new one.

    Zero flags are made from the data at the write port. A word is undefined before it
    is written.
    """

    LATENCY = Bank.LATENCY

    def __init__(self, *, config: Config, reads: int, writes: int):
        require_positive(reads=reads, writes=writes)
        self.config = config
        self.reads = reads
        self.writes = writes
        super().__init__({
            "read_ports": In(ReadPort(config)).array(reads),
            "write_ports": In(WritePort(config)).array(writes),
            "conflicts": Out(bits_for(reads + writes)),
            "words_read": Out(bits_for(reads)),
            "words_written": Out(bits_for(writes)),
        })

    def elaborate(self, platform):
        m = Module()
        banks = [Bank(depth=self.config.bank_words) for _ in range(self.config.banks)]
        for i, bank in enumerate(banks):
            m.submodules[f"bank_{i}"] = bank
        lost_reads, taken_reads = self._reads(m, banks)
        lost_writes, taken_writes = self._writes(m, banks)
        m.d.comb += [
            self.conflicts.eq(sum(lost_reads) + sum(lost_writes)),
            self.words_read.eq(sum(taken_reads)),
            self.words_written.eq(sum(taken_writes)),
        ]
        return m

    def _split(self, address):
        """Row in the bank, and bank."""
        bank = (self.config.banks - 1).bit_length()
        return address[bank:address_bits(self.config)], address[:bank]

    def _arbitrate(self, m, requests, banks):
        """Drives ready of (request, address) pairs; gives what was lost and what was taken."""
        lost, taken = [], []
        for i, (request, bank) in enumerate(zip(requests, banks, strict=True)):
            blocked = Signal(name=f"blocked_{i}")
            before = [requests[j].valid & (banks[j] == bank) for j in range(i)]
            m.d.comb += [blocked.eq(Cat(before).any()), request.ready.eq(~blocked)]
            lost.append(request.valid & blocked)
            taken.append(request.valid & ~blocked)
        return lost, taken

    def _reads(self, m, banks):
        requests = [port.request for port in self.read_ports]
        places = [self._split(request.payload) for request in requests]
        for b, bank in enumerate(banks):
            for i in reversed(range(self.reads)):  # the last assignment wins: the lowest port
                row, chosen = places[i]
                with m.If(requests[i].valid & (chosen == b)):
                    m.d.comb += [bank.read_enable.eq(1), bank.read_address.eq(row)]
        lost, taken = self._arbitrate(m, requests, [chosen for _, chosen in places])
        for i, port in enumerate(self.read_ports):
            chosen = places[i][1]
            answering = Signal(len(chosen), name=f"answering_{i}", reset_less=True)
            m.d.sync += port.valid.eq(taken[i])
            with m.If(requests[i].valid):
                m.d.sync += answering.eq(chosen)
            with m.Switch(answering):
                for b, bank in enumerate(banks):
                    with m.Case(b):
                        m.d.comb += [port.data.eq(bank.read_data), port.zeros.eq(bank.read_zeros)]
        return lost, taken

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
        return self._arbitrate(m, requests, [chosen for _, chosen in places])
