"""Stages that do their work in this process, one row after another, where a test is not about Ray.

A worker of Ray imports and loads again what this process has: some seconds for each.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

Row = Mapping[str, Any]


def use_this_process(patched: pytest.MonkeyPatch, *stages: str) -> None:
    """Let the stages in these modules do their work here until ``patched`` is undone."""
    for module in stages:
        patched.setattr(f"{module}.map_in_tasks", _map_here, raising=False)
        patched.setattr(f"{module}.map_in_actors", _build_and_map_here, raising=False)
    # A stage asks Ray how many workers it may have.
    patched.setattr("ray.cluster_resources", lambda: {"CPU": 1.0})


@contextlib.contextmanager
def _map_here(
    rows: Sequence[Row], work: Callable[[Row], Any], max_tasks: int | None = None
) -> Iterator[Iterator[Any]]:
    yield map(work, rows)


@contextlib.contextmanager
def _build_and_map_here(
    rows: Sequence[Row], worker: type, actors: int, **arguments: Any
) -> Iterator[Iterator[Any]]:
    yield map(worker(**arguments), rows) if rows else iter(())
