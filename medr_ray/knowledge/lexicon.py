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
from medr_ray.knowledge.dictionaries import DictionaryEntry, disease_entries, drug_entries
from medr_ray.knowledge.hpo import INHERITANCE, ONSET, PHENOTYPIC_ABNORMALITY, Hpo, load_hpo
from medr_ray.knowledge.identity import SYNONYM, Draft, Registry, is_narrower
from medr_ray.knowledge.mesh import mesh_type
from medr_ray.knowledge.name_normalization import normalise
from medr_ray.knowledge.ownership import decide_owners
from medr_ray.knowledge.predicates import DISEASE, DRUG, GENE, PHENOTYPE, VALUE
from medr_ray.knowledge.specialty import decide_specialty, finding_votes, phenotype_specialty
from medr_ray.knowledge.vocabularies import read_source
from medr_ray.knowledge.vocabulary_reading import MeshRecords, Reading

__all__ = ["Concept", "Lexicon", "assemble_lexicon", "build_lexicon", "normalise"]

VOCABULARIES = ("hpo_diseases", "hpo", "diseases", "drugs", "genes")  # in order of precedence
_RANK = {name: rank for rank, name in enumerate(VOCABULARIES)}
# One bit per vocabulary; HPO's three are one: its diseases, terms and genes are never the same
# thing.
_MEMBER = {"hpo_diseases": 1, "hpo": 1, "genes": 1, "diseases": 2, "drugs": 4}
_FIRST_SOURCE = 3  # bit of the first foreign source
# Added to the rank of a claim that rests on a loose synonym, as ``SYNONYM`` is.
_LOOSE = SYNONYM + SYNONYM // 2
_MIN_FORM = 2  # characters; a single letter names nothing


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
    readings: tuple[Reading, ...] = ()


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
    return _assemble(embedded, tuple(sources)) if sources else _assemble_embedded(embedded)


@functools.cache
def _assemble_embedded(vocabularies: tuple[str, ...]) -> Lexicon:
    return _assemble(vocabularies, ())


def _assemble(vocabularies: tuple[str, ...], sources: tuple[LexiconSource, ...]) -> Lexicon:
    with without_collections():
        registry = Registry(_embedded_drafts(vocabularies))
        mesh = MeshRecords()
        readings = _fold_sources(registry, sources, mesh)
        drafts = list(_as_mesh_has_it(registry.drafts(), mesh.others))
        owner, ambiguous = decide_owners(drafts)
        concepts = sorted(
            (_settle(draft, number, owner) for number, draft in enumerate(drafts)),
            key=lambda one: one.concept_id,
        )
    return Lexicon(tuple(concepts), ambiguous, readings)


@contextmanager
def without_collections() -> Iterator[None]:
    """Millions of small objects that all stay: looking for garbage among them takes longer than
    making them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _as_mesh_has_it(drafts: Iterable[Draft], others: Mapping[str, str]) -> Iterator[Draft]:
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
                if others.get(claim, GENE) != GENE or (draft.made_up and claim in others)
            }
            if draft.names[0] in lost:
                continue
            draft.claims = {
                claim: rank for claim, rank in draft.claims.items() if claim not in lost
            }
        yield draft


def _fold_sources(
    registry: Registry, sources: Sequence[LexiconSource], mesh: MeshRecords
) -> tuple[Reading, ...]:
    readings = []
    for number, source in enumerate(sources):
        entries, reading = read_source(source, mesh)
        reading.joined = registry.fold(
            entries, len(VOCABULARIES) + number, 1 << (_FIRST_SOURCE + number)
        )
        readings.append(reading)
    return tuple(readings)


def _embedded_drafts(vocabularies: Iterable[str]) -> list[Draft]:
    drafts: list[Draft] = []
    for vocabulary in vocabularies:
        if vocabulary == "hpo_diseases":
            drafts += _hpo_diseases(load_hpo())
        elif vocabulary == "hpo":
            drafts += _hpo_terms(load_hpo())
        elif vocabulary == "diseases":
            drafts += _mesh_diseases(disease_entries(), drafts)
        elif vocabulary == "drugs":
            drafts += [_from_entry(entry, DRUG, "drugs") for entry in drug_entries()]
        else:
            drafts += [
                _draft("genes", f"GENE:{symbol}", symbol, GENE, symbol, symbols=(symbol,))
                for symbol in load_hpo().gene_symbols
            ]
    return drafts


def _draft(
    vocabulary: str,
    concept_id: str,
    name: str,
    kind: EntityType,
    preferred: str,
    synonyms: Iterable[str] = (),
    symbols: tuple[str, ...] = (),
    xrefs: tuple[str, ...] = (),
    codes: tuple[str, ...] = (),
    synonym_rank: int = SYNONYM,
) -> Draft:
    rank = _RANK[vocabulary]
    claims = {**dict.fromkeys(synonyms, synonym_rank + rank), preferred: rank}
    return Draft(
        concept_id,
        name,
        kind,
        _MEMBER[vocabulary],
        claims,
        (preferred,),
        symbols,
        xrefs,
        codes,
        made_up=concept_id.startswith(("MESH:", "DRUG:")),
    )


def _hpo_diseases(hpo: Hpo) -> list[Draft]:
    drafts = []
    for disease in hpo.diseases.values():
        draft = _draft(
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


def _hpo_terms(hpo: Hpo) -> list[Draft]:
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
        draft = _draft(
            "hpo",
            term.term_id,
            term.name,
            kind,
            normalise(term.name),
            map(normalise, term.synonyms),
            synonym_rank=_LOOSE,
        )
        draft.specialty = specialty
        drafts.append(draft)
    return drafts


def _from_entry(entry: DictionaryEntry, kind: EntityType, vocabulary: str) -> Draft:
    codes = entry.trees if kind == DISEASE else ()
    return _draft(
        vocabulary,
        entry.concept_id,
        entry.name,
        kind,
        normalise(entry.name),
        map(normalise, entry.variants),
        codes=codes,
    )


def _mesh_diseases(entries: Iterable[DictionaryEntry], known: list[Draft]) -> list[Draft]:
    """MeSH diseases that HPO does not have; those it has lend their forms, and a disease their tree
    numbers."""
    diseases = {concept.names[0]: concept for concept in known if concept.entity_type == DISEASE}
    terms = {concept.names[0]: concept for concept in known if concept.entity_type == PHENOTYPE}
    drafts = []
    for entry in entries:
        if mesh_type(entry.trees) != DISEASE:
            continue  # behaviour and the like
        draft = _from_entry(entry, DISEASE, "diseases")
        same = _same(draft, diseases) or _same(draft, terms)
        if same is None:
            drafts.append(draft)
        else:
            _lend(draft, same)
    return drafts


def _same(draft: Draft, by_name: Mapping[str, Draft]) -> Draft | None:
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


def _lend(draft: Draft, same: Draft) -> None:
    """HPO's concept takes a heading's forms as synonyms of its own."""
    rank = SYNONYM + min(same.claims.values())
    same.claims = {**dict.fromkeys(draft.claims, rank), **same.claims}
    same.names += draft.names
    same.members |= draft.members
    if same.entity_type == DISEASE:
        same.codes += draft.codes


def _settle(draft: Draft, number: int, owner: Mapping[str, int]) -> Concept:
    forms = sorted(
        claim for claim in draft.claims if owner.get(claim) == number and len(claim) >= _MIN_FORM
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
