"""The searches for each look-up: their words, and the registry that would state it.

The words are the names that are known and what is looked for, as a record may have it, not as the
question has it. Several phrasings of a look-up are tried one after the other.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from medr_ray.core.records import FactSource
from medr_ray.questions.steps import STEP_KINDS
from medr_ray.retrieval.documents import (
    FDA_APPROVALS,
    FDA_LABELS,
    HPO,
    LIVERTOX,
    PUBMED,
    REGISTRIES,
    TRIALS,
)
from medr_ray.retrieval.registry_records import find_kind
from medr_ray.trajectories.solver.notes import Notes
from medr_ray.trajectories.solver.rules import LookUp

# Whose documents have the records of a registry, the best first: where its files are not indexed,
# the snapshot's records are.
_INDEX_SOURCES: Mapping[FactSource, tuple[str, ...]] = {
    "clinical_trials": (TRIALS, REGISTRIES),
    "drugs_at_fda": (FDA_APPROVALS, REGISTRIES),
    "orange_book": (FDA_APPROVALS, REGISTRIES),
    "drug_labels": (FDA_LABELS, REGISTRIES),
    "livertox": (LIVERTOX, REGISTRIES),
    "orphanet": (REGISTRIES,),
    "hpo": (HPO,),
    "pubmed": (PUBMED,),
}
_PHRASINGS: Mapping[str, tuple[tuple[FactSource, str], ...]] = {
    # Trials.
    "acronym_of_trial": (
        ("clinical_trials", "{0} acronym"),
        ("clinical_trials", "{0} study acronym, brief title"),
    ),
    "arm_with_more_serious_events": (
        ("clinical_trials", "{0} serious num affected at risk group"),
        ("clinical_trials", "{0} serious adverse events by arm"),
    ),
    "collaborator_of_trial": (
        ("clinical_trials", "{0} collaborators name"),
        ("clinical_trials", "{0} collaborator of the sponsor"),
    ),
    "condition_of_trial": (
        ("clinical_trials", "{0} conditions"),
        ("clinical_trials", "{0} condition under study"),
    ),
    "countries_of_trial": (
        ("clinical_trials", "{0} country"),
        ("clinical_trials", "{0} country of the sites"),
        ("clinical_trials", "{0} facility city country"),
    ),
    "drug_of_trial": (
        ("clinical_trials", "{0} interventions name drug"),
        ("clinical_trials", "{0} intervention type DRUG"),
        ("clinical_trials", "{0} experimental arm drug"),
    ),
    "drugs_of_trial": (
        ("clinical_trials", "{0} interventions name drug"),
        ("clinical_trials", "{0} intervention type DRUG, comparator"),
    ),
    "investigator_of_trial": (
        ("clinical_trials", "{0} overall officials name principal investigator"),
        ("clinical_trials", "{0} role PRINCIPAL_INVESTIGATOR"),
    ),
    "missing_acronym_of_trial": (
        ("clinical_trials", "{0} acronym"),
        ("clinical_trials", "{0} study acronym, brief title"),
    ),
    "missing_collaborator_of_trial": (
        ("clinical_trials", "{0} collaborators name"),
        ("clinical_trials", "{0} collaborator of the sponsor"),
    ),
    "paper_of_trial": (
        ("clinical_trials", "{0} pmid reference type RESULT"),
        ("clinical_trials", "{0} publication of results"),
    ),
    "participants_of_trial": (
        ("clinical_trials", "{0} enrollment count"),
        ("clinical_trials", "{0} actual enrollment, participants"),
    ),
    "sponsor_of_trial": (
        ("clinical_trials", "{0} lead sponsor name"),
        ("clinical_trials", "{0} sponsor class"),
    ),
    "start_of_trial": (
        ("clinical_trials", "{0} start date"),
        ("clinical_trials", "{0} date type ACTUAL, start"),
    ),
    "trial_by_acronym": (
        ("clinical_trials", "{0} acronym"),
        ("clinical_trials", "acronym {0} {1}"),
        ("clinical_trials", "{0} trial {1} lead sponsor"),
    ),
    "trial_of_paper": (
        ("pubmed", "{title} ClinicalTrials.gov NCT"),
        ("clinical_trials", "pmid {0}"),
    ),
    # Papers.
    "paper_by_title": (("pubmed", "{0}"), ("pubmed", "article {0}")),
    # Approvals.
    "application_of_patent": (
        ("orange_book", "Orange Book patent no {0}"),
        ("orange_book", "{0} patent, patent expire date"),
    ),
    "approval_date_of_application": (
        ("drugs_at_fda", "{0} submission status date"),
        ("drugs_at_fda", "{0} original approval date"),
    ),
    "approval_year_of_drug": (
        ("livertox", "{0} approved for use in the United States"),
        ("drugs_at_fda", "{0} active ingredient, submission status date, type 1"),
        ("livertox", "{0} LiverTox background approval"),
    ),
    "approvals_of_company_in_year": (
        ("drugs_at_fda", "{0} sponsor name, submission status date {1}"),
        ("drugs_at_fda", "{0} new drug application {1}"),
    ),
    "drug_of_application": (
        ("drugs_at_fda", "{0} active ingredient"),
        ("drugs_at_fda", "{0} drug substance strength"),
    ),
    "exclusivity_end_of_application": (
        ("orange_book", "Orange Book {0} exclusivity date"),
        ("orange_book", "{0} exclusivity code"),
    ),
    "first_application_for_drug": (
        ("drugs_at_fda", "{0} active ingredient"),
        ("drugs_at_fda", "active ingredient {0}, new molecular entity"),
        ("drugs_at_fda", "{0} application, review priority"),
    ),
    "first_generic_approval_of_drug": (
        ("drugs_at_fda", "{0} ANDA submission status date"),
        ("drugs_at_fda", "{0} abbreviated new drug application original approval"),
        ("drugs_at_fda", "{0} generic ANDA active ingredient"),
    ),
    "generic_applications_of_drug": (
        ("drugs_at_fda", "{0} ANDA sponsor name"),
        ("drugs_at_fda", "{0} generic, marketing status prescription"),
        ("drugs_at_fda", "{0} tablet ANDA active ingredient"),
    ),
    "last_patent_expiry_of_application": (
        ("orange_book", "Orange Book {0} patent expire date"),
        ("orange_book", "{0} patent no, patent expire date"),
    ),
    "latest_application_for_drug": (
        ("drugs_at_fda", "{0} active ingredient"),
        ("drugs_at_fda", "{0} new drug application, submission class new formulation"),
        ("drugs_at_fda", "{0} application, review priority standard"),
    ),
    "latest_application_of_company": (
        ("drugs_at_fda", "sponsor name {0}, review priority"),
        ("drugs_at_fda", "{0} new drug application, submission class"),
        ("drugs_at_fda", "{0} BLA NDA sponsor"),
    ),
    "patents_of_application": (
        ("orange_book", "Orange Book {0} patent no"),
        ("orange_book", "{0} patents listed"),
    ),
    "review_priority_of_application": (
        ("drugs_at_fda", "{0} review priority"),
        ("drugs_at_fda", "{0} priority or standard"),
    ),
    "sponsor_of_application": (
        ("drugs_at_fda", "{0} sponsor name"),
        ("drugs_at_fda", "Drugs@FDA {0} sponsor"),
    ),
    "submission_class_of_application": (
        ("drugs_at_fda", "{0} submission class"),
        ("drugs_at_fda", "{0} type of submission"),
    ),
    "trade_name_of_application": (
        ("drugs_at_fda", "{0} drug name"),
        ("drugs_at_fda", "{0} product, trade name"),
    ),
    # Monographs.
    "liver_injury_likelihood_of_drug": (
        ("livertox", "{0} LiverTox likelihood score"),
        ("livertox", "{0} hepatotoxicity likelihood score"),
    ),
    # Rare diseases.
    "disease_by_gene_and_inheritance": (("hpo", "gene {0} inheritance"), ("hpo", "{0} gene")),
    "disease_of_gene": (("hpo", "gene {0}"), ("hpo", "{0} NCBI gene"), ("hpo", "{0} disease")),
    "gene_of_both_diseases": (("hpo", "{0} gene"), ("hpo", "{1} gene")),
    "gene_of_disease": (
        ("hpo", "{0} gene"),
        ("hpo", "{0} associated gene NCBI"),
        ("hpo", "{0} genetic cause"),
    ),
    "inheritance_of_disease": (
        ("hpo", "{0} inheritance"),
        ("orphanet", "{0} type of inheritance"),
    ),
    "onset_of_disease": (
        ("orphanet", "{0} average age of onset"),
        ("orphanet", "Orphanet {0} onset"),
    ),
    "prevalence_of_disease": (
        ("orphanet", "{0} prevalence class point prevalence worldwide"),
        ("orphanet", "Orphanet {0} prevalence"),
    ),
}

_OF_ARMS = ("_arm", "comparator_drug_of_trial", "experimental_drug_of_trial")
_ARM_PHRASINGS: tuple[tuple[FactSource, str], ...] = (
    ("clinical_trials", "{0} intervention names, arm type"),
    ("clinical_trials", "{0} label arm type"),
    ("clinical_trials", "{0} value unit group outcome time frame"),
    ("clinical_trials", "{0} intervention names arm EXPERIMENTAL, ACTIVE_COMPARATOR"),
)


@dataclass(frozen=True)
class Query:
    """The words of a search, the sources of the index that may have the record, the best first, and
    the kind of evidence that it is among the records of registries."""

    text: str
    sources: tuple[str, ...]
    kind: str


def generate_queries(look_up: LookUp, notes: Notes) -> Iterator[Query]:
    """The searches for a look-up, in the order in which they are tried."""
    names = [notes.print_name(value) for value in look_up.inputs]
    dates = {f"iso{place}": value.rpartition("/")[2] for place, value in enumerate(look_up.inputs)}
    title = notes.print_title(look_up.inputs[0])
    for source, phrasing in list_phrasings(look_up.kind):
        text = phrasing.format(*names, title=title, **dates)
        yield Query(text, _INDEX_SOURCES[source], find_kind(source))


def list_phrasings(kind: str) -> Sequence[tuple[FactSource, str]]:
    """(registry, words) for each phrasing of a kind's searches. Kinds that compare the arms of a
    trial read several of its fields; a kind without words of its own is searched by its name."""
    if kind in _PHRASINGS:
        return _PHRASINGS[kind]
    if kind.endswith(_OF_ARMS):
        return _ARM_PHRASINGS
    # Sources of kinds are registries.
    sources = cast(tuple[FactSource, ...], STEP_KINDS[kind].sources)
    words = kind.replace("_", " ")
    return tuple((source, f"{{0}} {words}") for source in sources)
