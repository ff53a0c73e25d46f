"""The kinds of steps that plans are made of: a module for each registry or curated table.

A new kind is one ``StepKind`` in its module: how it is found in the facts, and its words.
"""

from medr_ray.questions.steps import approvals, diseases, monographs, papers, trials
from medr_ray.questions.steps.kinds import StepKind

STEP_KINDS: dict[str, StepKind] = {
    kind.name: kind
    for module in (trials, approvals, monographs, papers, diseases)
    for kind in module.KINDS
}
