"""What is served follows what lies in the store, and never becomes worse by it."""

from __future__ import annotations

import errno
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import CapturingLogger

from explaind.bundles import manifest
from explaind.bundles.bundle import Bundle
from explaind.bundles.catalogue import Catalogue
from explaind.errors import BackendUnavailable, BundleInvalid, ConfigurationError, ModelLoading, ModelNotFound
from tests import small_bundle


@dataclass(frozen=True)
class Opened:
    bundle: Bundle


@dataclass
class Owner:
    """Opens bundles as the engine would; `fail` says what goes wrong meanwhile."""

    fail: Callable[[Bundle], None] = lambda bundle: None
    opened: list[tuple[str, str]] = field(default_factory=list)
    changed: threading.Event = field(default_factory=threading.Event)

    def serve(self, bundle: Bundle) -> Opened:
        self.opened.append((bundle.name, bundle.version))
        self.fail(bundle)
        return Opened(bundle)


@pytest.fixture
def owner() -> Owner:
    return Owner()


@pytest.fixture
def catalogue(tmp_path: Path, owner: Owner) -> Iterator[Catalogue[Opened]]:
    catalogue = Catalogue(tmp_path, owner.serve, owner.changed.set)
    yield catalogue
    catalogue.stop()


def _versions(catalogue: Catalogue[Opened]) -> list[tuple[str, str]]:
    return [(served.bundle.name, served.bundle.version) for served in catalogue.all()]


def test_before_the_first_look_models_are_loading(catalogue: Catalogue[Opened]) -> None:
    with pytest.raises(ModelLoading) as caught:
        catalogue.get("small")
    assert caught.value.retry_after > 0


def test_the_default_is_the_highest_version_by_number(catalogue: Catalogue[Opened], tmp_path: Path) -> None:
    for version in ("2", "10", "9", "rc"):
        small_bundle.write(tmp_path, version)
    small_bundle.write(tmp_path, name="another")
    catalogue.refresh()
    assert catalogue.get("small").bundle.version == "10"
    assert catalogue.get("small", "9").bundle.version == "9"
    assert _versions(catalogue) == [
        ("another", "1"), ("small", "rc"), ("small", "2"), ("small", "9"), ("small", "10"),
    ]  # fmt: skip
    assert [served.bundle.version for served in catalogue.defaults()] == ["1", "10"]


def test_only_the_models_named_are_opened_and_those_missing_are_known(tmp_path: Path, owner: Owner) -> None:
    catalogue = Catalogue(tmp_path, owner.serve, owner.changed.set, only=("small", "later"))
    small_bundle.write(tmp_path)
    small_bundle.write(tmp_path, name="another")
    catalogue.refresh()
    assert owner.opened == [("small", "1")]
    assert catalogue.missing() == ("later",)
    with pytest.raises(ModelNotFound, match="no model 'another'; there is small"):
        catalogue.get("another")
    small_bundle.write(tmp_path, name="later")
    catalogue.refresh()
    assert catalogue.missing() == ()
    assert _versions(catalogue) == [("later", "1"), ("small", "1")]


def test_a_model_that_is_in_the_store_is_not_missing_before_it_is_opened(tmp_path: Path, owner: Owner) -> None:
    """A stop while models are loaded would otherwise end with a word on one that is there."""
    catalogue = Catalogue(tmp_path, owner.serve, owner.changed.set, only=("small",))
    small_bundle.write(tmp_path)
    catalogue.stop()
    catalogue.refresh()
    assert owner.opened == [] and catalogue.missing() == ()


