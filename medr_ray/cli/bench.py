"""``medr bench``: the measurements of ``tests/benchmarks/``, each a table of our figure beside a
peer's.

A measurement is one file there with a docstring and ``measure(quick) -> Iterable[Row]``. The wheel
does not carry them, so the command needs a checkout. The file is loaded by its path, with
``tests/`` on the import path as pytest has it; ``tests`` itself is never imported as a package, for
other wheels drop one of that name into site-packages.

What holds: a ratio above 1 is good whatever the measure; a peer that is not installed gives a
skipped row with the command that installs it, and never a pass. Missed goals are results, not
errors: the exit status is 0.
"""

import ast
import contextlib
import difflib
import importlib.util
import json
import math
import sys
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from medr_ray.core.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

_FOLDER = Path("tests") / "benchmarks"
_DISTRIBUTION = "medr-ray"


@dataclass(frozen=True)
class Row:
    """One measure. Make it with ``row`` or ``skipped``, which fill in ``ratio`` and ``met``.

    ``ours`` and ``peer`` are in ``unit``; ``ratio`` is ours / peer, or peer / ours where lower is
    better, and None without a peer. ``goal`` bounds what ``goal_of`` names; ``met`` is None where
    there is no goal.
    """

    measure: str
    ours: float | None
    peer: float | None
    peer_name: str
    ratio: float | None
    goal: float | None
    met: bool | None
    goal_of: Literal["ratio", "ours"] | None = None
    unit: str = ""
    note: str = ""


def row(
    measure: str,
    ours: float,
    peer: float | None = None,
    peer_name: str = "",
    *,
    least_ratio: float | None = None,
    goal: float | None = None,
    lower_is_better: bool = False,
    unit: str = "",
    note: str = "",
) -> Row:
    """A measured row. ``goal`` is a bound for ``ours`` (from above where lower is better),
    ``least_ratio`` one for the ratio to the peer; at most one of the two. Raises ValueError for
    both, or for a ratio goal without a peer."""
    if least_ratio is not None and (goal is not None or peer is None):
        raise ValueError(f"{measure}: give least_ratio with a peer and without goal")
    ratio = None if peer is None else _ratio(peer, ours) if lower_is_better else _ratio(ours, peer)
    if least_ratio is not None:
        met = ratio is not None and ratio >= least_ratio
        return Row(measure, ours, peer, peer_name, ratio, least_ratio, met, "ratio", unit, note)
    if goal is None:
        return Row(measure, ours, peer, peer_name, ratio, None, None, None, unit, note)
    met = ours <= goal if lower_is_better else ours >= goal
    return Row(measure, ours, peer, peer_name, ratio, goal, met, "ours", unit, note)


def skipped(
    measure: str, peer_name: str, install: str, ours: float | None = None, unit: str = ""
) -> Row:
    """The row of a peer that is not installed: ``install`` is the command that installs it."""
    return Row(measure, ours, None, peer_name, None, None, False, None, unit, f"skipped: {install}")


def bench(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Left out: the measurements are listed.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object in place of the table.")
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="50 s on 2 cores at most; rows keep their meaning.")
    ] = False,
) -> None:
    """Measure this package against its peers, from a checkout; without NAME, list the
    measurements."""
    from rich.console import Console

    folder = find_folder(Path.cwd())
    if name is None:
        for known in _names(folder):
            typer.echo(f"{known:<14}{_first_line(folder / f'{known}.py')}")
        return
    with contextlib.redirect_stdout(sys.stderr):  # what libraries print must not get into the JSON
        rows = _measure(load(folder, name), quick, Console(stderr=True))
    if as_json:
        typer.echo(render_json(name, rows))
    else:
        _print(name, rows, Console())


def find_folder(start: Path) -> Path:
    """``tests/benchmarks`` of the checkout around ``start``, or of the one this package is
    installed from.

    Raises ConfigError where there is neither.
    """
    package_root = Path(__file__).resolve().parents[2]
    for root in (start.resolve(), *start.resolve().parents, package_root):
        if (root / _FOLDER).is_dir() and _is_checkout(root):
            return root / _FOLDER
    raise ConfigError(
        f"medr bench: no {_FOLDER} in {start} or above it. Measurements live in the repository, not in the wheel: "
        "clone it and run medr bench inside"
    )


