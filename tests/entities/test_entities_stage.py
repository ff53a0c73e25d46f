"""The entities stage: the same tables for any number of Ray's workers, after a restart and after an
update."""

import io
import shutil
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console
from support.without_ray import use_this_process

from medr_ray.core.config import (
    CorpusConfig,
    EntitiesConfig,
    LexiconSource,
    PipelineConfig,
    RunConfig,
)
from medr_ray.core.data import map_in_actors
from medr_ray.core.parts import Parts
from medr_ray.core.records import Citation
from medr_ray.core.run import StageContext, StageDirectory, open_run
from medr_ray.corpus.stage import CORPUS_STAGE
from medr_ray.entities.artifacts import FREQUENCIES, SEEDS
from medr_ray.entities.counting import CountingWorker, sum_counts
from medr_ray.entities.matching import Matcher
from medr_ray.entities.stage import ENTITIES_STAGE
from medr_ray.pipeline import run_pipeline

pytestmark = pytest.mark.slow
_CORPUS = "medr_ray.corpus.stage"
_ENTITIES = "medr_ray.entities.stage"
_QUIET = Console(file=io.StringIO())


def _config(root: Path, source: str, **entities: object) -> PipelineConfig:
    chosen = {"vocabularies": ("hpo", "hpo_diseases", "genes"), "rare_documents": 3} | entities
    return PipelineConfig(
        run=RunConfig(name="t", root=str(root)),
        corpus=CorpusConfig(sources=(source,)),
        entities=EntitiesConfig.model_validate(chosen),
    )


def _run(root: Path, source: Path, **entities: object) -> StageContext:
    """Both stages over the small real shards; context of the second."""
    config = _config(root, str(source), **entities)
    run = open_run(config)
    with pytest.MonkeyPatch.context() as patched:
        use_this_process(patched, _CORPUS)
        CORPUS_STAGE.execute(StageContext(config, run, run.stage("corpus"), _QUIET))
    return StageContext(config, run, run.stage("entities"), _QUIET)


@pytest.mark.usefixtures("ray_local")
def test_counts_are_the_same_for_any_number_of_workers_and_after_a_kill(
    shared_data: Path, tmp_path: Path
) -> None:
    context = _run(tmp_path, shared_data / "pubmed" / "pubmed21n*.xml.gz")
    directory, corpus = context.directory, context.upstream("corpus")
    counts = ENTITIES_STAGE.execute(context)
    frequencies = directory.read_bytes("frequencies.parquet")
    markers = Parts(directory, "counts").read_markers()
    tables = {name: directory.read_bytes(f"counts/{name}.parquet") for name in markers}
    # The stage ran with an actor for each CPU; one actor alone counts the same.
    shutil.rmtree(directory.local / "counts")
    rows = [{"name": name, "made_from": marker["made_from"]} for name, marker in markers.items()]
    with map_in_actors(rows, CountingWorker, 1, corpus=corpus, entities=directory) as results:
        done = list(results)
    assert sum(row["citations"] for row in done) == counts["citations"] == 319
    assert {name: directory.read_bytes(f"counts/{name}.parquet") for name in markers} == tables
    (directory.local / "counts" / f"_{list(markers)[3]}.json").unlink()
    assert ENTITIES_STAGE.execute(context) == counts
    assert directory.read_bytes("frequencies.parquet") == frequencies
    records = directory.read(FREQUENCIES)
    assert [frequency.concept_id for frequency in records] == sorted(
        frequency.concept_id for frequency in records
    )
    assert len(records) == counts["concepts_found"] > 100


