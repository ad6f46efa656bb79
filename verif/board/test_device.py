"""The host's side of the serial line, against a board played by the model; and a whole board."""

import numpy as np
import pytest

from hdl.board.top import Board
from isa.assembler import assemble, to_bytes
from isa.config import Config
from isa.memmap import Trap
from isa.serial import DONE, REQUEST_BYTES, Op
from verif import bench, seeds
from winnow.board import BoardDevice
from winnow.host import DeviceError, Driver, ModelDevice, TrapRaised

MEMORY = 1 << 13
CONFIG = Config(scratchpad_kib=16)
COPY = """
set move.counts, words=64, n1=1, n2=1
set move.external.base, address=4096
run move, post=1
set move.external.base, address=6144
set move.mode, store=1
run move
fence
halt 7
"""


class ModelBoard:
    """A link whose other end is the model behind a bridge."""

    def __init__(self, device):
        self.device, self.up = device, False
        self.coming, self.answer = bytearray(), bytearray()
        self.requests = []

    def write(self, data):
        self.coming += data
        while len(self.coming) >= REQUEST_BYTES and self._serve():
            pass

    def read(self, size):
        got, self.answer = self.answer[:size], self.answer[size:]
        return bytes(got)

    def _serve(self):
        op, units = Op(self.coming[0]), self.coming[1] + 1
        address = int.from_bytes(self.coming[2:REQUEST_BYTES], "little")
        unit = {Op.WRITE_CONTROL: 4, Op.WRITE_MEMORY: 8}.get(op, 0)
        if len(self.coming) < REQUEST_BYTES + unit * units:
            return False
        data = bytes(self.coming[REQUEST_BYTES:REQUEST_BYTES + unit * units])
        del self.coming[:REQUEST_BYTES + unit * units]
        self.requests.append((op, address, units))
        memory = self.device.memory
        match op:
            case Op.READ_CONTROL:
                self.answer += self.device.read32(address).to_bytes(4, "little")
            case Op.WRITE_CONTROL:
                self.device.write32(address, int.from_bytes(data, "little"))
                self.answer.append(DONE)
            case Op.READ_MEMORY:
                self.answer += memory[address:address + 8 * units].tobytes()
            case Op.WRITE_MEMORY:
                memory[address:address + 8 * units] = np.frombuffer(data, np.uint8)
                self.answer.append(DONE)
            case Op.INTERRUPT:
                self.answer.append(self.device.run(1 << 20))
        return True


def place(memory, text, data):
    program = np.frombuffer(to_bytes(assemble(text)), np.uint8)
    memory[:program.size] = program
    memory[4096:4096 + data.size] = data


def test_driver_on_a_board():
    data = seeds.generator("board").integers(0, 256, 512).astype(np.uint8)
    link = ModelBoard(ModelDevice(CONFIG, MEMORY))
    board = BoardDevice(link, MEMORY)
    driver = Driver(board)
    place(board.memory, COPY, data)
    assert driver.execute(0) == 7
    assert (board.memory[6144:6144 + 512] == data).all()
    assert (board.memory == link.device.memory).all()
    assert driver.counters()["words_filled"] == 64

    # the second time only what changed goes over
    link.requests.clear()
    board.memory[4096:4104] ^= 1
    board.memory[4112:4128] ^= 1
    assert driver.execute(0) == 7
    written = [each for each in link.requests if each[0] is Op.WRITE_MEMORY]
    assert written == [(Op.WRITE_MEMORY, 4096, 1), (Op.WRITE_MEMORY, 4112, 2)]
    assert (board.memory[6144:6144 + 512] == board.memory[4096:4096 + 512]).all()

    place(board.memory, "nop\n.word 0\nhalt 0", data)
    with pytest.raises(TrapRaised) as trap:
        driver.execute(0)
    assert (trap.value.cause, trap.value.pc) == (Trap.ILLEGAL, 1)


def test_a_board_that_is_not_there():
    class Silent(ModelBoard):
        def write(self, data):
            pass

    with pytest.raises(DeviceError, match="gave 0 bytes of 4: is it there"):
        Driver(BoardDevice(Silent(None), MEMORY))

    class Wrong(Silent):
        def read(self, size):
            return b"?" * size

    with pytest.raises(DeviceError, match="answered 0x3f to a write, not 0xa5"):
        BoardDevice(Wrong(None), MEMORY).write32(0, 1)
    with pytest.raises(ValueError, match="memory_bytes = 9: must be a multiple of 8"):
        BoardDevice(Silent(None), 9)


@pytest.mark.slow
def test_whole_board():
    bench.run(Board(config=CONFIG, memory_words=MEMORY // 8, divisor=4), "verif.board.bench_board",
              parameters={"divisor": 4, "bytes": MEMORY})
