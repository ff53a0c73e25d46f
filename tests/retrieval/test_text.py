"""Text from the network as plain text, and queries as words."""

import pytest

from medr_ray.retrieval.query_text import (
    informative_words,
    loosen_query,
    plain_line,
    plain_lines,
    split_query,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\x1b[2Jb\x00", "a[2Jb"),
        ("safe\u202eevil\u200b", "safeevil"),
        (" a \n\t b ", "a b"),
        ("p<0.05, 5 mg/kg", "p<0.05, 5 mg/kg"),
        ("\ufeffβ-blocker", "β-blocker"),
        ("", ""),
        ("\ud800x", "x"),
        ("\ue000y", "y"),
    ],
)
def test_what_is_hidden_goes_and_what_is_read_stays(text: str, expected: str) -> None:
    assert plain_line(text) == expected


def test_lines_are_kept_where_they_mean_something() -> None:
    assert plain_lines("Title\n\n  Status:  done \x07\r\nEnd") == "Title\nStatus: done\nEnd"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("IL-6 AND NOT Crohn's", ["il-6", "and", "not", "crohn's"]),
        ('p<0.05 [pt] title:x* ~"y"', ["p", "0.05", "pt", "title", "x", "y"]),
        ("HIV/AIDS", ["hiv", "aids"]),
        ("-_x_-", ["x"]),
        ("法布里病", ["法布里病"]),
        ("…", []),
    ],
)
def test_a_query_is_words(query: str, words: list[str]) -> None:
    assert split_query(query) == words


def test_stop_words_do_not_tell_unless_there_are_no_others() -> None:
    assert informative_words("What is the gene of Fabry, the gene?") == ["gene", "fabry"]
    assert informative_words("to be of the") == ["to", "be", "of", "the"]
    assert informative_words("法布里病 is") == ["法布里病"]


def test_a_query_is_loosened_step_by_step() -> None:
    assert loosen_query("Sources of vitamin A") == (
        "sources of vitamin a",
        "sources vitamin",
        "sources OR vitamin",
    )
