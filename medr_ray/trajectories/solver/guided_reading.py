"""Reads a question in any words by its guidance: the masked steps give the tree of the plan, and
what is missing are the names that its steps begin with, which are looked for in the text.

A name has to be of the type that its step takes. Numbers of registries, dates and members of closed
sets are known by their form, all else by the dictionary. Of several names for one place the surest
counts: no everyday word, the date beside the name of the step's registry, the order of the text. A
number of a registry that has no place in the plan says that the guidance is another question's.
"""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from medr_ray.core.records import GuidanceStep, Language, LiteralValue
from medr_ray.entities.form_patterns import is_common
from medr_ray.graph.facts.registry_relations import make_value_id
from medr_ray.knowledge.registries.identifiers import make_patent_id
from medr_ray.questions.plans import NAMED, PlanNode
from medr_ray.questions.steps import STEP_KINDS
from medr_ray.questions.wording.mentions import fits_type
from medr_ray.questions.wording.name_finding import Name, NameFinder
from medr_ray.trajectories.solver.dictionary import SCORES, NameDictionary

BREAK = "|"  # between the type and the name in an id made from a name
LEAF = PlanNode(NAMED)  # what the question names, before it is found
_MAX_CANDIDATES = 8  # for one place of a plan; a question has hardly ever more than three
_FULL_DATE = len("2019-07-01")
_NUMBERED_TYPES = ("trial", "application", "patent", "paper")
_DATE_VALUE = "VALUE:date/"
_TEXT_VALUE = "VALUE:text/"

# Numbers without the words around them, which count only where the guidance asks for one.
_PATENT_NUMBER = re.compile(
    r"(?<![\w,.])(?:US\s?)?(?P<number>RE\s?\d{2},?\d{3}|\d{1,2},\d{3},\d{3}|\d{7,8})"
    r"(?:\s?[ABE]\d)?(?![\w]|,\d)",
    re.ASCII,
)
_APPLICATION_NUMBER = re.compile(r"(?<![\w,.])(?P<number>0?\d{5,6})(?![\w]|[,.]\d)", re.ASCII)
_APPLICATION_KINDS = ("NDA", "BLA", "ANDA")
_PAPER_NUMBER = re.compile(r"(?:PMID|PubMed)\D{0,12}(?P<number>\d{4,8})(?!\d)", re.IGNORECASE)
_QUOTED = re.compile('“([^”]+)”|《([^》]+)》|"([^"]+)"|『([^』]+)』|「([^」]+)」|‘([^’]{12,})’')
_MIN_TITLE_WORDS = 3
# A capital letter on its own is an article or a pronoun only where it begins a sentence ("A") or
# anywhere ("I").
_LETTER = re.compile(r"(?<![\w’'.&/-])(?P<letter>[A-Z])(?![\w’'*&/-]|\[)", re.ASCII)
_SCORE = re.compile(r"(?<![\w’'&/-])(?P<score>[A-EX](?:\*|\[HD\])?)(?![\w’'*&/-])", re.ASCII)
_BEFORE_LETTER = re.compile(
    r"(?:with|letter|by|in|初始字母|首字母|字母|以)\W*(?:an? |the letter )?$", re.IGNORECASE
)
_BEFORE_SCORE = re.compile(
    r"(?:score[sd]?|rat(?:ed|es|ing)|grad(?:ed|es?)|categor(?:y|ised)|class(?:ed)?|likelihood|as|of"
    r"|at|给出|评分|得分|评为|列为|等级|分类|为|是)\W*(?:an? |the )?$",
    re.IGNORECASE,
)
_ENDS_SENTENCE = re.compile(r"(?:^|[.?!:;。？！：；]|[“\"])\s*$")
# Words from which a mode of inheritance is put together, in whatever order they stand.
_AUTOSOMAL = re.compile(r"autosom|常染色体", re.IGNORECASE)
_X_LINKED = re.compile(r"\bX[- ]?(?:linked|chromosom)|\bX\s?(?:染色体)?连锁|性连锁", re.IGNORECASE)
_X_LINKED_MODE = "HP:0001417"
_MITOCHONDRIAL = re.compile(r"mitochondrial|maternal(?:ly)? inherit|线粒体|母系遗传", re.IGNORECASE)
_DOMINANT = re.compile(r"dominant|显性", re.IGNORECASE)
_RECESSIVE = re.compile(r"recessive|隐性", re.IGNORECASE)
# What stands beside an acronym that is called a trial; its own form has to be unusual.
_TRIAL_WORD = r"(?:trial|study|clinical trial|临床试验|试验|研究)"
_ACRONYM = re.compile(
    r"(?P<after>(?<![\w-])[A-Z][\w-]*[A-Z0-9][\w-]*(?: \d+)?)"
    rf"(?=[”\"’]?,? {_TRIAL_WORD}|[”\"]?{_TRIAL_WORD})"
    rf"|{_TRIAL_WORD}(?: (?:called|named|known as|titled|acronym))?,?:? ?[“\"‘]?"
    r"(?P<before>[A-Z][\w-]*[A-Z0-9][\w-]*(?: \d+)?)(?![\w-])",
    re.ASCII,
)
_POSSESSIVE = re.compile(r"(?:['’]s|(?<=s)['’])$")
_SOURCE_WORDS: Mapping[str, re.Pattern[str]] = {
    "orange_book": re.compile(r"Orange Book|橙皮书", re.IGNORECASE),
    "drugs_at_fda": re.compile(r"Drugs\s?@\s?FDA", re.IGNORECASE),
}
_FAR = 10_000  # characters; farther than any two words of a question