@pytest.mark.usefixtures("ray_local")
def test_counts_agree_with_the_mentions_in_each_citation(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frequencies, counts per year and postings against ``Matcher.find``, citation by citation."""
    use_this_process(monkeypatch, _ENTITIES)
    context = _run(tmp_path, shared_data / "pubmed" / "export_*.xml.gz")
    ENTITIES_STAGE.execute(context)
    matcher = Matcher.load(context.directory)
    rows = []
    for citation in context.upstream("corpus").read_records("citations", Citation):
        rows += [
            (citation.pmid, citation.year, mention.concept_id)
            for text in (citation.title, citation.abstract)
            for mention in matcher.find_mentions(text)
        ]
    named = pl.DataFrame(
        rows, schema={"pmid": pl.String, "year": pl.Int32, "concept_id": pl.String}, orient="row"
    )
    expected = named.group_by("concept_id", "year").agg(
        pl.col("pmid").n_unique().cast(pl.Int64).alias("documents"),
        pl.len().cast(pl.Int64).alias("mentions"),
    )
    keys = ["concept_id", "year"]
    counted = (
        sum_counts(context.directory).group_by(keys).agg(pl.sum("documents"), pl.sum("mentions"))
    )
    assert counted.sort(keys).equals(expected.sort(keys))
    assert named.height > 2_000
    posted = pl.DataFrame(context.directory.read_table("postings")).explode(
        "concept_ids", "mentions"
    )
    assert posted["mentions"].sum() == named.height


@pytest.mark.usefixtures("ray_local")
def test_an_update_counts_only_what_changed_and_equals_a_rebuild(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_this_process(monkeypatch, _CORPUS, _ENTITIES)
    folder = tmp_path / "in"
    folder.mkdir()
    for path in (shared_data / "pubmed").glob("pubmed21n100[0-3]*.gz"):
        shutil.copy(path, folder)
    grown, rebuilt = (_config(tmp_path / name, str(folder)) for name in ("grown", "rebuilt"))
    run_pipeline(grown, until_stage="entities", console=_QUIET)
    stage = open_run(grown).stage("entities")
    before = {path: path.stat().st_mtime_ns for path in (stage.local / "counts").glob("*.parquet")}
    shutil.copy(shared_data / "pubmed" / "pubmed21n1004_netsynergy.xml.gz", folder)
    run_pipeline(grown, until_stage="entities", console=_QUIET)
    run_pipeline(rebuilt, until_stage="entities", console=_QUIET)
    assert len(before) == 4
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert _tables(stage) == _tables(open_run(rebuilt).stage("entities"))


def _tables(stage: StageDirectory) -> dict[str, bytes]:
    paths = [path for path in stage.local.rglob("*.parquet") if path.name != "lexicon.parquet"]
    return {str(path.relative_to(stage.local)): path.read_bytes() for path in paths}


@pytest.mark.usefixtures("ray_local")
def test_every_rare_candidate_is_kept_with_its_verdict(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_this_process(monkeypatch, _ENTITIES)
    prevalence = shared_data / "diagnosis" / "orphadata_prod9_epidemiological_prevalence.xml.gz"
    context = _run(
        tmp_path, shared_data / "pubmed" / "export_filipe.xml.gz", prevalence=str(prevalence)
    )
    counts = ENTITIES_STAGE.execute(context)
    seeds = context.directory.read(SEEDS)
    assert len(seeds) == counts["rare"] + counts["rejected"] > 0
    assert all(
        seed.significance.reason and seed.significance.decided_by == "rules" for seed in seeds
    )
    assert {seed.frequency.entity_type for seed in seeds} == {"disease"}
    assert any(seed.prevalence for seed in seeds)
    assert counts["rarity"]["rule"] == "documents"
    assert context.directory.read_bytes("seeds.jsonl").count(b"\n") == len(seeds)


@pytest.mark.usefixtures("ray_local")
def test_a_foreign_lexicon_is_counted_and_its_bad_rows_are_reported(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_this_process(monkeypatch, _ENTITIES)
    table = tmp_path / "own.csv"
    table.write_text("id,name,synonyms,type\nX:1,zzz disease,patients,disease\n,no id,,disease\n")
    source = LexiconSource(format="csv", path=str(table))
    context = _run(
        tmp_path, shared_data / "pubmed" / "export_qi29.xml.gz", vocabularies=(), lexicons=[source]
    )
    counts = ENTITIES_STAGE.execute(context)
    assert counts["concepts"] == 1
    assert b"line 3" in context.directory.read_bytes("lexicon_skipped.jsonl")
