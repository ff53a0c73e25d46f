"""``medical_search``: documents by relevance and clinical authority, Score(d, q) = λ Rel + (1 - λ)
Auth."""

from collections.abc import Mapping, Sequence
from typing import Any

from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import ToolError
from medr_ray.retrieval.authority import KINDS
from medr_ray.retrieval.documents import FDA_APPROVALS, FDA_LABELS, HPO, LIVERTOX, PUBMED, TRIALS
from medr_ray.tools.arguments import check_arguments
from medr_ray.tools.base import ToolResult
from medr_ray.tools.search import QUERY, Searcher, asked, blocking_search

_HELD = {  # what an agent finds in each source
    PUBMED: "articles",
    HPO: "disease records",
    FDA_LABELS: "drug labels",
    FDA_APPROVALS: "drug approvals",
    TRIALS: "registered trials",
    LIVERTOX: "liver toxicity of drugs",
}
_DESCRIPTION = (
    "Search with clinical authority: guidelines, trials and reviews rank above case reports. "
    "The source is {}."
)
_YEARS = (1700, 2200)  # four digits, and not a date or a count


class MedicalSearchTool:
    """Search that prefers guidelines, trials and well-placed journals. ``source``, ``since``,
    ``until`` and ``type`` narrow it: to one source, to years of publication, to one kind of
    evidence."""

    name = "medical_search"

    def __init__(
        self, searcher: Searcher, observation_chars: int, sources: Sequence[str] = (PUBMED, HPO)
    ) -> None:
        self._searcher, self._chars = searcher, observation_chars
        self.description = _DESCRIPTION.format(
            " or ".join(f"{source} ({_HELD[source]})" for source in sources)
        )
        self.parameters: Mapping[str, Any] = _parameters(sources)

    async def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        """The hits as text; raises ToolError for wrong arguments, InfrastructureError when the
        index fails."""
        check_arguments(self.name, self.parameters, arguments)
        query, narrowed = asked(self.name, arguments), _narrowed(arguments)
        return await blocking_search(
            self.name, lambda: self._searcher.medical_search(query, **narrowed), self._chars
        )


def make(config: PipelineConfig, searcher: Searcher) -> MedicalSearchTool:
    """The tool over the sources of the index and the live ones."""
    indexed = [source.source for source in config.index.sources]
    sources = tuple(dict.fromkeys([*indexed, *config.tools.live.sources]))
    return MedicalSearchTool(searcher, config.agent.observation_chars, sources)


def _parameters(sources: Sequence[str]) -> dict[str, Any]:
    """The JSON schema of the arguments."""
    low, high = _YEARS
    year = {"type": "integer", "minimum": low, "maximum": high}
    return {
        "type": "object",
        "properties": {
            "query": QUERY,
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
        },
        "required": ["query"],
        "additionalProperties": False,
    }


def _narrowed(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The filters as a searcher takes them; ToolError for years that exclude each other."""
    since, until = arguments.get("since"), arguments.get("until")
    if since is not None and until is not None and since > until:
        raise ToolError(
            f"medical_search: the argument 'since' ({since}) is later than 'until' ({until})"
        )
    return {
        "sources": [arguments["source"]] if "source" in arguments else None,
        "since": since,
        "until": until,
        "types": [arguments["type"]] if "type" in arguments else None,
    }
