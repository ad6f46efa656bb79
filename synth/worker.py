"""Runs one Yosys script in a process of its own: python -m synth.worker SCRIPT.

Each command is announced on stderr as it starts; what Yosys says goes to stdout.
"""

import sys
import time

from pyosys import libyosys


def main(script: str) -> None:
    design = libyosys.Design()
    with open(script) as file:
        commands = [line.strip() for line in file if line.strip()]
    for number, command in enumerate(commands, 1):
        begin = time.monotonic()
        print(f"  [{number}/{len(commands)}] {command[:70]}", end="", file=sys.stderr, flush=True)
        libyosys.run_pass(command, design)
        print(f"  {time.monotonic() - begin:.1f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
