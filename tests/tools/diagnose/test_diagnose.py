"""The tool as an agent meets it, over the embedded annotations."""

import asyncio
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.agent_run import responses, run

from medr_ray.agent.protocol import ToolCall, render_reply
from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import DataError, InfrastructureError, ToolError
from medr_ray.core.records import EvidenceEdge
from medr_ray.knowledge.hpo import load_hpo
from medr_ray.tools.base import ToolResult
from medr_ray.tools.diagnose.tool import DiagnoseTool, build_diagnose_tool

pytestmark = pytest.mark.slow  # the embedded annotations take some seconds to read, once
_ALPORT = ["Hematuria", "Sensorineural hearing impairment", "Anterior lenticonus"]


@dataclass(frozen=True)
class _Hit:
    document_id: str
    title: str
    snippet: str


class _Searcher:
    """Answers every search with the same hits, and remembers what was asked."""

    def __init__(self, hits: Sequence[_Hit] = (), fail: Exception | None = None) -> None:
        self.queries: list[tuple[str, Sequence[str] | None]] = []
        self._hits = hits
        self._fail = fail

    def search(self, query: str, *, sources: Sequence[str] | None = None) -> Sequence[_Hit]:
        raise AssertionError("evidence comes from the medical search")

    def medical_search(
        self,
        query: str,
        *,
        sources: Sequence[str] | None = None,
        since: int | None = None,
        until: int | None = None,
        types: Sequence[str] | None = None,
    ) -> Sequence[_Hit]:
        self.queries.append((query, sources))
        if self._fail is not None:
            raise self._fail
        return self._hits


@functools.cache
def _config(chars: int) -> PipelineConfig:
    return PipelineConfig.model_validate({"agent": {"observation_chars": chars}})


def _tool(searcher: _Searcher | None = None, chars: int = 3000) -> DiagnoseTool:
    return build_diagnose_tool(_config(chars), searcher or _Searcher())


def _call(
    arguments: Mapping[str, Any], searcher: _Searcher | None = None, chars: int = 3000
) -> ToolResult:
    return asyncio.run(_tool(searcher, chars).call(arguments))


def test_diseases_come_with_probabilities_reasons_references_and_what_to_look_for() -> None:
    arguments = {
        "findings": _ALPORT,
        "excluded": ["Intellectual disability"],
        "age": 20,
        "sex": "male",
    }
    lines = _call(arguments).text.split("\n")
    assert lines[0].startswith("1. ")
    assert "alport syndrome" in lines[0].lower()
    assert "%" in lines[0]
    assert "Anterior lenticonus x" in lines[1]
    assert "[OMIM:" in lines[1] or "[PMID:" in lines[1] or "[ORPHA:" in lines[1]
    assert any(line.startswith("None of these: ") for line in lines)
    assert any(line.startswith("Look for next: ") and "bits" in line for line in lines)


def test_words_for_findings_give_a_few_diseases_whose_records_can_be_read() -> None:
    """In an episode: the diagnosis is evidence, and names the documents to read next."""
    findings = ["long slender fingers", "lens dislocation", "aortic root aneurysm"]
    diagnose = render_reply("look", [ToolCall("diagnose", {"findings": findings, "results": 3})])
    candidate = render_reply("Candidate: Marfan syndrome.", answer="Marfan syndrome")
    trajectory = run(diagnose, candidate, tools=[_tool(chars=2000)], observation_chars=2000)
    [response] = responses(trajectory)
    assert len(response) < 1200
    assert [line[:2] for line in response.splitlines() if line[1:2] == "."] == ["2.", "3."]
    assert response.startswith("<tool_response>1. ")
    assert response.count("% ") >= 4  # of three diseases and of none of these
    first = trajectory.documents[0]
    assert first == "HPO:OMIM:154700"
    assert first.removeprefix("HPO:") in load_hpo().diseases
    assert EvidenceEdge("names", first, "Marfan syndrome", 0) in trajectory.evidence


def test_unknown_findings_are_reported_and_do_not_stop_the_others() -> None:
    text = _call({"findings": [*_ALPORT, "hypsarhythmia"]}).text
    assert "Not understood: 'hypsarhythmia'; nearest: Hypsarrhythmia (HP:0002521)" in text
    assert "Alport syndrome" in text


