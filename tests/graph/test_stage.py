"""Index, graph and chains end to end over a few citations, through Ray."""

from pathlib import Path

import pytest
from rich.console import Console

from medr_ray.core.config import PipelineConfig
from medr_ray.core.records import Chain, Citation, EntityFrequency, Relation, SeedEntity, Significance, Term
from medr_ray.core.run import RunDirectory, StageContext
from medr_ray.entities.matching import Matcher
from medr_ray.entities.patterns import write_lexicon
from medr_ray.graph.chain_stage import CHAINS
from medr_ray.graph.stage import GRAPH, chosen_seeds
from medr_ray.knowledge.lexicon import build_lexicon
from medr_ray.retrieval.retriever import Retriever
from medr_ray.retrieval.stage import INDEX

SEEDS = ("OMIM:154700", "OMIM:245200", "ORPHA:284979", "OMIM:182212")


def citation(pmid: str, title: str, abstract: str, retracted: bool = False) -> Citation:
    types = (Term("D016428", "Journal Article"),)
    return Citation(pmid, 1, title, abstract, (), "J", "", 2001, "eng", types, (), (), (), (), retracted, (), "f", 0)


CITATIONS = [
    citation("1", "Losartan in Marfan syndrome", "Marfan syndrome was treated with losartan."),
    citation("2", "Krabbe disease", "Krabbe disease was treated with losartan in Japan.", retracted=True),
    citation("3", "No abstract", ""),
]


def seed(concept_id: str, verdict: bool = True) -> SeedEntity:
    frequency = EntityFrequency(concept_id, concept_id, "disease", 1, 1, 1e-5, 1e-6, 1e-4)
    return SeedEntity(frequency, Significance(verdict, "", "rules"), "")


def prepare(root: Path, **graph: int) -> tuple[RunDirectory, PipelineConfig]:
    config = PipelineConfig.model_validate({"run": {"root": str(root)}, "index": {"embed": "none"}, "graph": graph})
    run = RunDirectory(str(root / "run"))
    run.stage("corpus").write_records("citations/part-00000.parquet", Citation, CITATIONS)
    lexicon = build_lexicon(("hpo", "hpo_diseases", "genes", "drugs"))
    write_lexicon(run.stage("entities"), lexicon)
    Matcher.build(lexicon, 4).save(run.stage("entities"))
    run.stage("entities").write_records("seeds.parquet", SeedEntity, [*map(seed, SEEDS), seed("OMIM:2", False)])
    run.stage("entities").write_records("frequencies.parquet", EntityFrequency, [seed(SEEDS[0]).frequency])
    return run, config


def context(run: RunDirectory, config: PipelineConfig, stage: str) -> StageContext:
    return StageContext(config, run, run.stage(stage), Console(quiet=True))


@pytest.mark.slow
def test_from_citations_to_chains(ray_local: None, tmp_path: Path) -> None:
    run, config = prepare(tmp_path, workers=1)
    counts = INDEX.execute(context(run, config, "index"))
    assert (counts["pubmed"], counts["embedded"]) == (2, 0)
    assert counts["hpo"] > 10_000
    assert Retriever.open(run.stage("index"), config.retrieval, config.models).document("PMID:3") is None

    counts = GRAPH.execute(context(run, config, "graph"))
    assert counts["seeds"] == 4
    assert counts["by_predicate"]["treated_with"] == 1  # the retracted paper states nothing
    relations = {one.relation_id: one for one in run.stage("graph").read_records("relations.parquet", Relation)}
    evidence = [one for relation in relations.values() for one in relation.evidence]
    retriever = Retriever.open(run.stage("index"), config.retrieval, config.models)
    for one in evidence:
        document = retriever.document(one.document_id)
        assert document is not None
        assert document.text[one.start : one.end] == one.sentence
    assert any(one.reference.startswith("PMID:") for one in evidence)

    CHAINS.execute(context(run, config, "chains"))
    for chain in run.stage("chains").read_records("chains.parquet", Chain):
        assert chain.entities[0] == chain.seed
        assert chain.length == len(chain.relations) == len(set(chain.entities)) - 1
        for i, key in enumerate(chain.relations):
            assert {relations[key].subject, relations[key].object} == set(chain.entities[i : i + 2])


@pytest.mark.slow
def test_a_killed_stage_goes_on_with_its_parts_and_ends_alike(
    ray_local: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medr_ray.graph.stage._BATCH", 1)
    run, config = prepare(tmp_path, workers=2)
    INDEX.execute(context(run, config, "index"))
    table = run.stage("index").names("parts/documents")
    GRAPH.execute(context(run, config, "graph"))
    graph = run.stage("graph")
    names = ("relations.parquet", "entities.parquet", "seed_graphs.parquet", "graph.graphml")
    before = {name: graph.read_bytes(name) for name in names}
    for name in names:
        (graph.local / name).unlink()
    kept, lost = graph.names("parts")[:2], graph.names("parts")[2:]
    for name in lost:
        (graph.local / "parts" / name).unlink()
    stamps = {name: (graph.local / "parts" / name).stat().st_mtime_ns for name in kept}
    GRAPH.execute(context(run, config.model_copy(update={"graph": config.graph.model_copy(update={"workers": 1})}),
                          "graph"))
    assert {name: graph.read_bytes(name) for name in names} == before
    assert {name: (graph.local / "parts" / name).stat().st_mtime_ns for name in kept} == stamps
    assert run.stage("index").names("parts/documents") == table


def test_seeds_with_a_record_come_first_when_there_is_a_limit() -> None:
    seeds = [seed(one) for one in ("A", "B", "C", "D")] + [seed("E", False)]
    assert chosen_seeds(seeds, None, 0, ()) == ["A", "B", "C", "D"]
    assert set(chosen_seeds(seeds, 2, 0, {"B", "D", "E"})) == {"B", "D"}
    assert len({tuple(chosen_seeds(seeds, 2, run_seed, ())) for run_seed in range(20)}) > 1
