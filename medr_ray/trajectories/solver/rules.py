"""How each kind of step is worked out from what was read.

A rule takes the notes and the values of its inputs and gives the value of the step. Where the notes
do not say, it raises ``Unstated`` with what to look up. Questions are made where all records
agree; the teacher reads a few, so a rule is content with one record that states the value, and
compares what it has read where a step asks for the first or the last.
"""

import functools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from medr_ray.core.records import FactSource
from medr_ray.graph.facts.fact_table import FactTable, StatedFact
from medr_ray.knowledge.name_normalization import fold_name
from medr_ray.questions.steps import STEP_KINDS
from medr_ray.questions.steps.approvals import (
    MARKETED,
    is_marketed,
    list_ingredients,
    make_year,
    read_date,
)
from medr_ray.questions.steps.kinds import Finding, make_number
from medr_ray.retrieval.documents import REGISTRY_PREFIXES
from medr_ray.trajectories.solver.name_ids import TITLE_PREFIX, print_number
from medr_ray.trajectories.solver.notes import Notes, find_paper

_FULL_APPLICATIONS = ("FDA:NDA", "FDA:BLA")
_GENERIC_APPLICATION = "FDA:ANDA"
# Modes of inheritance as both tables name them; "sporadic" or "multifactorial" are none.
_MODE = re.compile(r"MODE:(?:autosomal|x linked|y linked|mitochondrial|semidominant)\b")
_APPROVAL_YEARS = ("us_approval_year", "first_us_approval_year")
_SEARCHES_BEFORE_ABSENCE = 2  # before a record that was seen counts as not stating a field
_SEARCHES_BEFORE_CHECKS = 2  # before what they brought up is looked at one by one
_SEARCHES_WITHOUT_READING = 2  # that show parts of a record, where it cannot be read in full
_ENOUGH_SEARCHES = 1000  # more than any rule asks for
_MAX_ATTEMPTS = 3  # at a call that fails
_MAX_STATUSES = 3  # records that are read for their marketing status at once
_MAX_ALIKE = 3  # applications of one date that are named
_WORLDWIDE = "Worldwide"
_ORANGE_BOOK = REGISTRY_PREFIXES["orange_book"]
Outcome = Literal["answered", "empty", "failed"]


@dataclass(frozen=True)
class LookUp:
    """What is to be looked up: a step, or a part of one (see ``queries.json``), and its
    inputs."""

    kind: str
    inputs: tuple[str, ...]


class Unstated(Exception):
    """The notes do not say what look-ups ask for, which do not depend on each other.

    ``candidate`` is the value that a part of the evidence gives, "" where there is none.
    """

    def __init__(self, *look_ups: LookUp, candidate: str = "") -> None:
        super().__init__("; ".join(f"{item.kind} of {', '.join(item.inputs)}" for item in look_ups))
        self.look_ups = look_ups
        self.candidate = candidate


@dataclass(frozen=True)
class Established:
    """A look-up and the value that it turned out to have."""

    look_up: LookUp
    value: str


@dataclass(frozen=True)
class Conflict:
    """Two editions in a record that differ: ``value`` of the newer is taken, ``other`` of the older
    is not."""

    look_up: LookUp
    value: str
    other: str
    document_id: str


# Why what was read of does not count: none of its products is on the market, or only an
# older edition of the listing has it.
Exclusion = Literal["not_marketed", "older_edition"]


@dataclass(frozen=True)
class Grounds:
    """What a value was worked out from: ``items`` are counted ("count"), or compared by their
    ``values``, as many ("comparison"); ``values`` are the first and the last date of a "span", or
    those of which the "first" or the "last" is wanted, in their order. ``left_out`` do not count,
    for a reason.
    """

    method: Literal["comparison", "count", "span", "first", "last"]
    items: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    reason: Exclusion | None = None


@dataclass
class SearchLog:
    """The calls that were sent, and how they went.

    ``sizes`` says of how many things a look-up had read, by the number of its answered calls,
    ``last_pages`` are those whose last hits were about something else than what is looked up.
    """

    answered: dict["PlannedCall", None] = field(default_factory=dict)
    failures: Counter["PlannedCall"] = field(default_factory=Counter)
    searches: Counter[LookUp] = field(default_factory=Counter)
    readings: Counter[LookUp] = field(default_factory=Counter)
    sizes: dict[LookUp, dict[int, int]] = field(default_factory=dict)
    empty: set["PlannedCall"] = field(default_factory=set)
    last_pages: set["PlannedCall"] = field(default_factory=set)

    def record(self, look_up: LookUp, call: "PlannedCall", outcome: Outcome) -> None:
        """Take note of a call's outcome."""
        if outcome == "empty":
            self.empty.add(call)
        if outcome == "failed":
            self.failures[call] += 1
            return
        self.answered[call] = None
        self.searches[look_up] += 1
        if call.document_id:
            self.readings[look_up] += 1

    def is_open(self, call: "PlannedCall") -> bool:
        """Whether a call may be sent: it was not answered yet and did not fail too often."""
        return call not in self.answered and self.failures[call] < _MAX_ATTEMPTS


