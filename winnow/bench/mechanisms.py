"""What benches that train turn on and off."""

from dataclasses import dataclass

from isa.config import Config
from isa.registers import Skip
from winnow.compiler.recipe import KINDS
from winnow.errors import UserError

EXACT = tuple(KINDS)  # what operations leave out: no bit depends on it
WHOLE = tuple(kind.name.lower() for kind in Skip)  # of these, all there is
# Those that change what is trained: the settings that each has of its own, with its values where
# they are not those of training (None).
TRAINING = {
    "prune": {"prune": "element", "density": None, "refresh": None, "regrow": None,
              "stream": None},
    "lasso": {"prune": "group", "density": None, "refresh": None, "regrow": None, "shrink": 0.5},
    "gate": {"gate": 0.3, "gate_groups": None},
    "images": {"skip_images": "quantile:0.5"},
}
MECHANISMS = (*EXACT, *TRAINING)
OPTIONS = tuple({option: None for own in TRAINING.values() for option in own})


@dataclass(frozen=True)
class Variant:
    """Mechanisms that are on, exact ones first; and which operand streams where weights are pruned,
    if not as the settings of training say: no bit depends on it."""

    name: str
    mechanisms: tuple[str, ...]
    stream: str | None = None

    @property
    def skip(self) -> str:
        """Its exact mechanisms, as a recipe has them."""
        return ",".join(m for m in self.mechanisms if m in EXACT) or "none"

    @property
    def program(self) -> dict[str, str]:
        """What a recipe has of it that no bit depends on."""
        return {"skip": self.skip} | ({"stream": self.stream} if self.stream else {})

    @property
    def training(self) -> tuple[str, ...]:
        """Those that change what is trained."""
        return tuple(m for m in self.mechanisms if m not in EXACT)


def chosen(names: list[str], config: Config, given: dict,
           bench: str | None = None) -> dict[str, dict]:
    """The settings of each mechanism, by its name, in the order of `MECHANISMS`.

    Parameters
    ----------
    names : of mechanisms
    config : the chip
    given : settings of `OPTIONS` that a user gave
    bench : whose mechanisms they are, if the user does not name them
    """
    text = bench or ",".join(names)
    flag = bench or f"--mechanisms {text}"
    for name in names:
        if name not in MECHANISMS:
            raise UserError(f"{flag}: must be some of {', '.join(MECHANISMS)} with "
                            f"commas between, not {name!r}")
        if names.count(name) > 1:
            raise UserError(f"{flag}: has {name} twice")
        if name in EXACT and config.slot == 1:
            raise UserError(f"{flag}: training leaves out no {name} with slot = 1, "
                            f"which configuration {config.name} has")
    if {"prune", "lasso"} <= set(names):
        raise UserError(f"{flag}: prune and lasso are two rules for the same weights, "
                        f"at most one can be there")
    made = {name: {option: given.get(option, value)
                   for option, value in TRAINING.get(name, {}).items()
                   if given.get(option, value) is not None}
            for name in MECHANISMS if name in names}
    for option, value in given.items():
        setting = f"--{option.replace('_', '-')} {value}"
        if not any(option in own for own in made.values()):
            raise UserError(f"{setting}: no mechanism of {text} has such a setting")
        if value == "none" or (option == "shrink" and not value):
            raise UserError(f"{setting}: is without the mechanism that it is of"
                            + ("" if bench else f", leave that out of --mechanisms {text}"))
    return made


def variants(mechanisms: tuple[str, ...]) -> list[Variant]:
    """Nothing, each mechanism alone, all, all without each one; and what these are compared with:
    the same training with no exact mechanism. No set comes twice."""
    sets = {(): "none"} | {(m,): m for m in mechanisms}
    sets.setdefault(mechanisms, "all")
    for without in mechanisms:
        rest = tuple(m for m in mechanisms if m != without)
        sets.setdefault(rest, f"all but {without}")
    made = [Variant(name, found) for found, name in sets.items()]
    for variant in made[:]:
        if variant.training not in sets:
            sets[variant.training] = "+".join(variant.training)
            made.append(Variant(sets[variant.training], variant.training))
    return made
