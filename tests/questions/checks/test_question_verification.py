"""Every check rejects what it is there for, and says why."""

from dataclasses import replace

from support.small_graph import MARFAN, MASS, STICKLER, fact_index_of, make_relation, small_graph

from medr_ray.core.records import Entity, Verification
from medr_ray.graph.facts.fact_index import IndexedFact
from medr_ray.graph.facts.hops import make_walk, mark_other_hops
from medr_ray.questions.checks.question_verification import QuestionVerifier, VerificationResult
from medr_ray.questions.drafting.drafter import QuestionGraph
from medr_ray.questions.drafting.question_paths import QuestionPath
from medr_ray.questions.wording.writers import Draft, EnglishRulesWriter


def judge(
    graph: QuestionGraph,
    start: str,
    *relations: str,
    text: str = "",
    statements: tuple[IndexedFact, ...] = (),
) -> VerificationResult:
    facts = fact_index_of(graph, statements)
    hops = make_walk(start, [graph.relations[relation_id] for relation_id in relations])
    assert hops is not None
    draft = Draft(QuestionPath(MARFAN, "chain-m", mark_other_hops(hops, facts), True))
    written = text or EnglishRulesWriter(graph.entities).write([draft])[0].text
    verdict = QuestionVerifier(graph.entities, graph.relations, facts).verify(draft, written)
    # What a question may rest on is tested in ``test_cardinality``.
    kinds = {"unique", "no_leak", "hops_needed", "evidence", "form"}
    reasons = tuple(reason for reason in verdict.reasons if reason.split(":")[0] in kinds)
    return replace(verdict, reasons=reasons)


def renamed(graph: QuestionGraph, entity_id: str, name: str, *aliases: str) -> QuestionGraph:
    entity = graph.entities[entity_id]
    return replace(
        graph, entities={**graph.entities, entity_id: replace(entity, name=name, aliases=aliases)}
    )


def test_a_good_question_passes_everything() -> None:
    for verdict in (
        judge(small_graph(), MARFAN, "inherit"),
        judge(small_graph(), "GENE:COL2A1", "col2a1", "detach"),
        judge(small_graph(), MARFAN, "fbn1", "fbn1-mass", "onset-mass"),
    ):
        assert verdict == VerificationResult(Verification(True, True, True, True), ())


def test_a_second_end_of_a_hop_makes_it_ambiguous() -> None:
    verdict = judge(small_graph(), "GENE:FBN1", "fbn1")
    assert verdict.reasons == ("unique: hop 1 (inverse:associated_gene) has 2 possible ends",)
    assert not verdict.verification.unique


def test_the_same_finding_share_in_two_findings_is_ambiguous_but_another_share_is_not() -> None:
    same = make_relation("x", MARFAN, "has_finding", "HP:0000545", "3 of 7 patients")
    assert not judge(small_graph(extra=[same]), MARFAN, "lens").verification.unique
    other = make_relation("x", MARFAN, "has_finding", "HP:0000545", "4 of 7 patients")
    assert judge(small_graph(extra=[other]), MARFAN, "lens").verification.unique


def test_facts_the_graph_left_out_count_for_uniqueness() -> None:
    left_out = (IndexedFact("OMIM:999", "associated_gene", "GENE:COL2A1", ""),)
    assert judge(small_graph(), "GENE:COL2A1", "col2a1").verification.unique
    assert not judge(
        small_graph(), "GENE:COL2A1", "col2a1", statements=left_out
    ).verification.unique


def test_a_start_that_another_entity_is_called_too_is_ambiguous() -> None:
    graph = renamed(small_graph(), MASS, "MASS syndrome", "Marfan Syndrome")
    assert judge(graph, MARFAN, "inherit").reasons == ("unique: the start may mean 2 entities",)


