"""The lexicon: every concept of the vocabularies, with the forms by which texts name it.

A concept that several vocabularies list is one concept (``identity`` decides when). A form belongs
to at most one concept (``ownership`` decides which): a preferred name wins over a synonym, then the
more specific vocabulary wins. The order is HPO diseases, HPO terms, MeSH diseases, drugs, genes,
then the configured sources in their order. Synonyms of HPO terms come last of all, because many of
them are loose. A form that two concepts claim equally well is ambiguous and belongs to none.

Concepts are sorted by id, and their forms too, so that equal vocabularies give equal files.
"""

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from medr_ray.core.config import LexiconSource
from medr_ray.core.garbage_collection import pause_garbage_collection
from medr_ray.core.records import EntityType
from medr_ray.knowledge.dictionaries import DictionaryEntry, read_disease_entries, read_drug_entries
from medr_ray.knowledge.drug_entries import is_substance
from medr_ray.knowledge.heading_identity import HeadingMatcher
from medr_ray.knowledge.hpo import Hpo, load_hpo
from medr_ray.knowledge.hpo_terms import INHERITANCE, ONSET, PHENOTYPIC_ABNORMALITY
from medr_ray.knowledge.identity import SYNONYM_PENALTY, ConceptDraft, ConceptRegistry
from medr_ray.knowledge.mesh import classify_trees
from medr_ray.knowledge.mondo_headings import load_mondo_headings
from medr_ray.knowledge.name_normalization import normalise
from medr_ray.knowledge.ownership import decide_owners
from medr_ray.knowledge.predicates import DISEASE, DRUG, GENE, PHENOTYPE, VALUE
from medr_ray.knowledge.specialty import (
    decide_specialty,
    finding_votes,
    map_specialties,
    phenotype_specialty,
)
from medr_ray.knowledge.vocabularies import read_source
from medr_ray.knowledge.vocabulary_reading import MeshRecords, VocabularyReport

__all__ = ["Concept", "Lexicon", "assemble_lexicon", "build_lexicon", "normalise"]

VOCABULARIES = ("hpo_diseases", "hpo", "diseases", "drugs", "genes")  # in order of precedence
_RANK = {name: rank for rank, name in enumerate(VOCABULARIES)}
# One bit per vocabulary; concepts that share a bit are never merged. HPO's three vocabularies share
# one, because its diseases, terms and genes are always different things.
_VOCABULARY_BITS = {"hpo_diseases": 1, "hpo": 1, "genes": 1, "diseases": 2, "drugs": 4}
_FIRST_SOURCE_BIT = 3  # position of the bit of the first configured source
# Added to the rank of a claim by a synonym of an HPO term. It is larger than ``SYNONYM_PENALTY``
# plus any vocabulary's rank, so these claims lose to every other synonym.
_LOOSE_SYNONYM_PENALTY = SYNONYM_PENALTY + SYNONYM_PENALTY // 2
_MIN_FORM_LENGTH = 2  # characters; a single letter names nothing


@dataclass(frozen=True, slots=True)
class Concept:
    """A concept of the lexicon.

    ``forms`` are normalised (see ``normalise``) and sorted; those that are also in ``symbols`` are
    gene symbols in their own case. ``xrefs`` are its ids in other vocabularies. ``specialty`` is
    one of the twelve for a disease, one or "" for a phenotype, "" for all others.
    """

    concept_id: str
    name: str
    entity_type: EntityType
    forms: tuple[str, ...]
    specialty: str
    symbols: tuple[str, ...] = ()
    xrefs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lexicon:
    """The concepts sorted by id; the ambiguous forms with the ids of the concepts that claim them;
    a report on each configured source."""

    concepts: tuple[Concept, ...]
    ambiguous: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    reports: tuple[VocabularyReport, ...] = ()


def build_lexicon(
    vocabularies: Sequence[str], sources: Sequence[LexiconSource] = ()
) -> list[Concept]:
    """The concepts of the named vocabularies and of the sources, sorted by id.

    Raises DataError when the package that carries a vocabulary is not installed, or a source cannot
    be read.
    """
    return list(assemble_lexicon(vocabularies, sources).concepts)


def assemble_lexicon(vocabularies: Sequence[str], sources: Sequence[LexiconSource] = ()) -> Lexicon:
    """The lexicon with its reports; raises as ``build_lexicon`` does.

    The embedded vocabularies alone take about five seconds, once per process.
    """
    embedded = tuple(name for name in VOCABULARIES if name in vocabularies)
    if sources:
        return _merge_vocabularies(embedded, tuple(sources))
    return _assemble_embedded(embedded)


