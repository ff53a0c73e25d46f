"""The graph stage: through Ray end to end over a few citations, resumed with one worker and with
two, and extended."""

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support import graph_run
from support.graph_run import paper, record, write_index, write_inputs, write_seeds
from support.small_facts import write_facts
from support.without_ray import use_this_process

from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import DataError
from medr_ray.core.records import (
    Citation,
    EntityFrequency,
    SeedEntity,
    Significance,
    Term,
)
from medr_ray.core.run import RunDirectory, StageContext, run_stage
from medr_ray.entities import artifacts
from medr_ray.entities.artifacts import FREQUENCIES
from medr_ray.entities.form_patterns import write_lexicon
from medr_ray.entities.matching import Matcher
from medr_ray.graph.artifacts import CHAINS, ENTITIES, RELATIONS
from medr_ray.graph.paths.stage import CHAINS_STAGE
from medr_ray.graph.stage import GRAPH_STAGE, _growth_digest, group_seeds, select_seeds
from medr_ray.graph.storage import GrownSeed
from medr_ray.knowledge.lexicon import build_lexicon
from medr_ray.knowledge.name_normalization import fold_name
from medr_ray.retrieval.retriever import Retriever
from medr_ray.retrieval.stage import INDEX_STAGE

SEEDS = ("OMIM:154700", "OMIM:245200", "ORPHA:284979", "OMIM:182212")


def make_citation(pmid: str, title: str, abstract: str, retracted: bool = False) -> Citation:
    types = (Term("D016428", "Journal Article"),)
    return Citation(
        pmid,
        1,
        title,
        abstract,
        (),
        "J",
        "",
        2001,
        "eng",
        types,
        (),
        (),
        (),
        (),
        retracted,
        (),
        (),
        "",
        "",
        "",
        "",
        (),
        (),
        "f",
        0,
    )


CITATIONS = [
    make_citation("1", "Losartan in Marfan syndrome", "Marfan syndrome was treated with losartan."),
    make_citation(
        "2", "Krabbe disease", "Krabbe disease was treated with losartan in Japan.", retracted=True
    ),
    make_citation("3", "No abstract", ""),
]


def make_seed(concept_id: str, verdict: bool = True) -> SeedEntity:
    frequency = EntityFrequency(concept_id, concept_id, "disease", 1, 1, 1e-5, 1e-6, 1e-4)
    return SeedEntity(frequency, Significance(verdict, "", "rules"), "")


def prepare(root: Path, **graph: int) -> tuple[RunDirectory, PipelineConfig]:
    config = PipelineConfig.model_validate(
        {
            "run": {"root": str(root)},
            "index": {"embed": "none", "sources": ["pubmed", "hpo"]},
            "graph": graph,
        }
    )
    run = RunDirectory(str(root / "run"))
    run.stage("corpus").write_records("citations/part-00000.parquet", Citation, CITATIONS)
    lexicon = build_lexicon(("hpo", "hpo_diseases", "genes", "drugs"))
    write_lexicon(run.stage("entities"), lexicon)
    Matcher.build(lexicon, 4).save(run.stage("entities"))
    run.write(artifacts.SEEDS, [*map(make_seed, SEEDS), make_seed("OMIM:2", False)])
    run.write(FREQUENCIES, [make_seed(SEEDS[0]).frequency])
    write_facts(run)
    return run, config


def make_context(run: RunDirectory, config: PipelineConfig, stage: str) -> StageContext:
    return StageContext(config, run, run.stage(stage), Console(quiet=True))


