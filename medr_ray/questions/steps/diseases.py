"""Steps over rare diseases: genes, inheritance, onset, prevalence, in the curated tables of OMIM
(with HPO) and Orphanet.

What a single table may have wrong, a gene or a mode of inheritance, is asked only where both agree.
"""

import re
from collections.abc import Collection, Iterator

from medr_ray.graph.facts.fact_table import FactTable, StatedFact
from medr_ray.questions.steps.kinds import (
    Cues,
    Finding,
    Outcome,
    Refusal,
    StepKind,
    Wording,
    propose_objects,
    propose_subjects,
    take_single,
)

_TABLES = ("hpo", "orphanet")
_ORPHANET = ("orphanet",)
# Names of classes, of entries that are no longer in use, and of forms that are not one disease.
_NO_SINGLE_DISEASE = re.compile(
    r"^(?:obsolete|deprecated|moved to|removed from|non rare in )\b"
    r"|\b(?:susceptibility|predisposition|somatic|modifier|risk)\b"
    r"|(?:neoplasms|diseases|disorders|infections|syndromes|anomalies|tumou?rs)(?:,.*)?$",
    re.IGNORECASE,
)
_MAX_GENES = 12  # of a disease whose gene is asked together with another
# Modes of inheritance that exclude each other; "sporadic" or "multifactorial" are no such mode.
_MODES = frozenset(
    {"HP:0000006", "HP:0000007", "HP:0001417", "HP:0001419", "HP:0001423", "HP:0001427"}
)
_WORLDWIDE = ("Worldwide", "Point prevalence", "Validated")


def _authority(fact: StatedFact) -> str:
    """Whose statement a fact is: HPO's file has the entries of OMIM and of Orphanet."""
    return fact.record_id.partition(":")[0]


def _check_name(table: FactTable, disease: str) -> Refusal | None:
    names = table.names_of(disease)
    if not names or _NO_SINGLE_DISEASE.search(names[0]):
        return Refusal("class: no single disease")
    return None


def _agree(facts: Collection[StatedFact], name: str, end: str) -> Outcome:
    """The value that two authorities state, each alone."""
    values: dict[str, set[str]] = {}
    for fact in facts:
        values.setdefault(_authority(fact), set()).add(getattr(fact, end))
    if len(values) < 2:
        return Refusal(f"source: a single authority states {name}")
    distinct = {frozenset(stated) for stated in values.values()}
    if len(distinct) > 1:
        return Refusal(f"contradiction: authorities differ in {name}")
    return take_single(tuple(facts), [getattr(fact, end) for fact in facts], name)


def _is_cause(fact: StatedFact) -> bool:
    return not fact.qualifier("association")


def find_gene(table: FactTable, disease: str) -> Outcome:
    """The gene that OMIM and Orphanet both name, and no other."""
    problem = _check_name(table, disease)
    if problem is not None:
        return problem
    facts = table.facts_of("associated_gene", disease)
    if not all(map(_is_cause, facts)):
        return Refusal("risk: a gene is no more than a risk")
    return _agree(facts, "associated_gene", "object")


def find_disease_of_gene(table: FactTable, gene: str) -> Outcome:
    """The only disease that any authority links to the gene."""
    facts = table.facts_to("associated_gene", gene)
    if not all(map(_is_cause, facts)):
        return Refusal("risk: a gene is no more than a risk")
    outcome = _agree(facts, "inverse:associated_gene", "subject")
    if isinstance(outcome, Finding):
        return _check_name(table, outcome.value) or outcome
    return outcome


def find_inheritance(table: FactTable, disease: str) -> Outcome:
    """The mode of inheritance that OMIM and Orphanet both give, and no other."""
    problem = _check_name(table, disease)
    if problem is not None:
        return problem
    facts = table.facts_of("has_inheritance", disease)
    outcome = _agree(facts, "has_inheritance", "object")
    if isinstance(outcome, Finding) and outcome.value not in _MODES:
        return Refusal("form: no mode of inheritance")
    return outcome


def find_disease_by_gene_and_inheritance(table: FactTable, gene: str, mode: str) -> Outcome:
    """Of the diseases of a gene, the one that is inherited in that way; the gene has several."""
    facts = table.facts_to("associated_gene", gene)
    diseases = dict.fromkeys(fact.subject for fact in facts)
    if not 2 <= len(diseases) <= 4:
        return Refusal(f"hops_needed: the gene has {len(diseases)} diseases")
    used: list[StatedFact] = []
    winners = []
    for disease in diseases:
        found_gene = find_gene(table, disease)
        outcome = find_inheritance(table, disease)
        for step in (found_gene, outcome):
            if isinstance(step, Refusal):
                return step
            used += step.facts
        if isinstance(outcome, Finding) and outcome.value == mode:
            winners.append(disease)
    return take_single(used, winners, "diseases of that inheritance")


