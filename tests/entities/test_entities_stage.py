"""The entities stage through Ray: the same frequencies for any number of workers, and after a restart."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from medr_ray.core.config import CorpusConfig, EntitiesConfig, PipelineConfig, RunConfig
from medr_ray.core.data import one_per_call
from medr_ray.core.records import EntityFrequency, SeedEntity
from medr_ray.core.run import StageContext, run_directory
from medr_ray.corpus.stage import CORPUS
from medr_ray.entities.counting import CountingWorker, sum_counts
from medr_ray.entities.stage import ENTITIES

pytestmark = pytest.mark.slow


def _run(root: Path, source: Path) -> StageContext:
    """Both stages over the small real shards; context of the second."""
    config = PipelineConfig(
        run=RunConfig(name="t", root=str(root)), corpus=CorpusConfig(sources=(str(source),)),
        entities=EntitiesConfig(vocabularies=("hpo", "hpo_diseases", "genes"), rare_frequency=0.01))
    run = run_directory(config)
    console = Console(file=io.StringIO())
    CORPUS.execute(StageContext(config, run, run.stage("corpus"), console))
    return StageContext(config, run, run.stage("entities"), console)


@pytest.mark.usefixtures("ray_local")
def test_counts_are_the_same_for_any_number_of_workers_and_after_a_kill(shared_data: Path, tmp_path: Path) -> None:
    context = _run(tmp_path, shared_data / "pubmed" / "pubmed21n*.xml.gz")
    directory, corpus = context.directory, context.upstream("corpus")
    counts = ENTITIES.execute(context)
    frequencies = directory.read_bytes("frequencies.parquet")
    for actors in (1, 2):
        (directory.local / "counts" / "part-00001.parquet").unlink()
        rows = [{"name": name} for name in corpus.names("citations")]
        done = list(one_per_call(rows, CountingWorker, actors, corpus=corpus, entities=directory))
        assert sum(row["citations"] for row in done) == counts["citations"] == 319
        assert sum_counts(directory)["documents"].sum() == sum(
            one.documents for one in directory.read_records("frequencies.parquet", EntityFrequency))
    (directory.local / "counts" / "part-00003.parquet").unlink()
    assert ENTITIES.execute(context) == counts
    assert directory.read_bytes("frequencies.parquet") == frequencies
    found = directory.read_records("frequencies.parquet", EntityFrequency)
    assert [one.concept_id for one in found] == sorted(one.concept_id for one in found)
    assert len(found) == counts["concepts_found"] > 100


@pytest.mark.usefixtures("ray_local")
def test_every_rare_candidate_is_kept_with_its_verdict(shared_data: Path, tmp_path: Path) -> None:
    context = _run(tmp_path, shared_data / "pubmed" / "export_filipe.xml.gz")
    counts = ENTITIES.execute(context)
    seeds = context.directory.read_records("seeds.parquet", SeedEntity)
    assert len(seeds) == counts["rare"] + counts["rejected"] > 0
    assert all(seed.significance.reason and seed.significance.decided_by == "rules" for seed in seeds)
    assert {seed.frequency.entity_type for seed in seeds} == {"disease"}
    assert context.directory.read_bytes("seeds.jsonl").count(b"\n") == len(seeds)
