"""The shapes of questions: which steps follow each other, and the skill that a question trains.

A shape is some chains of steps, each from what the question names to what it asks. A question's
shape is declared, not derived, so that a set can be balanced by it.
"""

import itertools
from dataclasses import dataclass

from medr_ray.core.records import Paradigm
from medr_ray.graph.facts.fact_table import FactTable
from medr_ray.questions.plans import PlanNode, name
from medr_ray.questions.steps import STEP_KINDS

Chain = tuple[str, ...]  # names of kinds; the first takes what the question names


@dataclass(frozen=True)
class Shape:
    """``skill`` is what one learns from such questions, ``paradigm`` their kind in the paper's
    words. A set has ``weight`` times as many of them as of a shape of weight 1, as far as there
    are."""

    name: str
    skill: str
    paradigm: Paradigm
    chains: tuple[Chain, ...]
    weight: float = 1.0


def build_plan(chain: Chain, inputs: tuple[str, ...], table: FactTable) -> PlanNode:
    """The plan of a chain from named inputs."""
    node = PlanNode(chain[0], tuple(name(value) for value in inputs))
    for kind in chain[1:]:
        constants = tuple(name(value) for value in STEP_KINDS[kind].constants(table))
        node = PlanNode(kind, (node, *constants))
    return node


def _extend(beginnings: tuple[Chain, ...], endings: tuple[Chain, ...]) -> tuple[Chain, ...]:
    """Every beginning with every ending."""
    return tuple((*beginning, *ending) for beginning in beginnings for ending in endings)


_TRIAL_BY_ACRONYM: tuple[Chain, ...] = (("trial_by_acronym",),)
_TRIAL_OF_PAPER: tuple[Chain, ...] = (("trial_of_paper",),)
_DRUG_OF_TRIAL: tuple[Chain, ...] = (
    ("drug_of_trial",),
    ("trial_by_acronym", "drug_of_trial"),
    ("trial_of_paper", "drug_of_trial"),
)
_CONDITION_OF_TRIAL: tuple[Chain, ...] = (
    ("condition_of_trial",),
    ("trial_by_acronym", "condition_of_trial"),
    ("trial_of_paper", "condition_of_trial"),
)
_TRIAL_FIELDS: tuple[Chain, ...] = (
    ("sponsor_of_trial",),
    ("start_of_trial",),
    ("participants_of_trial",),
    ("countries_of_trial",),
    ("investigator_of_trial",),
    ("collaborator_of_trial",),
)
_FIRST_APPLICATION: tuple[Chain, ...] = (("first_application_for_drug",),)
_APPLICATIONS: tuple[Chain, ...] = (
    ("first_application_for_drug",),
    ("latest_application_for_drug",),
)
_APPROVAL_FIELDS: tuple[Chain, ...] = (
    ("sponsor_of_application",),
    ("submission_class_of_application",),
)
_PROTECTION: tuple[Chain, ...] = (
    ("last_patent_expiry_of_application",),
    ("patents_of_application",),
    ("exclusivity_end_of_application",),
    ("years_of_protection",),
)
_LIVER: tuple[Chain, ...] = (("liver_injury_likelihood_of_drug",),)
_NEXT_DRUG_OF_SPONSOR: Chain = (
    "sponsor_of_application",
    "latest_application_of_company",
    "drug_of_application",
)
_DISEASE_FIELDS: tuple[Chain, ...] = (
    ("inheritance_of_disease",),
    ("prevalence_of_disease",),
    ("onset_of_disease",),
)
_RANKS = ("best", "worst", "highest", "lowest")
_DRUG_BY_RESULT: tuple[Chain, ...] = tuple(
    (f"drug_{choice}_in_{rank}_arm",) for rank in _RANKS for choice in ("by_letter", "only")
)
_DRUG_OF_ARM: tuple[Chain, ...] = (
    ("comparator_drug_of_trial",),
    ("trial_by_acronym", "comparator_drug_of_trial"),
    ("experimental_drug_of_trial",),
    ("trial_by_acronym", "experimental_drug_of_trial"),
)
_DRUG_BY_TWO_REGISTRIES: tuple[Chain, ...] = (
    ("drug_of_trial_with_score",),
    ("drug_of_trial_approved_before",),
)
_DESCRIBED_DRUG: tuple[Chain, ...] = (
    ("drug_of_company_by_year_and_score",),
    ("drug_of_company_with_priority_review",),
)
_TRIAL_OF_TWO: tuple[Chain, ...] = (("larger_trial",), ("earlier_trial",))
# From the drug of an arm: the approval, the company that got the latest one, patents, exclusivity.
_AFTER_DRUG_OF_ARM: tuple[Chain, ...] = (
    ("approval_year_of_drug",),
    ("approval_date_of_drug",),
    ("liver_injury_likelihood_of_drug",),
    ("generic_applications_of_drug",),
    *_extend(
        _APPLICATIONS,
        (
            ("sponsor_of_application",),
            ("last_patent_expiry_of_application",),
            ("exclusivity_end_of_application",),
        ),
    ),
)