def _propose_genes_and_modes(table: FactTable) -> Iterator[tuple[str, ...]]:
    for gene in table.objects("associated_gene"):
        modes = {
            outcome.value
            for fact in table.facts_to("associated_gene", gene)
            if isinstance(outcome := find_inheritance(table, fact.subject), Finding)
        }
        for mode in sorted(modes):
            yield gene, mode


def _is_worldwide(fact: StatedFact) -> bool:
    place = (fact.qualifier("place"), fact.qualifier("kind"), fact.qualifier("status"))
    return place == _WORLDWIDE


def find_prevalence(table: FactTable, disease: str) -> Outcome:
    """The class of worldwide point prevalence that Orphanet gives."""
    problem = _check_name(table, disease)
    if problem is not None:
        return problem
    facts = [fact for fact in table.facts_of("has_prevalence", disease) if _is_worldwide(fact)]
    outcome = take_single(facts, [fact.object for fact in facts], "has_prevalence", ages=True)
    if isinstance(outcome, Finding) and not re.search(r"\d", outcome.value):
        return Refusal("form: the prevalence is not known")
    return outcome


def find_only_onset(table: FactTable, disease: str) -> Outcome:
    """The only period of onset that Orphanet gives."""
    problem = _check_name(table, disease)
    if problem is not None:
        return problem
    facts = table.facts_of("onset_period", disease)
    outcome = take_single(facts, [fact.object for fact in facts], "onset_period", ages=True)
    if isinstance(outcome, Finding) and outcome.value.endswith("All ages"):
        return Refusal("form: at all ages")
    return outcome


def find_gene_of_both(table: FactTable, first: str, second: str) -> Outcome:
    """The only gene that two diseases share, where each of them has several."""
    genes = []
    facts: list[StatedFact] = []
    for disease in (first, second):
        problem = _check_name(table, disease)
        if problem is not None:
            return problem
        own = table.facts_of("associated_gene", disease)
        if not all(map(_is_cause, own)):
            return Refusal("risk: a gene is no more than a risk")
        genes.append({fact.object for fact in own})
        facts += own
        if _count_genes(own) < 2 or len(genes[-1]) > _MAX_GENES:
            return Refusal("hops_needed: a disease has a single gene, or too many")
    shared = sorted(genes[0] & genes[1])
    used = [fact for fact in facts if fact.object in shared]
    # Each of the two diseases, by two authorities: a somatic or a doubtful gene is one table's.
    stated = {(fact.subject, _authority(fact)) for fact in used}
    if len(stated) < 4:
        return Refusal("source: a single authority states the shared gene")
    return take_single(used, shared, "shared genes")


def _count_genes(facts: Collection[StatedFact]) -> int:
    """How many genes the authority names that names the fewest. With one gene the disease alone
    decides."""
    by_authority: dict[str, set[str]] = {}
    for fact in facts:
        by_authority.setdefault(_authority(fact), set()).add(fact.object)
    return min(map(len, by_authority.values()), default=0)


def _propose_disease_pairs(table: FactTable) -> Iterator[tuple[str, ...]]:
    pairs = set()
    for gene in table.objects("associated_gene"):
        diseases = sorted({fact.subject for fact in table.facts_to("associated_gene", gene)})
        several = [
            disease
            for disease in diseases
            if len({fact.object for fact in table.facts_of("associated_gene", disease)}) > 1
        ]
        pairs |= {(a, b) for a in several for b in several if a < b}
    yield from sorted(pairs)


