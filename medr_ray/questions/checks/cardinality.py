"""What a question may rest on, by how many values a fact has; each refusal has a reason.

- ``cardinality``: only a hop that identifies its target (``graph.facts.identification``) leads to a
  hidden entity or describes the start.
- ``source``: any other hop is the last, and asked by a report or in a source that means to be
  complete.
- ``contradiction``: curated sources state several values.
- ``share``: a share of patients is one of at least 30, and no band.
- ``risk``, ``retired``, ``class``: no gene that is only a risk, no retired entry, no class of
  diseases.
- ``self_named``: no finding that has half of its words from the name of its disease.
- ``qualifier``: no entity whose record says "familial" or the like where its name does not.
- ``date``: facts that age are all of one date, which the question states.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from medr_ray.core.records import Entity, Relation
from medr_ray.graph.facts.fact_index import Clause, FactIndex
from medr_ray.graph.facts.hops import Hop
from medr_ray.graph.facts.identification import find_complete_source, is_identifying
from medr_ray.knowledge.hpo import load_hpo
from medr_ray.knowledge.name_normalization import fold_name
from medr_ray.knowledge.predicates import DISEASE, PREDICATES
from medr_ray.knowledge.published_reports import is_report
from medr_ray.knowledge.shares import has_enough_patients
from medr_ray.questions.drafting.obfuscation import StartDescription
from medr_ray.questions.drafting.question_paths import QuestionPath

_FINDING_PREDICATES = frozenset({"has_finding", "presents_with"})
_SELF_NAMED_SHARE = 0.5
_RETIRED = re.compile(r"^(?:obsolete|deprecated|moved to|removed from)\b|^non rare in ", re.I)
# The head of a class is a plural ("Infections, Central Nervous System") or says so.
_CLASS = re.compile(
    r"(?:neoplasms|diseases|disorders|infections|syndromes|anomalies|abnormalities|injuries|tumou?rs"
    r"|malignant neoplasm|malignancy)(?:,.*)?$",
    re.IGNORECASE,
)
_QUALIFIER = re.compile(
    r"\b(?:familial|hereditary|susceptibility to|historical|somatic|acquired|sporadic|secondary"
    r"|idiopathic|drug-induced|experimental|animal model)\b",
    re.IGNORECASE,
)
_RISK = re.compile(r"\b(?:susceptibility|risk|refuted|disputed|candidate|modif)", re.IGNORECASE)


@dataclass(frozen=True)
class QuestionBasis:
    """What a question says of its facts: the ``source`` that it asks in (a key of
    ``COMPLETE_SOURCES``, "" where the answer holds in any), and the date that they are of ("as of
    12 July 2019", "" where none of them ages)."""

    source: str = ""
    as_of: str = ""


NO_BASIS = QuestionBasis()


def find_basis(
    path: QuestionPath, relations: Mapping[str, Relation], facts: FactIndex
) -> QuestionBasis:
    """The source and the date that the question has to state."""
    sources = [
        find_complete_source(hop, relations[hop.relation_id])
        for hop in _list_last_hops(path)
        if not is_identifying(hop, facts) and not is_report(hop.clinical)
    ]
    if not any(sources) and path.asked != "entity":
        # A share and the order of ages or shares are a table's, whatever leads to the disease.
        sources = [_find_source_of_clause(clause, relations) for clause in path.about]
    dates = _list_dates(path, relations)
    return QuestionBasis(next(filter(None, sources), ""), dates[0] if dates else "")


def _find_source_of_clause(clause: Clause, relations: Mapping[str, Relation]) -> str:
    sources = {evidence.source for evidence in relations[clause.relation_id].evidence}
    return "hpo" if "hpo" in sources else ""


def _list_dates(path: QuestionPath, relations: Mapping[str, Relation]) -> list[str]:
    """The dates of the facts that age, each once, sorted."""
    dates = {
        relations[hop.relation_id].temporal
        for hop in (*path.hops, *path.second)
        if PREDICATES[hop.predicate].ages
    }
    return sorted(dates)


def _list_last_hops(path: QuestionPath) -> list[Hop]:
    """The hops into the end of the path."""
    return [hops[-1] for hops in (path.hops, path.second) if hops]


class CardinalityCheck:
    """The rules of the module over the facts of a run."""

    def __init__(
        self, entities: Mapping[str, Entity], relations: Mapping[str, Relation], facts: FactIndex
    ) -> None:
        self._entities = entities
        self._relations = relations
        self._facts = facts

    def find_refusals(
        self, path: QuestionPath, description: StartDescription | None = None
    ) -> list[str]:
        """Every reason why the path is not asked."""
        return list(
            dict.fromkeys(
                (
                    *self._check_hops(path),
                    *self._check_last_hops(path),
                    *self._check_description(path, description),
                    *self._check_shares(path),
                    *self._check_relations(path),
                    *self._check_entities(path),
                    *self._check_dates(path),
                )
            )
        )

    def _check_hops(self, path: QuestionPath) -> Iterator[str]:
        """The hops to hidden entities, and to the disease whose share is asked."""
        hidden = [hop for hops in (path.hops, path.second) for hop in hops[:-1]]
        if path.asked == "share":
            hidden.append(path.hops[-1])
        for hop in hidden:
            if not is_identifying(hop, self._facts):
                yield f"cardinality: {hop.directed_predicate} leads to a hidden entity"

    def _check_last_hops(self, path: QuestionPath) -> Iterator[str]:
        if path.asked == "share":
            return
        for hop in _list_last_hops(path):
            if PREDICATES[hop.predicate].cardinality(hop.forward) == "conditional":
                values = self._facts.values_by_authority(hop.start, hop.predicate, hop.forward)
                if len(set().union(*values.values())) > 1:
                    yield f"contradiction: curated sources have several {hop.directed_predicate}"
                    continue
            if is_identifying(hop, self._facts) or is_report(hop.clinical):
                continue
            if not find_complete_source(hop, self._relations[hop.relation_id]):
                yield f"source: {hop.directed_predicate} has none that it can be asked in"

    def _check_description(
        self, path: QuestionPath, description: StartDescription | None
    ) -> Iterator[str]:
        if description is None:
            return
        for fact in description.statements:
            hop = Hop("", fact.predicate, False, "", fact.object, path.start)
            if is_identifying(hop, self._facts):
                return
        yield "cardinality: the start is described by facts that are true of others"

    def _check_shares(self, path: QuestionPath) -> Iterator[str]:
        stated: Sequence[Hop | Clause] = (*path.hops, *path.second, *path.clauses)
        for fact in stated:
            if fact.predicate != "has_finding":
                continue
            clinical = self._relations[fact.relation_id].clinical
            if not has_enough_patients(clinical):
                yield "share: of fewer than 30 patients, or a band"
                return

    def _check_relations(self, path: QuestionPath) -> Iterator[str]:
        for relation_id in path.relations:
            relation = self._relations[relation_id]
            if relation.predicate == "associated_gene" and self._is_risk(relation):
                yield "risk: the gene is no more than a risk"
            if relation.predicate in _FINDING_PREDICATES and self._is_self_named(relation):
                yield "self_named: the finding has the name of its disease"
            if self._drops_qualifier(relation):
                yield "qualifier: the record is about a form that the name does not say"

    def _is_risk(self, relation: Relation) -> bool:
        values = self._facts.values_by_authority(relation.subject, relation.predicate, True)
        marked = any(f"risk:{relation.object}" in stated for stated in values.values())
        named = _RISK.search(self._entities[relation.subject].name) is not None
        return marked or named or _RISK.search(relation.clinical) is not None

    def _is_self_named(self, relation: Relation) -> bool:
        finding = set(fold_name(self._entities[relation.object].name).split())
        disease = set(fold_name(self._entities[relation.subject].name).split())
        return len(finding & disease) >= _SELF_NAMED_SHARE * len(finding)

    def _drops_qualifier(self, relation: Relation) -> bool:
        """Whether the record behind the relation is about a form, such as a familial one, that the
        name of its disease does not say."""
        disease = self._entities[relation.subject]
        for evidence in relation.evidence:
            record = load_hpo().diseases.get(evidence.document_id.partition(":")[2])
            if evidence.source != "hpo" or record is None:
                continue
            name = disease.name.casefold()
            for word in _QUALIFIER.findall(record.name):
                if word.casefold() not in name:
                    return True
        return False

    def _check_entities(self, path: QuestionPath) -> Iterator[str]:
        for entity_id in path.entities:
            entity = self._entities[entity_id]
            if entity.entity_type != DISEASE:
                continue
            if _RETIRED.search(entity.name):
                yield "retired: an entry that is no longer in use"
            if _CLASS.search(entity.name):
                yield "class: a class of diseases"

    def _check_dates(self, path: QuestionPath) -> Iterator[str]:
        if len(_list_dates(path, self._relations)) > 1:
            yield "date: facts that age are of several dates"
