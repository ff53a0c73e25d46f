"""The grammar of questions: a plan in words, and the plan that words mean.

A question is some sentences that introduce what is looked for, and one that asks. The words of each
step are those of its kind (``questions.steps``), in several forms; here they are put together:

- a step within a phrase: "the company that holds {0}";
- a step in a sentence of its own, after which a reference means it: "Trial NCT… tested one drug.
  Which company holds the original FDA application for that drug?";
- the date that facts which age are of: "As of 1 July 2019, which …".

``write_question`` and ``read_question`` are each other's inverse: whatever is written is read as
the same plan, and a text that the grammar cannot have written is read as nothing.
"""

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from medr_ray.core.records import Language
from medr_ray.graph.facts.registry_relations import print_date
from medr_ray.questions.plans import NAMED, PlanNode
from medr_ray.questions.steps import STEP_KINDS
from medr_ray.questions.steps.kinds import StepKind
from medr_ray.questions.wording.mentions import Mentions

# Phrases within a phrase, at most: deeper ones are hard to read, and get a sentence of their own.
_MAX_NESTED = 2
_AS_OF = {
    "en": re.compile(r"\bAs of (?P<date>(?:\d{1,2} )?(?:[A-Z][a-z]+ )?\d{4}), ", re.IGNORECASE),
    "zh": re.compile(r"截至(?P<date>\d{4}年(?:\d{1,2}月)?(?:\d{1,2}日)?)，"),
}


@dataclass(frozen=True)
class ReadQuestion:
    """What a text asks: the plan, and the date in words that it names, or ""."""

    plan: PlanNode
    as_of: str = ""


# --- writing --------------------------------------------------------------------------


def write_question(
    plan: PlanNode, mentions: Mentions, language: Language, form: int, as_of: str = ""
) -> str:
    """The plan in words. ``form`` chooses among the forms, any number; ``as_of`` is an ISO date."""
    writer = _Writer(mentions, language, form)
    words = [writer.word_noun(node) for node in plan.inputs]
    question = writer.choose(plan.step_kind.wording(language).question).format(*words)
    if as_of:
        question = _prefix_date(question, as_of, language)
    separator = "" if language == "zh" else " "
    sentences = [_capitalise(sentence) for sentence in (*writer.sentences, question)]
    return separator.join(sentences)


