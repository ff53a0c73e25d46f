"""Sentences keep what belongs together, and the right one is shown."""

import pytest

from medr_ray.retrieval.snippets import (
    make_snippet,
    select_sentences,
    sentence_spans,
    split_words,
    split_words_of_each,
    truncate,
)


def sentences(text: str, lines_only: bool = False) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text, lines_only)]


@pytest.mark.parametrize(
    "whole",
    [
        "The difference was significant (p<0.05) in all groups.",
        "Patients received 5 mg/kg i.v. Methotrexate was added later.",
        "Drugs, e.g. Aspirin, were stopped.",
        "E. coli and S. aureus were isolated.",
        "Smith et al. Found nothing of the kind.",
        "A dose of 0.5 mg was given at pH 7.4.",
    ],
)
def test_a_sentence_is_not_split_inside(whole: str) -> None:
    assert sentences(whole) == [whole]


def test_sentences_are_spans_of_the_text() -> None:
    text = 'Title without a stop\nFirst result (n=3). Second one! Was there a third? "Yes." Done.'
    assert sentences(text) == [
        "Title without a stop",
        "First result (n=3).",
        "Second one!",
        "Was there a third?",
        '"Yes."',
        "Done.",
    ]


def test_lines_of_a_record_are_never_split() -> None:
    line = "The finding in 3 of 7 patients with Foo syndrome. Type 2 is Seizure."
    assert sentences(f"{line}\n{line}", lines_only=True) == [line, line]


def test_the_exact_qualifier_wins() -> None:
    lines = [
        f"The finding in {clinical} with Krabbe disease is {name}."
        for clinical, name in [
            ("7 of 13 patients", "A"),
            ("3 of 17 patients", "B"),
            ("3 of 7 patients", "C"),
            ("7 of 7 patients", "D"),
            ("some patients", "E"),
        ]
    ]
    assert select_sentences("Krabbe disease finding in 3 of 7 patients", lines, 1) == [lines[2]]
    assert select_sentences(
        "finding in all patients with Krabbe disease",
        [*lines, lines[0].replace("7 of 13 patients", "all patients")],
        1,
    )[0].startswith("The finding in all")


def test_a_share_is_found_as_a_record_prints_it() -> None:
    lines = [
        "Phenotypic abnormality: A; Frequency: 7/13",
        "Phenotypic abnormality: B; Frequency: 3/17",
        "Phenotypic abnormality: C; Frequency: 3/7",
        "Phenotypic abnormality: D; Frequency: Obligate (100%)",
        "Phenotypic abnormality: E; Frequency: Frequent (30-79%)",
    ]
    for share, line in (
        ("3 of 7 patients", lines[2]),
        ("all patients", lines[3]),
        ("30-79% of patients", lines[4]),
    ):
        query = f"finding in {share} with Krabbe disease"
        assert select_sentences(query, lines, 1, "Krabbe disease") == [line]
    assert split_words("on 3/7/2019, HIV/AIDS") == ["on", "3", "7", "2019", "hiv", "aids"]


def test_sentences_count_by_what_the_title_leaves_open() -> None:
    title = "Dystonia, juvenile onset"
    lines = [title, "Gene: TOR1A; Disease: OMIM:128100", "Onset: Juvenile onset; HPO: HP:0003621"]
    query = "age of onset of Dystonia, juvenile onset"
    assert select_sentences(query, lines, 1, title) == [lines[2]]
    assert select_sentences("gene of juvenile dystonia", lines, 1, title) == [lines[1]]
    assert select_sentences("Dystonia, juvenile onset", lines, 3, title) == [*lines[1:], title]
    assert select_sentences("seizures", [title], 1, title) == [title]


def test_the_line_that_answers_is_shown_and_not_the_one_with_the_number() -> None:
    lines = [
        "Delirium in acute care",
        "ClinicalTrials.gov: NCT04652622; as of: 2023-01-06",
        "conditions: Delirium",
    ]
    query = "NCT04652622 conditions"
    assert select_sentences(query, lines, 1, lines[0], "NCT04652622") == [lines[2]]


def test_of_equal_sentences_the_earlier_is_shown() -> None:
    assert select_sentences("fever", ["Fever once.", "Fever twice."], 1) == ["Fever once."]


def test_a_snippet_ends_at_a_word() -> None:
    assert truncate("alpha beta gamma", 12) == "alpha beta…"
    assert truncate("alpha", 12) == "alpha"
    assert len(make_snippet("beta", ["alpha beta " * 40], 2, 60)) <= 60


def test_texts_split_together_have_the_words_they_have_alone() -> None:
    texts = [
        "Seen in 3/7 patients, and in all patients.",
        "On 3/7/2020, p<0.05 and 30-79% (5-6-7).",
        "β-thalassaemia with gastro-oesophageal reflux, Wilms' tumour's stage II",
        "",
        "gastro\noesophageal",
        "3/7\r\nall patients\x1cand no-one's % .5 a.b. c..d 1%2 x'y' ''",
        "\u9a6c\u51e1 3/7",
        "5 mg/kg",
    ]
    assert split_words_of_each(texts) == [split_words(text) for text in texts]
    assert split_words_of_each(texts)[0] == [
        *("seen", "in", "3", "of", "7", "patients", "and", "in", "100%", "of", "patients")
    ]
    assert split_words_of_each([]) == []
