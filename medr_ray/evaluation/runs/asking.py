"""Asking what is pending: every answer is kept as it comes, so that a kill loses only those under
way."""

import contextlib
from collections.abc import Callable, Generator, Sequence

from rich.console import Console

from medr_ray.core.progress import Bar
from medr_ray.evaluation.runs.records import Attempt
from medr_ray.evaluation.runs.store import EvaluationRun
from medr_ray.rollouts.outcomes import RolloutOutcome
from medr_ray.rollouts.worker import RolloutRequest

# Runs rollouts and gives their outcomes as they finish.
RunRequests = Callable[[Sequence[RolloutRequest]], Generator[RolloutOutcome, None, None]]


def answer_pending(run: EvaluationRun, run_requests: RunRequests, console: Console) -> int:
    """Have the attempts without an answer made; returns how many were answered.

    What infrastructure failed stays pending, with the reason. One respondent finishes before the
    next starts, so that a server that keeps few models loaded does not change them all the time.
    """
    pending = run.list_pending()
    answered = 0
    with Bar(console, "evaluation", len(pending), "answers") as bar:
        for attempts in _group_attempts(pending):
            # Ids of tasks are unique within a benchmark only, hence a call for each.
            by_request = {build_request(attempt).key: attempt for attempt in attempts}
            requests = [build_request(attempt) for attempt in attempts]
            with contextlib.closing(run_requests(requests)) as outcomes:
                for outcome in outcomes:
                    attempt = by_request[outcome.request.key]
                    answered += _keep_outcome(run, attempt, outcome)
                    bar.advance(note=attempt.respondent.name)
    return answered


def build_request(attempt: Attempt) -> RolloutRequest:
    """What is run to make an attempt."""
    # A question has no teaching modes here: the mode carries the name of who answers.
    return RolloutRequest(attempt.task, attempt.respondent.name, attempt.rollout)


def _keep_outcome(run: EvaluationRun, attempt: Attempt, outcome: RolloutOutcome) -> bool:
    """Keep what came of an attempt; returns whether it is an answer."""
    if outcome.trajectory is None:
        run.keep_failure(attempt, f"{outcome.kind}: {outcome.failure}")
        return False
    run.keep_answer(attempt, outcome.trajectory, outcome.seconds)
    return True


def _group_attempts(attempts: Sequence[Attempt]) -> list[list[Attempt]]:
    """Attempts by benchmark and respondent, in the order in which each first occurs."""
    groups: dict[tuple[str, str], list[Attempt]] = {}
    for attempt in attempts:
        key = (attempt.benchmark, attempt.respondent.name)
        groups.setdefault(key, []).append(attempt)
    return list(groups.values())
