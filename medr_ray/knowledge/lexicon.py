"""The lexicon: every concept the vocabularies know, with the forms it is found by in text.

What holds: a form belongs to at most one concept. A preferred name wins over a synonym, then the more specific
vocabulary wins (HPO diseases, HPO terms, MeSH diseases, drugs, genes); a synonym that two concepts of one vocabulary
share is ambiguous and belongs to none. Concepts are sorted by id and their forms too, so that equal vocabularies give
equal files.
"""

import functools
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from medr_ray.knowledge.dictionaries import DictionaryEntry, disease_entries, drug_entries
from medr_ray.knowledge.hpo import INHERITANCE, ONSET, PHENOTYPIC_ABNORMALITY, Hpo, load_hpo
from medr_ray.knowledge.predicates import DISEASE, DRUG, GENE, PHENOTYPE, VALUE
from medr_ray.knowledge.specialty import disease_specialty, mesh_specialty, term_specialties
from medr_ray.knowledge.text import normalise

__all__ = ["Concept", "build_lexicon", "normalise"]

VOCABULARIES = ("hpo_diseases", "hpo", "diseases", "drugs", "genes")  # in order of precedence
_DISEASE_TREES = ("C", "F03")  # MeSH: diseases, mental disorders; the rest is behaviour and the like
_WORD = re.compile(r"\w+")
_SUBTYPE = re.compile(r"(\btype .*|[\s,-](\d+[a-z]?|[ivx]+[a-z]?))$")
_MIN_FORM = 2  # characters; a single letter names nothing


@dataclass(frozen=True)
class Concept:
    """A concept. ``forms`` are normalised (see ``normalise``) and sorted, but gene symbols keep their case."""

    concept_id: str
    name: str
    entity_type: str
    forms: tuple[str, ...]
    specialty: str


@dataclass
class _Draft:
    """A concept while its forms are still contested; ``preferred`` and ``synonyms`` are normalised."""

    concept_id: str
    name: str
    entity_type: str
    vocabulary: str
    specialty: str
    preferred: set[str] = field(default_factory=set)
    synonyms: set[str] = field(default_factory=set)


def build_lexicon(vocabularies: Sequence[str]) -> list[Concept]:
    """The concepts of the named vocabularies, sorted by id (cached per process; about five seconds).

    Raises DataError when the package that carries a vocabulary is not installed.
    """
    return list(_build(tuple(name for name in VOCABULARIES if name in vocabularies)))


@functools.cache
def _build(vocabularies: tuple[str, ...]) -> tuple[Concept, ...]:
    drafts: list[_Draft] = []
    for vocabulary in vocabularies:
        if vocabulary == "hpo_diseases":
            drafts += _hpo_diseases(load_hpo())
        elif vocabulary == "hpo":
            drafts += _hpo_terms(load_hpo())
        elif vocabulary == "diseases":
            drafts += _mesh_diseases(disease_entries(), drafts)
        elif vocabulary == "drugs":
            drafts += [_from_entry(entry, DRUG, "drugs", "pharmacology") for entry in drug_entries()]
        else:
            drafts += [_gene(symbol) for symbol in load_hpo().gene_symbols]
    owner = _owners(drafts)
    return tuple(sorted((_settle(draft, owner) for draft in drafts), key=lambda one: one.concept_id))


def _hpo_diseases(hpo: Hpo) -> list[_Draft]:
    return [
        _Draft(one.entity_id, one.name, DISEASE, "hpo_diseases", disease_specialty(hpo, one), {normalise(one.name)})
        for one in hpo.diseases.values()
    ]


