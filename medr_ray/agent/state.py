"""The agent's state s = (c, k, h) (paper section 2.1), as a pure function of the dialogue.

The context c is the dialogue itself. The knowledge k is a graph of queries, documents and
hypotheses. The hypotheses h stand in the order they were first stated.

Nothing is inferred. A hypothesis is a text that the agent wrote in one of a few plain forms, and an
edge is something that a tool response showed. A document names a hypothesis when the lines of the
response that belong to the document contain the words of the hypothesis, a date in any spelling.

The status of a hypothesis is the first of these that holds:

- ``rejected``: the last later sentence that names it drops it ("X is ruled out", "X does not fit";
  not "the others drop out, and X stays"). Or it was stated with others in one thought
  ("Candidates: X; Y"), and the last later thought that names some of them does not name it. Or it
  is a candidate, the final answer is another, and no later thought names it. An answer is never
  rejected.
- ``supported``: two documents name it, so that one of them is not the one it was found in; or a
  document that was read in full (``read``) names it. A text of one or two characters stands in
  almost any document, so none supports it.
- ``open``: neither.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from medr_ray.agent.transcript import ReplyTurn, ToolObservation
from medr_ray.agent.wording import find_names
from medr_ray.core.json_text import parse_json
from medr_ray.core.records import EvidenceEdge, Hypothesis, HypothesisKind, HypothesisStatus
from medr_ray.questions.answer_matching import answers_match

FINDING: Final = "finding"
CANDIDATE: Final = "candidate"
CANDIDATES: Final = "candidates"  # a form that states several
ANSWER: Final = "answer"
FOUND: Final = "found"
NAMES: Final = "names"
READ: Final = "read"  # the tool that reads a record in full
_SHORTEST_NAME = 3  # characters that a document can support
_LONGEST_NAME = 120  # characters; longer is an explanation, not a name
_END = r"(?=[.;,](?:\s|$)|[。；，;,\n]|\s(?:because|since|but|and I|so I)\b|$)"
# How agents state a candidate, in English and Chinese; the group is what they name.
# Several candidates are parted by semicolons.
_FORMS: tuple[tuple[HypothesisKind | Literal["candidates"], re.Pattern[str]], ...] = (
    (CANDIDATES, re.compile(r"\bcandidates\s*:\s*(.+?)(?=\.(?:\s|$)|\n|$)", re.I)),
    (CANDIDATES, re.compile(r"候选\s*[:：]\s*(.+?)(?=[。\n]|$)")),
    (CANDIDATE, re.compile(r"\bcandidate(?: answer)?\s*:\s*(.+?)(?=\.(?:\s|$)|[;\n]|$)", re.I)),
    (CANDIDATE, re.compile(r"(?:候选答案|假设)\s*[:：]\s*(.+?)(?=[。;；\n]|$)")),
    (
        CANDIDATE,
        re.compile(
            r"\banswer (?:is|may be|might be|could be|must be|should be|seems to be|would be)"
            rf"(?: (?:likely|probably|possibly|most likely))?:?\s+(.+?){_END}",
            re.I,
        ),
    ),
    (
        CANDIDATE,
        re.compile(rf"答案(?:是|可能是|应该是|应当是|应是|应为|为)\s*[:：]?\s*(.+?){_END}"),
    ),
)
_VALUE = re.compile(r" = ([^=\n]+?)(?=\.(?:\s|$)|[。\n]|$)")
_SENTENCE_END = re.compile(r"\.\s|[。\n]")
_SENTENCE_REACH = 200  # characters before "= value" in which its sentence is looked for
_NO_NAME = re.compile(
    r"^(?:not|no|unknown|unclear|uncertain|still|yet|in|to be|one of|either|there|that|whether"
    r"|missing|不|未|尚|在)\b"
    r"|^(?:不|未|尚|还|需|待|我)",
    re.I,
)
_CITED = re.compile(r"\s*[(（][A-Z][A-Z-]*:[^)）]*[)）]?\.?$")  # closed, or cut off by a form
_SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")
# How agents drop a candidate, in a sentence that names it.
_DROPPING = re.compile(
    r"\b(?:rules? out|ruled out|drops? out|dropped|discard(?:ed)?|reject(?:ed)?|set aside"
    r"|(?:does|do|did) not (?:fit|match)|is not the answer|cannot be|no longer)\b"
    r"|排除|不符|放弃|舍弃|不是答案|不成立",
    re.I,
)
# A sentence that drops these keeps what it names.
_THE_OTHERS = re.compile(r"\b(?:the|all) (?:others?|rest)\b|其余|其他", re.I)


@dataclass(frozen=True)
class AgentState:
    """The evidence and the hypotheses of an agent so far.

    ``evidence`` is in the order of the calls. ``hypotheses`` are in the order in which the replies
    first state them.
    """

    evidence: tuple[EvidenceEdge, ...]
    hypotheses: tuple[Hypothesis, ...]


def build_state(turns: Sequence[ReplyTurn]) -> AgentState:
    """The state after these turns."""
    hypotheses = tuple(_collect_hypotheses(turns))
    # The names of all turns: a document may name what the agent states only later.
    names = tuple(dict.fromkeys(hypothesis.text for hypothesis in hypotheses))
    evidence: list[EvidenceEdge] = []
    call = 0
    for turn in turns:
        for observation in turn.observations:
            evidence += _edges_of_call(observation, call, names)
            call += 1
    hypotheses = tuple(
        replace(hypothesis, status=_judge_status(hypothesis, turns, evidence))
        for hypothesis in hypotheses
    )
    return AgentState(tuple(dict.fromkeys(evidence)), hypotheses)


def _judge_status(
    hypothesis: Hypothesis, turns: Sequence[ReplyTurn], evidence: Sequence[EvidenceEdge]
) -> HypothesisStatus:
    if hypothesis.kind != ANSWER and _is_rejected(hypothesis, turns):
        return "rejected"
    if len(hypothesis.text) < _SHORTEST_NAME:
        return "open"
    calls = [observation for turn in turns for observation in turn.observations]
    naming = [edge for edge in evidence if (edge.kind, edge.target) == (NAMES, hypothesis.text)]
    documents = {edge.source for edge in naming}
    was_read = any(calls[edge.call].event.tool == READ for edge in naming)
    return "supported" if len(documents) > 1 or was_read else "open"


def _is_rejected(hypothesis: Hypothesis, turns: Sequence[ReplyTurn]) -> bool:
    name = hypothesis.text
    # From the reply that states it last.
    stated = [place for place, turn in enumerate(turns) if _states(turn.thought, name)]
    last_stated = max([*stated, hypothesis.reply])
    stated_together = _list_candidates(turns[last_stated].thought)
    later_thoughts = [turn.thought for turn in turns[last_stated + 1 :]]
    sentences = [text for thought in later_thoughts for text in _SENTENCE.split(thought)]
    naming = [sentence for sentence in sentences if find_names(sentence, [name])]
    if naming:
        is_dropped = bool(_DROPPING.search(naming[-1])) and not _THE_OTHERS.search(naming[-1])
        return is_dropped or _is_passed_over(name, stated_together, later_thoughts)
    if _is_passed_over(name, stated_together, later_thoughts):
        return True
    answers = [turn.answer for turn in turns if turn.answer]
    is_candidate = hypothesis.kind == CANDIDATE
    return is_candidate and bool(answers) and not answers_match(answers[-1], name, ())


def _is_passed_over(name: str, stated_together: Sequence[str], later_thoughts: list[str]) -> bool:
    """Whether the last later thought that names some of several candidates does not name this."""
    if len(stated_together) < 2:
        return False
    choices = [find_names(thought, stated_together) for thought in later_thoughts]
    last_choice = next((choice for choice in reversed(choices) if choice), None)
    return last_choice is not None and not find_names(" ; ".join(last_choice), [name])


def _states(thought: str, name: str) -> bool:
    return any(text.casefold() == name.casefold() for _, text in find_hypotheses(thought))


def _list_candidates(thought: str) -> list[str]:
    return [text for kind, text in find_hypotheses(thought) if kind == CANDIDATE]


def find_hypotheses(thought: str) -> list[tuple[HypothesisKind, str]]:
    """(kind, text) of the hypotheses a thought states, each once, in order of place."""
    placed: list[tuple[int, HypothesisKind, str]] = []
    for kind, form in _FORMS:
        for match in form.finditer(thought):
            if kind == CANDIDATES:
                texts = re.split(r"[;；]", match.group(1))
                placed += [(match.start(1), CANDIDATE, _clean_name(text)) for text in texts]
            else:
                placed.append((match.start(1), kind, _clean_name(match.group(1))))
    for match in _VALUE.finditer(thought):
        # Bounded, so that a long thought with many values takes linear time.
        before = thought[max(0, match.start() - _SENTENCE_REACH) : match.start()]
        if _is_relation(before):
            placed.append((match.start(1), FINDING, _clean_name(match.group(1))))
    # By place alone: several candidates of one place stay in their order.
    placed.sort(key=lambda entry: entry[0])
    return list(dict.fromkeys((kind, name) for _, kind, name in placed if name))


def _is_relation(before: str) -> bool:
    """Whether the sentence before "= value" has several words: "p = 0.05" states no fact."""
    return len(_SENTENCE_END.split(before)[-1].split()) > 1


def _clean_name(text: str) -> str:
    """A hypothesis without quotation marks, emphasis and the ids of documents in brackets behind
    it; "" for what names nothing."""
    name = _CITED.sub("", " ".join(text.split()))
    name = name.strip(" .*\"'“”‘’`:")
    if len(name) > _LONGEST_NAME or _NO_NAME.search(name):
        return ""
    return name


def _collect_hypotheses(turns: Sequence[ReplyTurn]) -> Iterator[Hypothesis]:
    """Yield each hypothesis of a kind once, from the reply that states it first.

    Texts that differ only in case are the same hypothesis.
    """
    seen: set[tuple[str, str]] = set()
    for reply, turn in enumerate(turns):
        stated = find_hypotheses(turn.thought)
        if turn.answer:
            stated.append((ANSWER, " ".join(turn.answer.split())))
        for kind, text in stated:
            if (kind, text.casefold()) not in seen:
                seen.add((kind, text.casefold()))
                yield Hypothesis(text, kind, reply)


def _edges_of_call(
    observation: ToolObservation, call: int, names: Sequence[str]
) -> Iterator[EvidenceEdge]:
    query = query_text(observation)
    for document, text in document_passages(observation):
        yield EvidenceEdge(FOUND, query, document, call)
        for name in find_names(text, names):
            yield EvidenceEdge(NAMES, document, name, call)


def query_text(observation: ToolObservation) -> str:
    """What a call asked for: the texts among its arguments, or the tool's name where there are
    none."""
    arguments = parse_json(observation.event.arguments or "{}", "the arguments of a call")
    return " ".join(_texts_in(arguments)) or observation.event.tool


def _texts_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for member in value.values():
            yield from _texts_in(member)
    elif isinstance(value, list):
        for member in value:
            yield from _texts_in(member)


def document_passages(observation: ToolObservation) -> list[tuple[str, str]]:
    """Returns (document id, the part of the shown text that belongs to it) pairs.

    A part runs from the line that gives the document's id up to the line that gives another's.
    Where only one document was shown, its part is the whole text.
    """
    documents = observation.event.documents
    if len(documents) < 2:
        return [(document, observation.text) for document in documents]
    parts: dict[str, list[str]] = {document: [] for document in documents}
    current = ""
    for line in observation.text.splitlines():
        named = (document for document in documents if _names_document(line, document))
        current = next(named, current)  # a line without an id belongs to the document before it
        if current:
            parts[current].append(line)
    return [(document, "\n".join(lines)) for document, lines in parts.items()]


def _names_document(line: str, document: str) -> bool:
    """Whether the id stands in the line on its own: "PMID:12" does not in "PMID:123"."""
    return document in line and re.search(rf"{re.escape(document)}(?!\w)", line) is not None
