"""Real MEDLINE records cut into many small files."""

import gzip
import itertools
from pathlib import Path

from medr_ray.corpus.medline import read_records
from medr_ray.corpus.sources import list_sources, open_source


def cut(folder: Path, files: int, each: int) -> Path:
    """``files`` files of ``each`` records in ``folder``, from the embedded NLM files, in their
    order."""
    folder.mkdir(parents=True)
    source = list_sources(["embedded"])[0]
    with open_source(source) as stream:
        records = (one.data for one in read_records(stream) if one.kind == "PubmedArticle")
        for number in range(files):
            body = b"".join(itertools.islice(records, each))
            (folder / f"pubmed20n{number:04d}.xml.gz").write_bytes(
                gzip.compress(b"<PubmedArticleSet>" + body + b"</PubmedArticleSet>", 1)
            )
    return folder
