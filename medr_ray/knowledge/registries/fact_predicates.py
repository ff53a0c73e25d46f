"""What registries state: every predicate of a fact, declared once, with its cardinality.

- ``functional``: a subject has one value (with the same qualifiers). Such facts identify an
  entity and are asked bare.
- ``conditional``: one value where a further source agrees, such as the gene of a disease.
- ``many``: any number. Such facts filter, or are asked with their source.

``inverse`` is the same from the other end: a trial has one lead sponsor, a sponsor many trials. Of
a many-valued predicate that is ``listed_in_full``, the record of the subject has every value: where
it has one alone, such as the drug of a trial with a single arm, that one is meant.

A predicate ``ages`` when its value may change after ``Fact.as_of``: what is asked then states the
date.
"""

from dataclasses import dataclass
from typing import Literal

from medr_ray.core.records import LiteralKind, NodeType

Cardinality = Literal["functional", "conditional", "many"]


@dataclass(frozen=True)
class FactPredicate:
    """``object_type`` is the type of the other entity, or of the literal;
    ``other_object_types`` are those that it may have instead. A predicate has ``prose`` where its
    values are sentences or paragraphs that the source has written, not facts in its fields."""

    name: str
    subject_type: NodeType
    object_type: NodeType | LiteralKind
    cardinality: Cardinality
    ages: bool = False
    other_object_types: tuple[NodeType, ...] = ()
    prose: bool = False
    inverse: Cardinality = "many"
    listed_in_full: bool = False


_SPONSOR_TYPES: tuple[NodeType, ...] = ("institution", "person")