@dataclass(frozen=True)
class Slot:
    """A place of a plan for what the question names: the type, the step and the input of it."""

    type: str
    kind: str
    place: int

    @property
    def is_letter(self) -> bool:
        """Whether it takes the letter that a name begins with: the last of two texts."""
        inputs = STEP_KINDS[self.kind].inputs
        return inputs.count("text") > 1 and self.place == len(inputs) - 1


@dataclass(frozen=True)
class Candidate:
    """What may be in a place: its value, its characters [start, end), and 0 where nothing speaks
    against it."""

    value: str
    start: int
    end: int
    doubt: int = 0

    def overlaps(self, other: "Candidate") -> bool:
        """Whether the two share a character."""
        return self.start < other.end and other.start < self.end


class GuidedReader:
    """Reads texts of one language by guidance."""

    def __init__(self, dictionary: NameDictionary, language: Language) -> None:
        self._finder = NameFinder(dictionary, dictionary.open_mentions(language), language)
        self._acronyms = dictionary.acronyms

    def read(self, text: str, guidance: Sequence[GuidanceStep]) -> PlanNode | None:
        """The plan of the guidance from the names of a text; its named values are typed values,
        numbers, or a type and a name with ``BREAK`` between them. None where the text does not name
        what the steps need."""
        search = NameSearch(text, list(self._finder.list_candidates(text)), self._acronyms)
        filled = [
            (cost, fill_tree(tree, chosen))
            for tree in list_trees(guidance)
            for cost, chosen in search.fill(list_slots(tree))
        ]
        # min() keeps the first of equals: the first tree, the first in the text.
        return min(filled, key=lambda plan: plan[0])[1] if filled else None


# --- trees ------------------------------------------------------------------------------


def list_trees(guidance: Sequence[GuidanceStep]) -> list[PlanNode]:
    """The trees that the masked triples may be of, with empty places for what is named; [] where
    they are no triples of such steps."""
    kinds = _list_kinds(guidance)
    return list(_grow_trees(kinds, ())) if kinds else []


def _list_kinds(guidance: Sequence[GuidanceStep]) -> list[str]:
    """The steps: there is a triple for each input of a step. [] where the triples are of no such
    steps."""
    kinds = []
    place = 0
    while place < len(guidance):
        kind = STEP_KINDS.get(guidance[place].predicate)
        if kind is None:
            return []
        steps = guidance[place : place + len(kind.inputs)]
        if [step.predicate for step in steps] != [kind.name] * len(kind.inputs):
            return []
        kinds.append(kind.name)
        place += len(kind.inputs)
    return kinds


