"""Back-reading: which plan a text means, whoever wrote it.

A question goes out with the answer of its draft, so its text has to mean the draft's plan. The
grammar reads its own wording exactly; the ``rules`` back-reader reads any other text by what it
names and by cues (``cues``): a plan fits where it begins with all that the text names, every step
of it has its evidence, every word is evidence, an aside or without meaning, and what the text asks
for is what the plan finds. A text that no plan fits, or two, means nothing.

``compare`` says in which way a text differs from a draft. It is strict: whatever it cannot place is
a difference.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from medr_ray.core.records import Language
from medr_ray.graph.facts.fact_table import FactTable
from medr_ray.questions.plans import NAMED, PlanNode
from medr_ray.questions.steps import STEP_KINDS
from medr_ray.questions.steps.kinds import StepKind
from medr_ray.questions.wording.cues import END_OF_SENTENCE, NOUNS, SOURCES, Token, find_cue
from medr_ray.questions.wording.grammar import ReadQuestion, read_question
from medr_ray.questions.wording.mentions import Mentions, fits_type
from medr_ray.questions.wording.name_finding import Name, NameFinder, parse_date
from medr_ray.questions.wording.vocabulary import EMPTY, Word, open_vocabulary

_DATE_PREFIX = "VALUE:date/"
_TEXT_PREFIX = "VALUE:text/"
_END = re.compile(r"[.。;；]")
_SIGNS = frozenset(",，、:：()（）“”\"'‘’《》—-–?？/·")
# Meanings that ask, and those of them that are part of any question.
# "What was the enrolment of …?", "Did … get standard or priority review?"
_ASKING = frozenset(
    {"which", "how", "how_many", "who", "when", "year", "years", "date", "enrol", "expire"}
    | {"end", "start", "choice"}
)
# What tells no plan from another where each step of it has its evidence.
_TELLING_LITTLE = frozenset(
    {"test", "report", "result", "participant", "number", "market", "date", "day", "year", "when"}
    | {"who", "after", "common", "protect", "value", "run", "apart", "extensions", "leave", "span"}
    | {"extensions_apart"}
)
_PLAIN_ASKING = frozenset({"which", "how", "choice"})
_OPEN_ASKING = frozenset({"which", "how"})
# By what a plan finds: what a text may ask with, at least one of them.
_ASKED_WITH = {
    "company": {"who", "which"},
    "person": {"who", "which"},
    "institution": {"who", "which"},
    "number": {"how_many"},
    "date": {"when", "date", "expire", "end", "start"},
    "year": {"year"},
    "category": {"which", "how", "choice"},
    "drug": {"which", "how", "choice"},
    "trial": {"which", "how", "choice"},
}
# By the kind that a plan ends with: "What was the enrolment of …?", "When does … begin?"
_ASKED_OF = {"participants_of_trial": {"enrol"}, "onset_of_disease": {"when"}}
_ASKED_BESIDE = {"date": {"when", "date"}, "year": {"year", "when"}}
_NOUN_TYPES = {
    "drug": ("drug",),
    "drugs": ("drug",),
    "ingredient": ("drug",),
    "trial": ("trial",),
    "company": ("company", "institution"),
    "application": ("application",),
    "disease": ("disease",),
    "gene": ("gene",),
    "paper": ("paper",),
    "journal": ("journal",),
    "arm": ("text",),
    "year": ("year",),
}
# The word for the type of what is named, in the cues.
_TYPE_MEANINGS = {"substance": "drug", "institution": "company", "person": "company"}
# The word for the source of a step, where it is not the name of the source: HPO annotates OMIM's.
_SOURCE_MEANINGS = {"hpo": "omim"}
_VALUE_MEANINGS = {"value": "mode", "category": "category", "text": "text", "date": "day"}
_SELDOM_NOUNS = frozenset({"disease", "gene", "paper"})
_RELATIVE_NOUNS = NOUNS | {"date", "year", "arm"}
_PREPOSITIONS = frozenset({"under", "on", "in", "for", "by", "with", "from", "at", "through"})
# What follows "when" in a question: a verb, or an aside in commas.
_AFTER_WHEN = frozenset(
    {",", "is", "was", "were", "are", "did", "does", "do", "has", "had", "have", "will", "would"}
)
# "On that date" says a date again that the text has named.
_SAME_DATE: Mapping[Language, re.Pattern[str]] = {
    "en": re.compile(
        r"\b(?:(?P<as_of>as (?:of|at|on))|on|at|by) (?:that|the same|that same|this) (?:date|day)\b"
        r"|\b(?P<then>as (?:of|at)) then\b",
        re.IGNORECASE,
    ),
    "zh": re.compile("(?P<as_of>截至|截止到?)?(?:当日|该日|同日)"),
}
# Words between "what" and a noun, and those of them that mean a noun of before.
_BEFORE_NOUN = frozenset({"is", "was", "are", "were", "the", "that", "this", "those", "these"})
_POINTING = frozenset({"that", "this", "those", "these"})
_POSSESSIVES = (("'", "s"), ("’", "s"))
_MAX_PLANS = 2_000  # plans tried for a text; a text of a question has some dozens


class BackReader(Protocol):
    """The back-reader's role."""

    name: str

    def read(self, texts: Sequence[str]) -> list["Reading"]:
        """What each text means, in order."""
        ...


