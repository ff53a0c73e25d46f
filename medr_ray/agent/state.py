"""The agent's state s = (c, k, h) (paper section 2.1): the context is the dialogue itself; k, what
was gathered, is a graph of queries, documents and hypotheses; h, the hypotheses in the order they
were named.

A pure function of the dialogue. What holds: nothing is inferred. A hypothesis is what the agent
wrote in one of a few plain forms, an edge what a tool response showed; a document names a
hypothesis when its words stand in the lines of the response that belong to that document.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from medr_ray.agent.transcript import Observed, Step
from medr_ray.agent.wording import names_in
from medr_ray.core.records import EvidenceEdge, Hypothesis, HypothesisKind

FINDING: Final = "finding"
CANDIDATE: Final = "candidate"
ANSWER: Final = "answer"
FOUND: Final = "found"
NAMES: Final = "names"
_LONGEST = 120  # characters; longer is an explanation, not a name
_END = r"(?=[.;,](?:\s|$)|[。;,\n]|\s(?:because|since|but|and I|so I)\b|$)"
_FORMS: tuple[tuple[HypothesisKind, re.Pattern[str]], ...] = (
    (CANDIDATE, re.compile(r"\bcandidate(?: answer)?s?\s*:\s*(.+?)(?=\.(?:\s|$)|[;\n]|$)", re.I)),
    (CANDIDATE, re.compile(r"(?:候选答案|候选|假设)\s*[::]\s*(.+?)(?=[。;;\n]|$)")),
    (
        CANDIDATE,
        re.compile(
            rf"\banswer (?:is|may be|might be|could be|must be|should be|seems to be|would be)"
            rf"(?: (?:likely|probably|possibly|most likely))?:?\s+(.+?){_END}",
            re.I,
        ),
    ),
    (CANDIDATE, re.compile(rf"答案(?:是|可能是|应该是|应当是|应是|应为|为)\s*[::]?\s*(.+?){_END}")),
)
_VALUE = re.compile(r" = ([^=\n]+?)(?=\.(?:\s|$)|\n|$)")
_SENTENCE_END = re.compile(r"\.\s|\n")
_REACH = 200  # characters before "= value" in which its sentence is looked for
_NO_NAME = re.compile(
    r"^(?:not|no|unknown|unclear|uncertain|still|yet|in|to be|one of|either|there|that|whether|missing|不|未|尚|在)\b"
    r"|^(?:不|未|尚)",
    re.I,
)


@dataclass(frozen=True)
class AgentState:
    """What an agent has gathered and held to be so: ``evidence`` in the order of the calls,
    ``hypotheses`` in the order they were first named in each kind."""

    evidence: tuple[EvidenceEdge, ...]
    hypotheses: tuple[Hypothesis, ...]


def state_of(steps: Sequence[Step]) -> AgentState:
    """The state after these steps."""
    hypotheses = tuple(_hypotheses(steps))
    named = tuple(dict.fromkeys(one.text for one in hypotheses))
    evidence: list[EvidenceEdge] = []
    call = 0
    for step in steps:
        for one in step.observed:
            evidence += _edges(one, call, named)
            call += 1
    return AgentState(tuple(dict.fromkeys(evidence)), hypotheses)


def named_in(thought: str) -> list[tuple[HypothesisKind, str]]:
    """(kind, text) of the hypotheses a thought states, in order of place."""
    found: list[tuple[int, HypothesisKind, str]] = [
        (match.start(1), kind, _name(match.group(1)))
        for kind, form in _FORMS
        for match in form.finditer(thought)
    ]
    for match in _VALUE.finditer(thought):
        if _is_relation(thought[max(0, match.start() - _REACH) : match.start()]):
            found.append((match.start(1), FINDING, _name(match.group(1))))
    return list(dict.fromkeys((kind, text) for _, kind, text in sorted(found) if text))


def _is_relation(before: str) -> bool:
    """Whether what stands in the sentence before "= value" has several words: "p = 0.05" states no
    fact."""
    return len(_SENTENCE_END.split(before)[-1].split()) > 1


def _name(text: str) -> str:
    """A hypothesis without its dressing; "" for what names nothing."""
    text = " ".join(text.split()).strip(" .*\"'“”‘’`:")
    return "" if len(text) > _LONGEST or _NO_NAME.search(text) else text


def _hypotheses(steps: Sequence[Step]) -> Iterator[Hypothesis]:
    seen: set[tuple[str, str]] = set()
    for number, step in enumerate(steps):
        named = named_in(step.thought)
        if step.answer:
            named.append((ANSWER, " ".join(step.answer.split())))
        for kind, text in named:
            if (kind, text.casefold()) not in seen:
                seen.add((kind, text.casefold()))
                yield Hypothesis(text, kind, number)


def _edges(observed: Observed, call: int, named: Sequence[str]) -> Iterator[EvidenceEdge]:
    query = asked(observed)
    for document, text in passages(observed):
        yield EvidenceEdge(FOUND, query, document, call)
        yield from (EvidenceEdge(NAMES, document, name, call) for name in names_in(text, named))


def asked(observed: Observed) -> str:
    """What a call asked for: the texts among its arguments; the tool's name where there are
    none."""
    arguments = json.loads(observed.event.arguments or "{}")
    return " ".join(_texts(arguments)) or observed.event.tool


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)


def passages(observed: Observed) -> list[tuple[str, str]]:
    """(document id, its part of what was shown): the lines from the one that gives the document's
    id up to the one that gives another's; the whole text where only one document was shown."""
    documents = observed.event.documents
    if len(documents) < 2:
        return [(one, observed.text) for one in documents]
    parts: dict[str, list[str]] = {one: [] for one in documents}
    current = ""
    for line in observed.text.splitlines():
        current = next(
            (one for one in documents if one in line and not _inside_longer(one, line)), current
        )
        if current:
            parts[current].append(line)
    return [(one, "\n".join(lines)) for one, lines in parts.items()]


def _inside_longer(document: str, line: str) -> bool:
    """Whether every place of the id in the line is part of a longer one ("PMID:12" in
    "PMID:123")."""
    return re.search(rf"{re.escape(document)}(?!\w)", line) is None
