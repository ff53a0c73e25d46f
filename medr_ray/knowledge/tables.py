"""Vocabularies in tables: HGNC genes, DrugBank drugs, and any CSV of your own."""

import re
from collections.abc import Iterator, Mapping
from typing import BinaryIO, cast

from medr_ray.core.records import EntityType
from medr_ray.knowledge.predicates import DISEASE, DRUG, GENE, PHENOTYPE, VALUE
from medr_ray.knowledge.specialty import SPECIALTIES
from medr_ray.knowledge.vocabulary_reading import (
    VocabularyEntry,
    VocabularyReport,
    make_xref,
    read_table,
)

_HGNC_ID = re.compile(r"HGNC:\d+")
_DRUGBANK_ID = re.compile(r"DB\d{5}")
_CURIE = re.compile(r"[A-Za-z][\w.-]*:\S+")
_ENTITY_TYPES = (DISEASE, PHENOTYPE, GENE, DRUG, VALUE)
_PHENOTYPE_LOCUS = "phenotype only"  # a locus type: the trait was mapped, no gene is known


def read_hgnc(stream: BinaryIO, report: VocabularyReport) -> Iterator[VocabularyEntry]:
    """Approved genes, ``HGNC:…``, with their symbols in the case they are printed in.

    Either HGNC's complete set (https://www.genenames.org/download/archive/: ``hgnc_id``,
    ``symbol``, ``alias_symbol`` and so on, lists joined by ``|``) or a custom download (``HGNC
    ID``, ``Approved symbol``, ``Alias symbols``, lists joined by commas); tab-separated both. The
    long names are ordinary synonyms. Every gene refers to ``GENE:<symbol>``, which is how HPO names
    it.
    """
    complete = (
        b"\thgnc_id"
        in b"\t" + stream.read(512).partition(b"\n")[0].removeprefix(b"\xef\xbb\xbf").lower()
    )
    stream.seek(0)
    columns = _COMPLETE_SET_COLUMNS if complete else _CUSTOM_DOWNLOAD_COLUMNS
    separator = re.compile(r"\s*\|\s*" if complete else r",\s+")
    for where, row in read_table(
        stream, report, "\t", (columns["id"], columns["symbol"], columns["name"])
    ):
        hgnc_id, symbol = row[columns["id"]], row[columns["symbol"]]
        if not _HGNC_ID.fullmatch(hgnc_id) or not symbol:
            report.skip_record(where, f"no HGNC id with a symbol: {hgnc_id!r}, {symbol!r}")
        elif row.get(columns["status"], "Approved") != "Approved":
            report.omit_record("withdrawn")
        elif row.get(columns["locus_type"], "") == _PHENOTYPE_LOCUS:
            report.omit_record("a trait, no gene")
        else:
            yield _build_gene_entry(row, columns, separator, hgnc_id, symbol)


_COMPLETE_SET_COLUMNS = {
    "id": "hgnc_id",
    "symbol": "symbol",
    "name": "name",
    "status": "status",
    "locus_type": "locus_type",
    "aliases": "alias_symbol",
    "previous": "prev_symbol",
    "alias_names": "alias_name",
    "previous_names": "prev_name",
    "ncbi": "entrez_id",
}
_CUSTOM_DOWNLOAD_COLUMNS = {
    "id": "hgnc id",
    "symbol": "approved symbol",
    "name": "approved name",
    "status": "status",
    "locus_type": "locus type",
    "aliases": "alias symbols",
    "previous": "previous symbols",
    "alias_names": "alias names",
    "previous_names": "previous names",
    "ncbi": "ncbi gene id(supplied by ncbi)",
}


def _build_gene_entry(
    row: Mapping[str, str],
    columns: Mapping[str, str],
    separator: re.Pattern[str],
    hgnc_id: str,
    symbol: str,
) -> VocabularyEntry:
    def listed(key: str) -> list[str]:
        return [part for part in separator.split(row.get(columns[key], "")) if part]

    others = (*listed("aliases"), *listed("previous"))
    names = tuple(
        filter(None, (row[columns["name"]], *listed("alias_names"), *listed("previous_names")))
    )
    ncbi = row.get(columns["ncbi"], "") or row.get("ncbi gene id", "")
    references = (f"GENE:{symbol}", *filter(None, [make_xref("NCBIGene", ncbi)]))
    return VocabularyEntry(
        hgnc_id, symbol, GENE, names, tuple(dict.fromkeys((symbol, *others))), references
    )


