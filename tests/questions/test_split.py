"""Choosing and splitting: balance, caps, and nothing shared between training and evaluation."""

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.candidates import make_candidate

from medr_ray.core.config import QuestionsConfig
from medr_ray.questions.drafting.candidates import Candidate
from medr_ray.questions.shapes import MAX_UNANSWERABLE_SHARE, SHAPES, UNANSWERABLE
from medr_ray.questions.split import (
    QuestionSplit,
    find_hubs,
    limit_common_answers,
    pick_balanced,
    split_and_balance,
    split_seeds,
)

_SHAPES = ("trial_record", "trial_to_approval", "count", UNANSWERABLE)
_SMALLEST_CAP = 3  # an answer or a number of hops may come so often in the smallest set

_CANDIDATES = st.lists(
    st.builds(
        lambda shape, hops, answer, entity, specialty: (shape, hops, answer, entity, specialty),
        st.sampled_from(_SHAPES),
        st.integers(1, 5),
        st.integers(0, 12),
        st.integers(0, 40),
        st.sampled_from(["oncology", "genetics", "cardiology"]),
    ),
    max_size=120,
).map(
    lambda rows: [
        make_candidate(
            number,
            shape=shape,
            chain=(f"{shape}_{hops}",),
            hops=hops,
            answer=f"COMPANY:answer{answer}",
            entities=(f"COMPANY:on the way {entity}",),
            specialty=specialty,
        )
        for number, (shape, hops, answer, entity, specialty) in enumerate(rows)
    ]
)


def make_many(count: int, shape: str = "trial_record", start: int = 0) -> list[Candidate]:
    return [make_candidate(number, shape=shape) for number in range(start, start + count)]


def share_of(shape: str, chosen: list[Candidate]) -> float:
    return sum(candidate.shape == shape for candidate in chosen) / max(len(chosen), 1)


@given(candidates=_CANDIDATES, limit=st.none() | st.integers(1, 60), seed=st.integers(0, 99))
def test_no_shape_no_answer_and_no_length_takes_more_than_its_share(
    candidates: list[Candidate], limit: int | None, seed: int
) -> None:
    config = QuestionsConfig(max_shape_share=0.4, max_answer_share=0.1, max_hop_share=0.5)
    chosen = pick_balanced(candidates, config, seed, limit).picked
    size = len(chosen)
    assert size <= len(candidates) if limit is None else limit
    assert len({candidate.key for candidate in chosen}) == size
    shapes = Counter(candidate.shape for candidate in chosen)
    assert all(count <= max(1, 0.4 * size) for count in shapes.values())
    assert shapes[UNANSWERABLE] <= MAX_UNANSWERABLE_SHARE * size
    answers = Counter((candidate.chain[-1], candidate.answer) for candidate in chosen)
    assert all(count <= max(_SMALLEST_CAP, round(0.1 * size)) for count in answers.values())
    hops = Counter(candidate.hops for candidate in chosen)
    assert all(count <= max(_SMALLEST_CAP, round(0.5 * size)) for count in hops.values())


@given(candidates=_CANDIDATES, seed=st.integers(0, 99), shuffle=st.randoms())
def test_sides_share_no_entity_and_do_not_depend_on_an_order(
    candidates: list[Candidate], seed: int, shuffle: random.Random
) -> None:
    config = QuestionsConfig(max_shape_share=1, heldout_fraction=0.3)
    split = split_and_balance(candidates, config, seed)
    led = [
        {entity for candidate in side for entity in candidate.leading_entities}
        for side in (split.train, split.heldout)
    ]
    assert not led[0] & led[1]
    keys = [candidate.key for candidate in (*split.train, *split.heldout)]
    assert len(set(keys)) == len(keys)
    shuffled = list(candidates)
    shuffle.shuffle(shuffled)
    again = split_and_balance(shuffled, config, seed)
    assert (again.train, again.heldout) == (split.train, split.heldout)
    assert again.overlapping_count == split.overlapping_count


def make_pairs(value_type: str) -> list[Candidate]:
    """Twenty pairs of questions; each pair has a value of that type in common, and nothing else."""
    pairs = []
    for number in range(40):
        candidate = make_candidate(number)
        on_the_way = replace(
            candidate.steps[-1], value=f"X:{number // 2}", value_type=value_type, name="x"
        )
        pairs.append(replace(candidate, steps=(candidate.steps[0], on_the_way, candidate.steps[1])))
    return pairs


def list_shared(split: QuestionSplit) -> set[str]:
    """The values that both sides lead over."""
    values = [
        {step.value for candidate in side for step in candidate.steps}
        for side in (split.train, split.heldout)
    ]
    return values[0] & values[1]


@pytest.mark.parametrize(
    "value_type",
    ["trial", "drug", "substance", "company", "application", "disease", "gene", "paper", "patent"],
)
def test_no_heldout_and_train_question_share_a_record(value_type: str) -> None:
    split = split_and_balance(make_pairs(value_type), QuestionsConfig(max_shape_share=1), 0)
    assert split.train
    assert split.heldout
    assert not list_shared(split)
    assert split.overlapping_count > 0


def test_a_journal_and_a_date_may_be_on_both_sides() -> None:
    split = split_and_balance(make_pairs("journal"), QuestionsConfig(max_shape_share=1), 0)
    assert split.overlapping_count == 0
    assert list_shared(split)


def test_what_many_questions_lead_over_is_never_held_out() -> None:
    hub = "COMPANY:large"
    crowd = [make_candidate(number, entities=(hub,)) for number in range(30)]
    others = make_many(30, start=100)
    assert find_hubs([*crowd, *others]) == {hub}
    split = split_and_balance([*crowd, *others], QuestionsConfig(max_shape_share=1), 0)
    assert split.heldout
    assert not any(hub in candidate.leading_entities for candidate in split.heldout)
    assert any(hub in candidate.leading_entities for candidate in split.train)


