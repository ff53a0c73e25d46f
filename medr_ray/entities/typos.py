"""Rare forms that look like a slip of the pen for a common one.

Two words one edit apart become equal when each loses at most one letter. So the common forms are
filed under all they become by losing one, and a rare form is looked up under all that it becomes:
time and memory grow with the number of letters, not with the number of pairs.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping

import polars as pl

_MIN_LENGTH = 5  # shorter words are one edit from anything
_TIMES_COMMONER = 1000  # about one printed word in a thousand is misspelt; what slips alone explain is rarer than that


def find_likely_typos(
    counts: pl.DataFrame, concepts: Collection[str] | None = None
) -> Mapping[str, str]:
    """Forms of one word that are one edit away from a form of another concept with at least a
    thousand times as many mentions, mapped to that form (the commonest of several). ``counts`` as
    of ``sum_counts``; with ``concepts``, only their forms are looked at."""
    words = _words(counts)
    common: dict[str, list[tuple[int, str, str]]] = defaultdict(list)
    for form, concept_id, mentions in words.filter(
        pl.col("mentions") >= _TIMES_COMMONER
    ).iter_rows():
        for key in _deletions(form):
            common[key].append((mentions, form, concept_id))
    asked = words if concepts is None else words.filter(pl.col("concept_id").is_in(list(concepts)))
    typos: dict[str, str] = {}
    for form, concept_id, mentions in asked.iter_rows():
        near = {one for key in _deletions(form) for one in common.get(key, ())}
        commoner = [
            (count, other)
            for count, other, owner in near
            if owner != concept_id
            and count >= _TIMES_COMMONER * mentions
            and is_one_edit(form, other)
        ]
        if commoner:
            typos[form] = max(commoner)[1]
    return typos


def _words(counts: pl.DataFrame) -> pl.DataFrame:
    """(form, concept_id, mentions) of the forms that are one word of letters, long enough;
    sorted."""
    single = counts.filter(
        pl.col("form").str.len_chars() >= _MIN_LENGTH, pl.col("form").str.contains(r"^\p{L}+$")
    )
    return single.group_by("form", "concept_id").agg(pl.sum("mentions")).sort("form", "concept_id")


def _deletions(form: str) -> set[str]:
    """The form and all it becomes by losing one character: two forms one edit apart share one of
    these."""
    return {form, *(form[:i] + form[i + 1 :] for i in range(len(form)))}


def is_one_edit(first: str, second: str) -> bool:
    """True when one insertion, deletion or substitution turns ``first`` into ``second``."""
    if abs(len(first) - len(second)) > 1 or first == second:
        return False
    short, long = sorted((first, second), key=len)
    same = next(
        (i for i, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short)
    )
    return short[same + (len(short) == len(long)) :] == long[same + 1 :]
