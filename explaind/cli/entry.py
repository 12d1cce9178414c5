"""What the `explaind` script calls. A bare install, which is the client, has the script but not what it needs."""

from __future__ import annotations

import os
import sys

LIBRARIES = {
    # A daemon computes its requests side by side; OpenBLAS's own threads would go on spinning after each large product:
    # a batch of 64 scores took 67 ms of CPU time instead of 23, and no less time.
    "OPENBLAS_NUM_THREADS": "1",
    # The thread that waits for calls reads the sockets itself, where gRPC's default is other threads that wake it: a
    # call that comes by itself takes 5 % less, of the clock and of the processor.
    "GRPC_EXPERIMENTS": "-event_engine_listener",
}
"""What a daemon asks of its libraries, by environment variable."""


def main() -> None:
    """Runs the command line; ends with one sentence and code 1 where it is not installed."""
    if "serve" in sys.argv[1:]:
        set_up_libraries()
    try:
        from explaind.cli.main import app
    except ImportError as exc:
        if exc.name is None or exc.name.partition(".")[0] == "explaind":
            raise  # a bug of ours, not a missing package
        sys.exit(f'explaind: The command line needs {exc.name}; install it with: pip install "explaind[server]"')
    app()


def set_up_libraries() -> None:
    """Before NumPy and gRPC are imported; a caller's own choice stands."""
    for variable, value in LIBRARIES.items():
        os.environ.setdefault(variable, value)
