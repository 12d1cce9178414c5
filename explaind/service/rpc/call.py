"""One call: what its stream brings, the handler that answers, and what the handler may ask of it.

To the handler it is what gRPC's own server gives it, so that a servicer runs under both.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn, cast

import grpc
import structlog
from grpc import aio

from explaind.errors import ExplaindError, InvalidRequest
from explaind.service import status
from explaind.service.grpc_types import Context, Handler
from explaind.service.http2.frames import ErrorCode
from explaind.service.http2.stream import Stream
from explaind.service.rpc import answer_fields
from explaind.service.rpc.eager_start import start_eagerly
from explaind.service.rpc.messages import ENCODINGS, Message, MessageReader, prefixed
from explaind.service.rpc.request_head import Metadata, RequestHead

if TYPE_CHECKING:
    from explaind.service.rpc.server import RpcServer

log = structlog.get_logger(__name__)

LARGE_COMPRESSED = 2048
"""Bytes from which on a compressed message is inflated in a thread: it may become a thousand times as large."""
UNAVAILABLE, OK = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.OK


class Call(Context):
    """Receives its stream's data and answers it."""

    def __init__(self, server: RpcServer, stream: Stream, head: RequestHead, handler: Handler) -> None:
        self.path = head.path
        self._server = server
        self._stream = stream
        self._handler = handler
        self._metadata = head.metadata
        self._encoding = head.encoding
        self._unreadable = head.encoding not in ENCODINGS
        self._reader = MessageReader(server.most_message_bytes)
        self._messages: deque[Message] = deque()
        self._more: asyncio.Future[None] | None = None
        self._complete = False
        self._task: asyncio.Task[None] | None = None
        self._over = self._cancelled = self._begun = self._waiting = self._entered = self._opened = False
        self._code: Any = 0
        self._details = ""
        self._trailing: Metadata = ()
        self._callbacks: list[Callable[[Any], None]] = []
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        if head.timeout is not None:
            self._deadline = time.monotonic() + head.timeout
            self._timer = server.loop.call_later(head.timeout, self._expire)

    # ---- what comes ------------------------------------------------------------------------------------------------

    def data(self, chunk: bytes) -> None:
        if self._over or (self._begun and not self._handler.request_streaming):  # no second message is asked for
            return
        try:
            found = self._reader.feed(chunk)
        except InvalidRequest as problem:
            self.refuse(problem)
            return
        if self._unreadable and any(message.compressed for message in found):
            self._refuse_encoding()
            return
        self._messages.extend(found)
        if not self._messages:
            self._stream.credit()
        elif self._begun:
            self._wake()
        else:
            self._arrive()

    def ended(self) -> None:
        if self._over:
            return
        self._complete = True
        if self._begun:
            self._wake()
        elif self._reader.within or not self._messages:
            self.refuse(InvalidRequest("The call ended before its message did; send a whole one.", field="request"))

    def reset(self) -> None:
        """The caller has given up, or is gone."""
        self._over = True
        self._cancel()

    def arrive_if_streaming(self) -> None:
        """A handler of a stream begins before the first message."""
        if self._handler.request_streaming:
            self._arrive()

    def _arrive(self) -> None:
        self._begun = self._waiting = True
        self._server.arrived(self)

    def _wake(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)

    # ---- its life --------------------------------------------------------------------------------------------------

    @property
    def over(self) -> bool:
        return self._over

    def start(self) -> None:
        """Its turn has come. At once where nothing more is to come: answered before its caller has ended it, a stream
        is reset."""
        self._waiting = False
        if self._over:
            self._release()
        elif self._stream.remote_ended and not self._handler.request_streaming:
            self._task = start_eagerly(self._server.loop, self._run())
        else:
            self._task = self._server.loop.create_task(self._run())

    def end(self, code: grpc.StatusCode, message: str, trailing: Metadata = ()) -> None:
        """Answers with a status now, whatever the handler is at."""
        self._finish(code, message, trailing)
        self._cancel()

    def refuse(self, problem: ExplaindError) -> None:
        """Ends it before a handler knows of it, or cancels that."""
        self.end(*_told(problem))

    def _refuse_encoding(self) -> None:
        """As gRPC wants it: a caller learns what it may use instead."""
        words = f"Messages compressed by {self._encoding[:20]!r} cannot be read; use gzip, deflate or none."
        self.end(grpc.StatusCode.UNIMPLEMENTED, words, (answer_fields.ACCEPTED,))

    async def _run(self) -> None:
        """Until its answer has left: one that a caller is slow to take is still work, with a deadline."""
        self._entered = True
        try:
            await self._attempt()
            if not self._stream.local_ended:
                await self._stream.sent()
        except asyncio.CancelledError:
            self._finish(UNAVAILABLE, "The call was cancelled by the server.")
        finally:
            self._release()

    async def _attempt(self) -> None:
        try:
            await self._answer()
        except aio.AbortError:
            pass  # it has been answered
        except Exception as error:
            log.error("unexpected error", exc_info=error)
            self._finish(grpc.StatusCode.UNKNOWN, "The server failed; its log tells more.")

    async def _answer(self) -> None:
        handler = cast(Any, self._handler)
        try:
            request = _Requests(self) if handler.request_streaming else await self._next_message()
        except InvalidRequest as problem:  # no handler knows of it yet
            self._finish(*_told(problem))
            return
        if handler.response_streaming:
            await (handler.stream_stream if handler.request_streaming else handler.unary_stream)(request, self)
            self._finish(self._sent_code(), self._details, self._trailing)
            return
        response = await (handler.stream_unary if handler.request_streaming else handler.unary_unary)(request, self)
        code = self._sent_code()
        if code is OK and not self._opened:
            self._answer_whole(self._serialised(response))
            return
        if code is OK:
            self._stream.send_data(prefixed(self._serialised(response)))
        self._finish(code, self._details, self._trailing)

    def _answer_whole(self, data: bytes) -> None:
        if not self._over:
            last = answer_fields.status(OK, self._details, self._trailing)
            self._over = True
            self._stream.answer(answer_fields.HEAD, prefixed(data), last)

    def _finish(self, code: grpc.StatusCode, message: str = "", trailing: Metadata = ()) -> None:
        if self._over:
            return
        fields = answer_fields.status if self._opened else answer_fields.only_status
        block = fields(code, message, trailing)  # may not be possible: then it is not over
        self._over = True
        self._stream.finish(block)

    def _cancel(self) -> None:
        self._cancelled = True
        if self._task is not None:
            self._task.cancel()
        if not (self._entered or self._waiting):  # a task that has not run yet never will
            self._release()

    def _expire(self) -> None:
        if not self._over:
            self.end(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline exceeded.")
        if not self._stream.local_ended:  # held up by the caller's windows: nobody waits for it any more
            self._stream.reset(ErrorCode.CANCEL)

    def _release(self) -> None:
        """Nothing of it is left to do."""
        if self._timer is not None:
            self._timer.cancel()
        self._messages.clear()
        self._server.left(self)
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback(self)

    def _sent_code(self) -> grpc.StatusCode:
        return self._code or OK

    # ---- for the handler -------------------------------------------------------------------------------------------

    async def read(self) -> Any:
        """The next message of a stream; EOF after the last. Raises what makes of its bytes no message."""
        while not self._messages:
            if self._complete:
                self._raise_if_cut()
                return aio.EOF
            self._stream.credit()
            self._more = self._server.loop.create_future()
            await self._more
        return await self._next_message()

    async def _next_message(self) -> Any:
        """Of those that are there."""
        message = self._messages.popleft()
        if not self._messages:
            self._stream.credit()
        return self._parsed(await self._inflated(message) if message.compressed else message.data)

    def _raise_if_cut(self) -> None:
        if self._reader.within:
            raise InvalidRequest("The stream ended within a message; send whole ones.", field="request")

    async def _inflated(self, message: Message) -> bytes:
        encoding, most_bytes = self._encoding, self._server.most_message_bytes
        if len(message.data) < LARGE_COMPRESSED:
            return message.inflated(encoding, most_bytes)
        return await asyncio.to_thread(message.inflated, encoding, most_bytes)

    def _parsed(self, data: bytes) -> Any:
        parse: Any = self._handler.request_deserializer
        return data if parse is None else parse(data)

    def _serialised(self, response: Any) -> bytes:
        serialise: Any = self._handler.response_serializer
        data: bytes = response if serialise is None else serialise(response)
        return data

    async def write(self, message: Any) -> None:
        """Returns when there is room for more."""
        if self._over:
            raise asyncio.InvalidStateError("The call is over.")
        self._open()
        self._stream.send_data(prefixed(self._serialised(message)))
        await self._stream.drained()

    async def send_initial_metadata(self, initial_metadata: Any) -> None:
        if self._opened or self._over:
            raise asyncio.InvalidStateError("The answer has begun already.")
        self._open(tuple(initial_metadata))

    def _open(self, metadata: Metadata = ()) -> None:
        if not self._opened:
            block = answer_fields.HEAD + answer_fields.metadata(metadata)
            self._opened = True
            self._stream.send_fields(block)

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: Any = ()) -> NoReturn:
        if code is OK:
            raise ValueError("a call that is aborted has failed: not with OK")
        self._code, self._details = code, details
        self._finish(code, details, tuple(trailing_metadata) or self._trailing)
        raise aio.AbortError("The call has been answered.")

    async def abort_with_status(self, status: Any) -> NoReturn:
        await self.abort(status.code, status.details, status.trailing_metadata)

    def set_trailing_metadata(self, trailing_metadata: Any) -> None:
        self._trailing = tuple(trailing_metadata)

    def trailing_metadata(self) -> Any:
        return self._trailing

    def invocation_metadata(self) -> Any:
        return self._metadata

    def set_code(self, code: grpc.StatusCode) -> None:
        self._code = code

    def code(self) -> Any:
        return self._code

    def set_details(self, details: str) -> None:
        self._details = details

    def details(self) -> str:
        return self._details

    def set_compression(self, compression: grpc.Compression) -> None:
        """Answers are never compressed: masks are small, and pixels hardly become smaller."""

    def disable_next_message_compression(self) -> None:
        """None is compressed."""

    def peer(self) -> str:
        return self._stream.peer

    def peer_identities(self) -> Iterable[bytes] | None:
        return None

    def peer_identity_key(self) -> str | None:
        return None

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        return {}

    def time_remaining(self) -> Any:
        """Seconds, at least 0; None where the caller has set no deadline."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def add_done_callback(self, callback: Any) -> None:
        """Called with the call when nothing of it is left to do."""
        self._callbacks.append(callback)

    def cancelled(self) -> bool:
        return self._cancelled

    def done(self) -> bool:
        return self._over


def _told(problem: ExplaindError) -> tuple[grpc.StatusCode, str, Metadata]:
    answer = status.from_error(problem)
    return status.code_of(problem), answer.message, status.trailers(problem, answer)


class _Requests:
    """A stream's messages."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def __aiter__(self) -> _Requests:
        return self

    async def __anext__(self) -> Any:
        request = await self._call.read()
        if request is aio.EOF:
            raise StopAsyncIteration
        return request
