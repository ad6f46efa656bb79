"""Cell libraries: Liberty files, checked, unpacked, and with less in them than they come with."""

import gzip
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from hdl.cache import cached, digest
from synth.errors import SynthesisError
from synth.fanout import Buffer


def numeric(name: str) -> re.Pattern:
    """Finds a number that is called `name`."""
    return re.compile(rf"\b{name}\s*:\s*\"?([\d.eE+-]+)")


_GZIP = b"\x1f\x8b"
_AREA = numeric("area")
_COMMENT = re.compile(r"(?s)/\*.*?\*/")
_CELL = re.compile(r"\bcell\s*\(\s*\"?([^\s\")]+)\"?\s*\)\s*\{")
_FLIP_FLOP = re.compile(r"\bff(?:_bank)?\s*\(")
_LATCH = re.compile(r"\blatch(?:_bank)?\s*\(")
_DIRECTION = re.compile(r"\bdirection\s*:\s*\"?(\w+)")
_FUNCTION = re.compile(r"\bfunction\s*:\s*\"([^\"]+)\"")
_BRACE = re.compile(r"[{}]")
_UNITS = re.compile(r"time_unit\s*:\s*([^;]+);"), re.compile(r"capacitive_load_unit\s*(\([^)]*\))")
_VOLTS = re.compile(r"\bnom_voltage\s*:\s*\"?([\d.]+)")
_TEMPLATES = "lu_table_template", "power_lut_template"
_POWER = ("internal_power", "leakage_power")
_GROUND = re.compile(r"\bpg_pin\s*\(\s*\"?(\w+)\"?\s*\)\s*"
                     r"\{[^{}]*?\bpg_type\s*:\s*\"?primary_ground\b")
_RAIL = re.compile(r"\brelated_pg_pin\s*:\s*\"?(\w+)")
_UNUSED = ("output_current_rise", "output_current_fall", "receiver_capacitance1_rise",
           "receiver_capacitance1_fall", "receiver_capacitance2_rise", "receiver_capacitance2_fall",
           "ccsn_first_stage", "ccsn_last_stage", "dynamic_current", "intrinsic_parasitic")


@dataclass(frozen=True)
class Library:
    """The cells of one or more Liberty files.

    Attributes
    ----------
    name : of the result's target
    path : one file of all cells, unpacked, power left out: what mapping and timing read
    powered : the same with power, that of the ground rail left out: what comes in by the supply
        goes out by the ground, so that both together would count it twice
    held : names of the cells that are flip-flops or latches
    areas : of the cells, by name
    outputs : output pins of each cell
    buffer : of the cells that are one, that of the middle area
    volts : its nominal supply, 0 where it says none
    key : digest of the contents
    """

    name: str
    path: Path
    powered: Path
    held: frozenset[str]
    areas: dict[str, float]
    outputs: dict[str, set[str]]
    buffer: Buffer | None
    volts: float
    key: str


