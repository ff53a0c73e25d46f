"""Finds rare forms that look like misspellings of a common form.

Two words that are one edit apart become equal when at most one letter is deleted from each. So
every common form is indexed under itself and all its deletions of one letter, and a rare form is
looked up under itself and all of its own. Time and memory grow with the number of letters, not with
the number of pairs of words.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping

import polars as pl

_MIN_LENGTH = 5  # letters; almost any shorter word is one edit from another
# How many times as frequent the intended form must be. About one printed word in a thousand is
# misspelt, so a form that misspelling alone explains is rarer than this.
_MIN_RATIO = 1000


def find_likely_typos(
    counts: pl.DataFrame, concepts: Collection[str] | None = None
) -> Mapping[str, str]:
    """Misspelt forms with the form that was likely intended, the most frequent of several.

    A form counts as misspelt when it is one word, one edit away from a form of another concept that
    has at least a thousand times as many mentions. ``counts`` is as ``sum_counts`` returns it. With
    ``concepts`` only their forms are examined.
    """
    words = _select_single_words(counts)
    # (mentions, form, concept) of common forms, by the form itself and by each of its deletions.
    common: dict[str, list[tuple[int, str, str]]] = defaultdict(list)
    # A rarer form cannot be the intended one, since every form has at least one mention.
    common_rows = words.filter(pl.col("mentions") >= _MIN_RATIO).iter_rows()
    for form, concept_id, mentions in common_rows:
        for key in _delete_one_letter(form):
            common[key].append((mentions, form, concept_id))
    examined = words
    if concepts is not None:
        examined = words.filter(pl.col("concept_id").is_in(list(concepts)))
    typos: dict[str, str] = {}
    for form, concept_id, mentions in examined.iter_rows():
        near = {entry for key in _delete_one_letter(form) for entry in common.get(key, ())}
        # Forms that share a deletion may be two edits apart ("form", "from"), hence the exact test.
        commoner = [
            (count, other)
            for count, other, owner in near
            if owner != concept_id and count >= _MIN_RATIO * mentions and is_one_edit(form, other)
        ]
        if commoner:
            _, typos[form] = max(commoner)
    return typos


def _select_single_words(counts: pl.DataFrame) -> pl.DataFrame:
    """(form, concept_id, mentions) of the forms that are one word of enough letters, sorted."""
    is_long = pl.col("form").str.len_chars() >= _MIN_LENGTH
    is_word = pl.col("form").str.contains(r"^\p{L}+$")
    single = counts.filter(is_long, is_word)
    return single.group_by("form", "concept_id").agg(pl.sum("mentions")).sort("form", "concept_id")


def _delete_one_letter(form: str) -> set[str]:
    """The form itself and all its deletions of one letter. Two forms that are one edit apart have
    one of these in common."""
    return {form, *(form[:i] + form[i + 1 :] for i in range(len(form)))}


def is_one_edit(first: str, second: str) -> bool:
    """Whether one insertion, deletion or substitution turns ``first`` into ``second``."""
    if abs(len(first) - len(second)) > 1 or first == second:
        return False
    shorter, longer = sorted((first, second), key=len)
    common = 0  # length of the common beginning
    while common < len(shorter) and shorter[common] == longer[common]:
        common += 1
    # Behind the edit the rest must be equal. A substitution uses up a letter of both words.
    skipped = 1 if len(shorter) == len(longer) else 0
    return shorter[common + skipped :] == longer[common + 1 :]
