"""A reader of pages that nobody would ask."""

from collections.abc import Iterator

from medr_ray.core.config import PipelineConfig


def find_doubtful_readers(config: PipelineConfig) -> Iterator[str]:
    """Why the model of ``tools.read.extract`` would never be asked."""
    if config.tools.read.extract == "llm" and "read" not in config.agent.tools:
        yield (
            "tools.read.extract: llm chooses passages for the tool read, which agent.tools "
            f"({', '.join(config.agent.tools)}) has not: add it, or set tools.read.extract: rules"
        )
