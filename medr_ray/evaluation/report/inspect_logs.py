"""Exports answers as logs of inspect_ai (its JSON format, version 2), for its viewer and tools.

inspect_ai is not imported: its requirements conflict with this package's. A log is of one model on
one benchmark. What differs from a log that inspect_ai writes itself: a score that was not reached
is left out of its sample and counted in the results; a reply keeps its text in the metadata of its
message, beside the thought and calls that were read from it; there are no events. Of a secret
benchmark the texts are withheld.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from medr_ray.agent.protocol import parse_responses
from medr_ray.agent.transcript import ReplyTurn, read_turns
from medr_ray.core.json_text import InvalidJson, parse_json
from medr_ray.core.parts import digest
from medr_ray.core.records import StopReason, Trajectory, Usage
from medr_ray.core.run import Directory
from medr_ray.evaluation.figures import BenchmarkFigures, ModelFigures
from medr_ray.evaluation.report.answers import ReportedAnswer
from medr_ray.evaluation.scorers.base import CORRECT, UNSCORED, Score

_VERSION = 2  # of the format
_SETTINGS = frozenset(
    {"temperature", "top_p", "top_k", "max_tokens", "seed", "frequency_penalty", "presence_penalty"}
)
# The stop reasons of inspect_ai for those of an episode, and the limit that ended it.
_STOPS: dict[StopReason, str] = {"answered": "stop", "max_tokens": "max_tokens"}
_LIMITS: dict[StopReason, str] = {
    "max_tokens": "token",
    "max_seconds": "time",
    "max_turns": "turn",
}
_FAILED: StopReason = "infrastructure"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class LoggedModel:
    """A model on a benchmark, and its answers. ``figures`` are by scorer, the official one first;
    ``endpoint`` and ``sampling`` say how it was asked. ``rollouts`` is how often."""

    benchmark: str
    title: str
    model: str
    endpoint: str
    sampling: Mapping[str, Any]
    rollouts: int
    answers: Sequence[ReportedAnswer]
    figures: Sequence[BenchmarkFigures]


def write_inspect_logs(
    directory: Directory, models: Sequence[LoggedModel], created: datetime
) -> list[str]:
    """Write a log for each model and benchmark, and return the names of the files."""
    names = []
    for logged in models:
        name = f"{_name_safely(logged.benchmark)}_{_name_safely(logged.model)}.json"
        text = json.dumps(build_inspect_log(logged, created), ensure_ascii=False, allow_nan=False)
        directory.write_bytes(name, text.encode("utf-8", errors="backslashreplace"))
        names.append(name)
    return names


def _name_safely(text: str) -> str:
    """The text as a part of a file's name; a digest tells apart what becomes alike."""
    safe = _UNSAFE.sub("-", text).strip(".-")
    return safe if safe == text else f"{safe[:60]}-{digest(text)[:8]}"


def build_inspect_log(logged: LoggedModel, created: datetime) -> dict[str, Any]:
    """The log as plain values. ``created`` has a time zone."""
    moment = created.astimezone(UTC).isoformat(timespec="seconds")
    answers = logged.answers
    completed = [answer for answer in answers if answer.stop_reason != _FAILED]
    task_ids = list(dict.fromkeys(answer.task.task_id for answer in answers))
    settings = {name: value for name, value in logged.sampling.items() if name in _SETTINGS}
    return {
        "version": _VERSION,
        "status": "success",
        "eval": {
            "run_id": digest(logged.benchmark, logged.model, moment),
            "created": moment,
            "task": logged.benchmark,
            "task_id": digest(logged.benchmark, task_ids),
            "task_display_name": logged.title,
            "dataset": {
                "name": logged.benchmark,
                "samples": len(task_ids),
                "sample_ids": task_ids,
                "shuffled": False,
            },
            "model": logged.model,
            "model_base_url": logged.endpoint,
            "model_generate_config": settings,
            "config": {"epochs": logged.rollouts},
            "scorers": [{"name": figures.scorer} for figures in logged.figures],
        },
        "results": {
            "total_samples": len(answers),
            "completed_samples": len(completed),
            "scores": [_build_result(figures, logged.model) for figures in logged.figures],
        },
        "stats": {"model_usage": {logged.model: _build_usage(completed)}},
        "samples": [_build_sample(answer) for answer in answers],
    }


def _build_result(figures: BenchmarkFigures, model: str) -> dict[str, Any]:
    model_figures = next(each for each in figures.models if each.model == model)
    match = model_figures.exact_match
    scored = model_figures.attempts - model_figures.unscored
    return {
        "name": figures.scorer,
        "scorer": figures.scorer,
        "scored_samples": scored,
        "unscored_samples": model_figures.unscored,
        "metrics": {
            metric: {"name": metric, "value": value}
            for metric, value in _list_metrics(model_figures)
        },
        "metadata": {
            "low": match.low,
            "high": match.high,
            "confidence": figures.confidence,
            "tasks": match.n,
            "interval": match.interval,
            "judge": figures.judge,
        },
    }


def _list_metrics(figures: ModelFigures) -> Iterator[tuple[str, float]]:
    """The metrics that have a value."""
    if figures.exact_match.value is not None:
        yield "accuracy", figures.exact_match.value
    if figures.value is not None and figures.value.value is not None:
        yield "mean", figures.value.value
    for estimate in figures.pass_at_k:
        if estimate.value is not None:
            yield f"pass_at_{estimate.k}", estimate.value


