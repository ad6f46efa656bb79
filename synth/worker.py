"""Runs one Yosys script in a process of its own: python -m synth.worker SCRIPT NAME.

Each command is reported on stderr when it is done; what Yosys says goes to stdout.
"""

import sys
import time

from pyosys import libyosys

_SHOWN = 70  # characters of a command


def main(script: str, name: str) -> None:
    design = libyosys.Design()
    with open(script) as file:
        commands = [line.strip() for line in file if line.strip()]
    for number, command in enumerate(commands, 1):
        begin = time.monotonic()
        libyosys.run_pass(command, design)
        print(f"  {name} {number}/{len(commands)}  {command[:_SHOWN]}  "
              f"{time.monotonic() - begin:.1f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
