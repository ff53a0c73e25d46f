"""Steps over trials, as ClinicalTrials.gov registers them: what was studied, by whom, how large,
with what result."""

import re
from collections.abc import Iterator

from medr_ray.graph.facts.fact_table import FactTable, StatedFact
from medr_ray.questions.steps.approvals import find_first_approval_year
from medr_ray.questions.steps.kinds import (
    Cues,
    Finding,
    Outcome,
    Refusal,
    StepKind,
    Wording,
    follow,
    make_number,
    make_text,
    propose_subjects,
    take_single,
)

_REGISTRY = ("clinical_trials",)
# An arm that gets none of the drugs under study.
_CONTROL = re.compile(r"\b(?:placebo|sham|no (?:intervention|treatment)|saline|vehicle)\b", re.I)
# Fewer participants than this may differ by chance alone; what is asked is a figure of record.
_MIN_ARM_PARTICIPANTS = 30
_MIN_ARM_EVENTS = 5
_MIN_SHARE_DIFFERENCE = 0.05  # of the participants
_MAX_COUNTRIES = 12  # a count that a person can still check


def is_actual(fact: StatedFact) -> bool:
    """Whether a date or a count is not that of a plan. Older records have no type and are left
    out: they may be either."""
    return "ACTUAL" in (fact.qualifier("date_type"), fact.qualifier("count_type"))


def _is_principal(fact: StatedFact) -> bool:
    return fact.qualifier("role") == "PRINCIPAL_INVESTIGATOR"


def list_drugs(table: FactTable, trial: str) -> list[str]:
    """The drugs under study, each once, where the trial studies nothing else."""
    facts = table.facts_of("studies_intervention", trial)
    return list(dict.fromkeys(fact.object for fact in facts))


def find_only_drug(table: FactTable, trial: str) -> Outcome:
    """The single drug under study: no other drug, and no other intervention but a control."""
    if table.facts_of("studies_among_others", trial):
        return Refusal("cardinality: the drug is one of a combination")
    for fact in table.facts_of("other_intervention", trial):
        if not _CONTROL.search(fact.object):
            return Refusal("cardinality: the trial studies further interventions")
    facts = table.facts_of("studies_intervention", trial)
    return take_single(facts, [fact.object for fact in facts], "studies_intervention")


def find_only_condition(table: FactTable, trial: str) -> Outcome:
    """The single condition under study, where it is a disease."""
    if table.facts_of("other_condition", trial):
        return Refusal("cardinality: the trial studies further conditions")
    facts = table.facts_of("studies_condition", trial)
    outcome = take_single(facts, [fact.object for fact in facts], "studies_condition")
    if isinstance(outcome, Finding) and table.type_of(outcome.value) != "disease":
        return Refusal("form: the condition is no disease")
    return outcome


def count_countries(table: FactTable, trial: str) -> Outcome:
    """In how many countries the record lists sites."""
    facts = table.facts_of("trial_country", trial)
    count = len({fact.object for fact in facts})
    if not 2 <= count <= _MAX_COUNTRIES:
        return Refusal(f"form: {count} countries")
    dates = {fact.as_of for fact in facts}
    return Finding(make_number("countries", count), tuple(facts), max(dates))


# --- results by arm -------------------------------------------------------------------


def find_arm_with_more_serious_events(table: FactTable, trial: str) -> Outcome:
    """The arm with the larger share of participants with serious adverse events, of two."""
    facts = list(table.facts_of("serious_adverse_events", trial))
    if len(facts) != 2:
        return Refusal(f"cardinality: {len(facts)} arms")
    shares = []
    for fact in facts:
        at_risk = float(fact.qualifier("at_risk") or 0)
        if at_risk < _MIN_ARM_PARTICIPANTS or fact.number is None:
            return Refusal("form: an arm is too small to compare")
        shares.append(fact.number / at_risk)
    if abs(shares[0] - shares[1]) < _MIN_SHARE_DIFFERENCE:
        return Refusal("cardinality: both arms have much the same share")
    if max(fact.number or 0 for fact in facts) < _MIN_ARM_EVENTS:
        return Refusal("form: too few events to compare")
    arm = facts[0] if shares[0] > shares[1] else facts[1]
    return Finding(make_text(arm.qualifier("group")), tuple(facts))


