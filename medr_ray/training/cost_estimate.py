"""What the language models of reinforcement learning would use: the expert preference, and the
reader of pages."""

from medr_ray.core.config import PipelineConfig
from medr_ray.core.costs import ModelCost, StageCost, count_tokens
from medr_ray.core.earlier_results import read_latest_counts
from medr_ray.core.prompts import read_prompt
from medr_ray.core.run import RunDirectory
from medr_ray.tools.cost_estimate import estimate_quoting

_VERDICT_TOKENS = 45  # of a score and a sentence
# A rollout is shown whole. Where no trajectory was counted, it fills about this share of
# agent.max_tokens.
_DIALOGUE_SHARE = 0.4


def estimate_grpo_cost(config: PipelineConfig, run: RunDirectory) -> StageCost:
    """The estimate from the rollouts that the configuration asks for."""
    grpo = config.grpo
    rollouts = grpo.updates * grpo.questions_per_update * grpo.group_size
    basis = (
        f"updates {grpo.updates}, questions_per_update {grpo.questions_per_update}, group_size "
        f"{grpo.group_size}"
    )
    costs = estimate_quoting(config, rollouts, basis)
    if grpo.expert == "llm":
        trajectories = read_latest_counts(run, "trajectories").get("statistics", {})
        share_of_budget = config.agent.max_tokens * _DIALOGUE_SHARE
        mean_tokens = trajectories.get("tokens", {"value": share_of_budget})["value"]
        dialogue_tokens = round(mean_tokens)
        template = read_prompt("medr_ray.training", "preference", config.questions.language)
        prompt_tokens = count_tokens(template)
        preference = ModelCost(
            "preference",
            config.llm,
            rollouts,
            rollouts * (prompt_tokens + dialogue_tokens),
            rollouts * _VERDICT_TOKENS,
            basis,
            most_requests=2 * rollouts,
            most_tokens=2 * rollouts * (config.agent.max_tokens + config.llm.max_tokens),
        )
        costs.append(preference)
    return StageCost("trained weights", tuple(costs))
