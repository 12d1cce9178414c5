"""What is found in a stream's data does not depend on how it was cut: messages, and what is wrong with them."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from explaind.errors import InvalidRequest
from explaind.service.rpc.messages import Message, MessageReader

MOST_BYTES = 50
PARTS = st.one_of(
    st.tuples(st.sampled_from([0, 1]), st.binary(max_size=MOST_BYTES)).map(
        lambda part: bytes((part[0],)) + len(part[1]).to_bytes(4, "big") + part[1]
    ),
    st.binary(max_size=8),
)
"""Messages, some marked as compressed, and now and then bytes that are none."""


def outcome(chunks: list[bytes]) -> tuple[list[Message], str | None, bool]:
    reader, found = MessageReader(MOST_BYTES), []
    for chunk in chunks:
        try:
            found += reader.feed(chunk)
        except InvalidRequest as problem:
            return found, problem.message, True
    return found, None, reader.within


@settings(deadline=None)  # other work may have the machine meanwhile
@given(st.lists(PARTS, max_size=6).map(b"".join), st.lists(st.integers(0, 400), max_size=20))
def test_however_the_bytes_are_cut_the_same_is_found_and_the_same_is_wrong(data: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    chunks = [data[begin:end] for begin, end in pairwise(places)]
    found, problem, within = outcome(chunks)
    one_by_one = outcome([data[at : at + 1] for at in range(len(data))])
    if problem is None:
        assert (found, problem, within) == one_by_one
    else:  # what came in the same piece as the fault may have been found or not: the call is over either way
        assert problem == one_by_one[1]
        assert found == one_by_one[0][: len(found)]


@settings(deadline=None)  # other work may have the machine meanwhile
@given(st.lists(st.binary(max_size=MOST_BYTES), min_size=1, max_size=6), st.integers(1, 400))
def test_a_message_that_has_begun_and_not_ended_is_known(messages: list[bytes], missing: int) -> None:
    data = b"".join(b"\0" + len(each).to_bytes(4, "big") + each for each in messages)
    last = 5 + len(messages[-1])
    found, problem, within = outcome([data[: -min(missing, last)]])
    assert (found, problem) == ([Message(each) for each in messages[:-1]], None)
    assert within is (missing < last)
