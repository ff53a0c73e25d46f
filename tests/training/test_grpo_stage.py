"""The GRPO stage on Ray with tiny models: engine actor, rollout workers and two trainers."""

import json

import pytest
from support.evaluation_run import fill_run, make_context

from medr_ray.core.run import StageContext
from medr_ray.training.artifacts import GRPO_METRICS, GRPO_ROLLOUTS
from medr_ray.training.grpo_stage import execute_grpo


@pytest.mark.slow
def test_two_workers_roll_out_learn_and_save_a_model(
    ray_local: None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    context = make_context(
        tmp_path_factory.mktemp("grpo"),
        "grpo.workers=2",
        "grpo.updates=2",
        "grpo.questions_per_update=1",
        "grpo.group_size=2",
        "grpo.checkpoint_every=1",
        "grpo.threads=1",
        "agent.max_tool_calls=2",
        "agent.max_tokens=2048",
        "rollouts.workers=1",
        "rollouts.max_workers=1",
    )
    fill_run(context)
    context = StageContext(context.config, context.run, context.run.stage("grpo"), context.console)
    counts = execute_grpo(context)
    assert counts["updates"] == 2
    assert counts["rollouts"] + counts["excluded"] == 4
    lines = context.directory.read_bytes(GRPO_METRICS.name).splitlines()
    assert [json.loads(line)["update"] for line in lines] == [1, 2]
    rollouts = context.directory.read(GRPO_ROLLOUTS)
    assert len(rollouts) == counts["rollouts"]
    for rollout in rollouts:
        versions = {turn.policy_version for turn in rollout.trajectory.turns}
        assert versions == {rollout.update}
    assert (context.directory.local / "model" / "model.safetensors").is_file()
