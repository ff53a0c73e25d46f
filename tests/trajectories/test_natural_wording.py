"""The natural wording of the rules teacher: every kind has its words, and every form its slots."""

import string
from typing import Any

import pytest

from medr_ray.agent.state import CANDIDATE, find_hypotheses
from medr_ray.core.prompts import read_package_json
from medr_ray.core.records import Language
from medr_ray.questions.steps import STEP_KINDS
from medr_ray.trajectories.solver.rules import RULES

_PACKAGE = "medr_ray.trajectories.solver"
_LANGUAGES: tuple[Language, ...] = ("en", "zh")
_FREQUENT = 20  # forms of a move that nearly every dialogue has
_MANY = 14  # forms of any other move
_FEW = 6  # forms of what few dialogues have
_REASONS_FOR_A_TOOL = 10  # forms for each kind of source

# (slots that each form has, slots that it may have besides)
_SLOTS: dict[str, tuple[set[str], set[str]]] = {
    "absent": ({"target"}, set()),
    "answer": ({"value", "documents"}, set()),
    "answer_absent": ({"documents"}, set()),
    "candidate": ({"value"}, set()),
    "candidate_of_part": ({"value"}, set()),
    "candidates": ({"candidates", "target"}, set()),
    "check_failed": (set(), set()),
    "check_lost": (set(), set()),
    "confirmed": ({"value", "document"}, set()),
    "confirmed_name": ({"value", "other", "document"}, set()),
    "confirmed_year": ({"other", "document"}, {"value"}),
    "conflict": ({"value", "other", "document", "reason"}, {"other_document"}),
    "conflict_of_editions": ({"value", "other", "document"}, set()),
    "empty": (set(), {"target"}),
    "give_up": ({"target"}, set()),
    "generics_only": ({"subject"}, {"source"}),
    "last_page": ({"page", "target"}, set()),
    "list_ended": ({"target"}, set()),
    "more_hits": (set(), set()),
    "next": ({"target"}, set()),
    "no_others": (set(), {"target"}),
    "nothing_new": ({"page", "target"}, set()),
    "off_topic": ({"target"}, set()),
    "open": ({"goal", "first"}, {"steps"}),
    "open_direct": ({"goal"}, set()),
    "open_parallel": ({"goal", "first"}, set()),
    "out_of_calls": ({"target"}, set()),
    "outage_read": ({"target", "document"}, set()),
    "outage_retry": ({"target"}, set()),
    "outage_switch": ({"target"}, set()),
    "overturned": ({"value", "other", "document"}, set()),
    "parallel": ({"targets"}, set()),
    "read": ({"target", "document"}, set()),
    "read_rest": (set(), {"target", "document"}),
    "read_several": ({"document"}, set()),
    "record_confirms": ({"value", "document"}, set()),
    "record_silent": (set(), {"value", "document"}),
    "revised": ({"value", "other", "document"}, set()),
    "search_others": ({"target"}, set()),
    "search_own": (set(), set()),
    "seen": ({"value", "document"}, set()),
    "single_source": ({"document"}, set()),
    "so_far": ({"value", "target"}, set()),
    "switch": (set(), {"target"}),
    "unlisted": ({"source", "subject"}, set()),
    "unread_question": (set(), set()),
    "unstated": ({"document"}, {"value"}),
    "verify_record": ({"document"}, set()),
    "verify_second": ({"source"}, {"value"}),
}
# What a value was worked out from, by the method, and why something is left out.
_GROUNDS: dict[str, set[str]] = {
    "comparison": {"items"},
    "count": {"items"},
    "first": {"count", "first"},
    "last": {"count", "last"},
    "span": {"first", "last"},
}
_EXCLUSIONS = ("not_marketed", "older_edition")
_FREQUENT_MOVES = ("open", "next", "verify_second", "verify_record", "confirmed", "answer")
_TOOL_REASONS = (
    *("approvals", "patents", "trials", "labels", "livertox", "rare_diseases", "papers"),
    *("general", "read", "diagnose"),
)
# "=" states a finding in plain thoughts; dashes and exclamations are no part of this voice.
_REFUSED = {"en": "=!—–…\n\t", "zh": "=!！—–…\n\t,;?()"}
_CANDIDATES = {
    "en": "Candidates: {candidates}.",
    "zh": "候选：{candidates}。",
}
_ENDS = {"en": (".", "?"), "zh": ("。", "？")}


