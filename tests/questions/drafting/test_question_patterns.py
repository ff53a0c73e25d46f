"""What a question's words allow, and which of its hops they can do without."""

from dataclasses import replace

from support.small_graph import (
    MARFAN,
    MASS,
    STICKLER,
    fact_index_of,
    make_relation,
    reported_relation,
    small_graph,
)

from medr_ray.graph.facts.fact_index import Clause, IndexedFact
from medr_ray.graph.facts.hops import make_hop, make_walk, mark_other_hops
from medr_ray.knowledge.published_reports import with_field, with_year_span
from medr_ray.questions.drafting.drafter import QuestionGraph
from medr_ray.questions.drafting.question_paths import QuestionPath
from medr_ray.questions.drafting.question_patterns import find_needless_hops, find_possible_answers

ONSET = Clause("onset-mass", "has_onset", True, "", "HP:0003577")


def path(graph: QuestionGraph, start: str, *relations: str) -> QuestionPath:
    facts = fact_index_of(graph)
    hops = make_walk(start, [graph.relations[relation_id] for relation_id in relations])
    assert hops is not None
    return QuestionPath(MARFAN, "chain", mark_other_hops(hops, facts), True)


def test_all_answers_of_the_pattern_are_found() -> None:
    graph = small_graph()
    gene = path(graph, "GENE:FBN1", "fbn1")
    assert find_possible_answers(gene, [{"GENE:FBN1"}], fact_index_of(graph)) == {MARFAN, MASS}
    with_clause = replace(gene, hops=(replace(gene.hops[0], also=(ONSET,)),))
    assert find_possible_answers(with_clause, [{"GENE:FBN1"}], fact_index_of(graph)) == {MASS}
    other = path(graph, MARFAN, "fbn1", "fbn1-mass")
    assert find_possible_answers(other, [{MARFAN}], fact_index_of(graph)) == {MASS}


def test_a_comparison_means_whatever_its_share_may_lie_inside() -> None:
    graph = small_graph(
        extra=[make_relation("x", MARFAN, "has_finding", "HP:0000541", "30-79% of patients")]
    )
    lens = path(graph, MARFAN, "lens")
    compared_path = replace(
        lens, hops=(replace(lens.hops[0], clinical="a quarter to a half of patients"),)
    )
    assert find_possible_answers(lens, [{MARFAN}], fact_index_of(graph)) == {"HP:0001083"}
    assert find_possible_answers(compared_path, [{MARFAN}], fact_index_of(graph)) == {
        "HP:0001083",
        "HP:0000541",
        "HP:0000545",
    }


def test_a_report_means_what_it_states_and_what_is_stated_without_one() -> None:
    reports = [
        reported_relation(
            "losartan", MARFAN, "treated_with", "D:losartan", (1977, "American heart journal")
        ),
        reported_relation(
            "atenolol", MARFAN, "treated_with", "D:atenolol", (1978, "American heart journal")
        ),
    ]
    graph = small_graph(extra=reports)
    exact = path(graph, MARFAN, "losartan")
    assert find_possible_answers(exact, [{MARFAN}], fact_index_of(graph)) == {"D:losartan"}
    less = replace(
        exact, hops=(replace(exact.hops[0], clinical=with_year_span(exact.hops[0].clinical)),)
    )
    assert find_possible_answers(less, [{MARFAN}], fact_index_of(graph)) == {
        "D:losartan",
        "D:atenolol",
    }, "both within five years"
    field = replace(
        exact, hops=(replace(exact.hops[0], clinical=with_field(exact.hops[0].clinical)),)
    )
    assert find_possible_answers(field, [{MARFAN}], fact_index_of(graph)) == {"D:losartan"}
    fact = IndexedFact(MARFAN, "treated_with", "D:atenolol", "")
    assert find_possible_answers(exact, [{MARFAN}], fact_index_of(graph, [fact])) == {
        "D:losartan",
        "D:atenolol",
    }