KINDS = (
    StepKind(
        "gene_of_disease",
        ("disease",),
        "gene",
        find_gene,
        Wording(
            noun=("the gene that causes {0}", "the gene mutated in {0}"),
            statement=("Variants in a single gene cause {0}.",),
            reference="that gene",
            question=(
                "Variants in which gene cause {0}?",
                "Which gene is mutated in {0}?",
            ),
        ),
        Wording(
            noun=(
                "{0}的致病基因",
                "导致{0}的基因",
            ),
            statement=("{0}由单个基因的变异引起。",),
            reference="该基因",
            question=(
                "{0}的致病基因是哪个基因？",
                "哪个基因的变异会导致{0}？",
            ),
        ),
        _TABLES,
        propose_subjects("associated_gene"),
        cues=Cues(("gene & cause|mutation",), asides=("cause", "mutation")),
    ),
    StepKind(
        "disease_of_gene",
        ("gene",),
        "disease",
        find_disease_of_gene,
        Wording(
            noun=("the disorder caused by variants in {0}",),
            statement=("OMIM and Orphanet list a single disorder caused by variants in {0}.",),
            reference="that disorder",
            question=("Which disorder is caused by variants in {0}?",),
        ),
        Wording(
            noun=("{0}变异所致的疾病",),
            statement=("据OMIM和Orphanet，{0}变异只导致一种疾病。",),
            reference="该疾病",
            question=(
                "{0}变异会导致哪种疾病？",
                "由{0}变异引起的是哪种疾病？",
            ),
        ),
        _TABLES,
        propose_objects("associated_gene"),
        cues=Cues(("cause", "mutation")),
    ),
    StepKind(
        "inheritance_of_disease",
        ("disease",),
        "value",
        find_inheritance,
        Wording(
            question=("How is {0} inherited?", "What is the mode of inheritance of {0}?"),
        ),
        Wording(
            question=(
                "{0}的遗传方式是什么？",
                "{0}以何种方式遗传？",
            ),
        ),
        _TABLES,
        propose_subjects("has_inheritance"),
        cues=Cues(("inherit",)),
    ),
    StepKind(
        "prevalence_of_disease",
        ("disease",),
        "category",
        find_prevalence,
        Wording(
            question=(
                "What worldwide point prevalence class does Orphanet give for {0}?",
                "How does Orphanet class the worldwide point prevalence of {0}?",
            )
        ),
        Wording(
            question=(
                "Orphanet给出的{0}全球时点患病率属于哪一区间？",
                "据Orphanet，{0}的全球时点患病率属于哪一区间？",
            ),
        ),
        _ORPHANET,
        propose_subjects("has_prevalence"),
        cues=Cues(("worldwide & prevalence",), asides=("score", "common")),
    ),
    StepKind(
        "onset_of_disease",
        ("disease",),
        "category",
        find_only_onset,
        Wording(question=("In which period of life does {0} begin, according to Orphanet?",)),
        Wording(
            question=(
                "据Orphanet，{0}在哪个年龄阶段起病？",
                "据Orphanet，{0}的起病年龄属于哪个阶段？",
            ),
        ),
        _ORPHANET,
        propose_subjects("onset_period"),
        cues=Cues(("onset",), asides=("start", "participant", "score")),
    ),
    StepKind(
        "disease_by_gene_and_inheritance",
        ("gene", "value"),
        "disease",
        find_disease_by_gene_and_inheritance,
        Wording(
            noun=("the {1} disorder caused by variants in {0}",),
            statement=("Of the disorders caused by variants in {0}, only one is {1}.",),
            reference="that disorder",
            question=("Which {1} disorder is caused by variants in {0}?",),
        ),
        Wording(
            noun=("{0}变异所致的{1}病",),
            statement=("在{0}变异所致的疾病中，只有一种呈{1}。",),
            reference="该疾病",
            question=(
                "{0}变异会导致哪种{1}病？",
                "在{0}变异所致的疾病中，哪一种呈{1}？",
            ),
        ),
        _TABLES,
        _propose_genes_and_modes,
        hops=2,
        cues=Cues(("mode",), asides=("cause", "mutation", "inherit", "several")),
    ),
    StepKind(
        "gene_of_both_diseases",
        ("disease", "disease"),
        "gene",
        find_gene_of_both,
        Wording(
            noun=("the gene that is mutated in some patients with {0} and in some with {1}",),
            question=("Variants in which gene can cause either {0} or {1}?",),
            statement=("Variants in a single gene can cause either {0} or {1}.",),
            reference="that gene",
        ),
        Wording(
            noun=("部分{0}患者和部分{1}患者共有的致病基因",),
            statement=("同一个基因的变异既可导致{0}，也可导致{1}。",),
            reference="该基因",
            question=(
                "哪个基因的变异既可导致{0}，也可导致{1}？",
                "{0}与{1}都可由哪个基因的变异引起？",
            ),
        ),
        _TABLES,
        _propose_disease_pairs,
        hops=2,
        cues=Cues(
            ("gene & cause|mutation|share_gene",), asides=("cause", "mutation", "share_gene")
        ),
    ),
)
