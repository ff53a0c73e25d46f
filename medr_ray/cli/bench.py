"""``medr bench``: the benchmarks of ``tests/benchmarks/``, each a table of our figures beside a
peer's.

A benchmark is one file there with a docstring and ``measure(quick) -> Iterable[Measurement]``. The
wheel does not carry them, so the command needs a checkout. The file is loaded by its path, with
``tests/`` on the import path as pytest has it. ``tests`` itself is never imported as a package,
because other wheels put one of that name into site-packages.

Missed goals are results, not errors: the exit status is 0.
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
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

import typer

from medr_ray.core.errors import ConfigError
from medr_ray.core.measurement import Measurement

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_BENCHMARKS_FOLDER = Path("tests") / "benchmarks"
_DISTRIBUTION = "medr-ray"


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
        for benchmark in _list_benchmarks(folder):
            typer.echo(f"{benchmark:<14}{_read_summary(folder / f'{benchmark}.py')}")
        return
    # What libraries print must not get into the JSON.
    with contextlib.redirect_stdout(sys.stderr):
        rows = _collect_rows(load_benchmark(folder, name), quick, Console(stderr=True))
    if as_json:
        typer.echo(render_json(name, rows))
    else:
        _print_table(name, rows, Console())


# --- finding and loading --------------------------------------------------------------


def find_folder(start: Path) -> Path:
    """Return ``tests/benchmarks`` of the checkout around ``start``, or of the package's checkout.

    The package's checkout is the one it is installed from. Raises ConfigError when there is none.
    """
    package_root = Path(__file__).resolve().parents[2]
    for root in (start.resolve(), *start.resolve().parents, package_root):
        if (root / _BENCHMARKS_FOLDER).is_dir() and _is_own_checkout(root):
            return root / _BENCHMARKS_FOLDER
    raise ConfigError(
        f"medr bench: no {_BENCHMARKS_FOLDER} in {start} or above it. "
        "Measurements live in the repository, "
        "not in the wheel: clone it and run medr bench inside"
    )


def load_benchmark(folder: Path, name: str) -> ModuleType:
    """Load the benchmark ``name`` of ``folder`` by its path.

    Raises ConfigError for an unknown name, with the nearest one.
    """
    names = _list_benchmarks(folder)
    if name not in names:
        raise ConfigError(
            f"medr bench: no measurement {name} in {folder}; {_suggest_name(name, names)}"
        )
    # Benchmarks import ``support`` from here; first on the path, as under pytest.
    if str(folder.parent) not in sys.path:
        sys.path.insert(0, str(folder.parent))
    path = folder / f"{name}.py"
    # A name of its own, so that the file hides no installed module.
    spec = importlib.util.spec_from_file_location(f"medr_bench_{name}", path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"medr bench: {path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    # Before execution: dataclasses and pickle look up the module of a class in ``sys.modules``.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    if not callable(getattr(module, "measure", None)):
        raise ConfigError(
            f"{path}: a measurement needs a function measure(quick: bool) -> Iterable[Measurement]"
        )
    return module


def _suggest_name(name: str, names: Sequence[str]) -> str:
    """Return a hint at the nearest name, or at all names when none is near."""
    # With the usual cutoff: benchmarks are few, and all of them are better than a far-fetched one.
    near = difflib.get_close_matches(name, names, 1)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(names) or 'none'}"


def _list_benchmarks(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))


def _read_summary(path: Path) -> str:
    """Return the docstring's first sentence without an import: a benchmark may import torch."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "(no docstring)"
    paragraph = " ".join(text.split("\n\n")[0].split())
    sentence, separator, _ = paragraph.partition(". ")
    return sentence + separator.rstrip()


def _is_own_checkout(root: Path) -> bool:
    """Whether ``root`` is this project. Code in another project's tests/benchmarks is not run."""
    file = root / "pyproject.toml"
    if not file.is_file():
        return False
    project = tomllib.loads(file.read_text(encoding="utf-8")).get("project", {})
    return bool(project.get("name") == _DISTRIBUTION)


# --- measuring ------------------------------------------------------------------------


def _collect_rows(module: ModuleType, quick: bool, console: "Console") -> list[Measurement]:
    """Collect the rows and announce each at once, because a benchmark may take minutes."""
    rows: list[Measurement] = []
    with console.status("measuring ...") as status:
        for row in _check_rows(module.measure(quick)):
            rows.append(row)
            status.update(f"measuring ... {len(rows)} rows, last: {row.measure}")
    return rows


def _check_rows(rows: Iterable[Measurement]) -> Iterator[Measurement]:
    """Yield the rows. Raises ConfigError for a row that is not a Measurement."""
    for row in rows:
        if not isinstance(row, Measurement):
            raise ConfigError(
                f"medr bench: measure() gave {row!r}; "
                "make rows with medr_ray.core.measurement.build_measurement"
            )
        yield row


# --- printing -------------------------------------------------------------------------


def render_json(name: str, rows: Iterable[Measurement]) -> str:
    """Return ``{"bench": name, "rows": [...]}``; numbers to six significant digits, never NaN."""
    objects = []
    for row in rows:
        objects.append({key: _round_number(value) for key, value in asdict(row).items()})
    return json.dumps({"bench": name, "rows": objects}, allow_nan=False)


def _round_number(value: object) -> object:
    if not isinstance(value, float):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _print_table(name: str, rows: Sequence[Measurement], console: "Console") -> None:
    """Print the table, and below it each row's peer and note by the row's number."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"medr bench {name}", title_justify="left")
    for header in ("", "measure", "ours", "peer", "ratio", "goal", "met"):
        table.add_column(header, justify="left" if header in ("measure", "met") else "right")
    for number, row in enumerate(rows, 1):
        ours = f"{_format_figure(row.ours)} {row.unit}".strip()
        goal = "" if row.goal is None else f"{row.goal_of} {_format_figure(row.goal)}"
        peer = _format_figure(row.peer)
        ratio = _format_figure(row.ratio)
        table.add_row(str(number), row.measure, ours, peer, ratio, goal, _format_met(row.met))
    console.print(table)
    for number, row in enumerate(rows, 1):
        peer_name = f"peer {row.peer_name}" if row.peer_name else ""
        about = "; ".join(part for part in (peer_name, row.note) if part)
        if about:
            console.print(Text(f"{number:>3}  {about}", "dim"), soft_wrap=True)


def _format_met(met: bool | None) -> "Text":
    from rich.text import Text

    if met is None:
        return Text("")
    return Text("yes", "green") if met else Text("no", "red")


def _format_figure(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