@functools.cache
def _assemble_embedded(vocabularies: tuple[str, ...]) -> Lexicon:
    return _merge_vocabularies(vocabularies, ())


def _merge_vocabularies(
    vocabularies: tuple[str, ...], sources: tuple[LexiconSource, ...]
) -> Lexicon:
    with pause_garbage_collection():
        registry = ConceptRegistry(_draft_embedded(vocabularies))
        mesh = MeshRecords()
        reports = _add_sources(registry, sources, mesh)
        # Only now are all files of MeSH read, whatever their place among the sources.
        drafts = list(_apply_mesh_types(registry.iterate_drafts(), mesh.type_by_non_drug_name))
        owners, ambiguous = decide_owners(drafts)
        concepts = [_finish_concept(draft, number, owners) for number, draft in enumerate(drafts)]
        concepts.sort(key=lambda concept: concept.concept_id)
    return Lexicon(tuple(concepts), ambiguous, reports)


def _apply_mesh_types(
    drafts: Iterable[ConceptDraft], type_by_non_drug_name: Mapping[str, str]
) -> Iterator[ConceptDraft]:
    """The drafts without what MeSH shows to be no drug or no single gene product.

    MeSH classifies more carefully than the drug vocabularies. DrugBank lists "liver", and the name
    dictionary lists classes of action and enzymes as drugs. A drug loses the names that MeSH gives
    to something else; without its preferred name it is left out. Names of proteins are kept for
    drugs with a DrugBank number, which may be proteins. A gene product of MeSH that joined no gene
    is a family or a class of enzymes and is left out.
    """
    for draft in drafts:
        ids = (draft.concept_id, *draft.xrefs)
        is_in_mesh = any(concept_id.startswith("MESH:") for concept_id in ids)
        if draft.entity_type == GENE and is_in_mesh and not draft.symbols:
            continue
        if draft.entity_type == DRUG and not is_in_mesh:
            allowed_type = None if draft.has_provisional_id else GENE
            lost = {
                form
                for form in draft.claims
                if type_by_non_drug_name.get(form, allowed_type) != allowed_type
            }
            if draft.names[0] in lost:
                continue
            draft.claims = {form: rank for form, rank in draft.claims.items() if form not in lost}
        yield draft


def _add_sources(
    registry: ConceptRegistry, sources: Sequence[LexiconSource], mesh: MeshRecords
) -> tuple[VocabularyReport, ...]:
    """Add each source to the registry, in order. Returns the reports."""
    reports = []
    for number, source in enumerate(sources):
        entries, report = read_source(source, mesh)
        rank = len(VOCABULARIES) + number
        bit = 1 << (_FIRST_SOURCE_BIT + number)
        report.joined_count = registry.add_vocabulary(entries, rank, bit)
        reports.append(report)
    return tuple(reports)


def _draft_embedded(vocabularies: Iterable[str]) -> list[ConceptDraft]:
    """The concepts of the vocabularies that packages carry, vocabulary by vocabulary."""
    drafts: list[ConceptDraft] = []
    for vocabulary in vocabularies:
        if vocabulary == "hpo_diseases":
            drafts += _draft_hpo_diseases(load_hpo())
        elif vocabulary == "hpo":
            drafts += _draft_hpo_terms(load_hpo())
        elif vocabulary == "diseases":
            drafts += _draft_mesh_diseases(read_disease_entries(), drafts)
        elif vocabulary == "drugs":
            drafts += [
                _draft_dictionary_entry(entry, DRUG, "drugs")
                for entry in read_drug_entries()
                if is_substance(entry)
            ]
        else:
            drafts += [
                _make_draft("genes", f"GENE:{symbol}", symbol, GENE, symbol, symbols=(symbol,))
                for symbol in load_hpo().gene_symbols
            ]
    return drafts


def _make_draft(
    vocabulary: str,
    concept_id: str,
    name: str,
    entity_type: EntityType,
    preferred_form: str,
    synonyms: Iterable[str] = (),
    symbols: tuple[str, ...] = (),
    xrefs: tuple[str, ...] = (),
    specialty_codes: tuple[str, ...] = (),
    synonym_penalty: int = SYNONYM_PENALTY,
) -> ConceptDraft:
    rank = _RANK[vocabulary]
    claims = {**dict.fromkeys(synonyms, synonym_penalty + rank), preferred_form: rank}
    return ConceptDraft(
        concept_id,
        name,
        entity_type,
        _VOCABULARY_BITS[vocabulary],
        claims,
        (preferred_form,),
        symbols,
        xrefs,
        specialty_codes,
        # The name dictionaries have no reliable numbers: their ids are headings and names.
        has_provisional_id=concept_id.startswith(("MESH:", "DRUG:")),
    )