def test_the_answer_must_not_stand_in_the_text() -> None:
    leaks = [
        judge(
            small_graph(),
            MARFAN,
            "lens",
            text="Is ectopia-lentis the finding in 3 of 7 with Marfan syndrome?",
        ),
        judge(small_graph(), MARFAN, "lens", text="Dislocated lens in Marfan syndrome?"),
        judge(
            small_graph(),
            MARFAN,
            "inherit",
            text="Autosomal dominant Marfan syndrome: what inheritance?",
        ),
        judge(renamed(small_graph(), MARFAN, "Lentis ectopia, isolated"), MARFAN, "lens"),
        judge(renamed(small_graph(), MASS, "Congenital MASS"), MASS, "onset-mass"),
    ]
    assert [verdict.verification.no_leak for verdict in leaks] == [False] * 5
    assert all(verdict.reasons[0].startswith("no_leak: ") for verdict in leaks)


def test_a_part_of_a_word_is_no_leak() -> None:
    graph = renamed(small_graph(), "GENE:FBN1", "MARF")
    assert judge(graph, MARFAN, "fbn1").verification.no_leak


def test_a_shortcut_between_start_and_answer_makes_hops_needless() -> None:
    direct = make_relation("x", MARFAN, "has_onset", "HP:0003577")
    verdict = judge(small_graph(extra=[direct]), MARFAN, "fbn1", "fbn1-mass", "onset-mass")
    assert verdict.reasons == (
        "hops_needed: a fact connects entity 0 and entity 3 of the path directly",
    )


def test_naming_a_hidden_entity_makes_hops_needless() -> None:
    text = "What is the age of onset of MASS syndrome, which shares a gene with Marfan syndrome?"
    verdict = judge(small_graph(), MARFAN, "fbn1", "fbn1-mass", "onset-mass", text=text)
    assert verdict.reasons == ('hops_needed: the text names the hidden entity "MASS syndrome"',)


def test_a_hop_without_a_sentence_is_not_evidenced() -> None:
    bare = replace(make_relation("inherit", MARFAN, "has_inheritance", "HP:0000006"), evidence=())
    verdict = judge(small_graph(extra=[bare]), MARFAN, "inherit")
    assert verdict.reasons == ("evidence: hop 1 has no sentence in a document that counts",)
    assert not verdict.verification.evidence


def test_generic_and_long_answers_are_rejected_but_modes_of_inheritance_are_not() -> None:
    assert judge(
        renamed(small_graph(), "HP:0001083", "Abnormality of the eye"), MARFAN, "lens"
    ).reasons
    assert judge(
        renamed(small_graph(), "HP:0001083", "one two three four five six seven eight nine"),
        MARFAN,
        "lens",
    ).reasons == ("form: the answer is longer than 8 words",)
    assert not judge(
        renamed(small_graph(), "HP:0000006", "X-linked inheritance"), STICKLER, "inherit-stickler"
    ).reasons


def test_every_reason_is_kept() -> None:
    graph = small_graph(
        extra=[replace(make_relation("fbn1", MARFAN, "associated_gene", "GENE:FBN1"), evidence=())]
    )
    graph = replace(
        graph, entities={**graph.entities, "x": Entity("x", "FBN1", "gene", (), "", None, False)}
    )
    checks = {reason.split(":")[0] for reason in judge(graph, "GENE:FBN1", "fbn1").reasons}
    assert checks == {"unique", "evidence"}


def test_evidence_counts_only_from_an_allowed_source() -> None:
    graph = small_graph()
    facts = fact_index_of(graph)
    hops = make_walk(MARFAN, [graph.relations["inherit"]])
    assert hops is not None
    draft = Draft(QuestionPath(MARFAN, "chain-m", hops, True))
    for sources, expected in ((("hpo",), True), (("pubmed",), False)):
        verdict = QuestionVerifier(graph.entities, graph.relations, facts, sources).verify(
            draft, "What is it?"
        )
        assert verdict.verification.evidence is expected


def test_two_records_of_what_may_be_one_disease_are_no_two_steps() -> None:
    graph = renamed(small_graph(), MASS, "Syndrome of Marfan, type 2")
    reasons = judge(graph, MARFAN, "fbn1", "fbn1-mass").reasons
    assert reasons == (
        'form: "Marfan syndrome" and "Syndrome of Marfan, type 2" may be one disease',
    )
    numbered = renamed(
        renamed(small_graph(), MARFAN, "Long QT syndrome 2"), MASS, "Long QT syndrome 3"
    )
    assert not judge(numbered, MARFAN, "fbn1", "fbn1-mass").reasons
