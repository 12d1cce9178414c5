"""Batching across requests: concurrent calls of one graph share one call of the backend.

A call that finds a free slot computes at once, in its own thread and on its own arrays. Calls wait only while all
slots compute; whoever leaves a slot hands it to the call that is due first, and that call takes along what waits for
the same graph. So nothing is ever delayed in the hope of company, and no thread stands between a caller and the
backend.

What it is worth on a CPU (the digits' bundle, two busy cores, two runs of seven and five turns beside no batching at
all): with 32 requests in work a path mask takes 6 and 15 % less CPU, prediction and anomaly 17 and 23 % less. With 8 in
work nothing is gained: a mask takes 4 % more and 6 % less, prediction and anomaly, of which two thirds are Python, 5
and 12 % more. With one nothing waits, and a call costs 8 µs more than the backend's own. Calls of more than
`Settings.batch_rows` rows gain nothing and go by themselves.
"""

from explaind.engine.batching.batcher import Batcher
from explaind.engine.batching.graph import Observe
from explaind.engine.batching.models import batched

__all__ = ["Batcher", "Observe", "batched"]
