"""Records of registries as documents: their facts, in the field names and values of the registry.

The first line is the title, the second the registry with the record's number and date. Then each
fact has a line: the words of its field with the value as printed, the name of the object where it
is printed otherwise, the subject where it is not the record's own, and the qualifiers. Of several
editions of a record, the newest is shown; a line has a date of its own where only an earlier one
states it. No line is a sentence, so that no question has its wording from the document that answers
it.
"""

import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from medr_ray.core.records import Fact, FactSource, RegistryEntity
from medr_ray.knowledge.registries.editions import keep_newest
from medr_ray.knowledge.registries.identifiers import make_label_id, make_trial_id
from medr_ray.knowledge.registries.record_facts import RecordFacts
from medr_ray.knowledge.registries.snapshot import list_record_ids, read_snapshot
from medr_ray.retrieval.documents import (
    FDA_APPROVALS,
    FDA_LABELS,
    LIVERTOX,
    REGISTRIES,
    REGISTRY_PREFIXES,
    TRIALS,
    Document,
)

# Whose documents the index has whole where their files are configured: facts would repeat them.
FILE_SOURCES: Mapping[FactSource, str] = {
    "drugs_at_fda": FDA_APPROVALS,
    "orange_book": FDA_APPROVALS,
    "drug_labels": FDA_LABELS,
    "clinical_trials": TRIALS,
    "livertox": LIVERTOX,
}
REGISTRY_NAMES: Mapping[FactSource, str] = {
    "hpo": "Human Phenotype Ontology annotations",
    "orphanet": "Orphanet",
    "drugs_at_fda": "Drugs@FDA",
    "orange_book": "Orange Book",
    "drug_labels": "Drug labels",
    "clinical_trials": "ClinicalTrials.gov",
    "livertox": "LiverTox",
    "pubmed": "PubMed",
}
# The kind of evidence (``retrieval.authority``) that a record is; the default is a curated record.
_KINDS: Mapping[FactSource, str] = {
    "drug_labels": "label",
    "livertox": "monograph",
    "clinical_trials": "registration",
}
# The subject of records that may state facts of other subjects alone, by their id.
_OWN_SUBJECTS: Mapping[FactSource, Callable[[str], str]] = {
    "drugs_at_fda": "FDA:{}".format,
    "orange_book": "FDA:{}".format,
    "drug_labels": make_label_id,
    "clinical_trials": make_trial_id,
}
_PAPER_PREFIX = "PMID:"
_SEPARATOR = "; "
# Fields of a line beside the registry's own: the object's name, the value in the form of the facts,
# the subject, the date of an earlier edition, and the unit of a result.
NAME = "name"
VALUE = "value"
SUBJECT = "of"
AS_OF = "as of"
UNIT = "unit"
# How the line of a reference says that the paper reports the results, as the registry's own field
# does; the other papers of a trial are merely cited.
RESULTS_REFERENCE = ("reference_type", "RESULT")
# What stands between the parts of a path, except inside brackets, and the place in a list.
_PATH_BREAK = re.compile(r"[./](?![^\[\]]*\])")
_PLACE = re.compile(r"\[[^\]]*\]|^\d+$")
# Names of columns run words together: startDateStruct, HPOId, Approval_Date.
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_]+")
# Parts of a path that say nothing without the part before, and words that say nothing at all.
_GENERIC_PARTS = frozenset({"name", "date", "count", "id"})
_CONTAINER_WORDS = frozenset({"struct", "info"})


def find_kind(source: FactSource) -> str:
    """The kind of evidence that a registry's records are."""
    return _KINDS.get(source, "record")


def count_registry_documents(registry: str, folder: Path | None = None) -> int:
    """The number of documents of a registry of the snapshot. Raises DataError where the snapshot
    does not have it."""
    return len(_group_records(registry, folder))


def list_registry_documents(
    registry: str, start: int = 0, stop: int | None = None, folder: Path | None = None
) -> list[Document]:
    """The documents of a registry of the snapshot, sorted by id, one for all editions of a record;
    those at the positions [start, stop).

    Raises DataError where the snapshot does not have the registry.
    """
    groups = sorted(_group_records(registry, folder).items())[start:stop]
    record_ids = {record_id for _, group in groups for record_id in group}
    editions: dict[str, list[RecordFacts]] = {}
    for record in read_snapshot(registry, folder, record_ids):
        document_id = make_document_id(record.source, record.record_id)
        editions.setdefault(document_id, []).append(record)
    return [document_from_record(join_editions(editions[document_id])) for document_id, _ in groups]


def _group_records(registry: str, folder: Path | None) -> dict[str, set[str]]:
    """The ids of the records by the document that shows them."""
    groups: dict[str, set[str]] = {}
    for record_id in list_record_ids(registry, folder):
        # The names of the snapshot's registries are sources of facts.
        document_id = make_document_id(cast(FactSource, registry), record_id)
        groups.setdefault(document_id, set()).add(record_id)
    return groups


