"""The registries whose files are read: which file is whose, who publishes it, and on what terms.

``REGISTRIES`` is the one table of them. A file is recognised by its content, because names say
nothing certain.
"""

import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from medr_ray.core.errors import DataError
from medr_ray.core.records import FactSource
from medr_ray.knowledge.registries.clinical_trials import read_clinical_trials_facts
from medr_ray.knowledge.registries.drug_labels import read_drug_label_facts
from medr_ray.knowledge.registries.drugs_at_fda import read_drugs_at_fda_facts
from medr_ray.knowledge.registries.livertox import read_livertox_facts
from medr_ray.knowledge.registries.orange_book import read_orange_book_facts
from medr_ray.knowledge.registries.orphanet_records import read_orphanet_facts
from medr_ray.knowledge.registries.record_facts import RecordFacts
from medr_ray.knowledge.registries.record_reading import UnusableRecords
from medr_ray.knowledge.vocabulary_reading import open_vocabulary

ReadFacts = Callable[[Sequence[str], UnusableRecords], Iterator[RecordFacts]]

_US_GOVERNMENT = "public domain (work of the US government, 17 U.S.C. 105)"
_BEGINNING = 4096  # bytes that tell tables and XML apart
# Bytes of a JSON file that are searched for a field of a registry: three times the longest record
# of the trials, 1.2 MB.
_JSON_BEGINNING = 4 * 2**20
_JSON_PIECE = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"(?:\s*:)?|[{}\[\]]', re.DOTALL)
_ZIP_MAGIC = b"PK\x03\x04"
# Members of zips, in lower case, by registry.
_ZIP_MEMBERS: tuple[tuple[FactSource, frozenset[str]], ...] = (
    ("drugs_at_fda", frozenset({"applications.txt"})),
    ("orange_book", frozenset({"products.txt", "patent.txt", "exclusivity.txt"})),
)
_ORANGE_BOOK_COLUMNS = b"Appl_No"
_ORPHADATA = b"<JDBOR"
# Fields of a JSON object, any of which a record of the registry has.
_JSON_FIELDS: tuple[tuple[FactSource, frozenset[str]], ...] = (
    ("clinical_trials", frozenset({"protocolSection", "studies"})),
    ("drug_labels", frozenset({"set_id", "openfda", "effective_time"})),
    ("livertox", frozenset({"drug", "sections"})),
)


@dataclass(frozen=True)
class Registry:
    """A registry: its publisher's title, page and terms, the addresses of its files, and its
    reader.

    ``is_read_together`` says that files of it make records only with each other. ``left_out`` are
    predicates that the embedded snapshot leaves out beside prose, because they join nothing or
    another registry states them.
    """

    title: str
    publisher: str
    page: str
    licence: str
    attribution: str
    read: ReadFacts
    is_read_together: bool = False
    left_out: frozenset[str] = frozenset()


