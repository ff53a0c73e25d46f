"""Readers of what others publish beside the literature: one file format a module, documents out.

Guarantees: a record that cannot be used is listed with its file, its place and the reason, and
hides no other. A file that breaks off gives what came before. Every reader takes the paths that
belong together and yields documents.
"""

from collections.abc import Callable, Iterator, Sequence

from medr_ray.knowledge.registries.record_reading import UnusableRecord, UnusableRecords
from medr_ray.retrieval.documents import FDA_APPROVALS, FDA_LABELS, LIVERTOX, TRIALS, Document
from medr_ray.retrieval.readers.approvals import read_approvals
from medr_ray.retrieval.readers.labels import read_labels
from medr_ray.retrieval.readers.monographs import read_monographs
from medr_ray.retrieval.readers.trials import read_trials

Reader = Callable[[Sequence[str], UnusableRecords], Iterator[Document]]
READERS: dict[str, Reader] = {
    FDA_LABELS: read_labels,
    FDA_APPROVALS: read_approvals,
    TRIALS: read_trials,
    LIVERTOX: read_monographs,
}
# Sources whose files make a record only together.
READ_TOGETHER = frozenset({FDA_APPROVALS})

__all__ = ["READERS", "READ_TOGETHER", "Reader", "UnusableRecord", "UnusableRecords"]