def _read(language: Language) -> dict[str, Any]:
    return read_package_json(_PACKAGE, f"natural.{language}.json")


def _read_queries() -> dict[str, dict[str, list[list[str]]]]:
    return read_package_json(_PACKAGE, "queries.json")


def _slots(form: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(form) if name is not None}


def _list_kinds() -> set[str]:
    """Every kind that a thought may speak of."""
    plain: dict[str, Any] = read_package_json(_PACKAGE, "plain.en.json")
    return {*STEP_KINDS, *plain["targets"]}


def _list_forms(words: dict[str, Any]) -> dict[str, list[str]]:
    """The forms that are sentences, by their place."""
    forms = {move: words[move] for move in _SLOTS}
    for group in ("results", "grounds", "left_out"):
        forms |= {f"{group}/{kind}": found for kind, found in words[group].items()}
    return forms | {f"tool/{source}": reasons for source, reasons in words["tool"].items()}


@pytest.mark.parametrize("language", _LANGUAGES)
def test_every_kind_has_targets_and_results(language: Language) -> None:
    words = _read(language)
    kinds = _list_kinds()

    assert set(words["targets"]) == kinds
    assert set(words["results"]) == kinds
    assert all(2 <= len(forms) <= 3 for forms in words["targets"].values())
    assert all(3 <= len(forms) <= 4 for forms in words["results"].values())


@pytest.mark.parametrize("language", _LANGUAGES)
def test_targets_and_results_name_their_inputs(language: Language) -> None:
    words = _read(language)
    for kind in _list_kinds():
        count = len(STEP_KINDS[kind].inputs) if kind in STEP_KINDS else 1
        inputs = set(map(str, range(count)))
        for form in words["targets"][kind]:
            assert "0" in _slots(form) <= inputs, form
        for form in words["results"][kind]:
            assert {"0", "value"} <= _slots(form) <= {*inputs, "value"}, form
    for kind in ("earlier_approved_drug", "larger_trial", "gene_of_both_diseases"):
        for form in (*words["targets"][kind], *words["results"][kind]):
            assert {"0", "1"} <= _slots(form), form


def test_english_targets_are_noun_phrases_with_an_article() -> None:
    for forms in _read("en")["targets"].values():
        for form in forms:
            assert form.startswith("the "), form
            assert not form.endswith(tuple(".,:;")), form


@pytest.mark.parametrize("language", _LANGUAGES)
def test_moves_have_enough_forms_with_their_slots(language: Language) -> None:
    words = _read(language)
    for move, (required, allowed) in _SLOTS.items():
        forms = words[move]
        assert len(forms) >= (_FREQUENT if move in _FREQUENT_MOVES else _MANY), move
        for form in forms:
            assert required <= _slots(form) <= required | allowed, f"{move}: {form}"


@pytest.mark.parametrize("language", _LANGUAGES)
def test_what_a_value_is_worked_out_from_has_words(language: Language) -> None:
    words = _read(language)

    assert set(words["grounds"]) == set(_GROUNDS)
    for method, slots in _GROUNDS.items():
        assert len(words["grounds"][method]) >= _REASONS_FOR_A_TOOL
        for form in words["grounds"][method]:
            assert _slots(form) <= slots, form
    assert set(words["left_out"]) == set(_EXCLUSIONS)
    for forms in words["left_out"].values():
        assert len(forms) >= _FEW
        assert all(_slots(form) == {"items"} for form in forms)


@pytest.mark.parametrize("language", _LANGUAGES)
def test_tools_are_chosen_for_a_reason(language: Language) -> None:
    reasons = _read(language)["tool"]

    assert set(reasons) == set(_TOOL_REASONS)
    for forms in reasons.values():
        assert len(forms) >= _REASONS_FOR_A_TOOL
        assert not any(map(_slots, forms))


