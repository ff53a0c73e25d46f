"""Helpers over Ray Data: one row per task, small rows back, no progress bars.

A row names its work (a file, a seed); the task reads and writes the data itself. Only names and
counts go through the object store. The results are used in a ``with`` block: whatever is raised in
it ends the tasks and actors before it goes on.
"""

import contextlib
import logging
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

Row = dict[str, Any]


@contextlib.contextmanager
def map_in_tasks(
    rows: Sequence[Mapping[str, Any]], work: Callable[[Row], Row], max_tasks: int | None = None
) -> Iterator[Iterator[Row]]:
    """Run ``work`` on each row in a Ray task of its own.

    At most ``max_tasks`` run at the same time, by default one per CPU. Gives the results in the
    order in which they finish.
    """
    # Ray need not be up where there is nothing to do.
    if not rows:
        yield iter(())
        return
    import ray.data

    pool = ray.data.TaskPoolStrategy(size=max_tasks)
    with _closing_rows(_build_dataset(rows).map(work, compute=pool)) as results:
        yield results


@contextlib.contextmanager
def map_in_actors(
    rows: Sequence[Mapping[str, Any]], worker: type, actors: int, **arguments: Any
) -> Iterator[Iterator[Row]]:
    """Process each row in a pool of at most ``actors`` actors of the class ``worker``.

    An actor is built once with ``arguments`` and then called with one row after another. Gives the
    results in the order in which they finish.
    """
    if not rows:
        yield iter(())
        return
    import ray.data

    # No more actors than rows: each would build its state for nothing.
    pool = ray.data.ActorPoolStrategy(min_size=1, max_size=min(actors, len(rows)))
    mapped = _build_dataset(rows).map(worker, fn_constructor_kwargs=arguments, compute=pool)
    with _closing_rows(mapped) as results:
        yield results


def _closing_rows(dataset: Any) -> contextlib.closing[Generator[Row, None, None]]:
    """The rows of a dataset, whose execution ends with the block.

    Ray Data ends it when the generator is closed. One that is only dropped is closed when Python
    collects it, which may be when the interpreter ends.
    """
    return contextlib.closing(iter(dataset.iter_rows()))


def _build_dataset(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Return a dataset with one block per row, so that a task gets exactly one row."""
    import ray.data

    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    # Ray Data would warn that its progress bars are off.
    logging.getLogger("ray.data._internal.progress").setLevel(logging.ERROR)
    # ``from_arrow`` makes a block of each table.
    return ray.data.from_arrow([pa.Table.from_pylist([dict(row)]) for row in rows])
