"""The bundles of a model store that are served now, and the polling that keeps them so (DESIGN §5).

A version that appears is verified, opened and warmed before anyone can ask for it; one that cannot be is refused
by name while the last good one goes on serving; one that is removed goes away. Readers never wait for any of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import structlog

from explaind.bundles import bundle as bundles
from explaind.bundles import labels
from explaind.bundles.bundle import Bundle
from explaind.errors import BundleInvalid, ConfigurationError, ExplaindError, ModelLoading, ModelNotFound, Unavailable

log = structlog.get_logger(__name__)

RETRY_SECONDS = 2.0
"""Between two tries of what nobody could serve, where the store is not polled."""

Key = tuple[str, str]
"""Name and version."""
Signature = tuple[tuple[str, int, int, int], ...]
"""Of each file: name, times of content and of permissions, size. Changes whenever a look inside is due."""


class Served(Protocol):
    """A bundle with whatever the owner opened for it. Nothing closes it: it goes with its last request."""

    @property
    def bundle(self) -> Bundle: ...


S = TypeVar("S", bound=Served)


class Catalogue(Generic[S]):
    """serve: opens and warms a verified bundle (seconds; may raise any ExplaindError to refuse it).

    on_change: called after each refresh that changed what is served. only: names of the models to serve; none: all.
    """

    def __init__(
        self, store: Path, serve: Callable[[Bundle], S], on_change: Callable[[], None], only: Sequence[str] = ()
    ) -> None:
        self._store = store
        self._only = frozenset(only)
        self._serve = serve
        self._on_change = on_change
        # Both are replaced whole, never altered: readers need no lock.
        self._served: dict[Key, S] = {}
        self._highest: dict[str, S] = {}
        self._refusals: dict[Key, ExplaindError] = {}
        self._seen: dict[Key, Signature] = {}
        self._in_store: frozenset[str] = frozenset()
        self._unreadable: set[Path] = set()
        self._loaded = False
        self._refreshing = threading.Lock()
        self._stopped = threading.Event()
        self._watcher: threading.Thread | None = None

    def get(self, name: str, version: str = "") -> S:
        """version "": the highest. Raises ModelLoading before the first refresh is over, ModelNotFound, and for what is
        in the store while nobody can serve it what it was refused with, BackendUnavailable."""
        found = self._served.get((name, version)) if version else self._highest.get(name)
        if found is not None:
            return found
        served = self._served
        versions = _versions(served, name)
        if not self._loaded:
            raise ModelLoading("The models are being loaded: try again in a second.", retry_after=1.0)
        self._raise_if_unavailable(name, version)
        raise _not_found(name, version, versions, tuple(sorted({name for name, _ in served})))

    def _raise_if_unavailable(self, name: str, version: str) -> None:
        """Each time anew: an error that is raised again and again keeps every traceback."""
        for (model, number), why in self.refusals().items():
            if model == name and version in ("", number) and isinstance(why, Unavailable):
                raise type(why)(why.message, retry_after=why.retry_after, metadata=why.metadata)

    def all(self) -> tuple[S, ...]:
        """Every served version: by name, versions rising."""
        served = self._served
        names = sorted({name for name, _ in served})
        return tuple(served[name, version] for name in names for version in _versions(served, name))

    def defaults(self) -> tuple[S, ...]:
        """The highest version of each model."""
        return tuple(self._highest.values())

    def refusals(self) -> dict[Key, ExplaindError]:
        """Why each version that is in the store is not served as it lies there."""
        return dict(self._refusals)

    def waiting(self) -> tuple[str, ...]:
        """Models of the store, by name, of which no version is served while one only lacks a live backend."""
        served = {name for name, _ in self._served}
        lacking = {name for (name, _), why in self.refusals().items() if isinstance(why, Unavailable)}
        return tuple(sorted(lacking - served))

    def missing(self) -> tuple[str, ...]:
        """Of the models to serve, by name, those that the store had no version of at the last look."""
        return tuple(sorted(self._only - self._in_store))

    def refresh(self) -> None:
        """Looks at the store once; ends early once it is to `stop`. Raises ConfigurationError where it is no readable
        folder."""
        with self._refreshing:
            found = self._scan()
            self._in_store = frozenset(name for name, _ in found)
            changed = self._drop(self._seen.keys() - found.keys())
            for key, signature in found.items():
                if self._stopped.is_set():
                    break
                if self._seen.get(key) != signature:
                    changed |= self._take(key, signature)
            else:
                self._loaded = True
        if changed:
            self._on_change()

    def retry(self) -> None:
        """Tries again what nobody could serve at the last look."""
        with self._refreshing:
            waiting = [key for key, why in self._refusals.items() if isinstance(why, Unavailable)]
            taken = [self._take(key, _signature(self._store.joinpath(*key))) for key in waiting]
        if any(taken):
            self._on_change()

    def watch(self, seconds: float) -> None:
        """Refreshes every so many seconds in a thread of its own; 0: never looks for what is new, but still tries again
        what nobody could serve."""
        if self._watcher is None:
            watcher = threading.Thread(target=self._poll, args=(seconds,), name="catalogue", daemon=True)
            watcher.start()
            self._watcher = watcher  # once it can be joined: `stop` may come in between

    def stop(self) -> None:
        """Opens no further bundle; ends the polling and waits for the one that it is opening. What is served stays."""
        self._stopped.set()
        if self._watcher is not None:
            self._watcher.join()

    def _poll(self, seconds: float) -> None:
        look, pause = (self.refresh, seconds) if seconds else (self.retry, RETRY_SECONDS)
        while not self._stopped.wait(pause):
            try:
                look()
            except ConfigurationError as error:
                log.warning("model store not read", why=error.message)
            except Exception:  # the thread must outlive whatever a bundle brings
                log.exception("model store not read")

    def _scan(self) -> dict[Key, Signature]:
        try:
            self._store.stat()
            models = [model for model in _folders(self._store) if not self._only or model.name in self._only]
        except OSError as error:
            raise ConfigurationError(
                f"The model store {self._store} cannot be read ({error.strerror}): "
                "name an existing folder with --model-store."
            ) from error
        return {key: signature for model in models for key, signature in self._look_into(model).items()}

    def _look_into(self, model: Path) -> dict[Key, Signature]:
        """Its versions; where it cannot be read, as a volume's lost+found, those that are known of it, unchanged."""
        try:
            found = {(model.name, version.name): _signature(version) for version in _folders(model)}
        except OSError as error:
            if model not in self._unreadable:
                log.warning("folder of the model store not read", folder=str(model), why=error.strerror)
            self._unreadable.add(model)
            return {key: signature for key, signature in self._seen.items() if key[0] == model.name}
        self._unreadable.discard(model)
        return found

    def _take(self, key: Key, signature: Signature) -> bool:
        """Serves this version, or refuses it and leaves in place what was served under its name."""
        self._seen[key] = signature
        try:
            served = self._serve(bundles.load(self._store.joinpath(*key)))
        except Exception as error:  # one bundle's defect, whatever it is, must not keep the others away
            self._refuse(key, error)
            return False
        self._refusals.pop(key, None)
        self._show({**self._served, key: served})
        log.info("bundle served", model=key[0], version=key[1], digest=served.bundle.digest)
        return True

    def _show(self, served: dict[Key, S]) -> None:
        self._served = served
        self._highest = {
            name: served[name, _versions(served, name)[-1]] for name in sorted({name for name, _ in served})
        }

    def _refuse(self, key: Key, error: Exception) -> None:
        if not isinstance(error, ExplaindError):
            log.error("unexpected while opening a bundle", model=key[0], version=key[1], exc_info=error)
            error = BundleInvalid(f"{self._store.joinpath(*key)} cannot be opened: see the log.")
        if isinstance(error, Unavailable):
            self._seen[key] = ()  # nothing wrong with the files: try again at the next look
        before = self._refusals.get(key)
        self._refusals[key] = error
        if before is None or before.message != error.message:
            log.error("bundle refused", model=key[0], version=key[1], why=error.message, last_good=key in self._served)

    def _drop(self, gone: set[Key]) -> bool:
        for key in gone:
            self._seen.pop(key)
            self._refusals.pop(key, None)
            log.info("bundle removed", model=key[0], version=key[1])
        kept = {key: served for key, served in self._served.items() if key not in gone}
        changed = len(kept) < len(self._served)
        self._show(kept)
        return changed


