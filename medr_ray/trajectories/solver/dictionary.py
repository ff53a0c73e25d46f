"""The names that the rules teacher knows as a reader knows words: those of drugs, diseases, genes,
companies, institutions and trials in the registries of a run.

It says that some words are a name, and of what type; never which of them a question is about.
Numbers of registries are known by their form alone.
"""

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from medr_ray.core.records import Language, LiteralKind, LiteralValue, NodeType
from medr_ray.core.run import Directory
from medr_ray.graph.facts.artifacts import FACT_ENTITIES
from medr_ray.graph.facts.fact_table import FactTable, TableEntity
from medr_ray.graph.facts.registry_relations import make_value_id
from medr_ray.questions.wording.mentions import Mentions

NUMBERED: Mapping[NodeType, re.Pattern[str]] = {
    "trial": re.compile(r"NCT:NCT\d{8}"),
    "application": re.compile(r"FDA:(?:NDA|BLA|ANDA)\d{6}"),
    "paper": re.compile(r"PMID:\d+"),
    "patent": re.compile(r"PATENT:US\w+"),
}
# The closed sets that questions name members of: modes of inheritance, and LiverTox's scores.
MODES: Mapping[str, str] = {
    "HP:0000006": "Autosomal dominant inheritance",
    "HP:0000007": "Autosomal recessive inheritance",
    "HP:0001417": "X-linked inheritance",
    "HP:0001419": "X-linked recessive inheritance",
    "HP:0001423": "X-linked dominant inheritance",
    "HP:0001427": "Mitochondrial inheritance",
}
SCORES = ("A", "A[HD]", "B", "B[HD]", "C", "C[HD]", "D", "D[HD]", "E", "E*", "E[HD]", "X")
_NAMED_TYPES = ("drug", "substance", "disease", "gene", "company", "institution", "person")
_PAPERS = "pubmed"  # their authors and the addresses of these are named by no question
_ACRONYM_WORDS = 3  # at most; a longer name of a trial is a title
_TRIAL_NUMBER = NUMBERED["trial"]


class NameDictionary(FactTable):
    """A table of names without facts. Every number of a registry is taken to exist."""

    def __init__(self, entities: Mapping[str, TableEntity], acronyms: Sequence[str] = ()) -> None:
        modes = {term: TableEntity("value", (name,)) for term, name in MODES.items()}
        table = FactTable.build((), {**entities, **modes})
        super().__init__(table.entities, _by_name=table._by_name)
        self.acronyms = tuple(acronyms)  # of trials, as written
        self._acronym_values = [make_value_id(LiteralValue("text", name)) for name in acronyms]
        self._mentions: dict[Language, Mentions] = {}

    @classmethod
    def from_facts(cls, directory: Directory) -> "NameDictionary":
        """The names of a finished facts stage."""
        columns = ["entity_id", "entity_type", "names", "source"]
        table = directory.read_columns(FACT_ENTITIES, columns)
        is_named = pc.is_in(table["entity_type"], value_set=pa.array((*_NAMED_TYPES, "trial")))
        chosen = table.filter(pc.and_(is_named, pc.not_equal(table["source"], _PAPERS)))
        return cls.from_rows(chosen.to_pylist())

    @classmethod
    def from_rows(cls, rows: Sequence[Mapping[str, Any]]) -> "NameDictionary":
        """The names of rows with ``entity_id``, ``entity_type`` and ``names``."""
        entities: dict[str, TableEntity] = {}
        acronyms: dict[str, None] = {}
        for row in rows:
            if row["entity_type"] == "trial":
                acronyms.update(dict.fromkeys(filter(_is_acronym, row["names"])))
            elif row["entity_type"] in _NAMED_TYPES:
                entities[row["entity_id"]] = TableEntity(row["entity_type"], tuple(row["names"]))
        return cls(entities, sorted(acronyms))

    @property
    def names_things(self) -> bool:
        """Whether it knows a name at all, beside those of the closed sets."""
        return len(self.entities) > len(MODES)

    def open_mentions(self, language: Language) -> Mentions:
        """How a language mentions the names, made once."""
        if language not in self._mentions:
            self._mentions[language] = Mentions(self, language)
        return self._mentions[language]

    def type_of(self, entity_id: str) -> NodeType | None:
        """The type of an entity, or the one that the form of a number says."""
        for name_type, pattern in NUMBERED.items():
            if pattern.fullmatch(entity_id):
                return name_type
        return super().type_of(entity_id)

    def objects(self, predicate: str) -> Sequence[str]:  # type: ignore[override]
        """The acronyms of trials; nothing of any other predicate."""
        return self._acronym_values if predicate == "trial_acronym" else ()

    def list_values(self, kind: LiteralKind) -> list[str]:
        """The members of the closed sets."""
        if kind != "category":
            return []
        return [make_value_id(LiteralValue("category", score)) for score in SCORES]


@functools.cache
def open_empty_dictionary() -> NameDictionary:
    """The dictionary of a reader who knows no name: numbers, dates and closed sets alone."""
    return NameDictionary({})


def _is_acronym(name: str) -> bool:
    return len(name.split()) <= _ACRONYM_WORDS and not _TRIAL_NUMBER.fullmatch(f"NCT:{name}")
