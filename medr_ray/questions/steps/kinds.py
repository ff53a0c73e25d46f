"""What a step of a plan is: how it is found in the facts, and how it is put into words.

A plan is a tree (``questions.plans``). Each node is a step of a kind: it takes the values of its
inputs and finds one value, an entity or a typed value, with the facts that state it. A kind is
declared once, with its meaning and its wording in every language; the same wording is written and
read (``questions.wording``).
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from medr_ray.core.records import Language, LiteralValue, NodeType
from medr_ray.graph.facts.fact_table import FactTable, StatedFact
from medr_ray.graph.facts.registry_relations import make_value_id

ValueType = Literal["date", "year", "number", "category", "text"]
StepType = NodeType | ValueType


@dataclass(frozen=True)
class Finding:
    """What a step found: the id of an entity or of a typed value, "" where the record that would
    state it does not; the facts that say so; the date they are of, where they age."""

    value: str
    facts: tuple[StatedFact, ...]
    as_of: str = ""


@dataclass(frozen=True)
class Refusal:
    """Why a step cannot be asked: a check and its details, "cardinality: several sponsors"."""

    reason: str


Outcome = Finding | Refusal
Find = Callable[..., Outcome]  # (table, one id for each input)


@dataclass(frozen=True)
class Wording:
    """The words of a step in one language, several forms each.

    ``{0}`` and ``{1}`` stand for the inputs. ``noun`` names what the step finds ("the lead sponsor
    of {0}"), ``statement`` introduces it in a sentence of its own ("{0} tested a single drug."),
    after which ``reference`` means it ("that drug"). ``question`` asks for it.
    """

    noun: tuple[str, ...] = ()
    statement: tuple[str, ...] = ()
    reference: str = ""
    question: tuple[str, ...] = ()


def _no_constants(table: FactTable) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True)
class Cues:
    """What in a text speaks of a step, whatever its words (``wording.cues``): ``english`` is
    evidence for it in English, and in Chinese too where ``chinese`` says nothing else. ``asides``
    may stand beside the evidence and are none."""

    english: tuple[str, ...]
    chinese: tuple[str, ...] = ()
    asides: tuple[str, ...] = ()

    def evidence(self, language: Language) -> tuple[str, ...]:
        """The cues in a language."""
        return (self.chinese or self.english) if language == "zh" else self.english


@dataclass(frozen=True)
class StepKind:
    """A kind of step.

    ``propose`` gives the named inputs that a plan may begin with, ``constants`` the values of the
    inputs after the first where it follows another step, such as the date of a registry's file.
    ``alternatives`` are the values among which the step chooses, by the same inputs: a choice that
    decides nothing is not asked. ``hops`` is the number of look-ups that the step takes,
    ``sources`` are the registries that it asks. With ``offers_answer`` its question names the
    values among which the answer is. A kind without ``cues`` is read from its own wording alone.
    """

    name: str
    inputs: tuple[StepType, ...]
    output: StepType
    find: Find = field(compare=False)
    english: Wording
    chinese: Wording
    sources: tuple[str, ...]
    propose: Callable[[FactTable], Iterable[tuple[str, ...]]] = field(compare=False)
    constants: Callable[[FactTable], tuple[str, ...]] = field(default=_no_constants, compare=False)
    alternatives: Callable[..., Collection[str]] | None = field(default=None, compare=False)
    hops: int = 1
    offers_answer: bool = False
    cues: Cues = Cues(())

    @property
    def has_constants(self) -> bool:
        """Whether its inputs after the first are constants wherever it follows another step."""
        return self.constants is not _no_constants

    def wording(self, language: Language) -> Wording:
        """The words in a language."""
        return self.chinese if language == "zh" else self.english


# --- values that steps find ------------------------------------------------------------


def make_number(unit: str, number: int) -> str:
    """The id of a counted value."""
    return make_value_id(LiteralValue("number", str(number), float(number), unit))


def count_years(
    earlier: str, later: str, facts: tuple[StatedFact, ...], as_of: str = ""
) -> Outcome:
    """The full years between two ISO dates that facts state, where the difference of the calendar
    years is the same number: else a reader may mean either."""
    years = int(later[:4]) - int(earlier[:4])
    if years < 1 or later[4:] <= earlier[4:]:
        return Refusal("form: the full years are not those of the calendar")
    return Finding(make_number("years", years), facts, as_of)


def make_text(text: str) -> str:
    """The id of a text."""
    return make_value_id(LiteralValue("text", text))


# --- ways to find ---------------------------------------------------------------------

Accept = Callable[[StatedFact], bool]


def _accept_any(fact: StatedFact) -> bool:
    return True


def follow(predicate: str, accept: Accept = _accept_any, *, ages: bool = False) -> Find:
    """The single object of a predicate."""

    def find(table: FactTable, subject: str) -> Outcome:
        facts = [fact for fact in table.facts_of(predicate, subject) if accept(fact)]
        return take_single(facts, [fact.object for fact in facts], predicate, ages=ages)

    return find


def take_single(
    facts: Sequence[StatedFact], values: Sequence[str], name: str, *, ages: bool = False
) -> Outcome:
    """The value, where all facts have the same; a refusal where there is none or are several."""
    distinct = list(dict.fromkeys(values))
    if len(distinct) != 1:
        return Refusal(f"cardinality: {len(distinct)} values of {name}")
    dates = sorted({fact.as_of for fact in facts})
    return Finding(distinct[0], tuple(facts), dates[-1] if ages else "")


def propose_subjects(predicate: str) -> Callable[[FactTable], Iterator[tuple[str, ...]]]:
    """Every subject of a predicate."""

    def propose(table: FactTable) -> Iterator[tuple[str, ...]]:
        for subject in table.subjects(predicate):
            yield (subject,)

    return propose


def propose_objects(predicate: str) -> Callable[[FactTable], Iterator[tuple[str, ...]]]:
    """Every object of a predicate."""

    def propose(table: FactTable) -> Iterator[tuple[str, ...]]:
        for obj in table.objects(predicate):
            yield (obj,)

    return propose


def propose_with_date(
    predicate: str, find_date: Callable[[FactTable], tuple[str, ...]]
) -> Callable[[FactTable], Iterator[tuple[str, ...]]]:
    """Every object of a predicate, with the date of a registry's file."""

    def propose(table: FactTable) -> Iterator[tuple[str, ...]]:
        date = find_date(table)
        for obj in table.objects(predicate):
            yield (obj, *date)

    return propose
