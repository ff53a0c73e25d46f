"""Medical Subject Headings: descriptors (``MESH:D…``) and supplementary concepts (``MESH:C…``).

Two formats are read. One is NLM's XML (``desc2026.xml``, ``supp2026.xml``; elements at
https://www.nlm.nih.gov/mesh/xml_data_elements.html). The other is tab-separated rows without a
header: UI, name, synonyms joined by ``|``, and then for a descriptor its tree numbers joined by
``|``, for a supplementary concept the UIs of the headings it is mapped to, joined by ``,``.

Every term of a record is a name of it, permuted terms too. Tree numbers decide the type:

- C and F03 are diseases, except C23.550.288 and C23.550.291: "Disease", "Recurrence" and the like
  are attributes.
- Of D, small molecules, hormones and antibodies are drugs. What is nothing but a protein is a gene
  product. Classes of action, dosage forms and mixtures are neither: taken for drugs, they are two
  thirds of the false chemicals in BC5CDR's training set.
- All other records are left out. Their names are kept to show that they are not drugs.

A supplementary concept has the type of its class, or else that of the headings it is mapped to; it
is a disease if any of them is. It takes its tree numbers from them.
"""

import re
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Literal

from lxml import etree

from medr_ray.core.records import EntityType
from medr_ray.knowledge.name_normalization import normalise
from medr_ray.knowledge.predicates import DISEASE, DRUG, GENE
from medr_ray.knowledge.table_rows import read_rows
from medr_ray.knowledge.vocabulary_reading import (
    VocabularyEntry,
    VocabularyReport,
    peek_first_byte,
    read_elements,
    text_of,
    texts_of,
)

_UI = re.compile(r"[CD]\d{6,9}")
_TREE = re.compile(r"[A-Z]\d\d(\.\d+)*")
_DISEASE_TREES = ("C", "F03")
_ATTRIBUTE_TREES = ("C23.550.288", "C23.550.291")
# Inorganic and organic compounds, rings, polycycles, hormones, carbohydrates, lipids; nucleosides
# and nucleotides; amino acids; oligopeptides.
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
_MACROMOLECULE_TREE = "D05"  # counts only for records that are nothing else
# Enzymes, peptides, proteins, nucleic acids, biological factors.
_LARGE_MOLECULE_TREES = ("D08", "D12.644", "D12.776", "D13", "D23")
_PROTEIN_TREES = ("D08.811", "D12.776")  # enzymes, proteins
# Glycoproteins, proteoglycans and lipoproteins: among carbohydrates and lipids, yet proteins.
_CONJUGATE_TREES = ("D09.400.430", "D09.698.735", "D10.532")
# Where MeSH lists the same protein again: as a signalling peptide, as a biological factor.
_PROTEIN_ASPECT_TREES = (*_PROTEIN_TREES, "D12.644.276", "D23", *_CONJUGATE_TREES)
_ANTIBODY_TREE = "D12.776.124.486.485"  # proteins, but given as drugs
# Values of SCRClass. The others are protocols, organisms, populations and anatomy.
_CHEMICAL_CLASS = "1"
_DISEASE_CLASS = "3"
_EXPECTED_XML = "MeSH XML (DescriptorRecordSet or SupplementalRecordSet)"
_EXPECTED_ROWS = (
    "MeSH XML, or rows of UI, name, synonyms and tree numbers or mapped headings separated by tabs"
)


def read_mesh(stream: BinaryIO, report: VocabularyReport) -> Iterator[VocabularyEntry]:
    """Diseases and chemicals of a MeSH file.

    Descriptors are added to ``report.mesh.trees_by_heading``. Supplementary concepts look theirs up
    there, so the file of descriptors must be read first.
    """
    if peek_first_byte(stream) == b"<":
        yield from _read_xml(stream, report)
    else:
        yield from _read_rows(stream, report)


def classify_trees(trees: Iterable[str]) -> EntityType | Literal[""]:
    """The type of a record with these tree numbers: a disease if any is one of diseases, else a
    drug or a gene product, else ""."""
    numbers = tuple(trees)
    if any(tree.startswith(_DISEASE_TREES) for tree in numbers):
        is_attribute = all(tree.startswith(_ATTRIBUTE_TREES) for tree in numbers)
        return "" if is_attribute else DISEASE
    chemical = [tree for tree in numbers if tree.startswith("D")]
    unconjugated = [tree for tree in chemical if not tree.startswith(_CONJUGATE_TREES)]
    if any(tree.startswith((*_MOLECULE_TREES, _ANTIBODY_TREE)) for tree in unconjugated):
        return DRUG
    if any(tree.startswith(_LARGE_MOLECULE_TREES) for tree in chemical):
        # A protein that MeSH also lists outside the trees of proteins is not a plain gene product.
        has_protein_tree = any(tree.startswith(_PROTEIN_TREES) for tree in chemical)
        is_only_protein = all(tree.startswith(_PROTEIN_ASPECT_TREES) for tree in chemical)
        return GENE if has_protein_tree and is_only_protein else ""
    return DRUG if any(tree.startswith(_MACROMOLECULE_TREE) for tree in chemical) else ""


