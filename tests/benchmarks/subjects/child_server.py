"""A module of this benchmark as a server of its own: it prints its port, and ends when its standard input does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.benchmarks.subjects.asked import ROOT


@contextmanager
def listening(module: str, argument: str, environment: Mapping[str, str] | None = None) -> Iterator[tuple[int, int]]:
    """Port and process id. environment: what is set there where this process has not set it."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, argument],
        cwd=ROOT,
        env={**(environment or {}), **os.environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin and process.stdout
    try:
        yield int(process.stdout.readline()), process.pid
    finally:
        process.stdin.close()
        process.wait(20)
        process.stdout.close()
