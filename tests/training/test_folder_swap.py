"""What stands in the model store when a replacement ends, fails, or its process is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from explaind.errors import ConfigurationError
from explaind.training import folder_swap
from explaind.training.folder_lock import locked
from explaind.training.folder_swap import replacing, require_writable

KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
from explaind.training.folder_swap import replacing
with replacing(Path(sys.argv[1])) as partial:
    (partial / "half").write_text("half-written")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def _bundle(folder: Path, content: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "file").write_text(content)
    return folder


def _names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_the_new_takes_the_place_of_the_old(tmp_path: Path) -> None:
    folder = _bundle(tmp_path / "1", "old")
    (folder / "stale").write_text("of an older bundle")
    with replacing(folder) as partial:
        (partial / "file").write_text("new")
        assert (folder / "stale").exists()
    assert _names(tmp_path) == ["1", "1/file"]
    assert (folder / "file").read_text() == "new"


def test_so_it_does_where_two_folders_cannot_be_exchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_swap, "_exchange", lambda first, second: False)
    folder = _bundle(tmp_path / "1", "old")
    with replacing(folder) as partial:
        (partial / "file").write_text("new")
    assert _names(tmp_path) == ["1", "1/file"]
    assert (folder / "file").read_text() == "new"


def test_a_killed_process_leaves_the_old_and_the_next_one_clears_up(tmp_path: Path) -> None:
    folder = _bundle(tmp_path / "1", "old")
    killed = subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, str(folder)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (folder / "file").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2  # the old version and what was half-written, hidden
    require_writable(folder)
    assert _names(tmp_path) == ["1", "1/file"]


def test_a_version_that_had_stepped_aside_comes_back(tmp_path: Path) -> None:
    _bundle(tmp_path / ".1.abc.old", "old")
    require_writable(tmp_path / "1")
    assert _names(tmp_path) == ["1", "1/file"]


def test_other_versions_are_left_alone(tmp_path: Path) -> None:
    _bundle(tmp_path / ".10.abc", "being written")
    require_writable(tmp_path / "1")
    assert _names(tmp_path) == [".10.abc", ".10.abc/file"]


def test_a_failure_leaves_no_trace(tmp_path: Path) -> None:
    folder = _bundle(tmp_path / "1", "old")
    with pytest.raises(RuntimeError, match="in the middle"), replacing(folder) as partial:
        (partial / "file").write_text("new")
        raise RuntimeError("in the middle")
    assert _names(tmp_path) == ["1", "1/file"]
    assert (folder / "file").read_text() == "old"


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    with (
        locked(tmp_path),
        pytest.raises(ConfigurationError, match="Another training is at work"),
        replacing(tmp_path / "1"),
    ):
        pass
    require_writable(tmp_path / "1")


def test_a_model_store_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file where a folder should be")
    with (
        pytest.raises(ConfigurationError, match="cannot be written") as caught,
        replacing(tmp_path / "store" / "shapes" / "1"),
    ):
        pass
    assert str(tmp_path / "store" / "shapes") in caught.value.message


@pytest.mark.skipif(sys.platform != "linux", reason="renameat2 is Linux's")
def test_linux_exchanges_two_folders_at_once(tmp_path: Path) -> None:
    first, second = _bundle(tmp_path / "a", "a"), _bundle(tmp_path / "b", "b")
    before = first.stat().st_ino
    assert folder_swap._exchange(first, second)
    assert second.stat().st_ino == before
    assert (first / "file").read_text() == "b"
    assert not folder_swap._exchange(first, tmp_path / "none")
