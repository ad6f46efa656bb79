"""`winnow bench sparsity`: what zeros, and outputs that nobody needs, are worth on the Verilog.

One layer, its forward pass, backward pass and weight update as single operations, with random zeros
of a chosen density, each with and without leaving out; every byte equal to the model's, and to the
operation that leaves nothing out.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product

import numpy as np

from isa.config import WORD_BYTES, Config
from isa.registers import Skip
from winnow import pictures, progress
from winnow.bench.layer import Phase, phases
from winnow.bench.programs import ISSUE, straight
from winnow.chip import CYCLES_AT_ONCE, simulated
from winnow.compiler import moves
from winnow.compiler.operations import Buffer, Operation
from winnow.compiler.placement import External
from winnow.errors import UserError
from winnow.host import Driver, ModelDevice

PROGRAM_BYTES = 1 << 16
DENSITIES = (1.0, 0.75, 0.5, 0.35, 0.2, 0.1, 0.05)
SKIPPED = ("skipped_tiles", "skipped_outputs", "skipped_elements")
# What is sparse in a phase, and what the operation is then asked to leave out.
MECHANISMS = {
    "tiles": Skip.TILES,
    "elements": Skip.ELEMENTS,
    "outputs": Skip.OUTPUTS,
    "weights": Skip.ELEMENTS,  # as the stream
    "tiles and elements": Skip.TILES | Skip.ELEMENTS,
    "tiles and outputs": Skip.TILES | Skip.OUTPUTS,
}


@dataclass(frozen=True)
class Result:
    """One operation. `density` is what was asked for of each sparse operand, `live` the share of
    the multiply-adds that are left; cycles are from the issue to the last write, `ratio` is over
    those of the same operation with nothing left out."""

    phase: str
    mechanism: str
    cores: int  # of a group
    groups: int
    density: float
    live: float
    cycles: int
    dense_cycles: int
    ratio: float
    utilisation: float  # multiply-adds that are left over what all cores could do
    macs: int
    skipped_tiles: int
    skipped_outputs: int
    skipped_elements: int
    equal: bool  # every byte, to the model and to the dense operation; every multiply-add counted


def check(densities: list[float]) -> None:
    """`UserError` for what is no density."""
    for density in densities:
        if not 0 < density <= 1:
            raise UserError(f"density = {density}: must be above 0, at most 1")


class Bench:
    """Runs programs on the Verilog and on the model.

    Parameters
    ----------
    chip, model : devices with the same memory
    external : where operands (as they lie in the scratchpad), programs and results are
    """

    def __init__(self, config: Config, chip, model, external: External):
        self.config, self.external = config, external
        self.devices = chip, model
        self.drivers = [Driver(device) for device in self.devices]

    def run(self, operations: list[Operation]) -> dict[str, int]:
        """The counters of the chip."""
        code = straight(operations, "sparsity")
        start, _ = self.external.regions["program"]
        for driver in self.drivers:
            driver.device.memory[start:start + code.size] = code
            driver.execute(start, CYCLES_AT_ONCE)
        return self.drivers[0].counters()

    def load(self, words: np.ndarray) -> None:
        """The scratchpad."""
        for device in self.devices:
            device.memory[self.external.slice("operands")] = words.view(np.uint8)
        whole = Buffer("operands", words.size, 0)
        self.run([moves.fill(whole, self.external.regions["operands"][0])])

    def result(self, buffer: Buffer) -> tuple[bytes, bool]:
        """The bytes of a result, and whether all memory is equal."""
        self.run([moves.store(buffer, self.external.regions["result"][0])])
        chip, model = (device.memory for device in self.devices)
        where = self.external.slice("result")
        return chip[where].tobytes(), bool(np.array_equal(chip, model))

    def compare(self, case: Phase, skip: Skip) -> tuple[dict[str, int], dict[str, int], bool]:
        """The operation with nothing left out, and with `skip`: counters of both, and whether every
        byte is equal, to the model's and to one another, and every multiply-add counted once."""
        found = []
        for kinds in (Skip.NONE, skip):
            counters = self.run([case.operation(kinds)])
            found.append((counters, *self.result(case.result)))
        (dense, expected, same), (sparse, result, too) = found
        counted = dense["macs"] == sparse["macs"] + sum(sparse[name] for name in SKIPPED)
        return dense, sparse, same and too and expected == result and counted


