"""Which concept of HPO a MeSH disease heading is.

1. By preferred name: the disease, phenotype or value with the heading's name; or with its singular
   (MeSH prints plurals) or the same words (``make_name_key``), unless the heading is a class or
   Mondo states that it is another disease.
2. By a synonym of the heading, a disease: the only one that the synonyms name, where Mondo states
   that the heading is this disease, or Mondo does not know the heading and the two preferred names
   say the same (``adds_detail_only``, equal words of anatomy). One synonym alone is no evidence:
   "Flatfoot" lists "congenital vertical talus". A heading with narrower ones below it is a class
   and is no disease by a synonym, and neither is a synonym that is narrower than the heading
   ("congenital hydrocephalus", "dilated cardiomyopathy 1A").
3. By a synonym, a phenotype: the only one that the synonyms name, where HPO lists the heading's
   name among the phenotype's synonyms too, or the two preferred names have equal words.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from medr_ray.knowledge.dictionaries import DictionaryEntry
from medr_ray.knowledge.disease_identity import (
    adds_detail_only,
    has_narrower_words,
    have_equal_words,
    make_name_key,
    reverses_compound,
)
from medr_ray.knowledge.identity import ConceptDraft, is_narrower
from medr_ray.knowledge.name_normalization import fold_name
from medr_ray.knowledge.predicates import DISEASE, PHENOTYPE, VALUE


class HeadingMatcher:
    """Finds the concept of HPO that a heading is."""

    def __init__(
        self,
        drafts: Iterable[ConceptDraft],
        entries: Iterable[DictionaryEntry],
        mondo: Mapping[str, tuple[str, ...]],
    ) -> None:
        """``drafts`` are HPO's, ``entries`` all headings of MeSH; ``mondo`` are the ids by heading
        of ``load_mondo_headings``, by folded name."""
        self._mondo = {fold_name(heading): frozenset(ids) for heading, ids in mondo.items()}
        self._diseases: dict[str, ConceptDraft] = {}
        self._phenotypes: dict[str, ConceptDraft] = {}
        self._values: dict[str, ConceptDraft] = {}
        by_key: dict[tuple[str, ...], dict[str, ConceptDraft]] = defaultdict(dict)
        for draft in drafts:
            if draft.entity_type == DISEASE:
                self._diseases.update(dict.fromkeys(map(fold_name, draft.names), draft))
                for name in draft.names:
                    by_key[make_name_key(name)][draft.concept_id] = draft
            elif draft.entity_type == PHENOTYPE:
                self._phenotypes[fold_name(draft.names[0])] = draft
            elif draft.entity_type == VALUE:
                self._values[fold_name(draft.names[0])] = draft
        self._diseases_by_key = {
            key: next(iter(candidates.values()))
            for key, candidates in by_key.items()
            if len(candidates) == 1
        }
        self._parent_trees = {
            tree.rpartition(".")[0] for entry in entries for tree in entry.trees if "." in tree
        }

    def find_concept(self, heading: ConceptDraft, trees: Iterable[str]) -> ConceptDraft | None:
        """The concept that a heading with these tree numbers is, or None."""
        is_class = not self._parent_trees.isdisjoint(trees)
        concept = self._find_by_name(heading, is_class)
        if concept is None and not is_class:
            concept = self._find_disease_by_synonym(heading)
        return concept or self._find_phenotype_by_synonym(heading)

    def _find_by_name(self, heading: ConceptDraft, is_class: bool) -> ConceptDraft | None:
        preferred = fold_name(heading.names[0])
        for concepts in (self._diseases, self._phenotypes):
            if preferred in concepts:
                return concepts[preferred]
        singular = preferred.removesuffix("s")
        similar = (
            self._diseases.get(singular),
            self._phenotypes.get(singular),
            # "Uniparental disomy" is a mode of inheritance; its synonyms may be diseases.
            self._values.get(preferred),
            self._find_by_key(heading.names[0]),
        )
        for concept in similar:
            if concept and not self._is_another(heading, concept, is_class):
                return concept
        return None

    def _is_another(self, heading: ConceptDraft, concept: ConceptDraft, is_class: bool) -> bool:
        """Whether Mondo knows the heading, and as another disease than the concept."""
        if concept.entity_type != DISEASE:
            return False
        stated = self._mondo.get(fold_name(heading.names[0]))
        if stated is None or (not stated and not is_class):
            return False
        return stated.isdisjoint(_list_ids(concept))

    def _find_by_key(self, form: str) -> ConceptDraft | None:
        disease = self._diseases_by_key.get(make_name_key(form))
        if disease is None or any(reverses_compound(form, name) for name in disease.names):
            return None
        return disease

    def _find_disease_by_synonym(self, heading: ConceptDraft) -> ConceptDraft | None:
        candidates = {}
        preferred = fold_name(heading.names[0])
        for form in heading.claims:
            disease = self._diseases.get(fold_name(form)) or self._find_by_key(form)
            # Both tests, because words are compared in the singular and figures at the end.
            narrower = is_narrower(fold_name(form), [preferred])
            if disease and not narrower and not has_narrower_words(form, preferred):
                candidates[disease.concept_id] = disease
        if len(candidates) != 1:
            return None
        (disease,) = candidates.values()
        return disease if self._is_confirmed(heading, disease) else None

    def _is_confirmed(self, heading: ConceptDraft, disease: ConceptDraft) -> bool:
        """Whether more than a synonym says that a heading is a disease."""
        stated = self._mondo.get(fold_name(heading.names[0]))
        if stated is not None:
            return not stated.isdisjoint(_list_ids(disease))
        name = heading.names[0]
        return any(
            adds_detail_only(name, other) or have_equal_words(name, other)
            for other in disease.names
        )

    def _find_phenotype_by_synonym(self, heading: ConceptDraft) -> ConceptDraft | None:
        """The only phenotype that the heading's synonyms name and that is not narrower, confirmed
        from its side."""
        name = heading.names[0]
        preferred = fold_name(name)
        candidates = {}
        for form in map(fold_name, heading.claims):
            if form in self._phenotypes and not is_narrower(form, [preferred]):
                candidates[self._phenotypes[form].concept_id] = self._phenotypes[form]
        if len(candidates) != 1:
            return None
        (phenotype,) = candidates.values()
        key = make_name_key(name)
        lists_heading = any(make_name_key(form) == key for form in phenotype.claims)
        return phenotype if lists_heading or have_equal_words(name, phenotype.names[0]) else None


def _list_ids(concept: ConceptDraft) -> tuple[str, ...]:
    return (concept.concept_id, *concept.xrefs)
