"""Ray Data as this house uses it: one row per task, small rows back, quiet.

A row names its work (a file, a seed) and the task reads and writes it; what travels through the
object store is only names and counts.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

Row = dict[str, Any]


def map_in_tasks(
    rows: Sequence[Mapping[str, Any]], work: Callable[[Row], Row], max_tasks: int | None = None
) -> Iterator[Row]:
    """``work`` on each row in a Ray task of its own, at most ``at_once`` of them together (else as
    many as there are CPUs); results as they come, in no particular order."""
    if not rows:
        return iter(())
    import ray.data

    return iter(
        _dataset(rows).map(work, compute=ray.data.TaskPoolStrategy(size=max_tasks)).iter_rows()
    )


def map_in_actors(
    rows: Sequence[Mapping[str, Any]], worker: type, actors: int, **arguments: Any
) -> Iterator[Row]:
    """Each row through a pool of at most ``actors`` actors of the class ``worker``, built once per
    actor with ``arguments`` and then called with a row; results as they come, in no particular
    order."""
    if not rows:
        return iter(())
    import ray.data

    pool = ray.data.ActorPoolStrategy(min_size=1, max_size=min(actors, len(rows)))
    return iter(
        _dataset(rows).map(worker, fn_constructor_kwargs=arguments, compute=pool).iter_rows()
    )


def _dataset(rows: Sequence[Mapping[str, Any]]) -> Any:
    """One block per row, so that a task gets exactly one."""
    import ray.data

    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    logging.getLogger("ray.data._internal.progress").setLevel(
        logging.ERROR
    )  # it warns that its bars are off
    return ray.data.from_arrow([pa.Table.from_pylist([dict(row)]) for row in rows])
