"""Questions in a person's words, with the plan that each means: ``rewrites.json``, over real facts.

``natural`` texts mean the plan of their case, ``changed`` ones another. Those of ``SET_ASIDE`` were
written before the cues of the back-reader and were not looked at while these were made.
"""

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medr_ray.core.records import Language
from medr_ray.graph.facts.fact_table import FactTable, StatedFact, TableEntity
from medr_ray.questions.plans import PlanNode, name
from medr_ray.questions.wording.model_writer import Draft

_FILE = Path(__file__).parents[1] / "questions" / "wording" / "rewrites.json"


@functools.cache
def _content() -> dict[str, Any]:
    return json.loads(_FILE.read_text(encoding="utf-8"))


@functools.cache
def rewrites_table() -> FactTable:
    """Of a real run's facts, what the texts name, and all that has the same name."""
    content = _content()
    entities = {
        entity_id: TableEntity(entity["type"], tuple(entity["names"]))
        for entity_id, entity in content["entities"].items()
    }
    facts = [
        StatedFact(str(i), trial, "trial_acronym", acronym, None, "", (), "clinical_trials", trial)
        for i, (trial, acronym) in enumerate(content["acronyms"])
    ]
    return FactTable.build(facts, entities)


@dataclass(frozen=True)
class Rewrite:
    """A plan, and texts by language."""

    name: str
    plan: PlanNode
    as_of: str
    hidden: tuple[str, ...]
    plain: dict[str, str]
    natural: dict[str, str]
    changed: dict[str, str]

    def draft(self, language: Language) -> Draft:
        return Draft(self.plan, self.as_of, self.plain[language], self.hidden)


def plan_of(tree: Any) -> PlanNode:
    """A plan from a list: the step, then its inputs; a string is what the question names."""
    if isinstance(tree, str):
        return name(tree)
    return PlanNode(tree[0], tuple(map(plan_of, tree[1:])))


def _read(part: str) -> list[Rewrite]:
    return [
        Rewrite(
            case["name"],
            plan_of(case["plan"]),
            case["as_of"],
            tuple(case["hidden"]),
            case["plain"],
            case["natural"],
            case["changed"],
        )
        for case in _content()[part]
    ]


REWRITES = _read("cases")
SET_ASIDE = _read("set_aside")
