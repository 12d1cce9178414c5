"""What is answered on the event loop itself: work that is done sooner than a thread would have been woken for it.

To hand a request to a worker and its answer back takes some 0.3 ms, a third of a whole prediction. The loop is held up
instead, for no longer than `BRIEF_SECONDS` as a rule, and only where nobody notices: no other request is computed or
waits, so that all that a probe may come to wait for is this one answer.
"""

from __future__ import annotations

from collections.abc import Callable

from explaind.requests import CostClass, ExplanationRequest
from explaind.service.admission import Admission
from explaind.service.engine_protocol import ServedEngine

BRIEF_SECONDS = 0.003
"""What such work usually takes, at most. Too large: health and refusals wait for it; too small: every answer pays for
two threads."""
BRIEF_TENSOR_BYTES = 64 * 1024
BRIEF_ENCODED_BYTES = 2048
"""Of a file. What it says before its size is read first: two thousand bytes of a PNG's texts may be two million
characters, which hold up the loop for some milliseconds, sixty thousand for a fifth of a second."""


class BriefWork:
    """requests: how many RPCs of explaind's own are to be answered, the one that is asked about included."""

    def __init__(self, engine: ServedEngine, admission: Admission, requests: Callable[[], int]) -> None:
        self._engine, self._admission, self._requests = engine, admission, requests

    def holds(self, request: ExplanationRequest, cost_class: CostClass) -> bool:
        """Whether `request`, which is the only one, is to be answered here and now. From memory."""
        return (
            cost_class is CostClass.FAST
            and self._requests() <= 1
            and self._admission.calm
            and _is_small(request)
            and self._engine.usual_seconds(request) <= BRIEF_SECONDS
        )


def _is_small(request: ExplanationRequest) -> bool:
    """An image that is to be resized may be of any size; any other is refused for its size, before it is decoded."""
    image = request.image
    if image.resize:
        return False
    if image.array is not None:
        return image.array.nbytes <= BRIEF_TENSOR_BYTES
    return len(image.encoded or b"") <= BRIEF_ENCODED_BYTES
