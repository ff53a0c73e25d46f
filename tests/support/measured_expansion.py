"""Expansion on one worker and on two, over the index of a finished run: relations a second, actors'
start included.

The run is ``runs/quickstart`` of the checkout, or the folder that MEDR_BENCH_RUN names. Nothing is
written into it.
"""

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from medr_ray.core.config import PipelineConfig, RayConfig
from medr_ray.core.data import map_in_actors
from medr_ray.core.measurement import Measurement, build_measurement, skip_measurement
from medr_ray.core.run import Directory, RunDirectory
from medr_ray.core.session import ray_session
from medr_ray.graph.expansion_worker import ExpansionWorker
from medr_ray.graph.stage import group_seeds
from medr_ray.knowledge.hpo import load_hpo

_RUN = Path(__file__).resolve().parents[2] / "runs" / "quickstart"
_MEASURE = "expansion"


def rows(quick: bool) -> Iterator[Measurement]:
    """One row a number of workers, and their ratio; AssertionError where they grow different
    graphs."""
    run = RunDirectory(os.environ.get("MEDR_BENCH_RUN") or str(_RUN))
    if any(run.stage(stage).manifest() is None for stage in ("entities", "index")):
        yield skip_measurement(
            _MEASURE,
            "1 worker",
            "medr run -c configs/quickstart.yaml --until index, or MEDR_BENCH_RUN",
        )
        return
    seeds = _select_seeds(run, 60 if quick else 400)
    with tempfile.TemporaryDirectory(prefix="medr-bench-") as folder, ray_session(RayConfig()):
        seconds_alone, relations = _grow_graph(run, seeds, 1, Directory(f"{folder}/one"))
        two, _ = _grow_graph(run, seeds, 2, Directory(f"{folder}/two"))
        _compare_graphs(Directory(f"{folder}/one"), Directory(f"{folder}/two"))
    note = (
        f"{len(seeds)} seeds, {relations:,} relations, {seconds_alone:.0f} s on one worker; "
        "equal parts"
    )
    yield build_measurement(
        "expansion, 2 workers",
        relations / two,
        relations / seconds_alone,
        "1 worker",
        unit="relations/s",
        note=note,
    )


def _select_seeds(run: RunDirectory, most: int) -> list[str]:
    """Accepted seeds that have a record, spread evenly."""
    table = (
        run.stage("entities").read_table("seeds.parquet", ["frequency", "significance"]).to_pylist()
    )
    accepted = sorted(
        row["frequency"]["concept_id"] for row in table if row["significance"]["verdict"]
    )
    curated = [disease for disease in accepted if disease in load_hpo().diseases]
    return curated[:: max(1, len(curated) // most)][:most]


def _grow_graph(
    run: RunDirectory, seeds: Sequence[str], workers: int, directory: Directory
) -> tuple[float, int]:
    """Seconds, and relations found."""
    config = PipelineConfig.model_validate({"retrieval": {"mode": "text"}})
    waiting = [
        {"part": name, "seeds": group, "made_from": "bench", "read_from": "bench"}
        for name, group in group_seeds(seeds).items()
    ]
    started = time.perf_counter()
    with map_in_actors(
        waiting,
        ExpansionWorker,
        workers,
        config=config,
        run=run,
        directory=directory,
        folder="parts",
    ) as results:
        done: list[dict[str, Any]] = list(results)
    return time.perf_counter() - started, sum(result["relations"] for result in done)


def _compare_graphs(one: Directory, other: Directory) -> None:
    names = one.list_files("parts")
    if names != other.list_files("parts"):
        raise AssertionError("1 and 2 workers wrote different parts")
    for name in names:
        if one.read_bytes(f"parts/{name}") != other.read_bytes(f"parts/{name}"):
            raise AssertionError(f"{name} differs between 1 and 2 workers")
