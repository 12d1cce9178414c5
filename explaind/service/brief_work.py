"""What is answered on the event loop itself: work that is done sooner than a thread would have been woken for it.

To hand a request to a worker and its answer back takes some 0.3 ms, a third of a whole prediction. The loop is held up
instead, for no longer than `BRIEF_SECONDS` as a rule, and only while all that is computed or waits is as brief: beside
a longer one the loop would have to wait for the interpreter's lock.

Brief work in a thread keeps none from the loop, or a stall would last: threads answer half as many a second, so that
once they had all of a load that the loop bears, their queue would only grow.
"""

from __future__ import annotations

from explaind.requests import CostClass, ExplanationRequest
from explaind.service.engine_protocol import ServedEngine

BRIEF_SECONDS = 0.003
"""What such work usually takes, at most. Too large: health and refusals wait for it; too small: every answer pays for
two threads."""
BRIEF_TENSOR_BYTES = 64 * 1024
BRIEF_ENCODED_BYTES = 2048
"""Of a file. What it says before its size is read first: two thousand bytes of a PNG's texts may be two million
characters, which hold up the loop for some milliseconds, sixty thousand for a fifth of a second."""


class BriefWork:
    """Tells it from all other, from memory."""

    def __init__(self, engine: ServedEngine) -> None:
        self._engine = engine

    def holds(self, request: ExplanationRequest, cost_class: CostClass) -> bool:
        """Whether `request` may be answered on the loop, while nothing longer is computed."""
        return (
            cost_class is CostClass.FAST and _is_small(request) and self._engine.usual_seconds(request) <= BRIEF_SECONDS
        )


def _is_small(request: ExplanationRequest) -> bool:
    """An image that is to be resized may be of any size; any other is refused for its size, before it is decoded."""
    image = request.image
    if image.resize:
        return False
    if image.array is not None:
        return image.array.nbytes <= BRIEF_TENSOR_BYTES
    return len(image.encoded or b"") <= BRIEF_ENCODED_BYTES
