"""Every section together: all that a run is decided by."""

from medr_ray.core.config.agent import AgentConfig
from medr_ray.core.config.corpus import CorpusConfig, EntitiesConfig
from medr_ray.core.config.endpoint import EndpointConfig
from medr_ray.core.config.graph import ChainsConfig, GraphConfig
from medr_ray.core.config.models import EngineConfig, ModelsConfig
from medr_ray.core.config.questions import QuestionsConfig
from medr_ray.core.config.retrieval import IndexConfig, RetrievalConfig
from medr_ray.core.config.rollouts import RolloutsConfig
from medr_ray.core.config.run import RayConfig, RunConfig
from medr_ray.core.config.section import Section
from medr_ray.core.config.serving import EvaluationConfig, ServingConfig
from medr_ray.core.config.tools import ToolsConfig
from medr_ray.core.config.training import GRPOConfig, SFTConfig
from medr_ray.core.config.trajectories import TrajectoriesConfig


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
