"""The GRPO stage: what its workers are given, and the model that comes out.

Heavy imports (torch, Ray, transformers) are inside the functions: every command imports the list of
stages.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

from medr_ray.core.config import PipelineConfig
from medr_ray.core.costs import StageCost
from medr_ray.core.run import Counts, RunDirectory, Stage, StageContext
from medr_ray.engines.factory import find_engine_problems
from medr_ray.questions.artifacts import QUESTIONS
from medr_ray.training.artifacts import GRPO_METRICS
from medr_ray.training.metric_rows import MetricRow
from medr_ray.training.metrics_log import MetricsLog
from medr_ray.training.ray_train import run_training
from medr_ray.training.requirements import (
    estimate_training_size,
    find_trainer_problems,
    list_needs,
    warn_of_training,
)
from medr_ray.training.update_checks import describe_mismatch

_COMPARED_UPDATES = 3  # at the beginning and at the end of a run, for its summary


def execute_grpo(context: StageContext) -> Counts:
    """Improve the SFT model by its own rollouts; writes ``model/``, ``metrics.jsonl`` and
    ``rollouts/``."""
    from transformers import AutoTokenizer

    from medr_ray.core.placement import require_room
    from medr_ray.rollouts.engine_placement import reserve_places
    from medr_ray.training.grpo_job import GRPOJob, run_grpo_job
    from medr_ray.training.weight_sync import find_adapter_scaling

    config = context.config
    questions = context.run.read(QUESTIONS)
    train = tuple(question for question in questions if question.split == "train")
    model_dir = str(context.upstream("sft").local / "model")
    tokenizer = AutoTokenizer.from_pretrained(
        model_dir, trust_remote_code=config.models.trust_remote_code
    )

    def make_job(log: MetricsLog, places: Any) -> GRPOJob:
        return GRPOJob(
            config=config,
            questions=train,
            heldout=tuple(question for question in questions if question.split == "heldout"),
            model_dir=model_dir,
            index_uri=context.upstream("index").uri,
            directory_uri=context.directory.uri,
            output=str(context.directory.local / "model"),
            pad_id=tokenizer.eos_token_id,
            log=log,
            engine_places=places,
        )

    # First, because places that can never be had are waited for without a word.
    require_room(list_needs("grpo", config), config.ray)
    with reserve_places(config.engine) as places:
        history = run_training(
            context,
            "grpo",
            config.grpo,
            run_grpo_job,
            lambda log: make_job(log, places),
            config.grpo.updates,
            "updates",
            GRPO_METRICS,
        )
    first = history[:_COMPARED_UPDATES]
    last = history[-_COMPARED_UPDATES:]
    counts = {
        "updates": len(history),
        "rollouts": sum(row["rollouts"] for row in history),
        "excluded": sum(row["excluded"] for row in history),
        "truncated": sum(row["truncated"] for row in history),
        "rollouts_unused": sum(row["rollouts_unused"] for row in history),
        "updates_unused": sum(row["groups_used"] == 0 for row in history),
        "exact_match_first": _mean_of_column(first, "exact_match"),
        "exact_match_last": _mean_of_column(last, "exact_match"),
        "reward_first": _mean_of_column(first, "reward_mean"),
        "reward_last": _mean_of_column(last, "reward_mean"),
        "sync_bytes": history[-1]["sync_bytes"],
    }
    context.console.print(
        f"grpo: {counts['updates']} updates, {counts['rollouts']} rollouts, exact match of the "
        f"rollouts {counts['exact_match_first']:.0%} -> {counts['exact_match_last']:.0%} "
        f"(first and last {_COMPARED_UPDATES} updates)"
    )
    sent = "weights" if find_adapter_scaling(config) is None else "adapter"
    context.console.print(
        f"grpo: each update sent the engines {counts['sync_bytes']:,} bytes, the {sent}"
    )
    limit = config.grpo.max_mismatch_kl
    for row in history:
        mismatch = describe_mismatch(row, limit)
        if mismatch:
            context.console.print(f"grpo: {mismatch}")
    return counts


def _mean_of_column(rows: list[MetricRow], key: str) -> float:
    """The mean of what is not null; 0 where all of it is."""
    values = [row[key] for row in rows if row[key] is not None]
    return round(sum(values) / max(len(values), 1), 4)


def _grpo_model_identity(config: PipelineConfig) -> Any:
    """The language model, where it scores rollouts or reads pages for the agents.

    None where it does neither, so that another model does not repeat the stage.
    """
    is_used = config.grpo.expert == "llm" or config.tools.read.extract == "llm"
    return config.llm.identity() if is_used else None


def _find_grpo_problems(config: PipelineConfig, run: RunDirectory) -> Iterator[str]:
    yield from find_trainer_problems("grpo", config.grpo, config)
    yield from find_engine_problems(config.engine, config.grpo.adapter_rank)
    if config.grpo.max_staleness and config.engine.placement == "colocated":
        yield (
            "grpo.max_staleness: 1 lets engines sample while the trainers learn, and under "
            "engine.placement: colocated they sleep then: set one of them to 0 or split"
        )
    # Imported here, because tools are slow to import and planning is not to wait for them.
    from medr_ray.tools.registry import find_tool_problems

    yield from find_tool_problems(config)
    if _grpo_model_identity(config) is not None:
        from medr_ray.llm.reachability import find_role_problems

        yield from find_role_problems(config, "grpo")


def _warn_of_grpo(config: PipelineConfig) -> Iterator[str]:
    yield from warn_of_training("grpo", config)
    if config.grpo.expert == "llm" and not config.grpo.expert_weight:
        yield (
            "grpo.expert: llm pays for scores that grpo.expert_weight: 0 makes nothing of: set a "
            "weight, or grpo.expert: rules"
        )


def _estimate_grpo_cost(config: PipelineConfig, run: RunDirectory) -> StageCost:
    from medr_ray.training.cost_estimate import estimate_grpo_cost

    return estimate_grpo_cost(config, run)


GRPO_STAGE = Stage(
    name="grpo",
    needs=("sft", "questions", "index"),
    sections=("grpo", "agent", "tools", "retrieval", "models", "engine"),
    execute=execute_grpo,
    inputs=_grpo_model_identity,
    check=_find_grpo_problems,
    warn=_warn_of_grpo,
    estimate_cost=_estimate_grpo_cost,
    estimate_size=partial(estimate_training_size, "grpo"),
)
