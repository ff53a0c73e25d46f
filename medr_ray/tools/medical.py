"""``medical_search``: documents by relevance and clinical authority, Score(d, q) = λ Rel + (1 - λ) Auth."""

from collections.abc import Mapping
from typing import Any

from medr_ray.tools.arguments import check_arguments
from medr_ray.tools.base import ToolResult
from medr_ray.tools.search import QUERY, Searcher, asked, blocking_search

SOURCES = ("pubmed", "hpo")


class MedicalSearchTool:
    """Search that prefers guidelines, trials and well-placed journals; ``source`` keeps one source only."""

    name = "medical_search"
    description = (
        "Search with clinical authority: guidelines, trials and reviews rank above case reports. "
        "The source is pubmed (articles) or hpo (disease records)."
    )
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {
            "query": QUERY,
            "source": {"type": "string", "enum": list(SOURCES), "description": "keep only this source"},
        },
        "required": ["query"],
        "additionalProperties": False,
    }

    def __init__(self, searcher: Searcher, observation_chars: int) -> None:
        self._searcher, self._chars = searcher, observation_chars

    async def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        """The hits as text; raises ToolError for wrong arguments, InfrastructureError when the index fails."""
        check_arguments(self.name, self.parameters, arguments)
        query, source = asked(self.name, arguments), arguments.get("source")
        sources = [source] if source else None
        return await blocking_search(
            self.name, lambda: self._searcher.medical_search(query, sources=sources), self._chars)
