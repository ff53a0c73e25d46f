"""Reads a question's text into a plan over names: the first step of the rules teacher.

The grammar is that of ``questions.wording``, over a table in which every name exists: the teacher
knows no entity, so any words may be a name, and of several readings the one that takes the fewest
words for names is meant. With guidance (kinds of steps and types, never entities) only readings of
those steps count. A question in other words than the grammar knows, such as one that a model has
rephrased, has no plan.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medr_ray.core.records import GuidanceStep, Language, LiteralKind, LiteralValue, NodeType
from medr_ray.graph.facts.fact_table import FactTable, TableEntity
from medr_ray.graph.facts.registry_relations import make_value_id
from medr_ray.questions.plans import NAMED, PlanNode
from medr_ray.questions.wording.grammar import read_question
from medr_ray.questions.wording.mentions import Mentions
from medr_ray.trajectories.solver.name_ids import make_name_id, make_title_id

_NUMBERED: Mapping[NodeType, re.Pattern[str]] = {
    "trial": re.compile(r"NCT:NCT\d{8}"),
    "application": re.compile(r"FDA:(?:NDA|BLA|ANDA)\d{6}"),
    "paper": re.compile(r"PMID:\d+"),
    "patent": re.compile(r"PATENT:US\w+"),
}
_NAMED_TYPES: tuple[NodeType, ...] = (
    "drug",
    "disease",
    "gene",
    "company",
    "institution",
    "person",
    "journal",
    "paper",
)
_BREAK = "|"  # between the type and the name in an id of the table below
# The closed sets that questions name members of: modes of inheritance, and LiverTox's scores.
MODES: Mapping[str, str] = {
    "HP:0000006": "Autosomal dominant inheritance",
    "HP:0000007": "Autosomal recessive inheritance",
    "HP:0001417": "X-linked inheritance",
    "HP:0001419": "X-linked recessive inheritance",
    "HP:0001423": "X-linked dominant inheritance",
    "HP:0001427": "Mitochondrial inheritance",
}
_SCORES = ("A", "A[HD]", "B", "B[HD]", "C", "C[HD]", "D", "D[HD]", "E", "E*", "E[HD]", "X")


@dataclass(frozen=True)
class NamedPlan:
    """A plan whose named nodes have ids of names (``name_ids``); ``names`` are (type, name) as the
    question writes it, by id."""

    plan: PlanNode
    names: Mapping[str, tuple[NodeType, str]]


class _AnyNameTable(FactTable):
    """A table in which every name and every number of a registry exists.

    The id of a name is its type with the name, because the same words may name things of several
    types.
    """

    def __init__(self) -> None:
        super().__init__({term: TableEntity("value", (name,)) for term, name in MODES.items()})

    def find_by_name(self, name: str) -> Sequence[str]:
        """An id for each type that the name may be of."""
        return [f"{name_type}{_BREAK}{name.rstrip('.')}" for name_type in _NAMED_TYPES]

    def type_of(self, entity_id: str) -> NodeType | None:
        """The type that the id says."""
        for name_type, pattern in _NUMBERED.items():
            if pattern.fullmatch(entity_id):
                return name_type
        named_type = entity_id.partition(_BREAK)[0]
        types = (name_type for name_type in _NAMED_TYPES if name_type == named_type)
        return next(types, super().type_of(entity_id))

    def list_values(self, kind: LiteralKind) -> list[str]:
        """The members of the closed sets."""
        if kind != "category":
            return []
        return [make_value_id(LiteralValue("category", score)) for score in _SCORES]


def read_plan(
    text: str, language: Language = "en", guidance: Sequence[GuidanceStep] | None = None
) -> NamedPlan | None:
    """The plan of a question; None when its wording is unknown or no reading fits the guidance."""
    readings = read_question(text, Mentions(_AnyNameTable(), language), language)
    plans = [reading.plan for reading in readings]
    if guidance is not None:
        plans = [plan for plan in plans if follows_guidance(plan, guidance)]
    if not plans:
        return None
    names: dict[str, tuple[NodeType, str]] = {}
    return NamedPlan(_rename(min(plans, key=_count_name_characters), names), names)


def follows_guidance(plan: PlanNode, guidance: Sequence[GuidanceStep]) -> bool:
    """Whether the steps of a plan are those of the masked triples, in their order."""
    # There is a triple for each input of a step.
    steps = [node.kind for node in plan.walk() for _ in node.inputs]
    return steps == [step.predicate for step in guidance]


def _count_name_characters(plan: PlanNode) -> int:
    return sum(
        len(node.value.rpartition(_BREAK)[2])
        for node in plan.walk()
        if node.is_named and _BREAK in node.value
    )


def _rename(node: PlanNode, names: dict[str, tuple[NodeType, str]]) -> PlanNode:
    """The plan with ids of names; the names are noted by their ids."""
    if not node.is_named:
        return PlanNode(node.kind, tuple(_rename(given, names) for given in node.inputs))
    name_type, separator, name = node.value.partition(_BREAK)
    if node.value in MODES:
        name_type, separator, name = "value", _BREAK, MODES[node.value]
    if not separator:
        return node
    name_id = make_title_id(name) if name_type == "paper" else make_name_id(name_type, name)
    types: dict[str, NodeType] = {named_type: named_type for named_type in (*_NAMED_TYPES, "value")}
    names[name_id] = (types[name_type], name)
    return PlanNode(NAMED, value=name_id)
