"""Real MEDLINE records cut into many small files."""

import gzip
import itertools
from pathlib import Path

from medr_ray.corpus.corpus_files import list_corpus_files, open_corpus_file
from medr_ray.corpus.medline import read_records


def write_many_files(folder: Path, files: int, each: int) -> Path:
    """``files`` files of ``each`` records in ``folder``, from the embedded NLM files, in their
    order."""
    folder.mkdir(parents=True)
    source = list_corpus_files(["embedded"])[0]
    with open_corpus_file(source) as stream:
        records = (record.data for record in read_records(stream) if record.kind == "PubmedArticle")
        for number in range(files):
            body = b"".join(itertools.islice(records, each))
            (folder / f"pubmed20n{number:04d}.xml.gz").write_bytes(
                gzip.compress(b"<PubmedArticleSet>" + body + b"</PubmedArticleSet>", 1)
            )
    return folder
