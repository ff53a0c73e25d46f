"""The parts of the pipeline that a language model may play, and who plays each in a configuration.

The only list of roles: checks, estimates, counts of what was used, and ``medr roles`` read it.
"""

from dataclasses import dataclass
from typing import Literal

from medr_ray.core.config.models import EndpointConfig
from medr_ray.core.config.pipeline import PipelineConfig

RoleName = Literal[
    "significance",
    "extractor",
    "writer",
    "back_reader",
    "closed_book",
    "calibration",
    "teacher",
    "rewriter",
    "quoter",
    "preference",
    "judge",
]
# The endpoint of every role that is set to ``llm`` and names none of its own.
_SHARED = "llm"


@dataclass(frozen=True)
class Role:
    """A role as it is configured.

    ``stages`` are those that use it. ``setting`` says who plays it, and ``by_model`` how that is
    written where a model does. ``endpoint`` is the model's, found under ``endpoint_key``; None
    where rules or nobody play the role.
    """

    name: RoleName
    stages: tuple[str, ...]
    setting: str
    by_model: str
    endpoint_key: str
    endpoint: EndpointConfig | None

    @property
    def without_model(self) -> str:
        """The setting of the role without a model."""
        return f"{self.setting}: rules" if self.by_model.endswith("llm") else f"no {self.setting}"


def list_roles(config: PipelineConfig) -> list[Role]:
    """Every role in the order of the stages; a row for each model of a role that several play."""
    questions = config.questions
    # A back-reader reads nothing but what a model worded.
    reads_back = questions.writer == "llm" and questions.back_reader == "llm"
    own_reader = questions.back_reader_model
    return [
        _describe_switch(config, "significance", "entities.significance", "entities"),
        _describe_switch(config, "extractor", "graph.extractor", "graph"),
        _describe_switch(config, "writer", "questions.writer", "questions"),
        Role(
            "back_reader",
            ("questions",),
            "questions.back_reader",
            "questions.writer and questions.back_reader: llm",
            "questions.back_reader_model" if own_reader else _SHARED,
            (own_reader or config.llm) if reads_back else None,
        ),
        _describe_endpoint("closed_book", "questions.closed_book", "questions", questions),
        *_list_calibration(config),
        _describe_switch(config, "teacher", "trajectories.teacher", "trajectories"),
        _describe_endpoint("rewriter", "trajectories.rewrite", "trajectories", config.trajectories),
        Role(
            "quoter",
            ("trajectories", "grpo", "evaluation"),
            "tools.read.extract",
            "tools.read.extract: llm",
            _SHARED,
            config.llm if config.tools.read.extract == "llm" else None,
        ),
        _describe_switch(config, "preference", "grpo.expert", "grpo"),
        _describe_switch(config, "judge", "evaluation.judge", "evaluation"),
    ]


def _describe_switch(config: PipelineConfig, name: RoleName, setting: str, stage: str) -> Role:
    """A role that ``setting`` gives to rules or to the shared endpoint."""
    section, field = setting.split(".")
    is_model = getattr(getattr(config, section), field) == "llm"
    endpoint = config.llm if is_model else None
    return Role(name, (stage,), setting, f"{setting}: llm", _SHARED, endpoint)


def _describe_endpoint(name: RoleName, setting: str, stage: str, section: object) -> Role:
    """A role that is played where ``setting`` names an endpoint."""
    endpoint = getattr(section, setting.rpartition(".")[2])
    return Role(name, (stage,), setting, f"an endpoint in {setting}", setting, endpoint)


def _list_calibration(config: PipelineConfig) -> list[Role]:
    setting = "questions.calibration"
    written = f"endpoints in {setting}"
    models: list[EndpointConfig | None] = [*config.questions.calibration] or [None]
    return [
        Role(
            "calibration",
            ("questions",),
            setting,
            written,
            f"{setting}.{number}" if endpoint else setting,
            endpoint,
        )
        for number, endpoint in enumerate(models)
    ]
