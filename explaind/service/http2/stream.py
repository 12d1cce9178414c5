"""One stream of a connection: what is sent on it, as far as the peer's windows allow, and what was received."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from explaind.service.http2 import frames
from explaind.service.http2.frames import BrokenProtocol, ErrorCode

if TYPE_CHECKING:
    from explaind.service.http2.connection import Connection

RECEIVE_WINDOW = 1024 * 1024
"""Bytes that a peer may send on a stream before they are credited. Smaller: a picture waits for a credit on its way;
larger: a stream that nobody reads holds more memory."""


class Receiver(Protocol):
    """Takes what comes on a stream after its first fields. Whatever it raises ends its stream alone."""

    def data(self, chunk: bytes) -> None: ...

    def ended(self) -> None:
        """The peer sends no more."""

    def reset(self) -> None:
        """The peer has given up, or is gone; nothing can be sent any more."""


class Stream:
    """Not ended: either side may send. Ended on both: forgotten by its connection."""

    __slots__ = (
        "_connection",
        "_last",
        "_pending",
        "_receive_window",
        "_send_window",
        "_uncredited",
        "_waiting",
        "local_ended",
        "number",
        "receiver",
        "remote_ended",
    )

    def __init__(self, connection: Connection, number: int, *, send_window: int) -> None:
        self.number = number
        self.receiver: Receiver | None = None
        self.remote_ended = self.local_ended = False
        self._connection = connection
        self._send_window = send_window
        self._receive_window = RECEIVE_WINDOW
        self._uncredited = 0
        self._pending = bytearray()
        self._last: bytes | None = None
        self._waiting: asyncio.Future[None] | None = None

    @property
    def peer(self) -> str:
        return self._connection.peer

    # ---- sending ---------------------------------------------------------------------------------------------------

    def answer(self, fields: bytes, data: bytes, last_fields: bytes) -> None:
        """All there is to send, in one piece where the windows allow it."""
        if self.local_ended:
            return
        connection, size, number = self._connection, len(data), self.number
        if size > min(self._send_window, connection.send_window, connection.max_frame):
            self.send_fields(fields)
            self.send_data(data)
            self.finish(last_fields)
            return
        self._send_window -= size
        connection.send_window -= size
        connection.send(
            connection.fields_frames(number, fields)
            + frames.frame(frames.DATA, 0, number, data)
            + connection.fields_frames(number, last_fields, end_stream=True)
        )
        self._end()

    def send_fields(self, block: bytes) -> None:
        if not self.local_ended:
            self._connection.send(self._connection.fields_frames(self.number, block))

    def send_data(self, data: bytes) -> None:
        """Now, or when the peer lets it through: see `drained`."""
        if self.local_ended:
            return
        self._pending += data
        self.flush()

    def finish(self, block: bytes) -> None:
        """The last fields, after all data."""
        if self.local_ended or self._last is not None:
            return
        self._last = block
        self.flush()

    def reset(self, code: ErrorCode) -> None:
        """Gives the stream up; nothing more is sent or heard."""
        if not self.local_ended:
            self._connection.send(frames.reset(self.number, code))
            self._gone()

    async def drained(self) -> None:
        """Until all that was to be sent has been handed to the transport and that is not full, or nothing can be sent
        any more. For one writer at a time."""
        while not self.local_ended and (self._pending or not self._connection.writable):
            await self._change()

    async def sent(self) -> None:
        """Until all of a finished answer has been handed to the transport, or nothing can be sent any more."""
        while not self.local_ended:
            await self._change()

    async def _change(self) -> None:
        self._waiting = asyncio.get_running_loop().create_future()
        await self._waiting

    def flush(self) -> None:
        """Sends what the windows allow."""
        connection = self._connection
        while self._pending and (room := min(self._send_window, connection.send_window, connection.max_frame)) > 0:
            piece = bytes(self._pending[:room])
            del self._pending[: len(piece)]
            self._send_window -= len(piece)
            connection.send_window -= len(piece)
            connection.answering()
            connection.send(frames.frame(frames.DATA, 0, self.number, piece))
        if self._pending:
            if self._send_window > 0:  # else the connection's credit would not help
                connection.held_up(self)
            return
        if self._last is not None:
            connection.send(connection.fields_frames(self.number, self._last, end_stream=True))
            self._end()
        self.wake()

    def wake(self) -> None:
        """Lets whoever waits in `drained` or `sent` look again."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def widen(self, credit: int) -> None:
        """The peer takes `credit` bytes more; fewer where it is negative, which a peer's settings may make it. Raises
        BrokenProtocol."""
        self._send_window += credit
        if self._send_window > frames.LARGEST_WINDOW:
            raise BrokenProtocol(ErrorCode.FLOW_CONTROL_ERROR, f"a window of stream {self.number} over 2^31 - 1")
        if credit > 0:
            self.flush()

    def _end(self) -> None:
        if not self.remote_ended:
            self._connection.send(frames.reset(self.number, ErrorCode.NO_ERROR))  # it need not send the rest
        self._gone()

    def _gone(self) -> None:
        self.local_ended = True
        self._pending.clear()
        self.receiver = None  # each knows the other: left so, both would wait for the garbage collector
        self._connection.forget(self)
        self.wake()

    # ---- receiving -------------------------------------------------------------------------------------------------

    def received(self, size: int) -> None:
        """Raises BrokenProtocol where the peer sends more than it may."""
        self._receive_window -= size
        self._uncredited += size
        if self._receive_window < 0:
            raise BrokenProtocol(ErrorCode.FLOW_CONTROL_ERROR, f"more data on stream {self.number} than its window")

    def credit(self) -> None:
        """What was received is dealt with: as much may come again."""
        if self._uncredited >= RECEIVE_WINDOW // 2 and not (self.remote_ended or self.local_ended):
            self._connection.send(frames.window_update(self.number, self._uncredited))
            self._receive_window += self._uncredited
            self._uncredited = 0

    def lost(self) -> None:
        """The peer has reset it, or its connection is gone."""
        receiver = self.receiver
        self._gone()
        if receiver is not None:
            receiver.reset()
