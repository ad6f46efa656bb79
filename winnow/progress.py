"""Progress on stderr: a terminal gets a moving bar, a log file a line now and then."""

import sys

from tqdm import tqdm


def say(message: str, show: bool = True) -> None:
    if show:
        print(message, file=sys.stderr, flush=True)


def bar(show: bool = True, **options) -> tqdm:
    """A progress bar; `options` are those of tqdm."""
    return tqdm(disable=not show, mininterval=0.2 if sys.stderr.isatty() else 15, **options)
