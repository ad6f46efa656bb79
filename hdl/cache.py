"""A cache of what is built from Verilog, keyed by content."""

import fcntl
import hashlib
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

BUILD = Path(__file__).resolve().parents[1] / "build"


def digest(parts: Iterable[str | bytes | Path]) -> str:
    """A key of the contents of `parts`; of a path, the file's."""
    total = hashlib.sha256()
    for part in parts:
        raw = part.read_bytes() if isinstance(part, Path) else part
        raw = raw.encode() if isinstance(raw, str) else raw
        total.update(len(raw).to_bytes(8, "little") + raw)
    return total.hexdigest()[:16]


def cached(kind: str, name: str, key: str, make: Callable[[Path], None]) -> Path:
    """The directory build/`kind`/`name`-`key`, filled by `make` where it is not complete yet.

    Processes that want the same one wait for each other.
    """
    directory = BUILD / kind / f"{name}-{key}"
    done = directory / ".done"
    if not done.exists():
        directory.parent.mkdir(parents=True, exist_ok=True)
        with open(directory.with_name(directory.name + ".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(directory, ignore_errors=True)
                directory.mkdir()
                make(directory)
                done.touch()
    return directory
