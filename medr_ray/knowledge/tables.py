"""Vocabularies in tables: HGNC genes, DrugBank drugs, and any CSV file of your own."""

import re
from collections.abc import Iterator, Mapping
from typing import BinaryIO, cast

from medr_ray.core.records import EntityType
from medr_ray.knowledge.predicates import DISEASE, DRUG, GENE, PHENOTYPE, VALUE
from medr_ray.knowledge.specialty import SPECIALTIES
from medr_ray.knowledge.table_rows import peek_columns
from medr_ray.knowledge.vocabulary_reading import (
    VocabularyEntry,
    VocabularyReport,
    check_columns,
    make_xref,
    read_table,
)

_HGNC_ID = re.compile(r"HGNC:\d+")
_DRUGBANK_ID = re.compile(r"DB\d{5}")
_CURIE = re.compile(r"[A-Za-z][\w.-]*:\S+")
_ENTITY_TYPES = (DISEASE, PHENOTYPE, GENE, DRUG, VALUE)
# A locus type of HGNC: a trait was mapped to the genome, but no gene of it is known.
_PHENOTYPE_LOCUS = "phenotype only"
# HGNC's names of the columns, in lower case, in its two kinds of files.
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


def read_hgnc(stream: BinaryIO, report: VocabularyReport) -> Iterator[VocabularyEntry]:
    """Approved genes, ``HGNC:…``, with their symbols in the case they are printed in.

    Two tab-separated files are read: HGNC's complete set
    (https://www.genenames.org/download/archive/; ``hgnc_id``, ``symbol``, ``alias_symbol`` and so
    on, lists joined by ``|``), and a custom download (``HGNC ID``, ``Approved symbol``, ``Alias
    symbols``, lists joined by commas). Long names are ordinary synonyms. Every gene refers to
    ``GENE:<symbol>``, its id in HPO.
    """
    is_complete_set = "hgnc_id" in peek_columns(stream, ("symbol",))[1]
    columns = _COMPLETE_SET_COLUMNS if is_complete_set else _CUSTOM_DOWNLOAD_COLUMNS
    # A custom download joins by comma and space; a comma alone may be part of a name.
    separator = re.compile(r"\s*\|\s*" if is_complete_set else r",\s+")
    required = (columns["id"], columns["symbol"], columns["name"])
    for where, row in read_table(stream, report, required):
        hgnc_id = row[columns["id"]]
        symbol = row[columns["symbol"]]
        if not _HGNC_ID.fullmatch(hgnc_id) or not symbol:
            report.skip_record(where, f"no HGNC id with a symbol: {hgnc_id!r}, {symbol!r}")
        elif row.get(columns["status"], "Approved") != "Approved":
            report.omit_record("withdrawn")
        elif row.get(columns["locus_type"], "") == _PHENOTYPE_LOCUS:
            report.omit_record("a trait, no gene")
        else:
            yield _build_gene_entry(row, columns, separator, hgnc_id, symbol)


def _build_gene_entry(
    row: Mapping[str, str],
    columns: Mapping[str, str],
    separator: re.Pattern[str],
    hgnc_id: str,
    symbol: str,
) -> VocabularyEntry:
    def split_column(key: str) -> list[str]:
        return [part for part in separator.split(row.get(columns[key], "")) if part]

    symbols = dict.fromkeys((symbol, *split_column("aliases"), *split_column("previous")))
    long_names = (
        row[columns["name"]],
        *split_column("alias_names"),
        *split_column("previous_names"),
    )
    # A custom download may have HGNC's own column of NCBI ids instead of NCBI's.
    ncbi_id = row.get(columns["ncbi"], "") or row.get("ncbi gene id", "")
    xrefs = (f"GENE:{symbol}", *filter(None, [make_xref("NCBIGene", ncbi_id)]))
    names = tuple(filter(None, long_names))
    return VocabularyEntry(hgnc_id, symbol, GENE, names, tuple(symbols), xrefs)


