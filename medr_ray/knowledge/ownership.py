"""Which concept owns a form that several claim.

What holds: a form belongs to at most one concept. The best claim wins: a preferred name before a
synonym, then the earlier vocabulary. Equal claims of two concepts are ambiguous, and the form
belongs to none. A gene symbol that is a synonym gives way to another concept's form that reads the
same in lower case ("ALS"). The order of the concepts does not matter.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from medr_ray.knowledge.identity import SYNONYM_PENALTY, ConceptDraft
from medr_ray.knowledge.name_normalization import normalise

_AMBIGUOUS = -1


def decide_owners(
    drafts: Sequence[ConceptDraft],
) -> tuple[dict[str, int], dict[str, tuple[str, ...]]]:
    """(the position of each owned form's concept in ``drafts``, ids of the concepts that claim a
    form equally well)."""
    best: dict[str, int] = {}
    owner: dict[str, int] = {}
    for number, draft in enumerate(drafts):
        for form, rank in draft.claims.items():
            held = best.get(form)
            if held is None or rank < held:
                best[form], owner[form] = rank, number
            elif rank == held:
                owner[form] = _AMBIGUOUS
    ambiguous = _list_claimants(
        drafts, best, {form for form, number in owner.items() if number == _AMBIGUOUS}
    )
    yielding = _find_yielding_symbols(drafts, best, owner)
    return {
        form: number
        for form, number in owner.items()
        if number != _AMBIGUOUS and form not in yielding
    }, ambiguous


def _list_claimants(
    drafts: Sequence[ConceptDraft], best: Mapping[str, int], forms: set[str]
) -> dict[str, tuple[str, ...]]:
    claimants: dict[str, list[str]] = defaultdict(list)
    for draft in drafts:
        for form in draft.claims.keys() & forms:
            if draft.claims[form] == best[form]:
                claimants[form].append(draft.concept_id)
    return {form: tuple(sorted(claimants[form])) for form in sorted(claimants)}


def _find_yielding_symbols(
    drafts: Sequence[ConceptDraft], best: Mapping[str, int], owner: Mapping[str, int]
) -> set[str]:
    """Synonymous symbols whose lower case another concept owns."""
    yielding = set()
    for number, draft in enumerate(drafts):
        for symbol in draft.symbols:
            spelt_alike = owner.get(normalise(symbol), _AMBIGUOUS)
            if (
                owner[symbol] == number
                and best[symbol] >= SYNONYM_PENALTY
                and spelt_alike not in (number, _AMBIGUOUS)
            ):
                yielding.add(symbol)
    return yielding
