"""What the language models of the trajectories stage would use: the teacher and the rewriter, and
the reader of pages."""

from collections.abc import Iterator

from medr_ray.core.config import EndpointConfig, PipelineConfig
from medr_ray.core.costs import ModelCost, count_tokens
from medr_ray.core.earlier_results import read_latest_counts
from medr_ray.core.prompts import read_prompt
from medr_ray.core.run import RunDirectory
from medr_ray.questions.counts import max_question_count
from medr_ray.tools.cost_estimate import estimate_quoting

_QUESTION_TOKENS = 45  # of a question in words, see ``questions.cost_estimate``
_THOUGHT_TOKENS = 60  # of a reply: a thought of one to three sentences, and a call
_TOOL_TOKENS = 150  # of the description of a tool with its parameters
# Calls beyond one for each hop: checks of the answer, and look-ups again in other words.
_CALLS_BEYOND_HOPS = 2
# Hops of a question where none is counted: the mean that the paper states.
_MEAN_HOPS = 4.2
# Characters of a token of what tools return: names, numbers and identifiers make short ones.
_CHARS_PER_TOKEN = 4
# Characters of a result of a search beside its snippet: number, title and document id.
_TITLE_CHARS = 60
# Snippets fill about this share of retrieval.snippet_chars.
_SNIPPET_SHARE = 0.7


def estimate_trajectory_costs(config: PipelineConfig, run: RunDirectory) -> Iterator[ModelCost]:
    """The estimate of each configured model, from the questions of a finished stage, else from the
    most that there can be."""
    settings = config.trajectories
    counts = read_latest_counts(run, "questions")
    train = counts.get("train")
    if train is None:
        questions = max_question_count(config)
        basis = f"at most {questions:,} questions"
    else:
        questions = train
        basis = f"{train:,} train questions"
    limit = settings.max_questions
    if limit is not None and limit < questions:
        questions = limit
        basis = f"{limit:,} questions"
    rollouts = questions * settings.rollouts_per_question
    basis = f"{basis}, rollouts_per_question {settings.rollouts_per_question}"
    calls = _estimate_calls(config, run, counts.get("mean_hops", _MEAN_HOPS))
    if settings.teacher == "llm":
        yield _estimate_teacher(config, rollouts, calls, basis)
    if settings.rewrite is not None:
        earlier = read_latest_counts(run, "trajectories").get("accepted")
        dialogues = rollouts if earlier is None else min(earlier, rollouts)
        origin = "all of them accepted" if earlier is None else f"{dialogues:,} accepted before"
        yield _estimate_rewriter(config, settings.rewrite, dialogues, calls, f"{basis}, {origin}")
    yield from estimate_quoting(config, rollouts, basis)


def _estimate_calls(config: PipelineConfig, run: RunDirectory, hops: float) -> float:
    """Tool calls of an episode: as in a finished stage, else by the hops of the questions."""
    earlier = read_latest_counts(run, "trajectories").get("tool_calls_mean")
    calls = earlier or hops + _CALLS_BEYOND_HOPS
    return min(float(calls), float(config.agent.max_tool_calls))


def _estimate_teacher(config: PipelineConfig, rollouts: int, calls: float, basis: str) -> ModelCost:
    """Every turn sends the dialogue so far again."""
    agent = config.agent
    turns = calls + 1
    opening = count_tokens(read_prompt("medr_ray.agent", f"system.{agent.prompt}", "en"))
    opening += len(agent.tools) * _TOOL_TOKENS + _QUESTION_TOKENS
    reply = min(_THOUGHT_TOKENS, agent.max_turn_tokens)
    observation = _observation_tokens(config)
    # Before turn number k, k - 1 replies and observations were added.
    added = (reply + observation) * turns * (turns - 1) / 2
    tokens_of_rollout = opening * turns + added
    return ModelCost(
        "teacher",
        config.llm,
        round(rollouts * turns),
        round(rollouts * tokens_of_rollout),
        round(rollouts * turns * reply),
        f"{basis}, {calls:.1f} calls in each",
        most_requests=rollouts * (agent.max_tool_calls + 2),
        most_tokens=rollouts * (agent.max_tool_calls + 2) * agent.max_tokens,
    )


def _estimate_rewriter(
    config: PipelineConfig, endpoint: EndpointConfig, dialogues: int, calls: float, basis: str
) -> ModelCost:
    """A request for each accepted dialogue, which shows it whole and gets its thoughts back."""
    template = read_prompt("medr_ray.trajectories", "rewrite", config.questions.language)
    turns = calls + 1
    dialogue_tokens = (
        _QUESTION_TOKENS + turns * _THOUGHT_TOKENS + calls * _observation_tokens(config)
    )
    return ModelCost(
        "rewriter",
        endpoint,
        dialogues,
        round(dialogues * (count_tokens(template) + dialogue_tokens)),
        round(dialogues * turns * _THOUGHT_TOKENS),
        basis,
        most_requests=2 * dialogues,
        most_tokens=2 * dialogues * (config.agent.max_tokens + endpoint.max_tokens),
    )


def _observation_tokens(config: PipelineConfig) -> float:
    """Of what a search returns."""
    retrieval = config.retrieval
    chars = retrieval.results * (_TITLE_CHARS + _SNIPPET_SHARE * retrieval.snippet_chars)
    return min(chars, config.agent.observation_chars) / _CHARS_PER_TOKEN
