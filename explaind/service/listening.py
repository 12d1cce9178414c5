"""Why an address cannot be listened on, in one sentence that says what to do."""

from __future__ import annotations

import errno
import socket

from explaind.errors import LaunchFailed


def cannot_listen(host: str, port: int, error: OSError, *, option: str) -> LaunchFailed:
    """option: the command-line option that chooses the port."""
    place = f"port {port} of {host or 'all addresses'}"
    if error.errno == errno.EADDRINUSE:
        return LaunchFailed(
            f"Cannot listen on {place}: it is in use; stop what uses it or choose another with {option}."
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return LaunchFailed(f"Cannot listen on {place}: not permitted; choose one above 1023 with {option}.")
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return LaunchFailed(f"Cannot listen on {place}: this machine has no such address; choose another host.")
    return LaunchFailed(f"Cannot listen on {place}: {error.strerror or error}.")


def why_not(host: str, port: int) -> OSError | None:
    """What the system says to listening there: gRPC itself does not tell. None: nothing stands in the way now."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen()
    except OSError as error:
        return error
    return None


def grpc_address(host: str, port: int) -> str:
    """IPv6 addresses in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
