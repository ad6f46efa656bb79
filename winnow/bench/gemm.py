"""`winnow bench gemm`: matrix products on the generated Verilog, each checked to the bit."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import log2

import numpy as np

from isa.config import WORD_BYTES, Config
from winnow import progress
from winnow.bench import operands, reference
from winnow.bench.lowering import lower
from winnow.bench.programs import ISSUE, straight
from winnow.bench.shapes import Gemm
from winnow.chip import CYCLES_AT_ONCE, simulated
from winnow.compiler import moves
from winnow.compiler.placement import External
from winnow.host import Driver, ModelDevice

PROGRAM_BYTES = 4096
UNTOUCHED = 0x5A  # what the result's buffer holds before


@dataclass(frozen=True)
class Result:
    """One product. `cycles` are from the issue of the tensor instruction to the last write;
    `utilisation` is m * n * k of the multiply-adds that all cores could do in them; `macs`,
    `words_read` and `words_written` are the chip's counters over the operation alone."""

    m: int
    n: int
    k: int
    cores: int
    cycles: int
    macs: int
    utilisation: float
    words_read: int
    words_written: int
    predicted_cycles: int
    equal: bool  # to the model, every byte of memory, and to a product in float64


class Job:
    """A product with its place in external memory, its programs and its operands."""

    def __init__(self, config: Config, shape: Gemm, generator: np.random.Generator):
        self.shape = shape
        self.scale = -round(log2(shape.k) / 2)
        self.lowered = lower(config, shape, self.scale)
        self.external = External()
        low = self.lowered
        for name in ("fill", "compute", "store"):
            self.external.region(name, PROGRAM_BYTES)
        for buffer in (low.stream, low.tiles, low.result):
            self.external.region(buffer.name, buffer.words * WORD_BYTES)
        self.a = operands.draw(generator, shape.m, shape.k)
        self.b = operands.draw(generator, shape.k, shape.n)

    def place(self, memory: np.ndarray) -> None:
        """Write programs and operands."""
        low = self.lowered
        at = {name: start for name, (start, _) in self.external.regions.items()}
        buffers = (low.stream, low.tiles, low.result)
        programs = {
            "fill": [moves.fill(buffer, at[buffer.name]) for buffer in buffers],
            "compute": [low.operation],
            "store": [moves.store(low.result, at[low.result.name])],
        }
        for name, operations in programs.items():
            code = straight(operations, "gemm")
            memory[at[name]:at[name] + code.size] = code
        for name, image in zip(("stream", "tiles"), operands.images(low.cut, self.a, self.b),
                               strict=True):
            memory[at[name]:at[name] + image.size] = image
        memory[self.external.slice("result")] = UNTOUCHED

    def run(self, driver: Driver, units: int, tick=lambda _: None) -> dict[str, int]:
        """The three programs; the counters of the operation."""
        for name in ("fill", "compute", "store"):
            driver.execute(self.external.regions[name][0], units, lambda _: tick(0))
            if name == "compute":
                counters = driver.counters()
        return counters

    def right(self, memory: np.ndarray) -> bool:
        """Whether the result in memory is the product in float64, rounded."""
        found = operands.product(self.lowered.cut, memory[self.external.slice("result")])
        return np.array_equal(found, reference.product(self.a, self.b, self.scale))


def measure(config: Config, shapes: list[Gemm], *, seed: int = 0, stalls: float = 0.0,
            show: bool = True) -> Iterator[Result]:
    """Run each product on the Verilog, and on the model.

    Parameters
    ----------
    seed : of the operands and of the stalls
    stalls : probability of a stall of each channel of external memory in each cycle
    show : a progress bar on stderr

    All shapes are lowered before anything is built; `UserError` names the one that does not fit.
    """
    jobs = [Job(config, shape, np.random.default_rng([seed, number]))
            for number, shape in enumerate(shapes)]
    size = max(job.external.size for job in jobs)
    with simulated(config, size, show=show, seed=seed + 1, stalls=stalls) as chip, \
            progress.bar(show, total=sum(job.lowered.predicted for job in jobs), desc="products",
                         unit="cycle", unit_scale=True) as bar:
        model = ModelDevice(config, size)
        on_chip, on_model = Driver(chip), Driver(model)
        done = 0
        for job in jobs:
            for memory in (chip.memory, model.memory):
                job.place(memory)
            bar.set_postfix_str(str(job.shape), refresh=False)
            counters = job.run(on_chip, CYCLES_AT_ONCE, bar.update)
            job.run(on_model, CYCLES_AT_ONCE)
            done += job.lowered.predicted
            bar.update(done - bar.n)
            equal = np.array_equal(chip.memory, model.memory) and job.right(chip.memory)
            yield _result(config, job, counters, equal)


def _result(config: Config, job: Job, counters: dict[str, int], equal: bool) -> Result:
    shape, cycles = job.shape, counters["tensor_busy"] + ISSUE
    return Result(
        shape.m, shape.n, shape.k, config.cores, cycles, counters["macs"],
        round(shape.macs / (config.macs_per_cycle * cycles), 4),
        counters["words_read"], counters["words_written"], job.lowered.predicted + ISSUE, equal)


def table(results: list[Result]) -> str:
    """The figures, a line a product."""
    lines = [f"{'m x n x k':>20} {'cores':>5} {'cycles':>10} {'utilisation':>11} {'read':>10} "
             f"{'written':>8} {'predicted':>10}"]
    for r in results:
        shape = f"{r.m} x {r.n} x {r.k}"
        lines.append(f"{shape:>20} {r.cores:>5} {r.cycles:>10} {r.utilisation:>11.1%} "
                     f"{r.words_read:>10} {r.words_written:>8} {r.predicted_cycles:>10}"
                     + ("" if r.equal else "  DIFFERS"))
    return "\n".join(lines)


def as_json(results: list[Result]) -> list[dict]:
    return [asdict(result) for result in results]
