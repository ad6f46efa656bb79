"""What the cells of a library do, as functions of bits."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from synth.errors import SynthesisError
from synth.liberty import bodies, groups

_TOKEN = re.compile(r"\s*(?:([A-Za-z_]\w*)|([01])|([!'()&*|+^]))")
_ATTRIBUTE = r"\b{}\s*:\s*\"?([^\";]+?)\"?\s*;"
_STATE = re.compile(r"\bff\s*\(\s*\"?(\w+)\"?\s*,\s*\"?(\w+)\"?\s*\)")
ONES = np.uint64(2**64 - 1)

Bits = np.ndarray  # uint64: a bit a cycle, the first one in bit 0 of the first word
Function = Callable[..., Bits]


@dataclass(frozen=True)
class Gate:
    """A cell.

    Attributes
    ----------
    inputs : pins, in the order of the functions' arguments, without the clock of a flip-flop
    outputs : function of each output pin; of a flip-flop one of its state
    next_state : of a flip-flop, of its inputs and its state, else None
    keeps : of a flip-flop: its next state depends on its state
    clock : the clock pin of a flip-flop, else None
    capacitance : of each input pin, the clock among them, in the library's unit
    """

    inputs: tuple[str, ...]
    outputs: dict[str, Function]
    next_state: Function | None
    keeps: bool
    clock: str | None
    capacitance: dict[str, float]


def function(text: str, arguments: tuple[str, ...]) -> Function:
    """The Liberty expression `text` as a function of uint64 arrays, bit by bit.

    Raises
    ------
    SynthesisError : it is not an expression of `arguments`
    """
    tokens, position = [], 0
    text = text.strip()
    while position < len(text):
        found = _TOKEN.match(text, position)
        if not found or (found[1] and found[1] not in arguments):
            raise SynthesisError(f"function {text!r}: not an expression of {', '.join(arguments)}")
        tokens.append(found)
        position = found.end()
    place = 0

    def peek() -> str:
        return tokens[place][0].strip() if place < len(tokens) else ""

    def take() -> re.Match:
        nonlocal place
        if place == len(tokens):
            raise SynthesisError(f"function {text!r}: ends too early")
        place += 1
        return tokens[place - 1]

    def operand() -> str:
        token = take()
        if token[3] == "!":
            return f"~{operand()}"
        if token[3] == "(":
            inner = either()
            if take()[3] != ")":
                raise SynthesisError(f"function {text!r}: a parenthesis is missing")
        elif token[3]:
            raise SynthesisError(f"function {text!r}: no operand at {token[3]!r}")
        else:
            inner = f"p{arguments.index(token[1])}" if token[1] else f"c{token[2]}"
        while peek() == "'":
            take()
            inner = f"~{inner}"
        return f"({inner})"

    def differ() -> str:
        total = operand()
        while peek() == "^":
            take()
            total = f"({total} ^ {operand()})"
        return total

    def both() -> str:
        total = differ()
        while peek() not in ("", ")", "|", "+"):  # two operands in a row: and
            if peek() in ("&", "*"):
                take()
            total = f"({total} & {differ()})"
        return total

    def either() -> str:
        total = both()
        while peek() in ("|", "+"):
            take()
            total = f"({total} | {both()})"
        return total

    code = either()
    if place != len(tokens):
        raise SynthesisError(f"function {text!r}: {peek()!r} is not expected")
    names = ", ".join(f"p{i}" for i in range(len(arguments)))
    return eval(f"lambda {names}: {code}", {"c0": np.uint64(0), "c1": ONES})


def gates(text: str, kinds: set[str]) -> dict[str, Gate]:
    """The cells `kinds` of the library `text`; `SynthesisError` where one is not known there, or
    does more than gates and flip-flops on the rising edge do."""
    found = {name: _gate(name, text[begin:end]) for name, begin, end in bodies(text)
             if name in kinds}
    missing = sorted(kinds - found.keys())
    if missing:
        raise SynthesisError(f"cells that the library has not: {', '.join(missing)}")
    return found


def _gate(name: str, body: str) -> Gate:
    functions, inputs, capacitance = {}, [], {}
    for begin, end, pin in groups(body, ("pin",)):
        pin, said = pin.strip(' "'), body[begin:end]
        if _attribute(said, "direction") == "output":
            functions[pin] = _attribute(said, "function")
        else:
            inputs.append(pin)
            capacitance[pin] = float(_attribute(said, "capacitance") or 0)
    if not functions or None in functions.values():
        raise SynthesisError(f"cell {name}: an output without a function")
    state = _STATE.search(body)
    if not state:
        arguments = tuple(inputs)
        return Gate(arguments, {pin: function(said, arguments) for pin, said in functions.items()},
                    None, False, None, capacitance)
    clock = _attribute(body, "clocked_on")
    if clock not in inputs or _attribute(body, "clear") or _attribute(body, "preset"):
        raise SynthesisError(f"cell {name}: only flip-flops on the rising edge of a pin, without "
                             "clear and preset, can be simulated")
    arguments = tuple(pin for pin in inputs if pin != clock)
    held = {state[1]: "Q", state[2]: "!Q"}
    following = _attribute(body, "next_state")
    return Gate(arguments,
                {pin: function(held.get(said.strip(" ()"), said), ("Q",))
                 for pin, said in functions.items()},
                function(following, (*arguments, state[1])),
                re.search(rf"\b{state[1]}\b", following) is not None, clock, capacitance)


def _attribute(text: str, name: str) -> str | None:
    found = re.search(_ATTRIBUTE.format(name), text)
    return found[1] if found else None
