from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pyarrow.parquet as pq
import pytest

from explaind_client import Ask, Client
from explaind_client.batch import BatchJob, BatchSummary, run
from explaind_client.errors import (
    BackendUnavailable,
    ExplanationUnsupported,
    InvalidRequest,
    ModelNotFound,
    ServerUnreachable,
    Unexpected,
)
from tests.client.stand_in import BUSY, DIGEST, GONE, StandIn, picture, status


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """25 pictures in two folders, one that is none, one that cannot be read, and a file of another kind."""
    folder = tmp_path / "images"
    (folder / "deep").mkdir(parents=True)
    for i in range(25):
        place = folder / "deep" if i % 2 else folder
        (place / f"{i:02}.{('png', 'JPG', 'jpeg', 'webp')[i % 4]}").write_bytes(picture(i))
    (folder / "broken.png").write_bytes(b"junk")
    (folder / "dangling.png").symlink_to(folder / "nowhere.png")
    (folder / "notes.txt").write_text("no image")
    return folder


@pytest.fixture
def job(folder: Path, tmp_path: Path) -> BatchJob:
    return BatchJob(
        folder=folder, output=tmp_path / "out.parquet", ask=Ask(model="digits"), shard_size=4, batch_size=3, patience=5
    )


def _rows(job: BatchJob) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(job.output).to_pylist()
    return rows


def _names(folder: Path) -> list[str]:
    found = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir() and p.suffix != ".txt")
    return sorted(found)


def test_one_row_an_image_in_order(job: BatchJob, client: Client, folder: Path) -> None:
    seen: list[tuple[int, int]] = []
    summary = run(job, client, lambda done, total: seen.append((done, total)))
    rows = _rows(job)
    assert [row["path"] for row in rows] == _names(folder)
    assert summary == BatchSummary(images=27, errors=2, anomalous=2, answered=27, seconds=summary.seconds)
    assert seen[0] == (0, 27) and seen[-1] == (27, 27)
    good = next(row for row in rows if row["path"] == "deep/07.webp")
    assert (good["class_index"], good["class_name"], good["p_value"], good["mse"]) == (7, "7", 0.25, 0.25)
    assert (good["model"], good["model_version"], good["bundle_digest"]) == ("digits", "2", DIGEST)
    assert good["error"] is None
    assert not job.output.with_name("out.parquet.parts").exists()


def test_unreadable_images_are_rows_with_an_error(job: BatchJob, client: Client) -> None:
    run(job, client)
    errors = {row["path"]: (row["error_reason"], row["class_index"]) for row in _rows(job) if row["error"]}
    assert errors == {"broken.png": ("IMAGE_UNDECODABLE", None), "dangling.png": ("IMAGE_UNDECODABLE", None)}


def test_scores_go_in_batches_and_masks_through_the_stream(job: BatchJob, client: Client, stand_in: StandIn) -> None:
    run(job, client)
    kinds = {type(request).__name__ for request in stand_in.requests}
    assert "ScoreAnomaliesRequest" in kinds and "ExplainRequest" not in kinds
    sizes = [len(request.encoded.images) for request in stand_in.requests if hasattr(request, "encoded")]
    assert max(sizes) == 3 and sum(sizes) == 26
    stand_in.requests.clear()
    masks = replace(job, output=job.output.with_name("masks.parquet"), ask=Ask(model="digits", path_mask=True))
    run(masks, client)
    assert "ScoreAnomaliesRequest" not in {type(request).__name__ for request in stand_in.requests}
    rows = _rows(masks)
    assert [row["path"] for row in rows] == _names(job.folder)
    assert {row["outcome"] for row in rows if not row["error"]} == {"converged"}
    assert sum(bool(row["error"]) for row in rows) == 2


@pytest.mark.parametrize("path_mask", [False, True])
def test_a_struggling_daemon_leaves_no_trace(job: BatchJob, client: Client, stand_in: StandIn, path_mask: bool) -> None:
    run(replace(job, ask=Ask(model="digits", path_mask=path_mask)), client)
    calm = _rows(job)
    stand_in.item_failures.extend([BUSY, GONE, BUSY])
    stand_in.failures.extend([GONE] * 6)  # more than a call's own retries
    troubled = replace(
        job, output=job.output.with_name("troubled.parquet"), ask=Ask(model="digits", path_mask=path_mask)
    )
    _after_get_model(client, stand_in, troubled)
    assert _rows(troubled) == calm


def _after_get_model(client: Client, stand_in: StandIn, job: BatchJob) -> None:
    """GetModel must pass first: a daemon that is away at the start ends the run at once."""
    failures = list(stand_in.failures)
    stand_in.failures.clear()

    class Troubled:
        def __getattr__(self, name: str) -> Any:
            return getattr(client, name)

        def get_model(self, *args: Any, **named: Any) -> Any:
            model = client.get_model(*args, **named)
            stand_in.failures.extend(failures)
            return model

    run(job, Troubled())


def test_daemon_that_stays_away_ends_the_run_and_keeps_what_is_done(
    job: BatchJob, client: Client, stand_in: StandIn
) -> None:
    job = replace(job, patience=0.3, batch_size=4, concurrency=1)

    def die_after_two_shards(done: int, total: int) -> None:
        if done >= 8:
            stand_in.failures.extend([GONE] * 100)

    with pytest.raises(BackendUnavailable):
        run(job, client, die_after_two_shards)
    assert len(list(job.output.with_name("out.parquet.parts").glob("part-*"))) == 2
    stand_in.failures.clear()
    assert run(job, client).answered == 27 - 8
    assert [row["path"] for row in _rows(job)] == _names(job.folder)