def test_without_findings_the_answer_says_that_it_knows_nothing() -> None:
    text = _call({"findings": []}).text
    assert "No finding to go by" in text
    assert "None of these: 30%" in text


def test_contradictions_are_reported() -> None:
    assert (
        "counted as observed: Hematuria"
        in _call({"findings": _ALPORT, "excluded": ["Hematuria"]}).text
    )


def test_candidates_are_all_that_is_compared() -> None:
    text = _call({"findings": _ALPORT, "candidates": ["OMIM:154700", "OMIM:301050"]}).text
    assert text.index("OMIM:301050") < text.index("OMIM:154700")
    assert "3. " not in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "findings"),
        ({"findings": "fever"}, "findings"),
        ({"findings": ["Fever"], "age": -1}, "age"),
        ({"findings": ["Fever"], "sex": "f"}, "sex"),
        ({"findings": ["Fever"], "symptoms": []}, "no argument"),
        ({"findings": ["hypsarhythmia"]}, "Hypsarrhythmia"),
        ({"findings": ["Fever"], "candidates": ["qqq"]}, "'qqq'"),
    ],
)
def test_wrong_arguments_are_answered_with_what_would_be_right(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ToolError, match=message):
        _call(arguments)


@pytest.mark.parametrize("chars", [100, 300, 900])
def test_a_short_answer_keeps_the_first_diagnosis(chars: int) -> None:
    text = _call({"findings": _ALPORT}, chars=chars).text
    assert len(text) <= chars
    assert text.startswith("1. ")


def test_evidence_moves_the_diagnosis_and_is_quoted() -> None:
    arguments = {"findings": _ALPORT, "candidates": ["OMIM:301050", "OMIM:203780"]}
    before = _call(arguments).text
    name = "Alport syndrome, X-linked"
    assert f"{name} (HPO:OMIM:301050" in before
    sentence = "Hematuria was present in 3 of 400 patients."
    searcher = _Searcher([_Hit("PMID:99999999", f"{name} revisited", sentence)])
    result = _call({**arguments, "evidence": True}, searcher)
    assert result.documents[-1] == "PMID:99999999"
    assert set(result.documents[:-1]) >= {"HPO:OMIM:301050", "HPO:OMIM:203780"}
    assert f'(PMID:99999999: "{sentence}")' in result.text
    assert _percent_of(name, result.text) < _percent_of(name, before)
    assert any(query.startswith(name) for query, _ in searcher.queries)
    assert all(sources and "hpo" not in sources for _, sources in searcher.queries)


def _percent_of(name: str, text: str) -> float:
    return next(
        float(line.split()[1].rstrip("%")) for line in text.split("\n") if f"% {name} (" in line
    )


def test_without_the_evidence_argument_nothing_is_searched() -> None:
    searcher = _Searcher()
    documents = _call({"findings": _ALPORT}, searcher).documents
    assert all(document.startswith("HPO:") for document in documents)
    assert searcher.queries == []


def test_a_broken_index_is_our_failure() -> None:
    with pytest.raises(InfrastructureError, match="gone"):
        _call({"findings": _ALPORT, "evidence": True}, _Searcher(fail=OSError("gone")))


def test_a_missing_file_is_found_when_the_tool_is_made(tmp_path: Path) -> None:
    config = PipelineConfig.model_validate(
        {"tools": {"diagnosis": {"annotations": str(tmp_path / "none.hpoa")}}}
    )
    with pytest.raises(DataError, match=r"none\.hpoa"):
        build_diagnose_tool(config, _Searcher())


def test_a_program_gets_the_same_diseases_with_probabilities_and_pages() -> None:
    arguments = {"findings": _ALPORT, "excluded": ["Intellectual disability"]}
    described = asyncio.run(_tool().describe(arguments))
    probabilities = [disease["probability"] for disease in described["diseases"]]
    assert probabilities == sorted(probabilities, reverse=True)
    assert sum(probabilities) + described["none_probability"] <= 1 + 1e-9
    first = described["diseases"][0]
    assert first["name"] in _call(arguments).text.split("\n")[0]
    links = [
        *first["documents"],
        *(link for reason in first["reasons"] for link in reason["references"]),
    ]
    assert links
    assert all(link["url"].startswith("https://") for link in links)
    assert described["look_for_next"][0]["bits"] > 0
