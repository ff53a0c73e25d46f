"""The scorers that ``evaluation.judge`` asks for."""

from medr_ray.core.config import PipelineConfig
from medr_ray.core.run import RunDirectory
from medr_ray.evaluation.scorers.base import Scorer
from medr_ray.evaluation.scorers.llm_judge import open_judge
from medr_ray.evaluation.scorers.rules import RulesScorer


def build_configured_scorers(config: PipelineConfig, run: RunDirectory) -> list[Scorer]:
    """The configured judge first; our rules beside it where it is a model."""
    if config.evaluation.judge == "rules":
        return [RulesScorer()]
    return [open_judge(config.llm, run), RulesScorer()]
