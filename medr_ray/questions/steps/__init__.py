"""The kinds of steps that plans are made of: a module for each registry or curated table.

A new kind is one ``StepKind`` in its module: how it is found in the facts, and its words.
"""

from medr_ray.questions.steps import (
    approvals,
    arms,
    companies,
    comparisons,
    diseases,
    labels,
    monographs,
    protection,
    selections,
    trials,
)
from medr_ray.questions.steps.kinds import StepKind

STEP_KINDS: dict[str, StepKind] = {
    kind.name: kind
    for module in (
        trials,
        arms,
        approvals,
        protection,
        companies,
        comparisons,
        selections,
        labels,
        monographs,
        diseases,
    )
    for kind in module.KINDS
}

# What the steps and the specialties of plans read of the facts.
PREDICATES_READ = frozenset(
    {
        "active_ingredient",
        "adverse_reaction_share",
        "application_sponsor",
        "arm_among_others",
        "arm_intervention",
        "associated_gene",
        "collaborator",
        "enrolment",
        "exclusivity_end_date",
        "first_us_approval_year",
        "has_inheritance",
        "has_prevalence",
        "has_product",
        "label_generic_name",
        "label_substance",
        "lead_sponsor",
        "liver_injury_likelihood",
        "liver_injury_likelihood_in_use",
        "marketing_status",
        "molecular_weight",
        "one_of_exclusivity_end_dates",
        "onset_period",
        "original_approval_date",
        "other_condition",
        "other_intervention",
        "overall_official",
        "patent_expiry_date",
        "primary_outcome_result",
        "protected_by_patent",
        "registered_as",
        "reports_results_in",
        "review_priority",
        "serious_adverse_events",
        "start_date",
        "studies_among_others",
        "studies_condition",
        "studies_intervention",
        "study_type",
        "submission_class",
        "trade_name",
        "trial_acronym",
        "trial_arm",
        "trial_country",
        "trial_title",
        "us_approval_year",
    }
)
