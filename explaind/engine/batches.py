"""Many images in one request: how many there may be, which of them can be used, and what they score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from explaind.bundles.bundle import Bundle
from explaind.engine import support
from explaind.engine.work import Work
from explaind.errors import InvalidRequest, ParameterOutOfRange
from explaind.explanations import conformal
from explaind.explanations.budget import Budget
from explaind.explanations.models import FloatArray
from explaind.requests import ImageInput, ScoreRequest, ScoreResult


def check_size(request: ScoreRequest, most: int) -> None:
    """Raises ParameterOutOfRange for no images, or more than `most`."""
    if not 1 <= len(request.images) <= most:
        raise ParameterOutOfRange(
            f"images holds {len(request.images)} images: send from 1 to {most}.",
            field="images",
            metadata={"max_batch_images": str(most)},
        )


def prepare_all(
    images: Sequence[ImageInput], prepare: Callable[[ImageInput], FloatArray], budget: Budget
) -> tuple[dict[int, FloatArray], dict[int, InvalidRequest]]:
    """What `prepare` makes of each image, and the errors of those that cannot be used, by position."""
    prepared: dict[int, FloatArray] = {}
    errors: dict[int, InvalidRequest] = {}
    for position, image in enumerate(images):
        budget.raise_if_cancelled()
        try:
            prepared[position] = prepare(image)
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
    predictions = work.predict(batch)
    scores = work.score(batch, request.parameters)
    return replace(empty, predictions=predictions, batch=scores, threshold=scores.threshold)
