"""The scorers that ``evaluation.judge`` asks for."""

from medr_ray.core.config import PipelineConfig
from medr_ray.core.run import RunDirectory
from medr_ray.evaluation.scorers.base import MissingJudge, Scorer
from medr_ray.evaluation.scorers.llm_judge import open_judge
from medr_ray.evaluation.scorers.rules import RulesScorer


def build_configured_scorers(config: PipelineConfig, run: RunDirectory) -> list[Scorer]:
    """The configured judge first; our rules beside it where it is a model."""
    if config.evaluation.judge == "rules":
        return [RulesScorer()]
    return [open_judge(config.llm, run), RulesScorer()]


def build_official_judge(
    config: PipelineConfig, run: RunDirectory, name: str, prompt: str
) -> Scorer:
    """The official scorer ``name``, which is a model asked with ``prompt``; what stands for it
    where no judge is configured."""
    if config.evaluation.judge == "rules":
        return MissingJudge(name)
    return open_judge(config.llm, run, prompt=prompt, name=name)