_DECLARATIONS = (
    # Curated tables on diseases: HPO annotations, Orphanet. The qualifier ``association`` of a gene
    # is "causative" where the source says so, the source's other type ("Candidate gene tested in",
    # "susceptibility"), or absent where it gives none.
    FactPredicate("has_finding", "disease", "phenotype", "many"),
    FactPredicate("has_inheritance", "disease", "value", "conditional"),
    FactPredicate("has_onset", "disease", "value", "many"),
    FactPredicate("associated_gene", "disease", "gene", "conditional", inverse="conditional"),
    FactPredicate("has_prevalence", "disease", "category", "many", ages=True),
    FactPredicate("prevalence_value", "disease", "number", "many", ages=True),
    FactPredicate("has_incidence", "disease", "category", "many", ages=True),
    FactPredicate("incidence_value", "disease", "number", "many", ages=True),
    FactPredicate("reported_cases", "disease", "number", "many", ages=True),
    FactPredicate("onset_period", "disease", "category", "many"),
    FactPredicate("age_of_death", "disease", "category", "many"),
    FactPredicate("disorder_group", "disease", "category", "functional", ages=True),
    FactPredicate("disorder_type", "disease", "category", "functional", ages=True),
    FactPredicate("not_rare_in", "disease", "category", "many", ages=True),
    # Drugs@FDA and the Orange Book: applications and their products.
    FactPredicate("application_sponsor", "application", "company", "functional", ages=True),
    FactPredicate("original_approval_date", "application", "date", "functional"),
    FactPredicate("review_priority", "application", "category", "functional"),
    FactPredicate("submission_class", "application", "category", "functional"),
    FactPredicate(
        "has_product", "application", "product", "many", inverse="functional", listed_in_full=True
    ),
    FactPredicate("active_ingredient", "product", "substance", "many", listed_in_full=True),
    FactPredicate("trade_name", "product", "text", "functional", ages=True),
    FactPredicate("dosage_form", "product", "category", "functional"),
    FactPredicate("product_route", "product", "category", "functional"),
    FactPredicate("strength", "product", "text", "functional"),
    # Some products are sold both on prescription and over the counter, and have two codes.
    FactPredicate("marketing_status", "product", "category", "many", ages=True),
    FactPredicate("therapeutic_equivalence", "product", "category", "many", ages=True),
    FactPredicate("reference_listed", "product", "category", "functional", ages=True),
    FactPredicate("reference_standard", "product", "category", "functional", ages=True),
    FactPredicate("product_applicant", "product", "company", "functional", ages=True),
    FactPredicate("product_approval_date", "product", "date", "functional"),
    # "Approved Prior to Jan 1, 1982": an upper bound and no date.
    FactPredicate("product_approved_before", "product", "date", "functional"),
    FactPredicate(
        "protected_by_patent", "product", "patent", "many", ages=True, listed_in_full=True
    ),
    # The term of a patent is extended now and then: 121 of the 1,941 patents in both editions of
    # 2018 and 2025. Where products of one edition list different dates (18 of 5,971 patents in
    # 2025) the product is a qualifier, as is a paediatric extension.
    FactPredicate("patent_expiry_date", "patent", "date", "functional", ages=True),
    FactPredicate("patent_claim", "patent", "category", "many"),
    FactPredicate("patent_use_code", "patent", "category", "many"),
    # By code. A code that a product has with several ends (mostly PED, which extends others) has a
    # predicate of its own, so that the first stays functional.
    FactPredicate("exclusivity_end_date", "product", "date", "functional", ages=True),
    FactPredicate("one_of_exclusivity_end_dates", "product", "date", "many", ages=True),
    # Stated in a company's name as it is printed ("… SUB PFIZER INC"), by any registry.
    FactPredicate("owned_by", "company", "company", "many", ages=True),
    # Drug labels (openFDA, DailyMed).
    FactPredicate("label_of_application", "label", "application", "many"),
    FactPredicate("label_substance", "label", "substance", "many"),
    FactPredicate("label_trade_name", "label", "text", "many"),
    FactPredicate("label_generic_name", "label", "text", "many"),
    FactPredicate("label_manufacturer", "label", "company", "functional", ages=True),
    FactPredicate("label_effective_date", "label", "date", "functional", ages=True),
    FactPredicate("has_boxed_warning", "label", "category", "functional", ages=True),
    FactPredicate("pharmacologic_class", "label", "category", "many"),
    FactPredicate("mechanism_of_action", "label", "text", "functional", prose=True),
    FactPredicate("label_indication", "label", "text", "many", ages=True, prose=True),
    FactPredicate("label_route", "label", "category", "many"),
    FactPredicate("molecular_weight", "label", "number", "functional"),
    FactPredicate("adverse_reaction_share", "label", "number", "many"),
    # LiverTox.
    FactPredicate("liver_injury_likelihood", "substance", "category", "functional", ages=True),
    FactPredicate("liver_injury_likelihood_in_use", "substance", "category", "many", ages=True),
    FactPredicate("first_us_approval_year", "substance", "date", "functional"),
    # The monograph does not say that it was the first.
    FactPredicate("us_approval_year", "substance", "date", "many"),
    FactPredicate("monograph_cites", "substance", "paper", "many"),
    # ClinicalTrials.gov.
    FactPredicate("trial_title", "trial", "text", "functional"),
    FactPredicate("official_title", "trial", "text", "functional"),
    FactPredicate("trial_acronym", "trial", "text", "functional"),
    FactPredicate(
        "lead_sponsor",
        "trial",
        "company",
        "functional",
        ages=True,
        other_object_types=_SPONSOR_TYPES,
    ),
    FactPredicate("collaborator", "trial", "company", "many", other_object_types=_SPONSOR_TYPES),
    FactPredicate("trial_phase", "trial", "category", "functional"),
    FactPredicate("study_type", "trial", "category", "functional"),
    FactPredicate("allocation", "trial", "category", "functional"),
    FactPredicate("masking", "trial", "category", "functional"),
    FactPredicate("overall_status", "trial", "category", "functional", ages=True),
    # A date may be that of a plan (``date_type`` ESTIMATED).
    FactPredicate("start_date", "trial", "date", "functional", ages=True),
    FactPredicate("primary_completion_date", "trial", "date", "functional", ages=True),
    FactPredicate("completion_date", "trial", "date", "functional", ages=True),
    FactPredicate("enrolment", "trial", "number", "functional", ages=True),
    FactPredicate(
        "studies_condition",
        "trial",
        "disease",
        "many",
        other_object_types=("phenotype",),
        listed_in_full=True,
    ),
    FactPredicate("other_condition", "trial", "text", "many"),
    FactPredicate("studies_intervention", "trial", "substance", "many", listed_in_full=True),
    FactPredicate("studies_among_others", "trial", "substance", "many"),
    FactPredicate("other_intervention", "trial", "text", "many"),
    FactPredicate("trial_arm", "trial", "text", "many"),
    # The qualifier ``arm`` is the label of the arm that gets the substance.
    FactPredicate("arm_intervention", "trial", "substance", "many", listed_in_full=True),
    FactPredicate("arm_among_others", "trial", "substance", "many"),
    FactPredicate("primary_outcome", "trial", "text", "many"),
    FactPredicate("primary_outcome_result", "trial", "number", "many"),
    FactPredicate("serious_adverse_events", "trial", "number", "many"),
    FactPredicate("adverse_event", "trial", "number", "many"),
    FactPredicate("overall_official", "trial", "person", "many", ages=True),
    FactPredicate(
        "affiliation",
        "person",
        "institution",
        "many",
        ages=True,
        other_object_types=("company",),
    ),
    FactPredicate("trial_site", "trial", "institution", "many", ages=True),
    FactPredicate("trial_country", "trial", "category", "many", ages=True),
    FactPredicate("reports_results_in", "trial", "paper", "many"),
    FactPredicate("named_in_paper", "trial", "paper", "many", ages=True),
    FactPredicate("cites_paper", "trial", "paper", "many"),
    # PubMed records.
    FactPredicate("published_in", "paper", "journal", "functional"),
    FactPredicate("publication_year", "paper", "date", "functional"),
    FactPredicate("publication_type", "paper", "category", "many"),
    FactPredicate("has_author", "paper", "person", "many"),
    FactPredicate("registered_as", "paper", "trial", "many", listed_in_full=True),
    FactPredicate("retracted_by", "paper", "paper", "many", ages=True),
    FactPredicate("group_author", "paper", "text", "many"),
    FactPredicate("databank_accession", "paper", "text", "many"),
    FactPredicate("funded_by_grant", "paper", "text", "many"),
    FactPredicate("doi", "paper", "text", "functional"),
)

FACT_PREDICATES: dict[str, FactPredicate] = {
    predicate.name: predicate for predicate in _DECLARATIONS
}