_DECLARATIONS = (
    Shape(
        "trial_record",
        "find a trial and read its record",
        "lookup",
        # The acronym comes with the sponsor, which is then not asked.
        (*_TRIAL_FIELDS, *_extend(_TRIAL_BY_ACRONYM, _TRIAL_FIELDS[1:])),
        weight=0.02,
    ),
    Shape(
        "paper_to_trial",
        "go from a paper to the registration of its trial, or from a trial to the paper on it",
        "multi_hop",
        (
            ("trial_of_paper",),
            *_extend(_TRIAL_OF_PAPER, _TRIAL_FIELDS),
            ("paper_of_trial",),
            ("trial_by_acronym", "paper_of_trial"),
        ),
    ),
    Shape(
        "trial_to_approval",
        "go from a trial over its drug to the drug's approval",
        "multi_hop",
        (
            *_extend(_DRUG_OF_TRIAL, _extend(_FIRST_APPLICATION, _APPROVAL_FIELDS)),
            *_extend(
                _DRUG_OF_TRIAL,
                (
                    ("approval_date_of_drug",),
                    ("approval_year_of_drug",),
                    ("generic_applications_of_drug",),
                ),
            ),
        ),
        weight=1.5,
    ),
    Shape(
        "trial_to_protection",
        "go from a trial over its drug and application to patents and exclusivity",
        "multi_hop",
        _extend(_DRUG_OF_TRIAL, _extend(_APPLICATIONS, _PROTECTION)),
        weight=1.5,
    ),
    Shape(
        "trial_to_safety",
        "go from a trial over its drug to the drug's liver safety",
        "multi_hop",
        _extend(_DRUG_OF_TRIAL, _LIVER),
        weight=1.5,
    ),
    Shape(
        "drug_safety",
        "find how LiverTox judges a drug",
        "lookup",
        _LIVER,
        weight=0.4,
    ),
    Shape(
        "trial_to_company",
        "follow a trial's drug to its company and on to the company's latest drug",
        "multi_hop",
        _extend(
            _DRUG_OF_TRIAL,
            (
                ("first_application_for_drug", *_NEXT_DRUG_OF_SPONSOR),
                (
                    "first_application_for_drug",
                    *_NEXT_DRUG_OF_SPONSOR,
                    "liver_injury_likelihood_of_drug",
                ),
                (
                    "first_application_for_drug",
                    *_NEXT_DRUG_OF_SPONSOR,
                    "generic_applications_of_drug",
                ),
            ),
        ),
        weight=1.5,
    ),
    Shape(
        "drug_to_protection",
        "find when the protection of a drug ends",
        "temporal",
        _extend(_FIRST_APPLICATION, _PROTECTION),
        weight=1.5,
    ),
    Shape(
        "drug_approval",
        "find how and for whom a drug was approved",
        "temporal",
        (
            ("first_application_for_drug", "submission_class_of_application"),
            ("latest_application_for_drug", "sponsor_of_application"),
            ("latest_application_for_drug", "approval_date_of_application"),
            ("approval_date_of_drug",),
            ("approval_year_of_drug",),
        ),
        weight=0.2,
    ),
    Shape(
        "patent_to_approval",
        "go from a patent over what it protects to the approval and to all protection",
        "multi_hop",
        (
            ("drug_of_patent", "approval_date_of_drug"),
            ("application_of_patent", "exclusivity_end_of_application"),
            ("application_of_patent", "last_patent_expiry_of_application"),
        ),
        weight=1.5,
    ),
    Shape(
        "company_to_drug",
        "go from a company to its latest approval, and judge the drug",
        "multi_hop",
        _extend(
            (("latest_application_of_company",),),
            (
                ("drug_of_application", "liver_injury_likelihood_of_drug"),
                ("drug_of_application", "generic_applications_of_drug"),
                ("trade_name_of_application",),
            ),
        ),
        weight=0.3,
    ),
    Shape(
        "compare_approvals",
        "compare two drugs by their approvals",
        "comparative",
        (
            ("earlier_approved_drug",),
            ("earlier_approved_drug_of_trial",),
            ("earlier_approved_drug_of_trial", "liver_injury_likelihood_of_drug"),
        ),
        weight=0.3,
    ),
    Shape(
        "compare_protection",
        "compare two drugs by the patents that protect them",
        "comparative",
        (("later_protected_drug",),),
    ),
    Shape(
        "generic_entry",
        "find when generics of a drug came",
        "temporal",
        (
            ("first_generic_approval_of_drug",),
            ("years_to_first_generic",),
            *_extend(
                _DRUG_OF_TRIAL,
                (("first_generic_approval_of_drug",), ("years_to_first_generic",)),
            ),
        ),
        weight=1.5,
    ),
    Shape(
        "years_between",
        "subtract the dates of two approvals",
        "quantitative",
        (("years_between_approvals",),),
        weight=0.1,
    ),
    Shape(
        "count",
        "count a small closed set in a registry",
        "quantitative",
        (
            ("generic_applications_of_drug",),
            ("approvals_of_company_in_year",),
            ("first_application_for_drug", "patents_of_application"),
            ("countries_of_trial",),
        ),
        weight=1.0,
    ),
    Shape(
        "compare_arms",
        "compare the arms of a trial, and follow the drug of one of them",
        "comparative",
        (
            ("arm_with_more_serious_events",),
            ("trial_by_acronym", "arm_with_more_serious_events"),
            *_DRUG_BY_RESULT,
            *_extend(_DRUG_BY_RESULT, _AFTER_DRUG_OF_ARM),
        ),
    ),
    Shape(
        "drug_of_arm",
        "tell the arms of a trial apart, and follow the drug of one of them",
        "multi_hop",
        (*_DRUG_OF_ARM, *_extend(_DRUG_OF_ARM, _AFTER_DRUG_OF_ARM)),
    ),
    Shape(
        "intersect_registries",
        "find what two registries agree on",
        "intersection",
        (
            *_DRUG_BY_TWO_REGISTRIES,
            ("drug_of_trial_with_score", "approval_year_of_drug"),
            ("drug_of_trial_with_score", "first_application_for_drug", "sponsor_of_application"),
            *_extend(
                _DRUG_BY_TWO_REGISTRIES,
                (
                    ("first_application_for_drug", "last_patent_expiry_of_application"),
                    ("generic_applications_of_drug",),
                ),
            ),
            ("drug_of_trial_approved_before", "liver_injury_likelihood_of_drug"),
        ),
        weight=0.1,
    ),
    Shape(
        "describe_drug",
        "recognise a drug by its company, its year and a third fact, and follow it",
        "intersection",
        (
            *_DESCRIBED_DRUG,
            *_extend(
                _DESCRIBED_DRUG,
                (
                    ("generic_applications_of_drug",),
                    ("first_application_for_drug", "last_patent_expiry_of_application"),
                    ("first_application_for_drug", "exclusivity_end_of_application"),
                ),
            ),
            ("drug_of_company_with_priority_review", "liver_injury_likelihood_of_drug"),
        ),
        weight=0.1,
    ),
    Shape(
        "compare_trials",
        "compare two trials of one drug for one disease",
        "comparative",
        (
            ("larger_trial",),
            # Other ends are the same for both, which studied one drug for one condition.
            *_extend(_TRIAL_OF_TWO, (("sponsor_of_trial",),)),
        ),
        weight=0.1,
    ),
    Shape(
        "label",
        "read what drug labels state, alike in all of them",
        "lookup",
        (
            ("molecular_weight_of_drug",),
            ("reaction_share_on_drug",),
            ("reaction_share_on_placebo",),
            ("more_frequent_reaction",),
        ),
        weight=0.1,
    ),
    Shape(
        "disease_to_gene",
        "find the gene of a rare disease, or the disease of a gene, and its course",
        "multi_hop",
        (
            ("gene_of_disease",),
            ("disease_of_gene",),
            *_extend((("disease_of_gene",),), _DISEASE_FIELDS[1:]),
        ),
    ),
    Shape(
        "gene_to_inheritance",
        "go from a gene to how its disease is inherited",
        "multi_hop",
        (("disease_of_gene", "inheritance_of_disease"),),
        weight=0.05,
    ),
    Shape(
        "disease_record",
        "read curated tables on a rare disease",
        "lookup",
        _DISEASE_FIELDS,
    ),
    Shape(
        "shared_gene",
        "find what two rare diseases have in common, or tell two diseases of a gene apart",
        "intersection",
        (
            ("gene_of_both_diseases",),
            ("disease_by_gene_and_inheritance",),
            *_extend(
                (("disease_by_gene_and_inheritance",),),
                (("prevalence_of_disease",), ("onset_of_disease",)),
            ),
        ),
    ),
    Shape(
        "trial_to_disease",
        "go from a trial to what is curated on its rare disease",
        "multi_hop",
        _extend(_CONDITION_OF_TRIAL, (("gene_of_disease",), ("prevalence_of_disease",))),
    ),
    Shape(
        "not_recorded",
        "say that a record does not state what is asked",
        "lookup",
        (("missing_collaborator_of_trial",), ("missing_acronym_of_trial",)),
    ),
)

SHAPES: dict[str, Shape] = {shape.name: shape for shape in _DECLARATIONS}
# At most this share of a set are questions whose right answer is that it is not recorded.
MAX_UNANSWERABLE_SHARE = 0.05
UNANSWERABLE = "not_recorded"


def _check_chains() -> None:
    """Raise ValueError where a step cannot follow the one before."""
    for shape in _DECLARATIONS:
        for chain in shape.chains:
            for before, after in itertools.pairwise(chain):
                if STEP_KINDS[after].inputs[0] != STEP_KINDS[before].output:
                    raise ValueError(f"{shape.name}: {after} cannot follow {before}")


_check_chains()
