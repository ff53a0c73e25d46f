"""Every section together: all that a run is decided by."""

from pydantic import Field

from medr_ray.core.config.agent import AgentConfig, RolloutsConfig
from medr_ray.core.config.base import Operational, Section
from medr_ray.core.config.corpus import CorpusConfig
from medr_ray.core.config.entities import EntitiesConfig
from medr_ray.core.config.evaluation import EvaluationConfig
from medr_ray.core.config.graph import ChainsConfig, GraphConfig
from medr_ray.core.config.models import EndpointConfig, EngineConfig, ModelsConfig
from medr_ray.core.config.questions import QuestionsConfig
from medr_ray.core.config.retrieval import IndexConfig, RetrievalConfig
from medr_ray.core.config.serving import ServingConfig
from medr_ray.core.config.tools import ToolsConfig
from medr_ray.core.config.training import GRPOConfig, SFTConfig
from medr_ray.core.config.trajectories import TrajectoriesConfig


class RunConfig(Section):
    """Where a run lives and the seed all its random choices derive from."""

    name: str = Field("default", pattern=r"^[A-Za-z0-9._-]+$")
    root: str = Field("runs", description="a folder or a URI such as s3://bucket/runs")
    seed: int = 0


class RayConfig(Section):
    """How to reach Ray. Without an address a private local instance is started."""

    address: Operational[str | None] = Field(
        None, description="an existing cluster; RAY_ADDRESS is honoured too"
    )
    num_cpus: Operational[int] = Field(
        4, ge=2, description="logical CPUs of the private instance; below 4 small pools starve"
    )
    dashboard: Operational[bool] = False
    object_store_mb: Operational[int] = Field(1024, ge=128)


class PipelineConfig(Section):
    """Everything a run is decided by."""

    run: RunConfig = RunConfig()
    ray: RayConfig = RayConfig()
    corpus: CorpusConfig = CorpusConfig()
    entities: EntitiesConfig = EntitiesConfig()
    index: IndexConfig = IndexConfig()
    retrieval: RetrievalConfig = RetrievalConfig()
    graph: GraphConfig = GraphConfig()
    chains: ChainsConfig = ChainsConfig()
    questions: QuestionsConfig = QuestionsConfig()
    models: ModelsConfig = ModelsConfig()
    engine: EngineConfig = EngineConfig()
    tools: ToolsConfig = ToolsConfig()
    agent: AgentConfig = AgentConfig()
    rollouts: RolloutsConfig = RolloutsConfig()
    trajectories: TrajectoriesConfig = TrajectoriesConfig()
    sft: SFTConfig = SFTConfig()
    grpo: GRPOConfig = GRPOConfig()
    serving: ServingConfig = ServingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    llm: EndpointConfig = EndpointConfig()
