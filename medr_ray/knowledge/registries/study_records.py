"""Study records of ClinicalTrials.gov as typed records, in the registry's own names.

Format: the study of the ClinicalTrials.gov API, version 2
(https://clinicaltrials.gov/data-api/about-api/study-data-structure), as its downloads and ``GET
/studies`` give it. Only what is read is typed. A field of another type than the format's is left
out and listed, the others stay; a field of the typed records is "" or empty where a study has none.
"""

import functools
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, Field

from medr_ray.core.errors import DataError
from medr_ray.knowledge.registries.record_reading import (
    UnusableRecords,
    read_json_lines,
    validate_leniently,
)
from medr_ray.knowledge.vocabulary_reading import open_vocabulary, read_json_array

_PAGE_KEY = "studies"  # of an answer of ``GET /studies``
_PEEKED_BYTES = 64  # of a file, which hold the first line of a page over several lines

# --- protocolSection -------------------------------------------------------------------


class SecondaryId(BaseModel):
    id: str = ""
    type: str = ""


class Identification(BaseModel):
    nctId: str = Field(pattern=r"^NCT\d{8}$")
    nctIdAliases: list[str] = []
    briefTitle: str = Field(min_length=1)
    officialTitle: str = ""
    acronym: str = ""
    secondaryIdInfos: list[SecondaryId] = []


class StudyDate(BaseModel):
    """``type`` is ACTUAL or ESTIMATED; "" in records older than that distinction."""

    date: str = ""
    type: str = ""


class Status(BaseModel):
    overallStatus: str = ""
    whyStopped: str = ""
    startDateStruct: StudyDate = StudyDate()
    primaryCompletionDateStruct: StudyDate = StudyDate()
    completionDateStruct: StudyDate = StudyDate()
    lastUpdatePostDateStruct: StudyDate = StudyDate()


class Organisation(BaseModel):
    """``class_`` says of what kind it is, such as INDUSTRY, NIH or OTHER."""

    name: str = ""
    class_: str = Field(default="", alias="class")


class ResponsibleParty(BaseModel):
    """``type`` is SPONSOR, PRINCIPAL_INVESTIGATOR or SPONSOR_INVESTIGATOR: the last is a person who
    is the sponsor too."""

    type: str = ""
    investigatorFullName: str = ""


class Sponsors(BaseModel):
    responsibleParty: ResponsibleParty = ResponsibleParty()
    leadSponsor: Organisation = Organisation()
    collaborators: list[Organisation] = []


class Description(BaseModel):
    briefSummary: str = ""
    detailedDescription: str = ""


class Conditions(BaseModel):
    conditions: list[str] = []
    keywords: list[str] = []


class Masking(BaseModel):
    masking: str = ""


class DesignInfo(BaseModel):
    allocation: str = ""
    interventionModel: str = ""
    observationalModel: str = ""
    primaryPurpose: str = ""
    maskingInfo: Masking = Masking()


class Enrollment(BaseModel):
    """``count`` are participants; ``type`` is ACTUAL or ESTIMATED."""

    count: int | None = Field(default=None, ge=0)
    type: str = ""


class Design(BaseModel):
    studyType: str = ""
    phases: list[str] = []
    designInfo: DesignInfo = DesignInfo()
    enrollmentInfo: Enrollment = Enrollment()


class ArmGroup(BaseModel):
    label: str = ""
    type: str = ""
    interventionNames: list[str] = []


class Intervention(BaseModel):
    name: str = ""
    type: str = ""
    description: str = ""


class ArmsInterventions(BaseModel):
    armGroups: list[ArmGroup] = []
    interventions: list[Intervention] = []


class Outcome(BaseModel):
    measure: str = ""
    timeFrame: str = ""


class Outcomes(BaseModel):
    primaryOutcomes: list[Outcome] = []
    secondaryOutcomes: list[Outcome] = []


class Eligibility(BaseModel):
    eligibilityCriteria: str = ""
    sex: str = ""
    minimumAge: str = ""
    maximumAge: str = ""


class Official(BaseModel):
    name: str = ""
    affiliation: str = ""
    role: str = ""


class Location(BaseModel):
    facility: str = ""
    city: str = ""
    country: str = ""


class ContactsLocations(BaseModel):
    overallOfficials: list[Official] = []
    locations: list[Location] = []


class Retraction(BaseModel):
    pmid: str = ""


class Reference(BaseModel):
    """``type`` is RESULT or BACKGROUND, both as the sponsor says, or DERIVED (found by the trial's
    number in PubMed). ``citation`` is printed as PubMed does. Books and web pages have no
    ``pmid``."""

    pmid: str = ""
    type: str = ""
    citation: str = ""
    retractions: list[Retraction] = []


