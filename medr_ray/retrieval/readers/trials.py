"""Study records of ClinicalTrials.gov, one JSON object a line.

Format: the study of the ClinicalTrials.gov API, version 2
(https://clinicaltrials.gov/data-api/about-api/study-data- structure), as its downloads and ``GET
/studies`` give it. A record's year is that of its latest version, which may tell of anything up to
then. A registered study is evidence once it has results; before, it says what is being tried.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, Field

from medr_ray.core.errors import DataError
from medr_ray.retrieval.documents import TRIALS, Document
from medr_ray.retrieval.readers.plain_records import (
    Aside,
    json_lines,
    lines,
    parsed,
    single,
    year_in,
)

_REGISTRY = "ClinicalTrials.gov"
_RANDOMISED = "RANDOMIZED"


class _Identification(BaseModel):
    nctId: str = Field(pattern=r"^NCT\d{8}$")
    briefTitle: str = Field(min_length=1)
    officialTitle: str = ""
    acronym: str = ""


class _Date(BaseModel):
    date: str = ""


class _Status(BaseModel):
    overallStatus: str = ""
    whyStopped: str = ""
    startDateStruct: _Date = _Date()
    completionDateStruct: _Date = _Date()
    lastUpdatePostDateStruct: _Date = _Date()


class _Description(BaseModel):
    briefSummary: str = ""
    detailedDescription: str = ""


class _Conditions(BaseModel):
    conditions: list[str] = []
    keywords: list[str] = []


class _DesignInfo(BaseModel):
    allocation: str = ""
    interventionModel: str = ""
    observationalModel: str = ""
    primaryPurpose: str = ""


class _Enrollment(BaseModel):
    count: int | None = None


class _Design(BaseModel):
    studyType: str = ""
    phases: list[str] = []
    designInfo: _DesignInfo = _DesignInfo()
    enrollmentInfo: _Enrollment = _Enrollment()


class _Intervention(BaseModel):
    type: str = ""
    name: str = ""
    description: str = ""


class _Interventions(BaseModel):
    interventions: list[_Intervention] = []


class _Outcome(BaseModel):
    measure: str = ""
    timeFrame: str = ""


class _Outcomes(BaseModel):
    primaryOutcomes: list[_Outcome] = []
    secondaryOutcomes: list[_Outcome] = []


class _Eligibility(BaseModel):
    eligibilityCriteria: str = ""
    sex: str = ""
    minimumAge: str = ""
    maximumAge: str = ""


class _Name(BaseModel):
    name: str = ""


class _Sponsors(BaseModel):
    leadSponsor: _Name = _Name()
    collaborators: list[_Name] = []


class _Reference(BaseModel):
    pmid: str = ""


class _References(BaseModel):
    references: list[_Reference] = []


class _Protocol(BaseModel):
    identificationModule: _Identification
    statusModule: _Status = _Status()
    sponsorCollaboratorsModule: _Sponsors = _Sponsors()
    descriptionModule: _Description = _Description()
    conditionsModule: _Conditions = _Conditions()
    designModule: _Design = _Design()
    armsInterventionsModule: _Interventions = _Interventions()
    outcomesModule: _Outcomes = _Outcomes()
    eligibilityModule: _Eligibility = _Eligibility()
    referencesModule: _References = _References()


class _Measurement(BaseModel):
    groupId: str = ""
    value: str = ""
    spread: str = ""


class _Category(BaseModel):
    title: str = ""
    measurements: list[_Measurement] = []


class _Class(BaseModel):
    title: str = ""
    categories: list[_Category] = []


class _Group(BaseModel):
    id: str = ""
    title: str = ""


class _Analysis(BaseModel):
    pValue: str = ""


class _OutcomeMeasure(BaseModel):
    type: str = ""
    title: str = ""
    timeFrame: str = ""
    unitOfMeasure: str = ""
    groups: list[_Group] = []
    classes: list[_Class] = []
    analyses: list[_Analysis] = []


class _OutcomeMeasures(BaseModel):
    outcomeMeasures: list[_OutcomeMeasure] = []


class _Results(BaseModel):
    outcomeMeasuresModule: _OutcomeMeasures = _OutcomeMeasures()


class _Study(BaseModel):
    protocolSection: _Protocol
    resultsSection: _Results = _Results()
    hasResults: bool = False


def read_trials(paths: Sequence[str], aside: Aside) -> Iterator[Document]:
    """``NCT:<nct id>`` for every study of the files."""
    for path in paths:
        for where, record in json_lines(path, aside):
            try:
                yield from_study(record)
            except DataError as error:
                aside.put(path, where, str(error))


def from_study(record: Mapping[str, Any]) -> Document:
    """The document of one study. DataError names the field that keeps it from being one."""
    study = parsed(_Study, record)
    protocol = study.protocolSection
    identity = protocol.identificationModule
    title = single(identity.briefTitle)
    cited = tuple(
        dict.fromkeys(
            f"PMID:{one.pmid}" for one in protocol.referencesModule.references if one.pmid
        )
    )
    return Document(
        f"NCT:{identity.nctId}",
        TRIALS,
        title,
        lines(title, [*_told(protocol), *_results(study.resultsSection)]),
        year_in(protocol.statusModule.lastUpdatePostDateStruct.date),
        (),
        False,
        _REGISTRY,
        evidence=evidence_of(
            protocol.designModule.studyType,
            protocol.designModule.designInfo.allocation,
            study.hasResults,
        ),
        references=cited,
    )


def evidence_of(study_type: str, allocation: str, has_results: bool) -> str:
    """The kind of evidence (``retrieval.authority``) that a registered study is."""
    if not has_results:
        return "registration"
    if study_type != "INTERVENTIONAL":
        return "observational"
    return "randomised_trial" if allocation == _RANDOMISED else "trial"


def _told(protocol: _Protocol) -> list[tuple[str, str]]:
    identity, status, outcomes = (
        protocol.identificationModule,
        protocol.statusModule,
        protocol.outcomesModule,
    )
    sponsors = protocol.sponsorCollaboratorsModule
    return [
        ("Official title", identity.officialTitle),
        ("Registered as", " ".join(filter(None, (identity.nctId, identity.acronym)))),
        (
            "Status",
            _joined(
                _words(status.overallStatus),
                _dated("started", status.startDateStruct),
                _dated("completed", status.completionDateStruct),
            ),
        ),
        ("Why stopped", status.whyStopped),
        ("Design", _design(protocol.designModule)),
        ("Conditions", "; ".join(protocol.conditionsModule.conditions)),
        ("Keywords", "; ".join(protocol.conditionsModule.keywords)),
        (
            "Interventions",
            "; ".join(_intervention(one) for one in protocol.armsInterventionsModule.interventions),
        ),
        ("Summary", protocol.descriptionModule.briefSummary),
        ("Description", protocol.descriptionModule.detailedDescription),
        ("Primary outcomes", "; ".join(map(_outcome, outcomes.primaryOutcomes))),
        ("Secondary outcomes", "; ".join(map(_outcome, outcomes.secondaryOutcomes))),
        ("Participants", _participants(protocol.eligibilityModule)),
        ("Eligibility", protocol.eligibilityModule.eligibilityCriteria),
        (
            "Sponsor",
            "; ".join(
                filter(
                    None, (sponsors.leadSponsor.name, *(one.name for one in sponsors.collaborators))
                )
            ),
        ),
    ]


def _design(design: _Design) -> str:
    info, count = design.designInfo, design.enrollmentInfo.count
    models = (info.allocation, info.interventionModel, info.observationalModel, info.primaryPurpose)
    return _joined(
        *map(_words, (design.studyType, *design.phases, *models)),
        f"{count} participants" if count is not None else "",
    )


def _intervention(one: _Intervention) -> str:
    told = f"{one.name} ({_words(one.type)})"
    return f"{told}, {one.description}" if one.description else told


def _outcome(one: _Outcome) -> str:
    return f"{one.measure} ({one.timeFrame})" if one.timeFrame else one.measure


def _participants(who: _Eligibility) -> str:
    return _joined(
        f"sex {who.sex.lower()}" if who.sex else "",
        f"from {who.minimumAge}" if who.minimumAge else "",
        f"to {who.maximumAge}" if who.maximumAge else "",
    )


def _results(results: _Results) -> list[tuple[str, str]]:
    """A line per outcome that was measured: the values of each group, and the p-values."""
    return [
        (f"Result, {_words(one.type)} outcome", _measured(one))
        for one in results.outcomeMeasuresModule.outcomeMeasures
        if one.classes
    ]


def _measured(outcome: _OutcomeMeasure) -> str:
    groups = {one.id: one.title for one in outcome.groups}
    values = [
        " ".join(
            filter(
                None,
                (
                    one.title,
                    category.title,
                    groups.get(value.groupId, ""),
                    value.value,
                    f"(± {value.spread})" if value.spread else "",
                ),
            )
        )
        for one in outcome.classes
        for category in one.categories
        for value in category.measurements
    ]
    tests = [f"p {one.pValue}" for one in outcome.analyses if one.pValue]
    measure = _outcome(_Outcome(measure=outcome.title, timeFrame=outcome.timeFrame))
    return f"{measure}, in {outcome.unitOfMeasure}: {'; '.join([*values, *tests])}"


def _words(constant: str) -> str:
    """A constant of the registry, such as ACTIVE_NOT_RECRUITING, in plain words; "" for what does
    not apply."""
    return "" if constant == "NA" else constant.replace("_", " ").lower()


def _dated(what: str, date: _Date) -> str:
    return f"{what} {date.date}" if date.date else ""


def _joined(*parts: str) -> str:
    return ", ".join(filter(None, parts))
