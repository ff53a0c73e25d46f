"""Official scorers, written anew, against their published rules: GAIA's quasi-exact match, SQuAD's
and HotpotQA's exact match and F1, BioASQ's measures, and letters of multiple choice."""

import asyncio
import random
import string
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medr_ray.core.records import MetadataItem, Task
from medr_ray.evaluation.scorers.base import CORRECT, INCORRECT, UNSCORED, MissingJudge, PureScorer
from medr_ray.evaluation.scorers.bioasq import (
    BIOASQ_LENIENT_SCORER,
    BIOASQ_SCORER,
    KIND_KEY,
    build_items_metadata,
    find_rank,
    measure_list,
    read_yes_no,
    summarize_bioasq,
)
from medr_ray.evaluation.scorers.gaia import GAIA_SCORER, HIDDEN_ANSWER, matches_gaia
from medr_ray.evaluation.scorers.letters import (
    LETTERS_SCORER,
    build_options_metadata,
    extract_letters,
)
from medr_ray.evaluation.scorers.squad import (
    build_squad_scorer,
    compute_f1,
    matches_exactly,
    normalize_answer,
)

# --- GAIA -------------------------------------------------------------------------------


def follow_published_rule(given: str, right: str) -> bool:
    """The leaderboard's rule in the order in which it is published: number, list, text."""

    def read(text: str) -> float | None:
        try:
            return float(text)
        except ValueError:
            return None

    def read_given(text: str) -> float:
        for sign in "$%,":
            text = text.replace(sign, "")
        value = read(text)
        return float("inf") if value is None else value

    def fold(text: str, punctuation: bool) -> str:
        kept = "".join(text.split()).lower()
        return kept if punctuation else "".join(c for c in kept if c not in string.punctuation)

    if read(right) is not None:
        return read_given(given) == float(right)
    if "," in right or ";" in right:
        right_items = right.replace(";", ",").split(",")
        given_items = given.replace(";", ",").split(",")
        if len(right_items) != len(given_items):
            return False
        results = []
        for given_item, right_item in zip(given_items, right_items, strict=True):
            if read(right_item) is not None:
                results.append(read_given(given_item) == float(right_item))
            else:
                results.append(fold(given_item, True) == fold(right_item, True))
        return all(results)
    return fold(given, False) == fold(right, False)


def list_gaia_pairs() -> Iterator[tuple[str, str]]:
    """(given, right): numbers, lists and texts with the variants that answers come in."""
    draw = random.Random(19)
    words = ("Paris", "St. John's", "x-ray", "the Louvre", "6:41 PM", "B12", "A & B", "naïve", "Ⅳ")
    for _ in range(150):
        number = draw.choice((str(draw.randint(0, 99_999)), f"{draw.uniform(0, 99):.2f}", "1e3"))
        for given_text in (
            *(number, f"${number}", f"{number}%", f" {number} ", f"+{number}", f"0{number}"),
            *(f"{number}.0", f"{number} kg", f"about {number}", f"{number},", f"1{number}"),
        ):
            yield given_text, number
    for _ in range(150):
        items = [draw.choice((*words, "12", "3.5")) for _ in range(draw.randint(2, 4))]
        right = draw.choice((", ", "; ", ",")).join(items)
        changed = [item.upper() if draw.random() < 0.5 else item.replace(".", "") for item in items]
        for given_items in (items, items[::-1], items[:-1], changed, [*items, "more"]):
            yield draw.choice((", ", ";", ",")).join(given_items), right
    for word in words:
        for given_text in (
            *(word, word.upper(), word.replace(" ", ""), f"{word}.", f'"{word}"', f"The {word}"),
            *(word.replace("-", " "), f"{word}, {word}", "", word[1:]),
        ):
            yield given_text, word


def test_gaia_s_scorer_equals_the_published_rule_on_generated_pairs() -> None:
    pairs = list(list_gaia_pairs())
    assert len(set(pairs)) >= 300
    assert [pair for pair in pairs if matches_gaia(*pair) != follow_published_rule(*pair)] == []
    verdicts = {matches_gaia(*pair) for pair in pairs}
    assert verdicts == {True, False}
    print(f"{len(set(pairs))} pairs, {sum(matches_gaia(*pair) for pair in set(pairs))} accepted")


@given(st.text("0123456789.,;$%eE+- abAB'\t"), st.text("0123456789.,;$%eE+- abAB'\t"))
def test_gaia_s_scorer_equals_the_published_rule_on_any_text(given_text: str, right: str) -> None:
    assert matches_gaia(given_text, right) == follow_published_rule(given_text, right)


def test_an_answer_that_gaia_does_not_publish_is_unscored() -> None:
    score = asyncio.run(GAIA_SCORER.score(Task("t", "?", "en", HIDDEN_ANSWER), "42"))
    assert (score.verdict, score.value) == (UNSCORED, None)
    assert "not published" in score.reason


