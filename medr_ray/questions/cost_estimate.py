"""What the language models of the questions stage would use: those that word questions, read them
back, and answer them from memory."""

from collections.abc import Iterator

from medr_ray.core.config import EndpointConfig, PipelineConfig, QuestionsConfig
from medr_ray.core.config.roles import RoleName
from medr_ray.core.costs import ModelCost, count_tokens
from medr_ray.core.earlier_results import read_latest_counts
from medr_ray.core.prompts import read_prompt
from medr_ray.core.run import RunDirectory
from medr_ray.questions.calibration.closed_book import RETRY_TOKENS, format_closed_book_prompt
from medr_ray.questions.counts import max_question_count
from medr_ray.questions.steps import STEP_KINDS

# Tokens of a question in words: 155 bytes on average over sets of all shapes.
_QUESTION_TOKENS = 45
# Tokens of a line of the prompt that describes a kind of step.
_STEP_KIND_TOKENS = 30
# Tokens of a plan of two or three steps as JSON.
_PLAN_TOKENS = 130
# Tokens of a reply that follows the instructions of the closed-book prompt.
_ANSWER_TOKENS = 30


def estimate_question_costs(config: PipelineConfig, run: RunDirectory) -> Iterator[ModelCost]:
    """The estimate of each configured model, from the questions of a finished stage, else from the
    most that there can be."""
    settings = config.questions
    accepted = read_latest_counts(run, "questions").get("accepted")
    questions = max_question_count(config)
    basis = f"at most {questions:,} questions"
    if accepted is not None and accepted < questions:
        questions = accepted
        basis = f"{questions:,} questions of a finished stage"
    if settings.writer == "llm":
        yield _estimate_writer(config, questions, basis)
        if settings.back_reader == "llm":
            yield _estimate_back_reader(config, questions, basis)
    yield from estimate_examinations(settings, questions, basis)


def _estimate_writer(config: PipelineConfig, questions: int, basis: str) -> ModelCost:
    language = config.questions.language
    template = read_prompt("medr_ray.questions", "question", language)
    examples = read_prompt("medr_ray.questions", "examples", language)
    prompt_tokens = count_tokens(template + examples) + _QUESTION_TOKENS
    return ModelCost(
        "writer",
        config.llm,
        questions,
        questions * prompt_tokens,
        questions * _QUESTION_TOKENS,
        f"{basis}, a request each",
        most_requests=2 * questions,
        # A reply that cannot be read is sent back once.
        most_tokens=2 * questions * (prompt_tokens + config.llm.max_tokens),
    )


def _estimate_back_reader(config: PipelineConfig, questions: int, basis: str) -> ModelCost:
    endpoint = config.questions.back_reader_model or config.llm
    template = read_prompt("medr_ray.questions", "reading", config.questions.language)
    kinds_tokens = len(STEP_KINDS) * _STEP_KIND_TOKENS
    prompt_tokens = count_tokens(template) + kinds_tokens + _QUESTION_TOKENS
    return ModelCost(
        "back_reader",
        endpoint,
        questions,
        questions * prompt_tokens,
        questions * _PLAN_TOKENS,
        f"{basis}, a request each where rules cannot read it",
        most_requests=2 * questions,
        most_tokens=2 * questions * (prompt_tokens + endpoint.max_tokens),
    )


def estimate_examinations(
    config: QuestionsConfig, question_count: int, basis: str = ""
) -> list[ModelCost]:
    """The estimate of each model that answers questions from memory.

    The estimate is for a run in which every question is kept at once and answered in one line, the
    bounds for one in which each is replaced until the limit and every reply uses all its tokens.
    """
    # Only calibration models ask for replacements.
    max_rounds = config.calibration_rounds if config.calibration else 0
    roles: list[tuple[RoleName, EndpointConfig, int]] = []
    if config.closed_book is not None:
        roles.append(("closed_book", config.closed_book, config.closed_book_attempts))
    roles += [
        ("calibration", endpoint, config.calibration_attempts) for endpoint in config.calibration
    ]
    prompt_tokens = count_tokens(format_closed_book_prompt("", config.language)) + _QUESTION_TOKENS
    return [
        _estimate_examinations(role, endpoint, question_count * attempts, max_rounds, prompt_tokens)
        for role, endpoint, attempts in roles
    ]


def _estimate_examinations(
    role: RoleName, endpoint: EndpointConfig, attempts: int, max_rounds: int, prompt_tokens: int
) -> ModelCost:
    """The estimate for ``attempts`` at all questions together, and up to ``max_rounds``
    replacements of each."""
    max_attempts = attempts * (max_rounds + 1)
    max_requests = max_attempts
    max_attempt_tokens = prompt_tokens + endpoint.max_tokens
    # A reply cut off at fewer tokens than this is requested once more with more room.
    if endpoint.max_tokens < RETRY_TOKENS:
        max_requests *= 2
        max_attempt_tokens += prompt_tokens + RETRY_TOKENS
    return ModelCost(
        role,
        endpoint,
        attempts,
        attempts * prompt_tokens,
        attempts * min(_ANSWER_TOKENS, endpoint.max_tokens),
        f"{attempts:,} attempts",
        most_requests=max_requests,
        most_tokens=max_attempts * max_attempt_tokens,
    )
