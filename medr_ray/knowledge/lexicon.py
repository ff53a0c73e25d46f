"""The lexicon: every concept the vocabularies know, with the forms it is found by in text.

What holds: concepts that several vocabularies know are one (``identity`` says when). A form belongs
to at most one concept: a preferred name wins over a synonym, then the more specific vocabulary wins
(HPO diseases, HPO terms, MeSH diseases, drugs, genes, then foreign sources in their order), but
synonyms of HPO terms, many of them loose, come last; what two concepts claim equally well is
ambiguous and belongs to none. Concepts are sorted by id and their forms too, so that equal
vocabularies give equal files.
"""

import functools
import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from medr_ray.core.config import LexiconSource
from medr_ray.core.records import EntityType
from medr_ray.knowledge.dictionaries import DictionaryEntry, read_disease_entries, read_drug_entries
from medr_ray.knowledge.hpo import INHERITANCE, ONSET, PHENOTYPIC_ABNORMALITY, Hpo, load_hpo
from medr_ray.knowledge.identity import SYNONYM_PENALTY, ConceptDraft, ConceptRegistry, is_narrower
from medr_ray.knowledge.mesh import classify_trees
from medr_ray.knowledge.name_normalization import normalise
from medr_ray.knowledge.ownership import decide_owners
from medr_ray.knowledge.predicates import DISEASE, DRUG, GENE, PHENOTYPE, VALUE
from medr_ray.knowledge.specialty import decide_specialty, finding_votes, phenotype_specialty
from medr_ray.knowledge.vocabularies import read_source
from medr_ray.knowledge.vocabulary_reading import MeshRecords, VocabularyReport

__all__ = ["Concept", "Lexicon", "assemble_lexicon", "build_lexicon", "normalise"]

VOCABULARIES = ("hpo_diseases", "hpo", "diseases", "drugs", "genes")  # in order of precedence
_RANK = {name: rank for rank, name in enumerate(VOCABULARIES)}
# One bit per vocabulary; HPO's three are one: its diseases, terms and genes are never the same
# thing.
_VOCABULARY_BITS = {"hpo_diseases": 1, "hpo": 1, "genes": 1, "diseases": 2, "drugs": 4}
_FIRST_SOURCE_BIT = 3  # bit of the first foreign source
# Added to the rank of a claim that rests on a loose synonym, as ``SYNONYM`` is.
_LOOSE_SYNONYM_PENALTY = SYNONYM_PENALTY + SYNONYM_PENALTY // 2
_MIN_FORM_LENGTH = 2  # characters; a single letter names nothing


@dataclass(frozen=True, slots=True)
class Concept:
    """A concept. ``forms`` are normalised (see ``normalise``) and sorted, but those that are also
    ``symbols`` are gene symbols in their own case; ``xrefs`` are the ids it has in other
    vocabularies; ``specialty`` is one of the twelve for a disease, perhaps one for a phenotype,
    else empty."""

    concept_id: str
    name: str
    entity_type: EntityType
    forms: tuple[str, ...]
    specialty: str
    symbols: tuple[str, ...] = ()
    xrefs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lexicon:
    """The concepts sorted by id, the ambiguous forms with the ids of those that claim them, and a
    report on each source."""

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
    """The lexicon with its reports. The embedded vocabularies alone take about five seconds, once
    per process."""
    embedded = tuple(name for name in VOCABULARIES if name in vocabularies)
    return (
        _merge_vocabularies(embedded, tuple(sources)) if sources else _assemble_embedded(embedded)
    )


@functools.cache
def _assemble_embedded(vocabularies: tuple[str, ...]) -> Lexicon:
    return _merge_vocabularies(vocabularies, ())


def _merge_vocabularies(
    vocabularies: tuple[str, ...], sources: tuple[LexiconSource, ...]
) -> Lexicon:
    with pause_garbage_collection():
        registry = ConceptRegistry(_draft_embedded(vocabularies))
        mesh = MeshRecords()
        readings = _add_sources(registry, sources, mesh)
        drafts = list(_apply_mesh_types(registry.iterate_drafts(), mesh.type_by_non_drug_name))
        owner, ambiguous = decide_owners(drafts)
        concepts = sorted(
            (_finish_concept(draft, number, owner) for number, draft in enumerate(drafts)),
            key=lambda one: one.concept_id,
        )
    return Lexicon(tuple(concepts), ambiguous, readings)


