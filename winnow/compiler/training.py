"""Training programs: what is in external memory, and the assembly text of steps on it."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

from isa.assembler import assemble
from isa.config import LANES, WORD_BYTES, Config
from isa.expressions import float_bits
from isa.instructions import INSTRUCTION_BYTES
from isa.registers import TAGS
from winnow.compiler import live, moves, scaling
from winnow.compiler.backward import Backward
from winnow.compiler.choices import Choices
from winnow.compiler.drains import GROUP_WORDS
from winnow.compiler.forming import Forming
from winnow.compiler.forward import Forward
from winnow.compiler.gating.thresholds import Thresholds
from winnow.compiler.loss import Loss
from winnow.compiler.memory import Memory, Stored
from winnow.compiler.operations import Buffer, Operation, Tag
from winnow.compiler.order import order, straight_lines
from winnow.compiler.placement import PlacementError
from winnow.compiler.pruning.refresh import Refresh
from winnow.compiler.recipe import PHASES, Recipe
from winnow.compiler.scalars import (
    COUNTED,
    DATA,
    DUE,
    FACTOR,
    KEY,
    LIMIT,
    LOG,
    MEAN,
    NOW,
    PASSED,
    RATE,
    SCALE,
)
from winnow.compiler.scaling import State
from winnow.compiler.schedule import Schedule, schedule
from winnow.compiler.step import PLANS, TIGHT, Plan, Rules, Step, TileError
from winnow.compiler.text import ProgramText, signed
from winnow.errors import UserError
from winnow.graph import lower
from winnow.network import Network

EXTERNAL_MOST = 1 << 31  # what the immediate of a move's address reaches
PROGRAM_INSTRUCTIONS = 1 << 20
LONG = 10_000  # operations of a step for which one plan is enough
ROUND_BYTES = 1 << 26  # of images that lie in memory at once
LOSS_WANTED = 1  # the code of a halt until the host has written the errors of the scores


@dataclass(frozen=True)
class Counted:
    """What one counter group of the chip counts: a phase of one layer, or of all `others`."""

    name: str
    phase: str
    layers: tuple[int, ...]


class TrainingProgram:
    """Programs that train `network` on a chip of `config`, and that evaluate it.

    The host works in rounds: it writes the images and targets of up to `round_steps` steps to
    `data`, starts a program, and reads the scores of each step from `log`; where images are skipped
    a list of those that are not lies before them. Where the host computes the loss, a program of
    training is one step, and halts with `LOSS_WANTED` behind its forward part; the host puts the
    errors of the scores, laid out like these, in the place of targets, and lets it go on.
    Everything that lasts is in external memory between rounds: `parameters` (what stays in the
    scratchpad during one), `weights`, `masters`, `moments` and `state`. The seed is that of the
    random bits.
    """

    def __init__(self, config: Config, network: Network, recipe: Recipe):
        self.config, self.network, self.recipe = config, network, recipe
        self.graph = lower(network)
        self.layers = self.graph.layers
        self.counted = _counted(self.layers)
        self.tags = {(i, group.phase): tag for tag, group in enumerate(self.counted)
                     for i in group.layers}
        _check_chip(config, recipe)
        self.memory = Memory(config, self.graph, recipe)
        self.external = self.memory.external
        self._map_external()
        self._assembled: dict[tuple[int, float | None, float], list[list[int]]] = {}

    def _map_external(self):
        region, memory, batch = self.external.region, self.memory, self.recipe.batch
        region("parameters", WORD_BYTES * sum(b.words for b in memory.resident))
        region("state", WORD_BYTES * scaling.WORDS * self.keeps_state)
        target_bytes = WORD_BYTES * memory.eights * memory.classes
        self.score_bytes = GROUP_WORDS * target_bytes
        self.image_bytes = WORD_BYTES * batch * self.graph.maps[0].shape.words
        self.step_bytes = self.image_bytes + (
            self.score_bytes if self.recipe.by_host else target_bytes)
        self.list_bytes = WORD_BYTES * memory.eights * bool(self.recipe.skipping)
        self.log_bytes = self.list_bytes + self.score_bytes
        self.round_steps = max(1, ROUND_BYTES // self.step_bytes)
        region("log", self.round_steps * self.log_bytes)
        region("data", self.round_steps * self.step_bytes)
        region("program", PROGRAM_INSTRUCTIONS * INSTRUCTION_BYTES)
        if self.external.size > EXTERNAL_MOST:
            raise UserError(f"network {self.network.name}: needs {self.external.size} bytes of "
                            f"external memory, at most {EXTERNAL_MOST}")

    def address(self, region: str) -> int:
        return self.external.regions[region][0]

    def tag(self, layer: int, phase: str) -> Tag:
        """The counter group of a layer's phase."""
        return Tag(self.tags.get((layer, phase), 0), phase)

    @property
    def keeps_state(self) -> bool:
        """Whether a step depends on more than weights: random bits, a scale that changes, when
        masks are chosen."""
        r = self.recipe
        return bool(r.dynamic or r.stochastic or r.refresh or r.skipping == "random"
                    or "bfloat16" in (r.masters, r.moments))

    @property
    def rules(self) -> Rules:
        return Rules(self.recipe, rate=RATE, key=KEY, scale=SCALE, mean=MEAN,
                     factor=FACTOR, live=LIMIT)

    @cached_property
    def training(self) -> Schedule:
        """The operations of a training step."""
        return self._best(self._train, PLANS)

    @cached_property
    def evaluation(self) -> Schedule:
        """The operations of a step that only computes scores, with running statistics."""
        # No weight learns: plans differ in their share alone.
        return self._best(self._evaluate, tuple({p.share: p for p in PLANS}.values()))

    def _train(self, step: Step) -> None:
        forming = Forming(step)
        Forward(step, forming).run(True, self.tag)
        step.emit(moves.store(step.scores, self.address("log") + self.list_bytes, LOG))
        targets = None if self.recipe.by_host else Buffer("targets", step.errors.words)
        fill = moves.fill(targets or step.scores, self.address("data") + self.image_bytes, DATA)
        fill.resumed = self.recipe.by_host
        step.emit(fill)
        classes = self.layers[-1].output.channels
        step.emit(Loss(self.recipe.loss, classes, self.memory, step.scores, targets, step.errors,
                       step.rules, step.precise).operations())
        if step.live:
            step.emit(step.live.choose(classes, step.precise, step.errors,
                                       self.address("parameters")))
            step.emit(moves.store(step.live.list, self.address("log"), LOG))
        Backward(step, forming).run(self.tag)

    def _evaluate(self, step: Step) -> None:
        Forward(step, Forming(step)).run(False, self.tag)
        step.emit(moves.store(step.scores, self.address("log") + self.list_bytes, LOG))

    def _best(self, emit: Callable[[Step], None], plans: tuple[Plan, ...]) -> Schedule:
        """The plan with the fewest estimated cycles, of those that fit."""
        images = Stored("images", self.graph.maps[0].shape, self.address("data"),
                        self.memory.layouts.maps, DATA)
        found, error = [], None
        for plan in (*plans, *TIGHT):
            if found and plan in TIGHT:
                break
            step = Step(self.memory, self.rules, images, plan)
            try:
                emit(step)
                found.append(schedule(self.config, step.operations, self.memory.resident))
            except (TileError, PlacementError) as mistake:
                error = error or mistake
            else:
                if len(step.operations) > LONG:
                    break
        if not found:
            raise error
        best = min(found, key=lambda s: s.cycles)
        for line in straight_lines(best.operations):
            order(line)
        return best

    def text(self, steps: int, rate: float | None, seed: int = 0,
             state: State | None = None, density: float = 1.0) -> str:
        """A program of `steps` steps in assembly: training with that learning rate, where weights
        are pruned to that density, or, without a rate, evaluation; by default the first of a run.
        """
        head = self._head(rate, seed, state)
        return (f"    ; {self.network.name}: {steps} steps of {self.recipe.batch} images\n"
                + "".join(head + body for body in self._bodies(steps, rate, density)))

    def _head(self, rate: float | None, seed: int, state: State | None) -> str:
        """What differs from one round of a kind to the next."""
        if rate is None or not self.keeps_state:
            return ""
        text = ProgramText()
        scaling.begin(text, self.recipe, seed, state or State.first(self.recipe))
        return str(text)

    def _bodies(self, steps: int, rate: float | None, density: float) -> list[str]:
        """All but the heads: a part for each start of the program, which begins with a head. Where
        there are several `steps` is 1."""
        step = self.evaluation if rate is None else self.training
        *halted, last = straight_lines(step.operations)
        if halted and steps > 1:
            raise ValueError(f"{steps} steps in a program that halts in each: must be 1")
        text, bodies = self._begun(rate), []
        self._resident(text, moves.fill)
        for line in halted:
            text.operations(line)
            text.line(f"halt {LOSS_WANTED}")
            bodies.append(str(text))
            text = self._begun(rate)
        with text.loop(steps, "steps") if steps > 1 else nullcontext():
            text.operations(last)
            if rate is not None:
                self._advance(text, density)
            text.line(f"addi r{DATA}, r{DATA}, {self.step_bytes}")
            text.line(f"addi r{LOG}, r{LOG}, {self.log_bytes}")
        if rate is not None:
            self._resident(text, moves.store)
            if self.keeps_state:
                scaling.end(text, self.address("state"))
        text.line("halt 0")
        return [*bodies, str(text)]

    def _begun(self, rate: float | None) -> ProgramText:
        """Text that begins with the registers that do not differ from round to round."""
        text = ProgramText()
        for register in (DATA, LOG):
            text.line(f"li r{register}, 0")
        if rate is not None:
            text.line(f"li r{RATE}, {signed(float_bits(-rate))}", f"learning rate -{rate}")
        return text

    def _advance(self, text: ProgramText, density: float) -> None:
        """After a training step: what the next one begins with."""
        if self.keeps_state:
            scaling.advance(text, self.recipe)
        if self.memory.threshold:  # of the step's histogram, which choosing masks overwrites
            live.advance(text, self.memory, self.recipe, LIMIT, (NOW, COUNTED, PASSED))
        self._refresh(text, density)

    def _refresh(self, text: ProgramText, density: float) -> None:
        """After a step: masks are chosen, and thresholds of gates moved, if they are due."""
        if not self.recipe.refresh:
            return
        text.line(f"addi r{DUE}, r{DUE}, -1")
        text.line(f"li r{NOW}, 0")
        text.line(f"li r{COUNTED}, 1")
        text.line(f"skip eq, r{DUE}, r{NOW}, +1")
        text.line(f"li r{COUNTED}, 0")
        with text.times(COUNTED, "refresh"):
            if self.recipe.prune:
                self._masks.text(text, density, LIMIT, (NOW, COUNTED, PASSED))
            if self.memory.gated:
                text.operations(self._thresholds)
            text.line(f"li r{DUE}, {self.recipe.refresh}")

    @cached_property
    def _masks(self) -> Refresh:
        return Refresh(self.memory, self.recipe.prune, KEY, Choices(self.memory, self.recipe))

    @cached_property
    def _thresholds(self) -> list[Operation]:
        return Thresholds(self.memory, self.recipe.gate).operations()

    def _resident(self, text: ProgramText, move) -> None:
        """Moves what stays in the scratchpad, all at its beginning."""
        words = sum(b.words for b in self.memory.resident)
        if words:
            text.operations([move(Buffer("resident", words, 0), self.address("parameters"))])

    def instructions(self, steps: int, rate: float | None, seed: int = 0,
                     state: State | None = None, density: float = 1.0) -> list[int]:
        """The program of `text`, assembled; rounds of the same kind share all but its head."""
        kind = steps, rate, density
        if kind not in self._assembled:
            self._assembled[kind] = [assemble(body, self.network.name)
                                     for body in self._bodies(*kind)]
        head = assemble(self._head(rate, seed, state))
        words = [*chain(*(head + body for body in self._assembled[kind]))]
        if len(words) > PROGRAM_INSTRUCTIONS:
            raise UserError(f"network {self.network.name}: its program has {len(words)} "
                            f"instructions, at most {PROGRAM_INSTRUCTIONS} fit")
        return words


def _counted(layers) -> list[Counted]:
    """A counter group for each phase that a layer has; where there are more of these than groups,
    the last layers share theirs."""
    own = [[Counted(layer.name, phase, (i,)) for phase in PHASES
            if not (phase == "BP" and i == 0) and not (phase == "WU" and not layer.learns)]
           for i, layer in enumerate(layers)]
    if sum(map(len, own)) <= TAGS:
        return [*chain(*own)]
    first = next(i for i in range(len(own)) if sum(map(len, own[:i + 1])) > TAGS - len(PHASES))
    return [*chain(*own[:first])] + [
        Counted("others", phase, tuple(g.layers[0] for groups in own[first:] for g in groups
                                       if g.phase == phase)) for phase in PHASES]


def _check_chip(config: Config, recipe: Recipe) -> None:
    """`UserError` for what no placement could mend."""
    if config.block < LANES:
        raise UserError(f"block = {config.block}: training needs at least {LANES}, a weight "
                        f"gradient turns {LANES} words of the stream")
    if recipe.gate and config.slot == 1:
        raise UserError("slot = 1: gates need slots of at least 2 words, as in configuration bench")
    if config.mode == "e4m3":
        raise UserError("mode = 'e4m3': training needs mixed or e5m2, errors are E5M2")
