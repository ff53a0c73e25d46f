"""Results of earlier settings: kept beside the ones in use, and taken back when they fit again.

``<run>/<stage>/`` holds the results in use. Before they are replaced they move to
``<run>/earlier/<stage>/<first 12 of the fingerprint>/``, finished or not. On a local disk that is a
rename, for an incremental stage hard links; on object storage the files are copied. No plan deletes
results: only ``delete_earlier_results`` does, which ``medr runs prune`` calls.
"""

from dataclasses import dataclass
from typing import Any

from medr_ray.core.errors import DataError
from medr_ray.core.run import RunDirectory, StageDirectory

_FOLDER = "earlier"
_FINGERPRINT_CHARACTERS = 12


@dataclass(frozen=True)
class EarlierResults:
    """A stage's results that are not in use. ``size`` is in bytes."""

    stage: str
    directory: StageDirectory
    is_finished: bool
    size: int


def set_results_aside(run: RunDirectory, stage: str, are_replaced: bool = False) -> None:
    """Move the stage's results, finished or not, to the earlier ones.

    ``are_replaced``: results of the same settings take their place, so that they are kept but not
    taken back. Raises DataError, and moves nothing, when the folder holds what no stage wrote.
    """
    current = run.stage(stage)
    if current.is_empty():
        return
    current.require_ours()
    fingerprint = current.fingerprint()
    first = _earlier_directory(run, stage, fingerprint, "-replaced" if are_replaced else "")
    current.move_to(_find_free_directory(first))


def keep_copy(run: RunDirectory, stage: str) -> None:
    """Keep the stage's results as earlier ones, and leave them where they are for an incremental
    stage to go on from."""
    current = run.stage(stage)
    current.require_ours()
    first = _earlier_directory(run, stage, current.fingerprint())
    current.copy_to(_find_free_directory(first))


def find_earlier_results(run: RunDirectory, stage: str, fingerprint: str) -> StageDirectory | None:
    """The earlier results of these settings; None where there are none."""
    directory = _earlier_directory(run, stage, fingerprint)
    return directory if directory.fingerprint() == fingerprint else None


def take_results_back(run: RunDirectory, stage: str, fingerprint: str) -> None:
    """Put the earlier results of these settings in use. The folder of the stage must be empty."""
    _earlier_directory(run, stage, fingerprint).move_to(run.stage(stage))


def list_earlier_results(run: RunDirectory) -> list[EarlierResults]:
    """All earlier results, by stage and name."""
    results = []
    for stage in run.list_folders(_FOLDER):
        for name in run.list_folders(f"{_FOLDER}/{stage}"):
            directory = run.stage(f"{_FOLDER}/{stage}/{name}")
            if not directory.is_ours():
                continue
            size = sum(directory.list_sizes().values())
            results.append(EarlierResults(stage, directory, directory.is_whole(), size))
    return results


def delete_earlier_results(results: EarlierResults) -> list[str]:
    """Delete one of the earlier results; returns the files in its folder that are not a stage's,
    which stay. Raises DataError for a folder that is not ours."""
    return results.directory.remove_results()


def read_latest_counts(run: RunDirectory, stage: str) -> dict[str, Any]:
    """The counts of a finished stage, else those of its earlier results; {} where there are none
    that can be read. For estimates: results in use are read with their manifest."""
    names = run.list_folders(f"{_FOLDER}/{stage}")
    kept = [run.stage(f"{_FOLDER}/{stage}/{name}") for name in names]
    for directory in (run.stage(stage), *kept):
        counts = _read_counts(directory)
        if counts:
            return counts
    return {}


def _read_counts(directory: StageDirectory) -> dict[str, Any]:
    try:
        manifest = directory.manifest()
    except DataError:
        # An estimate does without it; that it is damaged is named where the stage is planned.
        return {}
    return dict(manifest.get("counts", {})) if manifest else {}


def _earlier_directory(
    run: RunDirectory, stage: str, fingerprint: str, suffix: str = ""
) -> StageDirectory:
    name = fingerprint[:_FINGERPRINT_CHARACTERS] or "unknown"
    return run.stage(f"{_FOLDER}/{stage}/{name}{suffix}")


def _find_free_directory(first: StageDirectory) -> StageDirectory:
    """``first``, or where something is kept there already, the same name with a number."""
    directory = first
    number = 1
    while not directory.is_empty():
        number += 1
        directory = StageDirectory(f"{first.uri}-{number}", first.fs, f"{first.path}-{number}")
    return directory
