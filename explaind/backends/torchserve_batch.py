"""What a TorchServe handler does with a batch: group its items, run each group once, give every item its own answer.

One bad item must not fail the batch, and TorchServe turns an exception into a failure of all of it: so errors
travel in the payload. Everything is told apart by the item itself, never by the first of the batch. No torch
here: an operation takes and gives arrays.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from explaind.backends import torchserve_payload as wire
from explaind.backends.arrays import CHUNK_ROWS, checked, in_chunks
from explaind.errors import BackendUnavailable, ExplaindError, InvalidRequest, ParameterOutOfRange, ShapeMismatch
from explaind.explanations.models import FloatArray

logger = logging.getLogger(__name__)

Key = tuple[str, str, str]  # operation, latent space, what a gradient is of; unused parts are empty
Item = Mapping[str, Any]  # a request's `input` map, as TorchServe hands it over
_NO_BYTES = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """run: the inputs in order, each (B, *shape), → the outputs in order, each with B rows."""

    inputs: Mapping[str, tuple[int, ...]]
    outputs: tuple[str, ...]
    run: Callable[..., Sequence[FloatArray]]


@dataclass(frozen=True, slots=True)
class _Parsed:
    index: int
    key: Key
    arrays: tuple[FloatArray, ...]
    request_id: str


def answer_batch(items: Sequence[Item], operations: Mapping[Key, Operation]) -> list[bytes]:
    """One payload an item, in the items' order: its arrays or its error. Never raises for what an item holds."""
    replies: list[bytes] = [_NO_BYTES] * len(items)
    groups: dict[Key, list[_Parsed]] = {}
    for index, item in enumerate(items):
        try:
            parsed = _parse(index, item, operations)
        except ExplaindError as error:
            logger.warning("request %s refused: %s", _printable(item.get(wire.REQUEST_ID)), error.reason)
            replies[index] = wire.encode_error(error)
        else:
            groups.setdefault(parsed.key, []).append(parsed)
    for key, group in groups.items():
        for member, reply in zip(group, _answer_group(operations[key], group), strict=True):
            replies[member.index] = reply
    return replies


def warm(operations: Mapping[Key, Operation]) -> None:
    """Runs every operation on one row of zeros: torch's first call of a kind is a hundred times slower."""
    for operation in operations.values():
        operation.run(*(np.zeros((1, *shape), np.float32) for shape in operation.inputs.values()))


def _answer_group(operation: Operation, group: Sequence[_Parsed]) -> list[bytes]:
    started = time.perf_counter()
    rows = [len(member.arrays[0]) for member in group]
    try:
        columns = [np.concatenate(column) for column in zip(*(member.arrays for member in group), strict=True)]
        outputs = in_chunks(operation.run, columns, CHUNK_ROWS)
    except Exception:  # whatever torch raises, out of memory too: it must not reach the other groups
        logger.exception("requests %s failed", _names(group))
        failure = BackendUnavailable("the forward pass failed; the worker's log says why.")
        return [wire.encode_error(failure)] * len(group)
    spent = 1e3 * (time.perf_counter() - started)
    logger.info("requests %s: %s, %d rows, %.1f ms", _names(group), group[0].key[0], sum(rows), spent)
    splits = [np.split(output, np.cumsum(rows)[:-1]) for output in outputs]
    return [wire.encode_arrays(dict(zip(operation.outputs, parts, strict=True))) for parts in zip(*splits, strict=True)]


def _parse(index: int, item: Item, operations: Mapping[Key, Operation]) -> _Parsed:
    key = _key(item, operations)
    payload = item.get(wire.PAYLOAD)
    if not isinstance(payload, bytes | bytearray):
        raise InvalidRequest("The input has no `payload`; send safetensors bytes.", field=wire.PAYLOAD)
    arrays = _arrays(wire.decode_arrays(payload), operations[key].inputs)
    return _Parsed(index, key, arrays, _printable(item.get(wire.REQUEST_ID)))


def _arrays(given: Mapping[str, FloatArray], shapes: Mapping[str, tuple[int, ...]]) -> tuple[FloatArray, ...]:
    if set(given) != set(shapes):
        raise InvalidRequest(
            f"The payload holds {sorted(given)}; this operation takes {sorted(shapes)}.", field=wire.PAYLOAD
        )
    arrays = tuple(checked(name, given[name], shape) for name, shape in shapes.items())
    if len({len(array) for array in arrays}) != 1:
        raise ShapeMismatch("The arrays of a request must have equally many rows.", field=wire.PAYLOAD)
    return arrays


def _key(item: Item, operations: Mapping[Key, Operation]) -> Key:
    operation = _text(item, wire.OPERATION)
    offered = [key for key in operations if key[0] == operation]
    if not offered:
        raise ParameterOutOfRange(
            f"Operation {operation!r} is not one of {', '.join(sorted({key[0] for key in operations}))}.",
            field=wire.OPERATION,
        )
    space, output = _text(item, wire.LATENT_SPACE), _text(item, wire.OUTPUT)
    if operation == wire.GRADIENT:
        output = output or wire.PROBABILITIES
    for key in offered:
        if key[1:] == (space, output):
            return key
    wrong = wire.OUTPUT if operation == wire.GRADIENT else wire.LATENT_SPACE
    known = ", ".join(repr(key[2] if wrong == wire.OUTPUT else key[1]) for key in offered)
    raise ParameterOutOfRange(f"`{wrong}` is not one of {known}.", field=wrong)


def _text(item: Item, name: str) -> str:
    value = item.get(name, "")
    if isinstance(value, bytes | bytearray):
        value = bytes(value).decode("utf-8", "replace")
    return value if isinstance(value, str) else ""


def _printable(value: object) -> str:
    """A request id for a log line: bounded, and with nothing that could forge another line."""
    text = bytes(value[:512]).decode("utf-8", "replace") if isinstance(value, bytes | bytearray) else str(value or "")
    return "".join(character if character.isprintable() else "?" for character in text[:128]) or "-"


def _names(group: Sequence[_Parsed]) -> str:
    return ", ".join(member.request_id for member in group)
