"""Progress of long work: a bar with rate and remaining time on a terminal, a line now and then
elsewhere."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

# Seconds between two lines: often enough to see that a log is alive, rare enough to read.
_LINE_SECONDS = 20.0


class Bar:
    """``with Bar(console, "graph", total) as bar: bar.advance()``.

    A ``note`` is printed behind the bar. ``resume`` adds what an earlier run finished; it does not
    count in the rate."""

    def __init__(self, console: Console, label: str, total: int | None, unit: str = "") -> None:
        self._console = console
        self._label = label
        self._total = total
        self._unit = unit or label
        self._done = 0
        self._done_earlier = 0
        self._note = ""
        self._started = time.monotonic()
        self._last_line = self._started
        self._progress: Progress | None = None

    def __enter__(self) -> "Bar":
        if self._console.is_terminal:
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=self._console,
                # The bar goes when the work is done; what stays is the stage's own summary.
                transient=True,
            )
            # Before the start: nothing that fails here leaves the bar's thread running.
            self._task = self._progress.add_task(self._label, total=self._total, rate="", note="")
            self._progress.start()
        return self

    def resume(self, count: int) -> None:
        """Count work of an earlier run as done; a negative count takes back what is done again."""
        # Left out of the rate, which would otherwise promise an end that is far too early.
        self._done_earlier += count
        self._done += count
        if self._progress is not None:
            self._progress.update(self._task, completed=self._done)

    def advance(self, count: int = 1, note: str = "") -> None:
        """Count finished work, and print the progress."""
        self._done += count
        # A call without a note keeps the last one on display.
        self._note = note or self._note
        if self._progress is not None:
            self._progress.update(
                self._task, completed=self._done, rate=self._format_rate(), note=self._note
            )
        elif time.monotonic() - self._last_line > _LINE_SECONDS:
            self._last_line = time.monotonic()
            self._console.print(self._format_line().rstrip(), highlight=False)

    def print(self, text: str) -> None:
        """Print a line that stays, above the bar."""
        self._console.print(f"{self._label}: {text}", markup=False, highlight=False)

    def _format_line(self) -> str:
        total = f"/{self._total}" if self._total is not None else ""
        speed = f"{self._format_rate()}{self._format_remaining()}"
        return f"  {self._label}: {self._done}{total} {speed} {self._note}"

    def _format_rate(self) -> str:
        rate = self._compute_rate()
        if 0 < rate < 1:
            return f"{60 * rate:,.1f} {self._unit}/min"
        return f"{rate:,.1f} {self._unit}/s"

    def _format_remaining(self) -> str:
        rate = self._compute_rate()
        if not self._total or not rate:
            return ""
        return f", {(self._total - self._done) / rate:,.0f} s left"

    def _compute_rate(self) -> float:
        """Return the steps of this run per second."""
        # Never zero: the first line may be printed before the clock has moved.
        seconds = max(time.monotonic() - self._started, 1e-9)
        return (self._done - self._done_earlier) / seconds

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self._progress is not None:
            self._progress.stop()
