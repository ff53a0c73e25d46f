"""Estimates the requests, tokens and minutes that the examinations of a run will take."""

from dataclasses import dataclass
from typing import Literal

from medr_ray.core.config import EndpointConfig, QuestionsConfig
from medr_ray.core.records import Language
from medr_ray.questions.calibration.closed_book import RETRY_TOKENS, format_closed_book_prompt

ExaminationRole = Literal["closed book", "calibration"]
_QUESTION_TOKENS = 90  # of a question of four hops
_REPLY_TOKENS = 30  # of a reply that follows the instructions
_BYTES_PER_TOKEN = 3  # the estimate of the chat client


@dataclass(frozen=True)
class ModelCostEstimate:
    """The requests, tokens and minutes that examining takes of one model.

    The lower figures are for a run in which every question is kept at once and answered in one
    line, the upper ones for a run in which each is replaced until the limit and every reply uses
    all its tokens.
    """

    role: ExaminationRole
    model: str
    requests: int
    max_requests: int
    tokens: int
    max_tokens: int
    minutes: float

    def describe(self) -> str:
        """Return one line for ``--dry-run``."""
        return (
            f"{self.role} by {self.model}: {self.requests:,} to {self.max_requests:,} requests, "
            f"{self.tokens:,} to {self.max_tokens:,} tokens, at least {self.minutes:,.0f} min"
        )


def estimate_costs(config: QuestionsConfig, question_count: int) -> list[ModelCostEstimate]:
    """Return the estimate for each configured model and this number of questions."""
    # Only calibration models ask for replacements.
    max_rounds = config.calibration_rounds if config.calibration else 0
    roles: list[tuple[ExaminationRole, EndpointConfig, int]] = []
    if config.closed_book is not None:
        roles.append(("closed book", config.closed_book, config.closed_book_attempts))
    roles += [
        ("calibration", endpoint, config.calibration_attempts) for endpoint in config.calibration
    ]
    return [
        _estimate_model_cost(role, endpoint, config.language, question_count * attempts, max_rounds)
        for role, endpoint, attempts in roles
    ]


def _estimate_model_cost(
    role: ExaminationRole,
    endpoint: EndpointConfig,
    language: Language,
    attempts: int,
    max_rounds: int,
) -> ModelCostEstimate:
    """The estimate for ``attempts`` at all questions together, and up to ``max_rounds``
    replacements of each."""
    template_tokens = len(format_closed_book_prompt("", language).encode()) // _BYTES_PER_TOKEN
    prompt_tokens = template_tokens + _QUESTION_TOKENS
    max_attempts = attempts * (max_rounds + 1)
    max_requests = max_attempts
    max_attempt_tokens = prompt_tokens + endpoint.max_tokens
    # A reply cut off at fewer tokens than this is requested once more with more room.
    if endpoint.max_tokens < RETRY_TOKENS:
        max_requests *= 2
        max_attempt_tokens += prompt_tokens + RETRY_TOKENS
    tokens = attempts * (prompt_tokens + min(_REPLY_TOKENS, endpoint.max_tokens))
    minutes = attempts / endpoint.requests_per_minute
    # None: the endpoint has no such limit.
    if endpoint.tokens_per_minute:
        minutes = max(minutes, tokens / endpoint.tokens_per_minute)
    return ModelCostEstimate(
        role=role,
        model=endpoint.model,
        requests=attempts,
        max_requests=max_requests,
        tokens=tokens,
        max_tokens=max_attempts * max_attempt_tokens,
        minutes=minutes,
    )
