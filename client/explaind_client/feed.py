"""The sending half of a blocking stream: a window on what is under way."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator

from explaind.v1 import explanation_service_pb2 as service_pb
from explaind_client.images import ImageLike
from explaind_client.requests import Ask
from explaind_client.unsent import Unsent


class Feed(Unsent):
    """gRPC pulls `requests` from a thread of its own, while the caller's thread reads the answers."""

    def __init__(self, items: Iterable[tuple[str, ImageLike]], ask: Ask, window: int) -> None:
        super().__init__(ask, window)
        self._items = items
        self._room = threading.Semaphore(window)
        self._closed = False

    def requests(self) -> Iterator[service_pb.StreamExplainRequest]:
        try:
            for item_id, image in self._items:
                request = self._request(item_id, image)
                if request is None:
                    continue
                self._room.acquire()
                if self._closed:
                    return
                yield request
        except Exception as exc:  # the caller's iterable failed: gRPC would hide that behind UNKNOWN
            self._failure = exc

    def answered(self) -> None:
        self._room.release()

    def close(self) -> None:
        """Lets a sender that waits for room go home."""
        self._closed = True
        self._room.release()
