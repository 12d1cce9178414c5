"""/metrics and /healthz over HTTP, in threads of their own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from explaind.service.listening import cannot_listen

TEXT = "text/plain; charset=utf-8"


class MetricsServer:
    """Serves from the moment it is made until `close`. Raises LaunchFailed where it cannot listen."""

    def __init__(self, host: str, port: int, registry: CollectorRegistry, is_serving: Callable[[], bool]) -> None:
        class Handler(_Handler):
            metrics = registry
            serving = staticmethod(is_serving)

        try:
            self._server = _Listener(host, port, Handler)
        except OSError as error:
            raise cannot_listen(host, port, error, option="--metrics-port") from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="explaind-http", daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    # A scraper that hangs must not hold the stop.
    block_on_close = False
    request_queue_size = 32

    def __init__(self, host: str, port: int, handler: type[BaseHTTPRequestHandler]) -> None:
        """IPv4 or IPv6, as the host is."""
        self.address_family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        super().__init__((host, port), handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A scraper that went away is no event."""


class _Handler(BaseHTTPRequestHandler):
    """timeout: a connection that sends nothing for 10 s is closed."""

    metrics: ClassVar[CollectorRegistry]
    serving: ClassVar[Callable[[], bool]]
    timeout = 10
    server_version = "explaind"
    sys_version = ""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._metrics()
        elif path == "/healthz":
            serving = type(self).serving()
            self._answer(
                HTTPStatus.OK if serving else HTTPStatus.SERVICE_UNAVAILABLE,
                b"SERVING\n" if serving else b"NOT_SERVING\n",
            )
        else:
            self._answer(HTTPStatus.NOT_FOUND, b"There are /metrics and /healthz.\n")

    def _metrics(self) -> None:
        """OpenMetrics, which alone carries exemplars, where the scraper accepts it."""
        encode, content_type = choose_encoder(self.headers.get("Accept", ""))
        self._answer(HTTPStatus.OK, encode(self.metrics), content_type)

    def _answer(self, code: HTTPStatus, body: bytes, content_type: str = TEXT) -> None:
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """A line for every scrape would drown the log."""
