"""Facts of the trials that ClinicalTrials.gov has registered.

Files: one study a line as version 2 of the API gives it, or pages of its answers (see
``study_records``). A study's facts are as of its last update. Descriptions and eligibility criteria
give none. Left out too: values that the registry prints as "NA"; the offices and call centres that
some sponsors name as officials; sites without a name of their own ("Research Site"); all adverse
events but the ``MAX_EVENT_TERMS`` serious and as many other terms that affected most participants
of a trial, the groups with none of them included.

A paper reports the results of a trial where its reference says so (``type`` RESULT) and its
citation prints no date before the trial's start: sponsors give many papers that they built on as
results (395 of 568 references here). Those, and references of the type BACKGROUND, are
``cites_paper``; what PubMed found by the trial's number (DERIVED) is ``named_in_paper``.

A trial states its substances by one of two predicates: ``studies_intervention`` where they are all
it studies, ``studies_among_others`` where it also names a combination, a class, a regimen or
something else that is no plain substance. An arm states its own in the same way, by
``arm_intervention`` and ``arm_among_others``.
"""

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from medr_ray.core.errors import DataError
from medr_ray.knowledge.name_normalization import fold_name
from medr_ray.knowledge.registries.companies import parse_company_name
from medr_ray.knowledge.registries.condition_names import is_no_condition
from medr_ray.knowledge.registries.identifiers import (
    CONDITION,
    make_company_id,
    make_institution_id,
    make_paper_id,
    make_person_id,
    make_substance_id,
    make_trial_id,
)
from medr_ray.knowledge.registries.intervention_names import is_comparator, name_substance
from medr_ray.knowledge.registries.literals import (
    make_category,
    make_number,
    make_text,
    parse_date,
)
from medr_ray.knowledge.registries.record_facts import FactCollector, RecordFacts
from medr_ray.knowledge.registries.record_reading import UnusableRecords
from medr_ray.knowledge.registries.study_records import (
    AdverseEvent,
    AdverseEvents,
    ArmsInterventions,
    ContactsLocations,
    Design,
    Identification,
    Intervention,
    Location,
    Organisation,
    OutcomeMeasure,
    Outcomes,
    Protocol,
    Reference,
    Status,
    StudyDate,
    list_unknown_fields,
    parse_study,
    read_study_records,
)

