"""Which concept of HPO a MeSH disease heading is.

1. By preferred name: the disease, phenotype or value with the heading's name or its singular (MeSH
   prints plurals), or the disease whose name has the same words (``make_name_key``).
2. By synonym: the only disease that the heading's synonyms name. A heading with narrower ones below
   it is a class and is no disease by a synonym: "Spinocerebellar Degenerations" lists some of its
   members as entry terms. Neither is a synonym that is narrower than the heading ("congenital
   hydrocephalus", "dilated cardiomyopathy 1A").
3. By synonym, the only such phenotype.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from medr_ray.knowledge.dictionaries import DictionaryEntry
from medr_ray.knowledge.disease_identity import (
    has_narrower_words,
    make_name_key,
    reverses_compound,
)
from medr_ray.knowledge.identity import ConceptDraft, is_narrower
from medr_ray.knowledge.name_normalization import fold_name
from medr_ray.knowledge.predicates import DISEASE, PHENOTYPE, VALUE


class HeadingMatcher:
    """Finds the concept of HPO that a heading is."""

    def __init__(self, drafts: Iterable[ConceptDraft], entries: Iterable[DictionaryEntry]) -> None:
        """``drafts`` are HPO's, ``entries`` all headings of MeSH."""
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
        concept = self._find_by_name(heading)
        if concept is None and self._parent_trees.isdisjoint(trees):
            concept = self._find_disease_by_synonym(heading)
        return concept or _find_by_synonym(heading, self._phenotypes)

    def _find_by_name(self, heading: ConceptDraft) -> ConceptDraft | None:
        preferred = fold_name(heading.names[0])
        for concepts in (self._diseases, self._phenotypes):
            for name in (preferred, preferred.removesuffix("s")):
                if name in concepts:
                    return concepts[name]
        # "Uniparental disomy" is a mode of inheritance; its synonyms may be diseases.
        return self._values.get(preferred) or self._find_by_key(heading.names[0])

    def _find_by_key(self, form: str) -> ConceptDraft | None:
        disease = self._diseases_by_key.get(make_name_key(form))
        if disease is None or any(reverses_compound(form, name) for name in disease.names):
            return None
        return disease

    def _find_disease_by_synonym(self, heading: ConceptDraft) -> ConceptDraft | None:
        by_name = _find_by_synonym(heading, self._diseases)
        if by_name is not None:
            return by_name
        candidates = {}
        preferred = fold_name(heading.names[0])
        for form in heading.claims:
            disease = self._find_by_key(form)
            # Both tests, because words are compared in the singular and figures at the end.
            narrower = is_narrower(fold_name(form), [preferred])
            if disease and not narrower and not has_narrower_words(form, preferred):
                candidates[disease.concept_id] = disease
        return next(iter(candidates.values())) if len(candidates) == 1 else None


def _find_by_synonym(
    heading: ConceptDraft, concepts: Mapping[str, ConceptDraft]
) -> ConceptDraft | None:
    """The only concept that the heading's synonyms name and that is not narrower. ``concepts`` are
    by folded names."""
    preferred = fold_name(heading.names[0])
    candidates = {}
    for form in map(fold_name, heading.claims):
        if form in concepts and not is_narrower(form, [preferred]):
            candidates[concepts[form].concept_id] = concepts[form]
    return next(iter(candidates.values())) if len(candidates) == 1 else None
