"""The searches for each look-up: their words, and the registry that would state it.

The words are the names that are known and what is looked for, as a record may have it, not as the
question has it. Several phrasings of a look-up are tried one after the other.
"""

import functools
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, cast

from medr_ray.core.config.trajectories import TeachingStyle
from medr_ray.core.prompts import read_package_json
from medr_ray.core.records import FactSource
from medr_ray.questions.steps import STEP_KINDS
from medr_ray.retrieval.documents import (
    FDA_APPROVALS,
    FDA_LABELS,
    HPO,
    LIVERTOX,
    PUBMED,
    REGISTRIES,
    TRIALS,
)
from medr_ray.retrieval.registry_records import find_kind
from medr_ray.trajectories.solver.notes import Notes
from medr_ray.trajectories.solver.rules import LookUp, PlannedCall

# Whose documents have the records of a registry, the best first: where its files are not indexed,
# the snapshot's records are.
_INDEX_SOURCES: Mapping[FactSource, tuple[str, ...]] = {
    "clinical_trials": (TRIALS, REGISTRIES),
    "drugs_at_fda": (FDA_APPROVALS, REGISTRIES),
    "orange_book": (FDA_APPROVALS, REGISTRIES),
    "drug_labels": (FDA_LABELS, REGISTRIES),
    "livertox": (LIVERTOX, REGISTRIES),
    "orphanet": (REGISTRIES,),
    "hpo": (HPO,),
    "pubmed": (PUBMED,),
}
T = TypeVar("T")


@dataclass(frozen=True)
class Query:
    """The words of a search, the sources of the index that may have the record, the best first, and
    the kind of evidence that it is among the records of registries."""

    text: str
    sources: tuple[str, ...]
    kind: str
    registry: FactSource | Literal[""] = ""

    def plan_call(self, place: int = 0, page: int = 1) -> PlannedCall:
        """The call of this search; ``place`` counts the phrasings before."""
        return PlannedCall(self.text, self.sources, "", self.kind, place, page, self.registry)


class QueryWriter:
    """Writes the searches of one episode.

    In the style "plain" the phrasings of a look-up come in a fixed order; in "natural" the question
    decides where among them it begins. ``is_guided``: whether the teacher has been shown which
    steps the question takes. Without that it does not know yet which registry has the answer: it
    begins with a search of all sources.
    """

    def __init__(self, style: TeachingStyle, question: str, is_guided: bool = True) -> None:
        self._style: TeachingStyle = style
        self._seed = question
        self._is_broad = style == "natural" and not is_guided
        self._broad: LookUp | None = None

    def generate(self, look_up: LookUp, notes: Notes) -> Iterator[Query]:
        """The searches for a look-up, in the order in which they are tried."""
        phrasings = [*self._word(look_up, notes)]
        if self._is_broad and self._broad in (None, look_up):
            self._broad = look_up
            *phrasings, (_, text) = phrasings
            yield Query(text, (), "")
        for source, text in phrasings:
            yield make_query(source, text)

    def write_goal(self, look_up: LookUp, notes: Notes) -> str:
        """What a record is read for."""
        return next(text for _, text in self._word(look_up, notes))

    def _word(self, look_up: LookUp, notes: Notes) -> Iterator[tuple[FactSource, str]]:
        names = [notes.print_name(value) for value in look_up.inputs]
        dates = {
            f"iso{place}": value.rpartition("/")[2] for place, value in enumerate(look_up.inputs)
        }
        title = notes.print_title(look_up.inputs[0])
        phrasings = list_phrasings(look_up.kind, self._style)
        if self._style == "natural":
            phrasings = _rotate(phrasings, self._hash(look_up))
        for source, phrasing in phrasings:
            yield source, phrasing.format(*names, title=title, **dates)

    def _hash(self, look_up: LookUp) -> int:
        return zlib.crc32(f"{self._seed}/{look_up}".encode())


def _rotate(items: Sequence[T], places: int) -> Sequence[T]:
    start = places % len(items)
    return [*items[start:], *items[:start]]


def list_phrasings(kind: str, style: TeachingStyle = "plain") -> Sequence[tuple[FactSource, str]]:
    """(registry, words) for each phrasing of a kind's searches (``queries.json``); a kind without
    words of its own is searched by its name."""
    phrasings: Mapping[str, Sequence[tuple[FactSource, str]]] = _read_phrasings()[style]
    if kind in phrasings:
        return phrasings[kind]
    # Sources of kinds are registries.
    sources = cast(tuple[FactSource, ...], STEP_KINDS[kind].sources)
    words = kind.replace("_", " ")
    return tuple((source, f"{{0}} {words}") for source in sources)


def list_looked_up_kinds() -> Collection[str]:
    """The kinds that records are searched for; others are worked out from these."""
    return frozenset(_read_phrasings()["plain"])


@functools.cache
def _read_phrasings() -> Any:
    return read_package_json("medr_ray.trajectories.solver", "queries.json")


def make_query(source: FactSource, text: str) -> Query:
    """A search among the records of a registry."""
    return Query(text, _INDEX_SOURCES[source], find_kind(source), source)
