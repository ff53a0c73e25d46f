"""Answers as reports show them: of two models, hostile ones, and many with large trajectories."""

import json
import random
from collections.abc import Iterator
from dataclasses import replace

from medr_ray.agent.protocol import ToolCall, render_reply, render_responses
from medr_ray.core.records import (
    HOPS_KEY,
    Message,
    MetadataItem,
    Task,
    ToolEvent,
    Trajectory,
    Usage,
    Verdict,
)
from medr_ray.evaluation.report.answers import ReportedAnswer
from medr_ray.evaluation.scorers.base import Score

_SYLLABLES = (
    "car",
    "dio",
    "my",
    "o",
    "path",
    "neph",
    "ro",
    "hep",
    "at",
    "itis",
    "gly",
    "co",
    "sis",
)
_WORD_COUNT = 3_000  # of the vocabulary; a text of abstracts has so many different words
_TURNS = 10


def make_words(seed: int = 0) -> list[str]:
    source = random.Random(seed)
    return ["".join(source.choices(_SYLLABLES, k=source.randint(1, 5))) for _ in range(_WORD_COUNT)]


def make_trajectory(number: int, characters: int, words: list[str]) -> Trajectory:
    """An episode of ten searches whose results have ``characters`` together."""
    source = random.Random(number)
    messages = [Message("system", "Answer."), Message("user", f"What is thing {number}?")]
    events = []
    for turn in range(_TURNS):
        call = ToolCall("search", {"query": " ".join(source.choices(words, k=5))})
        messages.append(Message("assistant", render_reply("I search for it.", [call])))
        result = " ".join(source.choices(words, k=characters // _TURNS // 8))
        document = f"PMID:{number}{turn}"
        messages.append(Message("user", render_responses([f"[1] Title ({document}): {result}"])))
        arguments = f'{{"query": "{call.arguments["query"]}"}}'
        events.append(ToolEvent("search", arguments, "ok", 0.1, False, documents=(document,)))
    messages.append(Message("assistant", render_reply("It is clear.", answer=words[number])))
    return Trajectory(
        trajectory_id=f"traj-{number}",
        question_id=f"q-{number}",
        mode="model",
        rollout=0,
        messages=tuple(messages),
        turns=(),
        tool_events=tuple(events),
        documents=tuple(event.documents[0] for event in events),
        answer=words[number],
        stop_reason="answered",
        usage=Usage(1_000, 100, _TURNS + 1),
        cost=None,
    )


def make_large_answers(count: int, characters: int) -> Iterator[ReportedAnswer]:
    """Right, wrong and wrong answers of one model in turn, each with ``characters`` of results."""
    words = make_words()
    for number in range(count):
        trajectory = make_trajectory(number, characters, words)
        task = Task(
            task_id=f"q-{number}",
            text=f"What is thing {number}?",
            language="en",
            answer=words[number],
            metadata=(MetadataItem(HOPS_KEY, str(1 + number % 3)),),
        )
        yield make_answer(task, trajectory, "correct" if number % 3 == 0 else "incorrect")


def make_answer(
    task: Task, trajectory: Trajectory | None, verdict: Verdict, model: str = "model"
) -> ReportedAnswer:
    """An answer that two scorers judged, the first of them like this."""
    scores = (
        Score(verdict, float(verdict == "correct"), scorer="rules"),
        Score("unscored", scorer="graded", judge="judge-7", reason="no reply"),
    )
    return ReportedAnswer(
        run="",
        benchmark="large",
        model=model,
        task=task,
        rollout=0,
        prediction=trajectory.answer if trajectory is not None else None,
        scores=scores,
        stop_reason=trajectory.stop_reason if trajectory is not None else "infrastructure",
        usage=trajectory.usage if trajectory is not None else Usage(0, 0, 0),
        seconds=1.0 + len(task.task_id),
        cost=trajectory.cost if trajectory is not None else None,
        trajectory=trajectory,
    )


# What would be run, shown or followed if a page took texts for HTML or any address for a link.
HOSTILE = (
    "</script><script>window.isHarmed = true</script>",
    "<img src=x onerror='window.isHarmed = true'>",
    "<!-- <script>",
    "javascript:window.isHarmed=true",
    "]]></textarea></title></noscript><svg onload='window.isHarmed = true'>",
)


def make_hostile_answer() -> ReportedAnswer:
    """An answer whose question, thought, call, result, document, answer and reason are hostile."""
    text = " ".join(HOSTILE)
    call = ToolCall("search", {"query": text, "<b>name</b>": ["</script>"]})
    document = "javascript:window.isHarmed=true"
    messages = (
        Message("system", text),
        Message("user", text),
        Message("assistant", render_reply(text.replace("<", "< "), [call])),
        Message("user", render_responses([f"[1] {text} ({document}): {text}"])),
        Message("assistant", render_reply(text.replace("<", "< "), answer=text)),
    )
    event = ToolEvent(
        "search", json.dumps(call.arguments), "ok", 0.1, False, documents=(document, HOSTILE[0])
    )
    trajectory = Trajectory(
        trajectory_id="traj-hostile",
        question_id="q-hostile",
        mode=HOSTILE[1],
        rollout=0,
        messages=messages,
        turns=(),
        tool_events=(event,),
        documents=event.documents,
        answer=text,
        stop_reason="answered",
        usage=Usage(10, 10, 2),
        cost=0.01,
    )
    metadata = (MetadataItem(HOSTILE[0], HOSTILE[1]),)
    task = Task("q-hostile", text, "en", HOSTILE[0], (HOSTILE[1], HOSTILE[4]), "", metadata)
    answer = make_answer(task, trajectory, "incorrect", model=HOSTILE[1])
    score = Score("incorrect", 0.0, text, scorer=HOSTILE[4], judge=HOSTILE[0], reason=text)
    return replace(answer, scores=(score,), benchmark=HOSTILE[0])
