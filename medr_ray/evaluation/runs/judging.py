"""The scorers of an evaluation that a command asks for: each benchmark's own, and others beside."""

import importlib
from collections.abc import Sequence

from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import ConfigError
from medr_ray.core.run import Directory, RunDirectory
from medr_ray.evaluation.benchmarks import Benchmark
from medr_ray.evaluation.runs.records import RunPlan
from medr_ray.evaluation.scorers.base import Scorer
from medr_ray.evaluation.scorers.llm_judge import open_judge
from medr_ray.evaluation.scorers.rules import RulesScorer

OFFICIAL = "official"
_RULES = "rules"
_LLM = "llm"


def build_scorers(
    config: PipelineConfig,
    plan: RunPlan,
    benchmarks: Sequence[Benchmark],
    directory: Directory,
    names: Sequence[str] = (OFFICIAL,),
) -> dict[str, list[Scorer]]:
    """The scorers of each benchmark of the plan, in the order of ``names``.

    A name is ``official`` (the benchmark's own, as configured), ``rules``, ``llm`` (the configured
    judge) or ``package.module:attribute``. Judges keep their replies and costs in ``directory``.
    Raises ConfigError.
    """
    place = RunDirectory(directory.uri, directory.fs, directory.path)
    by_name = {configured.name: configured for configured in benchmarks}
    scorers: dict[str, list[Scorer]] = {}
    for benchmark in plan.benchmarks:
        own: dict[str, Scorer] = {}
        for name in names:
            for scorer in _build_named(name, by_name.get(benchmark.name), config, place):
                own.setdefault(scorer.identity(), scorer)
        scorers[benchmark.name] = list(own.values())
    return scorers


def build_named_scorers(
    names: Sequence[str], config: PipelineConfig, place: RunDirectory
) -> list[Scorer]:
    """The scorers of these names, without a benchmark. Raises ConfigError."""
    return [scorer for name in names for scorer in _build_named(name, None, config, place)]


def _build_named(
    name: str, benchmark: Benchmark | None, config: PipelineConfig, place: RunDirectory
) -> Sequence[Scorer]:
    if name == OFFICIAL:
        if benchmark is None:
            raise ConfigError(
                f"no configured benchmark gives an official scorer: name {_RULES}, {_LLM} or "
                "package.module:attribute with --scorer"
            )
        return benchmark.build_scorers(config, place)
    if name == _RULES:
        return [RulesScorer()]
    if name == _LLM:
        return [open_judge(config.llm, place)]
    return [_import_scorer(name)]


def _import_scorer(reference: str) -> Scorer:
    module_name, colon, attribute = reference.partition(":")
    if not colon:
        raise ConfigError(
            f"unknown scorer {reference!r}: write {OFFICIAL}, {_RULES}, {_LLM} or "
            "package.module:attribute"
        )
    try:
        scorer = getattr(importlib.import_module(module_name), attribute)
    except Exception as error:  # a user's module may fail in any way while it is imported
        raise ConfigError(
            f"scorer {reference}: cannot be imported: {type(error).__name__}: {error}"
        ) from error
    if not all(hasattr(scorer, member) for member in ("name", "identity", "score")):
        raise ConfigError(f"scorer {reference}: it has not the members of scorers.base.Scorer")
    return scorer  # type: ignore[no-any-return]
