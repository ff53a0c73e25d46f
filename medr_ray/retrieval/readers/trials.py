"""Study records of ClinicalTrials.gov as documents.

Their format is that of ``knowledge.registries.study_records``. A record's year is that of its
latest version, which may report anything up to then. A registered study is evidence once it has
results; before, it only shows what is being tried.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from medr_ray.core.errors import DataError
from medr_ray.knowledge.registries.record_reading import UnusableRecords
from medr_ray.knowledge.registries.study_records import (
    Design,
    Eligibility,
    Intervention,
    Outcome,
    OutcomeMeasure,
    Protocol,
    Results,
    Sponsors,
    Status,
    Study,
    StudyDate,
    parse_study,
    read_study_records,
)
from medr_ray.retrieval.documents import TRIALS, Document
from medr_ray.retrieval.readers.plain_records import format_text, parse_year, to_single_line

_REGISTRY = "ClinicalTrials.gov"
_RANDOMISED = "RANDOMIZED"


def read_trials(paths: Sequence[str], unusable: UnusableRecords) -> Iterator[Document]:
    """``NCT:<nct id>`` for every study of the files. Fields that had to be left out of a document
    are listed too."""
    for path in paths:
        for where, record in read_study_records(path, unusable):
            try:
                study, problems = parse_study(record)
            except DataError as error:
                unusable.add_record(path, where, str(error))
                continue
            for field, reason in problems:
                unusable.add_record(path, f"{where}, {field}", reason)
            yield render_study(study)


def document_from_study(record: Mapping[str, Any]) -> Document:
    """The document of one study, without the fields that cannot be read. DataError names the field
    that prevents it."""
    study, _ = parse_study(record)
    return render_study(study)


def render_study(study: Study) -> Document:
    """The document of one study."""
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


def _list_sections(protocol: Protocol) -> list[tuple[str, str]]:
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


def _format_status(status: Status) -> str:
    return _join_with_commas(
        _format_constant(status.overallStatus),
        _format_date("started", status.startDateStruct),
        _format_date("completed", status.completionDateStruct),
    )


def _format_design(design: Design) -> str:
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


def _format_intervention(intervention: Intervention) -> str:
    name = f"{intervention.name} ({_format_constant(intervention.type)})"
    return f"{name}, {intervention.description}" if intervention.description else name


def _format_outcome(outcome: Outcome) -> str:
    return f"{outcome.measure} ({outcome.timeFrame})" if outcome.timeFrame else outcome.measure


def _format_participants(eligibility: Eligibility) -> str:
    parts = []
    if eligibility.sex:
        parts.append(f"sex {eligibility.sex.lower()}")
    if eligibility.minimumAge:
        parts.append(f"from {eligibility.minimumAge}")
    if eligibility.maximumAge:
        parts.append(f"to {eligibility.maximumAge}")
    return _join_with_commas(*parts)


def _format_sponsors(sponsors: Sponsors) -> str:
    organisations = (sponsors.leadSponsor, *sponsors.collaborators)
    return "; ".join(organisation.name for organisation in organisations if organisation.name)


def _list_results(results: Results) -> list[tuple[str, str]]:
    """A section for each outcome that was measured: the values of each group, and the p-values."""
    sections = []
    for outcome in results.outcomeMeasuresModule.outcomeMeasures:
        if outcome.classes:
            heading = f"Result, {_format_constant(outcome.type)} outcome"
            sections.append((heading, _format_result(outcome)))
    return sections


def _format_result(outcome: OutcomeMeasure) -> str:
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
    measure = _format_outcome(Outcome(measure=outcome.title, timeFrame=outcome.timeFrame))
    return f"{measure}, in {outcome.unitOfMeasure}: {'; '.join([*values, *tests])}"


def _format_constant(constant: str) -> str:
    """A constant of the registry, such as ACTIVE_NOT_RECRUITING, in plain words.

    "" for what does not apply.
    """
    return "" if constant == "NA" else constant.replace("_", " ").lower()


def _format_date(event: str, date: StudyDate) -> str:
    return f"{event} {date.date}" if date.date else ""


def _join_with_commas(*parts: str) -> str:
    return ", ".join(filter(None, parts))
