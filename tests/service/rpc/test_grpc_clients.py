"""Calls as gRPC's own clients make them, and as h2 makes them where those would hide what the server does."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import tracemalloc
import zlib

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from explaind.service.http2.connection import Bounds
from explaind.v1 import explanation_service_pb2, explanation_service_pb2_grpc, model_service_pb2
from tests.service.http2.peers import (
    ACK,
    DATA,
    END_STREAM,
    GOAWAY,
    HANG,
    HEADERS,
    PING,
    PREFACE,
    Gone,
    assert_serving,
    connected,
    frame,
    h2_caller,
    message,
    settings,
    window_update,
)
from tests.service.rpc.plain_server import path, plain_server

pytestmark = pytest.mark.asyncio

EXPLAIN = "/explaind.v1.ExplanationService/Explain"
STREAM_EXPLAIN = "/explaind.v1.ExplanationService/StreamExplain"
OK, UNKNOWN, INVALID_ARGUMENT, DEADLINE_EXCEEDED, EXHAUSTED, UNAVAILABLE = "0", "2", "3", "4", "8", "14"
MOST_BYTES = 1_000_000
INITIAL_WINDOW_SIZE = 4


def reason(fields):
    """Of the ErrorInfo in the last fields of an answer."""
    packed = fields.get("grpc-status-details-bin", "")
    status = status_pb2.Status.FromString(base64.b64decode(packed + "=" * (-len(packed) % 4)))
    return reason_in(status.details)


def reason_in(details):
    info = error_details_pb2.ErrorInfo()
    return next((info.reason for each in details if each.Unpack(info)), None)


async def failure(call):
    """Its code and the reason in its details."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async with asyncio.timeout(HANG):
            await call
    status = rpc_status.from_call(caught.value)
    return caught.value.code(), None if status is None else reason_in(status.details)


def item(request_for, name="1", **fields):
    request = request_for(**fields)
    return explanation_service_pb2.StreamExplainRequest(item_id=name, request=request)


