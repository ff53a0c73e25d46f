"""Reads a question's text into a plan: the first step of the rules teacher.

A text may allow several readings. While exploring, the teacher takes the likeliest. With guidance
(relations and types, never entities) it takes the first reading that the guidance describes. A
question in other words than the grammars know, such as one that a model has rephrased, has no plan.
"""

from collections.abc import Mapping, Sequence

from medr_ray.core.records import GuidanceStep, Language
from medr_ray.knowledge.predicates import directed_name
from medr_ray.trajectories.solver.chinese import ChineseGrammar
from medr_ray.trajectories.solver.english import EnglishGrammar
from medr_ray.trajectories.solver.plans import Plan, PlanHop
from medr_ray.trajectories.solver.question_grammar import QuestionGrammar

_GRAMMARS: Mapping[str, QuestionGrammar] = {"en": EnglishGrammar(), "zh": ChineseGrammar()}


def read_question(
    text: str, language: Language = "en", guidance: Sequence[GuidanceStep] | None = None
) -> Plan | None:
    """The plan of a question; None when its wording is unknown or no reading fits the guidance."""
    # Readings are generated lazily, the likeliest first: parsing stops at the one that fits.
    for plan in _GRAMMARS[language].parse(text):
        if guidance is None or follows_guidance(plan, guidance):
            return plan
    return None


def follows_guidance(plan: Plan, guidance: Sequence[GuidanceStep]) -> bool:
    """Whether the hops of a plan are those of the masked triples, in their order."""
    return len(plan.hops) == len(guidance) and all(map(_is_same_step, plan.hops, guidance))


def _is_same_step(hop: PlanHop, step: GuidanceStep) -> bool:
    also = tuple(
        directed_name(condition.predicate.name, condition.forward) for condition in hop.also
    )
    return (hop.directed_predicate, hop.clinical, also) == (
        step.predicate,
        step.clinical,
        step.also,
    )
