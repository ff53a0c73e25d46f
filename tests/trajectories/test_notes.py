"""What the rules teacher reads in tool responses, in every form in which the tools print them."""

import pytest

from medr_ray.questions.steps.approvals import list_ingredients
from medr_ray.trajectories.solver.notes import Notes, ReadDocument

_LINE = "country: United States"


@pytest.mark.parametrize("date", ["", ", 2019", ", as of 2026", ", 2019-05-04"])
def test_a_document_is_the_same_with_and_without_a_date(date: str) -> None:
    notes = Notes()
    assert notes.read(f"[1] A trial (of two) (NCT:NCT00367016{date}): {_LINE}") == [
        "NCT:NCT00367016"
    ]
    assert notes.documents == {
        "NCT:NCT00367016": ReadDocument("NCT:NCT00367016", "A trial (of two)", was_read=False)
    }
    notes.read(f'A trial (of two) (NCT:NCT00367016{date})\n[1] "{_LINE}"')
    assert [fact.subject for fact in notes.list_facts("trial_country", "NCT:NCT00367016")] == [
        "NCT:NCT00367016"
    ]
    assert notes.documents == {
        "NCT:NCT00367016": ReadDocument("NCT:NCT00367016", "A trial (of two)", was_read=True)
    }


def test_an_address_with_a_comma_keeps_it() -> None:
    notes = Notes()
    notes.read("[1] A page (WEB:https://example.org/a,2019, 2021-03-03): text")
    assert list(notes.documents) == ["WEB:https://example.org/a,2019"]


def test_a_line_of_one_ingredient_names_those_beside_it() -> None:
    notes = Notes()
    notes.read(
        "[1] ANDA071142 CLONIDINE AND CHLORTHALIDONE (FDA:ANDA071142, as of 2019): active "
        "ingredient: CHLORTHALIDONE; CLONIDINE HYDROCHLORIDE; name: CHLORTHALIDONE; of: CLONIDINE "
        "AND CHLORTHALIDONE (ANDA071142/001); strength: 15MG;0.1MG"
    )
    assert list_ingredients(notes.table, "FDA:ANDA071142") == (
        "DRUG:chlorthalidone",
        "DRUG:clonidine",
    )
