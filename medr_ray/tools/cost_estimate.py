"""What a language model that chooses the passages of ``read`` would use."""

from medr_ray.core.config import PipelineConfig
from medr_ray.core.costs import ModelCost, count_tokens
from medr_ray.core.prompts import read_prompt

# Tokens of the page as the model sees it: records and most pages are shorter than extract_chars.
_PAGE_TOKENS = 1_500
_QUOTES_TOKENS = 200  # of three or four passages
# Calls of ``read`` in an episode: agents read the record or two that their searches did not show.
_READS_PER_EPISODE = 1


def estimate_quoting(config: PipelineConfig, episodes: int, basis: str) -> list[ModelCost]:
    """The estimate for so many episodes of agents; none where no model chooses or no agent
    reads."""
    if config.tools.read.extract != "llm" or "read" not in config.agent.tools:
        return []
    requests = episodes * _READS_PER_EPISODE
    template = read_prompt("medr_ray.tools", "quotes", config.questions.language)
    prompt_tokens = count_tokens(template) + _PAGE_TOKENS
    bounds = requests * config.agent.max_tool_calls
    return [
        ModelCost(
            "quoter",
            config.llm,
            requests,
            requests * prompt_tokens,
            requests * _QUOTES_TOKENS,
            f"{basis}, a call of read each",
            most_requests=bounds,
            most_tokens=bounds * (prompt_tokens + config.llm.max_tokens),
        )
    ]
