"""Study records of ClinicalTrials.gov, one JSON object a line.

Format: the study of the ClinicalTrials.gov API, version 2
(https://clinicaltrials.gov/data-api/about-api/study-data-structure), as its downloads and ``GET
/studies`` give it. A record's year is that of its latest version, which may report anything up to
then. A registered study is evidence once it has results; before, it only shows what is being tried.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, Field

from medr_ray.core.errors import DataError
from medr_ray.core.validation_messages import validate_record
from medr_ray.knowledge.registries.record_reading import UnusableRecords, read_json_lines
from medr_ray.retrieval.documents import TRIALS, Document
from medr_ray.retrieval.readers.plain_records import format_text, parse_year, to_single_line

_REGISTRY = "ClinicalTrials.gov"
_RANDOMISED = "RANDOMIZED"

# --- the format: only what is read, in the registry's own names -----------------------


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


# --- documents ------------------------------------------------------------------------


def read_trials(paths: Sequence[str], unusable: UnusableRecords) -> Iterator[Document]:
    """``NCT:<nct id>`` for every study of the files."""
    for path in paths:
        for where, record in read_json_lines(path, unusable):
            try:
                yield document_from_study(record)
            except DataError as error:
                unusable.add_record(path, where, str(error))


def document_from_study(record: Mapping[str, Any]) -> Document:
    """The document of one study. DataError names the field that prevents it."""
    study = validate_record(_Study, record)
    protocol = study.protocolSection
    identity = protocol.identificationModule
    design = protocol.designModule
    title = to_single_line(identity.briefTitle)
    sections = [*_list_sections(protocol), *_list_results(study.resultsSection)]
    references = protocol.referencesModule.references
    cited = [f"PMID:{reference.pmid}" for reference in references if reference.pmid]
    evidence = classify_study(design.studyType, design.designInfo.allocation, study.hasResults)
    return Document(
        document_id=f"NCT:{identity.nctId}",
        source=TRIALS,
        title=title,
        text=format_text(title, sections),
        year=parse_year(protocol.statusModule.lastUpdatePostDateStruct.date),
        publication_types=(),
        retracted=False,
        journal=_REGISTRY,
        evidence=evidence,
        # Each once, in the record's order.
        references=tuple(dict.fromkeys(cited)),
    )


def classify_study(study_type: str, allocation: str, has_results: bool) -> str:
    """The kind of evidence (``retrieval.authority``) that a registered study is."""
    if not has_results:
        return "registration"
    if study_type != "INTERVENTIONAL":
        return "observational"
    return "randomised_trial" if allocation == _RANDOMISED else "trial"


def _list_sections(protocol: _Protocol) -> list[tuple[str, str]]:
    """(heading, text) of what was registered; the text may be empty."""
    identity = protocol.identificationModule
    outcomes = protocol.outcomesModule
    description = protocol.descriptionModule
    conditions = protocol.conditionsModule
    interventions = protocol.armsInterventionsModule.interventions
    return [
        ("Official title", identity.officialTitle),
        ("Registered as", " ".join(filter(None, (identity.nctId, identity.acronym)))),
        ("Status", _format_status(protocol.statusModule)),
        ("Why stopped", protocol.statusModule.whyStopped),
        ("Design", _format_design(protocol.designModule)),
        ("Conditions", "; ".join(conditions.conditions)),
        ("Keywords", "; ".join(conditions.keywords)),
        ("Interventions", "; ".join(map(_format_intervention, interventions))),
        ("Summary", description.briefSummary),
        ("Description", description.detailedDescription),
        ("Primary outcomes", "; ".join(map(_format_outcome, outcomes.primaryOutcomes))),
        ("Secondary outcomes", "; ".join(map(_format_outcome, outcomes.secondaryOutcomes))),
        ("Participants", _format_participants(protocol.eligibilityModule)),
        ("Eligibility", protocol.eligibilityModule.eligibilityCriteria),
        ("Sponsor", _format_sponsors(protocol.sponsorCollaboratorsModule)),
    ]


def _format_status(status: _Status) -> str:
    return _join_with_commas(
        _format_constant(status.overallStatus),
        _format_date("started", status.startDateStruct),
        _format_date("completed", status.completionDateStruct),
    )


def _format_design(design: _Design) -> str:
    info = design.designInfo
    count = design.enrollmentInfo.count
    constants = (
        design.studyType,
        *design.phases,
        info.allocation,
        info.interventionModel,
        info.observationalModel,
        info.primaryPurpose,
    )
    participants = f"{count} participants" if count is not None else ""
    return _join_with_commas(*map(_format_constant, constants), participants)


def _format_intervention(intervention: _Intervention) -> str:
    name = f"{intervention.name} ({_format_constant(intervention.type)})"
    return f"{name}, {intervention.description}" if intervention.description else name


def _format_outcome(outcome: _Outcome) -> str:
    return f"{outcome.measure} ({outcome.timeFrame})" if outcome.timeFrame else outcome.measure


def _format_participants(eligibility: _Eligibility) -> str:
    parts = []
    if eligibility.sex:
        parts.append(f"sex {eligibility.sex.lower()}")
    if eligibility.minimumAge:
        parts.append(f"from {eligibility.minimumAge}")
    if eligibility.maximumAge:
        parts.append(f"to {eligibility.maximumAge}")
    return _join_with_commas(*parts)


def _format_sponsors(sponsors: _Sponsors) -> str:
    names = [sponsors.leadSponsor.name]
    names += [collaborator.name for collaborator in sponsors.collaborators]
    return "; ".join(filter(None, names))


def _list_results(results: _Results) -> list[tuple[str, str]]:
    """A section for each outcome that was measured: the values of each group, and the p-values."""
    sections = []
    for outcome in results.outcomeMeasuresModule.outcomeMeasures:
        if outcome.classes:
            heading = f"Result, {_format_constant(outcome.type)} outcome"
            sections.append((heading, _format_result(outcome)))
    return sections


def _format_result(outcome: _OutcomeMeasure) -> str:
    # Measurements name their group by an id that means something in this outcome only.
    groups = {group.id: group.title for group in outcome.groups}
    values = []
    for outcome_class in outcome.classes:
        for category in outcome_class.categories:
            for measurement in category.measurements:
                spread = f"(± {measurement.spread})" if measurement.spread else ""
                group = groups.get(measurement.groupId, "")
                words = (outcome_class.title, category.title, group, measurement.value, spread)
                values.append(" ".join(filter(None, words)))
    tests = [f"p {analysis.pValue}" for analysis in outcome.analyses if analysis.pValue]
    measure = _format_outcome(_Outcome(measure=outcome.title, timeFrame=outcome.timeFrame))
    return f"{measure}, in {outcome.unitOfMeasure}: {'; '.join([*values, *tests])}"


def _format_constant(constant: str) -> str:
    """A constant of the registry, such as ACTIVE_NOT_RECRUITING, in plain words.

    "" for what does not apply.
    """
    return "" if constant == "NA" else constant.replace("_", " ").lower()


def _format_date(event: str, date: _Date) -> str:
    return f"{event} {date.date}" if date.date else ""


def _join_with_commas(*parts: str) -> str:
    return ", ".join(filter(None, parts))
