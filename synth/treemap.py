"""A picture of areas: nested rectangles, as squarish as they go, by instance."""

import io
from dataclasses import dataclass, field

_LEAST = 0.004  # of the whole: what is smaller is not drawn by itself
_LABEL = 0.012  # likewise, not named
_DEPTH = 3  # levels below the top
_INCHES = 12, 8


@dataclass
class Part:
    """An instance, what it measures with all below it, and what is right below it."""

    name: str
    size: float
    parts: list["Part"] = field(default_factory=list)


def parts(sizes: dict[str, float], top: str, depth: int = _DEPTH) -> Part:
    """The tree of instances from `sizes` by path (names joined by dots), down to `depth` levels.

    What an instance has beside its parts is a part without a name.
    """
    below = {}
    for path in sizes:
        if "." in path:
            below.setdefault(path.rpartition(".")[0], []).append(path)

    def part(path: str, level: int) -> Part:
        inside = [part(each, level + 1) for each in below.get(path, [])] if level < depth else []
        inside = [each for each in inside if each.size > 0]
        rest = sizes[path] - sum(each.size for each in inside)
        if inside and rest > 0:
            inside.append(Part("", rest))
        return Part(path.rpartition(".")[2], sizes[path],
                    sorted(inside, key=lambda each: -each.size))

    return part(top, 0)


def squarified(sizes: list[float], x: float, y: float, width: float,
               height: float) -> list[tuple[float, float, float, float]]:
    """Rectangles (x, y, width, height) of areas proportional to `sizes`, largest first, which fill
    a rectangle: row by row along its shorter side, each row as long as it makes it squarer."""
    total = sum(sizes)
    rectangles, first = [], 0
    while first < len(sizes):
        left = sum(sizes[first:])
        area = width * height / left if total else 0
        side = min(width, height)
        count = 1
        while first + count < len(sizes) and (
                _worst(sizes[first:first + count + 1], area, side)
                <= _worst(sizes[first:first + count], area, side)):
            count += 1
        row = sizes[first:first + count]
        thick = sum(row) * area / side
        along = 0.0
        for size in row:
            length = size * area / thick
            rectangles.append((x, y + along, thick, length) if width >= height
                              else (x + along, y, length, thick))
            along += length
        if width >= height:
            x, width = x + thick, width - thick
        else:
            y, height = y + thick, height - thick
        first += count
    return rectangles


def _worst(row: list[float], area: float, side: float) -> float:
    """The largest ratio of sides in a row."""
    thick = sum(row) * area / side
    return max(max(thick / (size * area / thick), (size * area / thick) / thick) for size in row)


def draw(root: Part, title: str, unit: str) -> bytes:
    """The picture, PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.patches import Rectangle

    figure, axes = pyplot.subplots(figsize=_INCHES)
    axes.set(xlim=(0, _INCHES[0]), ylim=(_INCHES[1], 0), title=title)
    axes.axis("off")
    colours = pyplot.get_cmap("tab10")

    def place(part: Part, box, level: int, colour) -> None:
        x, y, width, height = box
        share = part.size / root.size
        axes.add_patch(Rectangle((x, y), width, height, facecolor=colour, edgecolor="white",
                                 linewidth=max(0.3, 2 - 0.6 * level),
                                 alpha=1 if level < 2 else 0.85))
        head = 0.22 if part.parts and height > 0.6 and width > 0.8 else 0
        if part.name and share > _LABEL and (head or not part.parts):
            axes.text(x + 0.05, y + 0.04, f"{part.name} {part.size:,.0f}{unit}", va="top",
                      fontsize=max(4.5, 9 - level), clip_on=True,
                      clip_path=Rectangle((x, y), width, height, transform=axes.transData))
        drawn = [each for each in part.parts if each.size > _LEAST * root.size]
        if not drawn:
            return
        rest = part.size - sum(each.size for each in drawn)
        boxes = squarified([each.size for each in drawn] + [rest] * (rest > 0),
                           x, y + head, width, height - head)
        for number, (each, inner) in enumerate(zip(drawn, boxes, strict=False)):
            place(each, inner, level + 1, colours(number % 10) if level == 0 else colour)

    if root.size:
        place(root, (0, 0, *_INCHES), 0, "lightgrey")
    out = io.BytesIO()
    figure.savefig(out, dpi=130, bbox_inches="tight")
    pyplot.close(figure)
    return out.getvalue()


def picture(figures: dict, measure: str) -> bytes:
    """The picture of `measure` in what a target reports."""
    sizes = {name: unit[measure] for name, unit in figures["units"].items()}
    title = f"{figures['unit']} of {figures['config']}, {figures['target']}: {measure}"
    return draw(parts(sizes, figures["unit"]), title, " um2" if measure == "area" else "")
