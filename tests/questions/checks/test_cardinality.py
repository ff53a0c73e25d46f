"""A question never identifies an entity by a many-valued fact, and says in which source it asks."""

from dataclasses import replace

import pytest
from support.hpo_graph import hpo_graph
from support.small_graph import MARFAN, MASS, STICKLER, make_relation, small_graph

from medr_ray.core.config import ChainsConfig, QuestionsConfig
from medr_ray.core.records import Entity, Evidence, Relation
from medr_ray.graph.facts.curated_statements import build_full_index, list_graph_statements
from medr_ray.graph.facts.fact_index import CuratedStatement, FactIndex, build_fact_index
from medr_ray.graph.facts.hops import make_walk, mark_other_hops
from medr_ray.graph.facts.identification import is_identifying
from medr_ray.knowledge.predicates import PREDICATES
from medr_ray.knowledge.published_reports import is_report
from medr_ray.knowledge.shares import has_enough_patients
from medr_ray.questions.checks.cardinality import CardinalityCheck, find_basis
from medr_ray.questions.drafting.drafter import Drafter, QuestionGraph
from medr_ray.questions.drafting.question_paths import QuestionPath
from medr_ray.questions.wording.writers import ChineseRulesWriter, Draft, EnglishRulesWriter
from medr_ray.trajectories.solver.chinese import ChineseGrammar
from medr_ray.trajectories.solver.english import EnglishGrammar

COL2A1 = "GENE:COL2A1"
ONSET = "HP:0003577"
OMIM_GENE = CuratedStatement(STICKLER, "associated_gene", COL2A1, "OMIM")
ORPHA_GENE = CuratedStatement(STICKLER, "associated_gene", COL2A1, "ORPHA")
AGREED = (OMIM_GENE, ORPHA_GENE)


def index_of(graph: QuestionGraph, *statements: CuratedStatement) -> FactIndex:
    return build_fact_index(graph.entities, graph.relations.values(), (), statements)


def make_path(graph: QuestionGraph, facts: FactIndex, start: str, *relations: str) -> QuestionPath:
    hops = make_walk(start, [graph.relations[relation_id] for relation_id in relations])
    assert hops is not None
    return QuestionPath(start, "", mark_other_hops(hops, facts), False)


def find_kinds(
    graph: QuestionGraph, start: str, *relations: str, statements: tuple[CuratedStatement, ...] = ()
) -> set[str]:
    """The kinds of reasons for which a walk is refused."""
    facts = index_of(graph, *statements)
    path = make_path(graph, facts, start, *relations)
    reasons = CardinalityCheck(graph.entities, graph.relations, facts).find_refusals(path)
    return {reason.split(":")[0] for reason in reasons}


def with_onset() -> QuestionGraph:
    return small_graph(extra=[make_relation("onset", STICKLER, "has_onset", ONSET)])


def test_a_gene_leads_to_a_hidden_disease_only_where_two_authorities_agree() -> None:
    graph = with_onset()
    assert find_kinds(graph, COL2A1, "col2a1", "onset", statements=AGREED) == set()
    assert find_kinds(graph, COL2A1, "col2a1", "onset", statements=AGREED[:1]) == {"cardinality"}


def test_another_disease_or_gene_of_an_authority_is_a_contradiction() -> None:
    graph = small_graph()
    other_gene = CuratedStatement(STICKLER, "associated_gene", "GENE:FBN1", "ORPHA")
    statements = (*AGREED, other_gene)
    assert find_kinds(graph, STICKLER, "col2a1", statements=statements) == {"contradiction"}
    other_disease = CuratedStatement(MASS, "associated_gene", COL2A1, "ORPHA")
    statements = (*AGREED, other_disease)
    assert find_kinds(graph, COL2A1, "col2a1", statements=statements) == {"contradiction"}


def test_one_source_is_named_and_two_that_agree_are_not() -> None:
    graph = small_graph()
    for statements, source in ((AGREED, ""), (AGREED[:1], "hpo")):
        facts = index_of(graph, *statements)
        path = make_path(graph, facts, STICKLER, "col2a1")
        assert find_basis(path, graph.relations, facts).source == source


