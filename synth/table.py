"""What a target reports, as text."""

_LEAST = 0.005  # of the whole: smaller instances are not listed
_DEPTH = 3


def text(figures: dict, measure: str) -> str:
    """The main figures, and the larger instances by `measure`."""
    lines = []
    for name, value in figures.items():
        if name in ("units", "cells_by_type"):
            continue
        if isinstance(value, dict):
            lines += [f"{name}"] + [f"  {each:<28} {_shown(number)}"
                                    for each, number in value.items()]
        else:
            lines.append(f"{name:<30} {_shown(value)}")
    units = figures["units"]
    whole = units[figures["unit"]][measure] or 1
    lines += ["", f"{'instance':<44} {measure:>14}      %"]
    lines += [f"{'  ' * path.count('.') + path.rpartition('.')[2]:<44} "
              f"{unit[measure]:>14,.0f} {unit[measure] / whole:>6.1%}"
              for path, unit in units.items()
              if path.count(".") <= _DEPTH and unit[measure] >= _LEAST * whole]
    return "\n".join(lines)


def _shown(value) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 100 else f"{value:,.1f}"
    if isinstance(value, int):
        return f"{value:,}"
    return ", ".join(value) if isinstance(value, list) else str(value)