@dataclass(frozen=True)
class Reading:
    """What a text means: the plans that fit it, one where it is clear; or, where none does,
    ``problem`` says what has no place."""

    questions: tuple[ReadQuestion, ...] = ()
    problem: str = ""
    steps: frozenset[str] = frozenset()  # of which the text speaks, in a plan or in none
    is_exact: bool = False  # read by the grammar


class RulesBackReader:
    """The back-reader without a model: the grammar first, then names and cues."""

    name = "rules"

    def __init__(self, table: FactTable, mentions: Mentions, language: Language) -> None:
        self._mentions = mentions
        self._language = language
        self._finder = NameFinder(table, mentions, language)

    def read(self, texts: Sequence[str]) -> list[Reading]:
        return [self.read_text(text) for text in texts]

    def read_text(self, text: str) -> Reading:
        """What one text means."""
        exact = read_question(text, self._mentions, self._language)
        if exact:
            return Reading(tuple(exact), is_exact=True)
        if text.count("?") + text.count("？") != 1 or text.rstrip()[-1:] not in "?？":
            return Reading(problem="the text is not one question that ends it")
        return CueReading(text, self._finder.find(text), self._language).read()


# --- reading by cues ------------------------------------------------------------------


@dataclass(frozen=True)
class _Item:
    """What a plan is put together from: a node and its type."""

    node: PlanNode
    type: str
    is_file_date: bool = False  # the date of "as of", which no step begins with


@dataclass
class _Evidence:
    """The places of a text by the kinds that they speak of."""

    cues: dict[str, frozenset[int]] = field(default_factory=dict)
    asides: dict[str, frozenset[int]] = field(default_factory=dict)


