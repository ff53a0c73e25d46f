"""Growing paths: every path is valid, and no path that the rules allow is missing."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from support.brute_chains import is_valid_path, longest_by_brute_force

from medr_ray.graph.paths.chains import find_longest_path_through
from medr_ray.graph.paths.path_growth import (
    PartialPath,
    StepIndex,
    find_nearest_paths,
    reverse_steps,
    search_longest_path,
)
from medr_ray.graph.paths.validity import Rules, Step
from medr_ray.knowledge.predicates import PREDICATES

Steps = dict[str, list[Step]]
RULES = [Rules(first, other) for first in (False, True) for other in (False, True)]
YEARS = st.sampled_from((None, None, (1990, 1990), (1995, 2000), (2005, 2005)))


@st.composite
def typed_steps(draw: st.DrawFn) -> Steps:
    steps: Steps = {}
    drawn = draw(
        st.lists(
            st.tuples(
                st.sampled_from(sorted(PREDICATES)),
                st.integers(0, 2),
                st.integers(0, 2),
                st.booleans(),
                YEARS,
            ),
            max_size=25,
        )
    )
    for number, (name, first, other, forward, years) in enumerate(drawn):
        predicate = PREDICATES[name]
        ends = [f"{predicate.subject_type}{first}", f"{predicate.object_type}{other}"]
        start, target = ends if forward else ends[::-1]
        steps.setdefault(start, []).append(Step(target, f"r{number}", name, forward, years))
    return steps


def is_valid_entity_path(path: PartialPath, steps: Steps, rules: Rules) -> bool:
    """Whether some choice among parallel steps makes the entities a valid path."""

    def choices(index: int, chosen: tuple[Step, ...]) -> bool:
        if index == path.hops:
            return is_valid_path(path.entities[0], chosen, steps, rules)
        return any(
            choices(index + 1, (*chosen, step))
            for step in steps[path.entities[index]]
            if step.target == path.entities[index + 1]
        )

    return choices(0, ())


def longest_through(entity: str, steps: Steps, max_hops: int, rules: Rules) -> int:
    """Hops of the longest valid path that the entity lies on."""
    return longest_by_brute_force(sorted({entity, *steps}), steps, max_hops, rules, entity)


def build_index(steps: Steps, rules: Rules) -> StepIndex:
    return StepIndex(steps, reverse_steps(steps), rules)


START = PartialPath(("disease0",))


@settings(max_examples=200, deadline=None)
@given(typed_steps(), st.sampled_from(RULES), st.integers(1, 5), st.booleans())
def test_paths_are_valid_and_nearest_first(
    steps: Steps, rules: Rules, max_hops: int, back: bool
) -> None:
    paths = list(find_nearest_paths(START, build_index(steps, rules), max_hops, 99, back))
    assert all(is_valid_entity_path(path, steps, rules) for path in paths)
    assert all(path.end_entity(not back) == "disease0" for path in paths)
    assert [path.hops for path in paths] == sorted(path.hops for path in paths)
    assert len({path.end_entity(back) for path in paths}) == len(paths)
    assert all(1 <= path.hops <= max_hops for path in paths)
    into = {
        start
        for start, chosen in steps.items()
        if any(step.target == "disease0" for step in chosen)
    }
    direct = (into if back else {step.target for step in steps.get("disease0", ())}) - {"disease0"}
    assert {path.end_entity(back) for path in paths if path.hops == 1} == direct


@settings(max_examples=200, deadline=None)
@given(typed_steps(), st.sampled_from(RULES), st.integers(1, 5), st.integers(0, 3))
def test_a_random_search_finds_the_longest_path_through_its_start(
    steps: Steps, rules: Rules, max_hops: int, draw: int
) -> None:
    path, proven = search_longest_path(
        START, build_index(steps, rules), max_hops, random.Random(draw)
    )
    assert is_valid_entity_path(path, steps, rules)
    assert "disease0" in path.entities
    assert proven
    assert path.hops == longest_through("disease0", steps, max_hops, rules)


@settings(max_examples=200, deadline=None)
@given(
    typed_steps(), st.sampled_from(RULES), st.integers(1, 5), st.sampled_from((3, 40, 1_000_000))
)
def test_the_exact_search_and_the_solver_agree(
    steps: Steps, rules: Rules, max_hops: int, effort: int
) -> None:
    """The solver continues where the depth-first search runs out of effort."""
    path = find_longest_path_through("disease0", steps, max_hops, 5.0, rules, effort)
    assert len(path.steps) == longest_through("disease0", steps, max_hops, rules)
    assert "disease0" in path.entities
    assert path.proven_optimal
    assert is_valid_path(path.start, path.steps, steps, rules)


def gene_steps(*links: str) -> Steps:
    steps: Steps = {}
    for first, other in (link.split() for link in links):
        steps.setdefault(first, []).append(Step(other, f"{first}{other}", "associated_gene", True))
        steps.setdefault(other, []).append(Step(first, f"{first}{other}", "associated_gene", False))
    return steps


def test_a_path_is_extended_from_where_it_ends() -> None:
    index = build_index(gene_steps("D1 G1", "D2 G1", "D2 G2"), Rules())
    at_gene = next(
        path
        for path in find_nearest_paths(PartialPath(("G2",)), index, 9, 99)
        if path.end_entity() == "G1"
    )
    assert [path.entities for path in find_nearest_paths(at_gene, index, 9, 99)] == [
        ("G2", "D2", "G1", "D1")
    ]
    assert [
        path.entities
        for path in find_nearest_paths(PartialPath(("D2", "G1")), index, 9, 99, back=True)
    ] == [("G2", "D2", "G1")]
    assert len(list(find_nearest_paths(PartialPath(("G1",)), index, 9, 2))) == 2


def find_reachable(*years: tuple[int, int]) -> tuple[set[str], set[str]]:
    """The genes of a row that a path from the first one reaches, and those from which a path
    reaches the last one."""
    names = ["GENE0", "GENE1", "GENE2", "GENE3"]
    steps = {
        start: [Step(target, target, "gene_interaction", True, span)]
        for start, target, span in zip(names, names[1:], years, strict=False)
    }
    index = build_index(steps, Rules(temporal_order=True))
    last = names[len(years)]
    return (
        {path.end_entity() for path in find_nearest_paths(PartialPath(("GENE0",)), index, 9, 99)},
        {
            path.end_entity(back=True)
            for path in find_nearest_paths(PartialPath((last,)), index, 9, 99, back=True)
        },
    )


def test_time_does_not_run_back() -> None:
    assert find_reachable((1990, 1990), (1995, 2000), (2005, 2005)) == (
        {"GENE1", "GENE2", "GENE3"},
        {"GENE0", "GENE1", "GENE2"},
    )
    assert find_reachable((2005, 2005), (1990, 2010), (2000, 2000)) == (
        {"GENE1", "GENE2"},
        {"GENE1", "GENE2"},
    )
    assert find_reachable((2005, 2005), (1990, 1990)) == ({"GENE1"}, {"GENE1"})


def test_a_search_that_gave_up_does_not_claim_a_proof() -> None:
    index = build_index(gene_steps(*(f"D{i} G{j}" for i in range(6) for j in range(6))), Rules())
    assert not search_longest_path(
        PartialPath(("D0",)), index, 20, random.Random(0), restarts=2, max_states=4
    )[1]
    assert search_longest_path(
        PartialPath(("D0",)), index, 3, random.Random(0), restarts=2, max_states=20
    )[1]
