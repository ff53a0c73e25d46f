"""Questions are parsed into plans: everything that the rules writers word, in both languages."""

from dataclasses import replace

import pytest
from support.small_graph import MARFAN, MASS, fact_index_of, reported_relation, small_graph

from medr_ray.core.records import GuidanceStep
from medr_ray.graph.facts.fact_index import Clause
from medr_ray.graph.facts.hops import Hop, make_walk, mark_other_hops
from medr_ray.knowledge.predicates import DISEASE, GENE, PREDICATES
from medr_ray.knowledge.published_reports import with_field, with_year_span
from medr_ray.questions.drafting.assembly import build_guidance
from medr_ray.questions.drafting.obfuscation import describe_start, word_hops_as_comparisons
from medr_ray.questions.drafting.question_paths import QuestionPath
from medr_ray.questions.wording.writers import ChineseRulesWriter, Draft, EnglishRulesWriter
from medr_ray.trajectories.solver.plans import Condition, Plan, PlanHop, PlanWalk
from medr_ray.trajectories.solver.question_reader import read_question

_GRAPH = small_graph(
    extra=[
        reported_relation(
            "losartan", MASS, "treated_with", "D:losartan", (1977, "American heart journal")
        ),
        reported_relation("atenolol", MARFAN, "treated_with", "D:atenolol", (1981, "Chest")),
    ]
)
_FACTS = fact_index_of(_GRAPH)
_ONSET = Clause("onset-mass", "has_onset", True, "", "HP:0003577")
_GENE = Clause("col2a1", "associated_gene", True, "", "GENE:COL2A1")
_LENS = Clause("lens", "has_finding", True, "3 of 7 patients", "HP:0001083")


def path(start: str, *relations: str) -> QuestionPath:
    hops = make_walk(start, [_GRAPH.relations[relation_id] for relation_id in relations])
    assert hops is not None
    return QuestionPath(MARFAN, "", mark_other_hops(hops, _FACTS), False)


def with_clauses(question_path: QuestionPath, place: int, *clauses: Clause) -> QuestionPath:
    hops = list(question_path.hops)
    hops[place] = replace(hops[place], also=clauses)
    return replace(question_path, hops=tuple(hops))


def with_qualifier(question_path: QuestionPath, place: int, clinical: str) -> QuestionPath:
    hops = list(question_path.hops)
    hops[place] = replace(hops[place], clinical=clinical)
    return replace(question_path, hops=tuple(hops))


SHORT = path("GENE:COL2A1", "col2a1", "detach")
LONG = path(MARFAN, "fbn1", "fbn1-mass", "onset-mass")
REPORT = path(MASS, "losartan")
MEETING = replace(
    path(MARFAN, "fbn1", "fbn1-mass"),
    second=make_walk("D:losartan", [_GRAPH.relations["losartan"]]) or (),
)
DRAFTS = {
    "one hop": Draft(path(MARFAN, "inherit")),
    "two hops in one": Draft(SHORT),
    "step by step": Draft(LONG),
    "a clause": Draft(with_clauses(LONG, 1, _ONSET)),
    "two clauses": Draft(with_clauses(LONG, 1, _ONSET, _GENE)),
    "a share in a clause": Draft(with_clauses(path("GENE:FBN1", "fbn1", "inherit"), 0, _LENS)),
    "a comparison": Draft(replace(SHORT, hops=word_hops_as_comparisons(SHORT.hops) or ())),
    "a described start": Draft(
        path(MARFAN, "inherit"), describe_start(path(MARFAN, "inherit"), _FACTS), 2
    ),
    "a described start and steps": Draft(LONG, describe_start(LONG, _FACTS), 2),
    "a report": Draft(REPORT),
    "a report by its years": Draft(
        with_qualifier(REPORT, 0, with_year_span(REPORT.hops[0].clinical))
    ),
    "a report by its field": Draft(with_qualifier(REPORT, 0, with_field(REPORT.hops[0].clinical))),
    "a report on the way": Draft(path("D:losartan", "losartan", "onset-mass")),
    "two walks": Draft(
        replace(
            path("GENE:FBN1", "fbn1"),
            second=make_walk("HP:0001083", [_GRAPH.relations["lens"]]) or (),
        )
    ),
    "two walks, one with steps": Draft(MEETING),
    "a share": Draft(replace(path("GENE:FBN1", "fbn1"), asked="share", about=(_LENS,))),
    "a share after steps": Draft(
        replace(path(MASS, "fbn1-mass", "fbn1"), asked="share", about=(_LENS,))
    ),
    "the earliest": Draft(
        replace(path("GENE:FBN1", "fbn1-mass"), asked="earliest", about=(_ONSET,))
    ),
    "the latest, after steps": Draft(
        replace(path(MARFAN, "fbn1", "fbn1-mass"), asked="latest", about=(_ONSET,))
    ),
    "the largest": Draft(replace(path("GENE:FBN1", "fbn1"), asked="largest", about=(_LENS,))),
    "the smallest": Draft(replace(path("GENE:FBN1", "fbn1"), asked="smallest", about=(_LENS,))),
}