def memory(config: Config, cases: list[Phase]) -> External:
    """Where a program, the scratchpad before it, and a result lie."""
    external = External()
    external.region("program", PROGRAM_BYTES)
    external.region("operands", WORD_BYTES * config.words)
    external.region("result", WORD_BYTES * max(case.result.words for case in cases))
    return external


def measure(config: Config, channels: int, size: int, images: int, densities: list[float], *,
            seed: int = 0, show: bool = True) -> Iterator[Result]:
    """All phases and mechanisms at all densities.

    Parameters
    ----------
    channels, size, images : of the layer's input and output, a 3x3 convolution of maps of
        `size` x `size` pixels
    densities : shares that are not zero, from above 0 to 1
    seed : of the operands
    show : a progress bar on stderr
    """
    check(densities)
    cases = list(phases(config, channels, size, images))
    external = memory(config, cases)
    total = sum(len(case.mechanisms) for case in cases) * len(densities)
    with simulated(config, external.size, show=show, seed=seed + 1) as chip, \
            progress.bar(show, total=total, desc="operations") as bar:
        bench = Bench(config, chip, ModelDevice(config, external.size), external)
        for number, case in enumerate(cases):
            for mechanism, density in product(case.mechanisms, densities):
                generator = np.random.default_rng([seed, number, round(1000 * density)])
                yield _compare(config, bench, case, mechanism, density, generator)
                bar.update()


def _compare(config: Config, bench: Bench, case: Phase, mechanism: str, density: float,
             generator: np.random.Generator) -> Result:
    """One operation, with nothing left out and then with `mechanism`."""
    bench.load(case.operands(generator, dict.fromkeys(mechanism.split(" and "), density)))
    dense, sparse, equal = bench.compare(case, MECHANISMS[mechanism])
    done = sparse["macs"]
    cycles, before = (counters["tensor_busy"] + ISSUE for counters in (sparse, dense))
    return Result(
        case.name, mechanism, case.cores, case.groups, density, round(done / dense["macs"], 4),
        cycles, before, round(cycles / before, 4),
        round(done / (cycles * config.macs_per_cycle), 4), done,
        *(sparse[name] for name in SKIPPED), equal=equal)


def table(results: list[Result]) -> str:
    """A line for each mechanism of a phase: cycles over dense ones by density."""
    densities = sorted({r.density for r in results}, reverse=True)
    rows = {}
    for r in results:
        rows.setdefault((r.phase, f"{r.groups} x {r.cores}", r.mechanism), {})[r.density] = r
    lines = [f"{'':<3} {'groups':>7} {'left out':<19}"
             + "".join(f"{density:>8}" for density in densities)]
    for (phase, groups, mechanism), found in rows.items():
        lines.append(f"{phase:<3} {groups:>7} {mechanism:<19}" + "".join(
            f"{found[d].ratio:>8.3f}" if d in found else f"{'':>8}" for d in densities)
            + ("" if all(r.equal for r in found.values()) else "  DIFFERS"))
    return "\n".join(lines)


def as_json(results: list[Result]) -> list[dict]:
    return [asdict(result) for result in results]


def picture(results: list[Result]) -> bytes:
    """A PNG: cycles over dense ones by density, a curve for each mechanism, a field a phase."""
    names = list(dict.fromkeys(r.phase for r in results))
    figure, fields = pictures.pyplot().subplots(
        1, len(names), figsize=(5 * len(names), 4.5), sharey=True, squeeze=False,
        layout="constrained")
    for field, phase in zip(fields[0], names, strict=True):
        rows = [r for r in results if r.phase == phase]
        for kind in dict.fromkeys((r.mechanism, r.groups, r.cores) for r in rows):
            curve = sorted((r.density, r.ratio) for r in rows
                           if (r.mechanism, r.groups, r.cores) == kind)
            field.plot(*zip(*curve, strict=True), marker=".",
                       label=f"{kind[0]}, {kind[1]} x {kind[2]}")
        field.plot([0, 1], [0, 1], color="grey", linestyle="--", label="density")
        field.set(title=phase, xlabel="density", xlim=(0, 1), ylim=(0, None))
        field.legend(fontsize="small")
    fields[0][0].set_ylabel("cycles over dense")
    return pictures.png(figure)