# --- SQuAD, HotpotQA --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The Beatles!", "beatles"),
        ("An  apple, a pear and the plum.", "apple pear and plum"),
        ("St. John's", "st johns"),
        ("a", ""),
    ],
)
def test_answers_are_normalized_as_squad_does(text: str, words: str) -> None:
    assert normalize_answer(text) == words


@pytest.mark.parametrize(
    ("given_text", "answers", "is_exact", "f1"),
    [
        ("the Eiffel Tower", ["Eiffel Tower"], True, 1.0),
        ("Eiffel Tower, Paris", ["Eiffel Tower"], False, 0.8),
        ("Paris", ["Eiffel Tower"], False, 0.0),
        ("Tower of Paris", ["Eiffel Tower", "Paris"], False, 0.5),
        ("to be or to be", ["to be"], False, 4 / 7),
        ("", ["the"], True, 1.0),
        ("", ["x"], False, 0.0),
    ],
)
def test_exact_match_and_f1_are_the_best_over_the_answers(
    given_text: str, answers: list[str], is_exact: bool, f1: float
) -> None:
    assert matches_exactly(given_text, answers) is is_exact
    assert compute_f1(given_text, answers) == pytest.approx(f1)


def test_hotpotqa_gives_no_part_of_a_point_for_yes_and_no() -> None:
    assert compute_f1("yes it is", ["yes"]) == pytest.approx(0.5)
    assert compute_f1("yes it is", ["yes"], whole_yes_no=True) == 0.0
    assert compute_f1("Yes.", ["yes"], whole_yes_no=True) == 1.0


@given(st.text(), st.text())
def test_f1_is_a_symmetric_share_that_is_whole_for_exact_matches(left: str, right: str) -> None:
    f1 = compute_f1(left, [right])
    assert 0.0 <= f1 <= 1.0
    assert f1 == pytest.approx(compute_f1(right, [left]))
    assert f1 == 1.0 or not matches_exactly(left, [right])


def test_a_squad_score_has_exact_match_as_verdict_and_f1_as_value() -> None:
    task = Task("t", "?", "en", "Eiffel Tower", aliases=("Tour Eiffel",))
    scorer = build_squad_scorer(whole_yes_no=True)
    score = asyncio.run(scorer.score(task, "the Eiffel Tower in Paris"))
    assert (score.scorer, score.verdict) == ("hotpotqa", INCORRECT)
    assert score.value == pytest.approx(2 / 3)
    assert asyncio.run(scorer.score(task, "Tour Eiffel")).verdict == CORRECT


# --- BioASQ -----------------------------------------------------------------------------


def make_task(kind: str, answer: str, *aliases: str, items: list[list[str]] | None = None) -> Task:
    metadata = [MetadataItem(KIND_KEY, kind)]
    if items is not None:
        metadata.append(build_items_metadata(items))
    return Task("t", "?", "en", answer, aliases=aliases, metadata=tuple(metadata))


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Yes.", "yes"),
        ("**No**, because yes would be odd", "no"),
        ("The answer is yes", "yes"),
        ("maybe", None),
        ("It is unknown", None),
        ("I would say yes or no", None),
    ],
)
def test_yes_and_no_are_read(text: str, answer: str | None) -> None:
    assert read_yes_no(text) == answer


@pytest.mark.parametrize(
    ("text", "rank"),
    [
        ("PD-L1", 1),
        ("pd-l1", 1),
        ("1. CTLA4\n2. PD-L1", 2),
        ("CTLA4; PD-1; PD-L1", 3),
        ("a; b; c; d; e; PD-L1", None),
        ("CTLA4, PD-L1", None),
        ("PD-L1 status of patients", None),
        ("programmed death ligand 1", 1),
    ],
)
def test_a_factoid_has_the_rank_of_its_first_right_candidate(text: str, rank: int | None) -> None:
    assert find_rank(text, ["PD-L1", "programmed death ligand 1"]) == rank


def test_a_factoid_is_right_strictly_by_its_first_candidate_and_leniently_by_any() -> None:
    task = make_task("factoid", "PD-L1")
    strict = asyncio.run(BIOASQ_SCORER.score(task, "CTLA4; PD-L1"))
    lenient = asyncio.run(BIOASQ_LENIENT_SCORER.score(task, "CTLA4; PD-L1"))
    assert (strict.verdict, strict.value) == (INCORRECT, 0.5)
    assert (lenient.verdict, lenient.value, lenient.scorer) == (CORRECT, 0.5, "bioasq-lenient")


ITEMS = [["Warts"], ["Infections", "recurrent infections"], ["Myelokathexis"]]


@pytest.mark.parametrize(
    ("text", "precision", "recall"),
    [
        ("warts; infections; myelokathexis", 1.0, 1.0),
        ("- Warts\n- Recurrent infections", 1.0, 2 / 3),
        ("Warts, fever and Infections", 2 / 3, 2 / 3),
        ("fever", 0.0, 0.0),
        ("", 0.0, 0.0),
    ],
)
def test_a_list_has_precision_and_recall_of_its_items(
    text: str, precision: float, recall: float
) -> None:
    measured = measure_list(text, ITEMS)
    assert measured[:2] == (pytest.approx(precision), pytest.approx(recall))


