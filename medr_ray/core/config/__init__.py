"""The configuration: one frozen pydantic section per room, defaults that suit one machine, no dead
option.

Every field is read somewhere. An unknown key is an error (see ``core.settings``, which loads and
overrides). Secrets are never part of it: endpoints name the environment variable that holds their
key.
"""

from medr_ray.core.config.agent import AgentConfig
from medr_ray.core.config.corpus import CorpusConfig, EntitiesConfig, EntityType, LexiconSource
from medr_ray.core.config.diagnosis import DiagnosisConfig
from medr_ray.core.config.endpoint import EndpointConfig
from medr_ray.core.config.graph import ChainsConfig, GraphConfig
from medr_ray.core.config.live import LiveConfig
from medr_ray.core.config.models import EngineConfig, ModelsConfig
from medr_ray.core.config.pipeline import PipelineConfig
from medr_ray.core.config.questions import DirectedPredicate, Paradigm, QuestionsConfig
from medr_ray.core.config.read import ReadConfig
from medr_ray.core.config.retrieval import (
    DocumentSource,
    EncodingConfig,
    IndexConfig,
    RetrievalConfig,
)
from medr_ray.core.config.rollouts import RolloutsConfig
from medr_ray.core.config.run import RayConfig, RunConfig
from medr_ray.core.config.section import Backend, Section
from medr_ray.core.config.serving import EvaluationConfig, ServingConfig
from medr_ray.core.config.tools import ToolsConfig
from medr_ray.core.config.training import GRPOConfig, OptimiserConfig, SFTConfig, TrainerConfig
from medr_ray.core.config.trajectories import TrajectoriesConfig
from medr_ray.core.config.web import WebSearchConfig

__all__ = [
    "AgentConfig",
    "Backend",
    "ChainsConfig",
    "CorpusConfig",
    "DiagnosisConfig",
    "DirectedPredicate",
    "DocumentSource",
    "EncodingConfig",
    "EndpointConfig",
    "EngineConfig",
    "EntitiesConfig",
    "EntityType",
    "EvaluationConfig",
    "GRPOConfig",
    "GraphConfig",
    "IndexConfig",
    "LexiconSource",
    "LiveConfig",
    "ModelsConfig",
    "OptimiserConfig",
    "Paradigm",
    "PipelineConfig",
    "QuestionsConfig",
    "RayConfig",
    "ReadConfig",
    "RetrievalConfig",
    "RolloutsConfig",
    "RunConfig",
    "SFTConfig",
    "Section",
    "ServingConfig",
    "ToolsConfig",
    "TrainerConfig",
    "TrajectoriesConfig",
    "WebSearchConfig",
]