class References(BaseModel):
    references: list[Reference] = []


class Protocol(BaseModel):
    identificationModule: Identification
    statusModule: Status = Status()
    sponsorCollaboratorsModule: Sponsors = Sponsors()
    descriptionModule: Description = Description()
    conditionsModule: Conditions = Conditions()
    designModule: Design = Design()
    armsInterventionsModule: ArmsInterventions = ArmsInterventions()
    outcomesModule: Outcomes = Outcomes()
    eligibilityModule: Eligibility = Eligibility()
    contactsLocationsModule: ContactsLocations = ContactsLocations()
    referencesModule: References = References()


# --- resultsSection ---------------------------------------------------------------------


class Measurement(BaseModel):
    """A value of one group, as printed ("NA" where it could not be estimated)."""

    groupId: str = ""
    value: str = ""
    spread: str = ""
    lowerLimit: str = ""
    upperLimit: str = ""


class MeasureCategory(BaseModel):
    title: str = ""
    measurements: list[Measurement] = []


class MeasureClass(BaseModel):
    title: str = ""
    categories: list[MeasureCategory] = []


class OutcomeGroup(BaseModel):
    """``id`` means something in its outcome only."""

    id: str = ""
    title: str = ""


class Analysis(BaseModel):
    pValue: str = ""


class OutcomeMeasure(BaseModel):
    """``type`` is PRIMARY, SECONDARY, OTHER_PRE_SPECIFIED or POST_HOC; ``paramType`` says what the
    values are (MEAN, COUNT_OF_PARTICIPANTS), ``dispersionType`` what their spread or limits are."""

    type: str = ""
    title: str = ""
    timeFrame: str = ""
    unitOfMeasure: str = ""
    paramType: str = ""
    dispersionType: str = ""
    groups: list[OutcomeGroup] = []
    classes: list[MeasureClass] = []
    analyses: list[Analysis] = []


class OutcomeMeasures(BaseModel):
    outcomeMeasures: list[OutcomeMeasure] = []


class EventGroup(BaseModel):
    """Participants of a group with at least one serious event, and those at risk of one."""

    id: str = ""
    title: str = ""
    seriousNumAffected: int | None = None
    seriousNumAtRisk: int | None = None


class EventStatistic(BaseModel):
    groupId: str = ""
    numAffected: int | None = None
    numAtRisk: int | None = None


class AdverseEvent(BaseModel):
    term: str = ""
    organSystem: str = ""
    stats: list[EventStatistic] = []


class AdverseEvents(BaseModel):
    """``timeFrame`` is the period over which events were collected."""

    timeFrame: str = ""
    eventGroups: list[EventGroup] = []
    seriousEvents: list[AdverseEvent] = []
    otherEvents: list[AdverseEvent] = []


class Results(BaseModel):
    outcomeMeasuresModule: OutcomeMeasures = OutcomeMeasures()
    adverseEventsModule: AdverseEvents = AdverseEvents()


class Study(BaseModel):
    protocolSection: Protocol
    resultsSection: Results = Results()
    hasResults: bool = False


# What the registry has and nobody reads here, so that a field it renames is noticed.
_UNREAD_FIELDS: dict[type[BaseModel], str] = {
    Study: "annotationSection documentSection derivedSection",
    Protocol: "oversightModule ipdSharingStatementModule",
    Identification: "orgStudyIdInfo organization",
    SecondaryId: "domain link",
    Status: "statusVerifiedDate lastKnownStatus delayedPosting expandedAccessInfo "
    "studyFirstSubmitDate studyFirstSubmitQcDate studyFirstPostDateStruct resultsWaived "
    "resultsFirstSubmitDate resultsFirstSubmitQcDate resultsFirstPostDateStruct "
    "dispFirstSubmitDate dispFirstSubmitQcDate dispFirstPostDateStruct lastUpdateSubmitDate",
    ResponsibleParty: "investigatorTitle investigatorAffiliation oldNameTitle oldOrganization",
    Design: "nPtrsToThisExpAccNctId expandedAccessTypes patientRegistry targetDuration bioSpec",
    DesignInfo: "interventionModelDescription timePerspective",
    Masking: "maskingDescription whoMasked",
    ArmGroup: "description interventionNames",
    Intervention: "armGroupLabels otherNames",
    Outcomes: "otherOutcomes",
    Outcome: "description",
    Eligibility: "healthyVolunteers genderBased genderDescription stdAges studyPopulation "
    "samplingMethod",
    ContactsLocations: "centralContacts",
    Location: "status state zip countryCode contacts geoPoint",
    References: "seeAlsoLinks availIpds",
    Retraction: "source",
    Results: "participantFlowModule baselineCharacteristicsModule moreInfoModule",
    OutcomeMeasure: "description populationDescription reportingStatus anticipatedPostingDate "
    "calculatePct typeUnitsAnalyzed denomUnitsSelected denoms",
    OutcomeGroup: "description",
    MeasureClass: "denoms",
    Measurement: "comment",
    Analysis: "groupIds groupDescription testedNonInferiority nonInferiorityType "
    "nonInferiorityComment pValueComment statisticalMethod statisticalComment paramType paramValue "
    "ciPctValue ciNumSides ciLowerLimit ciUpperLimit ciLowerLimitComment ciUpperLimitComment "
    "dispersionType dispersionValue estimateComment otherAnalysisDescription",
    AdverseEvents: "frequencyThreshold description allCauseMortalityComment",
    EventGroup: "description deathsNumAffected deathsNumAtRisk otherNumAffected otherNumAtRisk",
    AdverseEvent: "sourceVocabulary assessmentType notes",
    EventStatistic: "numEvents",
}

