"""A tiny run whose entities stage is finished: two files of citations, counted and judged as the
stage does it, without Ray."""

from dataclasses import asdict
from pathlib import Path

import polars as pl
import pyarrow as pa

from medr_ray.core.config import EntitiesConfig
from medr_ray.core.records import Citation, arrow_schema
from medr_ray.core.run import RunDirectory
from medr_ray.entities.artifacts import FREQUENCIES, SEEDS
from medr_ray.entities.counting import count_citations
from medr_ray.entities.form_patterns import write_lexicon
from medr_ray.entities.matching import Matcher
from medr_ray.entities.rarity import choose_rarity_rule, compute_frequencies, select_rare
from medr_ray.entities.seed_candidates import build_candidates, build_seed_entities
from medr_ray.entities.significance import RulesSignificanceJudge
from medr_ray.knowledge.lexicon import Concept
from medr_ray.knowledge.prevalence import Prevalence

CONCEPTS = [
    Concept("GENE:FBN1", "FBN1", "gene", ("FBN1",), "", ("FBN1",)),
    Concept("HP:0012531", "Pain", "phenotype", ("ache", "pain"), ""),
    Concept("HP:1", "Long fingers", "phenotype", ("long fingers",), ""),
    Concept("MESH:kuru", "Kuru", "disease", ("kuru",), "neurology"),
    Concept("OMIM:1", "Twin disease", "disease", (), ""),
    Concept(
        "OMIM:154700",
        "Marfan syndrome",
        "disease",
        ("marfan syndrome", "marfan's disease", "mfs1"),
        "cardiology",
    ),
    Concept("OMIM:2", "Twin disease", "disease", (), ""),
]
_TEXTS = {  # (PMID, year, title, abstract) by file
    "part-0": [
        (
            "1",
            1999,
            "Marfan syndrome and kuru",
            "Nothing else. We saw Marfan’s disease,\u00a0not kuru, in pain. Marfan syndrome.",
        ),
        ("20", None, "FBN1 in Marfan syndrome", ""),
        ("3", 1999, "Pain", "Pain, and more pain."),
    ],
    "part-1": [
        (
            "100",
            2003,
            "A letter",
            "FBN1 is altered in MARFAN SYNDROME (p<0.05). Long fingers were seen.",
        ),
        ("5", 2001, "Long fingers", "No mention."),
    ],
    "part-2": [("7", 2000, "Nothing", "At all.")],
}
PREVALENCE = Prevalence(
    "ORPHA:558", "Marfan syndrome", 1e-4, "Point prevalence", "Worldwide", True, True, "1[PMID]"
)


def write_named_run(root: Path) -> RunDirectory:
    """The run ``root/named``; rare is what at most 4 of its 6 citations name."""
    run = RunDirectory(str(root / "named"))
    corpus, entities = run.stage("corpus"), run.stage("entities")
    write_lexicon(entities, CONCEPTS)
    matcher = Matcher.build(CONCEPTS, 4)
    matcher.save(entities)
    counts = []
    for name, texts in _TEXTS.items():
        table = pa.Table.from_pylist(
            [_citation(*text) for text in texts], schema=arrow_schema(Citation)
        )
        corpus.write_table(f"citations/{name}.parquet", table)
        counted = count_citations(matcher, table)
        counts.append(pl.DataFrame(counted.counts))
        for folder, part in (("counts", counted.counts), ("postings", counted.postings)):
            entities.write_table(f"{folder}/{name}.parquet", part)
            entities.write_json(f"{folder}/_{name}.json", {"made_from": "f"})
    _judge(run, pl.concat(counts), sum(map(len, _TEXTS.values())))
    return run


def _judge(run: RunDirectory, counts: pl.DataFrame, citations: int) -> None:
    entities, config = (
        run.stage("entities"),
        EntitiesConfig(rare_documents=4, seed_quota={"disease": 0.5, "phenotype": 0.5}),
    )
    concepts = {concept.concept_id: concept for concept in CONCEPTS}
    frequencies, rule = (
        compute_frequencies(counts, concepts, citations),
        choose_rarity_rule(config, citations),
    )
    rare = select_rare(frequencies, rule, config.seed_quota)
    candidates = build_candidates(rare, concepts, counts, {}, {"OMIM:154700": PREVALENCE}, {})
    entities.write(FREQUENCIES, frequencies)
    seeds = build_seed_entities(candidates, RulesSignificanceJudge(1).judge_candidates(candidates))
    entities.write(SEEDS, seeds)
    entities.write_json(
        "manifest.json",
        {
            "stage": "entities",
            "fingerprint": "f",
            "inputs": {},
            "resumed": False,
            "seconds": 1.0,
            "versions": {},
            "counts": {"citations": citations, "rarity": asdict(rule)},
        },
    )


def _citation(pmid: str, year: int | None, title: str, abstract: str) -> dict[str, object]:
    return asdict(
        Citation(
            pmid,
            1,
            title,
            abstract,
            (),
            "Lancet",
            "0140-6736",
            year,
            "eng",
            (),
            (),
            (),
            (),
            (),
            False,
            (),
            (),
            "",
            "",
            "",
            "",
            (),
            (),
            "pubmed26n0001.xml.gz",
            0,
        )
    )
