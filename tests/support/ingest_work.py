"""Functions that the ingest measurement runs in separate processes, which import them by name."""

import re
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa

from medr_ray.core.run import Directory
from medr_ray.corpus.corpus_files import CorpusFile, list_corpus_files
from medr_ray.corpus.ingest import read_corpus_file
from medr_ray.entities.matching import Matcher


def measure_matching_memory(folder: str) -> tuple[float, float]:
    """(MB that are this process's own, MB that it shares) after matching 5,000 texts."""
    matcher = Matcher.load(Directory(folder))
    texts = pa.array(
        [
            " ".join(matcher.forms[i].as_py() for i in range(j, j + 20))
            for j in range(0, 100_000, 20)
        ]
    )
    matcher.find_spans(texts)
    memory = psutil.Process().memory_full_info()
    return memory.uss / 1e6, memory.shared / 1e6


def measure_peak_memory(path: str, out: str) -> tuple[float, float]:
    """Peak RSS in MB before and after the first pass over a file."""
    before = _read_peak_memory()
    read_corpus_file(list_corpus_files([path])[0], Directory(out), None)
    return before, _read_peak_memory()


def _read_peak_memory() -> float:
    """VmHWM, which begins anew with the program (ru_maxrss is inherited from whoever started
    it)."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1000  # type: ignore[index]


def read_file(task: tuple[dict[str, Any], str]) -> int:
    source, out = task
    return read_corpus_file(CorpusFile(**source), Directory(out), None).records