def find_earlier_approved_drug(table: FactTable, trial: str) -> Outcome:
    """Of the drugs under study, the one that the FDA approved first."""
    drugs = list_drugs(table, trial)
    if not 2 <= len(drugs) <= 3 or table.facts_of("studies_among_others", trial):
        return Refusal(f"cardinality: {len(drugs)} drugs under study")
    years = {}
    facts: list[StatedFact] = []
    for drug in drugs:
        outcome = find_first_approval_year(table, drug)
        if isinstance(outcome, Refusal):
            return outcome
        years[drug] = outcome.value
        facts += outcome.facts
    first = min(years.values())
    winners = [drug for drug, year in years.items() if year == first]
    facts += table.facts_of("studies_intervention", trial)
    return take_single(facts, winners, "first approval")


# --- openings -------------------------------------------------------------------------


def find_by_acronym_and_sponsor(table: FactTable, acronym: str, sponsor: str) -> Outcome:
    """The trial with that acronym and lead sponsor."""
    facts = [
        (fact, sponsored)
        for fact in table.facts_to("trial_acronym", acronym)
        for sponsored in table.facts_of("lead_sponsor", fact.subject)
        if sponsored.object == sponsor
    ]
    pairs = [fact for pair in facts for fact in pair]
    return take_single(pairs, [fact.subject for fact, _ in facts], "trial_acronym")


def _propose_acronyms(table: FactTable) -> Iterator[tuple[str, ...]]:
    for trial in table.subjects("trial_acronym"):
        for acronym in table.facts_of("trial_acronym", trial):
            for sponsor in table.facts_of("lead_sponsor", trial):
                yield acronym.object, sponsor.object


def find_no_acronym(table: FactTable, trial: str) -> Outcome:
    """That the record gives no acronym."""
    return _find_absence(table, trial, "trial_acronym")


def find_no_collaborator(table: FactTable, trial: str) -> Outcome:
    """That the record names no collaborator."""
    return _find_absence(table, trial, "collaborator")


def _find_absence(table: FactTable, trial: str, predicate: str) -> Outcome:
    if table.facts_of(predicate, trial):
        return Refusal(f"cardinality: {predicate} is recorded")
    # That the record is there is what shows that the field is not.
    facts = tuple(table.facts_of("lead_sponsor", trial))
    if not facts:
        return Refusal("evidence: the trial has no record")
    return Finding("", facts, facts[0].as_of)