@pytest.mark.parametrize("language", _LANGUAGES)
def test_no_form_is_given_twice(language: Language) -> None:
    words = _read(language)
    moves = [form for move in _SLOTS for form in words[move]]
    moves += [form for forms in words["tool"].values() for form in forms]
    assert len(moves) == len(set(moves))
    for part in ("targets", "results", "reasons"):
        for forms in words[part].values():
            assert len(forms) == len(set(forms)), forms


@pytest.mark.parametrize("language", _LANGUAGES)
def test_sentences_have_the_signs_of_their_language(language: Language) -> None:
    words = _read(language)
    for place, forms in _list_forms(words).items():
        for form in forms:
            refused = [sign for sign in _REFUSED[language] if sign in form]
            assert not refused, f"{place}: {form}"
            assert form.endswith(_ENDS[language]), f"{place}: {form}"
            assert "  " not in form, f"{place}: {form}"


@pytest.mark.parametrize("language", _LANGUAGES)
def test_candidates_are_named_in_the_form_that_is_read_back(language: Language) -> None:
    words = _read(language)

    assert all(_CANDIDATES[language] in form for form in words["candidates"])
    for form in (*words["candidate"], *words["candidate_of_part"]):
        assert find_hypotheses(form.format(value="NDA021436")) == [(CANDIDATE, "NDA021436")], form


@pytest.mark.parametrize("language", _LANGUAGES)
def test_no_other_sentence_names_a_candidate(language: Language) -> None:
    words = _read(language)
    for place, forms in _list_forms(words).items():
        if place in ("candidate", "candidate_of_part", "candidates"):
            continue
        for form in forms:
            filled = form.format(
                *("NCT01713725",) * 4, **dict.fromkeys(_slots(form), "ticlopidine")
            )
            assert find_hypotheses(filled) == [], f"{place}: {filled}"


@pytest.mark.parametrize("language", _LANGUAGES)
def test_answers_cite_their_documents_in_brackets(language: Language) -> None:
    words = _read(language)
    cited = "（{documents}）" if language == "zh" else "({documents})"
    for move in ("answer", "answer_absent"):
        assert all(cited in form for form in words[move])


def test_both_languages_have_the_same_parts() -> None:
    english, chinese = (_read(language) for language in _LANGUAGES)

    assert set(english) == set(chinese)
    for part, forms in english.items():
        if isinstance(forms, dict):
            assert set(forms) == set(chinese[part])


# --- queries --------------------------------------------------------------------------


def test_every_look_up_has_natural_queries() -> None:
    queries = _read_queries()
    # A kind with a rule is looked up where the plain queries have it.
    looked_up = {*queries["plain"], *(kind for kind in STEP_KINDS if kind not in RULES)}

    assert set(queries["natural"]) == looked_up
    assert all(4 <= len(phrasings) <= 6 for phrasings in queries["natural"].values())


def test_natural_queries_are_neither_plain_nor_a_question() -> None:
    queries = _read_queries()
    for kind, phrasings in queries["natural"].items():
        texts = [text for _, text in phrasings]
        assert len(texts) == len(set(texts)), kind
        assert not set(texts) & {text for _, text in queries["plain"].get(kind, [])}, kind
        wording = STEP_KINDS[kind].english if kind in STEP_KINDS else None
        asked = {*wording.question, *wording.noun, *wording.statement} if wording else set()
        assert not any(text in phrase for text in texts for phrase in asked), kind


@pytest.mark.parametrize("style", ["plain", "natural"])
def test_queries_name_what_is_given(style: str) -> None:
    for kind, phrasings in _read_queries()[style].items():
        count = len(STEP_KINDS[kind].inputs) if kind in STEP_KINDS else 1
        for _, text in phrasings:
            assert _slots(text), text
            assert _slots(text) <= {*map(str, range(count)), "title"}, text
