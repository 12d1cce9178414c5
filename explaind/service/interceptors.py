"""Around every RPC: its id, its metrics, its log line, and errors turned into statuses."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import cache, partial
from typing import Any, NoReturn

import grpc
import structlog
from google.protobuf.message import DecodeError
from grpc import aio

from explaind.errors import ExplaindError, InvalidRequest
from explaind.metrics import Metrics
from explaind.service import request_ids, status
from explaind.service.activity import Activity
from explaind.service.gate import Gate
from explaind.service.grpc_metrics import Method, Series, Timer
from explaind.service.grpc_types import Context, Handler

log = structlog.get_logger(__name__)

CODES = {code.value[0]: code for code in grpc.StatusCode}
DEADLINE_SLACK = 0.02
"""A caller's deadline reaches us as its cancellation, a little before our own clock says so: share of the time-out,
and seconds at least, by which a cancellation counts as the deadline."""

Run = Callable[[], Awaitable[Any]]
Observe = Callable[[Context, Run], Awaitable[Any]]
Refuse = Callable[[bytes, Any, Context], Awaitable[None] | None]


class Observer:
    """All four arities.

    What stands here runs for every refusal of an overloaded server too: plain functions, and what can be made once
    for a method is made once.
    """

    def __init__(self, metrics: Metrics, activity: Activity, gate: Gate) -> None:
        self._metrics = metrics
        self._rejected = cache(metrics.rejected.labels)
        self._activity = activity
        self._gate = gate

    def wrap(self, path: str, handler: Handler) -> Handler:
        """`handler` of the method at `path`, observed."""
        series = Series(self._metrics, Method.of(path, handler))
        observe = partial(self._observed, series)
        if handler.request_streaming or handler.response_streaming:
            return wrapped(handler, observe)
        return wrapped(handler, observe, partial(self._gate.refuse, path, series))

    async def _observed(self, series: Series, context: Context, run: Run) -> Any:
        """The answer of `run`; counted, timed and logged, whatever the RPC comes to."""
        request_id = request_ids.of(context)
        request_ids.bind(request_id, series.full_name)
        context.set_trailing_metadata(((request_ids.METADATA_KEY, request_id),))
        timer, time_out = Timer(series, request_id), context.time_remaining()
        code = grpc.StatusCode.OK
        if series.own:
            self._activity.add(context)
        try:
            return await self._answered(context, request_id, run)
        except asyncio.CancelledError:
            code = cancellation_code(context, time_out)
            raise
        finally:
            code = code if code is not grpc.StatusCode.OK else sent_code(context)
            _log_when_done(context, series, code, timer.end(code), request_id)

    async def _answered(self, context: Context, request_id: str, run: Run) -> Any:
        """Errors become statuses; a cancellation and an abort that has been sent already pass."""
        try:
            return await run()
        except aio.AbortError:
            raise
        except Exception as caught:
            error = _translated(caught)
            if context.cancelled():  # nobody is there to answer: whatever broke, broke on that
                raise asyncio.CancelledError from caught
            if isinstance(error, ExplaindError):
                self._rejected(error.reason).inc()
            return await abort(context, error, request_id)


def _translated(error: Exception) -> Exception:
    if isinstance(error, DecodeError):
        return InvalidRequest("The bytes are no message of this method; build them from the protos.", field="request")
    return error


async def abort(context: Context, error: BaseException, request_id: str) -> NoReturn:
    """Ends the RPC with the status of `error`."""
    answer = status.reported(error, request_id=request_id)
    trailers = (*status.trailers(error, answer), (request_ids.METADATA_KEY, request_id))
    await context.abort(CODES[answer.code], answer.message, trailers)


def sent_code(context: Context) -> grpc.StatusCode:
    """What the RPC was ended with. gRPC keeps what it was given: a member, or 0 where nobody gave anything."""
    code: Any = context.code()
    return code if isinstance(code, grpc.StatusCode) else CODES[code or 0]


def cancellation_code(context: Context, time_out: float | None) -> grpc.StatusCode:
    """Whether a cancelled RPC ran out of time or was given up. time_out: what it had at its start, in seconds."""
    remaining: float | None = context.time_remaining()
    if time_out is None or remaining is None:
        return grpc.StatusCode.CANCELLED
    if remaining <= max(DEADLINE_SLACK, DEADLINE_SLACK * time_out):
        return grpc.StatusCode.DEADLINE_EXCEEDED
    return grpc.StatusCode.CANCELLED


def wrapped(handler: Handler, observe: Observe, refuse: Refuse | None = None) -> Handler:
    """`handler` with each of its RPCs run by `observe`, a unary one after `refuse` has let it pass."""
    if handler.response_streaming:
        return _stream_wrapped(handler, observe)
    behaviour: Any = handler.stream_unary if handler.request_streaming else handler.unary_unary

    async def answer(request: Any, context: Context) -> Any:
        if refuse is not None and (refusal := refuse(request, handler.request_deserializer, context)) is not None:
            await refusal

        async def run() -> Any:
            return await behaviour(_read(handler, request), context)

        return await observe(context, run)

    make = grpc.stream_unary_rpc_method_handler if handler.request_streaming else grpc.unary_unary_rpc_method_handler
    return make(answer, _deserializer(handler), handler.response_serializer)


def _stream_wrapped(handler: Handler, observe: Observe) -> Handler:
    """Always as a coroutine that writes: a generator left behind by a cancelled RPC would end at some later time,
    in another task."""
    behaviour: Any = handler.stream_stream if handler.request_streaming else handler.unary_stream

    async def answer(request: Any, context: Context) -> None:
        async def run() -> None:
            if not inspect.isasyncgenfunction(behaviour):
                await behaviour(_read(handler, request), context)
                return
            async with aclosing(behaviour(_read(handler, request), context)) as responses:
                async for response in responses:
                    await context.write(response)

        await observe(context, run)

    make = grpc.stream_stream_rpc_method_handler if handler.request_streaming else grpc.unary_stream_rpc_method_handler
    return make(answer, _deserializer(handler), handler.response_serializer)


def _deserializer(handler: Handler) -> Any:
    """A single request is parsed inside our own handler: gRPC answers bytes that are no message with UNKNOWN and a
    traceback in the log."""
    return handler.request_deserializer if handler.request_streaming else None


def _read(handler: Handler, request: Any) -> Any:
    parse: Any = handler.request_deserializer
    return request if handler.request_streaming else parse(request)


def _log_when_done(context: Context, series: Series, code: grpc.StatusCode, seconds: float, request_id: str) -> None:
    """When gRPC is done with the call, so after the answer is on its way; nothing is bound to a line there.

    Below info: probes, which come every second, and refusals, which come by the thousand when the server is busy
    enough; admission tells of those once a second, and the metrics count each.
    """
    routine = not series.own or code is grpc.StatusCode.RESOURCE_EXHAUSTED
    fields = {"code": code.name, "seconds": round(seconds, 6), **request_ids.bound(request_id, series.full_name)}

    def write(_: Context) -> None:
        (log.debug if routine else log.info)("rpc", **fields)

    context.add_done_callback(write)  # type: ignore[arg-type]  # its stub names the parameter
