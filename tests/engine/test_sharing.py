"""How calls share the cores or a device, by what is set and what there is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from explaind.backends import devices
from explaind.cores import cores
from explaind.engine import sharing
from explaind.engine.sharing import Sharing
from explaind.settings import Settings

ON_CUDA = Sharing(sharing.CUDA_WORKERS, sharing.CUDA_SLOTS, sharing.CUDA_ROWS, 0)


@pytest.fixture
def a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (devices, sharing):
        monkeypatch.setattr(module, "cuda_devices", lambda: 1)


def test_on_cores_nobody_waits_and_large_calls_are_spread() -> None:
    assert Sharing.of(Settings(device="cpu")) == Sharing(
        cores() + 1, cores() + 2, sharing.CPU_ROWS, sharing.CPU_SPREAD_ROWS
    )


@pytest.mark.usefixtures("a_device")
@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_a_device_takes_few_calls_of_many_rows_and_no_cores(device: str) -> None:
    assert Sharing.of(Settings.model_validate({"device": device})) == ON_CUDA


@pytest.mark.usefixtures("a_device")
def test_who_wants_the_cpu_beside_a_device_gets_what_suits_it() -> None:
    assert Sharing.of(Settings(device="cpu")).spread_rows == sharing.CPU_SPREAD_ROWS


@pytest.mark.usefixtures("a_device")
def test_what_is_set_counts_zero_too() -> None:
    given = Settings(device="cpu", slow_workers=3, compute_slots=5, batch_rows=7, spread_rows=0)
    assert Sharing.of(given) == Sharing(3, 5, 7, 0)
    assert Sharing.of(Settings(device="auto", spread_rows=9)) == replace(ON_CUDA, spread_rows=9)


def test_what_was_asked_of_a_device_that_is_not_there_is_left_to_the_backend() -> None:
    if devices.cuda_devices():
        pytest.skip("this machine has a CUDA device")
    assert Sharing.of(Settings(device="cuda")).compute_slots == cores() + 2


def test_the_batcher_is_made_of_it() -> None:
    assert Sharing(slow_workers=1, compute_slots=1, batch_rows=8, spread_rows=0).batcher().idle == 1
