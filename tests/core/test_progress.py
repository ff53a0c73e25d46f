"""What long work prints where there is no terminal to draw a bar on."""

import io
import threading

import pytest
from rich.console import Console

from medr_ray.core import progress
from medr_ray.core.progress import Bar


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_log_gets_a_line_now_and_then_with_rate_and_remaining_time(clock: list[float]) -> None:
    printed = io.StringIO()
    with Bar(Console(file=printed, width=120), "graph", 100, "seeds") as bar:
        for _ in range(50):
            clock[0] += 1.0
            bar.advance()
    lines = printed.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[0].strip() == "graph: 21/100 1.0 seeds/s, 79 s left"


def test_the_rate_is_this_runs_and_slow_work_is_counted_by_the_minute(clock: list[float]) -> None:
    printed = io.StringIO()
    with Bar(Console(file=printed, width=120), "grpo", 10, "updates") as bar:
        bar.resume(4)
        clock[0] += 30.0
        bar.advance(note="reward 0.5")
    assert printed.getvalue().strip() == "grpo: 5/10 2.0 updates/min, 150 s left reward 0.5"


def test_a_bar_whose_work_fails_leaves_no_thread() -> None:
    threads = set(threading.enumerate())
    started: list[threading.Thread] = []

    def work() -> None:
        console = Console(file=io.StringIO(), force_terminal=True, width=120)
        with Bar(console, "graph", 2, "seeds"):
            started.extend(set(threading.enumerate()) - threads)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    [thread] = started
    thread.join(30)
    assert not thread.is_alive()


def test_a_terminal_gets_a_bar_that_is_gone_afterwards() -> None:
    printed = io.StringIO()
    console = Console(file=printed, force_terminal=True, width=120)
    with Bar(console, "graph", 2, "seeds") as bar:
        bar.advance(2, note="last one")
    assert "graph" in printed.getvalue()
    assert "last one" in printed.getvalue()