class CueReading:
    """The reading of one text, which names ``names``, by cues."""

    def __init__(self, text: str, names: Sequence[Name], language: Language) -> None:
        self._text = text
        self._language = language
        self._names = names
        self._words = list(_split_words(text, names, language))
        self._dates = [name for name in names if name.options and name.options[0][1] in _DATES]
        self._marked = [name for name in self._dates if self._is_marked(name)]
        self._pass_over_repeated_dates()
        self._tokens = list(self._make_tokens())
        self._evidence = self._gather_evidence()

    def read(self) -> Reading:
        spoken = frozenset(self._evidence.cues)
        unknown = [token.text for token in self._tokens if not token.meanings]
        if unknown:
            return Reading(problem=f"“{'”, “'.join(unknown)}” has no place", steps=spoken)
        nameless = [name.text for name in self._names if not name.options]
        if nameless:
            return Reading(problem=f"no record has {', '.join(nameless)}", steps=spoken)
        if len({_read_date(name) for name in self._marked}) > 1:
            return Reading(problem="the text is of several dates", steps=spoken)
        fitting: dict[ReadQuestion, int] = {}
        problems: list[tuple[int, str]] = []
        for as_of, leaves in self._choose_leaves():
            for plan in self._build_plans(leaves):
                problem = self._find_problem(plan)
                if problem:
                    problems.append((plan.hops, problem))
                else:
                    fitting[ReadQuestion(plan, as_of)] = self._count_cue_places(plan)
        if not fitting:
            named = ", ".join(name.text for name in self._names) or "nothing"
            # That of the plan that goes furthest says most.
            _, problem = max(problems, default=(0, f"no question of these steps names {named}"))
            return Reading(problem=problem, steps=spoken)
        return Reading(_choose_questions(fitting), steps=spoken)

    def weigh_evidence(self, plan: PlanNode) -> tuple[int, int] | None:
        """How much speaks for a plan, for readers who pass over words that they do not know: minus
        the known words without a place in it, and the words that speak of it. None where a step has
        no evidence, a word that tells plans apart has no place, or the text asks for something else
        than the plan finds."""
        kinds = _list_kinds(plan)
        if not all(kind in self._evidence.cues for kind in kinds) or self._find_asked_problem(plan):
            return None
        covered = self._cover(plan)
        left = [token.meanings for i, token in enumerate(self._tokens) if i not in covered]
        known_words = [meanings for meanings in left if meanings]
        if not all(meanings <= _TELLING_LITTLE for meanings in known_words):
            return None
        return -len(known_words), self._count_cue_places(plan)

    # --- what is there ------------------------------------------------------------

    def _is_marked(self, name: Name) -> bool:
        before = [word for word in self._words if isinstance(word, Word) and word.end <= name.start]
        return bool(before) and "as_of" in before[-1].meanings

    def _pass_over_repeated_dates(self) -> None:
        """Take "on that date" for nothing, and the date that "as of that date" means as marked."""
        for match in _SAME_DATE[self._language].finditer(self._text):
            before = [
                name
                for name in self._dates
                if name.end <= match.start() and len(_read_date(name)) > len("2019")
            ]
            if not before:
                continue
            if any(match.groups()) and before[-1] not in self._marked:
                self._marked.append(before[-1])
            self._words = [
                word
                for word in self._words
                if word.end <= match.start() or match.end() <= word.start
            ]

    def _make_tokens(self) -> Iterator[Token]:
        for place, word in enumerate(self._words):
            for token in _make_token(word, self._marked):
                asks_elsewhere = _is_relative(self._words[:place]) or _is_of_another(
                    self._words[place + 1 :]
                )
                # "Where" asks for a place on a scale, never for the noun after it.
                asks_elsewhere = asks_elsewhere or token.text.casefold() == "where"
                if "which" in token.meanings and asks_elsewhere:
                    token = replace(token, is_relative=True)
                if "when" in token.meanings and _is_conjunction(self._words[place + 1 :]):
                    token = replace(token, is_free=True)
                yield token

    def _gather_evidence(self) -> _Evidence:
        evidence = _Evidence()
        for kind in STEP_KINDS.values():
            cues = _find_cues(kind.cues.evidence(self._language), self._tokens)
            if cues:
                evidence.cues[kind.name] = cues
                evidence.asides[kind.name] = _find_cues(kind.cues.asides, self._tokens)
        return evidence

    def _choose_leaves(self) -> Iterator[tuple[str, list[list[_Item]]]]:
        """What plans may begin with, and the date that is left for the facts that age."""
        others = [name for name in self._names if name not in self._dates]
        unmarked = [name for name in self._dates if name not in self._marked]
        choices: list[tuple[str, list[Name]]] = []
        if self._marked:
            # The date that the records are of may be that of a step, too.
            marked = self._marked[0]
            choices.append((_read_date(marked), unmarked))
            choices.append((_read_date(marked), [marked, *unmarked]))
            choices.append(("", [marked, *unmarked]))
        else:
            choices.append(("", unmarked))
            choices += [
                (_read_date(date), [name for name in unmarked if name is not date])
                for date in unmarked
                if len(_read_date(date)) > len("2019")
            ]
        for as_of, dates in choices:
            leaves = _drop_repeated([*others, *dates])
            yield as_of, [_list_items(name, name in self._marked) for name in leaves]

    # --- plans --------------------------------------------------------------------

    def _build_plans(self, leaves: list[list[_Item]]) -> Iterator[PlanNode]:
        """Every plan of steps with evidence that uses each name once."""
        starts: list[tuple[_Item, ...]] = [()]
        for options in leaves:
            starts = [(*start, option) for start in starts for option in options]
        tried: set[frozenset[tuple[PlanNode, str]]] = set()
        stack = [start for start in starts if start]
        while stack and len(tried) < _MAX_PLANS:
            items = stack.pop()
            key = frozenset((item.node, item.type) for item in items)
            if key in tried:
                continue
            tried.add(key)
            if len(items) == 1 and not items[0].node.is_named:
                yield items[0].node
            used = {node.kind for item in items for node in item.node.walk()}
            for name in self._evidence.cues:
                if name not in used:
                    stack += _take_step(STEP_KINDS[name], items)

    def _find_problem(self, plan: PlanNode) -> str:
        """What of the text has no place in a plan; "" where the plan fits."""
        asking_problem = self._find_asked_problem(plan)
        if asking_problem:
            return asking_problem
        covered = self._cover(plan)
        left = [token.text for i, token in enumerate(self._tokens) if i not in covered]
        return f"“{'”, “'.join(left)}” has no place" if left else ""

    def _cover(self, plan: PlanNode) -> set[int]:
        kinds = _list_kinds(plan)
        output = plan.step_kind.output
        asking = _PLAIN_ASKING | _ASKED_WITH.get(output, set()) | _ASKED_BESIDE.get(output, set())
        asking = asking | _ASKED_OF.get(plan.kind, set())
        sources = {_SOURCE_MEANINGS.get(source, source) for source in plan.sources}
        free = _list_nouns(plan) | asking | {END_OF_SENTENCE} | (SOURCES & sources)
        covered = {
            place
            for place, token in enumerate(self._tokens)
            if token.is_named or token.is_free or not token.meanings.isdisjoint(free)
        }
        for kind in kinds:
            covered |= self._evidence.cues[kind] | self._evidence.asides[kind]
        return covered

    def _count_cue_places(self, plan: PlanNode) -> int:
        places = (self._evidence.cues[kind] for kind in _list_kinds(plan))
        return len(frozenset[int]().union(*places))

    def _find_asked_problem(self, plan: PlanNode) -> str:
        output = plan.step_kind.output
        needed = _ASKED_WITH.get(output, _OPEN_ASKING) | _ASKED_OF.get(plan.kind, set())
        asking = [i for i, token in enumerate(self._tokens) if self._asks(i, token)]
        if not any(self._tokens[place].meanings & needed for place in asking):
            return f"the text does not ask for a {output}"
        for place in asking:
            noun = self._read_noun_asked(place)
            if noun and output not in noun:
                return f"the text asks for a {noun[0]}, not for a {output}"
        return ""

    def _asks(self, place: int, token: Token) -> bool:
        return not token.is_named and not token.meanings.isdisjoint(_ASKING)

    def _read_noun_asked(self, place: int) -> tuple[str, ...]:
        """The types that the noun after "which" may be of; () where there is none."""
        token = self._tokens[place]
        if "which" not in token.meanings or place + 1 >= len(self._tokens):
            return ()
        following = self._tokens[place + 1]
        if following.is_named or token.is_relative:
            return ()
        types = [_NOUN_TYPES[meaning] for meaning in following.meanings if meaning in _NOUN_TYPES]
        return tuple(dict.fromkeys(name for names in types for name in names))