# ---- what a call may be --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 16_379, 16_380, 65_530, 65_531, 1_000_000, 4 * 1024 * 1024 - 64])
async def test_messages_of_every_size_come_back_whole(size):
    """At the edges of a frame and of the windows that a client begins with, and far beyond."""
    sent = (b"0123456789" * (size // 10 + 1))[:size]
    async with plain_server() as plain, grpc.aio.insecure_channel(plain.address) as channel:
        echo = channel.unary_unary(path("Echo"))
        assert await echo(sent, timeout=HANG) == sent


@pytest.mark.parametrize("size", [0, 1, 20_000, 300_000])
async def test_streams_of_messages_come_back_in_their_order(size):
    async with plain_server() as plain, grpc.aio.insecure_channel(plain.address) as channel:
        sent = [b"%d " % index + b"z" * size for index in range(30)]
        echoed = channel.stream_stream(path("EchoStream"))(iter(sent), timeout=HANG)
        assert [each async for each in echoed] == sent
        assert await echoed.code() is grpc.StatusCode.OK


async def test_a_client_that_blocks_is_served_too(start, request_for):
    running = await start()

    def ask():
        with grpc.insecure_channel(running.server.address) as channel:
            stub = explanation_service_pb2_grpc.ExplanationServiceStub(channel)
            one = stub.Explain(request_for(0.1), timeout=HANG).prediction.class_name
            items = [item(request_for, str(index)) for index in range(20)]
            answers = {each.item_id for each in stub.StreamExplain(iter(items), timeout=HANG)}
            return one, answers

    one, answers = await asyncio.to_thread(ask)
    assert (one, answers) == ("dark", {str(index) for index in range(20)})


async def test_a_watch_tells_of_each_change_until_its_caller_ends_it(start):
    running = await start()
    watch = health_pb2_grpc.HealthStub(running.channel).Watch(health_pb2.HealthCheckRequest(service="small"))
    async with asyncio.timeout(HANG):
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        for alive, status in ((False, "NOT_SERVING"), (True, "SERVING")):
            running.engine.alive = alive
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.ServingStatus.Value(status)
    watch.cancel()
    assert (await running.explain()).prediction.class_name == "bright"


async def test_a_stream_that_lasts_is_not_taken_for_an_abuse_of_pings():
    """A client measures what its connection carries by pings, as often as data comes."""
    async with plain_server() as plain, grpc.aio.insecure_channel(plain.address) as channel:
        call = channel.stream_stream(path("EchoStream"))()
        for _ in range(100):
            await call.write(b"x" * 20_000)
            assert await call.read() == b"x" * 20_000
            await asyncio.sleep(0.01)
        await call.done_writing()
        assert await call.code() is grpc.StatusCode.OK


async def test_a_client_that_reads_slowly_gets_every_message():
    """It opens its windows bit by bit, by settings and by credits."""
    async with plain_server() as plain, grpc.aio.insecure_channel(plain.address) as channel:
        call = channel.unary_stream(path("Pour"))(b"500")
        count = 0
        async for each in call:
            assert each == b"y" * 10_000
            count += 1
            await asyncio.sleep(0.002)
        assert (count, await call.code()) == (500, grpc.StatusCode.OK)


async def test_metadata_of_both_kinds_goes_both_ways():
    async def tell(request, context):
        got = dict(context.invocation_metadata())
        context.set_trailing_metadata((("x-text", got["x-text"]), ("x-raw-bin", got["x-raw-bin"])))
        return b""

    async with (
        plain_server(unary={"Tell": tell}) as plain,
        grpc.aio.insecure_channel(plain.address) as channel,
    ):
        for raw in (b"", b"\0", bytes(range(256)), b"\xff" * 1001):
            call = channel.unary_unary(path("Tell"))(b"", metadata=(("x-text", "a, b; c=%20"), ("x-raw-bin", raw)))
            await call
            assert dict(await call.trailing_metadata()) == {"x-text": "a, b; c=%20", "x-raw-bin": raw}


async def test_first_metadata_comes_before_the_message_and_not_in_its_place():
    async def greet(request, context):
        await context.send_initial_metadata((("x-first", "1"),))
        return request

    async with plain_server(unary={"Greet": greet}) as plain, grpc.aio.insecure_channel(plain.address) as channel:
        call = channel.unary_unary(path("Greet"))(b"hello")
        assert await call == b"hello"
        assert dict(await call.initial_metadata())["x-first"] == "1"


@pytest.mark.parametrize(
    "text", ["größer als 100 %", "1 \N{MULTIPLICATION SIGN} 2\r\n", "%41", "\N{SNOWMAN}" * 50, "a\0b", ""]
)
async def test_what_a_status_says_arrives_in_any_letters(text):
    async def refuse(request, context):
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, text)

    async with plain_server(unary={"Refuse": refuse}) as plain:
        async with grpc.aio.insecure_channel(plain.address) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await channel.unary_unary(path("Refuse"))(b"")
            assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.FAILED_PRECONDITION, text)
        async with connected(plain.address) as peer:
            peer.send(peer.call(1, path("Refuse")))
            said = (await peer.answer())[2].get("grpc-message", "")
            assert all(" " <= letter <= "~" for letter in said)


