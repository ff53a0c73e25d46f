"""Judges that would judge themselves."""

from collections.abc import Iterator

from medr_ray.core.config import PipelineConfig
from medr_ray.tools.role_checks import find_doubtful_readers


def find_doubtful_judges(config: PipelineConfig) -> Iterator[str]:
    """Each pair of settings with its remedy."""
    if config.evaluation.judge == "llm" and _is_candidate(config):
        yield (
            f"evaluation.judge: llm asks {config.llm.model}, which is the model that is judged "
            f"(models.policy: {config.models.policy}), and models favour their own answers: name "
            "another one in llm.model, or set evaluation.judge: rules"
        )
    yield from find_doubtful_readers(config)


def _is_candidate(config: PipelineConfig) -> bool:
    """Whether the judge has the name of the policy, whose training the weights begin with."""
    return _name_weights(config.llm.model) == _name_weights(config.models.policy)


def _name_weights(model: str) -> str:
    """ "qwen3-8b" of "Qwen/Qwen3-8B", of a folder, and of "embedded:qwen3-8b"."""
    return model.rstrip("/").rpartition("/")[2].rpartition(":")[2].lower()
