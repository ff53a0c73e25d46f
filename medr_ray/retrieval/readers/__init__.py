"""Readers of what others publish beside the literature: one file format a module, documents out.

What holds: a record that cannot be used is set aside with its file, its place and the reason, and
hides no other; a file that breaks off gives what came before. Every reader takes the paths that
belong together and yields documents.
"""

from collections.abc import Callable, Iterator, Sequence

from medr_ray.retrieval.documents import FDA_APPROVALS, FDA_LABELS, LIVERTOX, TRIALS, Document
from medr_ray.retrieval.readers.approvals import read_approvals
from medr_ray.retrieval.readers.labels import read_labels
from medr_ray.retrieval.readers.monographs import read_monographs
from medr_ray.retrieval.readers.plain_records import Aside, SetAside
from medr_ray.retrieval.readers.trials import read_trials

Reader = Callable[[Sequence[str], Aside], Iterator[Document]]
READERS: dict[str, Reader] = {
    FDA_LABELS: read_labels,
    FDA_APPROVALS: read_approvals,
    TRIALS: read_trials,
    LIVERTOX: read_monographs,
}
READ_TOGETHER = frozenset(
    {FDA_APPROVALS}
)  # the files of one source that only together say what a record is

__all__ = ["READERS", "READ_TOGETHER", "Aside", "Reader", "SetAside"]