@dataclass(frozen=True)
class PlannedCall:
    """A call for a look-up, before it is known which tool takes it: a search for ``text`` among
    ``sources``, or with ``document_id`` a reading of that document for ``text``.

    ``kind`` is the kind of evidence that is looked for among the records of registries,
    ``registry`` the one that is expected to state it. ``place`` counts the phrasings before: each
    goes to another tool. ``page`` is that of the hits.
    """

    text: str
    sources: tuple[str, ...] = ()
    document_id: str = ""
    kind: str = ""
    place: int = 0
    page: int = 1
    registry: FactSource | Literal[""] = ""


@dataclass
class Workings:
    """One attempt to work a plan out from the notes as they are.

    ``can_search`` says whether a call for a look-up can still be sent, ``can_read`` whether records
    can be read in full; with ``is_last`` no call can be sent any more, and what was read has to do;
    ``is_thorough`` see ``Solver``.
    ``established`` is what was found on the way, in that order, and ``support`` the documents that
    decide a look-up where one of several is chosen, or several are counted; ``grounds`` is what it
    was chosen from, counted or worked out from; ``begun`` are the look-ups that have something
    already and are continued.
    """

    notes: Notes
    log: SearchLog
    can_search: Callable[[LookUp], bool]
    can_read: bool = False
    is_last: bool = False
    is_thorough: bool = False
    established: list[Established] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    support: dict[LookUp, tuple[str, ...]] = field(default_factory=dict)
    grounds: dict[LookUp, Grounds] = field(default_factory=dict)
    begun: set[LookUp] = field(default_factory=set)

    @property
    def table(self) -> FactTable:
        return self.notes.table

    def find(self, kind: str, *inputs: str) -> str:
        """The value of a step: raises Unstated."""
        inputs = tuple(map(self._resolve, inputs))
        rule = RULES.get(kind)
        value = rule(self, *inputs) if rule else _find_by_declaration(self, kind, *inputs)
        self.establish(kind, inputs, value)
        return value

    def find_each(self, *steps: tuple[str, ...]) -> list[str]:
        """The values of steps (kind and inputs) that do not depend on each other. Raises Unstated
        with the look-ups of all that are missing."""
        return collect_each([functools.partial(self.find, *step) for step in steps])

    def establish(self, kind: str, inputs: Sequence[str], value: str) -> None:
        """Note a result that a thought is to state."""
        result = Established(LookUp(kind, tuple(inputs)), value)
        if result not in self.established:
            self.established.append(result)

    def note_support(self, records: Sequence[str], kind: str, *inputs: str) -> None:
        """Note the records that decide a look-up; the ids of applications are those of their
        records."""
        self.support[LookUp(kind, inputs)] = tuple(dict.fromkeys(records))

    def note_grounds(self, grounds: Grounds, kind: str, *inputs: str) -> None:
        """Note what a look-up's value was worked out from."""
        self.grounds[LookUp(kind, inputs)] = grounds

    def _resolve(self, value: str) -> str:
        """A paper that is named by its title gets its number."""
        if not value.startswith(TITLE_PREFIX):
            return value
        paper = find_paper(self.notes, value)
        if not paper:
            raise Unstated(LookUp("paper_by_title", (value,)))
        return paper

    def objects(self, predicate: str, subject: str) -> list[str]:
        """The objects that facts state, each once, in the order of reading."""
        return _distinct(fact.object for fact in self.table.facts_of(predicate, subject))

    def subjects(self, predicate: str, obj: str) -> list[str]:
        """The subjects that facts state, each once, in the order of reading."""
        return _distinct(fact.subject for fact in self.table.facts_to(predicate, obj))

    def require(self, values: Sequence[str], kind: str, *inputs: str) -> str:
        """The first value; raises Unstated where there is none."""
        if not values:
            raise Unstated(LookUp(kind, inputs))
        return values[0]

    def search_at_least(self, count: int, kind: str, *inputs: str) -> None:
        """Raises Unstated until so many calls were answered, as long as one can be sent."""
        look_up = LookUp(kind, inputs)
        if self._is_open(look_up) and self.log.searches[look_up] < count:
            raise Unstated(look_up)

    def read_whole(self, candidate: str, kind: str, *inputs: str) -> None:
        """Raises Unstated until the record was read, of which a search shows a part. ``candidate``
        is the value by that part. Where records cannot be read, two searches have to do."""
        look_up = LookUp(kind, inputs)
        if not self._is_open(look_up) or self.log.readings[look_up]:
            return
        if candidate:
            self.begun.add(look_up)
        if self.can_read or self.log.searches[look_up] < _SEARCHES_WITHOUT_READING:
            raise Unstated(look_up, candidate=candidate)

    def search_all(self, size: int, candidate: str, kind: str, *inputs: str) -> None:
        """Raises Unstated until a further page of hits brought nothing to the ``size`` things that
        were read of. ``candidate`` is the value by those."""
        look_up = LookUp(kind, inputs)
        count = self.log.searches[look_up]
        sizes = self.log.sizes.setdefault(look_up, {})
        sizes[count] = size
        is_complete = count > 1 and sizes.get(count - 1) == size
        if self._is_open(look_up) and not is_complete:
            if size:
                self.begun.add(look_up)
            raise Unstated(look_up, candidate=candidate)

    def count_searches(self, look_up: LookUp) -> int:
        """How many calls for a look-up were answered; many where none can be sent any more, so that
        what was read has to do."""
        return self.log.searches[look_up] if self._is_open(look_up) else _ENOUGH_SEARCHES

    def _is_open(self, look_up: LookUp) -> bool:
        return not self.is_last and self.can_search(look_up)


