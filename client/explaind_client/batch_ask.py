"""Gets the rows of a shard from a daemon: one bad image is a row, a struggling daemon is waited for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from explaind.v1 import explanation_pb2 as pb
from explaind.v1 import explanation_service_pb2 as service_pb
from explaind.v1 import model_service_pb2 as model_pb
from explaind_client.batch_rows import Row, RowMaker
from explaind_client.batch_sources import Source, chunks
from explaind_client.errors import (
    Cancelled,
    DeadlineExceeded,
    ExplaindError,
    ExplanationUnsupported,
    ModelNotFound,
    NotAuthenticated,
    NotPermitted,
    Unavailable,
    Unexpected,
    from_status,
)
from explaind_client.images import ImageLike, read_encoded
from explaind_client.requests import Ask, StreamItem

PASSING = (Unavailable, DeadlineExceeded, Cancelled)
"""Says nothing about the image: ask again."""
FATAL = (ModelNotFound, ExplanationUnsupported, NotAuthenticated, NotPermitted)
"""Would say the same of every image: end the run."""


class Explainer(Protocol):
    """What a batch needs of `Client`, or of an engine in this process."""

    def get_model(self, model: str, *, version: str = "") -> model_pb.Model: ...

    def stream(
        self, items: Iterable[tuple[str, ImageLike]], *, ask: Ask, window: int = 16, timeout: float = 600.0
    ) -> Iterator[StreamItem]: ...

    def score_anomalies(
        self,
        images: Sequence[bytes],
        *,
        model: str,
        version: str = "",
        parameters: pb.AnomalyScoreParameters | None = None,
        resize: bool = False,
    ) -> service_pb.ScoreAnomaliesResponse: ...


@dataclass(slots=True)
class Patience:
    """Waits longer after each failure in a row; gives up after `seconds` without a success."""

    seconds: float
    _since: float | None = None
    _wait: float = 0.2

    def success(self) -> None:
        self._since, self._wait = None, 0.2

    def failure(self, error: ExplaindError) -> None:
        """Sleeps, or raises `error` when patience is at its end."""
        now = time.monotonic()
        self._since = self._since if self._since is not None else now
        wait = max(self._wait, error.retry_after or 0.0)
        if now + wait - self._since > self.seconds:
            raise error
        time.sleep(wait)
        self._wait = min(self._wait * 2, 5.0)


@dataclass(slots=True)
class Asker:
    """concurrency: messages or stream items under way at once. patience: seconds a daemon may be away. advance: told
    of rows as they come, from the caller's thread."""

    explainer: Explainer
    ask: Ask
    rows: RowMaker
    batch_size: int
    concurrency: int
    patience: float
    advance: Callable[[int], None]
    _found: dict[str, Row] = field(default_factory=dict)

    @property
    def streams(self) -> bool:
        """ScoreAnomalies answers scores; anything more needs Explain."""
        return bool(self.ask.path_mask or self.ask.latent_ranking)

    def shard(self, sources: Sequence[Source]) -> list[Row]:
        """One row a source, in their order."""
        self._found = {}
        rows = self._streamed(sources) if self.streams else self._scored(sources)
        return [rows[source.name] for source in sources]

    def _scored(self, sources: Sequence[Source]) -> dict[str, Row]:
        with ThreadPoolExecutor(self.concurrency) as pool:
            for rows in pool.map(self._chunk, chunks(sources, self.batch_size)):
                self._found |= rows
                self.advance(len(rows))
        return self._found

    def _chunk(self, sources: Sequence[Source]) -> dict[str, Row]:
        rows: dict[str, Row] = {}
        pending = self._read(sources, rows)
        patience = Patience(self.patience)
        while pending:
            try:
                answer = self._score([data for _, data in pending])
            except PASSING as exc:
                patience.failure(exc)
                continue
            again = self._take(pending, answer, rows)
            if again is None:
                break
            patience.failure(again)
            pending = [(name, data) for name, data in pending if name not in rows]
        return rows

    def _score(self, images: Sequence[bytes]) -> service_pb.ScoreAnomaliesResponse:
        parameters = None if isinstance(self.ask.anomaly_score, bool) else self.ask.anomaly_score
        answer = self.explainer.score_anomalies(
            images, model=self.ask.model, version=self.ask.version, parameters=parameters, resize=self.ask.resize
        )
        self._same_bundle(answer.provenance.bundle_digest)
        return answer

    def _take(
        self, asked: Sequence[tuple[str, bytes]], answer: service_pb.ScoreAnomaliesResponse, rows: dict[str, Row]
    ) -> ExplaindError | None:
        """Adds the rows of an answer; returns a passing error, if an item had one."""
        errors = {item.index: from_status(item.status) for item in answer.errors}
        passing = None
        for index, (name, _) in enumerate(asked):
            error = errors.get(index)
            if error is None:
                rows[name] = self.rows.scored(name, answer, index)
            elif not self._refused(name, error, rows):
                passing = error
        return passing

    def _read(self, sources: Sequence[Source], rows: dict[str, Row]) -> list[tuple[str, bytes]]:
        images = []
        for source in sources:
            try:
                images.append((source.name, read_encoded(source.path)))
            except ExplaindError as exc:
                rows[source.name] = self.rows.failed(source.name, exc)
        return images

    def _streamed(self, sources: Sequence[Source]) -> dict[str, Row]:
        patience = Patience(self.patience)
        while pending := [source for source in sources if source.name not in self._found]:
            try:
                again = self._stream_once(pending, patience)
            except PASSING as exc:
                again = exc
            if again is not None:
                patience.failure(again)
        return self._found

    def _stream_once(self, sources: Sequence[Source], patience: Patience) -> ExplaindError | None:
        items = ((source.name, source.path) for source in sources)
        timeout = 600.0 + 10.0 * len(sources)  # bounds a lost stream; must not press on any one item
        passing = None
        for item in self.explainer.stream(items, ask=self.ask, window=self.concurrency, timeout=timeout):
            if item.response is not None:
                self._same_bundle(item.response.provenance.bundle_digest)
                self._found[item.item_id] = self.rows.explained(item.item_id, item.response)
                patience.success()
                self.advance(1)
            elif item.error is not None and self._refused(item.item_id, item.error, self._found):
                self.advance(1)
            else:
                passing = item.error
        return passing

    def _refused(self, name: str, error: ExplaindError, rows: dict[str, Row]) -> bool:
        """Is the item done, with an error row? Raises what would befall every image."""
        if isinstance(error, FATAL):
            raise error
        if isinstance(error, PASSING):
            return False
        rows[name] = self.rows.failed(name, error)
        return True

    def _same_bundle(self, digest: str) -> None:
        if digest and digest != self.rows.digest:
            raise Unexpected(
                f"The bundle changed under the run (now {digest[:12]}); remove the parts folder and start again."
            )
