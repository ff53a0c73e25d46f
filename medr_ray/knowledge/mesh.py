"""Medical Subject Headings: descriptors (``MESH:D…``) and supplementary concepts (``MESH:C…``).

Read from NLM's XML (``desc2026.xml``, ``supp2026.xml``;
https://www.nlm.nih.gov/mesh/xml_data_elements.html) or from tab-separated rows without a header:
UI, name, synonyms joined by ``|``, and for a descriptor its tree numbers joined by ``|``, for a
supplementary concept the UIs of the headings it is mapped to, joined by ``,``.

What holds: every term of a record names it, permuted ones too, in both forms of the file. Tree
numbers decide the type. C and F03 are diseases, but not C23.550.288 and C23.550.291: "Disease",
"Recurrence" and the like are attributes. Of D, small molecules, hormones and antibodies are drugs,
and what is nothing but a protein is a gene product; classes of action, dosage forms and mixtures
are neither (annotators agree: taken for drugs, they are two thirds of the false chemicals in
BC5CDR's training set). The rest is left out, but the names are kept: they are no drug's either. A
supplementary concept has the type its class says, or else that of the headings it is mapped to, a
disease if any of them is one; its headings lend it their tree numbers.
"""

import re
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Literal

from lxml import etree

from medr_ray.core.records import EntityType
from medr_ray.knowledge.name_normalization import normalise
from medr_ray.knowledge.predicates import DISEASE, DRUG, GENE
from medr_ray.knowledge.vocabulary_reading import (
    VocabularyEntry,
    VocabularyReport,
    read_elements,
    read_rows,
    text_of,
    texts_of,
)

_UI = re.compile(r"[CD]\d{6,9}")
_TREE = re.compile(r"[A-Z]\d\d(\.\d+)*")
_DISEASE_TREES = ("C", "F03")
_ATTRIBUTE_TREES = ("C23.550.288", "C23.550.291")
# Inorganic and organic compounds, rings, polycycles, hormones, carbohydrates, lipids; nucleosides,
# nucleotides,
# amino acids, oligopeptides; macromolecules only where they are nothing else.
_MOLECULE_TREES = (
    "D01",
    "D02",
    "D03",
    "D04",
    "D06",
    "D09",
    "D10",
    "D13.570",
    "D12.125",
    "D12.644.456",
)
_MACROMOLECULE_TREE = "D05"
# Enzymes, peptides, proteins, nucleic acids, biological factors.
_LARGE_MOLECULE_TREES = (
    "D08",
    "D12.644",
    "D12.776",
    "D13",
    "D23",
)
_PROTEIN_TREES = ("D08.811", "D12.776")  # enzymes, proteins
# Where the same protein may stand too: as signal, as factor.
_PROTEIN_ASPECT_TREES = (
    *_PROTEIN_TREES,
    "D12.644.276",
    "D23",
)
_ANTIBODY_TREE = "D12.776.124.486"  # given as drugs
# SCRClass; the others are protocols, organisms, populations and anatomy.
_CHEMICAL_CLASS, _DISEASE_CLASS = (
    "1",
    "3",
)
_EXPECTED_XML = "MeSH XML (DescriptorRecordSet or SupplementalRecordSet)"
_EXPECTED_ROWS = (
    "MeSH XML, or rows of UI, name, synonyms and tree numbers or mapped headings separated by tabs"
)


def read_mesh(stream: BinaryIO, report: VocabularyReport) -> Iterator[VocabularyEntry]:
    """Diseases and chemicals of a MeSH file. Descriptors are remembered in
    ``report.mesh.headings``: the file of supplementary concepts is to be read after that of the
    descriptors."""
    beginning = stream.read(64).lstrip(b"\xef\xbb\xbf \r\n\t")[:1]
    stream.seek(0)
    if beginning == b"<":
        yield from _read_xml(stream, report)
    else:
        yield from _read_rows(stream, report)


def classify_trees(trees: Iterable[str]) -> EntityType | Literal[""]:
    """What a record with these tree numbers is: a disease if any says so, else a drug or a gene
    product, else ""."""
    numbers = tuple(trees)
    diseases = [tree for tree in numbers if tree.startswith(_DISEASE_TREES)]
    if diseases:
        return "" if all(tree.startswith(_ATTRIBUTE_TREES) for tree in numbers) else DISEASE
    chemical = [tree for tree in numbers if tree.startswith("D")]
    if any(tree.startswith((*_MOLECULE_TREES, _ANTIBODY_TREE)) for tree in chemical):
        return DRUG
    if any(tree.startswith(_LARGE_MOLECULE_TREES) for tree in chemical):
        is_protein = any(tree.startswith(_PROTEIN_TREES) for tree in chemical) and all(
            tree.startswith(_PROTEIN_ASPECT_TREES) for tree in chemical
        )
        return GENE if is_protein else ""
    return DRUG if any(tree.startswith(_MACROMOLECULE_TREE) for tree in chemical) else ""