def _hpo_terms(hpo: Hpo) -> list[_Draft]:
    """Phenotypes, and the values of inheritance and onset; the ontology's other branches name no finding."""
    drafts = []
    for term in hpo.terms.values():
        ancestors = hpo.ancestors(term.term_id)
        if PHENOTYPIC_ABNORMALITY in ancestors and term.term_id != PHENOTYPIC_ABNORMALITY:
            kind, specialty = PHENOTYPE, (term_specialties(hpo, term.term_id) or [""])[0]
        elif ancestors & {ONSET, INHERITANCE} and term.term_id not in (ONSET, INHERITANCE):
            kind, specialty = VALUE, ""
        else:
            continue
        synonyms = {normalise(one) for one in term.synonyms}
        drafts.append(_Draft(term.term_id, term.name, kind, "hpo", specialty, {normalise(term.name)}, synonyms))
    return drafts


def _from_entry(entry: DictionaryEntry, kind: str, vocabulary: str, specialty: str) -> _Draft:
    names = {normalise(one) for one in entry.variants}
    return _Draft(entry.concept_id, entry.name, kind, vocabulary, specialty, {normalise(entry.name)}, names)


def _mesh_diseases(entries: Iterable[DictionaryEntry], known: list[_Draft]) -> list[_Draft]:
    """MeSH diseases that HPO does not have; those it has lend their forms, and a disease its specialty."""
    diseases = {name: one for one in known if one.vocabulary == "hpo_diseases" for name in one.preferred}
    terms = {name: one for one in known if one.entity_type == PHENOTYPE for name in one.preferred}
    drafts = []
    for entry in entries:
        if not any(tree.startswith(_DISEASE_TREES) for tree in entry.trees):
            continue
        draft = _from_entry(entry, DISEASE, "diseases", mesh_specialty(entry.trees))
        same = _same(draft, diseases) or _same(draft, terms)
        if same is None:
            drafts.append(draft)
            continue
        same.synonyms |= draft.preferred | draft.synonyms
        if same.entity_type == DISEASE:
            same.specialty = draft.specialty
    return drafts


def _same(draft: _Draft, by_name: dict[str, _Draft]) -> _Draft | None:
    """The concept a MeSH disease is: by preferred name (MeSH's plural, or the singular), else by its synonyms when
    they name exactly one and that is no narrower disease ("dilated cardiomyopathy 1A", "congenital hydrocephalus")."""
    names = [form for name in draft.preferred for form in (name, name.removesuffix("s"))]
    named = [by_name[name] for name in names if name in by_name]
    if named:
        return named[0]
    candidates = {by_name[name].concept_id: by_name[name] for name in draft.synonyms
                  if name in by_name and not _is_narrower(name, draft.preferred)}
    return next(iter(candidates.values())) if len(candidates) == 1 else None


def _is_narrower(name: str, broader: Iterable[str]) -> bool:
    """A numbered subtype, or all the words of the broader name and more."""
    words = set(_WORD.findall(name))
    return bool(_SUBTYPE.search(name)) or any(set(_WORD.findall(one)) < words for one in broader)


def _gene(symbol: str) -> _Draft:
    return _Draft(f"GENE:{symbol}", symbol, GENE, "genes", "medical genetics", {symbol})


def _owners(drafts: list[_Draft]) -> dict[str, str]:
    """Which concept owns each form."""
    claims: dict[str, list[tuple[bool, int, str]]] = defaultdict(list)
    for draft in drafts:
        order = VOCABULARIES.index(draft.vocabulary)
        for form in draft.preferred | draft.synonyms:
            claims[form].append((form not in draft.preferred, order, draft.concept_id))
    owner = {}
    for form, claimants in claims.items():
        best = min(claimants)
        if sum(claim[:2] == best[:2] for claim in claimants) == 1:
            owner[form] = best[2]
    return owner


def _settle(draft: _Draft, owner: dict[str, str]) -> Concept:
    forms = sorted(one for one in draft.preferred | draft.synonyms
                   if owner.get(one) == draft.concept_id and len(one) >= _MIN_FORM)
    return Concept(draft.concept_id, draft.name, draft.entity_type, tuple(forms), draft.specialty)
