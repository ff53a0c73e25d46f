"""From the files the configuration names to a knowledge base that answers; read once per
process."""

import functools

from medr_ray.core.config import DiagnosisConfig
from medr_ray.diagnosis.hypotheses import unite
from medr_ray.diagnosis.knowledge_base import build
from medr_ray.diagnosis.likelihood import Likelihood
from medr_ray.diagnosis.posterior import Diagnosis
from medr_ray.diagnosis.priors import priors_of
from medr_ray.knowledge.annotations import FINDING, read_hpoa, read_product4
from medr_ray.knowledge.hpo import data_folder, load_hpo
from medr_ray.knowledge.lexicon import without_collections
from medr_ray.knowledge.mondo import read_hierarchy
from medr_ray.knowledge.orphanet_ages import read_onset_ages
from medr_ray.knowledge.prevalence import read_prevalence


@functools.lru_cache(maxsize=2)
def load_diagnosis(config: DiagnosisConfig) -> Diagnosis:
    """The knowledge base (some seconds; its arrays take about 60 MB). DataError names the file that
    is missing or of another format.

    Where both ``annotations`` and ``orphanet_phenotypes`` describe an Orphanet record, the latter's
    rows replace the former's: it is the source they were copied from.
    """
    with without_collections():
        return _load(config)


def _load(config: DiagnosisConfig) -> Diagnosis:
    table = read_hpoa(config.annotations or str(data_folder() / "phenotype.hpoa"))
    rows, names = table.rows, dict(table.names)
    if config.orphanet_phenotypes:
        newer = read_product4(config.orphanet_phenotypes)
        described = {one.disease for one in newer.rows}
        rows = (
            *(one for one in rows if one.disease not in described or one.aspect != FINDING),
            *newer.rows,
        )
        names = {**newer.names, **names}
    mondo = read_hierarchy(config.mondo) if config.mondo else None
    base = build(load_hpo(), rows, names, unite(names, mondo))
    prevalences = read_prevalence(config.prevalence).by_disorder if config.prevalence else {}
    ages = read_onset_ages(config.onset_ages) if config.onset_ages else {}
    priors = priors_of(base, rows, prevalences, ages)
    return Diagnosis(
        Likelihood(base),
        priors,
        prevalence_weight=config.prevalence_weight,
        reports_weight=config.reports_weight,
        none_share=config.none_share,
    )
