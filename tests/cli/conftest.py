from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from explaind.cli.main import app
from explaind.figures.canvas import WIDTH, Canvas
from explaind.service import logging as explaind_logging
from explaind.settings import Settings
from tests.demo_store import STORE
from tests.served import serving

ROOT = Path(__file__).parents[2]
Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """A command configures the process's logging; the next test is not to inherit it. Until it does, the daemons of
    these tests are quiet: they run in this process, whose standard output is the command's."""
    root, configuration = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    explaind_logging.configure(Settings(log_level="error"))
    yield
    root.handlers[:], root.level = handlers, level
    structlog.configure(**configuration)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Calls `explaind` with arguments, in this process, with the demo bundle's model store."""
    monkeypatch.setenv("EXPLAIND_MODEL_STORE", str(STORE))
    runner = CliRunner()
    return lambda *arguments, **named: runner.invoke(app, [str(argument) for argument in arguments], **named)


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """host:port of a real daemon that serves the committed bundle."""
    with serving(Settings(port=0, metrics_port=0, model_store=STORE)) as server:
        yield server.address


@pytest.fixture(scope="session")
def digits() -> list[bytes]:
    """Real test digits as PNG."""
    with np.load(ROOT / "tests" / "data" / "images.npz") as archive:
        return [png(image) for image in archive["mnist"][:40]]


@pytest.fixture
def digit(digits: list[bytes], tmp_path: Path) -> Path:
    path = tmp_path / "digit.png"
    path.write_bytes(digits[0])
    return path


def png(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def width_of(path: Path) -> int:
    with Image.open(path) as image:
        return image.width


def assert_legible(canvas: Canvas) -> None:
    """No text leaves the sheet or lies over another."""
    boxes = canvas.text_boxes()
    for text, (left, bottom, right, top) in boxes.items():
        assert left >= 0 and bottom >= 0 and right <= WIDTH and top <= canvas.height, text
    for (one, a), (other, b) in combinations(boxes.items(), 2):
        apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] + 1 or b[3] <= a[1] + 1
        assert apart, (one, other)