def collect_each(attempts: Sequence[Callable[[], str]]) -> list[str]:
    """The values of attempts that do not depend on each other. Raises Unstated with the look-ups of
    all that fail; with the candidate of the only one that does."""
    values = []
    missing: list[Unstated] = []
    for attempt in attempts:
        try:
            values.append(attempt())
        except Unstated as unstated:
            missing.append(unstated)
    if missing:
        look_ups = _distinct(look_up for unstated in missing for look_up in unstated.look_ups)
        raise Unstated(*look_ups, candidate=missing[0].candidate if len(missing) == 1 else "")
    return values


Rule = Callable[..., str]
T = TypeVar("T")


def _distinct(values: Iterable[T]) -> list[T]:
    return list(dict.fromkeys(values))


def _find_by_declaration(workings: Workings, kind: str, *inputs: str) -> str:
    """By the step's own declaration, which one record suffices for."""
    outcome = STEP_KINDS[kind].find(workings.table, *inputs)
    if isinstance(outcome, Finding) and outcome.value:
        return outcome.value
    raise Unstated(LookUp(kind, inputs))


# --- rare diseases --------------------------------------------------------------------


def _find_gene(workings: Workings, disease: str) -> str:
    genes = workings.objects("associated_gene", disease)
    return workings.require(genes, "gene_of_disease", disease)


def _find_disease(workings: Workings, gene: str) -> str:
    diseases = workings.subjects("associated_gene", gene)
    return workings.require(diseases, "disease_of_gene", gene)


def _find_inheritance(workings: Workings, disease: str) -> str:
    modes = [mode for mode in workings.objects("has_inheritance", disease) if _MODE.match(mode)]
    return workings.require(modes, "inheritance_of_disease", disease)


def _find_prevalence(workings: Workings, disease: str) -> str:
    classes = [
        fact.object
        for fact in workings.table.facts_of("has_prevalence", disease)
        if fact.qualifier("place") == _WORLDWIDE
        and fact.qualifier("kind") == "Point prevalence"
        # A snippet may have cut the status off.
        and fact.qualifier("status") in ("", "Validated")
    ]
    return workings.require(_distinct(classes), "prevalence_of_disease", disease)


def _find_onset(workings: Workings, disease: str) -> str:
    return workings.require(workings.objects("onset_period", disease), "onset_of_disease", disease)


def _find_disease_by_inheritance(workings: Workings, gene: str, mode: str) -> str:
    kind = "disease_by_gene_and_inheritance"
    workings.search_at_least(1, kind, gene, mode)
    for disease in workings.subjects("associated_gene", gene):
        if workings.find("inheritance_of_disease", disease) == mode:
            return disease
    raise Unstated(LookUp(kind, (gene, mode)))


def _find_gene_of_both(workings: Workings, first: str, second: str) -> str:
    genes = []
    for disease in (first, second):
        stated = workings.objects("associated_gene", disease)
        workings.require(stated, "gene_of_disease", disease)
        genes.append(stated)
    shared = [gene for gene in genes[0] if gene in genes[1]]
    return workings.require(shared, "gene_of_both_diseases", first, second)


# --- trials ---------------------------------------------------------------------------


def _list_read_drugs(workings: Workings, trial: str) -> list[str]:
    """The drugs that the interventions or the arms of a trial name."""
    stated = [
        drug
        for predicate in ("studies_intervention", "arm_intervention")
        for drug in workings.objects(predicate, trial)
    ]
    return _distinct(stated)


def _find_drug_of_trial(workings: Workings, trial: str) -> str:
    return workings.require(_list_read_drugs(workings, trial), "drug_of_trial", trial)


def _find_condition(workings: Workings, trial: str) -> str:
    conditions = workings.objects("studies_condition", trial)
    return workings.require(conditions, "condition_of_trial", trial)


def _find_investigator(workings: Workings, trial: str) -> str:
    officials = [
        fact.object
        for fact in workings.table.facts_of("overall_official", trial)
        # A snippet may have cut the role off.
        if fact.qualifier("role") in ("", "PRINCIPAL_INVESTIGATOR")
    ]
    return workings.require(_distinct(officials), "investigator_of_trial", trial)


