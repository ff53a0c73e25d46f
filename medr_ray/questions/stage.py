"""The questions stage: candidates from every seed's chain, worded, verified, balanced and split.

``questions.parquet`` (and ``.jsonl``) holds the chosen questions, ``rejected.jsonl`` every candidate that failed
verification, with all its reasons. The stage is one deterministic pass of seconds; a killed run repeats it, and
what a language model has worded already comes from the response cache.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from medr_ray.core.config import PipelineConfig, QuestionsConfig
from medr_ray.core.progress import Bar
from medr_ray.core.records import Chain, Entity, Question, Relation, SeedEntity
from medr_ray.core.run import Counts, Stage, StageContext
from medr_ray.questions.assembling import assemble
from medr_ray.questions.facts import FactIndex, Statement, build_fact_index
from medr_ray.questions.obfuscation import describe_start
from medr_ray.questions.paths import Path, candidate_paths
from medr_ray.questions.split import Candidate, Split, balance, rank, split_and_balance
from medr_ray.questions.verification import Verifier
from medr_ray.questions.writing import Draft, QuestionWriter, rules_writer

_HASH_SPAN = 16**8


@dataclass(frozen=True)
class Graph:
    """What the stage reads."""

    entities: Mapping[str, Entity]
    relations: Mapping[str, Relation]
    seed_graphs: Mapping[str, tuple[str, ...]]
    chains: Mapping[str, Chain]
    specialties: Mapping[str, str]


@dataclass(frozen=True)
class Rejected:
    """A candidate that failed, and every reason why."""

    seed: str
    chain_id: str
    text: str
    reasons: tuple[str, ...]


def read_graph(context: StageContext) -> Graph:
    """The merged graph, the seed graphs, the chains and the seeds' specialties."""
    graph = context.upstream("graph")
    seeds = context.upstream("entities").read_records("seeds.parquet", SeedEntity)
    rows = graph.read_table("seed_graphs.parquet").to_pylist()
    return Graph(
        entities={one.entity_id: one for one in graph.read_records("entities.parquet", Entity)},
        relations={one.relation_id: one for one in graph.read_records("relations.parquet", Relation)},
        seed_graphs={row["seed"]: tuple(row["relations"]) for row in rows},
        chains={one.seed: one for one in context.upstream("chains").read_records("chains.parquet", Chain)},
        specialties={one.frequency.concept_id: one.specialty for one in seeds},
    )


def ontology_statements() -> Iterable[Statement]:
    """Every fact of the HPO annotations, so that uniqueness holds in the disease records and not only in the graph."""
    from medr_ray.knowledge.hpo import load_hpo

    for disease in load_hpo().diseases.values():
        for fact in disease.facts:
            yield Statement(disease.entity_id, fact.predicate, fact.object_id, fact.clinical)


def draft_candidates(graph: Graph, facts: FactIndex, config: QuestionsConfig, run_seed: int, bar: Bar) -> list[Draft]:
    """Every candidate path of every seed, in seed order; a seeded share of them with a described start."""
    lengths = range(config.min_hops, config.max_hops + 1)
    drafts = []
    for seed in sorted(graph.seed_graphs):
        relations = [graph.relations[one] for one in graph.seed_graphs[seed]]
        paths = candidate_paths(seed, graph.chains.get(seed), relations, graph.relations, facts, lengths)
        drafts += [_draft(path, facts, config.obfuscate_start, run_seed) for path in paths]
        bar.advance()
    return drafts


def _draft(path: Path, facts: FactIndex, share: float, run_seed: int) -> Draft:
    chosen = share > 0 and int(rank(run_seed, "obfuscate", path.key)[:8], 16) < share * _HASH_SPAN
    return Draft(path, describe_start(path, facts) if chosen else None)


def judge(
    drafts: Sequence[Draft], writer: QuestionWriter, verifier: Verifier, allow_other: bool
) -> tuple[list[Candidate], list[Rejected]]:
    """Word and verify drafts: (accepted, rejected)."""
    accepted, rejected = [], []
    for draft, written in zip(drafts, writer.write(drafts), strict=True):
        verdict = verifier.verify(draft, written.text, allow_other)
        reasons = ((written.problem,) if written.problem else ()) + verdict.reasons
        if reasons:
            rejected.append(Rejected(draft.path.seed, draft.path.chain_id, written.text, reasons))
        else:
            accepted.append(Candidate(draft, written.text, verdict))
    return accepted, rejected


