"""Every public name of what others build on says what it is; what a package exports is there."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType

import pytest

import explaind.engine
import explaind.explanations
import explaind_client

PACKAGES = (explaind.explanations, explaind.engine, explaind_client)


def _modules() -> Iterator[ModuleType]:
    for package in PACKAGES:
        yield package
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            yield importlib.import_module(found.name)


MODULES = tuple(_modules())


def _documented(public: object) -> bool:
    """By itself: neither inherited nor the signature that a dataclass writes for itself."""
    written = vars(public).get("__doc__") if inspect.isclass(public) else inspect.getdoc(public)
    return bool(written) and not written.startswith(f"{public.__name__}(")  # type: ignore[attr-defined]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_public_names_are_documented(module: ModuleType) -> None:
    own = {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
    }
    assert module.__doc__
    assert not [name for name, value in own.items() if not _documented(value)]


@pytest.mark.parametrize("module", [m for m in MODULES if hasattr(m, "__all__")], ids=lambda module: module.__name__)
def test_exported_names_are_there(module: ModuleType) -> None:
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


@pytest.mark.parametrize("name", explaind_client.__all__)
def test_methods_of_the_client_are_documented(name: str) -> None:
    public = getattr(explaind_client, name)
    if inspect.isclass(public) and public.__module__.startswith("explaind_client"):
        methods = {key: value for key, value in vars(public).items() if not key.startswith("_") and callable(value)}
        assert not [key for key, value in methods.items() if not inspect.getdoc(value)]
