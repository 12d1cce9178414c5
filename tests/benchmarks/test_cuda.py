"""The part for a CUDA device: whole on one, nothing without."""

from __future__ import annotations

from pathlib import Path

import pytest

from explaind.backends.devices import cuda_devices
from tests.benchmarks import page
from tests.benchmarks.effort import Effort
from tests.benchmarks.parts import cuda
from tests.benchmarks.results import Part, Results
from tests.demo_store import STORE


def _effort(tmp_path: Path) -> Effort:
    return Effort(store=STORE, out=tmp_path, turns=1, block_seconds=0.05, load_seconds=0.3, quiet=True)


def test_without_a_device_nothing_is_measured(tmp_path: Path) -> None:
    if cuda_devices():
        pytest.skip("this machine has a CUDA device")
    assert cuda.measure(_effort(tmp_path)) == []


@pytest.mark.gpu
def test_on_a_device_every_explanation_stands_beside_its_limit(tmp_path: Path) -> None:
    if not cuda_devices():
        pytest.skip("the driver shows no CUDA device")
    parts = {part.name: part for part in cuda.measure(_effort(tmp_path))}
    assert set(parts) == {"cuda", "cuda batches", "cuda callers"}
    ours = [row for row in parts["cuda"].rows if row["how"] == cuda.DEVICE]
    assert len(ours) == len(cuda.ASKED) and all(row["times_limit"] > 1 for row in ours)


def test_the_page_takes_a_devices_tables_from_its_own_run() -> None:
    here, there = (
        Results({}, {"cuda": Part(name="cuda", title="", rows=[{"what": place}], columns=("what",))})
        for place in ("here", "there")
    )
    text = "<!-- table: cuda -->\n<!-- end of table -->\n"
    assert "there" in page.filled(text, here, there) and "here" in page.filled(text, here)