def _find_trial_by_acronym(workings: Workings, acronym: str, sponsor: str) -> str:
    trials = workings.subjects("trial_acronym", acronym)
    sponsored = [t for t in trials if sponsor in workings.objects("lead_sponsor", t)]
    unknown = [t for t in trials if not workings.objects("lead_sponsor", t)]
    if workings.is_thorough and unknown and not sponsored:
        # Several trials may have the acronym.
        sponsors = workings.find_each(*(("sponsor_of_trial", trial) for trial in unknown))
        named = zip(unknown, sponsors, strict=True)
        unknown = [trial for trial, its_sponsor in named if its_sponsor == sponsor]
    return workings.require([*sponsored, *unknown], "trial_by_acronym", acronym, sponsor)


def _count_countries(workings: Workings, trial: str) -> str:
    kind = "countries_of_trial"
    countries = workings.objects("trial_country", trial)
    count = make_number("countries", len(countries))
    workings.note_grounds(Grounds("count", tuple(countries)), kind, trial)
    workings.read_whole(count if countries else "", kind, trial)
    return workings.require(countries and [count], kind, trial)


def _find_trial_of_paper(workings: Workings, paper: str) -> str:
    trials = workings.objects("registered_as", paper)
    reported = workings.subjects("reports_results_in", paper)
    return workings.require([*trials, *reported], "trial_of_paper", paper)


def _find_missing(kind: str, predicate: str) -> Rule:
    """The value of a field, or "" once the record was seen and does not have it."""

    def find(workings: Workings, trial: str) -> str:
        values = workings.objects(predicate, trial)
        if values:
            return values[0]
        record = workings.notes.find_record(trial)
        searches = workings.count_searches(LookUp(kind, (trial,)))
        is_seen = record is not None and (
            record.was_read or workings.is_last or searches >= _SEARCHES_BEFORE_ABSENCE
        )
        if not is_seen:
            raise Unstated(LookUp(kind, (trial,)))
        return ""

    return find


def _list_drugs_of_trial(workings: Workings, trial: str) -> list[str]:
    """The drugs under study, of which there are at least two."""
    drugs = _list_read_drugs(workings, trial)
    if len(drugs) < 2:
        raise Unstated(LookUp("drugs_of_trial", (trial,)))
    return drugs


def _find_earlier_drug_of_trial(workings: Workings, trial: str) -> str:
    drugs = _list_drugs_of_trial(workings, trial)
    years = workings.find_each(*(("approval_year_of_drug", drug) for drug in drugs))
    grounds = Grounds("comparison", tuple(drugs), tuple(years))
    workings.note_grounds(grounds, "earlier_approved_drug_of_trial", trial)
    workings.note_support([trial], "earlier_approved_drug_of_trial", trial)
    return min(zip(years, drugs, strict=True), key=lambda pair: read_date(pair[0]))[1]


def _find_drug_with_score(workings: Workings, trial: str, score: str) -> str:
    drugs = _list_drugs_of_trial(workings, trial)
    scores = workings.find_each(*(("liver_injury_likelihood_of_drug", drug) for drug in drugs))
    grounds = Grounds("comparison", tuple(drugs), tuple(scores))
    workings.note_grounds(grounds, "drug_of_trial_with_score", trial, score)
    workings.note_support([trial], "drug_of_trial_with_score", trial, score)
    matching = [drug for drug, own in zip(drugs, scores, strict=True) if own == score]
    return workings.require(matching, "drugs_of_trial", trial)


# --- approvals ------------------------------------------------------------------------


def _list_by_trade_name(workings: Workings, drug: str) -> list[str]:
    """The applications whose record has the name of the drug in its title, behind the number:
    "BLA103976 XOLAIR"."""
    names = set(map(fold_name, workings.table.names_of(drug)))
    return [
        document.document_id
        for document in workings.notes.documents.values()
        if document.document_id.startswith(_FULL_APPLICATIONS)
        and names & set(map(fold_name, document.title.partition(" ")[2].split(", ")))
    ]


def _list_applications(workings: Workings, drug: str) -> list[str]:
    """The applications for the drug alone that were read of, whole and abbreviated."""
    products = workings.subjects("active_ingredient", drug)
    applications = [
        application
        for product in products
        for application in workings.subjects("has_product", product)
    ]
    return [
        application
        for application in _distinct(applications)
        if len(list_ingredients(workings.table, application)) < 2
    ]


def _list_full_applications(workings: Workings, drug: str) -> list[str]:
    """The whole applications for the drug alone that were read of; a trial may name it by its trade
    name."""
    applications = [
        *_list_applications(workings, drug),
        *(
            application
            for application in _list_by_trade_name(workings, drug)
            if len(list_ingredients(workings.table, application)) < 2
        ),
    ]
    return [name for name in _distinct(applications) if name.startswith(_FULL_APPLICATIONS)]


def _list_generics(workings: Workings, drug: str) -> list[str]:
    """The abbreviated applications for the drug alone that were read of."""
    applications = _list_applications(workings, drug)
    return [name for name in applications if name.startswith(_GENERIC_APPLICATION)]


