"""Runs a cocotb bench on the generated Verilog of a component, from a pytest function.

    def test_thing():
        bench.run(Thing(width=8), "verif.things.bench_thing", parameters={"width": 8})

The module's `@cocotb.test()` coroutines run on the component as the top module; what is in
`parameters` they read with `bench.parameters()`. WINNOW_SEED reruns a seed, WINNOW_WAVES=1 writes
waves.
"""

import hashlib
import json
import os
import re
import sys
import xml.etree.ElementTree
from pathlib import Path

from cocotb_tools.runner import Verilator

from hdl.emit import emit, verilog_files
from verif import build, inputs, seeds

LINT = Path(__file__).with_name("lint.vlt")

_ARGUMENTS = ["--x-assign", "fast", "--x-initial", "unique", "--no-assert", "-O3", "--trace-depth",
              "8"]
_FLAGS = {"OPT_FAST": "-O1", "OPT_SLOW": "-O0", "OPT_GLOBAL": "-O1"}
_PORT = re.compile(r"(?m)^  (input|output) (?:\[\d+:0\] )?(\w+);")


class BenchError(AssertionError):
    """A test of the bench failed, or none ran. The message has the seed and the end of the log."""


class _Runner(Verilator):
    """cocotb's runner without --public-flat-rw, which makes build and simulation slow: the top's
    ports are named in a .vlt file instead."""

    def _simulator_in_path_build_only(self):
        self.executable = build.verilator()

    def _build_command(self):
        translate, _ = super()._build_command()
        return [[argument for argument in translate if argument != "--public-flat-rw"]]

    def _execute(self, cmds, cwd):
        for command in cmds:
            build.execute(command, Path(cwd))
        build.make(Path(self.build_dir), "Vtop.mk", {**_FLAGS, "VM_TRACE": str(int(self.waves))})


def parameters() -> dict:
    """In a bench: what the launcher gave as `parameters`."""
    return json.loads(os.environ.get("WINNOW_PARAMETERS", "{}"))


def run(component, test_module: str, *, name: str | None = None, parameters: dict | None = None,
        testcase: str | None = None, waves: bool | None = None) -> None:
    """Builds `component` as a top module and runs the cocotb tests of `test_module` on it.

    Parameters
    ----------
    component : wiring.Component
        Emitted as its own top: ports are named by their path, joined by two underscores.
    test_module : str
        The module with the cocotb tests.
    name : str
        Of the top module and of the directories under build/; by default the class's, lower case.
    parameters : dict
        JSON values for the bench.
    testcase : str
        Runs only this test.
    waves : bool
        Writes dump.vcd in the run's directory; by default where WINNOW_WAVES is 1.

    Raises
    ------
    BenchError
        A test failed, or none ran.
    """
    name = name or type(component).__name__.lower()
    waves = os.environ.get("WINNOW_WAVES") == "1" if waves is None else waves
    seed = seeds.seed()
    verilog = emit(component, name)
    ports = _ports(verilog, name)
    # what is built finds cocotb's libraries where this Python's packages are
    key = build.digest([verilog, *verilog_files(), LINT, build.version(),
                        repr((_ARGUMENTS, _FLAGS, name, waves, sys.prefix))])

    def make(directory: Path) -> None:
        source = directory / f"{name}.v"
        source.write_text(verilog)
        public = directory / "public.vlt"
        public.write_text(_public(ports, name))
        _Runner().build(sources=[LINT, public, *verilog_files(), source], hdl_toplevel=name,
                        build_dir=directory, build_args=_ARGUMENTS, waves=waves,
                        timescale=("1ns", "1ps"))

    directory = build.cached("bench", name, key, make)
    given = json.dumps(parameters or {}, sort_keys=True)
    label = hashlib.sha256(given.encode()).hexdigest()[:8]
    where = build.BUILD / "runs" / f"{name}.{test_module.rsplit('.')[-1]}.{label}"
    environment = {
        "WINNOW_PARAMETERS": given,
        seeds.VARIABLE: str(seed),
        inputs.VARIABLE: " ".join(port for direction, port in ports if direction == "input"),
    }
    _simulate(name, directory, where, test_module, testcase, waves, seed, environment)
    ran, failed, text = _judge(where)
    print(f"{test_module} on {name}, {given}, {seeds.VARIABLE}={seed}: log in {where}")
    if failed or not ran:
        what = f"failed: {', '.join(failed)}" if failed else "no test ran"
        raise BenchError(f"{test_module} on {name} with {given}, rerun with {seeds.VARIABLE}={seed}"
                         f": {what}\n{text}")


def _simulate(name, directory, where, test_module, testcase, waves, seed, environment):
    runner = Verilator()
    where.mkdir(parents=True, exist_ok=True)
    results = where / "results.xml"
    results.unlink(missing_ok=True)
    pytest_name = os.environ.pop("PYTEST_CURRENT_TEST", None)  # else the runner judges, and exits
    try:
        runner.test(test_module=["verif.inputs", test_module], hdl_toplevel=name,
                    hdl_toplevel_lang="verilog", build_dir=directory, test_dir=where,
                    results_xml=str(results), log_file=where / "run.log", testcase=testcase,
                    waves=waves, seed=seed, extra_env=environment | {"COCOTB_ANSI_OUTPUT": "0"},
                    plusargs=["+verilator+rand+reset+2", f"+verilator+seed+{seed % 2**31 or 1}"])
    finally:
        if pytest_name is not None:
            os.environ["PYTEST_CURRENT_TEST"] = pytest_name


def _judge(where: Path) -> tuple[int, list[str], str]:
    """How many tests ran, the names of those that failed, and the end of the log."""
    log, results = where / "run.log", where / "results.xml"
    text = log.read_text(errors="replace") if log.exists() else ""
    end = "\n".join(text.splitlines()[-60:])
    if not results.exists():
        return 0, ["the simulation ended without results"], end
    cases = list(xml.etree.ElementTree.parse(results).iter("testcase"))
    ran = [case for case in cases if case.find("skipped") is None]
    failed = [case.get("name") for case in ran
              if case.find("failure") is not None or case.find("error") is not None]
    return len(ran), failed, end


def _ports(verilog: str, top: str) -> list[tuple[str, str]]:
    """(input or output, name) of the ports of the module `top`."""
    body = verilog[re.search(rf"(?m)^module {top}\(", verilog).start():]
    return _PORT.findall(body[:body.index("endmodule")])


def _public(ports: list[tuple[str, str]], top: str) -> str:
    """A .vlt file that names the top's ports as public."""
    lines = [f'public_flat_rw -module "{top}" -var "{port}"' for _, port in ports]
    return "`verilator_config\n" + "\n".join(lines) + "\n"