def test_a_fact_of_several_reports_is_meant_by_each() -> None:
    twice = reported_relation(
        "losartan", MARFAN, "treated_with", "D:losartan", (1990, "Chest"), (2001, "Nature")
    )
    facts = fact_index_of(small_graph(extra=[twice]))
    assert facts.find_targets(MARFAN, "treated_with", True, "reported in 1990 in Chest") == {
        "D:losartan"
    }
    assert facts.find_targets(MARFAN, "treated_with", True, "reported in 2001 in Nature") == {
        "D:losartan"
    }
    assert facts.find_targets(MARFAN, "treated_with", True, "reported in 2001 in Chest") == set()


def test_only_what_reports_alone_state_is_asked_by_a_report() -> None:
    reported = reported_relation("losartan", MARFAN, "treated_with", "D:losartan", (1990, "Chest"))
    undated = reported_relation(
        "x", MARFAN, "treated_with", "D:losartan", (1990, "Chest"), (None, "")
    )
    hops = [
        make_hop(relation, MARFAN)
        for relation in (reported, undated, make_relation("gene", MARFAN, "has_onset", "HP:1"))
    ]
    assert [hop.clinical for hop in hops if hop is not None] == [
        "reported in 1990 in Chest",
        "",
        "",
    ]


def test_a_hop_before_one_that_only_its_target_fits_is_needless() -> None:
    graph = small_graph()
    full_path = path(graph, MASS, "fbn1-mass", "fbn1", "lens")
    assert find_needless_hops(full_path, fact_index_of(graph)) == [1, 2], (
        "only one disease shows anything in 3 of 7 patients"
    )
    another = IndexedFact("OMIM:999", "has_finding", "HP:0000541", "3 of 7 patients")
    assert find_needless_hops(full_path, fact_index_of(graph, [another])) == [1], (
        "only one that has a gene"
    )
    gene = IndexedFact("OMIM:999", "associated_gene", "GENE:COL2A1", "")
    assert find_needless_hops(full_path, fact_index_of(graph, [another, gene])) == []


def test_a_clause_about_a_target_may_make_the_way_to_it_needless() -> None:
    graph = small_graph()
    plain = path(graph, MARFAN, "fbn1", "fbn1-mass")
    with_clause = replace(
        plain, hops=(plain.hops[0], replace(plain.hops[1], other=False, also=(ONSET,)))
    )
    assert find_needless_hops(with_clause, fact_index_of(graph)) == [1, 2], (
        "no other disease has that onset"
    )
    same = IndexedFact(STICKLER, "has_onset", "HP:0003577", "")
    assert find_needless_hops(with_clause, fact_index_of(graph, [same])) == []
    assert find_needless_hops(plain, fact_index_of(graph)) == []


def test_a_hop_is_needless_where_the_other_walk_decides_without_it() -> None:
    graph = small_graph()
    facts = fact_index_of(graph)
    genes = replace(
        path(graph, "GENE:COL2A1", "col2a1"), second=path(graph, "HP:0000541", "detach").hops
    )
    assert find_needless_hops(genes, facts) == [1, 2], "each alone leads there"
    both = replace(
        path(graph, "GENE:FBN1", "fbn1"), second=path(graph, "HP:0001166", "arachno").hops
    )
    assert len(find_possible_answers(both, [{"GENE:FBN1"}, {"HP:0001166"}], facts)) == 1
    assert find_needless_hops(both, facts) == [1], "only one disease shows it in all patients"
    other = IndexedFact(STICKLER, "has_finding", "HP:0001166", "all patients")
    assert find_needless_hops(both, fact_index_of(graph, [other])) == []


def test_the_last_of_a_group_is_not_decided_by_overlapping_ages() -> None:
    later = make_relation(
        "onset-marfan", MARFAN, "has_onset", "HP:0410280"
    )  # pediatric: from birth on
    graph = small_graph(extra=[later])
    group = replace(path(graph, "GENE:FBN1", "fbn1-mass"), asked="earliest", about=(ONSET,))
    assert find_possible_answers(group, [{"GENE:FBN1"}], fact_index_of(graph)) == {MASS, MARFAN}
    childhood = make_relation("onset-marfan", MARFAN, "has_onset", "HP:0011463")
    assert find_possible_answers(
        group, [{"GENE:FBN1"}], fact_index_of(small_graph(extra=[childhood]))
    ) == {MASS}
