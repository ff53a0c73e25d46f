"""``diagnose``: the likeliest diseases for a patient's findings, with probabilities that leave room
for none."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from medr_ray.core.config import DiagnosisConfig, PipelineConfig
from medr_ray.core.errors import ToolError
from medr_ray.diagnosis.findings import (
    NameResolver,
    UnresolvedName,
    disease_resolver,
    finding_resolver,
)
from medr_ray.diagnosis.knowledge_base import AnnotatedFinding
from medr_ray.diagnosis.loading import load_diagnosis
from medr_ray.diagnosis.next_finding import rank_next_findings
from medr_ray.diagnosis.posterior import DiagnosisModel, Patient, Posterior, build_patient
from medr_ray.knowledge.hpo import load_hpo
from medr_ray.retrieval.documents import HPO
from medr_ray.tools.arguments import check_arguments
from medr_ray.tools.base import ToolResult
from medr_ray.tools.diagnose.description import describe_diagnosis
from medr_ray.tools.diagnose.evidence import EvidenceUpdate, read_evidence
from medr_ray.tools.diagnose.rendering import (
    DiagnosisAnswer,
    list_record_documents,
    render_diagnosis,
)
from medr_ray.tools.observations import SearchHit
from medr_ray.tools.search import Searcher, translate_index_errors
from medr_ray.tools.threads import DaemonThreads

_NAME_SCHEMA = {"type": "string", "minLength": 1, "maxLength": 200}
_NAMES_SCHEMA = {"type": "array", "items": _NAME_SCHEMA, "maxItems": 200}
_MAX_AGE = 130  # years
_QUERY_FINDINGS = 8  # findings named in the query for evidence
_THREADS = DaemonThreads()


class DiagnoseTool:
    """Differential diagnosis over annotated diseases (see ``medr_ray.diagnosis``).

    ``sources`` are those that evidence is looked up in; ``observation_chars`` bounds what the agent
    is shown.
    """

    name = "diagnose"
    description = (
        "Differential diagnosis of rare diseases by Bayes' rule: probabilities of diseases for "
        "findings that are present or absent, the reasons with references, and the finding to "
        "look for next."
    )
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {
            "findings": {
                **_NAMES_SCHEMA,
                "description": "findings the patient has: names, or ids such as HP:0001250",
            },
            "excluded": {
                **_NAMES_SCHEMA,
                "description": "findings that were looked for and are absent",
            },
            "age": {"type": "number", "minimum": 0, "maximum": _MAX_AGE, "description": "years"},
            "sex": {"type": "string", "enum": ["female", "male"]},
            "candidates": {
                **_NAMES_SCHEMA,
                "description": "diseases to choose from: names or ids; left out: all",
            },
            "results": {
                "type": "integer",
                "minimum": 1,
                "maximum": 50,
                "description": "diseases to show",
            },
            "evidence": {
                "type": "boolean",
                "description": "look up counts of patients in the literature first",
            },
        },
        "required": ["findings"],
        "additionalProperties": False,
    }

    def __init__(
        self,
        config: DiagnosisConfig,
        searcher: Searcher,
        sources: Sequence[str],
        observation_chars: int,
    ) -> None:
        self._config = config
        self._searcher = searcher
        self._sources = tuple(sources)
        self._observation_chars = observation_chars

    async def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        """The diagnosis as text; ``documents`` are the records of the diseases that are listed, and
        those whose counts updated it.

        Raises ToolError for wrong arguments or when nothing in them is understood,
        InfrastructureError when the index fails.
        """
        check_arguments(self.name, self.parameters, arguments)
        # In a thread: it computes over all diseases, and its searches block.
        return await _THREADS.run(lambda: self._diagnose(arguments))

    async def describe(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The diagnosis as plain values (see ``describe_diagnosis``). Raises as ``call`` does."""
        check_arguments(self.name, self.parameters, arguments)
        return await _THREADS.run(lambda: describe_diagnosis(*self._compute_answer(arguments)))

    def _diagnose(self, arguments: Mapping[str, Any]) -> ToolResult:
        diagnosis, answer = self._compute_answer(arguments)
        text = render_diagnosis(diagnosis, answer, self._observation_chars)
        return ToolResult(text, _list_documents(diagnosis, answer, text))

    def _compute_answer(
        self, arguments: Mapping[str, Any]
    ) -> tuple[DiagnosisModel, DiagnosisAnswer]:
        diagnosis, findings, diseases = load_diagnosis_resources(self._config)
        observed, unresolved = findings.resolve(arguments["findings"])
        excluded, unresolved_excluded = findings.resolve(arguments.get("excluded", ()))
        candidates, unresolved_diseases = diseases.resolve(arguments.get("candidates", ()))
        unresolved += unresolved_excluded + unresolved_diseases
        # With at least one finding understood, the others are only reported in the answer.
        if unresolved and not (observed or excluded):
            raise ToolError(_describe_unresolved(unresolved))
        if arguments.get("candidates") and not candidates:
            raise ToolError(_describe_unresolved(unresolved_diseases))
        sex = arguments.get("sex")
        patient, contradicted = build_patient(
            diagnosis.knowledge_base.terms,
            observed,
            excluded,
            age=arguments.get("age"),
            female=None if sex is None else sex == "female",
        )
        # None: all diseases compete.
        posterior = diagnosis.compute_posterior(patient, candidates or None)
        updated_findings: dict[int, Sequence[AnnotatedFinding]] = {}
        updates: list[EvidenceUpdate] = []
        if arguments.get("evidence"):
            updated_findings, updates = self._gather_evidence(
                diagnosis, findings, patient, posterior
            )
            posterior = diagnosis.compute_posterior(patient, candidates or None, updated_findings)
        answer = DiagnosisAnswer(
            patient=patient,
            posterior=posterior,
            diseases=posterior.most_likely(arguments.get("results", self._config.results)),
            next_findings=rank_next_findings(diagnosis.knowledge_base, patient, posterior, 1),
            updates=updates,
            updated_findings=updated_findings,
            unresolved=unresolved,
            contradicted=contradicted,
        )
        return diagnosis, answer

    def _gather_evidence(
        self,
        diagnosis: DiagnosisModel,
        findings: NameResolver,
        patient: Patient,
        posterior: Posterior,
    ) -> tuple[dict[int, Sequence[AnnotatedFinding]], list[EvidenceUpdate]]:
        """The findings of the likeliest diseases as the literature updates them, and the
        updates."""
        terms = (*patient.observed, *patient.excluded)
        forms = findings.unambiguous_forms()
        names = {form: term for form, term in forms.items() if term in terms}
        term_names = diagnosis.knowledge_base.terms.names
        queried = " ".join(term_names[term] for term in terms[:_QUERY_FINDINGS])
        updated_findings: dict[int, Sequence[AnnotatedFinding]] = {}
        updates: list[EvidenceUpdate] = []
        # Only for the likeliest diseases: each of them costs a search.
        for disease in posterior.most_likely(self._config.evidence_diseases):
            hits = self._search(f"{diagnosis.knowledge_base.names[disease]} patients {queried}")
            disease_findings, disease_updates = read_evidence(
                diagnosis.knowledge_base, disease, names, hits
            )
            if disease_updates:
                updated_findings[disease] = disease_findings
                updates += disease_updates
        return updated_findings, updates

    def _search(self, query: str) -> Sequence[SearchHit]:
        # An empty list of sources would search all of them.
        if not self._sources:
            return ()
        with translate_index_errors(self.name):
            return self._searcher.medical_search(query, sources=self._sources)