def _check_candidates(workings: Workings, drug: str) -> None:
    """Look up the ingredient of applications that were shown without it, where several searches
    showed none that has the drug."""
    searches = workings.count_searches(LookUp("first_application_for_drug", (drug,)))
    if searches < _SEARCHES_BEFORE_CHECKS or _list_full_applications(workings, drug):
        return
    for document in [*workings.notes.documents]:
        is_open = not list_ingredients(workings.table, document)
        if document.startswith(_FULL_APPLICATIONS) and is_open:
            workings.find("drug_of_application", document)


def _find_first_application(workings: Workings, drug: str) -> str:
    kind = "first_application_for_drug"
    _check_candidates(workings, drug)
    applications = _list_full_applications(workings, drug)
    if workings.is_thorough:
        candidate = _guess(workings, applications, min)
        workings.search_all(len(applications), candidate, kind, drug)
    workings.require(applications, kind, drug)
    dates = _date_applications(workings, applications)
    first = min(applications, key=dates.__getitem__)
    workings.note_support([first, *applications], kind, drug)
    _note_dates(workings, applications, kind, drug)
    return first


def _find_latest_application(workings: Workings, drug: str, date: str) -> str:
    kind = "latest_application_for_drug"
    applications = _list_full_applications(workings, drug)
    candidate = _guess(workings, applications, max)
    workings.search_all(len(applications), candidate, kind, drug, date)
    workings.require(applications, kind, drug, date)
    latest = _choose_latest(workings, applications, date)
    workings.note_support([latest, *applications], kind, drug, date)
    _note_dates(workings, applications, kind, drug, date)
    return latest


def _without(items: Sequence[str], *excluded: str) -> list[str]:
    return [item for item in items if item not in excluded]


def _guess(workings: Workings, applications: Sequence[str], choose: Callable[..., str]) -> str:
    """The first or the last of applications whose dates were all shown; "" where they were not."""
    dates = {
        application: read_date(date)
        for application in applications
        for date in workings.objects("original_approval_date", application)
    }
    if len(applications) == 1:
        return applications[0]
    return choose(dates, key=dates.__getitem__) if len(dates) == len(applications) > 0 else ""


def _note_dates(
    workings: Workings,
    applications: Sequence[str],
    kind: str,
    *inputs: str,
    left_out: Sequence[str] = (),
) -> None:
    """Note the dates of approval by which one of several applications is chosen."""
    dates = [
        next(iter(workings.objects("original_approval_date", application)), "")
        for application in applications
    ]
    is_compared = len(applications) > 1 and all(dates)
    grounds = Grounds(
        "comparison",
        tuple(applications) if is_compared else (),
        tuple(dates) if is_compared else (),
        tuple(left_out),
        "not_marketed",
    )
    workings.note_grounds(grounds, kind, *inputs)


def _date_applications(workings: Workings, applications: Sequence[str]) -> dict[str, str]:
    """The dates of approval by application; of a single one none is needed."""
    if len(applications) == 1:
        return {applications[0]: ""}
    kind = "approval_date_of_application"
    dates = workings.find_each(*((kind, application) for application in applications))
    return dict(zip(applications, map(read_date, dates), strict=True))


def _choose_latest(workings: Workings, applications: Sequence[str], date: str) -> str:
    """The application that was approved last, up to a date."""
    dates = _date_applications(workings, applications)
    in_time = [name for name in applications if dates[name] <= read_date(date)]
    return max(in_time or applications, key=dates.__getitem__)


def _find_approval_date(workings: Workings, drug: str) -> str:
    application = workings.find("first_application_for_drug", drug)
    return workings.find("approval_date_of_application", application)


def _find_approval_year(workings: Workings, drug: str) -> str:
    years = [year for predicate in _APPROVAL_YEARS for year in workings.objects(predicate, drug)]
    dates = [
        date
        for application in _list_full_applications(workings, drug)
        for date in workings.objects("original_approval_date", application)
    ]
    kind = "approval_year_of_drug"
    stated = sorted(read_date(value)[:4] for value in (*years, *dates))
    year = workings.require(stated, kind, drug)
    records = [
        fact.record_id
        for predicate in (*_APPROVAL_YEARS, "original_approval_date")
        for subject in (drug, *_list_full_applications(workings, drug))
        for fact in workings.table.facts_of(predicate, subject)
        if read_date(fact.object)[:4] == year
    ]
    # What a check has shown besides is a second one.
    workings.note_support(records[:2], kind, drug)
    return make_year(year)


def _find_earlier_approved(workings: Workings, first: str, second: str) -> str:
    years = workings.find_each(*(("approval_year_of_drug", drug) for drug in (first, second)))
    grounds = Grounds("comparison", (first, second), tuple(years))
    workings.note_grounds(grounds, "earlier_approved_drug", first, second)
    return first if read_date(years[0]) <= read_date(years[1]) else second