def read_drugbank(stream: BinaryIO, report: VocabularyReport) -> Iterator[VocabularyEntry]:
    """The drugs of DrugBank's open vocabulary, ``DRUGBANK:DB…``
    (https://go.drugbank.com/releases/latest#open-data).

    The column of accession numbers has a drug's earlier numbers, which become references.
    """
    columns = ("drugbank id", "common name", "synonyms")
    for where, row in read_table(stream, report, columns):
        local_id = row["drugbank id"]
        name = row["common name"]
        if not _DRUGBANK_ID.fullmatch(local_id) or not name:
            report.skip_record(where, f"no DrugBank id with a name: {local_id!r}, {name!r}")
            continue
        earlier_ids = tuple(
            make_xref("DrugBank", number)
            for number in _split_list(row.get("accession numbers", ""))
            if _DRUGBANK_ID.fullmatch(number)  # the column has numbers of other forms too
        )
        synonyms = _split_list(row["synonyms"])
        yield VocabularyEntry(f"DRUGBANK:{local_id}", name, DRUG, synonyms, xrefs=earlier_ids)


def read_csv(stream: BinaryIO, report: VocabularyReport) -> Iterator[VocabularyEntry]:
    """The entries of any table with the columns ``id``, ``name`` and ``synonyms``.

    Ids are ``VOCABULARY:number``. The columns ``type``, ``specialty`` and ``xrefs`` are optional;
    lists are joined by ``|``. Commas, semicolons, tabs or bars separate the columns, in UTF-8 or
    UTF-16 (see ``table_rows``). A gene's names without a space are symbols, in that case only.

    Raises DataError when a column is missing, or there is neither a column ``type`` nor a
    configured ``entity_type``.
    """
    required = ("id", "name", "synonyms")
    has_types = "type" in check_columns(stream, report, required)[1]
    if not has_types and report.entity_type is None:
        raise report.build_format_error(
            "a column 'type', or entity_type set for this file in entities.lexicons", "neither"
        )
    for where, row in read_table(stream, report, required):
        entity_type = row.get("type") or report.entity_type or ""
        problem = _find_problem(row, entity_type)
        if problem:
            report.skip_record(where, problem)
            continue
        synonyms = _split_list(row["synonyms"])
        symbols: tuple[str, ...] = ()
        if entity_type == GENE:
            symbols = tuple(name for name in (row["name"], *synonyms) if " " not in name)
        yield VocabularyEntry(
            row["id"],
            row["name"],
            cast(EntityType, entity_type),  # _find_problem has checked it
            tuple(synonym for synonym in synonyms if synonym not in symbols),
            symbols,
            _split_list(row.get("xrefs", "")),
            specialty=row.get("specialty", ""),
        )


def _find_problem(row: Mapping[str, str], entity_type: str) -> str:
    """What is wrong with a row and in which column; "" for a sound row."""
    if not _CURIE.fullmatch(row["id"]):
        return f"column id: {row['id']!r} is not of the form VOCABULARY:number"
    if not row["name"]:
        return "column name: empty"
    if entity_type not in _ENTITY_TYPES:
        return f"column type: {entity_type!r} is none of {', '.join(_ENTITY_TYPES)}"
    bad_xrefs = [xref for xref in _split_list(row.get("xrefs", "")) if not _CURIE.fullmatch(xref)]
    if bad_xrefs:
        return f"column xrefs: {bad_xrefs[0]!r} is not of the form VOCABULARY:number"
    if row.get("specialty") and row["specialty"] not in SPECIALTIES:
        return f"column specialty: {row['specialty']!r} is none of: {'; '.join(SPECIALTIES)}"
    return ""


def _split_list(text: str) -> tuple[str, ...]:
    """The parts of a cell that joins them by ``|``."""
    return tuple(part.strip() for part in text.split("|") if part.strip())