def _draft_hpo_diseases(hpo: Hpo) -> list[ConceptDraft]:
    drafts = []
    specialties = map_specialties(hpo)
    for disease in hpo.diseases.values():
        draft = _make_draft(
            "hpo_diseases",
            disease.entity_id,
            disease.name,
            DISEASE,
            normalise(disease.name),
            map(normalise, disease.synonyms),
            xrefs=disease.xrefs,
        )
        draft.names = tuple(map(normalise, (disease.name, *disease.synonyms)))
        draft.findings = finding_votes(specialties, disease)
        drafts.append(draft)
    return drafts


def _draft_hpo_terms(hpo: Hpo) -> list[ConceptDraft]:
    """Phenotypes, and the values of inheritance and onset; the other branches (frequency, modifiers
    and so on) are left out."""
    drafts = []
    entity_type: EntityType
    for term in hpo.terms.values():
        ancestors = hpo.ancestors(term.term_id)
        if PHENOTYPIC_ABNORMALITY in ancestors and term.term_id != PHENOTYPIC_ABNORMALITY:
            entity_type = PHENOTYPE
            specialty = phenotype_specialty(hpo, term.term_id)
        elif ancestors & {ONSET, INHERITANCE} and term.term_id not in (ONSET, INHERITANCE):
            entity_type = VALUE
            specialty = ""
        else:
            continue
        draft = _make_draft(
            "hpo",
            term.term_id,
            term.name,
            entity_type,
            normalise(term.name),
            map(normalise, term.synonyms),
            synonym_penalty=_LOOSE_SYNONYM_PENALTY,
        )
        draft.specialty = specialty
        drafts.append(draft)
    return drafts


def _draft_dictionary_entry(
    entry: DictionaryEntry, entity_type: EntityType, vocabulary: str
) -> ConceptDraft:
    return _make_draft(
        vocabulary,
        entry.concept_id,
        entry.name,
        entity_type,
        normalise(entry.name),
        map(normalise, entry.variants),
        specialty_codes=entry.trees if entity_type == DISEASE else (),
    )


def _draft_mesh_diseases(
    entries: Iterable[DictionaryEntry], earlier_drafts: list[ConceptDraft]
) -> list[ConceptDraft]:
    """The MeSH diseases that HPO does not have. The others are merged into HPO's concepts."""
    headings = [entry for entry in entries if classify_trees(entry.trees) == DISEASE]
    matcher = HeadingMatcher(earlier_drafts, headings, load_mondo_headings())
    drafts = []
    for entry in headings:  # the others are behaviour and the like
        draft = _draft_dictionary_entry(entry, DISEASE, "diseases")
        concept = matcher.find_concept(draft, entry.trees)
        if concept is None:
            drafts.append(draft)
        else:
            _merge_heading(draft, concept)
    return drafts


def _merge_heading(heading: ConceptDraft, concept: ConceptDraft) -> None:
    """Add the forms of a MeSH heading to HPO's concept as synonyms of its own."""
    # At the rank of the concept's own vocabulary: HPO's claims on these forms come before MeSH's.
    rank = SYNONYM_PENALTY + min(concept.claims.values())
    concept.claims = {**dict.fromkeys(heading.claims, rank), **concept.claims}
    concept.names += heading.names
    concept.vocabulary_bits |= heading.vocabulary_bits
    if concept.entity_type == DISEASE:
        concept.specialty_codes += heading.specialty_codes


def _finish_concept(draft: ConceptDraft, number: int, owners: Mapping[str, int]) -> Concept:
    """The concept of a draft, with the forms that it owns."""
    forms = sorted(
        form
        for form in draft.claims
        if owners.get(form) == number and len(form) >= _MIN_FORM_LENGTH
    )
    symbols = tuple(form for form in forms if form in draft.symbols)
    specialty = draft.specialty
    if draft.entity_type == DISEASE and not specialty:
        specialty = decide_specialty(draft.name, draft.specialty_codes, draft.findings)
    return Concept(
        draft.concept_id,
        draft.name,
        draft.entity_type,
        tuple(forms),
        specialty,
        symbols,
        tuple(sorted(draft.xrefs)),
    )
