"""A handful of diseases with real terms, to diagnose by hand."""

from collections.abc import Iterable, Mapping

from medr_ray.diagnosis.hypotheses import Hypotheses
from medr_ray.diagnosis.knowledge_base import KnowledgeBase, build_knowledge_base
from medr_ray.diagnosis.likelihood import Likelihood
from medr_ray.diagnosis.posterior import DiagnosisModel
from medr_ray.diagnosis.priors import build_priors
from medr_ray.knowledge.annotations import FINDING, Annotation, parse_frequency
from medr_ray.knowledge.hpo import load_hpo

SEIZURE, FOCAL, ATAXIA, LENS, SCOLIOSIS, EYE = (
    "HP:0001250",
    "HP:0007359",
    "HP:0001251",
    "HP:0001083",
    "HP:0002650",
    "HP:0000478",
)
SMALL: Mapping[str, Mapping[str, str]] = {  # frequencies as phenotype.hpoa has them
    "OMIM:1": {SEIZURE: "9/10", ATAXIA: "HP:0040282"},
    "OMIM:2": {LENS: "HP:0040281", SCOLIOSIS: ""},
    "OMIM:3": {FOCAL: "45%", SCOLIOSIS: "1/20"},
    "OMIM:4": {ATAXIA: "HP:0040280"},
}


def rows(diseases: Mapping[str, Mapping[str, str]]) -> list[Annotation]:
    """Findings of diseases; each cites a different article."""
    return [
        Annotation(
            disease,
            term,
            FINDING,
            False,
            parse_frequency(frequency),
            (f"PMID:{disease[5:]}{number}",),
        )
        for disease, findings in diseases.items()
        for number, (term, frequency) in enumerate(findings.items())
    ]


def small_base(
    diseases: Mapping[str, Mapping[str, str]] = SMALL, extra: Iterable[Annotation] = ()
) -> KnowledgeBase:
    """The knowledge base of the diseases, called "Disease 1" and so on."""
    names = {disease: f"Disease {disease[5:]}" for disease in diseases}
    return build_knowledge_base(
        load_hpo(), [*rows(diseases), *extra], names, Hypotheses({name: name for name in names}, {})
    )


def small_diagnosis(
    diseases: Mapping[str, Mapping[str, str]] = SMALL,
    extra: Iterable[Annotation] = (),
    none_share: float = 0.3,
    reports_weight: float = 0.0,
) -> DiagnosisModel:
    """Over ``small_base``; ``extra`` rows may tell onset and inheritance."""
    extra = list(extra)
    knowledge_base = small_base(diseases, extra)
    return DiagnosisModel(
        Likelihood(knowledge_base),
        build_priors(knowledge_base, extra, {}, {}),
        prevalence_weight=0.5,
        reports_weight=reports_weight,
        none_share=none_share,
    )