def _find_years_between(workings: Workings, first: str, second: str) -> str:
    kind = "years_between_approvals"
    years = workings.find_each(*(("approval_year_of_drug", drug) for drug in (first, second)))
    return _count_years(workings, sorted(years, key=read_date), kind, first, second)


def _list_current(workings: Workings, predicate: str, subjects: Sequence[str]) -> list[StatedFact]:
    """The facts of the newest edition: older ones bear a date in their line."""
    facts = [fact for subject in subjects for fact in workings.table.facts_of(predicate, subject)]
    return _keep_current(facts)


def _keep_current(facts: list[StatedFact]) -> list[StatedFact]:
    # An excerpt may have cut the edition off, which is shown elsewhere.
    older = {(fact.subject, fact.object) for fact in facts if fact.as_of}
    newest = [fact for fact in facts if (fact.subject, fact.object) not in older]
    return newest or facts


def _list_patents(workings: Workings, application: str) -> list[str]:
    products = workings.objects("has_product", application)
    listings = _list_current(workings, "protected_by_patent", products)
    return _distinct(fact.object for fact in listings)


def _find_last_expiry(workings: Workings, application: str) -> str:
    kind = "last_patent_expiry_of_application"
    # The record of the application dates its own patents, and names no other.
    expiries = workings.notes.list_facts("patent_expiry_date", _name_listing(application))
    return _find_last_date(workings, expiries, kind, application)


def _name_listing(application: str) -> str:
    """The Orange Book's record of an application."""
    return f"{_ORANGE_BOOK}:{print_number(application)}"


def _find_last_date(
    workings: Workings, facts: list[StatedFact], kind: str, application: str
) -> str:
    """The last date of the newest edition in a listing, of which a search shows a part. Where an
    older edition has a later date, it is noted that the newer one counts."""
    current = _keep_current(facts)
    last = max((fact.object for fact in current), key=read_date, default="")
    workings.note_support([_name_listing(application)], kind, application)
    workings.read_whole(last, kind, application)
    value = workings.require([last] if current else [], kind, application)
    dates = sorted(_distinct(fact.object for fact in current), key=read_date)
    older = [fact for fact in facts if fact not in current and fact.object not in dates]
    last_older = max(older, key=lambda fact: read_date(fact.object), default=None)
    left_out = _distinct(fact.object for fact in older)
    if last_older is not None and read_date(last_older.object) > read_date(value):
        look_up = LookUp(kind, (application,))
        conflict = Conflict(look_up, value, last_older.object, last_older.record_id)
        workings.conflicts.append(conflict)
        left_out = []  # the conflict says it
    grounds = Grounds("last", (), tuple(dates), tuple(left_out), "older_edition")
    workings.note_grounds(grounds, kind, application)
    return value


def _count_patents(workings: Workings, application: str) -> str:
    kind = "patents_of_application"
    patents = _list_patents(workings, application)
    workings.note_support([_name_listing(application)], kind, application)
    mentioned = [
        patent
        for predicate in ("protected_by_patent", "patent_expiry_date", "patent_claim")
        for fact in workings.notes.list_facts(predicate, _name_listing(application))
        for patent in (fact.subject, fact.object)
        if fact.as_of and patent.startswith("PATENT:")
    ]
    older = _without(_distinct(mentioned), *patents)
    grounds = Grounds("count", tuple(patents), (), tuple(older), "older_edition")
    workings.note_grounds(grounds, kind, application)
    count = make_number("patents", len(patents))
    workings.read_whole(count if patents else "", kind, application)
    return workings.require(patents and [count], kind, application)


def _count_years_of_protection(workings: Workings, application: str) -> str:
    kinds = ("approval_date_of_application", "last_patent_expiry_of_application")
    dates = workings.find_each(*((kind, application) for kind in kinds))
    return _count_years(workings, dates, "years_of_protection", application)


def _find_later_protected(workings: Workings, first: str, second: str) -> str:
    drugs = (first, second)
    applications = workings.find_each(*(("first_application_for_drug", drug) for drug in drugs))
    kind = "last_patent_expiry_of_application"
    expiries = workings.find_each(*((kind, application) for application in applications))
    workings.note_grounds(
        Grounds("comparison", drugs, tuple(expiries)), "later_protected_drug", first, second
    )
    return max(zip(expiries, drugs, strict=True), key=lambda pair: read_date(pair[0]))[1]


def _find_application_of_patent(workings: Workings, patent: str, edition: str) -> str:
    applications = [
        application
        for product in workings.subjects("protected_by_patent", patent)
        for application in workings.subjects("has_product", product)
    ]
    return workings.require(applications, "application_of_patent", patent, edition)


def _find_drug_of_patent(workings: Workings, patent: str, edition: str) -> str:
    application = workings.find("application_of_patent", patent, edition)
    return workings.find("drug_of_application", application)


def _find_exclusivity_end(workings: Workings, application: str) -> str:
    products = workings.objects("has_product", application)
    ends = [
        fact
        for product in products
        for fact in workings.table.facts_of("exclusivity_end_date", product)
    ]
    return _find_last_date(workings, ends, "exclusivity_end_of_application", application)


