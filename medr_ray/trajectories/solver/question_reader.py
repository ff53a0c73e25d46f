"""A question read back into the plan of its walks, from its wording alone or led by the masked
guidance.

The rules teacher's eyes on the question. A wording may allow several readings; exploration takes
the likeliest, and guidance (relations and types, never entities) picks the one it describes. A
question in words of another kind, such as a model's, is not read.
"""

from collections.abc import Mapping, Sequence

from medr_ray.core.records import GuidanceStep, Language
from medr_ray.knowledge.predicates import directed_name
from medr_ray.trajectories.solver.chinese import Chinese
from medr_ray.trajectories.solver.english import English
from medr_ray.trajectories.solver.plans import Hop, Plan
from medr_ray.trajectories.solver.question_grammar import Grammar

_GRAMMARS: Mapping[str, Grammar] = {"en": English(), "zh": Chinese()}


def read_question(
    text: str, language: Language = "en", guidance: Sequence[GuidanceStep] | None = None
) -> Plan | None:
    """The plan of a question; None when its wording is unknown, or says something else than the
    guidance."""
    plans = _GRAMMARS[language].read(text)
    return next((plan for plan in plans if guidance is None or is_guided_by(plan, guidance)), None)


def is_guided_by(plan: Plan, guidance: Sequence[GuidanceStep]) -> bool:
    """Whether the plan walks as the masked triples say."""
    return len(plan.hops) == len(guidance) and all(map(_is_step, plan.hops, guidance))


def _is_step(hop: Hop, step: GuidanceStep) -> bool:
    also = tuple(
        directed_name(condition.predicate.name, condition.forward) for condition in hop.also
    )
    return (hop.directed_predicate, hop.clinical, also) == (
        step.predicate,
        step.clinical,
        step.also,
    )
