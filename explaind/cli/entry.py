"""What the `explaind` script calls. A bare install, which is the client, has the script but not what it needs."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command line; ends with one sentence and code 1 where it is not installed."""
    try:
        from explaind.cli.main import app
    except ImportError as exc:
        if exc.name is None or exc.name.partition(".")[0] == "explaind":
            raise  # a bug of ours, not a missing package
        sys.exit(f'explaind: The command line needs {exc.name}; install it with: pip install "explaind[server]"')
    app()
