"""What became of the question candidates of a finished run: how many passed, how long they are, why
others failed.

The run is ``runs/questions`` of the checkout (``medr questions generate -c
configs/questions.yaml``), or the one MEDR_BENCH_RUN names. Nothing is drafted here.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from medr_ray.core.measurement import Measurement, build_measurement, skip_measurement
from medr_ray.core.run import RunDirectory
from medr_ray.knowledge.specialty import SPECIALTIES

_RUN = Path(__file__).resolve().parents[2] / "runs" / "questions"
_MEASURE = "questions accepted"
_LEAST, _MEAN_HOPS = 2_500, 4.2  # the paper's mean number of hops, section 3.1.2
_CROSSING = 0.4


def rows(quick: bool) -> Iterator[Measurement]:
    """Questions, specialties, mean hops and yield; the same whether ``quick`` or not."""
    manifest = (
        RunDirectory(os.environ.get("MEDR_BENCH_RUN") or str(_RUN)).stage("questions").manifest()
    )
    if manifest is None:
        yield skip_measurement(
            _MEASURE, "", "medr questions generate -c configs/questions.yaml, or MEDR_BENCH_RUN"
        )
        return
    counts = manifest["counts"]
    hops = ", ".join(f"{length}: {count:,}" for length, count in counts["by_hops"].items())
    paradigms = ", ".join(f"{name} {count:,}" for name, count in counts["by_paradigm"].items())
    reasons = ", ".join(f"{name} {count:,}" for name, count in counts["reasons"].items())
    covered = sorted(set(counts["by_specialty"]) & set(SPECIALTIES))
    candidates = counts["candidates_verified"] + sum(counts["reasons"].values())
    yield build_measurement(
        _MEASURE,
        counts["accepted"],
        goal=_LEAST,
        note=f"{paradigms}; in {manifest['seconds']:,.0f} s",
    )
    yield build_measurement(
        "questions of several look-ups that ask two registries or more",
        counts["multi_hop_across_registries"] / max(counts["multi_hop"], 1),
        goal=_CROSSING,
        note=f"{counts['multi_hop_across_registries']:,} of {counts['multi_hop']:,}",
    )
    yield build_measurement(
        "specialties with questions",
        len(covered),
        goal=len(SPECIALTIES),
        note=", ".join(f"{name} {count:,}" for name, count in counts["by_specialty"].items()),
    )
    yield build_measurement(
        "mean hops", counts["mean_hops"], goal=_MEAN_HOPS, note=f"by hops {hops}"
    )
    yield build_measurement(
        "candidates that pass every check",
        counts["candidates_verified"] / max(candidates, 1),
        note=f"of {candidates:,}; the others fail {reasons}",
    )