def _versions(served: dict[Key, S], name: str) -> tuple[str, ...]:
    return tuple(sorted((version for model, version in served if model == name), key=version_order))


def version_order(version: str) -> tuple[bool, int, str]:
    """Rising: names in alphabetical order, then integers by value, so that 10 comes after 9."""
    number = version.isascii() and version.isdigit()
    return number, int(version) if number else 0, version


def _not_found(name: str, version: str, versions: tuple[str, ...], models: tuple[str, ...]) -> ModelNotFound:
    if versions:
        return ModelNotFound(
            f"Model {name} has no version {version[:64]!r}; it has {', '.join(versions)}.",
            metadata={"field": "model_version", "model": name, "versions": ", ".join(versions)},
        )
    there = f"there is {', '.join(models)}" if models else "none is served"
    return ModelNotFound(
        f"There is no model {name[:64]!r}; {there}.", metadata={"field": "model", "models": ", ".join(models)}
    )


def _folders(parent: Path) -> list[Path]:
    """Hidden ones are being written, or are not ours. None where the folder vanished since it was seen."""
    with suppress(FileNotFoundError):
        return sorted(path for path in parent.iterdir() if path.is_dir() and not path.name.startswith("."))
    return []


def _signature(folder: Path) -> Signature:
    """A file that vanishes meanwhile is left out, and the next look finds another signature; so is one that cannot be
    looked at, for which the bundle is refused."""
    found = []
    for path in [*sorted(folder.rglob("*")), folder.parent / labels.FILE_NAME]:
        with suppress(OSError):
            stat = path.stat()
            found.append((path.name, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size))
    return tuple(found)