@pytest.mark.slow
def test_from_citations_to_chains(ray_local: None, tmp_path: Path) -> None:
    run, config = prepare(tmp_path, workers=1)
    counts = run_stage(
        INDEX_STAGE, make_context(run, config, "index"), "an index", {"corpus": "f"}
    )["counts"]
    assert (counts["pubmed"], counts["embedded"]) == (2, 0)
    assert counts["hpo"] > 10_000
    assert (
        Retriever.open(run.stage("index"), config.retrieval, config.models).document("PMID:3")
        is None
    )

    counts = GRAPH_STAGE.execute(make_context(run, config, "graph"))
    assert counts["seeds"] == 4
    assert counts["by_predicate"]["treated_with"] == 1  # the retracted paper states nothing
    relations = {relation.relation_id: relation for relation in run.read(RELATIONS)}
    evidence = [item for relation in relations.values() for item in relation.evidence]
    retriever = Retriever.open(run.stage("index"), config.retrieval, config.models)
    for item in evidence:
        document = retriever.document(item.document_id)
        assert document is not None
        assert document.text[item.start : item.end] == item.sentence
    names = {entity.entity_id: entity.name for entity in run.read(ENTITIES)}
    for relation in relations.values():
        for item in relation.evidence:
            if item.source == "hpo":
                record = retriever.document(item.document_id)
                assert record is not None
                assert names[relation.object] in item.sentence, "a passage that a search shows"
                assert fold_name(names[relation.subject]) == fold_name(record.title)
    assert any(item.reference.startswith("PMID:") for item in evidence)

    CHAINS_STAGE.execute(make_context(run, config, "chains"))
    for chain in run.read(CHAINS):
        assert chain.entities[0] == chain.seed
        assert chain.length == len(chain.relations) == len(set(chain.entities)) - 1
        for i, key in enumerate(chain.relations):
            assert {relations[key].subject, relations[key].object} == set(chain.entities[i : i + 2])


TABLES = ("relations.parquet", "entities.parquet", "seed_graphs.parquet")
ALL = sorted(graph_run.HARD_NAMES)


def run_graph(run: RunDirectory, config: PipelineConfig, mark: str = "graph") -> dict[str, Any]:
    """The stage as the pipeline runs it; returns its counts."""
    upstream = {"entities": "f", "facts": "f", "index": "f"}
    counts: dict[str, Any] = run_stage(GRAPH_STAGE, graph_run.context(run, config), mark, upstream)[
        "counts"
    ]
    return counts


def read_tables(run: RunDirectory) -> dict[str, bytes]:
    return {name: run.stage("graph").read_bytes(name) for name in TABLES}


def read_grown_seeds(run: RunDirectory) -> dict[str, GrownSeed]:
    graph = run.stage("graph")
    return {
        grown.seed: grown
        for part in graph.list_files("parts")
        for grown in graph.read_records(f"parts/{part}", GrownSeed)
    }


def set_workers(config: PipelineConfig, workers: int) -> PipelineConfig:
    return config.model_copy(update={"graph": config.graph.model_copy(update={"workers": workers})})


@pytest.mark.slow
def test_a_killed_stage_goes_on_with_its_parts_and_ends_alike_with_any_number_of_workers(
    ray_local: None, tmp_path: Path
) -> None:
    run, config = write_inputs(tmp_path, ALL)
    write_index(
        run,
        [
            *map(record, ALL),
            paper("1", "Kuru <p&q>; x,y. Krabbe disease was treated with losartan."),
        ],
        "i",
    )
    assert run_graph(run, config)["seeds_expanded"] == len(ALL)
    before, graph = read_tables(run), run.stage("graph")
    assert len(graph.read(RELATIONS)) == 11
    stored = {entity.entity_id: entity.name for entity in graph.read(ENTITIES)}
    assert stored == {concept.concept_id: concept.name for concept in graph_run.concepts()}
    for name in (*TABLES, "manifest.json"):
        (graph.local / name).unlink()
    lost = graph.list_marked_parts("parts")[2:]
    for name in lost:
        (
            graph.local / "parts" / f"_{name}.json"
        ).unlink()  # as a worker leaves it that is killed between the two
    (graph.local / "parts" / f"{lost[-1]}.parquet").write_bytes(b"not a table")
    assert run_graph(run, set_workers(config, 2))["seeds_expanded"] == len(lost)
    assert read_tables(run) == before
    graph.clear()
    assert run_graph(run, set_workers(config, 2))["seeds_expanded"] == len(ALL)
    assert read_tables(run) == before


