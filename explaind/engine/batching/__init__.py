"""Batching across requests: concurrent calls of one graph share one call of the backend.

A call that finds a free slot computes at once, in its own thread and on its own arrays. Calls wait only while all
slots compute; whoever leaves a slot hands it to the call that is due first, and that call takes along what waits for
the same graph. So nothing is ever delayed in the hope of company, and no thread stands between a caller and the
backend.
"""

from explaind.engine.batching.batcher import Batcher
from explaind.engine.batching.graph import Observe
from explaind.engine.batching.models import batched

__all__ = ["Batcher", "Observe", "batched"]