def _build_sample(answer: ReportedAnswer) -> dict[str, Any]:
    task = answer.task
    sample: dict[str, Any] = {
        "id": task.task_id,
        # Counted from 1.
        "epoch": answer.rollout + 1,
        "input": task.text,
        "target": [task.answer, *task.aliases],
        "scores": {
            score.scorer: _build_score(score)
            for score in answer.scores
            if score.verdict != UNSCORED
        },
        "metadata": {
            "language": task.language,
            **{item.name: item.value for item in task.metadata},
            "stop_reason": answer.stop_reason,
            "withheld": task.is_secret,
        },
        "total_time": answer.seconds,
    }
    if answer.stop_reason == _FAILED:
        reason = next((score.reason for score in answer.scores if score.reason), "not answered")
        sample["error"] = {"message": reason, "traceback": "", "traceback_ansi": ""}
        return sample
    trajectory = answer.trajectory
    if trajectory is not None:
        sample["messages"] = list(_build_messages(trajectory))
        sample["uuid"] = f"{trajectory.trajectory_id}-{answer.rollout}"
    sample["output"] = {
        "model": answer.model,
        "completion": answer.prediction or "",
        "choices": [
            {
                "message": {
                    "role": "assistant",
                    "content": answer.prediction or "",
                    "source": "generate",
                },
                "stop_reason": _STOPS.get(answer.stop_reason, "unknown"),
            }
        ],
        "usage": _convert_usage(answer.usage, answer.cost),
        "time": answer.seconds,
    }
    sample["model_usage"] = {answer.model: _convert_usage(answer.usage, answer.cost)}
    if answer.stop_reason in _LIMITS:
        spent = {"token": answer.usage.output_tokens, "time": answer.seconds}
        kind = _LIMITS[answer.stop_reason]
        sample["limit"] = {"type": kind, "limit": spent.get(kind, answer.usage.model_calls)}
    return sample


def _build_score(score: Score) -> dict[str, Any]:
    value: str | float = "C" if score.verdict == CORRECT else "I"
    if score.value is not None and 0 < score.value < 1:
        value = score.value
    metadata = {
        "verdict": score.verdict,
        "judge": score.judge,
        "prompt": score.prompt,
        "value": score.value,
    }
    return {
        "value": value,
        "answer": score.extracted or None,
        "explanation": score.reason or None,
        "metadata": metadata,
    }


def _build_messages(trajectory: Trajectory) -> Iterator[dict[str, Any]]:
    """The dialogue in the roles of inspect_ai, where the result of a call is a message of its
    own."""
    turns = iter(read_turns(trajectory))
    calls_seen = 0
    turn: ReplyTurn | None = None
    for message in trajectory.messages:
        if message.role == "assistant":
            turn = next(turns)
            yield _build_reply(message.content, turn, calls_seen)
            continue
        responses, rest = parse_responses(message.content)
        if not responses or turn is None:
            yield {"role": message.role, "content": message.content, "source": "input"}
            continue
        for observation in turn.observations:
            result: dict[str, Any] = {
                "role": "tool",
                "content": observation.text,
                "function": observation.event.tool,
                "tool_call_id": f"call-{calls_seen}",
                "metadata": {"seconds": observation.event.seconds},
            }
            if observation.event.status != "ok":
                result["error"] = {"type": "unknown", "message": observation.event.status}
            yield result
            calls_seen += 1
        if rest:
            yield {"role": "user", "content": rest, "source": "input"}


def _build_reply(text: str, turn: ReplyTurn, first_call: int) -> dict[str, Any]:
    content: list[dict[str, Any]] = []
    if turn.thought:
        content.append({"type": "reasoning", "reasoning": turn.thought})
    if turn.answer is not None:
        content.append({"type": "text", "text": turn.answer})
    is_unread = not turn.thought and turn.answer is None and not turn.observations
    calls = [
        {
            "id": f"call-{number}",
            "function": observation.event.tool,
            "arguments": _read_arguments(observation.event.arguments),
        }
        for number, observation in enumerate(turn.observations, first_call)
    ]
    reply: dict[str, Any] = {
        "role": "assistant",
        "content": text if is_unread else content,
        "source": "generate",
        "metadata": {"text": text},
    }
    if calls:
        reply["tool_calls"] = calls
    return reply


def _read_arguments(text: str) -> dict[str, Any]:
    """The arguments of a call; those that are no object under "text"."""
    try:
        arguments = parse_json(text or "{}", "the arguments of a call")
    except InvalidJson:
        return {"text": text}
    return arguments if isinstance(arguments, dict) else {"text": text}


def _build_usage(answers: Sequence[ReportedAnswer]) -> dict[str, Any]:
    usage = Usage(
        sum(answer.usage.prompt_tokens for answer in answers),
        sum(answer.usage.output_tokens for answer in answers),
        sum(answer.usage.model_calls for answer in answers),
    )
    costs = [answer.cost for answer in answers if answer.cost is not None]
    return _convert_usage(usage, sum(costs) if costs else None)


def _convert_usage(usage: Usage, cost: float | None) -> dict[str, Any]:
    return {
        "input_tokens": usage.prompt_tokens,
        "output_tokens": usage.output_tokens,
        "total_tokens": usage.prompt_tokens + usage.output_tokens,
        "total_cost": cost,
    }
