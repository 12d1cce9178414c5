from __future__ import annotations

import io
import re

from rich.console import Console
from rich.progress import Progress

from explaind.training.progress import BarReporter, LogReporter, figures, reporting, spoken


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_gets_plain_lines_and_no_steps() -> None:
    stream = io.StringIO()
    with reporting(stream) as reporter:
        assert isinstance(reporter, LogReporter)
        reporter.start("classifier", 10)
        reporter.step()
        reporter.note("epoch 1 of 2, validation 0.5")
    first, second = stream.getvalue().splitlines()
    assert re.fullmatch(r" *\d+\.\d s  classifier: started", first)
    assert "classifier: epoch 1 of 2, validation 0.5, " in second
    assert second.endswith(" s left at most")


def test_the_time_left_counts_what_an_earlier_run_did() -> None:
    stream, times = io.StringIO(), iter([0.0, 10.0, 10.0, 20.0, 30.0])
    reporter = LogReporter(stream, lambda: next(times))
    reporter.start("morphing", 100)
    reporter.skip(60)
    for _ in range(10):
        reporter.step()
    reporter.note("epoch 7 of 10")  # 10 steps in 10 s; 30 are left
    for _ in range(30):
        reporter.step()
    reporter.note("epoch 10 of 10")
    assert stream.getvalue().splitlines() == [
        "    10.0 s  morphing: started",
        "    20.0 s  morphing: epoch 7 of 10, 30 s left at most",
        "    30.0 s  morphing: epoch 10 of 10",
    ]


def test_times_are_as_exact_as_an_estimate() -> None:
    assert [spoken(seconds) for seconds in (4.6, 89, 200, 5340, 8000)] == [
        "5 s",
        "89 s",
        "3 min",
        "89 min",
        "2 h 13 min",
    ]


def test_a_terminal_gets_a_bar_and_its_notes_stay() -> None:
    stream = Terminal()
    with reporting(stream) as reporter:
        assert isinstance(reporter, BarReporter)
        reporter.start("classifier", 2)
        reporter.step()
        reporter.start("morphing", 0)
        reporter.step()
        reporter.note("finished [really]")
    assert "morphing: finished [really]" in stream.getvalue()


def test_the_bar_of_a_resumed_fit_begins_where_it_was() -> None:
    stream = Terminal()
    progress = Progress(console=Console(file=stream))
    reporter = BarReporter(progress)
    reporter.start("classifier", 10)
    reporter.skip(4)
    reporter.step()
    assert [(task.description, task.completed, task.total) for task in progress.tasks] == [("classifier", 5, 10)]


def test_figures_are_short() -> None:
    assert figures({"accuracy": 0.99333, "epochs": 14}) == "accuracy 0.9933, epochs 14"