@contextmanager
def pause_garbage_collection() -> Iterator[None]:
    """Millions of small objects that all stay: looking for garbage among them takes longer than
    making them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _apply_mesh_types(
    drafts: Iterable[ConceptDraft], others: Mapping[str, str]
) -> Iterator[ConceptDraft]:
    """Names that MeSH has for something else are no drug's, and a drug that loses its preferred
    name is none ("liver" of DrugBank; classes of action and enzymes of the name dictionary; what
    DrugBank numbers may be a protein). A gene product that no vocabulary of genes knows is a family
    or a class of enzymes, and left out."""
    for draft in drafts:
        from_mesh = any(xref.startswith("MESH:") for xref in (draft.concept_id, *draft.xrefs))
        if draft.entity_type == GENE and from_mesh and not draft.symbols:
            continue
        if draft.entity_type == DRUG and not from_mesh:
            lost = {
                claim
                for claim in draft.claims
                if others.get(claim, GENE) != GENE or (draft.has_provisional_id and claim in others)
            }
            if draft.names[0] in lost:
                continue
            draft.claims = {
                claim: rank for claim, rank in draft.claims.items() if claim not in lost
            }
        yield draft


def _add_sources(
    registry: ConceptRegistry, sources: Sequence[LexiconSource], mesh: MeshRecords
) -> tuple[VocabularyReport, ...]:
    readings = []
    for number, source in enumerate(sources):
        entries, report = read_source(source, mesh)
        report.joined_count = registry.add_vocabulary(
            entries, len(VOCABULARIES) + number, 1 << (_FIRST_SOURCE_BIT + number)
        )
        readings.append(report)
    return tuple(readings)


def _draft_embedded(vocabularies: Iterable[str]) -> list[ConceptDraft]:
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
                _draft_dictionary_entry(entry, DRUG, "drugs") for entry in read_drug_entries()
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
    kind: EntityType,
    preferred: str,
    synonyms: Iterable[str] = (),
    symbols: tuple[str, ...] = (),
    xrefs: tuple[str, ...] = (),
    codes: tuple[str, ...] = (),
    synonym_rank: int = SYNONYM_PENALTY,
) -> ConceptDraft:
    rank = _RANK[vocabulary]
    claims = {**dict.fromkeys(synonyms, synonym_rank + rank), preferred: rank}
    return ConceptDraft(
        concept_id,
        name,
        kind,
        _VOCABULARY_BITS[vocabulary],
        claims,
        (preferred,),
        symbols,
        xrefs,
        codes,
        has_provisional_id=concept_id.startswith(("MESH:", "DRUG:")),
    )


def _draft_hpo_diseases(hpo: Hpo) -> list[ConceptDraft]:
    drafts = []
    for disease in hpo.diseases.values():
        draft = _make_draft(
            "hpo_diseases",
            disease.entity_id,
            disease.name,
            DISEASE,
            normalise(disease.name),
            xrefs=disease.xrefs,
        )
        draft.findings = finding_votes(hpo, disease)
        drafts.append(draft)
    return drafts


def _draft_hpo_terms(hpo: Hpo) -> list[ConceptDraft]:
    """Phenotypes, and the values of inheritance and onset; the ontology's other branches name no
    finding."""
    drafts = []
    kind: EntityType
    for term in hpo.terms.values():
        ancestors = hpo.ancestors(term.term_id)
        if PHENOTYPIC_ABNORMALITY in ancestors and term.term_id != PHENOTYPIC_ABNORMALITY:
            kind, specialty = PHENOTYPE, phenotype_specialty(hpo, term.term_id)
        elif ancestors & {ONSET, INHERITANCE} and term.term_id not in (ONSET, INHERITANCE):
            kind, specialty = VALUE, ""
        else:
            continue
        draft = _make_draft(
            "hpo",
            term.term_id,
            term.name,
            kind,
            normalise(term.name),
            map(normalise, term.synonyms),
            synonym_rank=_LOOSE_SYNONYM_PENALTY,
        )
        draft.specialty = specialty
        drafts.append(draft)
    return drafts


def _draft_dictionary_entry(
    entry: DictionaryEntry, kind: EntityType, vocabulary: str
) -> ConceptDraft:
    codes = entry.trees if kind == DISEASE else ()
    return _make_draft(
        vocabulary,
        entry.concept_id,
        entry.name,
        kind,
        normalise(entry.name),
        map(normalise, entry.variants),
        codes=codes,
    )


def _draft_mesh_diseases(
    entries: Iterable[DictionaryEntry], known: list[ConceptDraft]
) -> list[ConceptDraft]:
    """MeSH diseases that HPO does not have; those it has lend their forms, and a disease their tree
    numbers."""
    diseases = {concept.names[0]: concept for concept in known if concept.entity_type == DISEASE}
    terms = {concept.names[0]: concept for concept in known if concept.entity_type == PHENOTYPE}
    drafts = []
    for entry in entries:
        if classify_trees(entry.trees) != DISEASE:
            continue  # behaviour and the like
        draft = _draft_dictionary_entry(entry, DISEASE, "diseases")
        same = _find_same_concept(draft, diseases) or _find_same_concept(draft, terms)
        if same is None:
            drafts.append(draft)
        else:
            _merge_heading(draft, same)
    return drafts


def _find_same_concept(
    draft: ConceptDraft, by_name: Mapping[str, ConceptDraft]
) -> ConceptDraft | None:
    """The concept a MeSH disease is: by preferred name (MeSH's plural, or the singular), else by
    its synonyms when they name exactly one and that is no narrower disease ("dilated cardiomyopathy
    1A", "congenital hydrocephalus")."""
    preferred = draft.names[0]
    named = [by_name[name] for name in (preferred, preferred.removesuffix("s")) if name in by_name]
    if named:
        return named[0]
    candidates = {
        by_name[name].concept_id: by_name[name]
        for name in draft.claims
        if name in by_name and not is_narrower(name, draft.names)
    }
    return next(iter(candidates.values())) if len(candidates) == 1 else None


def _merge_heading(draft: ConceptDraft, same: ConceptDraft) -> None:
    """HPO's concept takes a heading's forms as synonyms of its own."""
    rank = SYNONYM_PENALTY + min(same.claims.values())
    same.claims = {**dict.fromkeys(draft.claims, rank), **same.claims}
    same.names += draft.names
    same.vocabulary_bits |= draft.vocabulary_bits
    if same.entity_type == DISEASE:
        same.codes += draft.codes


def _finish_concept(draft: ConceptDraft, number: int, owner: Mapping[str, int]) -> Concept:
    forms = sorted(
        claim
        for claim in draft.claims
        if owner.get(claim) == number and len(claim) >= _MIN_FORM_LENGTH
    )
    symbols = tuple(form for form in forms if form in draft.symbols)
    specialty = draft.specialty
    if draft.entity_type == DISEASE and not specialty:
        specialty = decide_specialty(draft.name, draft.codes, draft.findings)
    return Concept(
        draft.concept_id,
        draft.name,
        draft.entity_type,
        tuple(forms),
        specialty,
        symbols,
        tuple(sorted(draft.xrefs)),
    )