def test_questions_without_an_answer_are_five_percent_at_most() -> None:
    config = QuestionsConfig(max_shape_share=1)
    many = [*make_many(95), *make_many(200, UNANSWERABLE, start=1000)]
    chosen = pick_balanced(many, config, 0, None).picked
    assert share_of(UNANSWERABLE, chosen) == MAX_UNANSWERABLE_SHARE
    few = [*make_many(10), *make_many(10, UNANSWERABLE, start=1000)]
    assert share_of(UNANSWERABLE, pick_balanced(few, config, 0, None).picked) == 0


def test_shapes_are_taken_by_their_weights_and_the_chains_within_them_in_turn() -> None:
    shapes = ("trial_record", "trial_to_approval", "count")
    candidates = [
        make_candidate(1000 * place + number, shape=shape, chain=(shape, f"b{number % 3}"))
        for place, shape in enumerate(shapes)
        for number in range(90)
    ]
    config = QuestionsConfig(max_shape_share=1)
    chosen = pick_balanced(candidates, config, 0, 90).picked
    weights = {shape: SHAPES[shape].weight for shape in shapes}
    for shape in shapes:
        share = weights[shape] / sum(weights.values())
        assert share_of(shape, chosen) == pytest.approx(share, abs=0.02)
        chains = Counter(candidate.chain for candidate in chosen if candidate.shape == shape)
        assert max(chains.values()) - min(chains.values()) <= 1


def test_no_answer_takes_more_than_its_share() -> None:
    same = [make_candidate(number, answer="COMPANY:same") for number in range(100)]
    others = make_many(95, start=1000)
    config = QuestionsConfig(max_shape_share=1, max_answer_share=0.05, max_entity_share=1)
    chosen = pick_balanced([*same, *others], config, 0, None).picked
    answers = Counter(candidate.answer for candidate in chosen)
    assert answers["COMPANY:same"] == 5
    assert len(chosen) == 100


def test_the_mean_of_hops_is_approached() -> None:
    candidates = [
        make_candidate(
            1000 * place + 100 * hops + number, shape=shape, chain=(f"{shape}{hops}",), hops=hops
        )
        for hops in range(1, 8)
        for number in range(40)
        for place, shape in enumerate(("trial_record", "count"))
    ]
    means = {}
    for goal in (2.0, 4.2, 6.0):
        config = QuestionsConfig(mean_hops=goal, max_shape_share=1)
        chosen = pick_balanced(candidates, config, 0, 60).picked
        assert len(chosen) == 60
        means[goal] = sum(candidate.hops for candidate in chosen) / len(chosen)
    assert means == pytest.approx({2.0: 2.0, 4.2: 4.2, 6.0: 6.0}, abs=0.2)


def test_the_rarest_specialty_is_taken_first() -> None:
    common = [make_candidate(number) for number in range(50)]
    rare = [make_candidate(number, specialty="genetics") for number in range(100, 105)]
    config = QuestionsConfig(max_shape_share=1, specialty_window=60)
    chosen = pick_balanced([*common, *rare], config, 0, 10).picked
    assert Counter(candidate.specialty for candidate in chosen) == {"oncology": 5, "genetics": 5}


def test_a_question_that_asks_the_same_again_is_passed_over_with_its_reason() -> None:
    first = make_candidate(1)
    same = replace(make_candidate(2), text=first.text)
    picker = pick_balanced([first, same], QuestionsConfig(max_shape_share=1), 0, None)
    assert len(picker.picked) == 1
    ((repeat, reason),) = picker.repeats
    assert repeat.key != picker.picked[0].key
    assert reason.startswith("no_duplicate")
    again = pick_balanced([same], QuestionsConfig(max_shape_share=1), 0, None, [first])
    assert again.picked == []


def test_the_limit_is_divided_as_the_seeds_are() -> None:
    config = QuestionsConfig(max_questions=40, max_shape_share=1)
    split = split_and_balance(make_many(200), config, 0)
    assert (len(split.train), len(split.heldout)) == (28, 12)


@given(st.sets(st.text(max_size=5), max_size=50), st.floats(0, 0.99), st.integers(0, 99))
def test_the_heldout_seeds_stay_when_others_are_added(
    seeds: set[str], fraction: float, run_seed: int
) -> None:
    train, heldout = split_seeds(seeds, fraction, run_seed)
    assert train | heldout == seeds
    assert not train & heldout
    assert len(heldout) == round(fraction * len(seeds))
    more = split_seeds({*seeds, "another seed"}, fraction, run_seed)[1]
    assert len(heldout - more) <= 1


@given(answers=st.lists(st.sampled_from("EEEEEABC"), max_size=60))
def test_no_answer_is_that_of_more_than_half_of_the_questions_of_its_kind(
    answers: list[str],
) -> None:
    candidates = [
        make_candidate(number, answer=f"VALUE:category/{answer}")
        for number, answer in enumerate(answers)
    ]
    kept = limit_common_answers(candidates)
    assert kept == [candidate for candidate in candidates if candidate in kept]
    counts = Counter(candidate.answer for candidate in kept)
    most = max(counts.values(), default=0)
    assert most <= max(_SMALLEST_CAP, len(kept) / 2)
    # Only the common one is cut: the rare ones are all there.
    for answer, count in Counter(candidate.answer for candidate in candidates).items():
        assert counts[answer] == count or counts[answer] == most
