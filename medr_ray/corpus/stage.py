"""The corpus stage: MEDLINE files to citations, through Ray Data with one file per task."""

from dataclasses import asdict
from typing import Any

from medr_ray.core.config import PipelineConfig
from medr_ray.core.data import map_in_tasks
from medr_ray.core.errors import DataError
from medr_ray.core.parts import Parts, digest
from medr_ray.core.progress import Bar
from medr_ray.core.run import Counts, Stage, StageContext
from medr_ray.corpus.artifacts import CITATIONS
from medr_ray.corpus.ingest import (
    READ,
    FileReport,
    Losers,
    choose_losers,
    first_pass,
    made_from,
    part_name,
    read_keys,
    read_reports,
    second_pass,
)
from medr_ray.corpus.sources import SourceFile, list_sources


def _inputs(config: PipelineConfig) -> list[list[Any]]:
    return [one.content for one in list_sources(config.corpus.sources)]


def _execute(context: StageContext) -> Counts:
    directory, sources = context.directory, list_sources(context.config.corpus.sources)
    new = _first_passes(context, sources)
    reports = read_reports(directory, sources)
    if not any(report.readable for report in reports):
        reason = reports[0].quarantined[0]["reason"]
        raise DataError(
            f"no file of corpus.sources ({len(reports)}) could be read; {reports[0].name}: {reason}"
        )
    losers = choose_losers(read_keys(directory, sources), reports)
    changed = _second_passes(context, sources, losers)
    directory.write_jsonl(
        "quarantine.jsonl", (one for report in reports for one in report.quarantined)
    )
    counts = _counts(context, reports, losers)
    kept = (
        f", {len(reports) - new:,} read before, {changed:,} changed" if new < len(reports) else ""
    )
    aside = counts["quarantined_records"] + counts["quarantined_files"]
    context.console.print(
        f"corpus: {counts['citations']:,} citations ({counts['with_abstract']:,} with abstract) "
        f"of {counts['records']:,} records in {counts['files']:,} files{kept}"
        + (f"; {aside:,} set aside, see {directory.uri}/quarantine.jsonl" if aside else ""),
        highlight=False,
    )
    return counts


def _first_passes(context: StageContext, sources: list[SourceFile]) -> int:
    """Read the files that were not read before; returns how many those are."""
    directory, limit = context.directory, context.config.corpus.limit_per_file
    stale = set(
        Parts(directory, READ).discard_stale(
            {part_name(one): made_from(one, limit) for one in sources}
        )
    )
    waiting = [one for one in sources if part_name(one) in stale]

    def work(row: dict[str, Any]) -> dict[str, Any]:
        report = first_pass(SourceFile(**row), directory, limit)
        return {"records": report.records}

    records = 0
    with Bar(context.console, "reading", len(sources), "files") as bar:
        bar.resume(len(sources) - len(waiting))
        for row in map_in_tasks([asdict(one) for one in waiting], work):
            records += row["records"]
            bar.advance(1, f"{records:,} records")
    return len(waiting)


def _second_passes(context: StageContext, sources: list[SourceFile], losers: Losers) -> int:
    """Write the citations of the parts whose winners changed; returns how many those are."""
    directory, limit = context.directory, context.config.corpus.limit_per_file
    lost = {part_name(one): losers.positions.get(number, []) for number, one in enumerate(sources)}
    wanted = {
        part_name(one): digest(made_from(one, limit), lost[part_name(one)]) for one in sources
    }
    stale = Parts(directory, CITATIONS.name).discard_stale(wanted)

    def work(row: dict[str, Any]) -> dict[str, Any]:
        return {
            "abstracts": second_pass(row["name"], list(row["lost"]), directory, row["made_from"])
        }

    tasks = [{"name": name, "lost": lost[name], "made_from": wanted[name]} for name in stale]
    with Bar(context.console, "choosing", len(sources), "files") as bar:
        bar.resume(len(sources) - len(stale))
        for _ in map_in_tasks(tasks, work):
            bar.advance()
    return len(stale)


def _counts(context: StageContext, reports: list[FileReport], losers: Losers) -> Counts:
    markers = Parts(context.directory, CITATIONS.name).read_markers().values()
    unreadable = sum(not report.readable for report in reports)
    return {
        "files": len(reports),
        "records": sum(report.records for report in reports),
        "citations": sum(one["citations"] for one in markers),
        "revised": losers.revised,
        "deletions": sum(len(report.deletions) for report in reports),
        "deletions_hit": losers.deletions_hit,
        "books": sum(report.books for report in reports),
        "quarantined_records": sum(len(report.quarantined) for report in reports) - unreadable,
        "quarantined_files": unreadable,
        "with_abstract": sum(one["with_abstract"] for one in markers),
    }


CORPUS_STAGE = Stage("corpus", (), ("corpus",), _execute, inputs=_inputs, incremental=True)