def test_a_mode_of_inheritance_needs_two_authorities() -> None:
    graph = small_graph()
    dominant = "HP:0000006"
    omim = CuratedStatement(MARFAN, "has_inheritance", dominant, "OMIM")
    orpha = replace_authority(omim, "ORPHA")
    assert find_kinds(graph, MARFAN, "inherit", statements=(omim,)) == {"source"}
    assert find_kinds(graph, MARFAN, "inherit", statements=(omim, orpha)) == set()


def replace_authority(statement: CuratedStatement, authority: str) -> CuratedStatement:
    return statement._replace(authority=authority)


def test_a_gene_that_is_only_a_risk_is_no_cause() -> None:
    graph = small_graph()
    risk = ORPHA_GENE._replace(is_risk=True)
    kinds = find_kinds(graph, STICKLER, "col2a1", statements=(OMIM_GENE, risk))
    assert "risk" in kinds


@pytest.mark.parametrize(
    ("share", "refused"),
    [
        ("29 of 29 patients", True),
        ("12 of 30 patients", False),
        ("45% of patients", True),
        ("all patients", True),
    ],
)
def test_shares_of_few_or_uncounted_patients_are_not_asked(share: str, refused: bool) -> None:
    relation = make_relation("share", STICKLER, "has_finding", "HP:0001083", share)
    graph = small_graph(extra=[relation])
    assert ("share" in find_kinds(graph, STICKLER, "share")) == refused


def rename(graph: QuestionGraph, entity_id: str, name: str) -> QuestionGraph:
    renamed = replace(graph.entities[entity_id], name=name, aliases=())
    return replace(graph, entities={**graph.entities, entity_id: renamed})


@pytest.mark.parametrize(
    ("entity_id", "name", "kind"),
    [
        (STICKLER, "Collagen diseases", "class"),
        (STICKLER, "Malignant neoplasm", "class"),
        (STICKLER, "OBSOLETE: Stickler syndrome", "retired"),
        (STICKLER, "Vitreous detachment, susceptibility to", "risk"),
    ],
)
def test_classes_retired_entries_and_risks_are_refused(
    entity_id: str, name: str, kind: str
) -> None:
    assert kind in find_kinds(rename(small_graph(), entity_id, name), STICKLER, "col2a1")


def test_a_finding_that_is_named_like_its_disease_is_refused() -> None:
    share = make_relation("share", STICKLER, "has_finding", "HP:0000541", "40 of 50 patients")
    graph = small_graph(extra=[share])
    assert "self_named" not in find_kinds(graph, STICKLER, "share")
    named = rename(graph, STICKLER, "Retinal dysplasia with Stickler vitreous")
    assert "self_named" in find_kinds(named, STICKLER, "share")


TRIAL = Entity("NCT:NCT00000001", "NCT00000001", "trial", (), "", None, False)
SPONSOR = Entity("COMPANY:acme", "Acme", "company", (), "", None, False)
PHASE = Entity("VALUE:category/PHASE2", "Phase 2", "value", (), "", None, False)


def make_trial_graph() -> QuestionGraph:
    def relate(key: str, predicate: str, obj: str, temporal: str = "") -> Relation:
        evidence = Evidence("clinical_trials", TRIAL.entity_id, f"{key}: x", 0, 1, "")
        return Relation(
            key,
            TRIAL.entity_id,
            predicate,
            obj,
            temporal,
            "",
            "",
            1.0,
            "registry",
            (evidence,),
            ("fact",),
        )

    graph = small_graph(
        extra=[
            relate("sponsor", "lead_sponsor", SPONSOR.entity_id, "as of 12 July 2019"),
            relate("phase", "trial_phase", PHASE.entity_id),
            relate("drug", "studies_intervention", "D:losartan"),
        ]
    )
    further = {entity.entity_id: entity for entity in (TRIAL, SPONSOR, PHASE)}
    return replace(graph, entities={**graph.entities, **further})


