"""Who may import whom."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("isa", "sim", "hdl", "verif", "synth", "winnow")
MAY = {
    "isa": {"isa"},
    "sim": {"sim", "isa"},
    "hdl": {"hdl", "isa"},
    "synth": {"synth", "hdl", "isa"},
    "verif": {"verif", "synth", "hdl", "sim", "isa"},
    "winnow": set(PACKAGES),
}


def imports(path: Path) -> set[str]:
    """The top packages that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: line {node.lineno}: imports are absolute here"
            names.add(node.module)
    return {name.split(".")[0] for name in names}


def serves_winnow(path: Path) -> bool:
    """Whether a file of verif is not for tests only: `winnow run` simulates with it."""
    return path.parent in (ROOT / "verif", ROOT / "verif" / "simulation")


@pytest.mark.parametrize("package", PACKAGES)
def test_imports(package):
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        wrong = imports(path) & set(PACKAGES) - MAY[package]
        if package == "verif" and not serves_winnow(path):
            wrong -= {"winnow"}
        assert not wrong, f"{path.relative_to(ROOT)} imports {', '.join(sorted(wrong))}"


def test_isa_and_sim_know_nothing_of_hardware_tools():
    for package in ("isa", "sim"):
        for path in (ROOT / package).rglob("*.py"):
            assert not imports(path) & {"amaranth", "cocotb", "pyosys"}, path
