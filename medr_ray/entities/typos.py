"""Rare forms that look like a slip of the pen for a common one."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

import polars as pl

_MIN_LENGTH = 5  # shorter words are one edit from anything
_TIMES_COMMONER = 20  # a typo is far rarer than what it is a typo of


def likely_typos(counts: pl.DataFrame) -> Mapping[str, str]:
    """Forms of one word that are one edit away from a form of another concept which is at least twenty times as
    frequent, mapped to that form. ``counts`` as of ``sum_counts``."""
    words = [(form, concept_id, mentions) for concept_id, form, _, mentions in counts.iter_rows()
             if form.isalpha() and len(form) >= _MIN_LENGTH]
    neighbours: dict[str, list[tuple[str, str, int]]] = defaultdict(list)
    for word in words:
        for key in _deletions(word[0]):
            neighbours[key].append(word)
    typos: dict[str, str] = {}
    for form, concept_id, mentions in words:
        near = {one for key in _deletions(form) for one in neighbours[key]}
        commoner = [(count, other) for other, owner, count in near
                    if owner != concept_id and count >= _TIMES_COMMONER * mentions and is_one_edit(form, other)]
        if commoner:
            typos[form] = max(commoner)[1]
    return typos


def _deletions(form: str) -> Iterable[str]:
    """The form and all it becomes by losing one character: two forms one edit apart share one of these."""
    return {form, *(form[:i] + form[i + 1:] for i in range(len(form)))}


def is_one_edit(first: str, second: str) -> bool:
    """True when one insertion, deletion or substitution turns ``first`` into ``second``."""
    if abs(len(first) - len(second)) > 1 or first == second:
        return False
    short, long = sorted((first, second), key=len)
    same = next((i for i, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    return short[same + (len(short) == len(long)):] == long[same + 1:]