def _grow_trees(kinds: Sequence[str], grown: tuple[PlanNode, ...]) -> Iterator[PlanNode]:
    """The trees of which all steps are used; ``grown`` are those that wait for a step to take
    them, in their order."""
    if not kinds:
        if len(grown) == 1:
            yield grown[0]
        return
    kind = STEP_KINDS[kinds[0]]
    for count in range(min(len(grown), len(kind.inputs)), -1, -1):
        taken = grown[len(grown) - count :]
        for places in itertools.combinations(range(len(kind.inputs)), count):
            inputs = [LEAF] * len(kind.inputs)
            for place, node in zip(places, taken, strict=True):
                inputs[place] = node
            outputs = [STEP_KINDS[node.kind].output for node in taken]
            if all(
                fits_type(output, kind.inputs[place])
                for place, output in zip(places, outputs, strict=True)
            ):
                node = PlanNode(kind.name, tuple(inputs))
                yield from _grow_trees(kinds[1:], (*grown[: len(grown) - count], node))


def list_slots(tree: PlanNode) -> list[Slot]:
    """The empty places of a tree, in the order of ``PlanNode.walk``."""
    slots: list[Slot] = []
    for place, node in enumerate(tree.inputs):
        if node.is_named:
            slots.append(Slot(tree.step_kind.inputs[place], tree.kind, place))
        else:
            slots += list_slots(node)
    return slots


def fill_tree(tree: PlanNode, chosen: Sequence[Candidate]) -> PlanNode:
    """The tree with what was chosen for its places."""
    return _fill_places(tree, iter(chosen))


def _fill_places(tree: PlanNode, chosen: Iterator[Candidate]) -> PlanNode:
    if tree.is_named:
        return PlanNode(NAMED, value=next(chosen).value)
    return PlanNode(tree.kind, tuple(_fill_places(node, chosen) for node in tree.inputs))


# --- names ------------------------------------------------------------------------------


