"""What a language model that extracts relations would use."""

from medr_ray.core.config import PipelineConfig
from medr_ray.core.costs import ModelCost, count_tokens
from medr_ray.core.earlier_results import read_latest_counts
from medr_ray.core.prompts import read_prompt
from medr_ray.core.run import RunDirectory
from medr_ray.graph.extraction.llm_extractor import TOKENS_PER_RELATION, list_predicates

# Tokens of an abstract with its title and the list of its entities: abstracts of PubMed have 860
# bytes on average, half of them longer.
_DOCUMENT_TOKENS = 320
# Relations of a reply: most abstracts state two or three.
_RELATIONS_PER_DOCUMENT = 3


def estimate_extraction(config: PipelineConfig, run: RunDirectory) -> ModelCost:
    """An upper bound: every step of every seed reads as many documents as it may, and no two seeds
    the same."""
    graph = config.graph
    seeds = read_latest_counts(run, "entities").get("rare")
    if seeds is None:
        seeds = graph.max_seeds or 0
        basis = f"graph.max_seeds: {seeds:,}" if seeds else "nothing: run entities first"
    else:
        seeds = min(seeds, graph.max_seeds or seeds)
        basis = f"{seeds:,} seeds"
    requests = seeds * graph.steps * graph.documents_per_step
    prompt_tokens = count_tokens(read_prompt("medr_ray.graph", "extraction") + list_predicates())
    reply_tokens = min(_RELATIONS_PER_DOCUMENT * TOKENS_PER_RELATION, config.llm.max_tokens)
    return ModelCost(
        "extractor",
        config.llm,
        requests,
        requests * (prompt_tokens + _DOCUMENT_TOKENS),
        requests * reply_tokens,
        f"{basis}, {graph.steps} steps and {graph.documents_per_step} new documents each at most",
    )
