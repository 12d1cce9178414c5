"""A folder of images to a Parquet file, one row an image: `explaind batch`. Needs PyArrow.

The work is cut into shards that are finished one by one, so a killed run goes on where it was: it neither loses nor
repeats a row, and the rows stand in the order of the file names whoever answered first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from explaind_client.batch_ask import Asker, Explainer
from explaind_client.batch_rows import RowMaker, schema
from explaind_client.batch_shards import Manifest, Shards, read_summary
from explaind_client.batch_sources import Source, digest, find_images
from explaind_client.requests import Ask

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchJob:
    """ask: what about each image; the anomaly score is always asked. shard_size: rows a shard; too large, and a kill
    loses more work; too small, and there are many files. batch_size: images one ScoreAnomalies message holds.
    concurrency: messages or stream items under way at once. patience: seconds without an answer before giving up."""

    folder: Path
    output: Path
    ask: Ask
    shard_size: int = 2048
    batch_size: int = 128
    concurrency: int = 4
    patience: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSummary:
    """images, errors, anomalous: rows of the output. answered: those of this run; seconds: it took."""

    images: int
    errors: int
    anomalous: int
    answered: int
    seconds: float


def run(job: BatchJob, explainer: Explainer, progress: Progress = lambda done, total: None) -> BatchSummary:
    """Does what is left of the job, and returns what the output holds.

    progress: called with (rows done, rows in all) from this thread. Raises ExplaindError where the job cannot be
    done or the daemon stays away; what is finished by then stays, and the same call goes on from there.
    """
    start = time.monotonic()
    sources = find_images(job.folder)
    model = explainer.get_model(job.ask.model, version=job.ask.version)
    ask = replace(job.ask, version=model.version, anomaly_score=job.ask.anomaly_score or True)  # a reload must not mix
    columns = schema(model.class_names, ranking=bool(ask.latent_ranking), mask=bool(ask.path_mask))
    pieces = [sources[i : i + job.shard_size] for i in range(0, len(sources), job.shard_size)]
    manifest = _manifest(job, ask, sources, model.bundle_digest)
    shards = Shards(job.output, columns, manifest, [len(piece) for piece in pieces])
    answered = 0
    if not shards.complete():
        rows = RowMaker(model.name, model.version, model.bundle_digest, model.class_names)
        counter = _Counter(len(sources), progress)
        asker = Asker(explainer, ask, rows, job.batch_size, job.concurrency, job.patience, counter.advance)
        answered = _work(shards, pieces, asker, counter)
    images, errors, anomalous = read_summary(job.output)
    seconds = time.monotonic() - start
    return BatchSummary(images=images, errors=errors, anomalous=anomalous, answered=answered, seconds=seconds)


def _work(shards: Shards, pieces: Sequence[Sequence[Source]], asker: Asker, counter: _Counter) -> int:
    with shards.opened():
        missing = shards.missing()
        left = sum(len(pieces[index]) for index in missing)
        counter.advance(counter.total - left)
        for index in missing:
            shards.write(index, asker.shard(pieces[index]))
        shards.merge()
    return left


@dataclass(slots=True)
class _Counter:
    total: int
    progress: Progress
    done: int = 0

    def advance(self, count: int) -> None:
        self.done += count
        self.progress(self.done, self.total)


def _manifest(job: BatchJob, ask: Ask, sources: Sequence[Source], bundle_digest: str) -> Manifest:
    """What must be equal for two runs to be one job: the images, the questions, the bundle and the cut."""
    question = {key: MessageToDict(value) if isinstance(value, Message) else value for key, value in _fields(ask)}
    return {
        "schema_version": 1,
        "images": len(sources),
        "images_digest": digest(sources),
        "bundle_digest": bundle_digest,
        "shard_size": job.shard_size,
        **question,
    }


def _fields(ask: Ask) -> list[tuple[str, object]]:
    return [(name, getattr(ask, name)) for name in sorted(Ask.__dataclass_fields__)]
