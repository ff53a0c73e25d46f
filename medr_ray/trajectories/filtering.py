"""Which trajectories are worth learning from. Every rejection keeps all its reasons; a tool's failure alone is none."""

from collections import Counter

from medr_ray.agent.protocol import parse_reply
from medr_ray.core.records import FilteredTrajectory, Question, Trajectory
from medr_ray.questions.matching import answers_match, canonical

WRONG, NO_ANSWER, MALFORMED = "wrong answer", "no answer", "malformed reply"
UNSUPPORTED, REPEATED, THOUGHTLESS, TOO_LONG = (
    "answer not in any tool response", "same call answered twice", "call without a thought", "too long")


def judge_trajectory(trajectory: Trajectory, question: Question, too_long: bool) -> FilteredTrajectory:
    """The filter's verdict; ``too_long`` is the training tokeniser's."""
    reasons = []
    if trajectory.answer is None:
        reasons.append(f"{NO_ANSWER} ({trajectory.stop_reason})")
    elif not answers_match(trajectory.answer, question.answer, question.answer_aliases):
        reasons.append(WRONG)
    elif not is_supported(trajectory):
        reasons.append(UNSUPPORTED)
    if any(event.status == "invalid" for event in trajectory.tool_events):
        reasons.append(MALFORMED)
    if repeated_calls(trajectory):
        reasons.append(REPEATED)
    if any(not parse_reply(m.content).thought for m in trajectory.messages if m.role == "assistant"):
        reasons.append(THOUGHTLESS)
    if too_long:
        reasons.append(TOO_LONG)
    return FilteredTrajectory(trajectory, not reasons, tuple(reasons))


def is_supported(trajectory: Trajectory) -> bool:
    """The answer stands in some tool response."""
    answer = canonical(trajectory.answer or "")
    return bool(answer) and any(
        answer in canonical(m.content) for m in trajectory.messages[2:] if m.role == "user")


def repeated_calls(trajectory: Trajectory) -> int:
    """Successful calls beyond the first with the same tool and the same arguments."""
    calls = Counter((event.tool, event.arguments) for event in trajectory.tool_events if event.status == "ok")
    return sum(count - 1 for count in calls.values())
