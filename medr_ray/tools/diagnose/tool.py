"""``diagnose``: the likeliest diseases for a patient's findings, with probabilities that leave room
for none."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from medr_ray.core.config import DiagnosisConfig, PipelineConfig
from medr_ray.core.errors import ToolError
from medr_ray.diagnosis.findings import NameResolver, UnresolvedName, disease_resolver, finding_resolver
from medr_ray.diagnosis.knowledge_base import AnnotatedFinding
from medr_ray.diagnosis.loading import load_diagnosis
from medr_ray.diagnosis.next_finding import rank_next_findings
from medr_ray.diagnosis.posterior import DiagnosisModel, Patient, Posterior, build_patient
from medr_ray.knowledge.hpo import load_hpo
from medr_ray.retrieval.documents import HPO
from medr_ray.tools.arguments import check_arguments
from medr_ray.tools.base import ToolResult
from medr_ray.tools.diagnose.evidence import Update, updates_of
from medr_ray.tools.diagnose.rendering import Answer, render
from medr_ray.tools.observations import Found
from medr_ray.tools.search import Searcher, reading_index
from medr_ray.tools.threads import Threads

_NAME = {"type": "string", "minLength": 1, "maxLength": 200}
_FINDINGS = {"type": "array", "items": _NAME, "maxItems": 200}
_OLDEST = 130  # years
_THREADS = Threads()
_ASKED = 8  # findings in the query for evidence


class DiagnoseTool:
    """Bayes' rule over what is annotated of diseases (see ``diagnosis``). ``sources`` are those
    that evidence is looked up in, ``observation_chars`` bounds what the agent is shown."""

    name = "diagnose"
    description = (
        "Differential diagnosis of rare diseases by Bayes' rule: probabilities of diseases for findings that are "
        "present or absent, the reasons with references, and the finding to look for next."
    )
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {
            "findings": {
                **_FINDINGS,
                "description": "findings the patient has: names, or ids such as HP:0001250",
            },
            "excluded": {
                **_FINDINGS,
                "description": "findings that were looked for and are absent",
            },
            "age": {"type": "number", "minimum": 0, "maximum": _OLDEST, "description": "years"},
            "sex": {"type": "string", "enum": ["female", "male"]},
            "candidates": {
                **_FINDINGS,
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
        self._config, self._searcher = config, searcher
        self._sources, self._chars = tuple(sources), observation_chars

    async def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        """The diagnosis as text; ``documents`` are those whose counts moved it. Raises ToolError
        for wrong arguments or when nothing in them is understood, InfrastructureError when the
        index fails."""
        check_arguments(self.name, self.parameters, arguments)
        return await _THREADS.run(lambda: self._diagnose(arguments))

    def _diagnose(self, arguments: Mapping[str, Any]) -> ToolResult:
        diagnosis, findings, diseases = load_named(self._config)
        observed, unknown = findings.resolve(arguments["findings"])
        excluded, unknown_too = findings.resolve(arguments.get("excluded", ()))
        candidates, unknown_diseases = diseases.resolve(arguments.get("candidates", ()))
        unknown += unknown_too + unknown_diseases
        if unknown and not (observed or excluded):
            raise ToolError(_nothing_understood(unknown))
        if arguments.get("candidates") and not candidates:
            raise ToolError(_nothing_understood(unknown_diseases))
        sex = arguments.get("sex")
        patient, contradicted = build_patient(
            diagnosis.base.terms,
            observed,
            excluded,
            arguments.get("age"),
            None if sex is None else sex == "female",
        )
        posterior = diagnosis.compute_posterior(patient, candidates or None)
        moved: dict[int, Sequence[AnnotatedFinding]] = {}
        updates: list[Update] = []
        if arguments.get("evidence"):
            moved, updates = self._read(diagnosis, findings, patient, posterior)
            posterior = diagnosis.compute_posterior(patient, candidates or None, moved)
        answer = Answer(
            patient,
            posterior,
            posterior.most_likely(arguments.get("results", self._config.results)),
            rank_next_findings(diagnosis.base, patient, posterior, 1),
            updates,
            moved,
            unknown,
            contradicted,
        )
        documents = tuple(dict.fromkeys(one.document_id for one in updates))
        return ToolResult(render(diagnosis, answer, self._chars), documents)

    def _read(
        self, diagnosis: DiagnosisModel, findings: NameResolver, patient: Patient, posterior: Posterior
    ) -> tuple[dict[int, Sequence[AnnotatedFinding]], list[Update]]:
        """The findings of the likeliest diseases as the literature moves them, and what did."""
        terms = (*patient.observed, *patient.excluded)
        names = {form: number for form, number in findings.unambiguous_forms().items() if number in terms}
        moved: dict[int, Sequence[AnnotatedFinding]] = {}
        updates: list[Update] = []
        for disease in posterior.most_likely(self._config.evidence_diseases):
            asked = " ".join(diagnosis.base.terms.names[one] for one in terms[:_ASKED])
            hits = self._search(f"{diagnosis.base.names[disease]} patients {asked}")
            after, changes = updates_of(diagnosis.base, disease, names, hits)
            if changes:
                moved[disease] = after
                updates += changes
        return moved, updates

    def _search(self, query: str) -> Sequence[Found]:
        if not self._sources:
            return ()
        with reading_index(self.name):
            return self._searcher.medical_search(query, sources=self._sources)


def make(config: PipelineConfig, searcher: Searcher) -> DiagnoseTool:
    """The tool over the knowledge base of ``diagnosis``, which is read here: a wrong file is a
    DataError now and not in the middle of a rollout. Evidence comes from all sources of the
    searcher but the disease records."""
    load_named(config.tools.diagnosis)
    sources = dict.fromkeys(
        [*(one.source for one in config.index.sources), *config.tools.live.sources]
    )
    return DiagnoseTool(
        config.tools.diagnosis,
        searcher,
        [one for one in sources if one != HPO],
        config.agent.observation_chars,
    )


@functools.lru_cache(maxsize=2)
def load_named(config: DiagnosisConfig) -> tuple[DiagnosisModel, NameResolver, NameResolver]:
    """The knowledge base with the names of its findings and of its diseases; read once per
    process."""
    diagnosis = load_diagnosis(config)
    return diagnosis, finding_resolver(load_hpo(), diagnosis.base.terms), disease_resolver(diagnosis.base)


def _nothing_understood(unknown: Sequence[UnresolvedName]) -> str:
    hints = [
        f"{one.text!r}" + (f" (nearest: {', '.join(one.nearest)})" if one.nearest else "")
        for one in unknown
    ]
    return f"diagnose: none of these is known: {'; '.join(hints)}"