_DATES = ("date", "year")


def _choose_questions(fitting: Mapping[ReadQuestion, int]) -> tuple[ReadQuestion, ...]:
    """Of the questions that fit, by how many places are evidence for them: those without a detour,
    and of these the ones that the most of the text speaks of."""
    kinds = {question: _list_kinds(question.plan) for question in fitting}
    direct = [
        question
        for question in fitting
        if not any(kinds[other] < kinds[question] for other in fitting)
    ]
    best = max(fitting[question] for question in direct)
    return tuple(question for question in direct if fitting[question] == best)


def _list_kinds(plan: PlanNode) -> frozenset[str]:
    return frozenset(node.kind for node in plan.walk() if not node.is_named)


def _list_nouns(plan: PlanNode) -> frozenset[str]:
    """The nouns that may stand anywhere in a question of the plan: a disease, a gene or a paper is
    spoken of only where a step is of one."""
    kinds = [node.step_kind for node in plan.walk() if not node.is_named]
    types = {step_type for kind in kinds for step_type in (*kind.inputs, kind.output)}
    return NOUNS - (_SELDOM_NOUNS - types)


def _split_words(text: str, names: Sequence[Name], language: Language) -> Iterator[Word | Name]:
    place = 0
    for name in names:
        yield from open_vocabulary(language).split(text[place : name.start], place)
        yield name
        place = name.end
    yield from open_vocabulary(language).split(text[place:], place)