def load(paths: list[Path], name: str = "liberty") -> Library:
    """The library in `paths`.

    Raises
    ------
    SynthesisError
        A file is missing, damaged, truncated or not Liberty; or all of them together have no
        flip-flop, or no other cell.
    """
    if not paths:
        raise SynthesisError("target liberty: give at least one file, --target liberty PATH...")
    texts = {path: _COMMENT.sub(" ", _read(path)) for path in map(Path, paths)}
    flip_flops, others, logic = set(), set(), set()
    for path, text in texts.items():
        for kinds, found in zip((flip_flops, others, logic), _cells(path, text), strict=True):
            kinds |= found
    named = ", ".join(str(path) for path in texts)
    if not flip_flops:
        raise SynthesisError(f"{named}: no flip-flop; needed is a file with cells that have ff(), "
                             "maybe another file of the same library")
    if not logic:
        raise SynthesisError(f"{named}: only flip-flops, latches and clock gates; needed is a file "
                             "with gates, maybe another file of the same library")
    for pattern in _UNITS:
        found = {tuple(re.sub(r"\s", "", unit) for unit in pattern.findall(text))
                 for text in texts.values()}
        if len(found) > 1:
            raise SynthesisError(f"{named}: not of one library: their units differ, "
                                 f"{' and '.join(sorted(', '.join(units) for units in found))}")
    key = digest([*texts.values(), Path(__file__)])

    def make(directory: Path) -> None:
        (directory / "cells.lib").write_text(
            _joined([without(text, _POWER + _UNUSED) for text in texts.values()]))
        (directory / "power.lib").write_text(
            _joined([_supplied(without(text, _UNUSED)) for text in texts.values()]))

    volts = _VOLTS.search(next(iter(texts.values())))
    directory = cached("synth", f"{name}-library", key, make)
    areas, outputs, buffers = {}, {}, []
    for text in texts.values():
        for cell, begin, end in bodies(text):
            area = _AREA.search(text, begin, end)
            areas[cell] = float(area[1]) if area else 0.0
            pins = _pins(text[begin:end])
            outputs[cell] = {pin for pin, (direction, _) in pins.items() if direction == "output"}
            if len(pins) == 2 and len(outputs[cell]) == 1 and cell in logic:
                output, = outputs[cell]
                source, = pins.keys() - {output}
                if re.sub(r"[()\s]", "", pins[output][1]) == source:
                    buffers.append((areas[cell], Buffer(cell, source, output)))
    buffers.sort(key=lambda each: each[0])
    return Library(name, directory / "cells.lib", directory / "power.lib",
                   frozenset(flip_flops | others), areas, outputs,
                   buffers[len(buffers) // 2][1] if buffers else None,
                   float(volts[1]) if volts else 0.0, key)


def _read(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise SynthesisError(f"{path}: cannot be read: {error.strerror}") from None
    if raw.startswith(_GZIP):
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error):
            raise SynthesisError(f"{path}: a gzip file that is damaged or truncated") from None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise SynthesisError(f"{path}: not a Liberty file: it is not text") from None


def _cells(path: Path, text: str) -> tuple[set[str], set[str], set[str]]:
    """Flip-flops; latches and clock gates; and other cells."""
    if not re.search(r"\blibrary\s*\(", text):
        raise SynthesisError(f"{path}: not a Liberty file: it has no library()")
    opened, closed = text.count("{"), text.count("}")
    if opened != closed:
        raise SynthesisError(f"{path}: truncated: {opened} groups begin and {closed} end")
    starts = [(found[1], found.end()) for found in _CELL.finditer(text)]
    if not starts:
        raise SynthesisError(f"{path}: a Liberty file without cells")
    flip_flops, others, logic = set(), set(), set()
    ends = [start for _, start in starts[1:]] + [len(text)]
    for (name, start), end in zip(starts, ends, strict=True):
        if _FLIP_FLOP.search(text, start, end):
            flip_flops.add(name)
        elif (_LATCH.search(text, start, end)
              or text.find("clock_gating_integrated_cell", start, end) >= 0):
            others.add(name)
        elif _FUNCTION.search(text, start, end):
            logic.add(name)
    return flip_flops, others, logic


def bodies(text: str) -> Iterator[tuple[str, int, int]]:
    """Each cell, and where its body begins and ends at the latest."""
    for found, following in pairwise([*_CELL.finditer(text), None]):
        yield found[1], found.end(), following.start() if following else len(text)


def _pins(body: str) -> dict[str, tuple[str, str]]:
    """Direction and function of the pins of a cell; those of power are none."""
    pins = {}
    for begin, end, name in groups(body, ("pin",)):
        direction = _DIRECTION.search(body, begin, end)
        function = _FUNCTION.search(body, begin, end)
        pins[name.strip(' "')] = (direction[1] if direction else "",
                                  function[1] if function else "")
    return pins


def without(text: str, names: tuple[str, ...],
            which: Callable[[str], bool] = lambda group: True) -> str:
    """`text` without groups of these names, or those of them for which `which` holds."""
    kept, position = [], 0
    for start, end, _ in groups(text, names):
        if which(text[start:end]):
            kept.append(text[position:start])
            position = end
    return "".join(kept) + text[position:]


def _supplied(text: str) -> str:
    """`text` without the power of ground rails."""
    grounds = set(_GROUND.findall(text))

    def at_ground(group: str) -> bool:
        rail = _RAIL.search(group)
        return rail is not None and rail[1] in grounds

    return without(text, _POWER, at_ground)


def groups(text: str, names: tuple[str, ...]) -> Iterator[tuple[int, int, str]]:
    """Groups of these names, not those inside of one: begin, end, and what is in parentheses."""
    begin = re.compile(rf"\b(?:{'|'.join(names)})\s*\(([^)]*)\)\s*\{{")
    position = 0
    while found := begin.search(text, position):
        depth, position = 1, found.end()
        while depth:
            brace = _BRACE.search(text, position)
            depth += 1 if brace[0] == "{" else -1
            position = brace.end()
        yield found.start(), position, found[1]


def _joined(texts: list[str]) -> str:
    """One library: the first, with the cells of the others and the templates that it has not."""
    first, *others = texts
    known = {name for _, _, name in groups(first, _TEMPLATES)}
    more = []
    for text in others:
        for begin, end, name in groups(text, _TEMPLATES):
            if name not in known:
                known.add(name)
                more.append(text[begin:end])
        more += [text[begin:end] for begin, end, _ in groups(text, ("cell",))]
    return "\n".join([first[:first.rindex("}")], *more, "}\n"])


def sky130(pdk_root: str | None) -> Path:
    """The typical corner of sky130's high density cells under PDK_ROOT, as ciel lays it out."""
    if not pdk_root:
        raise SynthesisError("target sky130: PDK_ROOT is not set; it is the folder into which ciel "
                             "put the PDK (`ciel enable --pdk-family sky130 VERSION`)")
    below = Path("sky130A", "libs.ref", "sky130_fd_sc_hd", "lib",
                 "sky130_fd_sc_hd__tt_025C_1v80.lib")
    root = Path(pdk_root)
    places = [root / below, *sorted(root.glob(f"ciel/sky130/versions/*/{below}")),
              *sorted(root.glob(f"sky130/versions/*/{below}"))]
    found = [place for place in places if place.exists()]
    if not found:
        raise SynthesisError(f"target sky130: {places[0]} is not there, nor below "
                             f"{root}/ciel/sky130/versions; PDK_ROOT = {pdk_root} must be laid out "
                             "as ciel does")
    return found[0]
