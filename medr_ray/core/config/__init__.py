"""The configuration: one frozen pydantic section per subject, with defaults that suit one machine.

Every field has a description and is read somewhere. An unknown key is an error (see
``core.settings``, which loads a configuration and applies overrides), and so is a name that no room
knows (see ``names``). Secrets are never part of it: endpoints name the environment variable that
holds their key.
"""

from medr_ray.core.config.agent import AgentConfig, RolloutsConfig
from medr_ray.core.config.base import Backend, FileSource, Section, ServiceConfig
from medr_ray.core.config.corpus import CorpusConfig
from medr_ray.core.config.entities import EntitiesConfig, EntityType, LexiconSource
from medr_ray.core.config.evaluation import EvaluationConfig
from medr_ray.core.config.facts import FactsConfig, RegistrySource
from medr_ray.core.config.graph import ChainsConfig, GraphConfig
from medr_ray.core.config.models import EndpointConfig, EngineConfig, ModelsConfig
from medr_ray.core.config.pipeline import PipelineConfig, RayConfig, RunConfig
from medr_ray.core.config.questions import QuestionsConfig, ShapeName
from medr_ray.core.config.retrieval import (
    DocumentSource,
    EncodingConfig,
    IndexConfig,
    LiveConfig,
    RetrievalConfig,
)
from medr_ray.core.config.serving import ServingConfig
from medr_ray.core.config.tools import (
    DiagnosisConfig,
    McpServerConfig,
    ReadConfig,
    ToolsConfig,
    WebSearchConfig,
)
from medr_ray.core.config.training import (
    GRPOConfig,
    LoraConfig,
    OptimiserConfig,
    SFTConfig,
    TrackingConfig,
    TrainerConfig,
)
from medr_ray.core.config.trajectories import TrajectoriesConfig

__all__ = [
    "AgentConfig",
    "Backend",
    "ChainsConfig",
    "CorpusConfig",
    "DiagnosisConfig",
    "DocumentSource",
    "EncodingConfig",
    "EndpointConfig",
    "EngineConfig",
    "EntitiesConfig",
    "EntityType",
    "EvaluationConfig",
    "FactsConfig",
    "FileSource",
    "GRPOConfig",
    "GraphConfig",
    "IndexConfig",
    "LexiconSource",
    "LiveConfig",
    "LoraConfig",
    "McpServerConfig",
    "ModelsConfig",
    "OptimiserConfig",
    "PipelineConfig",
    "QuestionsConfig",
    "RayConfig",
    "ReadConfig",
    "RegistrySource",
    "RetrievalConfig",
    "RolloutsConfig",
    "RunConfig",
    "SFTConfig",
    "Section",
    "ServiceConfig",
    "ServingConfig",
    "ShapeName",
    "ToolsConfig",
    "TrackingConfig",
    "TrainerConfig",
    "TrajectoriesConfig",
    "WebSearchConfig",
]
