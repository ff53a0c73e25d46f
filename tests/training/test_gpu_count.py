"""GPUs of trainers and engines are counted together before anything starts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from medr_ray.core.config import RayConfig
from medr_ray.core.settings import load_config
from medr_ray.training.planner.holders import count_gpus
from medr_ray.training.requirements import find_label_problems, list_needs

TESTS = Path(__file__).resolve().parents[1]


def test_a_joined_cluster_gets_less_than_a_minute_unless_it_is_said_otherwise() -> None:
    assert RayConfig().placement_seconds < 60


@pytest.mark.parametrize(
    ("overrides", "gpus"),
    [
        (["grpo.workers=8"], 9),
        (["grpo.workers=4", "engine.backend=vllm", "engine.tensor_parallel=2"], 6),
        (["grpo.workers=8", "engine.engines=2", "engine.placement=colocated"], 8),
        (["grpo.gpus_per_worker=0.5", "engine.gpu_share=0.5"], 1),
        (["engine.device=cpu", "grpo.workers=3"], 3),
    ],
)
def test_the_plan_counts_the_gpus_that_the_stage_asks_for(
    overrides: list[str], gpus: float
) -> None:
    config = load_config(None, ["grpo.use_gpu=true", *overrides], environment={})
    needs = list_needs("grpo", config)
    assert sum(need.count * need.resources.get("GPU", 0) for need in needs) == gpus
    assert count_gpus(config, "grpo")[0] == gpus


def test_labels_that_no_node_can_have_are_said_before_anything_starts() -> None:
    labels = ["grpo.labels={pool: a}", "engine.labels={pool: b}"]
    alone = load_config(None, [*labels, "ray.address=null"], environment={})
    problems = list(find_label_problems("grpo", alone))
    assert [problem.partition(":")[0] for problem in problems] == ["grpo.labels", "engine.labels"]
    joined = load_config(None, [*labels, "ray.address=127.0.0.1:6379"], environment={})
    assert not list(find_label_problems("grpo", joined))


@pytest.mark.slow
@pytest.mark.processes
def test_a_job_that_wants_nine_gpus_of_eight_ends_within_a_minute_with_the_remedy() -> None:
    finished = subprocess.run(
        [
            sys.executable,
            str(TESTS / "support" / "wanting_gpus.py"),
            "8",
            "grpo.use_gpu=true",
            "grpo.workers=8",
            "engine.device=auto",
            "ray.address=auto",
            "ray.placement_seconds=3",
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert finished.returncode == 0, finished.stderr[-2000:]
    report = json.loads(finished.stdout.splitlines()[-1])
    assert report["seconds"] < 60
    for text in ("together 9 GPU", "8 GPU", "lower grpo.workers to 7", "engine.placement: coloc"):
        assert text in report["message"]
