"""Annotations of diseases made for a test, with the columns that a registry's row would have."""

from medr_ray.knowledge.hpo import DiseaseFact
from medr_ray.retrieval.disease_records import render_line

_PRINTED_SHARES = {
    "all patients": "Obligate (100%)",
    "80-99% of patients": "Very frequent (80-99%)",
    "30-79% of patients": "Frequent (30-79%)",
    "5-29% of patients": "Occasional (5-29%)",
    "1-4% of patients": "Very rare (1-4%)",
    "some patients": "",
}


def make_fact(predicate: str, object_name: str, clinical: str = "") -> DiseaseFact:
    """The annotation with the frequency that its qualifier is the wording of."""
    frequency = _PRINTED_SHARES.get(clinical, "")
    if clinical and clinical not in _PRINTED_SHARES:
        # "3 of 7 patients" or "45% of patients"
        figures = clinical.removesuffix("s").removesuffix(" patient").removesuffix(" of")
        frequency = figures.replace(" of ", "/")
    fields = (("Frequency", frequency), ("Reference", "PMID:1"))
    stated = tuple(field for field in fields if field[1])
    return DiseaseFact(predicate, "", object_name, clinical, "PMID:1", stated)


def make_line(predicate: str, object_name: str, clinical: str = "") -> str:
    """The line of such an annotation in a disease record."""
    return render_line(make_fact(predicate, object_name, clinical))
