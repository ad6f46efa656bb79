"""One scratchpad port for several readers."""

from amaranth.hdl import Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.interfaces import ReadPort
from isa.config import Config


class Share(wiring.Component):
    """Gives the port to the first reader that asks. Answers need no selection: a reader knows that
    its own is due.

    Parameters
    ----------
    config : Config
    readers : int

    Members
    -------
    readers : array of ReadPort
    port : ReadPort
    """

    def __init__(self, *, config: Config, readers: int):
        self.config = config
        super().__init__({
            "readers": In(ReadPort(config)).array(readers),
            "port": Out(ReadPort(config)),
        })

    def elaborate(self, platform):
        m = Module()
        port = self.port
        asked, address = 0, 0
        for reader in reversed(list(self.readers)):
            address = Mux(reader.request.valid, reader.request.payload, address)
        for reader in self.readers:
            m.d.comb += [
                reader.request.ready.eq(port.request.ready & ~asked),
                reader.valid.eq(port.valid),
                reader.data.eq(port.data),
                reader.zeros.eq(port.zeros),
            ]
            asked = asked | reader.request.valid
        m.d.comb += [port.request.valid.eq(asked), port.request.payload.eq(address)]
        return m