def _read_xml(stream: BinaryIO, report: VocabularyReport) -> Iterator[VocabularyEntry]:
    tags = ("DescriptorRecord", "SupplementalRecord")
    for where, record in read_elements(stream, report, tags, _EXPECTED_XML):
        is_supplementary = record.tag == "SupplementalRecord"
        prefix = "SupplementalRecord" if is_supplementary else "Descriptor"
        ui = text_of(record, f"{prefix}UI")
        name = text_of(record, f"{prefix}Name/String")
        terms = texts_of(record, "ConceptList/Concept/TermList/Term/String")
        if is_supplementary:
            headings = _read_mapped_headings(record)
            record_class = record.get("SCRClass")
            entry = _build_supplementary_entry(
                where, ui, name, terms, headings, record_class, report
            )
        else:
            trees = texts_of(record, "TreeNumberList/TreeNumber")
            entry = _build_descriptor_entry(where, ui, name, terms, trees, report)
        if entry:
            yield entry


def _read_mapped_headings(record: etree._Element) -> tuple[str, ...]:
    """UIs of the headings a supplementary concept is mapped to; a star marks the major ones."""
    path = "HeadingMappedToList/HeadingMappedTo/DescriptorReferredTo/DescriptorUI"
    return tuple(ui.lstrip("*") for ui in texts_of(record, path))


def _read_rows(stream: BinaryIO, report: VocabularyReport) -> Iterator[VocabularyEntry]:
    row_count = 0
    for where, row in read_rows(stream, "\t", report.skip_record):
        # Without a header, only the first row can show that the file is something else.
        if not row_count and not (len(row) >= 4 and _UI.fullmatch(row[0])):
            raise report.build_format_error(_EXPECTED_ROWS, repr("\t".join(row)[:80]))
        row_count += 1
        if len(row) < 4:
            report.skip_record(
                where, f"{len(row)} columns, not UI, name, synonyms and tree numbers or headings"
            )
            continue
        ui, name, synonyms, trees_or_headings = (cell.strip() for cell in row[:4])
        terms = tuple(term.strip() for term in synonyms.split("|") if term.strip())
        if ui.startswith("C"):
            headings = tuple(filter(None, trees_or_headings.split(",")))
            entry = _build_supplementary_entry(where, ui, name, terms, headings, None, report)
        else:
            trees = tuple(filter(None, trees_or_headings.split("|")))
            entry = _build_descriptor_entry(where, ui, name, terms, trees, report)
        if entry:
            yield entry
    if not row_count:
        raise report.build_format_error(_EXPECTED_ROWS, "no row")


def _build_descriptor_entry(
    where: str,
    ui: str,
    name: str,
    terms: tuple[str, ...],
    trees: tuple[str, ...],
    report: VocabularyReport,
) -> VocabularyEntry | None:
    """The entry of a descriptor; None when it is bad or of no wanted type, which is reported."""
    if not _check_ui_and_name(where, ui, name, report):
        return None
    bad_trees = [tree for tree in trees if not _TREE.fullmatch(tree)]
    if bad_trees:
        report.skip_record(where, f"{ui}: {bad_trees[0]!r} is no tree number")
        return None
    report.mesh.trees_by_heading[ui] = trees
    return _build_entry(ui, name, classify_trees(trees), terms, trees, report)


def _build_supplementary_entry(
    where: str,
    ui: str,
    name: str,
    terms: tuple[str, ...],
    headings: tuple[str, ...],
    record_class: str | None,
    report: VocabularyReport,
) -> VocabularyEntry | None:
    """The entry of a supplementary concept; None when it is bad or of no wanted type, which is
    reported. ``record_class`` is None where the file gives no class."""
    if not _check_ui_and_name(where, ui, name, report):
        return None
    trees_by_heading = report.mesh.trees_by_heading
    if record_class is None and not any(heading in trees_by_heading for heading in headings):
        report.skip_record(
            where,
            f"{ui}: no class, and none of its headings {', '.join(headings) or '(none)'} was read; "
            "list the file of descriptors before that of supplementary concepts",
        )
        return None
    trees = tuple(
        dict.fromkeys(tree for heading in headings for tree in trees_by_heading.get(heading, ()))
    )
    entity_type = classify_trees(trees)
    if record_class == _DISEASE_CLASS:
        entity_type = DISEASE
    elif record_class == _CHEMICAL_CLASS:
        # Its headings may be those of a disease or an effect, but a chemical is never one.
        entity_type = entity_type if entity_type in (DRUG, GENE) else DRUG
    elif record_class is not None:
        entity_type = ""
    return _build_entry(ui, name, entity_type, terms, trees, report)


def _check_ui_and_name(where: str, ui: str, name: str, report: VocabularyReport) -> bool:
    """Whether a record has a valid UI and a name; reports it if not."""
    if not _UI.fullmatch(ui):
        report.skip_record(where, f"{ui!r} is no MeSH UI")
        return False
    if not name:
        report.skip_record(where, f"{ui}: no name")
        return False
    return True


def _build_entry(
    ui: str,
    name: str,
    entity_type: EntityType | Literal[""],
    terms: tuple[str, ...],
    trees: tuple[str, ...],
    report: VocabularyReport,
) -> VocabularyEntry | None:
    if entity_type != DRUG:
        forms = map(normalise, (name, *terms))
        report.mesh.type_by_non_drug_name.update(dict.fromkeys(forms, entity_type))
    if not entity_type:
        report.omit_record("neither a disease nor a chemical")
        return None
    codes: tuple[str, ...] = ()
    if entity_type == DISEASE:
        # Only these branches say anything about a specialty.
        codes = tuple(tree for tree in trees if tree.startswith(("C", "F")))
    return VocabularyEntry(f"MESH:{ui}", name, entity_type, terms, specialty_codes=codes)
