"""Which concept owns a form that several concepts claim.

A form belongs to at most one concept, the one with the best claim: a preferred name before a
synonym, then the earlier vocabulary. When two concepts claim a form equally well, it is ambiguous
and belongs to none. A gene symbol that is only a synonym yields to another concept's form with the
same lower case ("ALS", the disease). The order of the concepts does not matter.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from medr_ray.knowledge.identity import SYNONYM_PENALTY, ConceptDraft
from medr_ray.knowledge.name_normalization import normalise

_AMBIGUOUS = -1  # owner of a form that two concepts claim equally well


def decide_owners(
    drafts: Sequence[ConceptDraft],
) -> tuple[dict[str, int], dict[str, tuple[str, ...]]]:
    """(position in ``drafts`` of the owner of each owned form, ids of the concepts that claim each
    ambiguous form)."""
    best_ranks: dict[str, int] = {}
    owners: dict[str, int] = {}
    for number, draft in enumerate(drafts):
        for form, rank in draft.claims.items():
            best_rank = best_ranks.get(form)
            if best_rank is None or rank < best_rank:
                best_ranks[form] = rank
                owners[form] = number
            elif rank == best_rank:
                # A better claim that comes later replaces this mark, so the order does not matter.
                owners[form] = _AMBIGUOUS
    contested = {form for form, owner in owners.items() if owner == _AMBIGUOUS}
    yielding = _find_yielding_symbols(drafts, best_ranks, owners)
    owned = {
        form: owner
        for form, owner in owners.items()
        if owner != _AMBIGUOUS and form not in yielding
    }
    return owned, _list_claimants(drafts, best_ranks, contested)


def _list_claimants(
    drafts: Sequence[ConceptDraft], best_ranks: Mapping[str, int], forms: set[str]
) -> dict[str, tuple[str, ...]]:
    """The ids of the concepts with the best claim to each form, forms and ids sorted."""
    claimants: dict[str, list[str]] = defaultdict(list)
    for draft in drafts:
        for form in draft.claims.keys() & forms:
            if draft.claims[form] == best_ranks[form]:
                claimants[form].append(draft.concept_id)
    return {form: tuple(sorted(claimants[form])) for form in sorted(claimants)}


def _find_yielding_symbols(
    drafts: Sequence[ConceptDraft], best_ranks: Mapping[str, int], owners: Mapping[str, int]
) -> set[str]:
    """The synonymous gene symbols whose lower case another concept owns.

    Both read the same in a text in capitals, and a synonym is the weaker claim. An approved symbol
    is a preferred name and never yields.
    """
    yielding = set()
    for number, draft in enumerate(drafts):
        for symbol in draft.symbols:
            is_owned_synonym = owners[symbol] == number and best_ranks[symbol] >= SYNONYM_PENALTY
            other_owner = owners.get(normalise(symbol), _AMBIGUOUS)
            if is_owned_synonym and other_owner not in (number, _AMBIGUOUS):
                yielding.add(symbol)
    return yielding