class NameSearch:
    """The search for what one text names."""

    def __init__(self, text: str, names: Sequence[Name], acronyms: Sequence[str]) -> None:
        self._text = text
        self._acronyms = acronyms
        self._names = names
        self._numbers = _list_numbers(names)

    def fill(self, slots: Sequence[Slot]) -> Iterator[tuple[tuple[int, ...], list[Candidate]]]:
        """Each way to fill the places, with what speaks against it, the least first in order of
        weight."""
        candidates = [self._list_candidates(slot)[:_MAX_CANDIDATES] for slot in slots]
        for chosen in itertools.product(*candidates):
            if self._is_possible(slots, chosen):
                yield self._weigh(slots, chosen), list(chosen)

    def _is_possible(self, slots: Sequence[Slot], chosen: Sequence[Candidate]) -> bool:
        """Whether each name has a place of its own, but for a date, which several steps may be of,
        and no number is left over."""
        others = [
            candidate for slot, candidate in zip(slots, chosen, strict=True) if slot.type != "date"
        ]
        for first, second in itertools.combinations(others, 2):
            if first.overlaps(second) or first.value == second.value:
                return False
        values = {candidate.value for candidate in chosen}
        return all(
            value in values or any(number.overlaps(candidate) for candidate in chosen)
            for value, number in self._numbers.items()
        )

    def _weigh(self, slots: Sequence[Slot], chosen: Sequence[Candidate]) -> tuple[int, ...]:
        placed = list(zip(slots, chosen, strict=True))
        doubt = sum(candidate.doubt for candidate in chosen)
        distance = sum(
            self._measure_distance(slot, candidate)
            for slot, candidate in placed
            if slot.type == "date"
        )
        length = sum(candidate.end - candidate.start for candidate in chosen)
        starts = [candidate.start for slot, candidate in placed if slot.type != "date"]
        swaps = sum(first > second for first, second in itertools.combinations(starts, 2))
        return doubt, distance, -length, swaps, *starts

    def _measure_distance(self, slot: Slot, candidate: Candidate) -> int:
        """How far a date is from the name of the registry that the step asks, in characters."""
        if len(self._list_candidates(slot)) == 1:
            return 0
        places = [
            match.start()
            for source in STEP_KINDS[slot.kind].sources
            if source in _SOURCE_WORDS
            for match in _SOURCE_WORDS[source].finditer(self._text)
        ]
        return min((abs(place - candidate.start) for place in places), default=_FAR)

    # --- candidates -------------------------------------------------------------------

    def _list_candidates(self, slot: Slot) -> list[Candidate]:
        """What may be in a place, each value once, the surest first."""
        candidates = sorted(self._find(slot), key=lambda c: (c.doubt, c.start, c.start - c.end))
        first: dict[str, Candidate] = {}
        for candidate in candidates:
            first.setdefault(candidate.value, candidate)
        return list(first.values())

    def _find(self, slot: Slot) -> Iterator[Candidate]:
        if slot.type in _NUMBERED_TYPES:
            yield from self._find_numbers(slot.type)
        elif slot.type in ("date", "year"):
            yield from self._find_dates(slot.type)
        elif slot.type == "value":
            yield from self._find_modes()
        elif slot.type == "category":
            yield from self._find_scores()
        elif slot.type == "text":
            yield from self._find_texts(slot)
        else:
            yield from self._find_entities(slot.type)

    def _find_numbers(self, number_type: str) -> Iterator[Candidate]:
        yield from _take_options(self._names, number_type)
        if number_type == "patent":
            for match in _PATENT_NUMBER.finditer(self._text):
                number = re.sub(r"[\s,]", "", match["number"])
                yield Candidate(make_patent_id(number), *match.span())
        elif number_type == "application":
            for match in _APPLICATION_NUMBER.finditer(self._text):
                for doubt, kind in enumerate(_APPLICATION_KINDS):
                    value = f"FDA:{kind}{int(match['number']):06}"
                    yield Candidate(value, *match.span(), doubt)
        elif number_type == "paper":
            for match in _PAPER_NUMBER.finditer(self._text):
                yield Candidate(f"PMID:{match['number']}", *match.span())
            for match in _QUOTED.finditer(self._text):
                title = _read_quoted(match).rstrip(".,")
                if len(title.split()) >= _MIN_TITLE_WORDS:
                    yield Candidate(f"paper{BREAK}{title}", *match.span())

    def _find_dates(self, date_type: str) -> Iterator[Candidate]:
        for name in self._names:
            for value, value_type in name.options:
                iso = value.removeprefix(_DATE_VALUE)
                is_full = len(iso) == _FULL_DATE
                if value_type == date_type and value != iso and is_full == (date_type == "date"):
                    yield Candidate(value, name.start, name.end)

    def _find_modes(self) -> Iterator[Candidate]:
        words = {
            "dominant": _DOMINANT.search(self._text),
            "recessive": _RECESSIVE.search(self._text),
        }
        manners = [manner for manner, match in words.items() if match]
        manner = manners[0] if len(manners) == 1 else ""
        for mode in _take_options(self._names, "value"):
            # "X-linked" alone, where a manner stands elsewhere, is half of a mode.
            yield replace(mode, doubt=2) if manner and mode.value == _X_LINKED_MODE else mode
        for pattern, modes in (
            (_AUTOSOMAL, {"dominant": "HP:0000006", "recessive": "HP:0000007"}),
            (_X_LINKED, {"": _X_LINKED_MODE, "recessive": "HP:0001419", "dominant": "HP:0001423"}),
            (_MITOCHONDRIAL, {"": "HP:0001427"}),
        ):
            match = pattern.search(self._text)
            if match and manner in modes:
                # The mode as written in one piece comes first.
                yield Candidate(modes[manner], *match.span(), doubt=1)

    def _find_scores(self) -> Iterator[Candidate]:
        for match in _SCORE.finditer(self._text):
            is_article = match["score"] == "A" and _ENDS_SENTENCE.search(
                self._text, 0, match.start()
            )
            if match["score"] in SCORES and not is_article:
                is_sure = _BEFORE_SCORE.search(self._text, 0, match.start())
                value = make_value_id(LiteralValue("category", match["score"]))
                yield Candidate(value, *match.span(), 0 if is_sure else 1)

    def _find_texts(self, slot: Slot) -> Iterator[Candidate]:
        if slot.is_letter:
            yield from self._find_letters()
        elif slot.kind == "trial_by_acronym":
            yield from self._find_acronyms()
        else:
            for match in _QUOTED.finditer(self._text):
                value = make_value_id(LiteralValue("text", _read_quoted(match)))
                yield Candidate(value, *match.span())

    def _find_letters(self) -> Iterator[Candidate]:
        quoted = [match.span() for match in _QUOTED.finditer(self._text)]
        for match in _LETTER.finditer(self._text):
            letter, (start, end) = match["letter"], match.span()
            is_sure = _BEFORE_LETTER.search(self._text, 0, start)
            is_word = letter == "I" or _ENDS_SENTENCE.search(self._text, 0, start)
            is_inside = any(first < start and end < last for first, last in quoted)
            is_long = any(
                first < start and end < last and last - first > len('"A"') for first, last in quoted
            )
            if (is_sure or not is_word) and not (is_inside and is_long):
                value = make_value_id(LiteralValue("text", letter))
                yield Candidate(value, start, end, 0 if is_sure else 1)

    def _find_acronyms(self) -> Iterator[Candidate]:
        for name in self._names:
            for value, value_type in name.options:
                if value_type == "text" and name.text == value.removeprefix(_TEXT_VALUE):
                    yield Candidate(value, name.start, name.end)
        for acronym in self._acronyms:
            for match in _find_word(acronym, self._text):
                value = make_value_id(LiteralValue("text", acronym))
                yield Candidate(value, *match.span(), 1 + is_common(acronym))
        for match in _ACRONYM.finditer(self._text):
            group = "after" if match["after"] else "before"
            value = make_value_id(LiteralValue("text", match[group]))
            yield Candidate(value, *match.span(group), doubt=2)

    def _find_entities(self, step_type: str) -> Iterator[Candidate]:
        named = [name for name in self._names if _has_type(name, step_type)]
        for name in named:
            # The longest name counts: "choline fenofibrate", not "fenofibrate".
            is_part = any(
                other.start <= name.start
                and name.end <= other.end
                and other.end - other.start > name.end - name.start
                for other in named
            )
            if not is_part:
                text = _strip_possessive(name.text)
                doubt = int(is_common(text))
                yield Candidate(f"{step_type}{BREAK}{text}", name.start, name.end, doubt)


def _strip_possessive(written: str) -> str:
    """A name as it is without what the sentence adds: "Amgen's", "Amgen."."""
    return _POSSESSIVE.sub("", written.rstrip("."))


def _find_word(word: str, text: str) -> Iterator[re.Match[str]]:
    if word in text:
        yield from re.finditer(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text, re.ASCII)


def _has_type(name: Name, step_type: str) -> bool:
    return any(fits_type(value_type, step_type) for _, value_type in name.options)


def _take_options(names: Sequence[Name], wanted: str) -> Iterator[Candidate]:
    for name in names:
        for value, value_type in name.options:
            if value_type == wanted:
                yield Candidate(value, name.start, name.end)


def _list_numbers(names: Sequence[Name]) -> dict[str, Candidate]:
    """The numbers of registries that a text names, by their value."""
    return {
        candidate.value: candidate
        for number_type in _NUMBERED_TYPES
        for candidate in _take_options(names, number_type)
    }


def _read_quoted(match: re.Match[str]) -> str:
    return next(group for group in match.groups() if group).strip()