# Of each kind and trial: the largest trials list some 400 terms, most of them for one participant.
MAX_EVENT_TERMS = 30
_PARTICIPANTS = "participants"
_NOT_ESTIMATED = "NA"
_SUBSTANCE_TYPES = frozenset({"DRUG", "BIOLOGICAL"})
_TYPES_WITHOUT_SUBSTANCE = frozenset(
    {"DEVICE", "PROCEDURE", "RADIATION", "BEHAVIORAL", "DIAGNOSTIC_TEST"}
)
_PAPER_PREDICATES = {
    "RESULT": "reports_results_in",
    "DERIVED": "named_in_paper",
    "BACKGROUND": "cites_paper",
}
_PMID = re.compile(r"[1-9]\d{0,7}")
# The date of a citation as PubMed prints it, behind the journal: "Lancet. 2005 Jan 15;365(9455)",
# "2019 Nov-Dec;18(6)", "2026 Jan 30. doi: …".
_CITATION_DATE = re.compile(
    r"\. (?P<year>(?:19|20)\d\d)(?: (?P<month>[A-Z][a-z]{2,5})[^;:.]{0,9}(?:[;:.]|$)|;)"
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# --- names that name nobody and nowhere -------------------------------------------------

# Of an official's name, before its titles: a sponsor's office.
_OFFICE = re.compile(
    r"\d|&|\b(?:clinical|trials?|study|studies|director|directors|medical|medicine|pharma\w*|inc"
    r"|llc|ltd|gmbh|ag|sa|corp\w*|company|call|contact|research|development|sciences?|operations?"
    r"|responsible|transparency|regist\w+|officer|manager|leader|lead|affairs|information|ct\.gov"
    r"|therapeutics?|biotech\w*|bio\w*|oncology|global|hospital|universit\w+|institut\w+|cent(?:er"
    r"|re)|department|investigators?|monitor|sponsor|team|group|program\w*|connect|masteradmins)\b",
    re.IGNORECASE,
)
# Titles of a person, before and behind the name: "Prof. Lin Zhixiu", "Hugh A Sampson, MD".
_TITLE_BEFORE = re.compile(r"(?:(?:prof(?:essor)?|dr)\b\.?\s+)+(?!of\b)\w", re.IGNORECASE)
_TITLES_BEHIND = re.compile(
    r"(?:[\s,]+(?:MD|M\.D\.|Ph\.?D\.?|DO|D\.O\.|D\.C\.|DDS|MBBS|FRCP|MPH|MSc))+\.?\s*$"
)
# Classes of sponsors that say nothing.
_UNKNOWN_CLASSES = frozenset(("", "UNKNOWN", "AMBIG"))
_PUBLIC_BODY = re.compile(
    r"foundation|h[oô]pital|hospital|universit|societ|associat|director|department", re.IGNORECASE
)
# Of a facility: what a sponsor prints where it does not name its sites, and its numbers of sites.
_ANONYMOUS_SITE = re.compile(
    r"\b(?:research|investigati\w+|investigators?'?s?|study|clinical|trial|local)\s+(?:trial\s+)?"
    r"(?:sites?|institutions?|facility)\b|^investigational cent|\bstudy cent(?:er|re)$|^sites?\b",
    re.IGNORECASE,
)
_SITE_NUMBER = re.compile(r"\s*(?:\(\s*site\b[^)]*\)|/\s*id#\s*\d+)\s*$", re.IGNORECASE)
_LETTERS = re.compile(r"[^\W\d_]{3,}")
# Words of which many places make their name: "University Hospital" is another in each city.
_COMMON_PLACE_WORDS = (
    "and at cancer center central centre chest childrens children city clinic clinical clinics de "
    "department dermatology district el first for general health hospital hospitals institute "
    "medical medicine memorial municipal national of oncology office peoples people practice "
    "private provincial regional research s school second the third university veterans"
)


def read_clinical_trials_facts(
    paths: Sequence[str], unusable: UnusableRecords
) -> Iterator[RecordFacts]:
    """The facts of each study of the files. A study without its number or title is unusable; any
    other field that cannot be read, or that the format does not have, is a problem of its study."""
    for path in paths:
        for where, record in read_study_records(path, unusable):
            try:
                yield _collect_facts(record)
            except DataError as error:
                unusable.add_record(path, where, str(error))


def _collect_facts(record: Mapping[str, Any]) -> RecordFacts:
    study, problems = parse_study(record)
    protocol = study.protocolSection
    identity = protocol.identificationModule
    updated, update_problem = _parse_update(protocol.statusModule)
    facts = FactCollector("clinical_trials", identity.nctId, identity.briefTitle, updated)
    if update_problem:
        facts.add_problem(
            "protocolSection.statusModule.lastUpdatePostDateStruct.date", update_problem
        )
    for field, reason in problems:
        facts.add_problem(field, reason)
    for field in list_unknown_fields(record):
        facts.add_problem(field, "is no field of this registry's studies: renamed, or added")
    trial = _add_identity(facts, identity)
    _add_sponsors(facts, trial, protocol)
    _add_status(facts, trial, protocol.statusModule)
    _add_design(facts, trial, protocol.designModule)
    _add_conditions(facts, trial, protocol.conditionsModule.conditions)
    _add_arms(facts, trial, protocol.armsInterventionsModule)
    _add_outcomes(facts, trial, protocol.outcomesModule)
    _add_officials(facts, trial, protocol)
    _add_sites(facts, trial, protocol.contactsLocationsModule)
    started = protocol.statusModule.startDateStruct.date
    _add_papers(facts, trial, protocol.referencesModule.references, started)
    _add_results(facts, trial, study.resultsSection.outcomeMeasuresModule.outcomeMeasures)
    _add_adverse_events(facts, trial, study.resultsSection.adverseEventsModule)
    return facts.build()


def _parse_update(status: Status) -> tuple[str, str]:
    """(ISO date of the last update, what is wrong with it), one of them empty."""
    printed = status.lastUpdatePostDateStruct.date
    try:
        return parse_date(printed).text, ""
    except DataError as error:
        return "", str(error)


# --- what was registered ----------------------------------------------------------------


def _add_identity(facts: FactCollector, trial_record: Identification) -> str:
    """The trial's entity and its names; returns its id."""
    path = "protocolSection.identificationModule"
    other_ids = [f"NCT:{alias}" for alias in trial_record.nctIdAliases]
    for secondary in trial_record.secondaryIdInfos:
        if secondary.type == "EUDRACT_NUMBER" and secondary.id:
            other_ids.append(f"EUDRACT:{secondary.id.strip()}")
    trial = facts.add_entity(
        make_trial_id(trial_record.nctId),
        "trial",
        trial_record.briefTitle,
        trial_record.nctId,
        trial_record.acronym,
        trial_record.officialTitle,
        identifiers=tuple(other_ids),
    )
    names = {
        "trial_title": ("briefTitle", trial_record.briefTitle),
        "official_title": ("officialTitle", trial_record.officialTitle),
        "trial_acronym": ("acronym", trial_record.acronym),
    }
    for predicate, (field, value) in names.items():
        facts.try_value(trial, predicate, make_text, f"{path}.{field}", value)
    return trial


def _add_sponsors(facts: FactCollector, trial: str, protocol: Protocol) -> None:
    path = "protocolSection.sponsorCollaboratorsModule"
    sponsors = protocol.sponsorCollaboratorsModule
    people = _list_people(protocol)
    lead_id = _add_sponsor_entity(facts, trial, sponsors.leadSponsor, people)
    _add_sponsor(facts, trial, "lead_sponsor", sponsors.leadSponsor, lead_id, f"{path}.leadSponsor")
    for position, collaborator in enumerate(sponsors.collaborators):
        place = f"{path}.collaborators.{position}"
        collaborator_id = _add_sponsor_entity(facts, trial, collaborator, people)
        _add_sponsor(facts, trial, "collaborator", collaborator, collaborator_id, place)


def _add_sponsor(
    facts: FactCollector,
    trial: str,
    predicate: str,
    organisation: Organisation,
    entity_id: str,
    path: str,
) -> None:
    if not entity_id:
        facts.add_problem(f"{path}.name", "is missing")
        return
    name = organisation.name
    sponsor_class = organisation.class_
    facts.add_link(trial, predicate, entity_id, f"{path}.name", name, sponsor_class=sponsor_class)


def _add_sponsor_entity(
    facts: FactCollector, trial: str, organisation: Organisation, people: frozenset[str]
) -> str:
    """A company, a person or an institution; "" without a name. ``people`` are the folded names of
    persons of the trial."""
    name = organisation.name
    if not name.strip():
        return ""
    if _is_person(organisation, people):
        return facts.add_entity(make_person_id(name, trial), "person", name)
    if _is_company(organisation):
        return facts.add_entity(make_company_id(name), "company", name)
    return facts.add_entity(make_institution_id(name), "institution", name)


def _list_people(protocol: Protocol) -> frozenset[str]:
    """The folded names of an investigator who is the sponsor, and of officials with titles."""
    party = protocol.sponsorCollaboratorsModule.responsibleParty
    officials = protocol.contactsLocationsModule.overallOfficials
    names = [_strip_titles(official.name) for official in officials if "," in official.name]
    if party.type == "SPONSOR_INVESTIGATOR":
        names.append(party.investigatorFullName)
    return frozenset(map(fold_name, names))


def _is_person(sponsor: Organisation, people: frozenset[str]) -> bool:
    """Whether a sponsor is a person: by its class, by its name among those of ``people``, or by
    titles. People are registered as sponsors of every class, mostly OTHER."""
    if sponsor.class_ == "INDIV":
        return True
    if fold_name(sponsor.name) in people:
        return not _PUBLIC_BODY.search(sponsor.name)
    has_title = _TITLES_BEHIND.search(sponsor.name) or (
        # A company may be called after one: "Dr. Reddy's".
        sponsor.class_ != "INDUSTRY" and _TITLE_BEFORE.match(sponsor.name)
    )
    return bool(has_title) and not _OFFICE.search(_TITLES_BEHIND.sub("", sponsor.name))


def _is_company(sponsor: Organisation) -> bool:
    """Whether a sponsor is a company: by its class; where the registry does not know the class, by
    the legal form in its name. Foundations and hospitals have such forms too."""
    if sponsor.class_ not in _UNKNOWN_CLASSES:
        return sponsor.class_ == "INDUSTRY"
    has_legal_form = bool(parse_company_name(sponsor.name).legal_form)
    return has_legal_form and not _PUBLIC_BODY.search(sponsor.name)


def _strip_titles(name: str) -> str:
    """A person's name without the titles behind it: "Scott T. Weiss, MD, MS"."""
    return name.partition(",")[0].strip()


def _add_status(facts: FactCollector, trial: str, status: Status) -> None:
    path = "protocolSection.statusModule"
    if not status.overallStatus:
        facts.add_problem(f"{path}.overallStatus", "is missing")
    facts.try_value(
        trial, "overall_status", make_category, f"{path}.overallStatus", status.overallStatus
    )
    _add_date(facts, trial, "start_date", status.startDateStruct, f"{path}.startDateStruct")
    _add_date(
        facts,
        trial,
        "primary_completion_date",
        status.primaryCompletionDateStruct,
        f"{path}.primaryCompletionDateStruct",
    )
    _add_date(
        facts,
        trial,
        "completion_date",
        status.completionDateStruct,
        f"{path}.completionDateStruct",
    )


def _add_date(facts: FactCollector, trial: str, predicate: str, date: StudyDate, path: str) -> None:
    facts.try_value(trial, predicate, parse_date, f"{path}.date", date.date, date_type=date.type)


def _add_design(facts: FactCollector, trial: str, design: Design) -> None:
    path = "protocolSection.designModule"
    if not design.studyType:
        facts.add_problem(f"{path}.studyType", "is missing")
    info = design.designInfo
    categories = {
        "study_type": ("studyType", design.studyType),
        # A trial of two phases has both, one without a phase has "NA".
        "trial_phase": ("phases", ", ".join(design.phases)),
        "allocation": ("designInfo.allocation", info.allocation),
        "masking": ("designInfo.maskingInfo.masking", info.maskingInfo.masking),
    }
    for predicate, (field, value) in categories.items():
        facts.try_value(trial, predicate, make_category, f"{path}.{field}", value)
    enrollment = design.enrollmentInfo
    if enrollment.count is not None:
        facts.try_value(
            trial,
            "enrolment",
            functools.partial(make_number, unit=_PARTICIPANTS),
            f"{path}.enrollmentInfo.count",
            str(enrollment.count),
            count_type=enrollment.type,
        )


def _add_conditions(facts: FactCollector, trial: str, conditions: Sequence[str]) -> None:
    path = "protocolSection.conditionsModule.conditions"
    if not conditions:
        facts.add_problem(path, "is missing")
    for position, condition in enumerate(conditions):
        folded = fold_name(condition)
        if not folded:
            facts.add_problem(f"{path}.{position}", "is empty")
            continue
        field = f"{path}.{position}"
        if is_no_condition(condition):
            facts.try_value(trial, "other_condition", make_text, field, condition)
            continue
        disease = facts.add_entity(f"{CONDITION}{folded}", "disease", condition)
        facts.add_link(trial, "studies_condition", disease, field, condition)


def _add_arms(facts: FactCollector, trial: str, arms: ArmsInterventions) -> None:
    path = "protocolSection.armsInterventionsModule"
    for position, arm in enumerate(arms.armGroups):
        field = f"{path}.armGroups.{position}.label"
        if not arm.label:
            facts.add_problem(field, "is missing")
        facts.try_value(trial, "trial_arm", make_text, field, arm.label, arm_type=arm.type)
    # Where a trial also studies what is no plain substance, it has more drugs than those named.
    is_complete = all(map(_is_accounted_for, arms.interventions))
    predicate = "studies_intervention" if is_complete else "studies_among_others"
    _add_substances_of_arms(facts, trial, arms)
    for position, intervention in enumerate(arms.interventions):
        field = f"{path}.interventions.{position}.name"
        printed = intervention.name
        kind = intervention.type
        name = _name_substance(intervention)
        if not printed.strip():
            facts.add_problem(field, "is missing")
        elif name:
            substance = facts.add_entity(make_substance_id(name), "substance", name)
            facts.add_link(trial, predicate, substance, field, printed, intervention_type=kind)
        else:
            facts.try_value(
                trial, "other_intervention", make_text, field, printed, intervention_type=kind
            )


def _add_substances_of_arms(facts: FactCollector, trial: str, arms: ArmsInterventions) -> None:
    """What each arm gets. An arm that names an intervention which the study does not list states
    nothing."""
    # As an arm names them: the type in words, then the name.
    by_name = {fold_name(item.name): item for item in arms.interventions}
    for position, arm in enumerate(arms.armGroups):
        path = f"protocolSection.armsInterventionsModule.armGroups.{position}.interventionNames"
        given = [
            by_name.get(fold_name(printed.partition(": ")[2])) for printed in arm.interventionNames
        ]
        if not arm.label or None in given:
            continue
        is_complete = all(item is not None and _is_accounted_for(item) for item in given)
        predicate = "arm_intervention" if is_complete else "arm_among_others"
        for place, (printed, item) in enumerate(zip(arm.interventionNames, given, strict=True)):
            name = _name_substance(item) if item is not None else ""
            if name:
                substance = facts.add_entity(make_substance_id(name), "substance", name)
                facts.add_link(
                    trial,
                    predicate,
                    substance,
                    f"{path}.{place}",
                    printed,
                    arm=_to_single_line(arm.label),
                    arm_type=arm.type,
                )


def _name_substance(intervention: Intervention) -> str:
    """The substance that an intervention is, "" where it is none."""
    return name_substance(intervention.name) if intervention.type in _SUBSTANCE_TYPES else ""


def _is_accounted_for(intervention: Intervention) -> bool:
    """Whether an intervention is a substance by its name, or holds none that is studied."""
    if intervention.type in _TYPES_WITHOUT_SUBSTANCE:
        return True
    return bool(_name_substance(intervention)) or is_comparator(intervention.name)


def _add_outcomes(facts: FactCollector, trial: str, outcomes: Outcomes) -> None:
    path = "protocolSection.outcomesModule.primaryOutcomes"
    for position, outcome in enumerate(outcomes.primaryOutcomes):
        field = f"{path}.{position}.measure"
        if not outcome.measure:
            facts.add_problem(field, "is missing")
        facts.try_value(
            trial,
            "primary_outcome",
            make_text,
            field,
            outcome.measure,
            time_frame=_to_single_line(outcome.timeFrame),
        )


# --- people, places, papers -------------------------------------------------------------


def _add_officials(facts: FactCollector, trial: str, protocol: Protocol) -> None:
    path = "protocolSection.contactsLocationsModule.overallOfficials"
    sponsor = protocol.sponsorCollaboratorsModule.leadSponsor
    officials = protocol.contactsLocationsModule.overallOfficials
    people = _list_people(protocol)
    is_person = _is_person(sponsor, people)
    for position, official in enumerate(officials):
        field = f"{path}.{position}.name"
        name = _strip_titles(official.name)
        if not name:
            facts.add_problem(field, "is missing")
            continue
        affiliation = _to_single_line(official.affiliation)
        holders = (affiliation,) if is_person else (affiliation, sponsor.name)
        if _is_office(name, holders):
            continue
        person = facts.add_entity(make_person_id(name, trial), "person", name, official.name)
        facts.add_link(
            trial,
            "overall_official",
            person,
            field,
            official.name,
            role=official.role,
            affiliation=affiliation,
        )
        if affiliation and fold_name(affiliation) != fold_name(name):
            is_sponsor = fold_name(affiliation) == fold_name(sponsor.name)
            place = sponsor if is_sponsor else Organisation(name=affiliation)
            facts.add_link(
                person,
                "affiliation",
                _add_sponsor_entity(facts, trial, place, people),
                f"{path}.{position}.affiliation",
                official.affiliation,
            )


def _is_office(name: str, holders: Sequence[str]) -> bool:
    """Whether an official is no person but an office, such as "GSK Clinical Trials", or the holder
    of it: the sponsor itself."""
    folded = fold_name(name)
    return bool(_OFFICE.search(name)) or any(
        fold_name(holder).startswith(folded) for holder in holders
    )


def _add_sites(facts: FactCollector, trial: str, contacts: ContactsLocations) -> None:
    path = "protocolSection.contactsLocationsModule.locations"
    for position, location in enumerate(contacts.locations):
        facility = _SITE_NUMBER.sub("", _to_single_line(location.facility))
        if _is_named_place(facility):
            site = facts.add_entity(
                make_institution_id(_identify_place(facility, location)), "institution", facility
            )
            facts.add_link(
                trial,
                "trial_site",
                site,
                f"{path}.{position}.facility",
                location.facility,
                city=location.city,
                country=location.country,
            )
        facts.try_value(
            trial,
            "trial_country",
            make_category,
            f"{path}.{position}.country",
            location.country,
        )


def _is_named_place(facility: str) -> bool:
    """Whether a facility has a name of its own, and no number or "Research Site"."""
    return bool(_LETTERS.search(facility)) and not _ANONYMOUS_SITE.search(facility)


def _identify_place(facility: str, location: Location) -> str:
    """The name by which a facility is one place: with its city where many places have that name."""
    words = set(fold_name(facility).split())
    is_common = words <= set(_COMMON_PLACE_WORDS.split())
    return f"{facility} {location.city}" if is_common else facility


def _add_papers(
    facts: FactCollector, trial: str, references: Sequence[Reference], started: str
) -> None:
    """The papers of a trial that started at this date, as printed."""
    path = "protocolSection.referencesModule.references"
    for position, reference in enumerate(references):
        field = f"{path}.{position}.pmid"
        predicate = _PAPER_PREDICATES.get(reference.type, "")
        if not reference.pmid:
            continue
        if not _PMID.fullmatch(reference.pmid):
            facts.add_problem(field, f"no PMID: {reference.pmid[:40]!r}")
            continue
        if not predicate:
            facts.add_problem(f"{path}.{position}.type", f"no type: {reference.type[:40]!r}")
            continue
        if reference.type == "RESULT" and _is_older(reference.citation, started):
            predicate = _PAPER_PREDICATES["BACKGROUND"]
        paper = facts.add_entity(make_paper_id(reference.pmid), "paper")
        facts.add_link(trial, predicate, paper, field, reference.pmid)
        for number, retraction in enumerate(reference.retractions):
            if _PMID.fullmatch(retraction.pmid):
                notice = facts.add_entity(make_paper_id(retraction.pmid), "paper")
                place = f"{path}.{position}.retractions.{number}.pmid"
                facts.add_link(paper, "retracted_by", notice, place, retraction.pmid)


def _is_older(citation: str, started: str) -> bool:
    """Whether a paper was certainly published before the trial started. A date without a month is
    compared by its year alone; what prints no date is not older."""
    # The first date: behind it, errata have theirs.
    published = _CITATION_DATE.search(citation)
    try:
        start = parse_date(started).text.split("-")
    except DataError:
        return False  # it is listed where the date is read as the trial's start
    if published is None:
        return False
    year, month = published["year"], published["month"]
    if year != start[0] or month not in _MONTHS or len(start) == 1:
        return year < start[0]
    return f"{_MONTHS.index(month) + 1:02d}" < start[1]


# --- results ----------------------------------------------------------------------------


def _add_results(facts: FactCollector, trial: str, outcomes: Sequence[OutcomeMeasure]) -> None:
    """The values of the primary outcomes, one fact a group, class and category."""
    path = "resultsSection.outcomeMeasuresModule.outcomeMeasures"
    for position, outcome in enumerate(outcomes):
        if outcome.type == "PRIMARY":
            _add_outcome_values(facts, trial, outcome, f"{path}.{position}")


def _add_outcome_values(
    facts: FactCollector, trial: str, outcome: OutcomeMeasure, path: str
) -> None:
    groups = {group.id: group.title or group.id for group in outcome.groups}
    parse = functools.partial(make_number, unit=_to_single_line(outcome.unitOfMeasure))
    shared = {
        "outcome": _to_single_line(outcome.title),
        "time_frame": _to_single_line(outcome.timeFrame),
        "value_type": outcome.paramType,
        "dispersion_type": outcome.dispersionType,
    }
    for row, outcome_class in enumerate(outcome.classes):
        for column, category in enumerate(outcome_class.categories):
            for cell, measurement in enumerate(category.measurements):
                if measurement.value == _NOT_ESTIMATED:
                    continue
                place = f"{path}.classes.{row}.categories.{column}.measurements.{cell}"
                facts.try_value(
                    trial,
                    "primary_outcome_result",
                    parse,
                    f"{place}.value",
                    measurement.value,
                    **shared,
                    group=groups.get(measurement.groupId, measurement.groupId),
                    outcome_class=_to_single_line(outcome_class.title),
                    category=_to_single_line(category.title),
                    spread=measurement.spread,
                    lower_limit=measurement.lowerLimit,
                    upper_limit=measurement.upperLimit,
                )


def _add_adverse_events(facts: FactCollector, trial: str, events: AdverseEvents) -> None:
    path = "resultsSection.adverseEventsModule"
    groups = {group.id: group.title or group.id for group in events.eventGroups}
    time_frame = _to_single_line(events.timeFrame)
    for position, group in enumerate(events.eventGroups):
        _add_affected(
            facts,
            trial,
            "serious_adverse_events",
            (group.seriousNumAffected, group.seriousNumAtRisk),
            f"{path}.eventGroups.{position}.seriousNumAffected",
            group=groups[group.id],
            time_frame=time_frame,
        )
    kinds = {"serious": events.seriousEvents, "other": events.otherEvents}
    for seriousness, terms in kinds.items():
        for position, event in _select_events(terms):
            if not event.term:
                facts.add_problem(f"{path}.{seriousness}Events.{position}.term", "is missing")
                continue
            for cell, statistic in enumerate(event.stats):
                _add_affected(
                    facts,
                    trial,
                    "adverse_event",
                    (statistic.numAffected, statistic.numAtRisk),
                    f"{path}.{seriousness}Events.{position}.stats.{cell}.numAffected",
                    term=_to_single_line(event.term),
                    organ_system=event.organSystem,
                    seriousness=seriousness,
                    group=groups.get(statistic.groupId, statistic.groupId),
                    time_frame=time_frame,
                )


def _select_events(events: Sequence[AdverseEvent]) -> list[tuple[int, AdverseEvent]]:
    """(position, event) of the terms that affected most participants, in the record's order."""
    affected = {position: _count_affected(event) for position, event in enumerate(events)}
    ranked = sorted(affected, key=lambda position: (-affected[position], position))
    kept = {position for position in ranked[:MAX_EVENT_TERMS] if affected[position]}
    return [(position, event) for position, event in enumerate(events) if position in kept]


def _count_affected(event: AdverseEvent) -> int:
    return sum(statistic.numAffected or 0 for statistic in event.stats)


def _add_affected(
    facts: FactCollector,
    trial: str,
    predicate: str,
    counts: tuple[int | None, int | None],
    field: str,
    **qualifiers: str,
) -> None:
    """A fact about (participants affected, participants at risk); none where nobody is at risk."""
    affected, at_risk = counts
    if affected is None or not at_risk:
        return
    if not 0 <= affected <= at_risk:
        facts.add_problem(field, f"{affected} of {at_risk} participants affected")
        return
    literal = make_number(affected, _PARTICIPANTS)
    qualifiers["at_risk"] = str(at_risk)
    facts.add_value(trial, predicate, literal, field, str(affected), **qualifiers)


def _to_single_line(text: str) -> str:
    return " ".join(text.split())
