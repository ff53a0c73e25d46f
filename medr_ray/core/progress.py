"""Progress of long work: a bar with rate and remaining time on a terminal, a line now and then
elsewhere."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_LINE_SECONDS = 20.0  # often enough to see that a log is alive, rare enough to read


class Bar:
    """``with Bar(console, "graph", total) as bar: bar.advance()``. ``note`` is shown behind the
    bar, and what an earlier run had finished is given to ``resume``, so that the rate is this
    run's."""

    def __init__(self, console: Console, label: str, total: int | None, unit: str = "") -> None:
        self._console, self._label, self._total, self._unit = console, label, total, unit
        self._done, self._earlier, self._note = 0, 0, ""
        self._started = self._last_line = time.monotonic()
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
                transient=True,
            )
            self._progress.start()
            self._task = self._progress.add_task(self._label, total=self._total, rate="", note="")
        return self

    def resume(self, count: int) -> None:
        """What was done before."""
        self._earlier += count
        self._done += count
        if self._progress is not None:
            self._progress.update(self._task, completed=self._done)

    def advance(self, count: int = 1, note: str = "") -> None:
        self._done += count
        self._note = note or self._note
        if self._progress is not None:
            self._progress.update(
                self._task, completed=self._done, rate=self._rate(), note=self._note
            )
        elif time.monotonic() - self._last_line > _LINE_SECONDS:
            self._last_line = time.monotonic()
            of = f"/{self._total}" if self._total is not None else ""
            line = (
                f"  {self._label}: {self._done}{of} {self._rate()}{self._remaining()} {self._note}"
            )
            self._console.print(line.rstrip(), highlight=False)

    def _rate(self) -> str:
        rate = self._per_second()
        unit = self._unit or self._label
        return f"{rate:,.1f} {unit}/s" if rate >= 1 or not rate else f"{60 * rate:,.1f} {unit}/min"

    def _per_second(self) -> float:
        return (self._done - self._earlier) / max(time.monotonic() - self._started, 1e-9)

    def _remaining(self) -> str:
        rate = self._per_second()
        return f", {(self._total - self._done) / rate:,.0f} s left" if self._total and rate else ""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self._progress is not None:
            self._progress.stop()
