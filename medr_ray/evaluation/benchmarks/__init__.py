"""The benchmarks that ``evaluation.benchmarks`` can name.

Every module of this package that has a ``BENCHMARK`` declares one, and its ``name`` is what the
configuration uses. A benchmark outside the package is named ``package.module:attribute``. To add
one, write one file; nothing else changes (see ``jsonl`` for tasks that are a file of questions and
answers).
"""

import importlib
import pkgutil
import re
from collections import Counter
from collections.abc import Sequence
from types import ModuleType
from typing import TypeGuard

from medr_ray.core.config.names import check_known
from medr_ray.core.errors import ConfigError
from medr_ray.evaluation.benchmarks.base import Benchmark, BenchmarkTask

__all__ = ["BENCHMARKS", "Benchmark", "BenchmarkTask", "find_benchmark", "select_benchmarks"]

# Names become folders of the run directory and keys of report.json.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_ATTRIBUTE = "BENCHMARK"


def _discover_benchmarks() -> dict[str, Benchmark]:
    """The benchmarks that the modules of this package declare, by name."""
    benchmarks: dict[str, Benchmark] = {}
    for module_info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{module_info.name}")
        benchmark = getattr(module, _ATTRIBUTE, None)
        if benchmark is not None:
            benchmarks[benchmark.name] = benchmark
    return benchmarks


# The names are what the configuration is validated against when it is loaded.
BENCHMARKS = _discover_benchmarks()


def find_benchmark(reference: str) -> Benchmark:
    """The benchmark that ``reference`` names.

    Raises ConfigError, with the nearest name, when there is none with that name.
    """
    if ":" in reference:
        return _import_benchmark(reference)
    try:
        check_known(reference, BENCHMARKS)
    except ValueError as error:
        raise ConfigError(f"evaluation.benchmarks: {error}, or package.module:attribute") from None
    return BENCHMARKS[reference]


def select_benchmarks(references: Sequence[str]) -> list[Benchmark]:
    """The benchmarks of ``evaluation.benchmarks``, in order.

    Raises ConfigError for an unknown name, a name that is not a file name, and one given twice.
    """
    benchmarks = [find_benchmark(reference) for reference in references]
    for name, count in Counter(benchmark.name for benchmark in benchmarks).items():
        if count > 1:
            raise ConfigError(f"evaluation.benchmarks: {count} benchmarks are named {name!r}")
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"evaluation.benchmarks: {name!r} cannot name a benchmark: "
                "use letters, digits and . _ -"
            )
    return benchmarks


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
