"""The corpus stage: MEDLINE files to citations, through Ray Data with one file per task."""

from dataclasses import asdict
from typing import Any

from medr_ray.core.config import PipelineConfig
from medr_ray.core.data import one_per_task
from medr_ray.core.errors import DataError
from medr_ray.core.progress import Bar
from medr_ray.core.run import Counts, Directory, Stage, StageContext
from medr_ray.corpus.ingest import (
    FileReport,
    Winners,
    choose_winners,
    first_pass,
    part_name,
    read_keys,
    read_reports,
    second_pass,
    with_abstract,
)
from medr_ray.corpus.sources import SourceFile, list_sources


def _inputs(config: PipelineConfig) -> list[list[Any]]:
    return [[one.name, one.size, one.md5] for one in list_sources(config.corpus.sources)]


def _execute(context: StageContext) -> Counts:
    directory, sources = context.directory, list_sources(context.config.corpus.sources)
    _first_passes(context, sources)
    reports = read_reports(directory, sources)
    if not any(report.readable for report in reports):
        reason = reports[0].quarantined[0]["reason"]
        raise DataError(f"no file of corpus.sources ({len(reports)}) could be read; {reports[0].name}: {reason}")
    winners = choose_winners(read_keys(directory, reports), reports)
    abstracts = _second_passes(context, reports, winners)
    directory.write_jsonl("quarantine.jsonl", (one for report in reports for one in report.quarantined))
    counts = _counts(reports, winners, abstracts)
    context.console.print(
        f"corpus: {counts['citations']:,} citations ({counts['with_abstract']:,} with abstract) "
        f"of {counts['records']:,} records in {counts['files']} files", highlight=False)
    return counts


def _first_passes(context: StageContext, sources: list[SourceFile]) -> None:
    directory, limit = context.directory, context.config.corpus.limit_per_file
    done = set(directory.names("parts"))
    waiting = [one for one in sources if f"{part_name(one.number)}.json" not in done]

    def work(row: dict[str, Any]) -> dict[str, Any]:
        source = SourceFile(**row)
        first_pass(source, directory, limit)
        return {"number": source.number}

    with Bar(context.console, "reading", len(sources), "files") as bar:
        bar.resume(len(sources) - len(waiting))
        for _ in one_per_task([asdict(one) for one in waiting], work):
            bar.advance()


def _second_passes(context: StageContext, reports: list[FileReport], winners: Winners) -> int:
    directory = context.directory
    done = set(directory.names("citations"))
    waiting = [one.number for one in reports if f"{part_name(one.number)}.parquet" not in done]
    abstracts = sum(_abstracts(directory, one.number) for one in reports if one.number not in waiting)

    def work(row: dict[str, Any]) -> dict[str, Any]:
        return {"abstracts": second_pass(row["number"], list(row["positions"]), directory)}

    tasks = [{"number": number, "positions": winners.positions.get(number, [])} for number in waiting]
    return abstracts + sum(row["abstracts"] for row in one_per_task(tasks, work))


def _abstracts(directory: Directory, number: int) -> int:
    return with_abstract(directory.read_table(f"citations/{part_name(number)}.parquet", ["abstract"]))


def _counts(reports: list[FileReport], winners: Winners, abstracts: int) -> Counts:
    unreadable = sum(not report.readable for report in reports)
    return {
        "files": len(reports),
        "records": sum(report.records for report in reports),
        "citations": sum(map(len, winners.positions.values())),
        "revised": winners.revised,
        "deletions": sum(len(report.deletions) for report in reports),
        "deletions_hit": winners.deletions_hit,
        "books": sum(report.books for report in reports),
        "quarantined_records": sum(len(report.quarantined) for report in reports) - unreadable,
        "quarantined_files": unreadable,
        "with_abstract": abstracts,
    }


CORPUS = Stage("corpus", (), ("corpus",), _execute, inputs=_inputs)
