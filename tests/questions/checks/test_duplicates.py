"""Which questions repeat one another, and which only look alike."""

from hypothesis import given
from hypothesis import strategies as st

from medr_ray.questions.checks.duplicates import (
    ComparedQuestion,
    DuplicateFilter,
    ShingleIndex,
    jaccard_similarity,
    sliding_windows,
)

# --- sets -----------------------------------------------------------------------------

_SETS = st.lists(st.frozensets(st.integers(0, 12), max_size=10), max_size=12)


@given(
    _SETS,
    st.frozensets(st.integers(0, 12), max_size=10),
    st.sampled_from([0.3, 0.5, 0.6, 0.8, 1.0]),
)
def test_the_index_finds_what_comparing_all_finds(
    kept: list[frozenset[int]], query: frozenset[int], threshold: float
) -> None:
    index: ShingleIndex[int] = ShingleIndex(threshold)
    for number, shingles in enumerate(kept):
        index.add(f"{number:02d}", shingles)
    for number in range(0, len(kept), 3):
        index.remove(f"{number:02d}")
    reaching = [
        (-jaccard_similarity(query, shingles), f"{number:02d}")
        for number, shingles in enumerate(kept)
        if number % 3 and jaccard_similarity(query, shingles) >= threshold
    ]
    expected = (min(reaching)[1], -min(reaching)[0]) if reaching else None
    assert index.most_similar(query) == expected


def test_windows_of_a_short_text_are_the_text() -> None:
    assert list(sliding_windows("abcd", 3)) == [("a", "b", "c"), ("b", "c", "d")]
    assert list(sliding_windows("ab", 3)) == [("a", "b")]


# --- questions ------------------------------------------------------------------------

_TEMPLATE = (
    "What is the mode of inheritance of the disease that is associated with the gene "
    "that is associated with "
    "the disease whose drug is {}?"
)


def _make_question(
    number: int,
    text: str,
    starts: tuple[str, ...] = ("Krabbe disease",),
    answer: str = "GALC",
    fingerprint: str = "",
) -> ComparedQuestion:
    return ComparedQuestion(f"q-{number}", fingerprint or f"chain {number}", text, starts, answer)


def _find_duplicates(*questions: ComparedQuestion) -> list[str | None]:
    """For each in turn, which earlier one it repeats."""
    duplicate_filter = DuplicateFilter()
    return [
        duplicate.question_id if (duplicate := duplicate_filter.add(question)) else None
        for question in questions
    ]


def test_one_template_about_two_entities_is_two_questions() -> None:
    """Whatever share of the words they have in common, and though the answer is a common one."""
    texts = [_TEMPLATE.format(name) for name in ("aspirin", "ibuprofen")]
    words = [frozenset(sliding_windows(text.split(), 3)) for text in texts]
    assert jaccard_similarity(*words) > 0.8
    assert _find_duplicates(
        *(
            _make_question(n, text, (name,), "Autosomal recessive inheritance")
            for n, (text, name) in enumerate(zip(texts, ("aspirin", "ibuprofen"), strict=True))
        )
    ) == [None, None]


def test_thousands_of_questions_of_one_template_are_all_kept() -> None:
    duplicate_filter = DuplicateFilter()
    duplicates = [
        duplicate_filter.add(
            _make_question(n, _TEMPLATE.format(f"drug{n}"), (f"drug{n}",), f"answer {n % 7}")
        )
        for n in range(2_000)
    ]
    assert not any(duplicates)
    again = duplicate_filter.add(
        _make_question(
            -1, _TEMPLATE.format("drug1999") + " Say it.", ("drug1999",), f"answer {1_999 % 7}"
        )
    )
    assert again is not None
    assert again.question_id == "q-1999"


def test_the_same_words_are_the_same_question_whoever_they_are_about() -> None:
    first = _make_question(
        1, "Which gene is mutated in Krabbe disease?", ("Krabbe disease",), "GALC"
    )
    other = _make_question(
        2, "which gene is mutated in  Krabbe disease ?", ("Krabbe disease (ORPHA)",), "PSAP"
    )
    assert _find_duplicates(first, other) == [None, "q-1"]


def test_nearly_the_same_words_of_one_subject_and_answer_are_the_same_question() -> None:
    first = _make_question(1, _TEMPLATE.format("aspirin"), ("aspirin",))
    reworded = _make_question(
        2, _TEMPLATE.format("aspirin").replace("What is", "What, then, is"), ("Aspirin",), "GALC"
    )
    elsewhere = _make_question(3, reworded.text, ("aspirin",), "PSAP")
    assert _find_duplicates(first, reworded) == [None, "q-1"]
    assert _find_duplicates(first, elsewhere) == [None, None], "another answer is another question"


def test_another_wording_of_a_chain_is_the_same_question() -> None:
    first = _make_question(1, "Which gene is mutated in Krabbe disease?", fingerprint="c")
    described = _make_question(
        2, "A disease begins in infancy and shows spasticity. Name its gene.", fingerprint="c"
    )
    assert _find_duplicates(first, described) == [None, "q-1"]


def test_a_chain_asked_from_its_other_end_is_the_same_question() -> None:
    forward = _make_question(
        1, "Which gene is mutated in Krabbe disease?", ("Krabbe disease",), "GALC", "c"
    )
    backward = _make_question(2, "Which disease comes from GALC?", ("GALC",), "Krabbe disease", "c")
    assert _find_duplicates(forward, backward) == [None, "q-1"]
    duplicate_filter = DuplicateFilter()
    duplicate_filter.add(forward)
    duplicate = duplicate_filter.add(backward)
    assert duplicate is not None
    assert duplicate.reason == "no_duplicate: the chain of q-1 from its other end"


def test_a_question_that_starts_from_the_answer_of_another_on_its_chain_repeats_it() -> None:
    inward = _make_question(
        1, "Which gene is mutated in Krabbe disease?", ("Krabbe disease",), "GALC", "c"
    )
    onward = _make_question(2, "Which drug acts on the product of GALC?", ("GALC",), "aspirin", "c")
    assert _find_duplicates(inward, onward) == [None, "q-1"]
    assert _find_duplicates(onward, inward) == [None, "q-2"]


def test_another_thing_asked_of_a_chain_is_another_question() -> None:
    who = _make_question(
        1,
        "Which sign do 3 of 7 patients with Krabbe disease show?",
        answer="Spasticity",
        fingerprint="c",
    )
    share = _make_question(
        2,
        "In what share of patients with Krabbe disease is spasticity seen?",
        answer="3 of 7",
        fingerprint="c",
    )
    assert _find_duplicates(who, share) == [None, None]


def test_the_later_of_two_is_the_duplicate_and_is_not_kept() -> None:
    first, same, third = (
        _make_question(n, text, fingerprint=chain)
        for n, (text, chain) in enumerate(
            (("Which gene?", "c"), ("Which gene is it?", "c"), ("Which gene is it?", "d"))
        )
    )
    assert _find_duplicates(first, same, third) == [None, "q-0", None], (
        "the text of a question that was not kept is free"
    )


def test_a_harder_question_may_take_the_place_of_the_one_it_was_made_from() -> None:
    duplicate_filter = DuplicateFilter()
    plain = _make_question(1, "Which gene is mutated in Krabbe disease?", fingerprint="c")
    obscured = _make_question(
        2, "Name the gene of a disease that begins in infancy.", fingerprint="c"
    )
    assert duplicate_filter.add(plain) is None
    assert duplicate_filter.add(obscured) is not None
    duplicate_filter.discard("q-1")
    assert duplicate_filter.add(obscured) is None
    assert duplicate_filter.add(plain) is not None
