"""The benchmarks that ``evaluation.benchmarks`` can name.

Every module of this package that has a ``BENCHMARK``, or several ``BENCHMARKS``, declares them, and
their ``name`` is what the configuration uses. A benchmark is named in one of these ways:

- ``heldout``: by its name,
- ``gaia:/data/gaia.jsonl``: by its name and its file, or a folder of files, at a path or URI; or by
  its name alone, where ``evaluation.benchmark_files`` has the file,
- ``/data/mine.csv``: a file of your own questions (see ``own_file``),
- ``package.module:attribute``: one outside this package.

To add one, write one file; nothing else changes.
"""

import importlib
import pkgutil
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from types import ModuleType
from typing import TypeGuard

from medr_ray.core.config.names import check_known
from medr_ray.core.errors import ConfigError
from medr_ray.evaluation.benchmarks.base import Benchmark, BenchmarkTask
from medr_ray.evaluation.benchmarks.files import FileBenchmark
from medr_ray.evaluation.benchmarks.own_file import OwnFile

__all__ = ["BENCHMARKS", "Benchmark", "BenchmarkTask", "find_benchmark", "select_benchmarks"]

# Names become folders of the run directory and keys of report.json.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_FILE_ENDING = re.compile(r"\.(?:jsonl|json|csv)(?:\.gz)?$", re.IGNORECASE)
_URI = re.compile(r"\w+://")


def _discover_benchmarks() -> dict[str, Benchmark]:
    """The benchmarks that the modules of this package declare, by name."""
    benchmarks: dict[str, Benchmark] = {}
    for module_info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{module_info.name}")
        declared: Iterable[Benchmark] = getattr(module, "BENCHMARKS", ())
        single = getattr(module, "BENCHMARK", None)
        for benchmark in (*declared, single):
            if benchmark is not None:
                benchmarks[benchmark.name] = benchmark
    return benchmarks


# The names are what the configuration is validated against when it is loaded.
BENCHMARKS = _discover_benchmarks()


def find_benchmark(reference: str, files: Mapping[str, str] | None = None) -> Benchmark:
    """The benchmark that ``reference`` names. ``files`` are the configured files by name.

    Raises ConfigError, with the nearest name, when there is none with that name, and where its file
    is not named; DataError when a file is not there.
    """
    name, _, path = reference.partition(":")
    if name in BENCHMARKS:
        return _open_benchmark(BENCHMARKS[name], path or (files or {}).get(name, ""))
    if _is_path(reference):
        return _open_own_file(reference)
    if path:
        return _import_benchmark(reference)
    try:
        check_known(reference, BENCHMARKS)
    except ValueError as error:
        raise ConfigError(
            f"evaluation.benchmarks: {error}, the path of a file of questions, or "
            "package.module:attribute"
        ) from None
    return BENCHMARKS[reference]


def select_benchmarks(
    references: Sequence[str], files: Mapping[str, str] | None = None
) -> list[Benchmark]:
    """The benchmarks of ``evaluation.benchmarks``, in order. ``files`` are those of
    ``evaluation.benchmark_files``.

    Several files of one benchmark are named after the files. Raises ConfigError for an unknown
    name, a name that is not a file name, and one given twice.
    """
    benchmarks = _tell_apart([find_benchmark(reference, files) for reference in references])
    for name, count in Counter(benchmark.name for benchmark in benchmarks).items():
        if count > 1:
            raise ConfigError(f"evaluation.benchmarks: {count} benchmarks are named {name!r}")
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"evaluation.benchmarks: {name!r} cannot name a benchmark: "
                "use letters, digits and . _ -"
            )
    return benchmarks


def _open_benchmark(benchmark: Benchmark, path: str) -> Benchmark:
    if isinstance(benchmark, FileBenchmark):
        if path:
            return benchmark.open(path)
        benchmark.describe_source()  # says how its file is named
    elif path:
        raise ConfigError(
            f"evaluation.benchmarks: {benchmark.name}:{path}: {benchmark.name} is no file: name it "
            "alone"
        )
    return benchmark


def _open_own_file(path: str) -> Benchmark:
    stem = _name_after(path)
    return OwnFile(stem, stem).open(path)


def _is_path(reference: str) -> bool:
    if _URI.match(reference):
        return True
    return ":" not in reference and bool("/" in reference or _FILE_ENDING.search(reference))


def _name_after(path: str) -> str:
    """A name made of a file's."""
    stem = _FILE_ENDING.sub("", PurePosixPath(path.rstrip("/")).name)
    return _NOT_IN_NAMES.sub("-", stem).strip("-._") or "questions"


def _tell_apart(benchmarks: Sequence[Benchmark]) -> list[Benchmark]:
    """The benchmarks; those that share a name and are different files are named after them too."""
    counts = Counter(benchmark.name for benchmark in benchmarks)
    return [
        replace(benchmark, name=f"{benchmark.name}-{_name_after(benchmark.paths[0])}")
        if isinstance(benchmark, FileBenchmark) and counts[benchmark.name] > 1
        else benchmark
        for benchmark in benchmarks
    ]


def _import_benchmark(reference: str) -> Benchmark:
    """The benchmark behind ``package.module:attribute``."""
    module_name, _, attribute = reference.partition(":")
    benchmark = getattr(_import_module(module_name, reference), attribute, None)
    if not _is_benchmark(benchmark):
        raise ConfigError(
            f"evaluation.benchmarks: {reference}: {module_name} has no benchmark {attribute!r}: "
            "give an object with the attributes of evaluation.benchmarks.Benchmark"
        )
    return benchmark


def _import_module(module_name: str, reference: str) -> ModuleType:
    try:
        return importlib.import_module(module_name)
    except Exception as error:  # a user's module may fail in any way while it is imported
        raise ConfigError(
            f"evaluation.benchmarks: {reference}: {module_name} cannot be imported: "
            f"{type(error).__name__}: {error}"
        ) from error


def _is_benchmark(value: object) -> TypeGuard[Benchmark]:
    # By attributes: a user's benchmark need not derive from the protocol.
    members = ("name", "title", "slices", "load_tasks", "build_scorers", "describe_source")
    return all(hasattr(value, member) for member in members)
