"""``medical_search``: documents by relevance and clinical authority, Score(d, q) = λ Rel + (1 - λ)
Auth."""

from collections.abc import Mapping, Sequence
from typing import Any

from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import ToolError
from medr_ray.retrieval.authority import KINDS
from medr_ray.retrieval.documents import (
    FDA_APPROVALS,
    FDA_LABELS,
    HPO,
    LIVERTOX,
    PUBMED,
    REGISTRIES,
    TRIALS,
)
from medr_ray.tools.arguments import check_arguments
from medr_ray.tools.base import ToolResult
from medr_ray.tools.search import QUERY_SCHEMA, Searcher, read_query, run_search

_SOURCE_CONTENTS = {  # what each source holds, in the words the agent reads
    PUBMED: "articles",
    HPO: "disease records",
    FDA_LABELS: "drug labels",
    FDA_APPROVALS: "drug approvals",
    TRIALS: "registered trials",
    LIVERTOX: "liver toxicity of drugs",
    REGISTRIES: "records of trials, approvals, patents and rare diseases",
}
_DESCRIPTION = (
    "Search with clinical authority: guidelines, trials and reviews rank above case reports. "
    "The source is {}."
)
# Four digits: a model that writes a date (20100101) or a count (12) is corrected.
_MIN_YEAR = 1700
_MAX_YEAR = 2200
_MAX_PAGE = 30  # of ten hits each: who has not found it in 300 asks for the wrong thing


class MedicalSearchTool:
    """Search that prefers guidelines, trials and well-placed journals.

    The arguments ``source``, ``since``, ``until`` and ``type`` keep only a source, years of
    publication, or a kind of evidence. ``page`` goes on behind the hits of the pages before.
    """

    name = "medical_search"

    def __init__(
        self, searcher: Searcher, observation_chars: int, sources: Sequence[str] = (PUBMED, HPO)
    ) -> None:
        self._searcher = searcher
        self._observation_chars = observation_chars
        source_list = " or ".join(f"{source} ({_SOURCE_CONTENTS[source]})" for source in sources)
        self.description = _DESCRIPTION.format(source_list)
        self.parameters: Mapping[str, Any] = _build_parameters(sources)

    async def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        """The hits as text; raises ToolError for wrong arguments, InfrastructureError when the
        index fails."""
        check_arguments(self.name, self.parameters, arguments)
        query = read_query(self.name, arguments)
        filters = _read_filters(arguments)
        return await run_search(
            self.name,
            lambda: self._searcher.medical_search(query, **filters),
            self._observation_chars,
        )


def build_medical_search_tool(config: PipelineConfig, searcher: Searcher) -> MedicalSearchTool:
    """The tool over the sources of the index and the live ones."""
    indexed = [source.source for source in config.index.sources]
    sources = tuple(dict.fromkeys([*indexed, *config.tools.live.sources]))
    return MedicalSearchTool(searcher, config.agent.observation_chars, sources)


def _build_parameters(sources: Sequence[str]) -> dict[str, Any]:
    """The JSON schema of the arguments."""
    year = {"type": "integer", "minimum": _MIN_YEAR, "maximum": _MAX_YEAR}
    return {
        "type": "object",
        "properties": {
            "query": QUERY_SCHEMA,
            "source": {
                "type": "string",
                "enum": list(sources),
                "description": "keep only this source",
            },
            "since": {**year, "description": "keep only what was published in this year or later"},
            "until": {
                **year,
                "description": "keep only what was published in this year or earlier",
            },
            "type": {
                "type": "string",
                "enum": list(KINDS),
                "description": "keep only this kind of evidence",
            },
            "page": {
                "type": "integer",
                "minimum": 1,
                "maximum": _MAX_PAGE,
                "description": "further hits: 2 for those behind the first",
            },
        },
        "required": ["query"],
        "additionalProperties": False,
    }


def _read_filters(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The filters and the page as keyword arguments of a searcher. Raises ToolError for years that
    exclude each other."""
    since = arguments.get("since")
    until = arguments.get("until")
    if since is not None and until is not None and since > until:
        raise ToolError(
            f"medical_search: the argument 'since' ({since}) is later than 'until' ({until})"
        )
    return {
        "sources": [arguments["source"]] if "source" in arguments else None,
        "since": since,
        "until": until,
        "types": [arguments["type"]] if "type" in arguments else None,
    } | ({"page": arguments["page"]} if "page" in arguments else {})
