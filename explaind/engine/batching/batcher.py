"""How many calls compute at once, and how the others come to their turn.

There is no thread of its own: a waiting call sleeps in its request's thread until a slot is handed to it, then
computes what waits with it and wakes the others. The lock guards a few assignments; nothing is computed under it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable

from explaind.backends.call_context import current
from explaind.engine.batching.call import Call, call_of
from explaind.engine.batching.graph import Arrays, Graph, Outputs
from explaind.engine.batching.spreading import Spreading
from explaind.engine.batching.waiting import Waiting
from explaind.errors import BackendUnavailable, DeadlineTooShort
from explaind.requests import CostClass


class Batcher:
    """One for a process, since its bundles share the cores. Thread-safe.

    slots: calls computed at once, of which the other classes leave one to the fast where there are several: a call of
    a millisecond never waits for long ones. batch_rows: rows of several calls that are put together. spread_rows: least
    rows of a piece of a call that idle cores share; 0: never. See `Settings`. cores: of this process; a call is not
    spread over more, however many slots there are.
    """

    def __init__(self, slots: int, batch_rows: int, spread_rows: int = 0, cores: int = sys.maxsize) -> None:
        self._lock = threading.Lock()
        self._free = slots
        self._free_to_slow = max(1, slots - 1)
        self._not_idle = max(slots - self._free_to_slow, slots - cores)
        self._waiting = Waiting(batch_rows)
        self.spreading = Spreading(spread_rows, slots)

    @property
    def waiting(self) -> int:
        """Calls that wait for a slot now."""
        return self._waiting.count

    @property
    def free(self) -> int:
        """Slots that a call of the fast class could have now; it may be another number the next moment."""
        return self._free

    @property
    def idle(self) -> int:
        """Calls that could compute now, each on a core, and leave nobody waiting; it may be another number the next
        moment, and below 0 where more compute than there are cores."""
        return self._free - self._not_idle

    def run(self, graph: Graph, arrays: Arrays) -> Outputs:
        """What `graph` makes of `arrays`, at once where a slot is free.

        Raises what the graph raises for this call by itself; Cancelled; while it waits also DeadlineTooShort when the
        caller's deadline passes, and BackendUnavailable when the graph is closed.
        """
        caller = current()
        caller.budget.raise_if_cancelled()
        cost_class = caller.cost_class
        with self._lock:
            entered = self._take_slot(graph, cost_class)
        if not entered:
            return self._run_in_turn(graph, arrays)
        try:
            outputs = graph.compute(*arrays)
        finally:
            self._leave(cost_class)
        graph.observe(1, len(arrays[0]))
        return outputs

    # ---- slots ------------------------------------------------------------------------------------------------

    def _leave(self, cost_class: CostClass) -> None:
        with self._lock:
            self._count(cost_class, 1)
            following = self._next_batch() if self._waiting.count else ()
        if following:
            _wake(following)

    def _take_slot(self, graph: Graph, cost_class: CostClass) -> bool:
        """Under the lock. Whether there was one for this class; who waits had no use for it, but for the company of a
        batch that failed, whose turn comes with the next slot."""
        if graph.closed:
            raise _closed()
        if not self._free or (cost_class is not CostClass.FAST and not self._free_to_slow):
            return False
        self._count(cost_class, -1)
        return True

    def _count(self, cost_class: CostClass, change: int) -> None:
        """Under the lock. change: 1 slot more is free, or -1."""
        self._free += change
        if cost_class is not CostClass.FAST:
            self._free_to_slow += change

    def _hand_over(self, cost_class: CostClass) -> tuple[Call, ...]:
        """Under the lock: the slot goes to the next batch, whose first call is returned to be woken.

        cost_class: of the call that had it.
        """
        self._count(cost_class, 1)
        return self._next_batch()

    def _next_batch(self) -> tuple[Call, ...]:
        """Under the lock: a slot that is free goes to the next batch, whose first call is returned to be woken."""
        batch = self._waiting.take(slow=self._free_to_slow > 0)
        if batch:
            self._count(batch[0].cost_class, -1)
            batch[0].batch = batch
        return batch[:1]

    # ---- calls that wait --------------------------------------------------------------------------------------

    def _run_in_turn(self, graph: Graph, arrays: Arrays) -> Outputs:
        call = call_of(graph, arrays)
        try:
            self._queue(call)
            _sleep(call)
            if call.outputs is not None:
                return call.outputs
            return self._compute(call)
        except BaseException:
            self._give_up(call)
            raise

    def _queue(self, call: Call) -> None:
        """A slot may have become free since this call looked for one."""
        with self._lock:
            if self._take_slot(call.graph, call.cost_class):
                call.batch = (call,)
                call.settled.set()
            else:
                self._waiting.add(call)

    def _compute(self, call: Call) -> Outputs:
        """In the slot that was handed to it, with its company; where that fails, each by itself."""
        batch = call.batch
        if call.graph.closed:
            raise _closed()
        if len(batch) > 1:
            try:
                outputs = call.graph.together([each.arrays for each in batch])
            except Exception:
                self._part(call)
            else:
                self._hand_out(batch, outputs)
                call.graph.observe(len(batch), sum(each.rows for each in batch))
                return outputs[0]
        alone = call.graph.compute(*call.arrays)
        self._hand_out((call,), [alone])
        call.graph.observe(1, call.rows)
        return alone

    def _hand_out(self, batch: tuple[Call, ...], outputs: list[Outputs]) -> None:
        """Slot first: a core idles until its next call wakes."""
        first, *company = batch
        with self._lock:
            first.batch = ()
            for call, own in zip(company, outputs[1:], strict=True):
                call.outputs = own
            following = self._hand_over(first.cost_class)
        _wake(following)
        _wake(company)

    def _part(self, call: Call) -> None:
        """The batch failed: the others wait again, each to be computed alone, so that only the guilty one fails."""
        with self._lock:
            for mate in call.batch[1:]:
                mate.alone = True
            self._send_back(call)

    def _send_back(self, call: Call) -> None:
        """Under the lock: its company waits again, and has never woken."""
        for mate in call.batch[1:]:
            if not mate.gone:
                self._waiting.add(mate)
        call.batch = (call,)

    def _give_up(self, call: Call) -> None:
        """Whatever ended this call, its slot and its company go on."""
        following: tuple[Call, ...] = ()
        with self._lock:
            call.gone = True
            self._waiting.remove(call)
            if call.batch:
                self._send_back(call)
                call.batch = ()
                following = self._hand_over(call.cost_class)
        _wake(following)


def _sleep(call: Call) -> None:
    """Until the call is settled. Raises Cancelled, DeadlineTooShort."""
    with call.budget.waking(call.settled.set):
        call.settled.wait(min(call.budget.remaining(), threading.TIMEOUT_MAX))
    call.budget.raise_if_cancelled()
    if call.outputs is None and not call.batch:
        raise DeadlineTooShort(
            "The deadline passed while the request waited to compute; allow more time or send less at once.",
            metadata={"cost_class": call.cost_class.value},
        )


def _wake(calls: Iterable[Call]) -> None:
    for call in calls:
        call.settled.set()


def _closed() -> BackendUnavailable:
    return BackendUnavailable("The model was closed meanwhile: ask again.")