def join_editions(editions: Sequence[RecordFacts]) -> RecordFacts:
    """The newest edition of a record, with what earlier ones state of other subjects or by other
    predicates."""
    if len(editions) == 1:
        return editions[0]
    # The newest first; its lines come first, and its names count.
    in_order = sorted(editions, key=lambda edition: edition.as_of, reverse=True)
    entities: dict[str, RegistryEntity] = {}
    for edition in in_order:
        for entity in edition.entities:
            entities.setdefault(entity.entity_id, entity)
    facts = [fact for edition in in_order for fact in edition.facts]
    return replace(in_order[0], facts=tuple(keep_newest(facts)), entities=tuple(entities.values()))


def make_document_id(source: FactSource, record_id: str) -> str:
    """The id of the document that shows a record."""
    # An id has no spaces: the names of monographs do.
    return f"{REGISTRY_PREFIXES[source]}:{'_'.join(record_id.split())}"


def document_from_record(record: RecordFacts) -> Document:
    """The document of a record that states at least one fact."""
    title = _to_line(record.title) or record.record_id
    name = REGISTRY_NAMES[record.source]
    heading = f"{name}: {record.record_id}"
    if record.as_of:
        heading += f"{_SEPARATOR}{AS_OF}: {record.as_of}"
    cited = [fact.object for fact in record.facts if fact.object.startswith(_PAPER_PREFIX)]
    return Document(
        document_id=make_document_id(record.source, record.record_id),
        source=REGISTRIES,
        title=title,
        # Each line once: several facts may rest on one field.
        text="\n".join(dict.fromkeys((title, heading, *_render_lines(record)))),
        year=int(record.as_of[:4]) if record.as_of else None,
        publication_types=(),
        retracted=False,
        journal=name,
        evidence=find_kind(record.source),
        references=tuple(dict.fromkeys(cited)),
    )


def _render_lines(record: RecordFacts) -> Iterator[str]:
    entities = {entity.entity_id: entity for entity in record.entities}
    own_subject = _find_own_subject(record)
    for fact in record.facts:
        line = _render_line(fact, own_subject, entities)
        # What only an earlier edition states.
        yield line if fact.as_of == record.as_of else f"{line}{_SEPARATOR}{AS_OF}: {fact.as_of}"


def _find_own_subject(record: RecordFacts) -> str:
    """The id of what the record is about, whether or not it states a fact of it."""
    if record.source in _OWN_SUBJECTS:
        return _OWN_SUBJECTS[record.source](record.record_id)
    # A monograph, a disease or a citation: a parser states first what the record is about.
    return record.facts[0].subject


def _render_line(fact: Fact, own_subject: str, entities: Mapping[str, RegistryEntity]) -> str:
    fields = [(word_field(fact.evidence.field), fact.evidence.value)]
    if fact.object:
        name = _name_entity(fact.object, entities)
        if name.casefold() != fact.evidence.value.casefold():
            fields.append((NAME, name))
    elif fact.literal is not None and fact.literal.text != fact.evidence.value:
        # A printed "Y" or "Apr 14, 1995" beside what it stands for.
        fields.append((VALUE, f"{fact.literal.text} {fact.literal.unit}".rstrip()))
    if fact.subject != own_subject:
        fields.append((SUBJECT, _name_entity(fact.subject, entities)))
    if fact.predicate == "reports_results_in":
        fields.append(RESULTS_REFERENCE)
    if fact.predicate == "primary_outcome_result" and fact.literal is not None:
        # Of other numbers the field says what is counted.
        fields.append((UNIT, fact.literal.unit))
    fields += [(qualifier.name, qualifier.value) for qualifier in fact.qualifiers]
    return _SEPARATOR.join(f"{field}: {_to_line(value)}" for field, value in fields)


def render_evidence(fact: Fact) -> str:
    """The beginning of a fact's line: the field and the value as printed."""
    return f"{word_field(fact.evidence.field)}: {_to_line(fact.evidence.value)}"


@functools.lru_cache(maxsize=10_000)  # a registry has some hundred fields and places in lists
def word_field(path: str) -> str:
    """The words of a field, without the containers around it: "start date" for
    ``protocolSection.statusModule.startDateStruct.date``."""
    parts = [_PLACE.sub("", part) for part in _PATH_BREAK.split(path)]
    parts = [part for part in parts if part]
    last_parts = parts[-1:]
    if len(parts) > 1 and parts[-1].casefold() in _GENERIC_PARTS:
        last_parts = parts[-2:]
    words: list[str] = []
    for part in last_parts:
        for word in _WORD.findall(part):
            # Acronyms keep their capitals.
            text = word if word.isupper() and len(word) > 1 else word.lower()
            if text not in _CONTAINER_WORDS and text not in words[-1:]:
                words.append(text)
    return " ".join(words) or path


def _name_entity(entity_id: str, entities: Mapping[str, RegistryEntity]) -> str:
    """The preferred name; the number of what has no name. A product has both, because several of an
    application have one name."""
    number = entity_id.partition(":")[2]
    entity = entities.get(entity_id)
    if entity is None or not entity.names:
        return number
    return f"{entity.names[0]} ({number})" if entity.entity_type == "product" else entity.names[0]


def _to_line(text: str) -> str:
    """The text on one line, because a line break ends a line of the record."""
    return " ".join(text.split())
