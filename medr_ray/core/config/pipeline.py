"""All sections together: everything that decides a run."""

from typing import Annotated

from pydantic import Field, model_validator

from medr_ray.core.config.agent import AgentConfig, RolloutsConfig
from medr_ray.core.config.base import Operational, Section
from medr_ray.core.config.corpus import CorpusConfig
from medr_ray.core.config.entities import EntitiesConfig
from medr_ray.core.config.evaluation import EvaluationConfig
from medr_ray.core.config.facts import FactsConfig
from medr_ray.core.config.graph import ChainsConfig, GraphConfig
from medr_ray.core.config.models import EndpointConfig, EngineConfig, ModelsConfig
from medr_ray.core.config.names import check_known, registered_in
from medr_ray.core.config.questions import QuestionsConfig
from medr_ray.core.config.retrieval import IndexConfig, RetrievalConfig
from medr_ray.core.config.serving import ServingConfig
from medr_ray.core.config.tools import ToolsConfig
from medr_ray.core.config.training import GRPOConfig, SFTConfig, TrackingConfig
from medr_ray.core.config.trajectories import TrajectoriesConfig
from medr_ray.core.config.urls import ClusterAddress, StorageUri

# In front of the name of a server in ``agent.tools``.
_SERVER_PREFIX = "mcp:"

GPUName = Annotated[str, registered_in("medr_ray.training.planner.gpus:GPUS")]


class RunConfig(Section):
    """Where a run is stored, and the seed of all its random choices."""

    name: str = Field(
        "default",
        # Neither "." nor "..", which are no folder of the run's own, nor a hidden one.
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="name of the run's directory; it begins with a letter or a digit",
    )
    root: StorageUri = Field(
        "runs", description="where runs are stored: a folder or a URI such as s3://bucket/runs"
    )
    seed: int = Field(0, description="seed of all random choices")


class RayConfig(Section):
    """How to reach Ray. Without an address a private local instance is started."""

    address: Operational[ClusterAddress | None] = Field(
        None, description="address of an existing cluster; RAY_ADDRESS is used too; null: none"
    )
    num_cpus: Operational[int] = Field(
        4, ge=2, description="logical CPUs of the private instance; below 4 small pools starve"
    )
    dashboard: Operational[bool] = Field(
        False, description="start the dashboard of the private instance"
    )
    object_store_mb: Operational[int] = Field(
        1024, ge=128, description="MB of the private instance's object store"
    )
    placement_seconds: Operational[float] = Field(
        45.0,
        ge=0,
        description="seconds in which a joined cluster may grow until a worker or a GPU that it "
        "has no room for can be placed; then that is an error",
    )
    gpu: Operational[GPUName | None] = Field(
        None,
        description="type of the cluster's GPUs, such as h200, that plans of training are held "
        "against; null: this machine's",
    )
    gpus_per_host: Operational[int] = Field(
        8, ge=1, description="GPUs of a node, for the plan of a host's memory"
    )
    host_memory_gb: Operational[float | None] = Field(
        None,
        gt=0,
        description="GB of memory of a node that plans of training count on, of a private instance "
        "no more than this machine has; null: this machine's, of a cluster it is unknown",
    )


class PipelineConfig(Section):
    """Everything that decides a run."""

    run: RunConfig = Field(RunConfig(), description="name, place and seed of the run")
    ray: RayConfig = Field(RayConfig(), description="how to reach Ray")
    corpus: CorpusConfig = Field(CorpusConfig(), description="MEDLINE files")
    entities: EntitiesConfig = Field(EntitiesConfig(), description="names and rarity")
    facts: FactsConfig = Field(FactsConfig(), description="facts of record")
    index: IndexConfig = Field(IndexConfig(), description="searchable documents")
    retrieval: RetrievalConfig = Field(RetrievalConfig(), description="ranking of documents")
    graph: GraphConfig = Field(GraphConfig(), description="expansion of the graph")
    chains: ChainsConfig = Field(ChainsConfig(), description="longest paths in the graph")
    questions: QuestionsConfig = Field(QuestionsConfig(), description="questions from chains")
    models: ModelsConfig = Field(ModelsConfig(), description="local weights")
    engine: EngineConfig = Field(EngineConfig(), description="how weights are run")
    tools: ToolsConfig = Field(ToolsConfig(), description="settings of the tools")
    agent: AgentConfig = Field(AgentConfig(), description="tools and budget of an agent")
    rollouts: RolloutsConfig = Field(RolloutsConfig(), description="many agents at once")
    trajectories: TrajectoriesConfig = Field(
        TrajectoriesConfig(), description="training dialogues from rollouts"
    )
    sft: SFTConfig = Field(SFTConfig(), description="supervised fine-tuning")
    grpo: GRPOConfig = Field(GRPOConfig(), description="reinforcement learning")
    tracking: TrackingConfig = Field(
        TrackingConfig(), description="where the metrics of training go"
    )
    serving: ServingConfig = Field(ServingConfig(), description="the HTTP service")
    evaluation: EvaluationConfig = Field(EvaluationConfig(), description="held-out questions")
    llm: EndpointConfig = Field(
        EndpointConfig(), description="the endpoint of every role that is set to llm"
    )

    @model_validator(mode="after")
    def _check_tool_servers(self) -> "PipelineConfig":
        """Every ``mcp:NAME`` in ``agent.tools`` needs a server of that name."""
        for tool in self.agent.tools:
            if not tool.startswith(_SERVER_PREFIX):
                continue
            server = tool.removeprefix(_SERVER_PREFIX)
            try:
                check_known(server, self.tools.mcp, "server of tools.mcp")
            except ValueError as error:
                # A check over two sections: pydantic does not know which key it is about.
                raise ValueError(f"agent.tools: {error}") from None
        return self