def read_drugbank(stream: BinaryIO, report: VocabularyReport) -> Iterator[VocabularyEntry]:
    """The drugs of DrugBank's open vocabulary (https://go.drugbank.com/releases/latest#open-data),
    ``DRUGBANK:DB…``; earlier numbers of a drug are references."""
    for where, row in read_table(stream, report, ",", ("drugbank id", "common name", "synonyms")):
        local_id, name = row["drugbank id"], row["common name"]
        if not _DRUGBANK_ID.fullmatch(local_id) or not name:
            report.skip_record(where, f"no DrugBank id with a name: {local_id!r}, {name!r}")
            continue
        earlier = (
            make_xref("DrugBank", number)
            for number in _split_list(row.get("accession numbers", ""))
            if _DRUGBANK_ID.fullmatch(number)
        )
        yield VocabularyEntry(
            f"DRUGBANK:{local_id}", name, DRUG, _split_list(row["synonyms"]), xrefs=tuple(earlier)
        )


def read_csv(stream: BinaryIO, report: VocabularyReport) -> Iterator[VocabularyEntry]:
    """Any table with the columns ``id`` (``VOCABULARY:number``), ``name`` and ``synonyms`` (joined
    by ``|``), and perhaps ``type``, ``specialty`` and ``xrefs`` (joined by ``|``); separated by
    tabs if its first line has one, else by commas. A gene's names without a space are symbols, in
    that case only.

    DataError when a column is missing, or a column ``type`` as well as ``entity_type``.
    """
    first = stream.read(4096).partition(b"\n")[0]
    stream.seek(0)
    typed = "type" in re.split(
        r"[\t,]", first.decode("utf-8-sig", "replace").replace('"', "").strip().casefold()
    )
    if not typed and report.entity_type is None:
        raise report.format_error(
            "a column 'type', or entity_type set for this file in entities.lexicons", "neither"
        )
    for where, row in read_table(
        stream, report, "\t" if b"\t" in first else ",", ("id", "name", "synonyms")
    ):
        problem = _find_problem(row, row.get("type") or report.entity_type or "")
        if problem:
            report.skip_record(where, problem)
            continue
        kind = row.get("type") or report.entity_type or ""
        synonyms = _split_list(row["synonyms"])
        symbols = (
            tuple(synonym for synonym in (row["name"], *synonyms) if " " not in synonym)
            if kind == GENE
            else ()
        )
        yield VocabularyEntry(
            row["id"],
            row["name"],
            cast(EntityType, kind),  # what is none of them was skipped
            tuple(synonym for synonym in synonyms if synonym not in symbols),
            symbols,
            _split_list(row.get("xrefs", "")),
            specialty=row.get("specialty", ""),
        )


def _find_problem(row: Mapping[str, str], kind: str) -> str:
    """What is wrong with a row and in which column, "" when nothing is."""
    if not _CURIE.fullmatch(row["id"]):
        return f"column id: {row['id']!r} is not of the form VOCABULARY:number"
    if not row["name"]:
        return "column name: empty"
    if kind not in _ENTITY_TYPES:
        return f"column type: {kind!r} is none of {', '.join(_ENTITY_TYPES)}"
    bad = [xref for xref in _split_list(row.get("xrefs", "")) if not _CURIE.fullmatch(xref)]
    if bad:
        return f"column xrefs: {bad[0]!r} is not of the form VOCABULARY:number"
    if row.get("specialty") and row["specialty"] not in SPECIALTIES:
        return f"column specialty: {row['specialty']!r} is none of: {'; '.join(SPECIALTIES)}"
    return ""


def _split_list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split("|") if part.strip())