def test_bioasq_s_figures_are_means_by_kind() -> None:
    items = [["A"], ["B"]]
    figures = summarize_bioasq(
        [
            (make_task("yesno", "yes"), "yes"),
            (make_task("yesno", "yes"), "no"),
            (make_task("yesno", "no"), "no"),
            (make_task("yesno", "no"), None),
            (make_task("factoid", "A"), "A; B"),
            (make_task("factoid", "B"), "A; B"),
            (make_task("factoid", "C"), "A; B"),
            (make_task("list", "A; B", items=items), "A; C"),
            (make_task("list", "A; B", items=items), "A; B"),
        ]
    )
    assert figures.accuracy == 0.5
    # F1 of yes: 1 hit of 1 given and 2 right; of no: 1 of 2 and 2.
    assert figures.macro_f1 == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert (figures.strict_accuracy, figures.lenient_accuracy) == (1 / 3, 2 / 3)
    assert figures.mrr == pytest.approx(0.5)
    assert (figures.list_precision, figures.list_recall) == (0.75, 0.75)
    assert summarize_bioasq([]).accuracy is None


# --- letters ----------------------------------------------------------------------------

OPTIONS = {
    "A": "Aspirin",
    "B": "Ibuprofen",
    "C": "Yes",
    "D": "Vitamin A",
    "E": "Take one a day",
}


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("B", "B"),
        ("(B)", "B"),
        ("b", "B"),
        ("**B**", "B"),
        ("Answer: C", "C"),
        ("The answer is C.", "C"),
        ("the answer is (D)", "D"),
        ("选A", "A"),
        ("答案：B", "B"),
        ("答案是B", "B"),
        ("故选：C。", "C"),
        ("正确答案为D。因为其他选项不对", "D"),
        ("我选择B", "B"),
        ("选项B", "B"),
        ("B（布洛芬）", "B"),
        ("B. Ibuprofen", "B"),
        ("(B) Ibuprofen", "B"),
        ("B Ibuprofen", "B"),
        ("Ibuprofen", "B"),
        ("vitamin a", "D"),
        ("\\boxed{D}", "D"),
        ("Final Answer: B) Ibuprofen", "B"),
        ("Explanation: x\nExact Answer: C\nConfidence: 90%", "C"),
        ("The correct answer is B because A is wrong", "B"),
        ("The answer is not B. Answer: C", "C"),
        ("Option B is correct", "B"),
        ("A, C", "AC"),
        ("选AC", "AC"),
        ("A and C", "AC"),
        # No choice.
        ("A or B", ""),
        ("Answer: A or B", ""),
        ("应选B或C", ""),
        ("答案不是B", ""),
        ("The answer is not B", ""),
        ("If the answer is B, then the dose is wrong", ""),
        ("如果答案是B，则剂量不对", ""),
        ("the answer is a drug", ""),
        ("Answer: A patient", ""),
        ("Answer: AIDS", ""),
        ("A patient with fever", ""),
        ("A. Aspirin\nB. Ibuprofen", ""),
        ("Answer: A\nAnswer: B", ""),
        ("F", ""),
        ("", ""),
    ],
)
def test_letters_are_read_as_they_were_meant(text: str, letters: str) -> None:
    assert extract_letters(text, OPTIONS) == letters


@given(st.text(), st.sampled_from("ABCDE"))
def test_only_letters_of_options_are_chosen(text: str, letter: str) -> None:
    assert set(extract_letters(text, OPTIONS)) <= set(OPTIONS)
    assert extract_letters(letter, OPTIONS) == letter


def test_a_choice_is_right_by_all_of_its_letters() -> None:
    task = Task("t", "?", "en", "AC", metadata=(build_options_metadata(OPTIONS),))
    assert asyncio.run(LETTERS_SCORER.score(task, "C, A")).verdict == CORRECT
    score = asyncio.run(LETTERS_SCORER.score(task, "A"))
    assert (score.verdict, score.extracted) == (INCORRECT, "A")


# --- all --------------------------------------------------------------------------------


@pytest.mark.parametrize("scorer", [GAIA_SCORER, BIOASQ_SCORER, LETTERS_SCORER])
def test_no_answer_is_incorrect_and_identities_are_file_names(scorer: PureScorer) -> None:
    score = asyncio.run(scorer.score(make_task("yesno", "yes"), None))
    assert (score.verdict, score.value, score.scorer) == (INCORRECT, 0.0, scorer.name)
    assert set(scorer.identity()) <= set(string.ascii_letters + string.digits + "-")
    assert scorer.identity().startswith(f"{scorer.name}-")


def test_without_a_judge_an_official_model_judge_scores_nothing() -> None:
    score = asyncio.run(MissingJudge("xbench").score(make_task("yesno", "yes"), "yes"))
    assert (score.verdict, score.value, score.scorer, score.judge) == (UNSCORED, None, "xbench", "")
    assert "evaluation.judge" in score.reason
