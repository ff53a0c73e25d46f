"""Which steps there are, and which may follow which."""

from dataclasses import replace

import pytest

from medr_ray.core.records import Relation
from medr_ray.graph.paths.validity import (
    FREE,
    NEVER,
    Years,
    build_steps,
    count_neighbours,
    parse_years,
    turn_between,
)
from medr_ray.knowledge.predicates import PREDICATES, TURN_LIMITS


def relation(
    subject: str, predicate: str, obj: str, confidence: float = 1.0, clinical: str = ""
) -> Relation:
    return Relation(
        f"{subject}-{predicate}-{obj}-{clinical}",
        subject,
        predicate,
        obj,
        "",
        "",
        clinical,
        confidence,
        "rules",
        (),
    )


def test_hubs_and_doubtful_relations_are_not_walked_through() -> None:
    relations = [
        relation("D1", "associated_gene", "G"),
        relation("D2", "associated_gene", "G"),
        relation("D1", "treated_with", "R", 0.4),
    ]
    assert set(build_steps(relations, {"G": 3}, "D1", 2, 0.5)) == {"D1", "D2"}
    doubtful = build_steps(relations, {}, "D1", 2, 0.5)
    assert [step.target for step in doubtful["D1"]] == ["G"]
    assert build_steps(relations, {"D1": 99}, "D1", 2, 0.5)["D1"]
    assert "D1" not in build_steps(relations, {"D1": 99}, "", 2, 0.5)


def test_a_relation_is_walked_back_only_where_that_can_be_said() -> None:
    steps = build_steps(
        [relation("D1", "subtype_of", "D2"), relation("D1", "complicated_by", "D3")], {}, "D1", 9, 0
    )
    assert [(step.target, step.directed_predicate) for step in steps["D1"]] == [
        ("D2", "subtype_of"),
        ("D3", "complicated_by"),
    ]
    assert [(step.target, step.directed_predicate) for step in steps["D3"]] == [
        ("D1", "inverse:complicated_by")
    ]
    assert "D2" not in steps


def test_the_exact_one_of_parallel_steps_is_kept_and_the_exact_come_first() -> None:
    relations = [
        relation("D1", "has_finding", "P1", clinical="some patients"),
        relation("D1", "has_finding", "P2", clinical="some patients"),
        relation("D1", "has_finding", "P2", clinical="3 of 7 patients"),
        relation("D1", "presents_with", "P2"),
    ]
    steps = build_steps(relations, count_neighbours(relations), "D1", 9, 0.5)["D1"]
    assert [(step.target, step.predicate) for step in steps] == [
        ("P2", "has_finding"),
        ("P2", "presents_with"),
        ("P1", "has_finding"),
    ]
    assert steps[0].relation_id.endswith("3 of 7 patients")


def test_relations_of_other_years_are_other_steps() -> None:
    old = replace(relation("D1", "treated_with", "R"), temporal="in 1987")
    new = replace(old, relation_id="new", temporal="since 2001")
    steps = build_steps([old, new], {}, "D1", 9, 0.5)["D1"]
    assert {step.years for step in steps} == {(1987, 1987), (2001, 9999)}


@pytest.mark.parametrize(
    ("temporal", "years"),
    [
        ("", None),
        ("recently", None),
        ("in 1987", (1987, 1987)),
        ("during 1999", (1999, 1999)),
        ("between 1990 and 1995", (1990, 1995)),
        ("from 1990 to 1995", (1990, 1995)),
        ("in 1990-1995", (1990, 1995)),
        ("in 1990–95", (1990, 1995)),
        ("in the 1990s", (1990, 1999)),
        ("since 2001", (2001, 9999)),
        ("after 2001", (2001, 9999)),
        ("before 1960", (0, 1960)),
        ("by 2010", (0, 2010)),
        ("PMID 19871", None),
        ("from 1998/2001", (1998, 2001)),
    ],
)
def test_years_are_read(temporal: str, years: Years | None) -> None:
    assert parse_years(temporal) == years


@pytest.mark.parametrize(
    ("into", "out", "at_most"),
    [
        ("has_finding", "inverse:has_finding", 1),
        ("presents_with", "inverse:has_finding", 1),
        ("treated_with", "inverse:sign_treated_with", 1),
        ("complicated_by", "inverse:complicated_by", 1),
        ("subtype_of", "subtype_of", 1),
        ("subtype_of", "inverse:subtype_of", 0),
        ("inverse:subtype_of", "subtype_of", 0),
        ("has_onset", "inverse:has_onset", 0),
        ("has_finding", "treated_with", 0),
        ("associated_gene", "subtype_of", 0),
        ("associated_gene", "inverse:associated_gene", None),
        ("gene_interaction", "inverse:gene_interaction", None),
        ("combined_with", "combined_with", None),
        ("treated_with", "inverse:induced_by", None),
        ("complicated_by", "complicated_by", None),
        ("inverse:has_finding", "has_finding", None),
    ],
)
def test_the_grammar(into: str, out: str, at_most: int | None) -> None:
    turn = turn_between(into, out)
    assert at_most == (0 if turn == NEVER else None if turn == FREE else TURN_LIMITS[turn].at_most)


def test_the_table_names_predicates_that_fit_each_other() -> None:
    pairs = [(into, out, turn) for turn in TURN_LIMITS for into in turn.into for out in turn.out]
    assert {
        predicate.removeprefix("inverse:") for into, out, _ in pairs for predicate in (into, out)
    } <= set(PREDICATES)
    assert len({(into, out) for into, out, _ in pairs}) == len(pairs)
    assert all(turn_between(into, out) != FREE for into, out, _ in pairs)