REGISTRIES: dict[FactSource, Registry] = {
    "drugs_at_fda": Registry(
        title="Drugs@FDA",
        publisher="US Food and Drug Administration",
        page="https://www.fda.gov/drugs/drug-approvals-and-databases/drugsfda-data-files",
        licence=_US_GOVERNMENT,
        attribution="Drugs@FDA data files, US Food and Drug Administration",
        read=read_drugs_at_fda_facts,
        left_out=frozenset(
            {
                # Properties of single products, which join nothing.
                "dosage_form",
                "product_route",
                "reference_listed",
                "reference_standard",
                "strength",
                "therapeutic_equivalence",
            }
        ),
    ),
    "orange_book": Registry(
        title="Orange Book",
        publisher="US Food and Drug Administration",
        page="https://www.fda.gov/drugs/drug-approvals-and-databases/orange-book-data-files",
        licence=_US_GOVERNMENT,
        attribution=(
            "Approved Drug Products with Therapeutic Equivalence Evaluations, US Food and Drug "
            "Administration"
        ),
        read=read_orange_book_facts,
        is_read_together=True,
        left_out=frozenset(
            {
                # Drugs@FDA has these of more products.
                "active_ingredient",
                "has_product",
                "marketing_status",
                "trade_name",
                # Properties of single products, which join nothing.
                "dosage_form",
                "product_route",
                "reference_listed",
                "reference_standard",
                "strength",
                "therapeutic_equivalence",
                # Codes without the text that says what they stand for.
                "patent_use_code",
            }
        ),
    ),
    "drug_labels": Registry(
        title="Drug labels",
        publisher="US Food and Drug Administration (openFDA), DailyMed",
        page="https://open.fda.gov/apis/drug/label/download/",
        licence="public; openFDA data are CC0 1.0, https://open.fda.gov/license/",
        attribution="openFDA, US Food and Drug Administration; DailyMed, US NLM",
        read=read_drug_label_facts,
    ),
    "livertox": Registry(
        title="LiverTox",
        publisher="US National Institute of Diabetes and Digestive and Kidney Diseases",
        page="https://www.ncbi.nlm.nih.gov/books/NBK547852/",
        licence=_US_GOVERNMENT,
        attribution=(
            "LiverTox: Clinical and Research Information on Drug-Induced Liver Injury, National "
            "Institute of Diabetes and Digestive and Kidney Diseases"
        ),
        read=read_livertox_facts,
    ),
    "clinical_trials": Registry(
        title="ClinicalTrials.gov",
        publisher="US National Library of Medicine",
        page="https://clinicaltrials.gov/data-api/api",
        licence="public; terms at https://clinicaltrials.gov/about-site/terms-conditions",
        attribution=(
            "ClinicalTrials.gov, US National Library of Medicine. The records are as of their last "
            "update; they are a selection, were changed to facts, and may be out of date."
        ),
        read=read_clinical_trials_facts,
    ),
    "orphanet": Registry(
        title="Orphadata Science",
        publisher="INSERM, Orphanet",
        page="https://www.orphadata.com",
        licence="CC BY 4.0, https://creativecommons.org/licenses/by/4.0/",
        attribution=(
            "Orphadata Science: Free access data from Orphanet. © INSERM 1999. Available on "
            "https://www.orphadata.com, under CC BY 4.0. The tables were changed to facts."
        ),
        read=read_orphanet_facts,
        is_read_together=True,
    ),
}


def recognise_registry(path: str) -> FactSource:
    """The registry that a file is of, by its content.

    Raises DataError for a file of none, and for one that cannot be read.
    """
    with open_vocabulary(path) as stream:
        beginning = stream.read(_BEGINNING)
        stream.seek(0)
        if beginning.startswith(_ZIP_MAGIC):
            return _recognise_zip(path, stream)
        text = beginning.removeprefix(b"\xef\xbb\xbf").lstrip()
        if _ORPHADATA in text:
            return "orphanet"
        columns = text.partition(b"\n")[0]
        if b"~" in columns and _ORANGE_BOOK_COLUMNS in columns:
            return "orange_book"
        # The mark of the byte order is no white space to a JSON reader.
        json_text = stream.read(_JSON_BEGINNING).decode("utf-8-sig", "ignore")
    for name in _list_fields(json_text):
        for source, fields in _JSON_FIELDS:
            if name in fields:
                return source
    raise _build_error(path)


def _recognise_zip(path: str, stream: BinaryIO) -> FactSource:
    try:
        with zipfile.ZipFile(stream) as archive:
            members = {name.lower().rpartition("/")[2] for name in archive.namelist()}
    except (zipfile.BadZipFile, ValueError) as error:  # ValueError: shorter than its directory
        raise DataError(f"{path}: a damaged zip ({error}); download it again") from None
    for source, names in _ZIP_MEMBERS:
        if members & names:
            return source
    raise _build_error(path)


def _list_fields(text: str) -> Iterator[str]:
    """The names of the fields of the JSON object that a text begins with, on however many lines;
    the text may end within the object. None where it begins with something else."""
    if not text.lstrip().startswith("{"):
        return
    depth = 0
    for match in _JSON_PIECE.finditer(text):
        piece = match[0]
        if piece in ("{", "["):
            depth += 1
        elif piece in ("}", "]"):
            depth -= 1
            if depth == 0:
                return
        elif depth == 1 and piece.endswith(":"):
            yield piece.rstrip(": \t\r\n")[1:-1]


def _build_error(path: str) -> DataError:
    titles = ", ".join(registry.title for registry in REGISTRIES.values())
    return DataError(f"{path}: a file of none of these registries: {titles}")