def choose(
    graph: Graph, facts: FactIndex, drafts: Sequence[Draft], config: QuestionsConfig, run_seed: int,
    model_writer: Callable[[], QuestionWriter] | None,
) -> tuple[Split, list[Candidate], list[Rejected]]:
    """The split, all accepted candidates and all rejected ones. A model only words what was chosen, and shares are
    restored over what remains of it."""
    verifier = Verifier(graph.entities, graph.relations, facts)
    plain = rules_writer(config.language, graph.entities)
    accepted, rejected = judge(drafts, plain, verifier, config.other_hops)
    split = split_and_balance(accepted, graph.entities, config, run_seed)
    if model_writer is None:
        return split, accepted, rejected
    writer, sides = model_writer(), []
    for side in (split.train, split.heldout):
        kept, failed = judge([one.draft for one in side], writer, verifier, config.other_hops)
        sides.append(tuple(balance(kept, config, run_seed, None)))
        rejected += failed
    return Split(sides[0], sides[1], split.overlapping), accepted, rejected


def _model_writer(config: PipelineConfig, context: StageContext, graph: Graph) -> Callable[[], QuestionWriter] | None:
    if config.questions.writer == "rules":
        return None

    def build() -> QuestionWriter:
        from medr_ray.llm.client import ChatClient
        from medr_ray.questions.model_writing import LLMWriter

        client = ChatClient(config.llm, context.run)
        return LLMWriter(client, graph.entities, config.questions.language, config.llm.model)

    return build


def _counts(questions: Sequence[Question], accepted: int, rejected: Sequence[Rejected], split: Split) -> Counts:
    """The figures of the report. ``reasons`` counts rejected candidates by the check they failed."""
    reasons = Counter(check for one in rejected for check in {reason.split(":")[0] for reason in one.reasons})
    final = Counter(one.guidance[-1].predicate for one in questions)
    return {
        "accepted": len(questions),
        "candidates_verified": accepted,
        "rejected": len(rejected),
        "train": len(split.train),
        "heldout": len(split.heldout),
        "overlapping_train_candidates_dropped": split.overlapping,
        "by_hops": {str(hops): n for hops, n in sorted(Counter(one.complexity for one in questions).items())},
        "by_predicate": dict(sorted(final.items())),
        "reasons": dict(sorted(reasons.items())),
    }


def execute(context: StageContext) -> Counts:
    """Write the questions; see the module's docstring."""
    config = context.config
    graph = read_graph(context)
    facts = build_fact_index(
        graph.entities, graph.relations.values(), ontology_statements(), config.questions.obfuscate_start > 0)
    with Bar(context.console, "questions", len(graph.seed_graphs), "seeds") as bar:
        drafts = draft_candidates(graph, facts, config.questions, config.run.seed, bar)
    split, accepted, rejected = choose(
        graph, facts, drafts, config.questions, config.run.seed, _model_writer(config, context, graph))
    questions = sorted(
        (
            assemble(one, side, graph.entities, graph.relations, graph.specialties, config.questions.language)
            for side, chosen in (("train", split.train), ("heldout", split.heldout)) for one in chosen
        ),
        key=lambda question: question.question_id,
    )
    context.directory.write_records("questions.parquet", Question, questions)
    context.directory.write_jsonl("questions.jsonl", questions)
    context.directory.write_jsonl("rejected.jsonl", rejected)
    counts = _counts(questions, len(accepted), rejected, split)
    context.console.print(
        f"questions: {len(questions)} of {len(drafts)} candidates "
        f"({counts['train']} train, {counts['heldout']} held out)", highlight=False)
    return counts


QUESTIONS = Stage(
    name="questions",
    needs=("entities", "graph", "chains"),
    sections=("questions",),
    execute=execute,
    inputs=lambda config: config.llm.model_dump(mode="json", include={"base_url", "model", "temperature", "max_tokens"})
    if config.questions.writer == "llm" else None,
    uses_ray=False,
)