@pytest.mark.parametrize("relation_id", ["sponsor", "phase", "drug"])
def test_what_a_record_states_of_itself_is_asked_bare(relation_id: str) -> None:
    graph = make_trial_graph()
    facts = index_of(graph)
    assert find_kinds(graph, TRIAL.entity_id, relation_id) == set()
    path = make_path(graph, facts, TRIAL.entity_id, relation_id)
    assert find_basis(path, graph.relations, facts).source == ""


@pytest.mark.parametrize("relation_id", ["sponsor", "drug"])
def test_a_sponsor_or_drug_does_not_lead_to_a_trial(relation_id: str) -> None:
    graph = make_trial_graph()
    start = graph.relations[relation_id].object
    assert find_kinds(graph, start, relation_id) == {"source"}
    assert "cardinality" in find_kinds(graph, start, relation_id, "phase")


def test_what_ages_is_asked_with_its_date_and_both_languages_are_read_again() -> None:
    graph = make_trial_graph()
    facts = index_of(graph)
    path = make_path(graph, facts, TRIAL.entity_id, "sponsor")
    draft = Draft(path, basis=find_basis(path, graph.relations, facts))
    text = EnglishRulesWriter(graph.entities).write([draft])[0].text
    assert text == "What is the lead sponsor of the trial NCT00000001, as of 12 July 2019?"
    chinese_text = ChineseRulesWriter(graph.entities).write([draft])[0].text
    assert chinese_text == "试验NCT00000001的主要申办方是什么（截至12 July 2019）？"
    for grammar, written in ((EnglishGrammar(), text), (ChineseGrammar(), chinese_text)):
        (plan, *_) = grammar.parse(written)
        assert plan.walks[0].start == "NCT00000001"
        assert [hop.directed_predicate for hop in plan.hops] == ["lead_sponsor"]


def test_the_source_is_stated_last_and_does_not_change_the_plan() -> None:
    graph = with_onset()
    facts = index_of(graph, *AGREED)
    path = make_path(graph, facts, COL2A1, "col2a1", "onset")
    draft = Draft(path, basis=find_basis(path, graph.relations, facts))
    for writer, grammar, ending in (
        (
            EnglishRulesWriter(graph.entities),
            EnglishGrammar(),
            ", according to the HPO annotations?",
        ),
        (ChineseRulesWriter(graph.entities), ChineseGrammar(), "（据HPO注释）？"),
    ):
        text = writer.write([draft])[0].text
        assert text.endswith(ending)
        (plan, *_) = grammar.parse(text)
        assert [hop.directed_predicate for hop in plan.hops] == list(path.directed_predicates)


def test_the_evidence_of_a_merged_record_speaks_for_the_entry_that_it_cites() -> None:
    relation = make_relation("gene", STICKLER, "associated_gene", COL2A1)
    evidence = Evidence("hpo", f"HPO:{STICKLER}", "s", 0, 1, "ORPHA:828")
    (statement,) = list_graph_statements([replace(relation, evidence=(evidence,))])
    assert statement.authority == "ORPHA"


def test_no_question_over_real_records_identifies_by_a_many_valued_fact() -> None:
    graph = hpo_graph(80)
    facts = build_full_index(graph.entities, graph.relations.values())
    drafter = Drafter(graph, facts, QuestionsConfig(max_hops=3), 0, ChainsConfig().hub_degree)
    accepted = [
        candidate for seed in sorted(graph.seed_graphs) for candidate in drafter.draft_seed(seed)[0]
    ]
    assert len(accepted) > 20
    assert {hop.forward for candidate in accepted for hop in candidate.path.hops} == {True, False}
    for candidate in accepted:
        path = candidate.path
        for hops in (path.hops, path.second):
            assert all(is_identifying(hop, facts) for hop in hops[:-1])
        last = path.hops[-1]
        if not is_identifying(last, facts) and not is_report(last.clinical):
            assert candidate.draft.basis.source
            assert "according to" in candidate.text
        for relation_id in path.relations:
            relation = graph.relations[relation_id]
            if "{clinical}" in PREDICATES[relation.predicate].phrase:
                assert has_enough_patients(relation.clinical)
