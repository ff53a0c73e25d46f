"""Manifests of stages whose output a test wrote itself: ``medr`` takes them for finished."""

from medr_ray.core.config import PipelineConfig
from medr_ray.core.run import MANIFEST, RunDirectory, compute_fingerprint
from medr_ray.pipeline import load_stages


def finish_stages(run: RunDirectory, config: PipelineConfig, until: str) -> None:
    """Write the manifests of all stages up to and with ``until``."""
    marks: dict[str, str] = {}
    for stage in load_stages(until):
        marks[stage.name] = compute_fingerprint(stage, config, marks)
        manifest = {"fingerprint": marks[stage.name], "counts": {}, "seconds": 0.0}
        run.stage(stage.name).write_json(MANIFEST, manifest)