def _find_trade_name(workings: Workings, application: str) -> str:
    products = workings.objects("has_product", application)
    names = _distinct(
        name
        for subject in (*products, application)
        for name in workings.objects("trade_name", subject)
    )
    return workings.require(names, "trade_name_of_application", application)


def _list_full_of_company(workings: Workings, company: str) -> list[str]:
    """The whole applications of a company that were read of."""
    applications = workings.subjects("application_sponsor", company)
    return [name for name in applications if name.startswith(_FULL_APPLICATIONS)]


def _list_company_applications(workings: Workings, company: str) -> list[str]:
    """The whole applications of a company that were read of, without those of which all products
    that were shown are off the market."""
    applications = _list_full_of_company(workings, company)
    return [name for name in applications if not _is_discontinued(workings, name)]


def _is_discontinued(workings: Workings, application: str) -> bool:
    has_status = bool(_list_statuses(workings, application))
    return has_status and not is_marketed(workings.table, application)


def _list_statuses(workings: Workings, application: str) -> list[str]:
    """The marketing statuses of the products of an application that were shown."""
    return [
        status
        for product in workings.objects("has_product", application)
        for status in workings.objects("marketing_status", product)
    ]


def _find_latest_of_company(workings: Workings, company: str, date: str) -> str:
    kind = "latest_application_of_company"
    applications = _list_company_applications(workings, company)
    full = _list_full_of_company(workings, company)
    off_market = _without(full, *applications)
    candidate = _guess(workings, applications, max)
    workings.search_all(len(full), candidate, kind, company, date)
    workings.require(applications, kind, company, date)
    latest = _choose_latest(workings, applications, date)
    workings.note_support([latest, *applications, *off_market], kind, company, date)
    _note_dates(workings, applications, kind, company, date, left_out=off_market)
    return latest


def _count_approvals(workings: Workings, company: str, year: str) -> str:
    kind = "approvals_of_company_in_year"
    full = _list_full_of_company(workings, company)
    approved = [
        application
        for application in full
        for date in workings.objects("original_approval_date", application)
        if read_date(date)[:4] == read_date(year)
    ]
    matching = [name for name in _distinct(approved) if is_marketed(workings.table, name)]
    off_market = [name for name in _distinct(approved) if _is_discontinued(workings, name)]
    workings.note_support(matching, kind, company, year)
    grounds = Grounds("count", tuple(matching), (), tuple(off_market), "not_marketed")
    workings.note_grounds(grounds, kind, company, year)
    count = make_number("applications", len(matching))
    workings.search_all(len(full), count if matching else "", kind, company, year)
    return workings.require(matching and [count], kind, company, year)


def _count_years_to_first_generic(workings: Workings, drug: str) -> str:
    kinds = ("approval_date_of_drug", "first_generic_approval_of_drug")
    dates = workings.find_each(*((kind, drug) for kind in kinds))
    # No generic comes before its drug: an earlier application was not shown yet.
    if read_date(dates[1]) < read_date(dates[0]):
        raise Unstated(LookUp("first_application_for_drug", (drug,)))
    return _count_years(workings, dates, "years_to_first_generic", drug)


def _find_first_generic(workings: Workings, drug: str) -> str:
    kind = "first_generic_approval_of_drug"
    applications = _list_generics(workings, drug)
    dates = [
        date
        for application in applications
        for date in workings.objects("original_approval_date", application)
    ]
    first = min(dates, key=read_date, default="")
    deciding = [
        application
        for application in applications
        if first in workings.objects("original_approval_date", application)
    ]
    # Several may bear the date.
    workings.note_support(deciding[:_MAX_ALIKE], kind, drug)
    ordered = sorted(_distinct(dates), key=read_date)
    workings.note_grounds(Grounds("first", values=tuple(ordered)), kind, drug)
    # An application of which another search has shown no date is new here.
    workings.search_all(len(dates), first, kind, drug)
    value = workings.require(dates and [first], kind, drug)
    workings.establish("approval_date_of_application", deciding[:1], value)
    return value


def _require_status(workings: Workings, applications: Sequence[str]) -> None:
    """Raises Unstated with the records of which a search left out the marketing status of a
    product, if the others are not on the market."""
    undecided = [
        LookUp("marketing_status_of_application", (application,))
        for application in applications
        if _is_undecided(workings, application)
    ]
    open_look_ups = [look_up for look_up in undecided if workings.can_search(look_up)]
    if open_look_ups and not workings.is_last:
        workings.begun.update(open_look_ups)
        raise Unstated(*open_look_ups[:_MAX_STATUSES])


def _is_undecided(workings: Workings, application: str) -> bool:
    """Whether the record of an application is still to be read for its marketing status."""
    is_read_for = workings.is_thorough and workings.can_read
    is_open = not is_marketed(workings.table, application)
    return is_read_for and is_open and _lacks_status(workings, application)


