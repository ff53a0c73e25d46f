"""Which clinical specialty looks after a disease: from its MeSH tree numbers, or from the organs of its findings."""

from collections import Counter
from collections.abc import Iterable

from medr_ray.knowledge.hpo import DiseaseRecord, Hpo

GENERAL = "internal medicine"

_MESH_TREES = {
    "C01": "infectious diseases", "C02": "infectious diseases", "C03": "infectious diseases", "C04": "oncology",
    "C05": "orthopedics", "C06": "gastroenterology", "C07": "dentistry", "C08": "pulmonology",
    "C09": "otolaryngology", "C10": "neurology", "C11": "ophthalmology", "C12": "nephrology and urology",
    "C13": "gynecology and obstetrics", "C14": "cardiology", "C15": "hematology", "C16": "medical genetics",
    "C17": "dermatology", "C18": "endocrinology and metabolism", "C19": "endocrinology and metabolism",
    "C20": "immunology", "C21": "occupational medicine", "C22": "veterinary medicine", "C23": GENERAL,
    "C24": "occupational medicine", "C25": "toxicology", "C26": "emergency medicine", "F01": "psychiatry",
    "F03": "psychiatry",
}
_UNSPECIFIC_TREES = {"C16", "C23"}  # congenital diseases and symptoms: of every organ
_HPO_BRANCHES = {
    "HP:0000119": "nephrology and urology", "HP:0000152": "medical genetics", "HP:0000478": "ophthalmology",
    "HP:0000598": "otolaryngology", "HP:0000707": "neurology", "HP:0000769": "gynecology and obstetrics",
    "HP:0000818": "endocrinology and metabolism", "HP:0001197": "gynecology and obstetrics",
    "HP:0001507": "pediatrics", "HP:0001574": "dermatology", "HP:0001608": "otolaryngology",
    "HP:0001626": "cardiology", "HP:0001871": "hematology", "HP:0001939": "endocrinology and metabolism",
    "HP:0002086": "pulmonology", "HP:0002664": "oncology", "HP:0002715": "immunology",
    "HP:0025031": "gastroenterology", "HP:0025142": GENERAL, "HP:0025354": "medical genetics",
    "HP:0033127": "orthopedics", "HP:0040064": "orthopedics", "HP:0045027": "pulmonology",
}


def mesh_specialty(trees: Iterable[str]) -> str:
    """The specialty most tree numbers point to; the first of equals, unspecific trees only where there is no other."""
    roots = [tree.split(".", 1)[0] for tree in trees]
    known = [root for root in roots if root in _MESH_TREES]
    votes = Counter(_MESH_TREES[root] for root in known if root not in _UNSPECIFIC_TREES)
    if not votes:
        votes = Counter(_MESH_TREES[root] for root in known)
    return votes.most_common(1)[0][0] if votes else GENERAL


def term_specialties(hpo: Hpo, term_id: str) -> list[str]:
    """The specialties of the organ systems a phenotype belongs to, sorted; often more than one."""
    ancestors = hpo.ancestors(term_id)
    return sorted({specialty for branch, specialty in _HPO_BRANCHES.items() if branch in ancestors})


def disease_specialty(hpo: Hpo, disease: DiseaseRecord) -> str:
    """The specialty most findings fall under; alphabetically first of equals."""
    findings = [fact.object_id for fact in disease.facts if fact.predicate == "has_finding"]
    votes = Counter(one for term_id in findings for one in term_specialties(hpo, term_id))
    return min(votes, key=lambda one: (-votes[one], one)) if votes else "medical genetics"
