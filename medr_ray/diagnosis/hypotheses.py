"""Which disease records are one diagnosis, and which are no diagnosis beside others because they
contain or repeat one.

Bayes' rule wants hypotheses that exclude each other. What holds:

- every OMIM record is a hypothesis of its own;
- another record is the same as an OMIM record that alone carries its name, or that Mondo alone equates with it, and
  then lends its findings;
- a record that Mondo puts above hypotheses ("Marfan syndrome" above its two types) is no hypothesis: it is ``broader``
  than them; a record that Mondo puts below an OMIM record is a part of that and no hypothesis either;
- any other record is a hypothesis.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from medr_ray.knowledge.hpo import record_order
from medr_ray.knowledge.mondo import Hierarchy
from medr_ray.knowledge.name_normalization import normalise

_LEADING = "OMIM:"
_NOTHING = Hierarchy({}, {})


@dataclass(frozen=True)
class Hypotheses:
    """The hypothesis each record belongs to (records that belong to none are missing), and the
    records that are broader than a hypothesis."""

    of_record: Mapping[str, str]
    broader: Mapping[str, tuple[str, ...]]


def unite(names: Mapping[str, str], mondo: Hierarchy | None = None) -> Hypotheses:
    """The hypotheses of the records in ``names`` (their names by id)."""
    relations = _Relations(mondo or _NOTHING)
    same = _same(names, relations)
    under: dict[str, set[str]] = {}
    parts: set[str] = set()
    for record in sorted(names, key=record_order):
        if same[record] == record and not record.startswith(_LEADING):
            below = {same[one] for one in relations.below(record) if one in same} - {record}
            if below:
                under[record] = below
            elif any(one.startswith(_LEADING) and one in names for one in relations.above(record)):
                parts.add(record)
    broader: dict[str, list[str]] = defaultdict(list)
    for record, below in under.items():
        for one in below - under.keys() - parts:
            broader[one].append(record)
    of_record = {
        one: owner for one, owner in same.items() if owner not in under and owner not in parts
    }
    return Hypotheses(of_record, {one: tuple(records) for one, records in broader.items()})


def _same(names: Mapping[str, str], relations: "_Relations") -> dict[str, str]:
    """The record that each is the same as, itself where there is none."""
    called: dict[str, list[str]] = defaultdict(list)
    for record, name in names.items():
        if record.startswith(_LEADING):
            called[normalise(name)].append(record)
    same = {}
    for record, name in names.items():
        by_name = called.get(normalise(name), [])
        by_mondo = [
            one for one in relations.equal(record) if one.startswith(_LEADING) and one in names
        ]
        leaders = by_name if len(by_name) == 1 else by_mondo
        same[record] = (
            leaders[0] if len(leaders) == 1 and not record.startswith(_LEADING) else record
        )
    return same


class _Relations:
    """Records above, below and beside a record, by way of the Mondo terms that refer to it."""

    def __init__(self, mondo: Hierarchy) -> None:
        self._records = mondo.xrefs
        self._terms: dict[str, list[str]] = defaultdict(list)
        for term, records in mondo.xrefs.items():
            for record in records:
                self._terms[record].append(term)
        self._parents = mondo.parents
        self._children: dict[str, list[str]] = defaultdict(list)
        for term, parents in mondo.parents.items():
            for parent in parents:
                self._children[parent].append(term)

    def equal(self, record: str) -> list[str]:
        """Other records of the same terms."""
        return sorted(
            {one for term in self._terms.get(record, ()) for one in self._records[term]} - {record}
        )

    def below(self, record: str) -> set[str]:
        """Records of narrower terms, and those of its own (several that one term has are
        narrower)."""
        terms = self._terms.get(record, ())
        return self._of(_reach(terms, self._children)) | set(self.equal(record))

    def above(self, record: str) -> set[str]:
        """Records of broader terms."""
        return self._of(_reach(self._terms.get(record, ()), self._parents))

    def _of(self, terms: Iterable[str]) -> set[str]:
        return {record for term in terms for record in self._records.get(term, ())}


def _reach(terms: Iterable[str], step: Mapping[str, Iterable[str]]) -> set[str]:
    """All that can be reached from the terms, without them."""
    seen: set[str] = set()
    waiting = [one for term in terms for one in step.get(term, ())]
    while waiting:
        term = waiting.pop()
        if term not in seen:
            seen.add(term)
            waiting.extend(step.get(term, ()))
    return seen
