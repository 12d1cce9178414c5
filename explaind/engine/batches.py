"""Many images in one request: which of them can be used, and what they score, piece by piece."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain

from explaind.bundles.bundle import Bundle
from explaind.engine import support
from explaind.engine.work import Work
from explaind.errors import InvalidRequest
from explaind.explanations import anomaly_score, conformal
from explaind.explanations.budget import Budget
from explaind.explanations.models import FloatArray
from explaind.requests import ImageInput, ScoreRequest, ScoreResult

PIECE_IMAGES = 256
PIECE_BYTES = 64 * 1024 * 1024
"""Of float pixels: a piece is held some five times over, as read, stacked, rebuilt and compared. More: memory grows
with the message, whose few megabytes may decode to gigabytes, and a cancellation is seen late. Fewer: a call is too
small to be spread over idle cores."""


def pieces(count: int, image_shape: tuple[int, ...]) -> Iterator[range]:
    """Positions of the images that are scored together. image_shape: the model's, (C, H, W)."""
    size = max(1, min(PIECE_IMAGES, PIECE_BYTES // (4 * math.prod(image_shape))))
    return (range(start, min(start + size, count)) for start in range(0, count, size))


def prepare_all(
    images: Sequence[ImageInput], positions: range, prepare: Callable[[ImageInput], FloatArray], budget: Budget
) -> tuple[dict[int, FloatArray], dict[int, InvalidRequest]]:
    """What `prepare` makes of the images there, and the errors of those that cannot be used, by position."""
    prepared: dict[int, FloatArray] = {}
    errors: dict[int, InvalidRequest] = {}
    for position in positions:
        budget.raise_if_cancelled()
        try:
            prepared[position] = prepare(images[position])
        except InvalidRequest as error:
            errors[position] = error
    return prepared, errors


def empty_result(bundle: Bundle, request: ScoreRequest, errors: dict[int, InvalidRequest]) -> ScoreResult:
    """The answer while no image is scored."""
    level, detector = request.parameters.level, request.parameters.detector
    return ScoreResult(
        model=bundle.name,
        model_version=bundle.version,
        indices=(),
        predictions=(),
        batch=None,
        errors=tuple(errors.items()),
        threshold=conformal.threshold(support.calibration(bundle, detector), level),
        bundle_digest=bundle.digest,
    )


def scored(work: Work, batch: FloatArray, request: ScoreRequest, empty: ScoreResult) -> ScoreResult:
    """`empty` with predictions and scores of batch (B, C, H, W)."""
    scores = work.score(batch, request.parameters, details=False)  # first, as in `Work.explain`
    predictions = work.predict(batch)
    return replace(empty, predictions=predictions, batch=scores, threshold=scores.threshold)


def joined(parts: Sequence[ScoreResult]) -> ScoreResult:
    """The pieces of one request, in their order, as one answer."""
    batches = [part.batch for part in parts if part.batch is not None]
    return replace(
        parts[0],
        indices=tuple(chain.from_iterable(part.indices for part in parts)),
        predictions=tuple(chain.from_iterable(part.predictions for part in parts)),
        errors=tuple(chain.from_iterable(part.errors for part in parts)),
        batch=anomaly_score.joined(batches) if batches else None,
    )