def build_diagnose_tool(config: PipelineConfig, searcher: Searcher) -> DiagnoseTool:
    """The tool over the knowledge base of ``medr_ray.diagnosis``.

    The knowledge base is read here: a wrong file is a DataError now and not in the middle of a
    rollout. Evidence comes from all sources of the searcher but the disease records.
    """
    load_diagnosis_resources(config.tools.diagnosis)
    index_sources = [source.source for source in config.index.sources]
    sources = dict.fromkeys([*index_sources, *config.tools.live.sources])
    return DiagnoseTool(
        config.tools.diagnosis,
        searcher,
        [source for source in sources if source != HPO],
        config.agent.observation_chars,
    )


@functools.lru_cache(maxsize=2)
def load_diagnosis_resources(
    config: DiagnosisConfig,
) -> tuple[DiagnosisModel, NameResolver, NameResolver]:
    """(diagnosis model, resolver of findings, resolver of diseases); read once per process."""
    diagnosis = load_diagnosis(config)
    findings = finding_resolver(load_hpo(), diagnosis.knowledge_base.terms)
    return diagnosis, findings, disease_resolver(diagnosis.knowledge_base)


def _list_documents(
    diagnosis: DiagnosisModel, answer: DiagnosisAnswer, text: str
) -> tuple[str, ...]:
    """The ids of the documents that the text names: it may have had no room for all diseases."""
    records = [
        document
        for disease in answer.diseases
        for document in list_record_documents(diagnosis, disease)
        # As an id stands in the brackets behind a disease: one may be the beginning of another.
        if f"{document}," in text or f"{document};" in text
    ]
    return tuple(dict.fromkeys([*records, *(update.document_id for update in answer.updates)]))


def _describe_unresolved(unresolved: Sequence[UnresolvedName]) -> str:
    hints = []
    for name in unresolved:
        nearest = f" (nearest: {', '.join(name.nearest)})" if name.nearest else ""
        hints.append(f"{name.text!r}{nearest}")
    return f"diagnose: none of these is known: {'; '.join(hints)}"