KINDS = (
    StepKind(
        "trial_by_acronym",
        ("text", "company"),
        "trial",
        find_by_acronym_and_sponsor,
        Wording(
            noun=("the {0} trial sponsored by {1}",),
            reference="that trial",
        ),
        Wording(
            noun=(
                "由{1}牵头申办、简称为“{0}”的临床试验",
                "{1}牵头申办的“{0}”试验",
            ),
            statement=("{1}牵头申办了一项简称为“{0}”的临床试验。",),
            reference="该试验",
        ),
        _REGISTRY,
        _propose_acronyms,
        hops=1,
        cues=Cues(
            ("text",),
            asides=(
                "lead? sponsor|run * company",
                "company * lead? sponsor|run",
                "acronym",
            ),
        ),
    ),
    StepKind(
        "drug_of_trial",
        ("trial",),
        "drug",
        find_only_drug,
        Wording(
            noun=("the drug studied in {0}", "the drug tested in {0}"),
            statement=("{0} studied a single drug.", "{0} tested one drug."),
            reference="that drug",
            question=("Which drug was studied in {0}?", "What drug did {0} test?"),
        ),
        Wording(
            noun=(
                "{0}所研究的药物",
                "{0}的研究药物",
            ),
            statement=(
                "{0}只研究了一种药物。",
                "{0}仅有一种研究药物。",
            ),
            reference="该药物",
            question=(
                "{0}研究的是哪种药物？",
                "{0}的研究药物是什么？",
            ),
        ),
        _REGISTRY,
        propose_subjects("studies_intervention"),
        cues=Cues(
            (
                "drug * test",
                "test * drug",
                "test * trial",
                "trial * test",
                "trial drug",
                "drug trial",
                "text * test",
                "text * drug",
            )
        ),
    ),
    StepKind(
        "condition_of_trial",
        ("trial",),
        "disease",
        find_only_condition,
        Wording(
            noun=("the disease studied in {0}",),
            statement=("{0} studied a single disease.",),
            reference="that disease",
            question=("Which disease was studied in {0}?",),
        ),
        Wording(
            noun=("{0}所研究的疾病",),
            statement=(
                "{0}只针对一种疾病。",
                "{0}只纳入患有同一种疾病的患者。",
            ),
            reference="该疾病",
            question=(
                "{0}研究的是哪种疾病？",
                "{0}针对的是哪种疾病？",
            ),
        ),
        _REGISTRY,
        propose_subjects("studies_condition"),
        cues=Cues(
            (
                "disease * test",
                "test * disease",
                "trial * disease",
                "disease * trial",
                "enrol * participant? * disease",
            ),
            asides=("enrol", "participant"),
        ),
    ),
    StepKind(
        "sponsor_of_trial",
        ("trial",),
        "company",
        follow("lead_sponsor"),
        Wording(
            noun=("the lead sponsor of {0}",),
            question=(
                "Who is the lead sponsor of {0}?",
                "Which lead sponsor does ClinicalTrials.gov name for {0}?",
            ),
            statement=("{0} had a single lead sponsor.",),
            reference="that sponsor",
        ),
        Wording(
            noun=("{0}的牵头申办方",),
            statement=("{0}由一个申办者牵头申办。",),
            reference="该申办方",
            question=(
                "{0}的牵头申办方是谁？",
                "{0}由谁牵头申办？",
            ),
        ),
        _REGISTRY,
        propose_subjects("lead_sponsor"),
        cues=Cues(
            ("lead sponsor", "sponsor trial|paper", "trial sponsor", "run * trial", "trial * run"),
            chinese=("sponsor", "lead sponsor"),
        ),
    ),
    StepKind(
        "start_of_trial",
        ("trial",),
        "date",
        follow("start_date", is_actual),
        Wording(question=("When did {0} start?", "On what date did {0} begin?")),
        Wording(
            question=(
                "{0}于何时启动？",
                "{0}的实际开始日期是什么时候？",
            ),
        ),
        _REGISTRY,
        propose_subjects("start_date"),
        cues=Cues(("start",)),
    ),
    StepKind(
        "participants_of_trial",
        ("trial",),
        "number",
        follow("enrolment", is_actual),
        Wording(
            question=(
                "How many participants did {0} enrol?",
                "What was the actual enrolment of {0}?",
            )
        ),
        Wording(
            question=(
                "{0}的实际入组人数是多少？",
                "{0}实际入组了多少名受试者？",
            ),
        ),
        _REGISTRY,
        propose_subjects("enrolment"),
        cues=Cues(("participant", "enrol")),
    ),
    StepKind(
        "countries_of_trial",
        ("trial",),
        "number",
        count_countries,
        Wording(question=("In how many countries did {0} have sites?",)),
        Wording(
            question=(
                "{0}在多少个国家和地区设有研究中心？",
                "{0}的研究中心分布在多少个国家和地区？",
            ),
        ),
        _REGISTRY,
        propose_subjects("trial_country"),
        cues=Cues(("country",), asides=("center",)),
    ),
    StepKind(
        "investigator_of_trial",
        ("trial",),
        "person",
        follow("overall_official", _is_principal),
        Wording(question=("Who is the principal investigator of {0}?",)),
        Wording(
            question=(
                "{0}的主要研究者是谁？",
                "谁是{0}的主要研究者（PI）？",
            ),
        ),
        _REGISTRY,
        propose_subjects("overall_official"),
        cues=Cues(("investigator",), asides=("lead|run",)),
    ),
    StepKind(
        "paper_of_trial",
        ("trial",),
        "paper",
        follow("reports_results_in"),
        Wording(
            noun=("the paper that reports the results of {0}",),
            reference="that paper",
            question=(
                "What is the PMID of the paper that reports the results of {0}?",
                "Which paper (PMID) reports the results of {0}?",
            ),
        ),
        Wording(
            noun=("报告{0}结果的论文",),
            reference="该论文",
            question=("报告{0}结果的论文的PMID是多少？", "{0}的结果发表在哪篇论文中（PMID）？"),
        ),
        _REGISTRY,
        propose_subjects("reports_results_in"),
        cues=Cues(
            (
                "result * report",
                "report * result",
                "paper * result",
                "result * paper",
                "trial * report",
                "report * trial",
                "result * trial",
            ),
            asides=("result", "report"),
        ),
    ),
    StepKind(
        "arm_with_more_serious_events",
        ("trial",),
        "text",
        find_arm_with_more_serious_events,
        Wording(
            question=(
                "In which arm of {0} did a larger share of participants have serious adverse "
                "events?",
            )
        ),
        Wording(
            question=(
                "在{0}中，哪一组发生严重不良事件的受试者比例更高？",
                "{0}的哪一组中，发生严重不良事件的受试者所占比例更高？",
            ),
        ),
        _REGISTRY,
        propose_subjects("serious_adverse_events"),
        hops=2,
        cues=Cues(
            ("higher share & serious_event & arm", "share higher & serious_event & arm"),
            asides=("participant", "two", "compare"),
        ),
    ),
    StepKind(
        "earlier_approved_drug_of_trial",
        ("trial",),
        "drug",
        find_earlier_approved_drug,
        Wording(
            noun=("the drug studied in {0} that the FDA approved first",),
            statement=("Of the drugs studied in {0}, the FDA approved one before the others.",),
            reference="that drug",
            question=("Which of the drugs studied in {0} did the FDA approve first?",),
        ),
        Wording(
            statement=("在{0}所研究的药物中，有一种最早获得FDA批准。",),
            reference="该药物",
            question=("{0}研究了不止一种药物，其中哪一种最先获FDA批准？",),
        ),
        ("clinical_trials", "drugs_at_fda", "livertox"),
        propose_subjects("studies_intervention"),
        hops=3,
        cues=Cues(
            (
                "several|drugs & first|earlier approve",
                "several|drugs & approve * first|earlier",
                "test * approve first",
            ),
            asides=("test", "several", "two"),
        ),
    ),
    StepKind(
        "acronym_of_trial",
        ("trial",),
        "text",
        follow("trial_acronym"),
        Wording(question=("What is the acronym of {0}?",)),
        Wording(
            question=(
                "{0}的英文简称是什么？",
                "{0}的英文缩写名是什么？",
            ),
        ),
        _REGISTRY,
        propose_subjects("trial_acronym"),
        cues=Cues(("acronym",)),
    ),
    StepKind(
        "missing_collaborator_of_trial",
        ("trial",),
        "institution",
        find_no_collaborator,
        Wording(question=("Which collaborator does the ClinicalTrials.gov record of {0} name?",)),
        Wording(
            question=("在ClinicalTrials.gov的登记记录中，{0}的合作方是谁？",),
        ),
        _REGISTRY,
        propose_subjects("lead_sponsor"),
        cues=Cues(("clinical_trials & collaborator",)),
    ),
    StepKind(
        "missing_acronym_of_trial",
        ("trial",),
        "text",
        find_no_acronym,
        Wording(question=("What acronym does the ClinicalTrials.gov record give {0}?",)),
        Wording(
            question=("在ClinicalTrials.gov的登记记录中，{0}的英文简称是什么？",),
        ),
        _REGISTRY,
        propose_subjects("lead_sponsor"),
        cues=Cues(("clinical_trials & acronym",)),
    ),
    StepKind(
        "collaborator_of_trial",
        ("trial",),
        "company",
        follow("collaborator"),
        Wording(
            noun=("the collaborator named for {0}",),
            statement=("The sponsor of {0} had a single collaborator.",),
            reference="that collaborator",
            question=("Which collaborator does ClinicalTrials.gov name for {0}?",),
        ),
        Wording(
            noun=("{0}登记的合作方",),
            statement=("{0}的申办方只有一个合作方。",),
            reference="该合作方",
            question=(
                "{0}登记的合作方是谁？",
                "谁是{0}登记的合作方？",
            ),
        ),
        _REGISTRY,
        propose_subjects("collaborator"),
        cues=Cues(("collaborator",), asides=("sponsor",)),
    ),
    StepKind(
        "trial_of_paper",
        ("paper",),
        "trial",
        follow("registered_as"),
        Wording(
            noun=("the trial reported in {0}",),
            statement=("{0} reports a registered trial.",),
            reference="that trial",
            question=("What is the ClinicalTrials.gov number of the trial reported in {0}?",),
        ),
        Wording(
            noun=("{0}所报告的临床试验",),
            statement=("{0}报告了一项已注册的临床试验。",),
            reference="该试验",
            question=("{0}所报告的临床试验在ClinicalTrials.gov上的注册号是什么？",),
        ),
        ("pubmed",),
        propose_subjects("registered_as"),
        cues=Cues(
            (
                "report * trial",
                "trial * report",
                "paper * trial",
                "trial * paper",
                "report * paper",
                "paper * report",
            ),
            asides=("number", "result", "clinical_trials"),
        ),
    ),
)