def _lacks_status(workings: Workings, application: str) -> bool:
    """Whether a product of an application was shown without its status, or the record was cut."""
    products = workings.objects("has_product", application)
    is_complete = all(workings.objects("marketing_status", product) for product in products)
    return not is_complete or workings.notes.is_cut(application)


def _establish_status(workings: Workings, applications: Sequence[str]) -> None:
    """Note the status that records say which were read for it: of a product on the market, if there
    is one."""
    kind = "marketing_status_of_application"
    for application in applications:
        statuses = _list_statuses(workings, application)
        if workings.log.readings[LookUp(kind, (application,))] and statuses:
            workings.establish(kind, (application,), min(statuses, key=_rank_status))


def _rank_status(status: str) -> int:
    return status not in MARKETED


def _count_generic_applications(workings: Workings, drug: str) -> str:
    kind = "generic_applications_of_drug"
    applications = _list_generics(workings, drug)
    marketed = [name for name in applications if is_marketed(workings.table, name)]
    workings.note_support(marketed, kind, drug)
    off_market = [
        name
        for name in applications
        if _is_discontinued(workings, name) and not _is_undecided(workings, name)
    ]
    grounds = Grounds("count", tuple(marketed), (), tuple(off_market), "not_marketed")
    workings.note_grounds(grounds, kind, drug)
    count = make_number("applications", len(marketed))
    workings.search_all(len(applications), count if marketed else "", kind, drug)
    _establish_status(workings, applications)
    _require_status(workings, applications)
    return workings.require(marketed and [count], kind, drug)


def _find_by_trial_values(
    kind: str, value_kind: str, choose: Callable[[Sequence[str]], int]
) -> Rule:
    """The trial of two whose value ``choose`` picks by its place."""

    def find(workings: Workings, first: str, second: str) -> str:
        values = workings.find_each((value_kind, first), (value_kind, second))
        workings.note_grounds(
            Grounds("comparison", (first, second), tuple(values)), kind, first, second
        )
        return (first, second)[choose(values)]

    return find


def _choose_earlier(dates: Sequence[str]) -> int:
    return min((0, 1), key=lambda place: read_date(dates[place]))


def _choose_larger(counts: Sequence[str]) -> int:
    return max((0, 1), key=lambda place: _read_number(counts[place]))


def _read_number(value: str) -> float:
    digits = re.search(r"[\d.,]+", value.partition("/")[2])
    return float(digits.group().replace(",", "")) if digits else 0.0


def _count_years(workings: Workings, dates: Sequence[str], kind: str, *inputs: str) -> str:
    """The years between two dates; questions are asked where those of the calendar are full."""
    earlier, later = dates
    workings.note_grounds(Grounds("span", values=(earlier, later)), kind, *inputs)
    return make_number("years", int(read_date(later)[:4]) - int(read_date(earlier)[:4]))


RULES: Mapping[str, Rule] = {
    "application_of_patent": _find_application_of_patent,
    "approval_date_of_drug": _find_approval_date,
    "approval_year_of_drug": _find_approval_year,
    "approvals_of_company_in_year": _count_approvals,
    "condition_of_trial": _find_condition,
    "countries_of_trial": _count_countries,
    "disease_by_gene_and_inheritance": _find_disease_by_inheritance,
    "disease_of_gene": _find_disease,
    "drug_of_trial": _find_drug_of_trial,
    "drug_of_trial_with_score": _find_drug_with_score,
    "drug_of_patent": _find_drug_of_patent,
    "earlier_approved_drug": _find_earlier_approved,
    "earlier_trial": _find_by_trial_values("earlier_trial", "start_of_trial", _choose_earlier),
    "earlier_approved_drug_of_trial": _find_earlier_drug_of_trial,
    "exclusivity_end_of_application": _find_exclusivity_end,
    "first_application_for_drug": _find_first_application,
    "first_generic_approval_of_drug": _find_first_generic,
    "gene_of_both_diseases": _find_gene_of_both,
    "gene_of_disease": _find_gene,
    "generic_applications_of_drug": _count_generic_applications,
    "inheritance_of_disease": _find_inheritance,
    "investigator_of_trial": _find_investigator,
    "larger_trial": _find_by_trial_values("larger_trial", "participants_of_trial", _choose_larger),
    "last_patent_expiry_of_application": _find_last_expiry,
    "later_protected_drug": _find_later_protected,
    "latest_application_for_drug": _find_latest_application,
    "latest_application_of_company": _find_latest_of_company,
    "missing_acronym_of_trial": _find_missing("missing_acronym_of_trial", "trial_acronym"),
    "missing_collaborator_of_trial": _find_missing("missing_collaborator_of_trial", "collaborator"),
    "onset_of_disease": _find_onset,
    "patents_of_application": _count_patents,
    "prevalence_of_disease": _find_prevalence,
    "trade_name_of_application": _find_trade_name,
    "trial_by_acronym": _find_trial_by_acronym,
    "trial_of_paper": _find_trial_of_paper,
    "years_between_approvals": _find_years_between,
    "years_of_protection": _count_years_of_protection,
    "years_to_first_generic": _count_years_to_first_generic,
}