# --- reading ----------------------------------------------------------------------------


def parse_study(record: Mapping[str, Any]) -> tuple[Study, list[tuple[str, str]]]:
    """The study of one record, and (field, reason) of what had to be left out of it.

    DataError names the field without which a record is no study: its number or its title.
    """
    return validate_leniently(Study, record)


def list_unknown_fields(record: Mapping[str, Any]) -> list[str]:
    """The paths of the fields that the registry's format does not have, each once and without
    positions in lists: what it has renamed, or what somebody added."""
    return list(dict.fromkeys(_find_unknown_fields(record, Study, "")))


def _find_unknown_fields(value: Any, model: type[BaseModel], path: str) -> Iterator[str]:
    """Those of an object, or of the objects of a list."""
    if isinstance(value, list):
        for element in value:
            yield from _find_unknown_fields(element, model, path)
    elif isinstance(value, dict):
        members = _list_members(model)
        for name, member in value.items():
            if name not in members:
                yield f"{path}{name}"
            elif (member_model := members[name]) is not None:
                yield from _find_unknown_fields(member, member_model, f"{path}{name}.")


@functools.cache
def _list_members(model: type[BaseModel]) -> dict[str, type[BaseModel] | None]:
    """The names of a record's fields, and the model of those that hold records of their own."""
    members: dict[str, type[BaseModel] | None] = {
        field.alias or name: _find_model(field.annotation)
        for name, field in model.model_fields.items()
    }
    return members | dict.fromkeys(_UNREAD_FIELDS.get(model, "").split())


def _find_model(annotation: Any) -> type[BaseModel] | None:
    """The model of a field that is a record or a list of them; None for any other."""
    element, *_ = typing.get_args(annotation) or (annotation,)
    return element if isinstance(element, type) and issubclass(element, BaseModel) else None


def read_study_records(
    path: str, unusable: UnusableRecords
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(place in the file, record) of every study of a file: one JSON object a line, or the pages
    that the API answers with, each an object with a list of ``studies``."""
    if _is_page(path):
        yield from _read_page(path, unusable)
        return
    for where, record in read_json_lines(path, unusable):
        if _PAGE_KEY not in record:
            yield where, record
            continue
        studies = record[_PAGE_KEY]
        if isinstance(studies, list):
            yield from _place_studies(studies, f"{where}, study", path, unusable)
        else:
            unusable.add_record(path, where, f"no list of {_PAGE_KEY}")


def _is_page(path: str) -> bool:
    """Whether the file is one JSON object over several lines, as the API prints a page on demand.
    False for a file that cannot be read: its lines say why."""
    try:
        with open_vocabulary(path) as stream:
            first_line, line_end, _ = stream.read(_PEEKED_BYTES).partition(b"\n")
    except DataError:
        return False
    return bool(line_end) and first_line.strip() == b"{"


def _read_page(path: str, unusable: UnusableRecords) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        with open_vocabulary(path) as stream:
            studies = read_json_array(stream, _PAGE_KEY)
            yield from _place_studies(studies, "study", path, unusable)
    except (DataError, ValueError) as error:
        unusable.add_record(path, "the rest of the file", str(error))


def _place_studies(
    studies: Iterable[Any], place: str, path: str, unusable: UnusableRecords
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """("PLACE N", study) of the studies that are JSON objects."""
    for number, study in enumerate(studies, 1):
        where = f"{place} {number}"
        if isinstance(study, Mapping):
            yield where, study
        else:
            unusable.add_record(path, where, f"no JSON object, but {type(study).__name__}")