def test_what_would_befall_every_image_ends_the_run(job: BatchJob, client: Client, stand_in: StandIn) -> None:
    stand_in.item_failures.append(status(grpc.StatusCode.FAILED_PRECONDITION, "EXPLANATION_UNSUPPORTED"))
    with pytest.raises(ExplanationUnsupported):
        run(replace(job, ask=Ask(model="digits", latent_ranking=True)), client)
    with pytest.raises(ModelNotFound):
        run(replace(job, ask=Ask(model="moons")), client)


def test_killed_run_goes_on_where_it_was(
    job: BatchJob, client: Client, address: str, stand_in: StandIn, tmp_path: Path
) -> None:
    stand_in.seconds = 0.05
    code = (
        "import sys; from pathlib import Path; from explaind_client import Ask, Client\n"
        "from explaind_client.batch import BatchJob, run\n"
        "run(BatchJob(folder=Path(sys.argv[1]), output=Path(sys.argv[2]), ask=Ask(model='digits'), shard_size=4,\n"
        "    batch_size=3, patience=5), Client(sys.argv[3]))"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(job.folder), str(job.output), address])
    parts = job.output.with_name("out.parquet.parts")
    end = time.monotonic() + 60
    while len(list(parts.glob("part-*.parquet"))) < 3 and process.poll() is None and time.monotonic() < end:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = {path.name: path.read_bytes() for path in parts.glob("part-*.parquet")}
    finished = [row["path"] for name in sorted(done) for row in pq.read_table(parts / name).to_pylist()]
    assert 3 <= len(done) < 7 and not job.output.exists()
    (parts / ".part-000006.parquet.tmp").write_bytes(b"half written")
    stand_in.seconds = 0.0
    stand_in.asked.clear()
    summary = run(job, client)
    assert summary.answered == 27 - len(finished)
    asked_again = {(job.folder / name).read_bytes() for name in finished if "dangling" not in name}
    assert not asked_again & set(stand_in.asked)
    assert [row["path"] for row in _rows(job)] == _names(job.folder)
    assert not parts.exists()


def test_damaged_part_is_done_again(job: BatchJob, client: Client, stand_in: StandIn) -> None:
    with pytest.raises(InterruptedError):
        run(job, client, _stop_at(12))
    part = job.output.with_name("out.parquet.parts") / "part-000001.parquet"
    part.write_bytes(part.read_bytes()[:-20])
    run(job, client)
    assert [row["path"] for row in _rows(job)] == _names(job.folder)


def _stop_at(count: int) -> Any:
    def progress(done: int, total: int) -> None:
        if done >= count:
            raise InterruptedError

    return progress


def test_finished_job_has_nothing_left_to_do(job: BatchJob, client: Client, stand_in: StandIn) -> None:
    first = run(job, client)
    before = job.output.read_bytes()
    stand_in.asked.clear()
    second = run(job, client)
    assert (second.images, second.errors, second.anomalous) == (first.images, first.errors, first.anomalous)
    assert second.answered == 0 and not stand_in.asked
    assert job.output.read_bytes() == before


def test_another_jobs_output_is_not_touched(job: BatchJob, client: Client) -> None:
    run(job, client)
    with pytest.raises(InvalidRequest, match="not of this job"):
        run(replace(job, ask=Ask(model="digits", resize=True)), client)
    job.output.write_text("somebody's notes")
    with pytest.raises(InvalidRequest, match="not of this job"):
        run(job, client)
    assert job.output.read_text() == "somebody's notes"


def test_parts_of_another_job_are_not_mixed(job: BatchJob, client: Client) -> None:
    with pytest.raises(InterruptedError):
        run(job, client, _stop_at(8))
    manifest = json.loads((job.output.with_name("out.parquet.parts") / "manifest.json").read_text())
    assert manifest["images"] == 27 and manifest["bundle_digest"] == DIGEST
    (job.folder / "new.png").write_bytes(picture(1))
    with pytest.raises(InvalidRequest, match="images: 27 there, 28 here"):
        run(job, client)


def test_bundle_that_changes_under_the_run_ends_it(job: BatchJob, client: Client, stand_in: StandIn) -> None:
    stand_in.digest = "e" * 64
    with pytest.raises(Unexpected, match="changed"):
        run(job, client)


def test_two_runs_do_not_write_one_output(job: BatchJob, client: Client) -> None:
    def second(done: int, total: int) -> None:
        with pytest.raises(InvalidRequest, match="Another process"):
            run(job, client)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        run(job, client, second)


def test_names_that_are_no_text_are_kept_apart(job: BatchJob, client: Client) -> None:
    (job.folder / os.fsdecode(b"caf\xe9.png")).write_bytes(picture(5))
    (job.folder / "café.png").write_bytes(picture(6))
    run(job, client)
    classes = {row["path"]: row["class_index"] for row in _rows(job)}
    assert classes["caf\\xe9.png"] == 5 and classes["café.png"] == 6


@pytest.mark.parametrize("missing", ["folder", "images"])
def test_nothing_to_do_is_said(job: BatchJob, client: Client, tmp_path: Path, missing: str) -> None:
    (tmp_path / "images_of_nobody").mkdir()
    place = tmp_path / ("nowhere" if missing == "folder" else "images_of_nobody")
    with pytest.raises(InvalidRequest) as caught:
        run(replace(job, folder=place), client)
    assert caught.value.field == "folder"


def test_unwritable_output_is_said(job: BatchJob, client: Client) -> None:
    with pytest.raises(InvalidRequest, match="choose another output"):
        run(replace(job, output=Path("/proc/out.parquet")), client)


def test_nobody_there(job: BatchJob) -> None:
    with Client("127.0.0.1:1") as client, pytest.raises(ServerUnreachable):
        run(job, client)
