"""A tiny run up to the index, without Ray: what the graph stage reads. The index can be written
again with more."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from support.small_facts import write_facts
from support.small_index import build_index

from medr_ray.core.config import PipelineConfig
from medr_ray.core.records import EntityFrequency, Evidence, Relation, SeedEntity, Significance
from medr_ray.core.run import MANIFEST, RunDirectory, StageContext, open_run
from medr_ray.entities.artifacts import FREQUENCIES, SEEDS
from medr_ray.entities.form_patterns import write_lexicon
from medr_ray.entities.matching import Matcher
from medr_ray.graph import storage
from medr_ray.graph.extraction.extractor import build_relation_id
from medr_ray.graph.vocabulary import Vocabulary
from medr_ray.knowledge.hpo import load_hpo
from medr_ray.knowledge.lexicon import Concept
from medr_ray.knowledge.name_normalization import normalise
from medr_ray.retrieval.disease_records import document_from_disease
from medr_ray.retrieval.documents import PUBMED, Document

LONG = f"Syndrome with {'a very long name, ' * 16}\u00e9"
HARD_NAMES = {
    "D:1": 'Alpha/beta "mixed" syndrome',
    "D:2": "Ménière–von Müller 病",
    "D:3": LONG,
    "D:4": "Kuru <p&q>; x,y",
    "D:5": "Krabbe disease",
}

# Real records that have the gene and the sign.
RECORD_IDS = {
    "D:1": "OMIM:230900",
    "D:2": "OMIM:231005",
    "D:3": "OMIM:608013",
    "D:4": "ORPHA:85212",
    "D:5": "OMIM:231000",
}
_SHARED = ("GBA1", "Seizure")


def concepts() -> list[Concept]:
    """Diseases with names that break careless code, and a gene, a drug and a sign for all."""
    named = [(key, name, "disease") for key, name in HARD_NAMES.items()]
    named += [
        ("GENE:GBA1", "GBA1", "gene"),
        ("DRUG:1", "Losartan", "drug"),
        ("HP:1", "Seizure", "phenotype"),
    ]
    return [
        Concept(
            key,
            name,
            kind,
            (normalise(name),),
            "",
            ("GBA1",) if kind == "gene" else (),
            (RECORD_IDS[key],) if key in RECORD_IDS else (),
        )
        for key, name, kind in named
    ]


def record(disease: str) -> Document:
    """The record of a disease: the shared gene and the shared sign, in lines 1 and 2."""
    annotated = load_hpo().diseases[RECORD_IDS[disease]]
    facts = tuple(fact for fact in annotated.facts if fact.object_name in _SHARED)
    return document_from_disease(replace(annotated, name=HARD_NAMES[disease], facts=facts))


def paper(pmid: str, abstract: str, retracted: bool = False) -> Document:
    return Document(
        f"PMID:{pmid}",
        PUBMED,
        f"Paper {pmid}",
        f"Paper {pmid}\n{abstract}",
        2001,
        ("D016428",),
        retracted,
        "J",
    )


def write_inputs(
    root: Path, seeds: Sequence[str], **graph: object
) -> tuple[RunDirectory, PipelineConfig]:
    """The entities of the run ``root/default`` with these accepted seeds."""
    config = PipelineConfig.model_validate(
        {
            "run": {"root": str(root)},
            "retrieval": {"mode": "text"},
            "graph": {"workers": 1, **graph},
        }
    )
    run = open_run(config)
    entities = run.stage("entities")
    write_lexicon(entities, concepts())
    Matcher.build(concepts(), 4).save(entities)
    write_seeds(run, seeds)
    entities.write(FREQUENCIES, [_make_frequency(name) for name in HARD_NAMES])
    write_facts(run)
    return run, config


def write_seeds(run: RunDirectory, seeds: Iterable[str]) -> None:
    rows = [
        SeedEntity(_make_frequency(seed), Significance(True, "", "rules"), "") for seed in seeds
    ]
    run.write(SEEDS, rows)


def _make_frequency(concept_id: str) -> EntityFrequency:
    return EntityFrequency(concept_id, concept_id, "disease", 1, 1, 1e-5, 1e-6, 1e-4)


def write_index(run: RunDirectory, documents: list[Document], fingerprint: str) -> None:
    """The finished index of these documents."""
    index = run.stage("index")
    index.clear()
    build_index(index.local, documents)
    index.write_json(
        MANIFEST,
        {"fingerprint": fingerprint, "counts": {"documents": len(documents)}, "seconds": 0.1},
    )


def context(run: RunDirectory, config: PipelineConfig, stage: str = "graph") -> StageContext:
    return StageContext(config, run, run.stage(stage), Console(quiet=True))


def relation(
    subject: str,
    predicate: str,
    obj: str,
    document: Document,
    line: int,
    confidence: float = 1.0,
    clinical: str = "",
) -> Relation:
    """A relation that the ``line``-th sentence of a document states."""
    start, end = document.spans[line]
    evidence = Evidence(
        document.source, document.document_id, document.text[start:end], start, end, "PMID:7"
    )
    return Relation(
        build_relation_id(subject, predicate, obj, clinical),
        subject,
        predicate,
        obj,
        "",
        "",
        clinical,
        confidence,
        "rules",
        (evidence,),
    )


def write_graph(root: Path) -> RunDirectory:
    """The run ``root/default`` with a finished graph: every disease with its record's facts, one
    with a drug too."""
    run = RunDirectory(str(root / "default"))
    trial = paper("9", 'Kuru <p&q>; x,y (p<0.05, 5 mg/kg/day, CD4+) was "treated" with losartan.')
    relations = [relation("D:4", "treated_with", "DRUG:1", trial, 1, 0.65)]
    for disease in HARD_NAMES:
        relations.append(relation(disease, "associated_gene", "GENE:GBA1", record(disease), 1))
        relations.append(
            relation(disease, "has_finding", "HP:1", record(disease), 2, 1.0, "3 of 7 patients")
        )
    merged, seeds = storage.merge_seed_graphs(
        [storage.GrownSeed("D:4", tuple(relations)), storage.GrownSeed("D:5", ())]
    )
    entities = storage.build_entities(
        merged, seeds, Vocabulary(concepts()), {"D:4": _make_frequency("D:4")}
    )
    storage.write_graph(run.stage("graph"), entities, merged, seeds)
    run.stage("graph").write_json(
        MANIFEST, {"fingerprint": "f", "seconds": 1.0, "counts": {"entities": len(entities)}}
    )
    return run
