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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from medr_ray.core.records import Language
from medr_ray.questions.plans import NAMED, PlanNode
from medr_ray.questions.steps import STEP_KINDS
from medr_ray.questions.steps.kinds import StepKind
from medr_ray.questions.wording.mentions import Mentions
from medr_ray.questions.wording.value_names import word_date

# Phrases within a phrase, at most: deeper ones are hard to read, and get a sentence of their own.
# In Chinese all that describes a noun stands before it.
_MAX_NESTED: Mapping[Language, int] = {"en": 2, "zh": 1}
_DATE = {
    "en": r"(?P<date>(?:\b\d{1,2} )?(?:\b[A-Z][a-z]+ )?\b\d{4}\b)",
    "zh": r"(?P<date>\d{4}年(?:\d{1,2}月)?(?:\d{1,2}日)?)",
}
# The date of the question; "that date" where the sentence before has named it last.
_AS_OF = {
    "en": re.compile(rf"\bAs of (?:{_DATE['en']}|that date), ", re.IGNORECASE),
    "zh": re.compile(rf"截至(?:{_DATE['zh']}|当日)，"),
}

_SAME_DATE = "on that date"


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
        is_named = _find_last_date("".join(writer.sentences), language) == word_date(
            as_of, language
        )
        if language == "en":
            # The date in front of the sentence is not said again in it.
            question = question.replace(f"on {word_date(as_of, language)}", _SAME_DATE)
        question = _prefix_date(question, "" if is_named else as_of, language)
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

    def word_noun(self, node: PlanNode, *, is_enclosed: bool = False) -> str:
        """The phrase for what a node finds. Where it would be nested too deep, or words of the
        phrase around it would follow (``is_enclosed``), a sentence is written before, and the
        phrase refers to it."""
        if node.is_named:
            return self._mentions.word(node.value)
        wording = node.step_kind.wording(self._language)
        has_tail = bool(wording.noun) and not self.choose(wording.noun).endswith("}")
        words = [self.word_noun(given, is_enclosed=has_tail) for given in node.inputs]
        depth = 1 + max((self._depth.get(given, 0) for given in node.inputs), default=0)
        # Every other form begins with a sentence of its own although a phrase would do.
        is_split = (
            depth > _MAX_NESTED[self._language]
            or ((self._form // 2) % 2 == 1 and not self.sentences)
            or (is_enclosed and self._language == "en")
        )
        if wording.statement and (is_split or not wording.noun):
            self.sentences.append(self.choose(wording.statement).format(*words))
            self._depth[node] = 0
            return wording.reference
        self._depth[node] = depth
        return self.choose(wording.noun).format(*words)


def _prefix_date(question: str, as_of: str, language: Language) -> str:
    """The question with its date in front; with "that date" where ``as_of`` is ""."""
    if language == "zh":
        return f"截至{word_date(as_of, language) if as_of else '当日'}，{question}"
    date = word_date(as_of, language) if as_of else "that date"
    return f"as of {date}, {question[:1].lower()}{question[1:]}"


def _find_last_date(text: str, language: Language) -> str:
    """The last date in a text, as it stands there; "" where there is none."""
    dates = [match["date"] for match in re.finditer(_DATE[language], text)]
    return dates[-1] if dates else ""


def _capitalise(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


# --- reading --------------------------------------------------------------------------


def read_question(text: str, mentions: Mentions, language: Language) -> list[ReadQuestion]:
    """All plans that the grammar words as the text, each once; [] where there is none."""
    match = _AS_OF[language].search(text)
    as_of = ""
    if match:
        as_of = match["date"] or _find_last_date(text[: match.start()], language)
    without_date = text[: match.start()] + text[match.end() :] if match else text
    if as_of and language == "en":
        without_date = without_date.replace(_SAME_DATE, f"on {as_of}")
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
        for form in _list_forms(self._language, "question"):
            for texts in form.split(text):
                yield from self._read_inputs(form.kind, texts, introduced)
        for form in _list_forms(self._language, "statement"):
            for end in _list_sentence_ends(text):
                rest = text[end:].lstrip()
                for texts in form.split(text[:end]) if rest else ():
                    for node in self._read_inputs(form.kind, texts, introduced):
                        yield from self.read_sentences(rest, node)

    def _read_inputs(
        self, kind: StepKind, texts: Sequence[str], introduced: PlanNode | None
    ) -> Iterator[PlanNode]:
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
        for form in _list_forms(self._language, "noun"):
            if form.kind.output == step_type:
                for texts in form.split(text):
                    for inputs in self._read_each(form.kind, texts, introduced):
                        yield PlanNode(form.kind.name, inputs)


@dataclass(frozen=True)
class _Form:
    """One form of a kind's words: the text around and between its inputs, and the places of the
    inputs in the order of the text."""

    kind: StepKind
    literals: tuple[str, ...]
    places: tuple[int, ...]
    pattern: re.Pattern[str]

    def split(self, text: str) -> Iterator[tuple[str, ...]]:
        """The texts of the inputs, in the order of the kind; every way to divide the text, as a
        name may contain what stands between two inputs."""
        if not self.pattern.fullmatch(text):
            return
        first, *others = self.literals
        for texts in _divide_text(text[len(first) :], others):
            by_place = dict(zip(self.places, texts, strict=True))
            yield tuple(by_place[place] for place in sorted(by_place))


def _divide_text(text: str, literals: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The texts before each of the literals, the last of which ends the text."""
    literal, *others = literals
    if not others:
        if len(text) > len(literal):
            yield (text[: len(text) - len(literal)],)
        return
    for match in re.finditer(re.escape(literal), text, re.IGNORECASE):
        if match.start():
            for texts in _divide_text(text[match.end() :], others):
                yield (text[: match.start()], *texts)


@functools.cache
def _list_forms(language: Language, part: str) -> list[_Form]:
    return [
        _read_form(kind, form)
        for kind in STEP_KINDS.values()
        for form in getattr(kind.wording(language), part)
    ]


def _read_form(kind: StepKind, form: str) -> _Form:
    pieces = re.split(r"\{(\d)\}", form)
    literals = tuple(pieces[::2])
    pattern = ".+".join(map(re.escape, literals))
    return _Form(
        kind, literals, tuple(map(int, pieces[1::2])), re.compile(pattern, re.IGNORECASE | re.S)
    )


def _list_sentence_ends(text: str) -> list[int]:
    """Where a sentence may end: a name may contain a full stop, so each is tried."""
    return [match.end() for match in re.finditer(r"\.(?= )|。", text)]