def _make_token(word: Word | Name, marked: Sequence[Name]) -> Iterator[Token]:
    """The token of a word; none where it has no meaning of its own."""
    if isinstance(word, Name):
        if word not in marked:
            types = {entity_type for _, entity_type in word.options}
            yield Token(frozenset(map(_word_type, types)), word.text, is_named=True)
    elif _END.fullmatch(word.text):
        yield Token(frozenset({END_OF_SENTENCE}), word.text)
    elif word.text not in _SIGNS and not _says_nothing(word):
        yield Token(word.meanings - {EMPTY}, word.text, is_free=EMPTY in word.meanings)


def _is_relative(before: Sequence[Word | Name]) -> bool:
    """Whether "which" after these words is the one of "the application under which": after a noun
    and a preposition."""
    if len(before) < 2 or before[-1].text.casefold() not in _PREPOSITIONS:
        return False
    noun = before[-2]
    return isinstance(noun, Word) and not noun.meanings.isdisjoint(_RELATIVE_NOUNS)


def _is_of_another(after: Sequence[Word | Name]) -> bool:
    """Whether "what" before these words asks for something of a noun, not for the noun: "what is
    that drug's score"."""
    words = [word.text.casefold() for word in after]
    first = next((i for i, text in enumerate(words) if text not in _BEFORE_NOUN), len(words))
    is_pointed_at = first > 0 and words[first - 1] in _POINTING
    return is_pointed_at or tuple(words[first + 1 : first + 3]) in _POSSESSIVES


def _is_conjunction(after: Sequence[Word | Name]) -> bool:
    """Whether "when" before these words is the one of "when it was approved"."""
    return bool(after) and after[0].text.casefold() not in _AFTER_WHEN


def _says_nothing(word: Word) -> bool:
    # "As of" is read with the date after it.
    return word.meanings == {EMPTY} or "as_of" in word.meanings


def _word_type(entity_type: str) -> str:
    return _VALUE_MEANINGS.get(entity_type) or _TYPE_MEANINGS.get(entity_type, entity_type)


def _find_cues(cues: Sequence[str], tokens: Sequence[Token]) -> frozenset[int]:
    return frozenset[int]().union(*(find_cue(cue, tokens) for cue in cues))


def _list_items(name: Name, is_marked: bool) -> list[_Item]:
    return [_Item(PlanNode(NAMED, value=value), kind, is_marked) for value, kind in name.options]


def _drop_repeated(names: Sequence[Name]) -> list[Name]:
    """Names, each once, the first: a text may say one twice."""
    first: dict[tuple[tuple[str, str], ...], Name] = {}
    for name in names:
        first.setdefault(name.options, name)
    return list(first.values())


def _read_date(name: Name) -> str:
    return name.options[0][0].removeprefix(_DATE_PREFIX)


def _take_step(kind: StepKind, items: tuple[_Item, ...]) -> Iterator[tuple[_Item, ...]]:
    """The items after a step, for each way to take it."""
    for places in _choose_inputs(kind, items):
        inputs = tuple(items[place].node for place in places)
        rest = tuple(item for i, item in enumerate(items) if i not in places)
        yield (*rest, _Item(PlanNode(kind.name, inputs), kind.output))