def _read_xml(stream: BinaryIO, report: VocabularyReport) -> Iterator[VocabularyEntry]:
    for where, record in read_elements(
        stream, report, ("DescriptorRecord", "SupplementalRecord"), _EXPECTED_XML
    ):
        supplementary = record.tag == "SupplementalRecord"
        prefix = "SupplementalRecord" if supplementary else "Descriptor"
        ui, name = text_of(record, f"{prefix}UI"), text_of(record, f"{prefix}Name/String")
        terms = texts_of(record, "ConceptList/Concept/TermList/Term/String")
        if supplementary:
            entry = _build_supplementary_entry(
                where,
                ui,
                name,
                terms,
                _read_mapped_headings(record),
                record.get("SCRClass"),
                report,
            )
        else:
            entry = _build_descriptor_entry(
                where, ui, name, terms, texts_of(record, "TreeNumberList/TreeNumber"), report
            )
        if entry:
            yield entry


def _read_mapped_headings(record: etree._Element) -> tuple[str, ...]:
    """UIs of the headings a supplementary concept is mapped to; a star marks the major one."""
    path = "HeadingMappedToList/HeadingMappedTo/DescriptorReferredTo/DescriptorUI"
    return tuple(ui.lstrip("*") for ui in texts_of(record, path))


def _read_rows(stream: BinaryIO, report: VocabularyReport) -> Iterator[VocabularyEntry]:
    rows = 0
    for where, row in read_rows(stream, report, "\t"):
        if not rows and not (len(row) >= 4 and _UI.fullmatch(row[0])):
            raise report.format_error(_EXPECTED_ROWS, repr("\t".join(row)[:80]))
        rows += 1
        if len(row) < 4:
            report.skip_record(
                where, f"{len(row)} columns, not UI, name, synonyms and tree numbers or headings"
            )
            continue
        ui, name, synonyms, last = (cell.strip() for cell in row[:4])
        terms = tuple(term.strip() for term in synonyms.split("|") if term.strip())
        if ui.startswith("C"):
            entry = _build_supplementary_entry(
                where, ui, name, terms, tuple(filter(None, last.split(","))), None, report
            )
        else:
            entry = _build_descriptor_entry(
                where, ui, name, terms, tuple(filter(None, last.split("|"))), report
            )
        if entry:
            yield entry
    if not rows:
        raise report.format_error(_EXPECTED_ROWS, "no row")


def _build_descriptor_entry(
    where: str,
    ui: str,
    name: str,
    terms: tuple[str, ...],
    trees: tuple[str, ...],
    report: VocabularyReport,
) -> VocabularyEntry | None:
    bad = [tree for tree in trees if not _TREE.fullmatch(tree)]
    if not _check_ui_and_name(where, ui, name, report):
        return None
    if bad:
        report.skip_record(where, f"{ui}: {bad[0]!r} is no tree number")
        return None
    report.mesh.trees_by_heading[ui] = trees
    return _build_entry(ui, name, classify_trees(trees), terms, trees, report)


def _build_supplementary_entry(
    where: str,
    ui: str,
    name: str,
    terms: tuple[str, ...],
    mapped: tuple[str, ...],
    record_class: str | None,
    report: VocabularyReport,
) -> VocabularyEntry | None:
    if not _check_ui_and_name(where, ui, name, report):
        return None
    trees = tuple(
        dict.fromkeys(
            tree for heading in mapped for tree in report.mesh.trees_by_heading.get(heading, ())
        )
    )
    if record_class is None and not any(
        heading in report.mesh.trees_by_heading for heading in mapped
    ):
        report.skip_record(
            where,
            f"{ui}: no class, and none of its headings {', '.join(mapped) or '(none)'} was read; "
            "list the file of descriptors before that of supplementary concepts",
        )
        return None
    kind = classify_trees(trees)
    if record_class == _DISEASE_CLASS:
        kind = DISEASE
    elif record_class == _CHEMICAL_CLASS:
        kind = kind if kind in (DRUG, GENE) else DRUG
    elif record_class is not None:
        kind = ""
    return _build_entry(ui, name, kind, terms, trees, report)


def _check_ui_and_name(where: str, ui: str, name: str, report: VocabularyReport) -> bool:
    if not _UI.fullmatch(ui):
        report.skip_record(where, f"{ui!r} is no MeSH UI")
    elif not name:
        report.skip_record(where, f"{ui}: no name")
    return bool(_UI.fullmatch(ui) and name)


def _build_entry(
    ui: str,
    name: str,
    kind: EntityType | Literal[""],
    terms: tuple[str, ...],
    trees: tuple[str, ...],
    report: VocabularyReport,
) -> VocabularyEntry | None:
    if kind != DRUG:
        report.mesh.type_by_non_drug_name.update(
            dict.fromkeys(map(normalise, (name, *terms)), kind)
        )
    if not kind:
        report.omit_record("neither a disease nor a chemical")
        return None
    codes = tuple(tree for tree in trees if tree.startswith(("C", "F"))) if kind == DISEASE else ()
    return VocabularyEntry(f"MESH:{ui}", name, kind, terms, codes=codes)