def test_a_stop_while_the_watch_begins_ends_well(catalogue: Catalogue[Opened], monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def stopping_first(thread: threading.Thread) -> None:
        catalogue.stop()
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", stopping_first)
    catalogue.watch(0.01)
    catalogue.stop()


def test_what_is_not_there_is_named_with_what_is(catalogue: Catalogue[Opened], tmp_path: Path) -> None:
    small_bundle.write(tmp_path)
    catalogue.refresh()
    with pytest.raises(ModelNotFound, match="no model 'large'; there is small") as caught:
        catalogue.get("large")
    assert caught.value.metadata == {"field": "model", "models": "small"}
    with pytest.raises(ModelNotFound, match="no version '2'; it has 1") as caught:
        catalogue.get("small", "2")
    assert caught.value.metadata == {"field": "model_version", "model": "small", "versions": "1"}
    with pytest.raises(ModelNotFound):
        catalogue.get("")


def test_an_empty_store_has_no_models(catalogue: Catalogue[Opened]) -> None:
    catalogue.refresh()
    with pytest.raises(ModelNotFound, match="none is served"):
        catalogue.get("small")


def test_a_store_that_is_not_there(tmp_path: Path, owner: Owner) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot be read.*--model-store"):
        Catalogue(tmp_path / "no", owner.serve, owner.changed.set).refresh()


def test_a_bad_bundle_is_refused_by_name_and_the_others_served(catalogue: Catalogue[Opened], tmp_path: Path) -> None:
    (small_bundle.write(tmp_path, name="broken") / "networks.json").write_text("altered")
    small_bundle.write(tmp_path)
    (tmp_path / "empty" / "1").mkdir(parents=True)
    (tmp_path / ".hidden" / "1").mkdir(parents=True)
    (tmp_path / "a file").write_text("")
    catalogue.refresh()
    assert _versions(catalogue) == [("small", "1")]
    assert catalogue.refusals().keys() == {("broken", "1"), ("empty", "1")}
    assert "networks.json was altered" in catalogue.refusals()["broken", "1"].message


@pytest.fixture
def unreadable(monkeypatch: pytest.MonkeyPatch) -> set[Path]:
    """Folders that may not be listed and files that may not be looked at: root, as whom tests may run, could not be
    kept out of real ones."""
    paths: set[Path] = set()

    def guarded(real: Callable[..., Any], *, files: bool) -> Callable[..., Any]:
        def look(path: Path, **options: Any) -> Any:
            if path in paths and bool(path.suffix) == files:
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return real(path, **options)

        return look

    monkeypatch.setattr(Path, "iterdir", guarded(Path.iterdir, files=False))
    monkeypatch.setattr(Path, "stat", guarded(Path.stat, files=True))
    return paths


def test_a_folder_that_cannot_be_read_is_warned_of_once_and_the_others_served(
    catalogue: Catalogue[Opened], tmp_path: Path, unreadable: set[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = CapturingLogger()
    monkeypatch.setattr("explaind.bundles.catalogue.log", said)
    (tmp_path / "lost+found").mkdir()
    small_bundle.write(tmp_path)
    unreadable.add(tmp_path / "lost+found")
    catalogue.refresh()
    catalogue.refresh()
    assert _versions(catalogue) == [("small", "1")]
    warned = [call.kwargs["folder"] for call in said.calls if call.method_name == "warning"]
    assert warned == [str(tmp_path / "lost+found")]


def test_a_model_whose_folder_cannot_be_read_any_more_goes_on(
    catalogue: Catalogue[Opened], tmp_path: Path, unreadable: set[Path], owner: Owner
) -> None:
    small_bundle.write(tmp_path)
    catalogue.refresh()
    unreadable.add(tmp_path / "small")
    catalogue.refresh()
    assert _versions(catalogue) == [("small", "1")]
    unreadable.clear()
    catalogue.refresh()
    assert owner.opened == [("small", "1")], "nothing has changed"


def test_a_file_that_cannot_be_looked_at_is_its_bundles_own_defect(
    catalogue: Catalogue[Opened], tmp_path: Path, unreadable: set[Path]
) -> None:
    unreadable.add(small_bundle.write(tmp_path, name="closed") / "weights.safetensors")
    small_bundle.write(tmp_path)
    catalogue.refresh()
    assert _versions(catalogue) == [("small", "1")]
    assert catalogue.refusals().keys() == {("closed", "1")}


def test_a_new_version_becomes_the_default_and_a_removed_one_goes(
    catalogue: Catalogue[Opened], tmp_path: Path, owner: Owner
) -> None:
    small_bundle.write(tmp_path)
    catalogue.refresh()
    new = small_bundle.write(tmp_path, "2")
    catalogue.refresh()
    assert catalogue.get("small").bundle.version == "2"
    shutil.rmtree(new)
    catalogue.refresh()
    assert catalogue.get("small").bundle.version == "1"
    assert owner.opened == [("small", "1"), ("small", "2")], "what did not change is not opened again"


def test_a_broken_new_version_leaves_the_last_good_one(catalogue: Catalogue[Opened], tmp_path: Path) -> None:
    small_bundle.write(tmp_path)
    catalogue.refresh()
    (small_bundle.write(tmp_path, "2") / "weights.safetensors").unlink()
    catalogue.refresh()
    assert catalogue.get("small").bundle.version == "1"
    with pytest.raises(ModelNotFound):
        catalogue.get("small", "2")


def test_a_version_broken_while_it_is_served_goes_on_from_memory(catalogue: Catalogue[Opened], tmp_path: Path) -> None:
    folder = small_bundle.write(tmp_path)
    catalogue.refresh()
    digest = catalogue.get("small").bundle.digest
    (folder / "weights.safetensors").write_bytes(b"half a cop")
    catalogue.refresh()
    assert catalogue.get("small").bundle.digest == digest
    assert ("small", "1") in catalogue.refusals()


def test_a_version_built_anew_replaces_itself(catalogue: Catalogue[Opened], tmp_path: Path) -> None:
    small_bundle.write(tmp_path)
    catalogue.refresh()
    folder = small_bundle.write(tmp_path, seed=1)
    catalogue.refresh()
    assert catalogue.get("small").bundle.digest == manifest.digest(folder)


def test_a_half_copied_version_is_taken_once_it_is_whole(catalogue: Catalogue[Opened], tmp_path: Path) -> None:
    whole = small_bundle.write(tmp_path / "elsewhere")
    part = tmp_path / "small" / "1"
    part.mkdir(parents=True)
    for name in ("manifest.json", "networks.json", "reference.npz", "weights.safetensors"):
        catalogue.refresh()
        assert _versions(catalogue) == []
        shutil.copy(whole / name, part / name)
    catalogue.refresh()
    assert _versions(catalogue) == [("small", "1")]
    assert catalogue.refusals().keys() == {("elsewhere", "small")}


def test_once_it_is_stopped_no_further_bundle_is_opened(
    catalogue: Catalogue[Opened], tmp_path: Path, owner: Owner
) -> None:
    owner.fail = lambda bundle: catalogue.stop()
    for version in ("1", "2", "3"):
        small_bundle.write(tmp_path, version)
    catalogue.refresh()
    assert owner.opened == [("small", "1")]
    with pytest.raises(ModelLoading):
        catalogue.get("another")


def test_new_labels_are_a_change(catalogue: Catalogue[Opened], tmp_path: Path) -> None:
    digest = manifest.read(small_bundle.write(tmp_path)).spaces[0].encoder_digest
    catalogue.refresh()
    table = f'[codes]\nencoder = "{digest}"\n[[codes.factors]]\ndimensions = [0]\nlabel = "width"\n'
    (tmp_path / "small" / "labels.toml").write_text(table)
    catalogue.refresh()
    assert catalogue.get("small").bundle.factors["codes"][0].label == "width"


def test_while_no_backend_lives_the_version_is_tried_again(
    catalogue: Catalogue[Opened], tmp_path: Path, owner: Owner
) -> None:
    def nobody(bundle: Bundle) -> None:
        raise BackendUnavailable("nobody is there")

    owner.fail = nobody
    small_bundle.write(tmp_path)
    catalogue.refresh()
    assert isinstance(catalogue.refusals()["small", "1"], BackendUnavailable)
    assert catalogue.waiting() == ("small",)
    owner.fail = lambda bundle: None
    catalogue.refresh()
    assert _versions(catalogue) == [("small", "1")]
    assert catalogue.waiting() == ()
    assert catalogue.refusals() == {}


def test_while_no_backend_lives_callers_are_told_to_come_back(
    catalogue: Catalogue[Opened], tmp_path: Path, owner: Owner
) -> None:
    small_bundle.write(tmp_path)
    catalogue.refresh()

    def nobody(bundle: Bundle) -> None:
        raise BackendUnavailable("nobody is there", retry_after=3.0, metadata={"backends": "torchserve"})

    owner.fail = nobody
    small_bundle.write(tmp_path, "2")
    small_bundle.write(tmp_path, name="another")
    catalogue.refresh()
    for model, version in (("another", ""), ("another", "1"), ("small", "2")):
        with pytest.raises(BackendUnavailable, match="nobody is there") as caught:
            catalogue.get(model, version)
        assert (caught.value.retry_after, caught.value.metadata) == (3.0, {"backends": "torchserve"})
    assert catalogue.get("small").bundle.version == "1", "the last good one serves on"
    assert catalogue.waiting() == ("another",), "small is served, if by an older version"
    with pytest.raises(ModelNotFound):
        catalogue.get("another", "2")


def test_a_store_that_is_not_polled_still_tries_again_what_nobody_could_serve(
    catalogue: Catalogue[Opened], tmp_path: Path, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(bundle: Bundle) -> None:
        raise BackendUnavailable("nobody is there")

    owner.fail = nobody
    small_bundle.write(tmp_path)
    catalogue.refresh()
    small_bundle.write(tmp_path, "2")
    owner.fail = lambda bundle: None
    monkeypatch.setattr("explaind.bundles.catalogue.RETRY_SECONDS", 0.02)
    catalogue.watch(0)
    assert owner.changed.wait(20)
    assert _versions(catalogue) == [("small", "1")], "what is new is not looked for"


def test_a_defect_nobody_thought_of_is_one_bundles_own(
    catalogue: Catalogue[Opened], tmp_path: Path, owner: Owner
) -> None:
    def crash(bundle: Bundle) -> None:
        if bundle.name == "odd":
            raise ZeroDivisionError

    owner.fail = crash
    small_bundle.write(tmp_path, name="odd")
    small_bundle.write(tmp_path)
    catalogue.refresh()
    assert _versions(catalogue) == [("small", "1")]
    assert isinstance(catalogue.refusals()["odd", "1"], BundleInvalid)


def test_polling_finds_a_new_version_by_itself(catalogue: Catalogue[Opened], tmp_path: Path, owner: Owner) -> None:
    catalogue.refresh()
    catalogue.watch(0.02)
    small_bundle.write(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/small").rename(tmp_path / "small")
    assert owner.changed.wait(20)
    assert catalogue.get("small").bundle.version == "1"


def test_readers_see_the_last_good_version_while_another_is_opened(
    catalogue: Catalogue[Opened], tmp_path: Path, owner: Owner
) -> None:
    small_bundle.write(tmp_path)
    catalogue.refresh()
    opening, go_on = threading.Event(), threading.Event()

    def slowly(bundle: Bundle) -> None:
        opening.set()
        assert go_on.wait(20)

    owner.fail = slowly
    small_bundle.write(tmp_path, "2")
    refresh = threading.Thread(target=catalogue.refresh)
    refresh.start()
    assert opening.wait(20)
    assert catalogue.get("small").bundle.version == "1"
    go_on.set()
    refresh.join()
    assert catalogue.get("small").bundle.version == "2"
