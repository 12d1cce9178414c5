"""Batch, demo, serve, train, label and evaluate, from the shell's side."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from explaind.bundles import labels
from explaind_client import Client
from tests.cli.conftest import STORE, width_of

Run = Callable[..., Any]
BUNDLE = STORE / "mnist"


@pytest.fixture
def folder(digits: list[bytes], tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for index, digit in enumerate(digits):
        (folder / f"{index:03}.png").write_bytes(digit)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n rubbish")
    return folder


def test_batch_here_and_over_grpc_write_the_same(run: Run, folder: Path, address: str, tmp_path: Path) -> None:
    here, there = tmp_path / "here.parquet", tmp_path / "there.parquet"
    result = run("batch", folder, here, "--engine", "local", "--shard-size", "16")
    assert result.exit_code == 0, result.stderr
    assert re.search(r"│ 41 +│ 1 +│", result.stdout)
    assert run("batch", folder, there, "--server", address, "--batch-size", "7", "--shard-size", "16").exit_code == 0
    assert pq.read_table(here).drop_columns(["probability"]).slice(0, 5).column("path").to_pylist()[0] == "000.png"
    assert pq.read_table(here)["class_index"].equals(pq.read_table(there)["class_index"])
    assert [bool(error) for error in pq.read_table(here)["error"].to_pylist()] == [False] * 40 + [True]
    again = run("batch", folder, here, "--engine", "local", "--shard-size", "16")
    assert "nothing left to do" in again.stdout


def test_batch_with_masks_streams(run: Run, folder: Path, address: str, tmp_path: Path) -> None:
    for extra in folder.glob("0[1-9]*.png"):
        extra.unlink()
    for extra in folder.glob("00[3-9].png"):
        extra.unlink()
    out = tmp_path / "masks.parquet"
    result = run("batch", folder, out, "--server", address, "--path-mask", "--ranking")
    assert result.exit_code == 0, result.stderr
    rows = pq.read_table(out).to_pylist()
    assert len(rows) == 4 and len(rows[0]["attribution"]) == 784 and rows[0]["latents"][0]["label"]
    assert rows[3]["error_reason"] == "IMAGE_UNDECODABLE"


def test_batch_that_cannot_be(run: Run, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    assert run("batch", folder, out, "--engine", "ray").exit_code == 2
    assert run("batch", folder, out, "--batch-size", "0").exit_code == 2
    missing = run("batch", tmp_path / "nowhere", out, "--engine", "local")
    assert missing.exit_code == 1 and "not a folder" in missing.stderr
    assert run("batch", folder, out, "--server", "127.0.0.1:1").exit_code == 1


def test_demo_ends_well(run: Run, tmp_path: Path) -> None:
    result = run("demo", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    assert re.search(r"boot\.png.*YES", result.stdout)
    figures = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert figures == ["boot.png", "digit_3.png", "digit_4.png", "digit_7.png"]
    assert all(str(tmp_path / "out" / name) in result.stdout for name in figures)


def test_demo_without_a_bundle_says_so(run: Run, tmp_path: Path) -> None:
    result = run("demo", "--model-store", tmp_path / "nowhere")
    assert result.exit_code == 1 and "--model-store" in result.stderr


@pytest.mark.parametrize("command", ["demo", "models"])
def test_altered_bundle_is_one_sentence_at_once(run: Run, tmp_path: Path, command: str) -> None:
    shutil.copytree(BUNDLE, tmp_path / "mnist")
    with (tmp_path / "mnist" / "1" / "weights.safetensors").open("ab") as weights:
        weights.write(b"x")
    result = run(command, "--model-store", tmp_path)
    assert result.exit_code == 1
    assert re.fullmatch(r"explaind: .*weights\.safetensors was altered.*\n", result.stderr)


def _serve(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from explaind.cli.entry import main; main()", "serve", "--metrics-port", "0"]
    everything = {**os.environ, "EXPLAIND_MODEL_STORE": str(STORE), **environment}
    return subprocess.Popen([*command, *arguments], stderr=subprocess.PIPE, text=True, env=everything)


def test_serve_answers_and_ends_on_sigterm() -> None:
    process = _serve("--port", "0", EXPLAIND_LAME_DUCK_SECONDS="0")
    assert process.stderr is not None
    try:
        found = next(match for line in process.stderr if (match := re.search(r"address=(\S+:\d+)", line)))
        with Client(found[1]) as client:
            client.wait_until_reachable()
    finally:
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=60)
    assert process.returncode == 0, rest


def test_serve_on_a_port_in_use_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        process = _serve("--port", port)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert port in said and "--port" in said and "Traceback" not in said


def test_serve_of_a_model_that_is_not_in_the_store_says_so_and_waits_for_it() -> None:
    process = _serve("--port", "0", "--model", "mnist", "--model", "absent", EXPLAIND_LAME_DUCK_SECONDS="0")
    assert process.stderr is not None
    try:
        said = next(line for line in process.stderr if "has no model absent" in line)
    finally:
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=60)
    assert "explaind models" in said
    assert process.returncode == 0 and "Traceback" not in rest, rest


def test_label_draws_and_writes_what_it_is_told(run: Run, tmp_path: Path) -> None:
    shutil.copytree(BUNDLE, tmp_path / "mnist")
    drawn = run("label", tmp_path / "mnist", "--out", tmp_path / "out", "--no-ask")
    assert drawn.exit_code == 0, drawn.stderr
    assert width_of(tmp_path / "out" / "mnist-ranking-latents.png") > 300
    (tmp_path / "mnist" / "labels.toml").unlink(missing_ok=True)
    run("label", tmp_path / "mnist", "--out", tmp_path / "out", input="slant\nhigh\n" + "\n" * 20)
    written = labels.parse_labels(tmp_path / "mnist" / "labels.toml")
    assert [factor.label for factor in written["ranking"].factors] == ["slant"]
    digest = labels.encoder_digest_in(tmp_path / "mnist" / "1" / "weights.safetensors", "ranking")
    assert written["ranking"].encoder == digest


def test_label_that_cannot_be_written_is_said_before_any_question(run: Run, tmp_path: Path) -> None:
    shutil.copytree(BUNDLE, tmp_path / "mnist")
    file = tmp_path / "mnist" / "labels.toml"
    file.unlink(missing_ok=True)
    file.symlink_to(tmp_path / "nowhere" / "labels.toml")
    result = run("label", tmp_path / "mnist", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert re.fullmatch(r"explaind: .*labels\.toml cannot be written.*\n", result.stderr)
    assert result.stdout == ""


def test_label_of_an_unknown_space_is_wrong_usage(run: Run, tmp_path: Path) -> None:
    assert run("label", BUNDLE, "--space", "moon", "--out", tmp_path).exit_code == 2


@pytest.mark.parametrize("command", ["train", "evaluate", "label"])
def test_folder_without_a_bundle_is_one_sentence(run: Run, tmp_path: Path, command: str) -> None:
    result = run(command, tmp_path)
    assert result.exit_code == 1
    assert str(tmp_path) in result.stderr and "Traceback" not in result.stderr


def test_train_without_data_says_where_to_put_it(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mnist").mkdir()
    shutil.copy(BUNDLE / "recipe.toml", tmp_path / "mnist")
    result = run("train", tmp_path / "mnist", "--data", tmp_path, "--training-runs", tmp_path / "runs")
    assert result.exit_code == 1 and "EXPLAIND_DATA" in result.stderr