async def test_a_handler_that_fails_says_nothing_of_how():
    async def fail(request, context):
        raise ZeroDivisionError("secret")

    async with plain_server(unary={"Fail": fail}) as plain, grpc.aio.insecure_channel(plain.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(path("Fail"))(b"")
        assert caught.value.code() is grpc.StatusCode.UNKNOWN
        assert "secret" not in str(caught.value.details())
        assert await channel.unary_unary(path("Echo"))(b"still there") == b"still there"


async def test_a_handler_may_say_a_code_and_words_without_aborting():
    async def doubt(request, context):
        context.set_code(grpc.StatusCode.NOT_FOUND)
        context.set_details("not here")
        return b"whatever"

    async with plain_server(unary={"Doubt": doubt}) as plain, grpc.aio.insecure_channel(plain.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(path("Doubt"))(b"")
        assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.NOT_FOUND, "not here")


async def test_a_handlers_callback_runs_once_when_its_call_is_over():
    over = []

    async def note(request, context):
        context.add_done_callback(lambda done: over.append(done.done()))
        assert not over
        return request

    async with plain_server(unary={"Note": note}) as plain, grpc.aio.insecure_channel(plain.address) as channel:
        await channel.unary_unary(path("Note"))(b"")
        await channel.unary_unary(path("Echo"))(b"")
        assert over == [True]


# ---- compressed ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
@pytest.mark.parametrize("size", [1000, 100_000, 3_000_000])
async def test_compressed_messages_are_read(compression, size):
    """Small ones on the event loop, large ones beside it."""
    sent = (b"digit %d " % size * size)[:size]
    async with plain_server() as plain, grpc.aio.insecure_channel(plain.address) as channel:
        assert await channel.unary_unary(path("Echo"))(sent, compression=compression, timeout=HANG) == sent
        echoed = channel.stream_stream(path("EchoStream"))(iter([sent, sent]), compression=compression, timeout=HANG)
        assert [each async for each in echoed] == [sent, sent]


async def test_compressed_explanations_are_answered_like_others(start, request_for):
    running = await start()
    for compression in (grpc.Compression.Gzip, grpc.Compression.Deflate):
        answer = await running.explanations.Explain(request_for(), compression=compression)
        assert answer.prediction.class_name == "bright"


def bomb(compress):
    return compress(bytes(100_000_000))


BROKEN = {
    "a bomb of gzip": ("gzip", lambda: bomb(gzip.compress), EXHAUSTED, "MESSAGE_TOO_LARGE"),
    "a bomb of deflate": ("deflate", lambda: bomb(zlib.compress), EXHAUSTED, "MESSAGE_TOO_LARGE"),
    "gzip cut short": ("gzip", lambda: gzip.compress(b"x" * 1000)[:-9], INVALID_ARGUMENT, "INVALID_REQUEST"),
    "deflate in place of gzip": ("gzip", lambda: zlib.compress(b"x"), INVALID_ARGUMENT, "INVALID_REQUEST"),
    "nothing at all": ("gzip", lambda: b"", INVALID_ARGUMENT, "INVALID_REQUEST"),
    "a mark without a compression": ("identity", lambda: b"x", INVALID_ARGUMENT, "INVALID_REQUEST"),
    "an unknown compression": ("snappy", lambda: b"x", INVALID_ARGUMENT, "INVALID_REQUEST"),
}


@pytest.mark.parametrize("streamed", [False, True], ids=["unary", "streamed"])
@pytest.mark.parametrize("name", BROKEN)
async def test_what_cannot_be_inflated_is_refused_typed_and_the_next_call_served(start, name, streamed):
    encoding, data, code, why = BROKEN[name]
    running = await start(max_message_bytes=MOST_BYTES)
    async with h2_caller(running.server.address) as caller:
        stream = caller.begin(STREAM_EXPLAIN if streamed else EXPLAIN, [("grpc-encoding", encoding)])
        await caller.upload(stream, message(data(), mark=1))
        answer = await caller.answer(stream)
        last = answer.trailers or answer.fields
        assert (answer.status[0], reason(last)) == (code, why)
        assert (await caller.answer(caller.call())).status[0] == OK


async def test_a_bomb_takes_no_more_memory_than_a_message_may_have():
    data = bomb(gzip.compress)
    async with plain_server(most_message_bytes=MOST_BYTES) as plain, h2_caller(plain.address) as caller:
        tracemalloc.start()
        try:
            stream = caller.begin(path("Echo"), [("grpc-encoding", "gzip")])
            await caller.upload(stream, message(data, mark=1))
            answer = await caller.answer(stream)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert answer.status[0] != OK
        assert peak < 20 * MOST_BYTES  # a fifth of what would come of it; a test's own log lines take some, too


# ---- too much ------------------------------------------------------------------------------------------------------


async def test_a_message_over_the_limit_is_refused_before_it_has_come():
    async with plain_server(most_message_bytes=MOST_BYTES) as plain, connected(plain.address) as peer:
        peer.send(peer.headers(1, path("Echo")), frame(DATA, 0, 1, b"\0" + (MOST_BYTES + 1).to_bytes(4, "big")))
        assert (await peer.find(HEADERS)).fields["grpc-status"] == EXHAUSTED
        # What the peer had sent by then is passed over.
        peer.send(*[frame(DATA, 0, 1, bytes(16_000))] * 20, peer.call(3, path("Echo"), bytes(MOST_BYTES // 100)))
        assert (await peer.answer(3))[2]["grpc-status"] == OK


async def test_a_message_of_just_the_limit_is_taken():
    async with (
        plain_server(most_message_bytes=MOST_BYTES) as plain,
        grpc.aio.insecure_channel(plain.address) as channel,
    ):
        echo = channel.unary_unary(path("Echo"))
        assert len(await echo(bytes(MOST_BYTES), timeout=HANG)) == MOST_BYTES
        assert await failure(echo(bytes(MOST_BYTES + 1), timeout=HANG)) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "MESSAGE_TOO_LARGE",
        )


@pytest.mark.parametrize("size", [15_000, 17_000, 40_000, 60_000])
async def test_too_much_metadata_is_refused_typed_and_leaves_other_calls_unharmed(start, small_engine, until, size):
    """Far more than that ends the connection, as it must: its header tables no longer agree."""
    running = await start(small_engine(seconds=0.3))
    other = asyncio.ensure_future(running.explain())
    await until(lambda: running.engine.running == 1)
    call = running.models.ListModels(model_service_pb2.ListModelsRequest(), metadata=(("x-long", "m" * size),))
    if size == 15_000:
        assert [each.name for each in (await call).models] == ["small"]
    elif size == 17_000:
        assert await failure(call) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    if size <= 17_000:
        assert (await other).prediction.class_name == "bright"
    else:
        with pytest.raises(grpc.aio.AioRpcError):
            await call
        await asyncio.gather(other, return_exceptions=True)
    await assert_serving(running.server.address)


async def test_more_calls_than_may_wait_are_refused_with_when_to_come_again():
    """Those that wait are served, and so is whoever comes later."""
    async with plain_server(most_waiting=4) as plain, h2_caller(plain.address) as caller:
        with caller.at_once():  # so that all are there before the first has had its turn
            streams = [caller.call(path("Echo"), b"a") for _ in range(50)]
        answers = [await caller.answer(stream) for stream in streams]
        codes = [answer.status[0] for answer in answers]
        assert set(codes) == {OK, EXHAUSTED}
        assert codes.count(OK) >= 5
        refused = answers[codes.index(EXHAUSTED)].fields
        assert (reason(refused), int(refused["grpc-retry-pushback-ms"])) == ("QUEUE_FULL", 500)
        assert (await caller.answer(caller.call(path("Echo"), b"b"))).data == message(b"b")


@pytest.mark.parametrize("count", [1, 50])
async def test_a_stream_whose_answers_nobody_reads_holds_the_items_back(start, request_for, count):
    """What waits is bounded by the window of the stream, whatever the peer would send."""
    running = await start(stream_window=2)
    sent = message(item(request_for, "i" * 10_000).SerializeToString())
    async with connected(running.server.address, PREFACE + settings((INITIAL_WINDOW_SIZE, 0))) as peer:
        peer.send(peer.headers(1, STREAM_EXPLAIN))
        for _ in range(count):
            peer.send(frame(DATA, 0, 1, sent))
        await asyncio.sleep(0.3)
        assert len(running.engine.seen) <= min(count, 3)
        peer.send(frame(DATA, END_STREAM, 1), settings((INITIAL_WINDOW_SIZE, 65_535)))
        answered = 0
        while not (found := await peer.frame()).ends:
            if found.kind == DATA:
                answered += found.payload.count(b"bright")
                peer.send(window_update(1, len(found.payload)), window_update(0, len(found.payload)))
        assert found.fields["grpc-status"] == OK
        assert len(running.engine.seen) == count


async def test_a_stream_that_nobody_reads_credits_nothing_so_memory_is_bounded():
    async with plain_server() as plain, h2_caller(plain.address) as caller:
        stream = caller.begin(path("Hold"))
        upload = asyncio.ensure_future(caller.upload(stream, message(bytes(100_000)) * 40))
        await asyncio.sleep(0.3)
        assert not upload.done()
        assert caller.state.local_flow_control_window(stream) == 0
        plain.opened.set()
        async with asyncio.timeout(HANG):
            await upload
        assert (await caller.answer(stream)).status[0] == OK
        assert len(plain.read) == 40


# ---- ends ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", ["0n", "1n", "50m", "50000u"])
async def test_the_server_itself_ends_a_call_at_its_deadline(timeout):
    """Of a peer that would wait for ever; whatever the call is at: nothing yet, half a message, its work."""
    async with plain_server() as plain, h2_caller(plain.address) as caller:
        extra = [("grpc-timeout", timeout)]
        streams = [
            caller.begin(path("Wait"), extra),
            caller.begin(path("Wait"), extra),
            caller.call(path("Wait"), b"a", extra),
            caller.begin(path("EchoStream"), extra),
            caller.begin(path("Hold"), extra),
        ]
        caller.state.send_data(streams[1], message(b"half")[:-2])
        caller.flush()
        for stream in streams:
            assert (await caller.answer(stream)).status == (DEADLINE_EXCEEDED, "Deadline exceeded.")
        assert plain.waiting == 0
        assert (await caller.answer(caller.call(path("Echo"), b"b", [("grpc-timeout", "10S")]))).status[0] == OK


@pytest.mark.parametrize("timeout", ["99999999H", "1H"])
async def test_a_deadline_that_is_far_away_is_none(timeout):
    async with plain_server() as plain, h2_caller(plain.address) as caller:
        assert (await caller.answer(caller.call(path("Echo"), b"", [("grpc-timeout", timeout)]))).status[0] == OK


async def test_a_stream_that_has_answered_ends_at_its_deadline_too():
    async with plain_server() as plain, h2_caller(plain.address) as caller:
        stream = caller.begin(path("EchoStream"), [("grpc-timeout", "300m")])
        caller.state.send_data(stream, message(b"a"))
        caller.flush()
        answer = await caller.answer(stream)
        assert (answer.data, answer.status[0]) == (message(b"a"), DEADLINE_EXCEEDED)


async def test_a_caller_that_gives_up_ends_the_work(start, small_engine, request_for, until):
    running = await start(small_engine(seconds=60.0), workers=1)
    calls = [running.explanations.Explain(request_for()) for _ in range(3)]
    stream = running.explanations.StreamExplain(iter([item(request_for)] * 3))
    reading = asyncio.ensure_future(stream.read())
    await until(lambda: running.engine.running == 1 and running.server.active_calls == 4)
    for call in (*calls, stream):
        call.cancel()
    await until(lambda: running.engine.running == running.server.active_calls == 0)
    await asyncio.gather(reading, *calls, return_exceptions=True)
    running.engine.seconds = 0.0
    assert (await running.explain()).prediction.class_name == "bright"


async def test_connections_that_grow_old_lose_no_call():
    """Clients are asked to connect anew some thirty times while they call, and none of them notices."""
    async with plain_server(bounds=Bounds(age=0.1)) as plain, grpc.aio.insecure_channel(plain.address) as channel:
        echo, stream = channel.unary_unary(path("Echo")), channel.stream_stream(path("EchoStream"))
        seen = set()
        opened = plain.server.opened

        def noting(connection):
            seen.add(id(connection))
            opened(connection)

        plain.server.opened = noting

        async def caller(name):
            for index in range(60):
                sent = b"%d of %d" % (index, name)
                assert await echo(sent, timeout=HANG) == sent
                await asyncio.sleep(0.01)

        async def streamer():
            for _ in range(10):
                call = stream(timeout=HANG)
                for index in range(5):
                    await call.write(b"%d" % index)
                    assert await call.read() == b"%d" % index
                    await asyncio.sleep(0.01)
                await call.done_writing()
                assert await call.code() is grpc.StatusCode.OK

        async with asyncio.timeout(2 * HANG):
            await asyncio.gather(*map(caller, range(8)), streamer())
        assert len(seen) > 2


async def test_a_stop_waits_for_the_calls_under_way_and_takes_no_other(until):
    async with plain_server() as plain, connected(plain.address) as peer:
        peer.send(peer.call(1, path("Wait"), b"a"))
        await until(lambda: plain.waiting == 1)
        stop = asyncio.ensure_future(plain.server.stop(60.0))
        assert (await peer.find(GOAWAY)).code == 0
        with pytest.raises(OSError):
            async with connected(plain.address):
                pass
        assert not stop.done()
        ping = await peer.find(PING)
        plain.opened.set()
        assert (await peer.answer(1))[1] == message(b"a")
        peer.send(frame(PING, ACK, 0, ping.payload))
        await peer.gone()
        async with asyncio.timeout(HANG):
            await stop


async def test_a_stop_ends_what_goes_on_after_its_grace(until):
    """Whatever it is at: its work, its message still coming, its messages not read."""
    async with plain_server() as plain, connected(plain.address) as peer:
        peer.send(peer.call(1, path("Wait"), b"a"), peer.headers(3, path("Wait")), peer.headers(5, path("Hold")))
        await until(lambda: plain.waiting == 1)
        stop = asyncio.ensure_future(plain.server.stop(0.1))
        codes = {}
        with contextlib.suppress(Gone):
            while True:
                found = await peer.frame()
                if found.kind == HEADERS:
                    codes[found.stream] = found.fields["grpc-status"]
        assert codes == {1: UNAVAILABLE, 3: UNAVAILABLE, 5: UNAVAILABLE}
        async with asyncio.timeout(HANG):
            await stop
        assert plain.cancelled == 1


async def test_a_stop_does_not_wait_for_idle_callers_that_answer(start):
    async with plain_server() as plain, grpc.aio.insecure_channel(plain.address) as channel:
        await channel.unary_unary(path("Echo"))(b"")
        async with asyncio.timeout(HANG):
            await plain.server.stop(1e6)


async def test_a_stop_does_not_wait_for_ever_for_callers_that_do_not_read(until):
    greeting = PREFACE + settings((INITIAL_WINDOW_SIZE, 2**31 - 1)) + window_update(0, 2**31 - 1 - 65_535)
    async with plain_server() as plain, connected(plain.address, greeting) as peer:
        peer.writer.transport.pause_reading()
        peer.send(peer.call(1, path("Pour"), b"5000"))
        await until(lambda: plain.written > 100)
        async with asyncio.timeout(HANG):
            await plain.server.stop(0.1)
        assert plain.cancelled == 1


async def test_two_stops_at_once_are_one(until):
    async with plain_server() as plain, connected(plain.address) as peer:
        peer.send(peer.call(1, path("Wait"), b"a"))
        await until(lambda: plain.waiting == 1)
        patient = asyncio.ensure_future(plain.server.stop(1e6))
        await asyncio.sleep(0)
        async with asyncio.timeout(HANG):
            _, _, (_, _, last) = await asyncio.gather(plain.server.stop(0.1), patient, peer.answer(1))
        assert last["grpc-status"] == UNAVAILABLE
