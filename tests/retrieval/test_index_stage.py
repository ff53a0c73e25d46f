"""The index stage through Ray: made, kept, refreshed; a later run finds what one from nothing
finds."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import DataError
from medr_ray.core.records import Citation, Term
from medr_ray.core.run import RunDirectory, StageContext, compute_fingerprint, run_stage
from medr_ray.retrieval.retriever import RetrievalHit, Retriever
from medr_ray.retrieval.stage import INDEX_STAGE

ARTICLE = (Term("D016428", "Journal Article"),)
QUERIES = (
    "losartan in Marfan syndrome",
    "aortic root",
    "children",
    "paper 1999",
    "trial of atenolol",
)


def citation(position: int, abstract: str = "") -> Citation:
    text = (
        abstract
        or f"Losartan was given to {position % 7} children with Marfan syndrome, paper {position}."
    )
    return Citation(
        str(position),
        1,
        f"Aortic root {position % 11}",
        text,
        (),
        "J",
        "1234-5678",
        2001,
        "eng",
        ARTICLE,
        (),
        (),
        (),
        (),
        False,
        (),
        (),
        "",
        "",
        "",
        "",
        (),
        (),
        "f",
        position,
    )


def study(number: int) -> dict[str, Any]:
    return {
        "protocolSection": {
            "identificationModule": {
                "nctId": f"NCT{number:08d}",
                "briefTitle": f"Trial {number} of atenolol",
            }
        }
    }


class Work:
    """A run whose corpus and studies can be rewritten."""

    def __init__(self, root: Path) -> None:
        self.root, self.run = root, RunDirectory(str(root / "run"))
        self.studies = root / "studies.jsonl"
        self.config = PipelineConfig.model_validate(
            {
                "run": {"root": str(root)},
                "retrieval": {"mode": "text"},
                "index": {
                    "embed": "none",
                    "sources": ["pubmed", {"source": "trials", "paths": [str(self.studies)]}],
                },
            }
        )

    def corpus(self, **files: Sequence[Citation]) -> None:
        corpus = self.run.stage("corpus")
        for name in corpus.list_files("citations"):
            corpus.remove(f"citations/{name}")
        for name, citations in files.items():
            corpus.write_records(f"citations/{name}.parquet", Citation, citations)

    def trials(self, *lines: dict[str, Any] | str) -> None:
        self.studies.write_text(
            "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
        )

    def make(self, config: PipelineConfig | None = None) -> dict[str, Any]:
        config = config or self.config
        context = StageContext(config, self.run, self.run.stage("index"), Console(quiet=True))
        mark = compute_fingerprint(
            INDEX_STAGE, config, {"corpus": str(self.run.stage("corpus").list_files("citations"))}
        )
        counts: dict[str, Any] = run_stage(INDEX_STAGE, context, mark, {"corpus": "f"})["counts"]
        return counts

    def search_all(self) -> list[RetrievalHit]:
        retriever = Retriever.open(
            self.run.stage("index"), self.config.retrieval, self.config.models
        )
        return [hit for query in QUERIES for hit in retriever.medical_search(query, results=30)]


@pytest.mark.slow
def test_a_later_run_makes_only_what_changed(ray_local: None, tmp_path: Path) -> None:
    ours, anew = Work(tmp_path / "ours"), Work(tmp_path / "anew")
    old, new = [citation(i) for i in range(4100)], [citation(i) for i in range(4100, 4200)]
    ours.corpus(a=old)
    ours.trials(*map(study, range(20)), "{broken")
    counts = ours.make()
    assert (counts["documents"], counts["pubmed"], counts["trials"]) == (4120, 4100, 20)
    assert (counts["parts"], counts["parts_made"], counts["set_aside"]) == (4, 4, 1)
    (line,) = ours.run.stage("index").read_bytes("quarantine.jsonl").decode().splitlines()
    assert json.loads(line)["where"] == "line 21"

    for work in (ours, anew):
        work.corpus(a=[*old[:2500], *old[2600:]], b=new)  # a hundred withdrawn, another file
        work.trials(*map(study, reversed(range(20))))  # the same studies in another order
    counts = ours.make()
    assert (counts["parts"], counts["parts_made"], counts["parts_written"]) == (5, 2, 2)
    assert counts["documents"] == 4120
    assert anew.make()["parts_made"] == 5
    assert ours.search_all() == anew.search_all()

    ours.corpus(b=new)
    counts = ours.make()
    assert (counts["documents"], counts["parts_made"], counts["parts_written"]) == (120, 0, 0)
    retriever = Retriever.open(ours.run.stage("index"), ours.config.retrieval, ours.config.models)
    assert retriever.document("PMID:1") is None
    assert retriever.document("PMID:4150") is not None


@pytest.mark.slow
def test_a_killed_run_goes_on_with_the_missing_parts(
    ray_local: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Work(tmp_path)
    work.corpus(a=[citation(i) for i in range(2100)])
    work.trials(study(1))

    def raise_interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("medr_ray.retrieval.stage.write_index", raise_interrupt)
        with pytest.raises(KeyboardInterrupt):
            work.make()
    counts = work.make()
    assert (counts["documents"], counts["parts_made"]) == (2101, 0)


@pytest.mark.slow
def test_a_source_that_is_no_longer_wanted_is_gone(ray_local: None, tmp_path: Path) -> None:
    work = Work(tmp_path)
    work.corpus(a=[citation(i) for i in range(10)])
    work.trials(study(1))
    assert work.make()["documents"] == 11
    index = work.config.index.model_copy(update={"sources": work.config.index.sources[:1]})
    counts = work.make(work.config.model_copy(update={"index": index}))
    assert (counts["documents"], counts["parts_made"]) == (10, 0)
    assert {hit.source for hit in work.search_all()} == {"pubmed"}


@pytest.mark.slow
def test_an_empty_corpus_is_an_error_that_says_so(ray_local: None, tmp_path: Path) -> None:
    work = Work(tmp_path)
    config = work.config.model_copy(
        update={
            "index": work.config.index.model_copy(update={"sources": work.config.index.sources[:1]})
        }
    )
    with pytest.raises(DataError, match=r"index\.sources"):
        work.make(config)


def test_another_edition_of_a_file_is_another_index(tmp_path: Path) -> None:
    work = Work(tmp_path)
    work.trials(study(1))
    before = compute_fingerprint(INDEX_STAGE, work.config, {"corpus": "f"})
    assert compute_fingerprint(INDEX_STAGE, work.config, {"corpus": "f"}) == before
    work.trials(study(2))
    assert compute_fingerprint(INDEX_STAGE, work.config, {"corpus": "f"}) != before
