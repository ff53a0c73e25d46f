"""What the language models of the evaluation would use: the judge, and the reader of pages."""

from collections.abc import Iterator

from medr_ray.core.config import PipelineConfig
from medr_ray.core.costs import ModelCost, count_tokens
from medr_ray.core.earlier_results import read_latest_counts
from medr_ray.core.errors import MedrError
from medr_ray.core.prompts import read_prompt
from medr_ray.core.run import RunDirectory
from medr_ray.evaluation.benchmarks import select_benchmarks
from medr_ray.evaluation.benchmarks.heldout import BENCHMARK as HELDOUT
from medr_ray.questions.counts import max_question_count
from medr_ray.tools.cost_estimate import estimate_quoting

_TASK_TOKENS = 70  # of a question, its answer with aliases, and the answer that is graded
_VERDICT_TOKENS = 40  # of a sentence and the verdict


def estimate_evaluation_costs(config: PipelineConfig, run: RunDirectory) -> Iterator[ModelCost]:
    """The estimate from the tasks of the benchmarks that can be read already, else from the most
    that there can be."""
    evaluation = config.evaluation
    counts = {name: _count_tasks(name, config, run) for name in evaluation.benchmarks}
    limits = [min(count, evaluation.max_questions or count) for count in counts.values()]
    tasks = sum(limits)
    base_tasks = sum(min(count, evaluation.max_base_questions or count) for count in limits)
    task_count = sum(base_tasks if name == "base" else tasks for name in evaluation.weights)
    attempts = task_count * evaluation.rollouts
    basis = (
        f"{tasks:,} tasks of {', '.join(counts)}, weights {', '.join(evaluation.weights)}, "
        f"rollouts {evaluation.rollouts}"
    )
    if evaluation.judge == "llm":
        template = read_prompt("medr_ray.evaluation", "judge", config.questions.language)
        prompt_tokens = count_tokens(template) + _TASK_TOKENS
        yield ModelCost(
            "judge",
            config.llm,
            attempts,
            attempts * prompt_tokens,
            attempts * _VERDICT_TOKENS,
            basis,
            # A reply without a verdict is asked for once more.
            most_requests=2 * attempts,
            most_tokens=2 * attempts * (prompt_tokens + config.llm.max_tokens),
        )
    yield from estimate_quoting(config, attempts, basis)


def _count_tasks(name: str, config: PipelineConfig, run: RunDirectory) -> int:
    if name == HELDOUT.name:
        count = read_latest_counts(run, "questions").get("heldout")
        if count is not None:
            return int(count)
        return round(max_question_count(config) * config.questions.heldout_fraction)
    try:
        (benchmark,) = select_benchmarks((name,), config.evaluation.benchmark_files)
        return len(benchmark.load_tasks(config, run))
    except MedrError:
        # Why it cannot be read is said where the stage is checked or runs.
        return 0
