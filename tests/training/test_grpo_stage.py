"""The GRPO stage on Ray with tiny models: engine actor, rollout workers and two trainers."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from support import differing_rewards
from support.evaluation_run import fill_run, make_context

from medr_ray.core.run import Counts, StageContext
from medr_ray.engines.number_format import select_dtype
from medr_ray.training import grpo_job
from medr_ray.training.artifacts import GRPO_METRICS, GRPO_ROLLOUTS
from medr_ray.training.grpo_stage import execute_grpo

pytestmark = pytest.mark.slow

SETTINGS = (
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
LORA_SETTINGS = (
    "grpo.lora={rank: 2, alpha: 4}",
    differing_rewards.SETTING,
    # Two steps are to change the model by far more than its weights are rounded by.
    "grpo.optimiser.learning_rate=0.05",
)
ROUNDING = 1e-5  # of float32, in which a model is saved that was trained on a CPU; its weights < 2


class FinishedStage:
    """The stage in a run of its own, up to its end."""

    def __init__(self, root: Path, *settings: str) -> None:
        context = make_context(root, *SETTINGS, *settings)
        fill_run(context)
        self.start = context.upstream("sft").local / "model"
        self.context = StageContext(
            context.config, context.run, context.run.stage("grpo"), context.console
        )
        self.counts: Counts = execute_grpo(self.context)
        self.model: Path = self.context.directory.local / "model"
        lines = self.context.directory.read_bytes(GRPO_METRICS.name).splitlines()
        self.metrics: list[dict[str, Any]] = [json.loads(line) for line in lines]
        self.printed: str = self.context.console.file.getvalue()  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def whole(ray_local: None, tmp_path_factory: pytest.TempPathFactory) -> FinishedStage:
    """Trained without an adapter."""
    return FinishedStage(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def adapted(ray_local: None, tmp_path_factory: pytest.TempPathFactory) -> FinishedStage:
    """Trained with LoRA, by rewards that differ."""
    with pytest.MonkeyPatch.context() as patch:
        # What Ray Train starts is the function of this name.
        patch.setattr(grpo_job, "run_grpo_job", differing_rewards.run_differing_job)
        return FinishedStage(tmp_path_factory.mktemp("adapted"), *LORA_SETTINGS)


def count_bytes(file: Path) -> int:
    return sum(tensor.nbytes for tensor in load_file(file).values())


def test_two_workers_roll_out_learn_and_save_a_model(whole: FinishedStage) -> None:
    counts = whole.counts
    assert counts["updates"] == 2
    assert counts["rollouts"] + counts["excluded"] == 4
    assert [row["update"] for row in whole.metrics] == [1, 2]
    rollouts = whole.context.directory.read(GRPO_ROLLOUTS)
    assert len(rollouts) == counts["rollouts"]
    for rollout in rollouts:
        versions = {turn.policy_version for turn in rollout.trajectory.turns}
        assert versions == {rollout.update}
    assert (whole.model / "model.safetensors").is_file()


def test_with_lora_each_update_sends_the_adapter_alone(
    whole: FinishedStage, adapted: FinishedStage
) -> None:
    file = adapted.model / "adapter" / "adapter_model.safetensors"
    sent = [row["sync_bytes"] for row in adapted.metrics]
    sent_whole = [row["sync_bytes"] for row in whole.metrics]
    print(f"the adapter on disk: {file.stat().st_size} bytes, {count_bytes(file)} of them tensors")
    print(f"bytes sent in each update: the adapter {sent}, whole weights {sent_whole}")
    assert sent == [count_bytes(file)] * 2
    assert sent_whole == [count_bytes(whole.model / "model.safetensors")] * 2
    assert sent[0] < sent_whole[0] / 10
    # Rollouts of the second update are of weights with the adapter, or they would be far off.
    assert adapted.metrics[1]["mismatch_kl"] < adapted.context.config.grpo.max_mismatch_kl
    assert adapted.counts["sync_bytes"] == sent[0]
    assert f"sent the engines {sent[0]:,} bytes, the adapter" in adapted.printed
    assert f"sent the engines {sent_whole[0]:,} bytes, the weights" in whole.printed


def test_peft_loads_the_adapter_and_the_merged_model_is_base_and_adapter(
    adapted: FinishedStage,
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    # What is frozen is in the format that the machine computes in.
    base = AutoModelForCausalLM.from_pretrained(adapted.start, dtype=select_dtype("cpu")).float()
    start = {name: value.clone() for name, value in base.state_dict().items()}
    by_peft = PeftModel.from_pretrained(base, adapted.model / "adapter").merge_and_unload()
    merged = load_file(adapted.model / "model.safetensors")
    expected = {name: by_peft.state_dict()[name] for name in merged}
    changed = [name for name in merged if not torch.equal(expected[name], start[name])]
    # Every matrix of the two layers: four of the attention, three of the network behind it.
    assert len(changed) == 2 * 7
    for name, weight in merged.items():
        torch.testing.assert_close(weight, expected[name], rtol=0, atol=ROUNDING)
        if name in changed:
            assert (expected[name] - start[name]).abs().max() > 100 * ROUNDING, name