def _choose_inputs(
    kind: StepKind, items: tuple[_Item, ...], taken: tuple[int, ...] = ()
) -> Iterator[tuple[int, ...]]:
    if len(taken) == len(kind.inputs):
        yield taken
        return
    for place, item in enumerate(items):
        if place not in taken and _fits(item, kind, len(taken)):
            yield from _choose_inputs(kind, items, (*taken, place))


def _fits(item: _Item, kind: StepKind, place: int) -> bool:
    step_type = kind.inputs[place]
    if item.type != step_type and not fits_type(item.type, step_type):
        return False
    if step_type == "text" and _is_letter(item) != _takes_letter(kind, place):
        return False
    if item.is_file_date:
        return place > 0
    # A step from several things begins a question: it names them all ("the X trial of company Y").
    return len(kind.inputs) == 1 or item.node.is_named or (kind.has_constants and place == 0)


def _is_letter(item: _Item) -> bool:
    return len(item.node.value) == len(_TEXT_PREFIX) + 1


def _takes_letter(kind: StepKind, place: int) -> bool:
    """Whether the input is the letter that a name begins with: the last of two texts."""
    return kind.inputs.count("text") > 1 and place == len(kind.inputs) - 1


# --- comparing ------------------------------------------------------------------------


def unify_plan(plan: PlanNode) -> PlanNode:
    """The plan in one form of several that mean the same: inputs of the same type in one order ("A
    or B", "B or A"), a first approval as that of the first application."""
    if plan.is_named:
        return plan
    inputs = tuple(unify_plan(node) for node in plan.inputs)
    if plan.kind == "missing_collaborator_of_trial":
        # Whether a record has one is not said by the question.
        return PlanNode("collaborator_of_trial", inputs)
    if plan.kind == "approval_date_of_drug":
        return PlanNode(
            "approval_date_of_application", (PlanNode("first_application_for_drug", inputs),)
        )
    if len(inputs) > 1 and len(set(plan.step_kind.inputs)) == 1:
        inputs = tuple(sorted(inputs, key=repr))
    return PlanNode(plan.kind, inputs)


def compare(reading: Reading, plan: PlanNode, as_of: str) -> str:
    """How what a text means differs from a draft; "" where it does not."""
    if not reading.questions:
        return "; ".join([*_list_missing_steps(reading, plan), reading.problem])
    meanings = {unify_plan(question.plan) for question in reading.questions}
    if len(meanings) > 1:
        return f"the text has {len(meanings)} meanings"
    question = reading.questions[0]
    difference = _compare_plans(question.plan, plan)
    if difference:
        return difference
    # The date of the records may be that of a step, or be said besides.
    dates = [parse_as_of(read.as_of) for read in reading.questions]
    if as_of not in dates:
        return f'the text is as of "{question.as_of}", the draft as of "{as_of}"'
    return ""


def _list_missing_steps(reading: Reading, plan: PlanNode) -> list[str]:
    kinds = dict.fromkeys(node.kind for node in plan.walk() if not node.is_named)
    return [f"the step “{name}” is missing" for name in kinds if name not in reading.steps]


def _compare_plans(text_plan: PlanNode, plan: PlanNode) -> str:
    if unify_plan(text_plan) == unify_plan(plan):
        return ""
    if text_plan.kind != plan.kind:
        return f"the text asks for “{text_plan.kind}”, the draft for “{plan.kind}”"
    read, drafted = (
        {node.value if node.is_named else node.kind for node in tree.walk()}
        for tree in (text_plan, plan)
    )
    parts = [f"the text has “{name}”, which the draft has not" for name in sorted(read - drafted)]
    parts += [f"the text lacks “{name}”" for name in sorted(drafted - read)]
    return "; ".join(parts) or "the steps are taken in another order"


def parse_as_of(words: str) -> str:
    """The ISO date of a date in words, or in numbers already; "" for none."""
    return parse_date(words) if words else ""