class _Writer:
    """Words of one question; ``sentences`` are those before the one that asks."""

    def __init__(self, mentions: Mentions, language: Language, form: int) -> None:
        self._mentions = mentions
        self._language = language
        self._form = form
        self.sentences: list[str] = []
        self._depth: dict[PlanNode, int] = {}

    def choose(self, forms: Sequence[str]) -> str:
        """One of the forms."""
        return forms[self._form % len(forms)]

    def word_noun(self, node: PlanNode) -> str:
        """The phrase for what a node finds. Where it would be nested too deep, a sentence is
        written before, and the phrase refers to it."""
        if node.is_named:
            return self._mentions.word(node.value)
        words = [self.word_noun(given) for given in node.inputs]
        wording = node.step_kind.wording(self._language)
        depth = 1 + max((self._depth.get(given, 0) for given in node.inputs), default=0)
        # Every other form begins with a sentence of its own although a phrase would do.
        is_split = depth > _MAX_NESTED or ((self._form // 2) % 2 == 1 and not self.sentences)
        if wording.statement and (is_split or not wording.noun):
            self.sentences.append(self.choose(wording.statement).format(*words))
            self._depth[node] = 0
            return wording.reference
        self._depth[node] = depth
        return self.choose(wording.noun).format(*words)


def _prefix_date(question: str, as_of: str, language: Language) -> str:
    if language == "zh":
        return f"截至{_print_chinese_date(as_of)}，{question}"
    return f"as of {print_date(as_of)}, {question[:1].lower()}{question[1:]}"


def _print_chinese_date(iso_date: str) -> str:
    parts = [str(int(part)) for part in iso_date.split("-")]
    return "".join(part + unit for part, unit in zip(parts, "年月日", strict=False))


def _capitalise(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


# --- reading --------------------------------------------------------------------------


def read_question(text: str, mentions: Mentions, language: Language) -> list[ReadQuestion]:
    """All plans that the grammar words as the text, each once; [] where there is none."""
    match = _AS_OF[language].search(text)
    as_of = match["date"] if match else ""
    without_date = text[: match.start()] + text[match.end() :] if match else text
    reader = _Reader(mentions, language)
    plans = dict.fromkeys(reader.read_sentences(without_date.strip(), None))
    return [ReadQuestion(plan, as_of) for plan in plans]


class _Reader:
    """Reads one text: a search with backtracking, as a name may contain any word."""

    def __init__(self, mentions: Mentions, language: Language) -> None:
        self._mentions = mentions
        self._language = language

    def read_sentences(self, text: str, introduced: PlanNode | None) -> Iterator[PlanNode]:
        """The plans of a text whose last sentence asks; ``introduced`` is what the sentence before
        it was about."""
        for kind, pattern in _patterns(self._language, "question"):
            match = pattern.fullmatch(text)
            if match:
                yield from self._read_inputs(kind, match, introduced)
        for kind, pattern in _patterns(self._language, "statement"):
            for match in _match_beginnings(pattern, text):
                rest = text[match.end() :].lstrip()
                if rest:
                    for node in self._read_inputs(kind, match, introduced):
                        yield from self.read_sentences(rest, node)

    def _read_inputs(
        self, kind: StepKind, match: re.Match[str], introduced: PlanNode | None
    ) -> Iterator[PlanNode]:
        texts = [match[f"input{place}"] for place in range(len(kind.inputs))]
        for inputs in self._read_each(kind, texts, introduced):
            node = PlanNode(kind.name, inputs)
            # What a sentence introduced has to be used by the next.
            if introduced is None or introduced in node.walk():
                yield node

    def _read_each(
        self, kind: StepKind, texts: Sequence[str], introduced: PlanNode | None
    ) -> Iterator[tuple[PlanNode, ...]]:
        if not texts:
            yield ()
            return
        place = len(kind.inputs) - len(texts)
        for first in self._read_noun(texts[0], kind.inputs[place], introduced):
            for others in self._read_each(kind, texts[1:], introduced):
                yield (first, *others)

    def _read_noun(
        self, text: str, step_type: str, introduced: PlanNode | None
    ) -> Iterator[PlanNode]:
        if introduced is not None:
            kind = introduced.step_kind
            if kind.output == step_type and text == kind.wording(self._language).reference:
                yield introduced
        for value in self._mentions.find(text, step_type):
            yield PlanNode(NAMED, value=value)
        for kind, pattern in _patterns(self._language, "noun"):
            if kind.output == step_type:
                match = pattern.fullmatch(text)
                if match:
                    texts = [match[f"input{place}"] for place in range(len(kind.inputs))]
                    for inputs in self._read_each(kind, texts, introduced):
                        yield PlanNode(kind.name, inputs)


@functools.cache
def _patterns(language: Language, part: str) -> list[tuple[StepKind, re.Pattern[str]]]:
    """The forms of all kinds as regular expressions; the inputs are groups."""
    return [
        (kind, _compile_form(form))
        for kind in STEP_KINDS.values()
        for form in getattr(kind.wording(language), part)
    ]


def _compile_form(form: str) -> re.Pattern[str]:
    pattern = re.sub(r"\\\{(\d)\\\}", r"(?P<input\1>.+?)", re.escape(form))
    return re.compile(pattern, re.IGNORECASE)


def _match_beginnings(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """The matches of a sentence at the beginning of a text; a name may contain a full stop, so each
    end of a sentence is tried."""
    for end in re.finditer(r"\.(?= )|。", text):
        match = pattern.fullmatch(text, 0, end.end())
        if match:
            yield match
