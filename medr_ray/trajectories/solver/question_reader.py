"""Reads a question's text into a plan over names: the first step of the rules teacher.

The grammar is that of ``questions.wording``, over a table in which every name exists: the teacher
knows no entity, so any words may be a name, and of several readings the one that takes the fewest
words for names is meant. With guidance (kinds of steps and types, never entities) only readings of
those steps count.

A question in other words than the grammar knows, such as one that a model has rephrased, is read by
its guidance (``guided_reading``), without guidance by the cues of steps (``cue_reading``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medr_ray.core.records import GuidanceStep, Language, LiteralKind, LiteralValue, NodeType
from medr_ray.graph.facts.fact_table import FactTable, TableEntity
from medr_ray.graph.facts.registry_relations import make_value_id
from medr_ray.questions.plans import NAMED, PlanNode
from medr_ray.questions.wording.grammar import read_question
from medr_ray.questions.wording.mentions import Mentions
from medr_ray.trajectories.solver.cue_reading import read_by_cues
from medr_ray.trajectories.solver.dictionary import (
    MODES,
    NUMBERED,
    SCORES,
    NameDictionary,
    open_empty_dictionary,
)
from medr_ray.trajectories.solver.guided_reading import BREAK, GuidedReader
from medr_ray.trajectories.solver.name_ids import make_name_id, make_title_id

_TITLED = ("paper", "journal")
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
        return [f"{name_type}{BREAK}{name.rstrip('.')}" for name_type in _NAMED_TYPES]

    def type_of(self, entity_id: str) -> NodeType | None:
        """The type that the id says."""
        for name_type, pattern in NUMBERED.items():
            if pattern.fullmatch(entity_id):
                return name_type
        named_type = entity_id.partition(BREAK)[0]
        types = (name_type for name_type in _NAMED_TYPES if name_type == named_type)
        return next(types, super().type_of(entity_id))

    def list_values(self, kind: LiteralKind) -> list[str]:
        """The members of the closed sets."""
        if kind != "category":
            return []
        return [make_value_id(LiteralValue("category", score)) for score in SCORES]


def read_plan(
    text: str,
    language: Language = "en",
    guidance: Sequence[GuidanceStep] | None = None,
    dictionary: NameDictionary | None = None,
) -> NamedPlan | None:
    """The plan of a question; None where no reading fits the guidance, or without guidance the
    words do not say one plan. ``dictionary`` are the names that the reader knows."""
    dictionary = dictionary or open_empty_dictionary()
    readings = read_question(text, Mentions(_AnyNameTable(), language), language)
    plans = [reading.plan for reading in readings]
    fitting = [plan for plan in plans if guidance is None or follows_guidance(plan, guidance)]
    plan: PlanNode | None = None
    if guidance is None and dictionary.names_things:
        # "The one disorder that both list" is no name.
        fitting = [plan for plan in fitting if _knows_names(dictionary, plan, language)]
    if fitting:
        plan = min(fitting, key=_count_name_characters)
    elif guidance is None:
        plan = read_by_cues(text, language, dictionary)
    elif any(_knows_names(dictionary, plan, language) for plan in plans):
        # The words are those of other steps: the guidance is that of another question.
        return None
    else:
        plan = GuidedReader(dictionary, language).read(text, guidance)
    return None if plan is None else name_plan(plan)


def name_plan(plan: PlanNode) -> NamedPlan:
    """A plan whose named nodes are a type and a name with ``BREAK`` between them, numbers or typed
    values, with ids of names."""
    names: dict[str, tuple[NodeType, str]] = {}
    return NamedPlan(_rename(plan, names), names)


def _knows_names(dictionary: NameDictionary, plan: PlanNode, language: Language) -> bool:
    """Whether all words that a plan takes for names are names, or titles, which nobody knows all.
    Any words fit into the grammar where a name may stand, "the drug that …" too."""
    mentions = dictionary.open_mentions(language)
    names = [
        node.value.partition(BREAK) for node in plan.walk() if node.is_named and BREAK in node.value
    ]
    return all(
        mentions.find_entities(name) for name_type, _, name in names if name_type not in _TITLED
    )


def follows_guidance(plan: PlanNode, guidance: Sequence[GuidanceStep]) -> bool:
    """Whether the steps of a plan are those of the masked triples, in their order."""
    # There is a triple for each input of a step.
    steps = [node.kind for node in plan.walk() for _ in node.inputs]
    return steps == [step.predicate for step in guidance]


def _count_name_characters(plan: PlanNode) -> int:
    return sum(
        len(node.value.rpartition(BREAK)[2])
        for node in plan.walk()
        if node.is_named and BREAK in node.value
    )


def _rename(node: PlanNode, names: dict[str, tuple[NodeType, str]]) -> PlanNode:
    """The plan with ids of names; the names are noted by their ids."""
    if not node.is_named:
        return PlanNode(node.kind, tuple(_rename(given, names) for given in node.inputs))
    name_type, separator, name = node.value.partition(BREAK)
    if node.value in MODES:
        name_type, separator, name = "value", BREAK, MODES[node.value]
    if not separator:
        return node
    name_id = make_title_id(name) if name_type == "paper" else make_name_id(name_type, name)
    types: dict[str, NodeType] = {named_type: named_type for named_type in (*_NAMED_TYPES, "value")}
    names[name_id] = (types[name_type], name)
    return PlanNode(NAMED, value=name_id)
