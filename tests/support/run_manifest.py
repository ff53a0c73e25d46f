"""The manifest of a stage that a test has finished by hand."""

from medr_ray.core.run import Counts, RunDirectory


def write_manifest(run: RunDirectory, stage: str, counts: Counts, seconds: float) -> None:
    run.stage(stage).write_json(
        "manifest.json",
        {
            "stage": stage,
            "fingerprint": "f",
            "inputs": {},
            "resumed": False,
            "counts": counts,
            "seconds": seconds,
            "versions": {"medr-ray": "0.2.0", "ray": "2.60.0"},
        },
    )
