"""The corpus stage: it turns MEDLINE files into citations, through Ray Data with one file per
task."""

from dataclasses import asdict
from typing import Any

from medr_ray.core.config import PipelineConfig
from medr_ray.core.data import map_in_tasks
from medr_ray.core.errors import DataError
from medr_ray.core.parts import Parts, digest
from medr_ray.core.progress import Bar
from medr_ray.core.run import Counts, RunDirectory, Stage, StageContext, StageSize
from medr_ray.corpus.artifacts import CITATIONS
from medr_ray.corpus.corpus_files import CorpusFile, list_corpus_files
from medr_ray.corpus.ingest import (
    ALL_RECORDS_FOLDER,
    DroppedRecords,
    FileReport,
    build_part_fingerprint,
    build_part_name,
    choose_dropped_records,
    read_corpus_file,
    read_record_keys,
    read_reports,
    write_kept_citations,
)


def _list_inputs(config: PipelineConfig) -> list[str]:
    """Each file's content with what is made of it, so that a new form of citations is made."""
    limit = config.corpus.limit_per_file
    files = list_corpus_files(config.corpus.sources)
    return [build_part_fingerprint(file, limit) for file in files]


def _execute_corpus(context: StageContext) -> Counts:
    directory = context.directory
    files = list_corpus_files(context.config.corpus.sources)
    new_files = _run_first_passes(context, files)
    reports = read_reports(directory, files)
    # One bad file is quarantined; if all are bad, the sources themselves must be wrong.
    if not any(report.readable for report in reports):
        reason = reports[0].quarantined[0]["reason"]
        raise DataError(
            f"no file of corpus.sources ({len(reports)}) could be read; {reports[0].name}: {reason}"
        )
    dropped = choose_dropped_records(read_record_keys(directory, files), reports)
    changed_parts = _run_second_passes(context, files, dropped)
    quarantined = (record for report in reports for record in report.quarantined)
    directory.write_jsonl("quarantine.jsonl", quarantined)
    counts = _summarise_counts(context, reports, dropped)
    _print_summary(context, counts, new_files, changed_parts)
    return counts


def _run_first_passes(context: StageContext, files: list[CorpusFile]) -> int:
    """Read the files that were not read before; returns their number."""
    directory = context.directory
    limit = context.config.corpus.limit_per_file
    fingerprints = {build_part_name(file): build_part_fingerprint(file, limit) for file in files}
    stale = set(Parts(directory, ALL_RECORDS_FOLDER).discard_stale(fingerprints))
    waiting = [file for file in files if build_part_name(file) in stale]

    def read_file(row: dict[str, Any]) -> dict[str, Any]:
        report = read_corpus_file(CorpusFile(**row), directory, limit)
        return {"records": report.records}

    records = 0
    with Bar(context.console, "reading", len(files), "files") as bar:
        bar.resume(len(files) - len(waiting))
        with map_in_tasks([asdict(file) for file in waiting], read_file) as results:
            for row in results:
                records += row["records"]
                bar.advance(1, f"{records:,} records")
    return len(waiting)


def _run_second_passes(
    context: StageContext, files: list[CorpusFile], dropped: DroppedRecords
) -> int:
    """Write the citations of the parts whose kept records changed; returns the number of parts."""
    directory = context.directory
    limit = context.config.corpus.limit_per_file
    positions: dict[str, list[int]] = {}
    fingerprints: dict[str, str] = {}
    for number, file in enumerate(files):
        name = build_part_name(file)
        # New files change which records of older parts are kept, so the dropped positions are part
        # of the fingerprint.
        positions[name] = dropped.positions.get(number, [])
        fingerprints[name] = digest(build_part_fingerprint(file, limit), positions[name])
    stale = Parts(directory, CITATIONS.name).discard_stale(fingerprints)

    def write_part(row: dict[str, Any]) -> dict[str, Any]:
        abstracts = write_kept_citations(
            row["name"], list(row["dropped"]), directory, row["fingerprint"]
        )
        return {"abstracts": abstracts}

    tasks = [
        {"name": name, "dropped": positions[name], "fingerprint": fingerprints[name]}
        for name in stale
    ]
    with Bar(context.console, "choosing", len(files), "files") as bar:
        bar.resume(len(files) - len(stale))
        with map_in_tasks(tasks, write_part) as results:
            for _ in results:
                bar.advance()
    return len(stale)


def _summarise_counts(
    context: StageContext, reports: list[FileReport], dropped: DroppedRecords
) -> Counts:
    markers = Parts(context.directory, CITATIONS.name).read_markers().values()
    unreadable = sum(not report.readable for report in reports)
    quarantined = sum(len(report.quarantined) for report in reports)
    return {
        "files": len(reports),
        "records": sum(report.records for report in reports),
        "citations": sum(marker["citations"] for marker in markers),
        "revised": dropped.replaced,
        "deletions": sum(len(report.deletions) for report in reports),
        "deletions_hit": dropped.deleted,
        "books": sum(report.books for report in reports),
        "quarantined_records": quarantined - unreadable,
        "quarantined_files": unreadable,
        "with_abstract": sum(marker["with_abstract"] for marker in markers),
    }


def _print_summary(context: StageContext, counts: Counts, new_files: int, changed: int) -> None:
    files = counts["files"]
    line = (
        f"corpus: {counts['citations']:,} citations ({counts['with_abstract']:,} with abstract) "
        f"of {counts['records']:,} records in {files:,} files"
    )
    if new_files < files:
        line += f", {files - new_files:,} read before, {changed:,} changed"
    quarantined = counts["quarantined_records"] + counts["quarantined_files"]
    if quarantined:
        line += f"; {quarantined:,} set aside, see {context.directory.uri}/quarantine.jsonl"
    context.console.print(line, highlight=False)


def _estimate_size(config: PipelineConfig, run: RunDirectory) -> StageSize:
    """Half of the bytes of the files: the tables of the embedded ones take more."""
    if config.corpus.limit_per_file:
        return StageSize()
    return StageSize(sum(file.size for file in list_corpus_files(config.corpus.sources)) // 2)


CORPUS_STAGE = Stage(
    "corpus",
    (),
    ("corpus",),
    _execute_corpus,
    inputs=_list_inputs,
    incremental=True,
    estimate_size=_estimate_size,
)
