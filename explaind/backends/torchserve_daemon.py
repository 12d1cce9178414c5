"""`python -m explaind.backends.torchserve_daemon`: TorchServe for all bundles of a model store, as a container does.

The addresses are fixed, because others have to know them; the management API is open to whoever reaches the host,
and cannot load models (TorchServe's model API stays off).
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from explaind.backends.torchserve_configuration import Ports, require_free
from explaind.backends.torchserve_launcher import TorchServe
from explaind.errors import ConfigurationError, LaunchFailed

_HIGHEST_PORT = 65533
"""The last one that leaves room for the two after it."""


def main() -> int:
    """Serves until SIGTERM or SIGINT. Returns 0 then, 1 where it cannot start or TorchServe ends by itself."""
    arguments = _parser().parse_args()
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    http, grpc = arguments.http_port, arguments.grpc_port
    ports = Ports(http, http + 1, http + 2, grpc, grpc + 1)
    try:
        require_free(arguments.host, ports)
        bundles = _bundles(arguments.model_store)
        with TorchServe.launch(bundles, host=arguments.host, ports=ports) as server:
            print(f"TorchServe is ready on {server.grpc_address}", flush=True)  # noqa: T201
            while server.alive and not stopping.wait(0.5):
                pass
    except ConfigurationError as error:
        print(f"explaind: {error.message}", file=sys.stderr)  # noqa: T201
        return 1
    return 0 if stopping.is_set() else 1


def _bundles(model_store: Path) -> list[Path]:
    found = sorted({path.parent for path in model_store.glob("*/*/*.mar")})
    if not found:
        raise LaunchFailed(f"{model_store} holds no TorchServe archives (.mar); name another with --model-store.")
    return found


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= _HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"{port} is not from 1 to {_HIGHEST_PORT}")
    return port


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="explaind.backends.torchserve_daemon",
        description="TorchServe for all bundles of a model store, until SIGTERM or SIGINT.",
        epilog="Example: python -m explaind.backends.torchserve_daemon --model-store model_store",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--model-store", type=Path, default=Path("model_store"), help="folder of bundles")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 in a container")
    parser.add_argument("--grpc-port", type=_port, default=7070, help="inference; management is the next one")
    parser.add_argument("--http-port", type=_port, default=8080, help="inference; then management and metrics")
    return parser


if __name__ == "__main__":
    sys.exit(main())
