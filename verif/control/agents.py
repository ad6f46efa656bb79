"""What stands around control in its bench: units in Python, and a host that runs programs."""

from dataclasses import dataclass

import cocotb
from cocotb.triggers import RisingEdge

from hdl.interfaces import RUN_LAYOUT, SET_LAYOUT
from hdl.tensor.events import SKIPPED
from isa.assembler import assemble, to_bytes
from isa.config import Config
from isa.memmap import Control, Status, Trap, counter_offset
from verif import seeds, streams
from verif.axi.memory import ExternalMemory, Host


class Unit:
    """A unit in place of a real one: it keeps a log, and its operations take a while.

    Attributes
    ----------
    log : list of ("set", index, value), ("clear",), ("run", pc, tag), ("start", pc), ("end", pc);
        where it is left out ("left", pc, count) in the place of start
    duration : function of the pc that gives the cycles of an operation, at least 1
    traps : dict from the pc of operations that trap to the cause
    """

    def __init__(self, dut, name):
        self.dut, self.name = dut, name
        self.log = []
        self.duration = lambda pc: 1
        self.traps = {}
        self._run_task = cocotb.start_soon(self._run())

    def _port(self, member):
        return getattr(self.dut, f"{self.name}__{member}")

    async def _run(self):
        outputs = {name: self._port(name) for name in
                   ("set__ready", "run__ready", "pending", "busy", "wants", "want", "give",
                    "trap", "cause", "pc")}
        inputs = {name: self._port(name) for name in
                  ("set__valid", "set__payload", "run__valid", "run__payload", "grant", "stop")}
        pending = present = None
        left = 0
        state = {}

        def drive(**values):
            for name, value in values.items():
                if state.get(name) != value:
                    state[name] = value
                    outputs[name].value = value

        drive(set__ready=1, run__ready=1, pending=0, busy=0, wants=0, want=0, give=0, trap=0,
              cause=0, pc=0)
        while True:
            await RisingEdge(self.dut.clk)
            if streams.read(self.dut.rst):
                continue
            stop = streams.read(inputs["stop"])
            if state["set__ready"] and inputs["set__valid"].value:
                self._set(streams.read(inputs["set__payload"]))
            if present is not None:
                left -= 1
                if left < 0:
                    self.log.append(("end", present["pc"]))
                    present = None
            if state["wants"] and inputs["grant"].value:
                present, pending = pending, None
                left = self.duration(present["pc"])
                if present["leave"]:
                    left = 1
                    self.log.append(("left", present["pc"], present["count"]))
                else:
                    self.log.append(("start", present["pc"]))
            if state["run__ready"] and inputs["run__valid"].value:
                pending = streams.unpack(RUN_LAYOUT, streams.read(inputs["run__payload"]))
                self.log.append(("run", pending["pc"], pending["tag"]))
            if stop:
                pending = None
                left = min(left, 1)
            last = present is not None and left == 0
            trap = self.traps.get(present["pc"]) if last else None
            drive(
                set__ready=int(pending is None), run__ready=int(pending is None),
                pending=int(pending is not None), busy=int(present is not None),
                wants=int(pending is not None and present is None),
                want=pending["wait"] if pending else 0,
                give=present["post"] if last and trap is None and not stop else 0,
                trap=int(trap is not None), cause=int(trap or 0),
                pc=present["pc"] if present else 0,
            )

    def _set(self, payload):
        taken = streams.unpack(SET_LAYOUT, payload)
        self.log.append(("clear",) if taken["clear"]
                        else ("set", taken["index"], taken["value"]))


@dataclass
class Ending:
    """What the host reads after a program."""

    trapped: bool
    code: int
    cause: Trap
    pc: int
    instructions: int


class Bench:
    """The top with its surroundings; `run` executes a program from text or words."""

    EXTERNAL = 1 << 15
    CONFIG = Config(scratchpad_kib=1, banks=16)

    @classmethod
    async def start(cls, dut, stall=0.0):
        self = cls()
        self.dut = dut
        self.memory = ExternalMemory(dut, cls.EXTERNAL, stall)
        self.host = Host(dut, "bus", stall)
        self.tensor = Unit(dut, "tensor")
        self.vector = Unit(dut, "vector")
        self.draw = seeds.stdlib("control")
        for member in ("busy", "tag", "pc", "stream_words", "macs", *SKIPPED,
                       "wait_stream", "wait_stationary", "wait_drain", "saturations",
                       "saturations_e5m2", "nan"):
            getattr(dut, f"events__{member}").value = 0
        await streams.start(dut)
        await streams.cycles(dut, 2)
        return self

    def load(self, program, at=0):
        """Puts a program into memory; returns its number of instructions."""
        self.program = program
        words = assemble(program) if isinstance(program, str) else program
        code = to_bytes(words)
        self.memory.data[at:at + len(code)] = code
        return len(words)

    async def begin(self, at=0):
        self.tensor.log.clear()
        self.vector.log.clear()
        await self.host.write(Control.PROGRAM, at)
        await self.host.write(Control.COMMAND, 1)

    async def wait(self, most=20000):
        for _ in range(most // 20):
            await streams.cycles(self.dut, 20)
            status = await self.host.read(Control.STATUS)
            if not status >> Status.BUSY & 1:
                break
        else:
            raise AssertionError(f"the program did not end in {most} cycles: status {status:#x}, "
                                 f"pc {await self.host.read(Control.PC)}, {self.program}")
        assert status >> Status.DONE & 1
        assert self.memory.quiet, "the bus was left hanging"
        read = self.host.read
        return Ending(
            trapped=bool(status >> Status.TRAPPED & 1),
            code=await read(Control.HALT_CODE),
            cause=Trap(await read(Control.TRAP_CAUSE)),
            pc=await read(Control.TRAP_PC),
            instructions=await self.host.read64(counter_offset("instructions")),
        )

    async def run(self, program, at=0):
        self.load(program, at)
        await self.begin(at)
        return await self.wait()

    async def traps(self, program, cause, pc, at=0):
        """Runs a program that must trap."""
        ending = await self.run(program, at)
        assert (ending.trapped, ending.cause, ending.pc) == (True, cause, pc), (ending, program)
        return ending

    async def halts(self, program, at=0):
        """Runs a program that must halt with code 0."""
        ending = await self.run(program, at)
        assert not ending.trapped and ending.code == 0, (ending, program)
        assert ending.cause is Trap.NONE and ending.pc == 0
        return ending
