"""What is looked at again and again in a thread of its own, while something else is measured."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def watching(look: Callable[[], object], every: float) -> Iterator[None]:
    """Looks every `every` seconds, from `every` seconds after entering; leaving waits for the last look."""
    over = threading.Event()

    def run() -> None:
        while not over.wait(every):
            look()

    thread = threading.Thread(target=run, name="watch")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