@pytest.mark.slow
def test_new_abstracts_extend_the_graph_as_a_rebuild_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A paper on one of two seeds is added; then it is retracted, and three seeds are new."""
    use_this_process(monkeypatch, "medr_ray.graph.stage")
    seeds, losartan = ["D:3", "D:5"], "Krabbe disease was treated with losartan."
    documents = [*map(record, ALL), paper("1", "Losartan was given."), paper("2", "GBA1 was seen.")]
    run, config = write_inputs(tmp_path / "extended", seeds, steps=1)
    write_index(run, documents, "first")
    run_graph(run, config, "first")
    before = read_grown_seeds(run)
    relations = {relation.relation_id: relation for relation in run.read(RELATIONS)}
    assert all(relation.predicate != "treated_with" for relation in relations.values())

    write_index(run, [*documents, paper("3", losartan)], "second")
    assert run_graph(run, config, "second")["seeds_expanded"] == 1
    after = read_grown_seeds(run)
    assert after["D:3"] == before["D:3"]
    assert after["D:5"] != before["D:5"]
    extended = {relation.relation_id: relation for relation in run.read(RELATIONS)}
    assert {key: extended[key] for key in relations} == relations
    (new,) = (relation for key, relation in extended.items() if key not in relations)
    assert (new.subject, new.predicate, new.object) == ("D:5", "treated_with", "DRUG:1")
    assert [(item.document_id, item.sentence) for item in new.evidence] == [("PMID:3", losartan)]

    withdrawn = [*documents, paper("3", losartan, retracted=True)]
    write_seeds(run, ALL)
    write_index(run, withdrawn, "third")
    assert run_graph(run, config, "third")["seeds_expanded"] == 4
    last = run.read(RELATIONS)
    assert new.relation_id not in {relation.relation_id for relation in last}
    rebuilt, _ = write_inputs(tmp_path / "rebuilt", ALL, steps=1)
    write_index(rebuilt, withdrawn, "third")
    run_graph(
        rebuilt,
        config.model_copy(
            update={"run": config.run.model_copy(update={"root": str(tmp_path / "rebuilt")})}
        ),
        "third",
    )
    assert read_tables(rebuilt) == read_tables(run)


def test_parts_are_kept_while_what_decides_them_is_the_same(tmp_path: Path) -> None:
    run, config = write_inputs(tmp_path, ALL)

    def made_from(section: str, **changed: object) -> str:
        other = getattr(config, section).model_copy(update=changed)
        return _growth_digest(graph_run.context(run, config.model_copy(update={section: other})))

    as_it_is = made_from("run")
    assert made_from("graph", workers=7, max_seeds=3) == as_it_is
    for section, changed in (
        ("graph", {"steps": 3}),
        ("graph", {"max_relations_per_entity": 1}),
        ("run", {"seed": 1}),
        ("retrieval", {"candidates": 4}),
        ("graph", {"extractor": "llm"}),
    ):
        assert made_from(section, **changed) != as_it_is
    write_lexicon(run.stage("entities"), graph_run.concepts()[1:])
    assert made_from("run") != as_it_is


def test_without_an_index_the_error_says_which_command_makes_it(tmp_path: Path) -> None:
    run, config = write_inputs(tmp_path, ALL)
    with pytest.raises(DataError, match="medr index run"):
        run_graph(run, config)


def test_the_group_of_a_seed_depends_on_nothing_else() -> None:
    many = [f"OMIM:{i}" for i in range(3000)]
    groups = group_seeds(many)
    assert len(groups) == 256
    assert sorted(member for group in groups.values() for member in group) == sorted(many)
    fewer = group_seeds(many[::7])
    assert all(set(group) <= set(groups[name]) for name, group in fewer.items())


def test_seeds_with_a_record_come_first_when_there_is_a_limit() -> None:
    seeds = [make_seed(name) for name in ("A", "B", "C", "D")] + [make_seed("E", False)]
    assert select_seeds(seeds, None, 0, ()) == ["A", "B", "C", "D"]
    assert set(select_seeds(seeds, 2, 0, {"B", "D", "E"})) == {"B", "D"}
    assert len({tuple(select_seeds(seeds, 2, run_seed, ())) for run_seed in range(20)}) > 1


def test_with_a_limit_every_type_keeps_its_share_of_the_seeds() -> None:
    seeds = [
        SeedEntity(
            EntityFrequency(name, name, entity_type, 1, 1, 0.1, 0.0, 0.2),
            Significance(True, "", "rules"),
            "",
        )
        for entity_type, names in (("drug", "XY"), ("disease", "ABCDEFGH"))
        for name in names
    ]
    selected = select_seeds(seeds, 5, 0, set("ABCD"))
    assert sorted(set(selected) & set("XY")) in (["X"], ["Y"])
    assert set(selected) - set("XY") == set("ABCD")
