"""Groups disease records into hypotheses: the diagnoses among which the model chooses.

Bayes' rule needs hypotheses that exclude each other:

- Every OMIM record is a hypothesis.
- Another record is the same as an OMIM record if that is the only one with its name, or the only
  one that Mondo equates with it. It then adds its findings to that hypothesis.
- A record that Mondo puts above hypotheses ("Marfan syndrome" above its two types) is no
  hypothesis. It is ``broader`` than they are.
- A record that Mondo puts below an OMIM record is a part of it and no hypothesis.
- Any other record is a hypothesis.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from medr_ray.knowledge.hpo import record_order
from medr_ray.knowledge.mondo import Hierarchy
from medr_ray.knowledge.name_normalization import fold_name

_OMIM = "OMIM:"
_EMPTY_HIERARCHY = Hierarchy({}, {})


@dataclass(frozen=True)
class Hypotheses:
    """The result of grouping.

    ``hypothesis_of_record`` has the hypothesis of every record that belongs to one.
    ``broader_records`` has the records that are broader than each hypothesis.
    """

    hypothesis_of_record: Mapping[str, str]
    broader_records: Mapping[str, tuple[str, ...]]


def group_records(names: Mapping[str, str], mondo: Hierarchy | None = None) -> Hypotheses:
    """The hypotheses of records, given their names by id. Without Mondo, only names equate."""
    neighbours = _RecordHierarchy(mondo or _EMPTY_HIERARCHY)
    same_as = _equate_records(names, neighbours)
    narrower_by_record: dict[str, set[str]] = {}
    parts: set[str] = set()
    for record in sorted(names, key=record_order):
        if same_as[record] != record or record.startswith(_OMIM):
            continue  # belongs to an OMIM hypothesis, or is one
        narrower = {
            same_as[other] for other in neighbours.find_narrower(record) if other in same_as
        }
        narrower.discard(record)
        if narrower:
            narrower_by_record[record] = narrower
        elif any(_is_known_omim(other, names) for other in neighbours.find_broader(record)):
            parts.add(record)
    broader_records: dict[str, list[str]] = defaultdict(list)
    for record, narrower in narrower_by_record.items():
        # A record that is broader itself, or a part, is no hypothesis.
        for hypothesis in narrower - narrower_by_record.keys() - parts:
            broader_records[hypothesis].append(record)
    hypothesis_of_record = {
        record: hypothesis
        for record, hypothesis in same_as.items()
        if hypothesis not in narrower_by_record and hypothesis not in parts
    }
    return Hypotheses(
        hypothesis_of_record,
        {hypothesis: tuple(records) for hypothesis, records in broader_records.items()},
    )


def _is_known_omim(record: str, names: Mapping[str, str]) -> bool:
    return record.startswith(_OMIM) and record in names


def _equate_records(names: Mapping[str, str], neighbours: "_RecordHierarchy") -> dict[str, str]:
    """The OMIM record that each record is the same as, or the record itself."""
    omim_by_name: dict[str, list[str]] = defaultdict(list)
    for record, name in names.items():
        if record.startswith(_OMIM):
            omim_by_name[fold_name(name)].append(record)
    same_as = {}
    for record, name in names.items():
        by_name = omim_by_name.get(fold_name(name), [])
        by_mondo = [
            other for other in neighbours.find_equivalent(record) if _is_known_omim(other, names)
        ]
        # Mondo decides only where the name names no single OMIM record.
        candidates = by_name if len(by_name) == 1 else by_mondo
        is_same = len(candidates) == 1 and not record.startswith(_OMIM)
        same_as[record] = candidates[0] if is_same else record
    return same_as


class _RecordHierarchy:
    """Records above, below and equal to a record, through the Mondo terms that refer to it."""

    def __init__(self, mondo: Hierarchy) -> None:
        self._records_by_term = mondo.xrefs
        self._parents = mondo.parents
        self._terms_by_record: dict[str, list[str]] = defaultdict(list)
        for term, records in mondo.xrefs.items():
            for record in records:
                self._terms_by_record[record].append(term)
        self._children: dict[str, list[str]] = defaultdict(list)
        for term, parents in mondo.parents.items():
            for parent in parents:
                self._children[parent].append(term)

    def find_equivalent(self, record: str) -> list[str]:
        """The other records of the same Mondo terms."""
        records = {
            other
            for term in self._terms_by_record.get(record, ())
            for other in self._records_by_term[term]
        }
        return sorted(records - {record})

    def find_narrower(self, record: str) -> set[str]:
        """The records of narrower terms, and the other records of its own terms: where one term has
        several records, those that are hypotheses are narrower."""
        terms = self._terms_by_record.get(record, ())
        return self._records_of(_collect_reachable(terms, self._children)) | set(
            self.find_equivalent(record)
        )

    def find_broader(self, record: str) -> set[str]:
        """The records of broader terms."""
        terms = self._terms_by_record.get(record, ())
        return self._records_of(_collect_reachable(terms, self._parents))

    def _records_of(self, terms: Iterable[str]) -> set[str]:
        return {record for term in terms for record in self._records_by_term.get(term, ())}


def _collect_reachable(terms: Iterable[str], edges: Mapping[str, Iterable[str]]) -> set[str]:
    """All terms that ``edges`` lead to from the given terms, in one or more steps."""
    reached: set[str] = set()
    pending = [target for term in terms for target in edges.get(term, ())]
    while pending:
        term = pending.pop()
        if term not in reached:
            reached.add(term)
            pending.extend(edges.get(term, ()))
    return reached
