"""What a question's words allow, and which of its hops they can do without."""

from dataclasses import replace

from support.small_graph import MARFAN, MASS, STICKLER, facts_of, make_relation, small_graph

from medr_ray.graph.facts import Statement
from medr_ray.graph.hops import Clause, mark_other, walk
from medr_ray.questions.drafting import Graph
from medr_ray.questions.paths import Path
from medr_ray.questions.patterns import answers, needless_hops

ONSET = Clause("onset-mass", "has_onset", True, "", "HP:0003577")


def path(graph: Graph, start: str, *relations: str) -> Path:
    facts = facts_of(graph)
    hops = walk(start, [graph.relations[one] for one in relations])
    assert hops is not None
    return Path(MARFAN, "chain", mark_other(hops, facts), True)


def test_all_answers_of_the_pattern_are_found() -> None:
    graph = small_graph()
    gene = path(graph, "GENE:FBN1", "fbn1")
    assert answers(gene, [{"GENE:FBN1"}], facts_of(graph)) == {MARFAN, MASS}
    told = replace(gene, hops=(replace(gene.hops[0], also=(ONSET,)),))
    assert answers(told, [{"GENE:FBN1"}], facts_of(graph)) == {MASS}
    other = path(graph, MARFAN, "fbn1", "fbn1-mass")
    assert answers(other, [{MARFAN}], facts_of(graph)) == {MASS}


def test_a_comparison_means_whatever_its_share_may_lie_inside() -> None:
    graph = small_graph(extra=[make_relation("x", MARFAN, "has_finding", "HP:0000541", "30-79% of patients")])
    lens = path(graph, MARFAN, "lens")
    compared = replace(lens, hops=(replace(lens.hops[0], clinical="a quarter to a half of patients"),))
    assert answers(lens, [{MARFAN}], facts_of(graph)) == {"HP:0001083"}
    assert answers(compared, [{MARFAN}], facts_of(graph)) == {"HP:0001083", "HP:0000541", "HP:0000545"}


def test_a_hop_before_one_that_only_its_target_fits_is_needless() -> None:
    graph = small_graph()
    shown = path(graph, MASS, "fbn1-mass", "fbn1", "lens")
    assert needless_hops(shown, facts_of(graph)) == [1, 2], "only one disease shows anything in 3 of 7 patients"
    another = Statement("OMIM:999", "has_finding", "HP:0000541", "3 of 7 patients")
    assert needless_hops(shown, facts_of(graph, [another])) == [1], "only one that has a gene"
    gene = Statement("OMIM:999", "associated_gene", "GENE:COL2A1", "")
    assert needless_hops(shown, facts_of(graph, [another, gene])) == []


def test_what_is_told_of_a_target_may_make_the_way_to_it_needless() -> None:
    graph = small_graph()
    plain = path(graph, MARFAN, "fbn1", "fbn1-mass")
    told = replace(plain, hops=(plain.hops[0], replace(plain.hops[1], other=False, also=(ONSET,))))
    assert needless_hops(told, facts_of(graph)) == [1, 2], "no other disease has that onset"
    same = Statement(STICKLER, "has_onset", "HP:0003577", "")
    assert needless_hops(told, facts_of(graph, [same])) == []
    assert needless_hops(plain, facts_of(graph)) == []


def test_the_last_of_a_group_is_not_decided_by_overlapping_ages() -> None:
    later = make_relation("onset-marfan", MARFAN, "has_onset", "HP:0410280")  # pediatric: from birth on
    graph = small_graph(extra=[later])
    group = replace(path(graph, "GENE:FBN1", "fbn1-mass"), asked="earliest", about=(ONSET,))
    assert answers(group, [{"GENE:FBN1"}], facts_of(graph)) == {MASS, MARFAN}
    childhood = make_relation("onset-marfan", MARFAN, "has_onset", "HP:0011463")
    assert answers(group, [{"GENE:FBN1"}], facts_of(small_graph(extra=[childhood]))) == {MASS}
