"""Shares of adverse reactions: what a table says in one way only, and what is left out."""

import pytest

from medr_ray.knowledge.registries.reaction_shares import ReactionShare, read_reaction_shares

NAMES = ["Exadrug", "exadrug hydrochloride"]
TITLE = "Table 1: Reactions in Patients with Type 2 Gout Adverse Reaction "


def read(text: str) -> list[ReactionShare]:
    return list(read_reaction_shares(text, NAMES))


def test_rows_of_two_arms_are_taken() -> None:
    rows = read(
        f"{TITLE}Exadrug Hydrochloride Tablets (n=1,141) Placebo (n = 145) Diarrhea 53% 12% "
        "Nausea/Vomiting 25.5% 8% Diarrhea led to discontinuation in 6% of patients."
    )
    assert [(row.reaction, row.share, row.comparator_share) for row in rows] == [
        ("Diarrhea", "53", "12"),
        ("Nausea/Vomiting", "25.5", "8"),
    ]
    assert rows[0] == ReactionShare(
        reaction="Diarrhea",
        share="53",
        arm="Exadrug Hydrochloride Tablets",
        patients="1141",
        comparator="Placebo",
        comparator_share="12",
        comparator_patients="145",
        population="Patients with Type 2 Gout",
        printed="Diarrhea 53% 12%",
    )


def test_the_unit_may_stand_in_the_header() -> None:
    rows = read(
        f"{TITLE}Exadrug (N = 141) Placebo (N = 145) % of Patients Skin Rash 5 4 "
        "Cough 53.2 11.7 In a"
    )
    # The name of a body system may precede that of a reaction: which of the two it is, is not said.
    assert [(row.reaction, row.share) for row in rows] == [("Cough", "53.2")]


@pytest.mark.parametrize(
    "text",
    [
        "Otherdrug (n=141) Placebo (n=145) Diarrhea 53% 12%",  # not the label's drug
        "Glyburide + Exadrug (n=141) Placebo (n=145) Diarrhea 53% 12%",  # a part of the arm
        "Exadrug (n=141) Placebo (n=145) Otherdrug (n=9) Diarrhea 53% 12% 9%",  # three arms
        "Exadrug (n=141) Placebo (n=145) Diarrhea 53% 12% 9%",  # a column without a header
        "Exadrug (n=141) Placebo (n=145) Diarrhea 53 12",  # patients or percent?
        "Exadrug (n=141) Placebo (n=145) *More common than placebo. Diarrhea 53% 12%",
        "Of patients on Exadrug 53% had diarrhea, of those on placebo 12%.",
        "Diarrhea occurred in 1% to 10% of patients treated with Exadrug.",
        "Exadrug (n=141) Placebo (n=145) Diarrhea <1% 12%",
        "Exadrug (n=141) Otherdrug (n=145) Diarrhea 53% 12%",  # no placebo
    ],
)
def test_what_can_be_read_in_several_ways_is_left_out(text: str) -> None:
    assert read(TITLE + text) == []


def test_a_table_that_does_not_say_what_its_patients_had_is_left_out() -> None:
    rows = "Exadrug (n=141) Placebo (n=145) Diarrhea 53% 12%"
    assert len(read(TITLE + rows)) == 1
    assert read("Table 1: Adverse Reactions " + rows) == []