def load(folder: Path, name: str) -> ModuleType:
    """The measurement ``name`` of ``folder``, loaded by its path. ConfigError names the nearest for
    an unknown one."""
    names = _names(folder)
    if name not in names:
        near = difflib.get_close_matches(name, names, 1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(names) or 'none'}"
        raise ConfigError(f"medr bench: no measurement {name} in {folder}; {hint}")
    if str(folder.parent) not in sys.path:
        sys.path.insert(0, str(folder.parent))  # for ``support``, first as under pytest
    spec = importlib.util.spec_from_file_location(f"medr_bench_{name}", folder / f"{name}.py")
    if spec is None or spec.loader is None:
        raise ConfigError(f"medr bench: {folder / name}.py cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickle look a class's module up there
    spec.loader.exec_module(module)
    if not callable(getattr(module, "measure", None)):
        raise ConfigError(
            f"{folder / name}.py: a measurement needs a function measure(quick: bool) -> Iterable[Row]"
        )
    return module


def render_json(name: str, rows: Iterable[Row]) -> str:
    """``{"bench": name, "rows": [...]}``; numbers to six significant digits, never NaN."""
    plain = [{key: _rounded(value) for key, value in asdict(one).items()} for one in rows]
    return json.dumps({"bench": name, "rows": plain}, allow_nan=False)


def _measure(module: ModuleType, quick: bool, console: "Console") -> list[Row]:
    """The rows, announced as they come: a measurement may take minutes."""
    rows: list[Row] = []
    with console.status("measuring ...") as status:
        for one in _typed_rows(module.measure(quick)):
            rows.append(one)
            status.update(f"measuring ... {len(rows)} rows, last: {one.measure}")
    return rows


def _typed_rows(rows: Iterable[Row]) -> Iterator[Row]:
    for one in rows:
        if not isinstance(one, Row):
            raise ConfigError(
                f"medr bench: measure() gave {one!r}; make rows with medr_ray.cli.bench.row"
            )
        yield one


def _names(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))


def _first_line(path: Path) -> str:
    """The docstring's first line, read without importing (a measurement may import torch)."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "(no docstring)"
    return text.splitlines()[0]


def _is_checkout(root: Path) -> bool:
    """Whether ``root`` is this project; code in somebody else's tests/benchmarks is not run."""
    file = root / "pyproject.toml"
    project = (
        tomllib.loads(file.read_text(encoding="utf-8")).get("project", {}) if file.is_file() else {}
    )
    return bool(project.get("name") == _DISTRIBUTION)


def _ratio(better: float, worse: float) -> float | None:
    return better / worse if worse else None


def _rounded(value: object) -> object:
    if not isinstance(value, float):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _print(name: str, rows: Sequence[Row], console: "Console") -> None:
    """The table, and below it, by number, who the peer is and what there is to know."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"medr bench {name}", title_justify="left")
    for header in ("", "measure", "ours", "peer", "ratio", "goal", "met"):
        table.add_column(header, justify="left" if header in ("measure", "met") else "right")
    for number, one in enumerate(rows, 1):
        ours = f"{_figure(one.ours)} {one.unit}".strip()
        goal = "" if one.goal is None else f"{one.goal_of} {_figure(one.goal)}"
        met = {None: Text(""), True: Text("yes", "green"), False: Text("no", "red")}[one.met]
        table.add_row(
            str(number), one.measure, ours, _figure(one.peer), _figure(one.ratio), goal, met
        )
    console.print(table)
    for number, one in enumerate(rows, 1):
        about = "; ".join(filter(None, (one.peer_name and f"peer {one.peer_name}", one.note)))
        if about:
            console.print(Text(f"{number:>3}  {about}", "dim"), soft_wrap=True)


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
