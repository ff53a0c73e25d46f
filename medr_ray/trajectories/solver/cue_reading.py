"""Reads a question in any words without guidance: by the cues of steps, as questions are read back
(``questions.wording.back_reading``), among the chains of steps that questions have.

Words that are in no vocabulary are passed over, which a writer's text would not be forgiven: a
reader of a question need not prove that it says nothing else. But each step has its evidence, each
name and each word that tells plans apart has a place, and of the chains that fit one leaves the
fewest words over and is spoken of the most; else the question stays unread.
"""

import functools
from collections.abc import Sequence

from medr_ray.core.records import Language
from medr_ray.questions.plans import PlanNode
from medr_ray.questions.shapes import SHAPES, Chain
from medr_ray.questions.steps import STEP_KINDS
from medr_ray.questions.wording.back_reading import CueReading, unify_plan
from medr_ray.questions.wording.name_finding import Name, NameFinder
from medr_ray.trajectories.solver.dictionary import NameDictionary
from medr_ray.trajectories.solver.guided_reading import (
    LEAF,
    Candidate,
    NameSearch,
    fill_tree,
    list_slots,
)

# What a text names of these types has a place in the plan. Companies stand in the names of others.
_PLACED_TYPES = frozenset({"drug", "substance", "disease", "gene", "trial", "patent", "value"})


def read_by_cues(text: str, language: Language, dictionary: NameDictionary) -> PlanNode | None:
    """The plan that the words of a text say, over names as ``GuidedReader`` has them; None where
    they say none, or several as much."""
    finder = NameFinder(dictionary, dictionary.open_mentions(language), language)
    names = finder.find(text)
    reading = CueReading(text, names, language)
    search = NameSearch(text, list(finder.list_candidates(text)), dictionary.acronyms)
    evidence: dict[PlanNode, tuple[int, ...]] = {}
    for tree in _list_trees():
        filled = min(search.fill(list_slots(tree)), key=lambda entry: entry[0], default=None)
        if filled is None or _list_unplaced(names, filled[1]):
            continue
        plan = fill_tree(tree, filled[1])
        weight = reading.weigh_evidence(plan)
        if weight is not None:
            # Of plans of which as many words speak, the one without a detour.
            evidence[plan] = (*weight, -plan.hops)
    best = [plan for plan, weight in evidence.items() if weight == max(evidence.values())]
    return best[0] if len(set(map(unify_plan, best))) == 1 else None


def _list_unplaced(names: Sequence[Name], chosen: Sequence[Candidate]) -> list[Name]:
    """The names without a place; one that is said twice has that of the first."""
    values = {candidate.value.casefold() for candidate in chosen}
    return [
        name
        for name in names
        if any(value_type in _PLACED_TYPES for _, value_type in name.options)
        and not any(part.start < name.end and name.start < part.end for part in chosen)
        and not any(value.endswith(name.text.casefold()) for value in values)
    ]


@functools.cache
def _list_trees() -> list[PlanNode]:
    chains = dict.fromkeys(chain for shape in SHAPES.values() for chain in shape.chains)
    return [_build_tree(chain) for chain in chains]


def _build_tree(chain: Chain) -> PlanNode:
    """The chain with empty places for what is named."""
    node = LEAF
    for kind in chain:
        named = [LEAF] * (len(STEP_KINDS[kind].inputs) - 1)
        node = PlanNode(kind, (node, *named))
    return node