def plan_of(question_path: QuestionPath) -> Plan:
    """The plan of a path, from the path itself."""
    paths = [hops for hops in (question_path.hops, question_path.second) if hops]
    walks = [PlanWalk(_name(hops[0].start), tuple(map(_plan_hop, hops))) for hops in paths]
    compares_shares = question_path.asked in ("share", "largest", "smallest")
    finding = _name(question_path.about[0].other) if compares_shares else ""
    return Plan(tuple(walks), question_path.asked, finding)  # type: ignore[arg-type]


def _plan_hop(hop: Hop) -> PlanHop:
    conditions = [
        Condition(
            PREDICATES[clause.predicate], clause.forward, clause.clinical, _name(clause.other)
        )
        for clause in hop.also
    ]
    return PlanHop(
        PREDICATES[hop.predicate], not hop.forward, hop.clinical, hop.other, tuple(conditions)
    )


def _name(entity_id: str) -> str:
    return _GRAPH.entities[entity_id].name


def without_other(plan: Plan | None) -> Plan | None:
    """Chinese does not say "the other" of genes and findings."""
    return plan and replace(
        plan,
        walks=tuple(
            replace(walk, hops=tuple(replace(hop, says_other=False) for hop in walk.hops))
            for walk in plan.walks
        ),
    )


@pytest.mark.parametrize("kind", DRAFTS)
def test_every_english_draft_is_parsed_with_and_without_guidance(kind: str) -> None:
    draft = DRAFTS[kind]
    text = EnglishRulesWriter(_GRAPH.entities).write([draft])[0].text
    plan = read_question(text)
    assert plan is not None, text
    assert plan == read_question(text, "en", build_guidance(draft.path, _GRAPH.entities))
    if draft.description is None:
        assert plan == plan_of(draft.path), text
    else:
        assert [walk.described for walk in plan.walks] == [True]
        assert plan.hops == plan_of(draft.path).hops


@pytest.mark.parametrize("kind", DRAFTS)
def test_chinese_drafts_give_the_same_plans_as_english(kind: str) -> None:
    if kind == "a share":  # the Chinese wording always takes a step first
        return
    draft = DRAFTS[kind]
    english = read_question(EnglishRulesWriter(_GRAPH.entities).write([draft])[0].text)
    text = ChineseRulesWriter(_GRAPH.entities).write([draft])[0].text
    assert without_other(read_question(text, "zh")) == without_other(english), text
    assert read_question(text, "zh", build_guidance(draft.path, _GRAPH.entities)) is not None


@pytest.mark.parametrize("name", sorted(PREDICATES))
@pytest.mark.parametrize("inverse", [False, True])
def test_the_phrase_of_every_predicate_is_parsed(name: str, inverse: bool) -> None:
    predicate = PREDICATES[name]
    if inverse and (predicate.symmetric or not predicate.inverse_phrase):
        return
    clinical = "45% of patients" if predicate.prints_clinical(not inverse) else ""
    hop, start = PlanHop(predicate, inverse, clinical), "HIV/AIDS (type 2), X-linked and with gout"
    assert read_question(f"What is the {hop.condition(start).as_noun_phrase()}?") == Plan(
        (PlanWalk(start, (hop,)),)
    )


def test_guidance_decides_between_readings() -> None:
    text = "What is the gene associated with Ataxia and the disease associated with the gene A?"
    steps = (GuidanceStep(DISEASE, "associated_gene", GENE, ""),)
    plan = read_question(text, "en", steps)
    assert plan == Plan(
        (
            PlanWalk(
                "Ataxia and the disease associated with the gene A",
                (PlanHop(PREDICATES["associated_gene"], False, ""),),
            ),
        )
    )
    assert read_question(text, "en", (GuidanceStep(DISEASE, "has_onset", "value", ""),)) is None


@pytest.mark.parametrize(
    "text", ["", "Who wrote this?", "What is the name of it?", "Begin with nothing. What is it?"]
)
def test_unknown_wordings_have_no_plan(text: str) -> None:
    assert read_question(text) is None
    assert read_question(text, "zh") is None
