"""The questions stage: drafts of every seed, worded, verified, balanced, split, examined by models.

Ray Data hands batches of seeds to actors that know the graph and every annotated fact
(``drafting``); each batch is a part, so a killed run goes on with the missing ones. Choosing is one
deterministic pass over all that was accepted. What a language model words comes from the response
cache the second time, what it was examined on from the ledger. ``questions.parquet`` (and
``.jsonl``) holds the chosen questions, ``rejected.jsonl`` every candidate that failed a check and
every question that was given up, with all reasons.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from medr_ray.core.config import PipelineConfig, QuestionsConfig
from medr_ray.core.data import map_in_actors
from medr_ray.core.progress import Bar
from medr_ray.core.records import Question
from medr_ray.core.records import Split as SplitName
from medr_ray.core.run import Counts, RunDirectory, Stage, StageContext
from medr_ray.entities.artifacts import SEEDS
from medr_ray.knowledge.vocabulary_reading import file_digest
from medr_ray.llm.roles import open_chat_client
from medr_ray.questions.artifacts import QUESTIONS
from medr_ray.questions.checks.calibration import Course, build_panel, calibrate
from medr_ray.questions.checks.contamination import Contamination
from medr_ray.questions.checks.duplicates import DuplicateFilter
from medr_ray.questions.drafting.assembly import assemble
from medr_ray.questions.drafting.drafter import Drafter, DraftingWorker, Graph, Rejected, read_graph
from medr_ray.questions.split import Candidate, Split, asked, balance, split_and_balance
from medr_ray.questions.wording.writers import QuestionWriter

_BATCH = 8  # seeds per part: some seconds of work
# Raised with every change of the columns of questions.parquet, so that a run whose questions were
# written in another form makes them anew: 2, since the task is a column of its own.
_FORMAT = 2
_PARTS, _FAILED = "parts/accepted", "parts/rejected"


def most_questions(config: PipelineConfig, run: RunDirectory) -> int | None:
    """How many questions there can be at most; None where no seeds are known yet."""
    if not run.has(SEEDS):
        return None
    accepted = sum(one.significance.verdict for one in run.read(SEEDS))
    limits = [
        config.questions.per_seed * min(accepted, config.graph.max_seeds or accepted),
        config.questions.max_questions,
    ]
    return min(one for one in limits if one is not None)


def draft_parts(context: StageContext, seeds: Sequence[str]) -> list[str]:
    """Draft the seeds that no part holds yet; the parts' names in order."""
    batches = {
        f"seeds-{start:06d}.parquet": list(seeds[start : start + _BATCH])
        for start in range(0, len(seeds), _BATCH)
    }
    done = set(context.directory.list_files(_PARTS))
    waiting = [
        {"part": name, "seeds": batch} for name, batch in batches.items() if name not in done
    ]
    with Bar(context.console, "questions", len(seeds), "seeds") as bar:
        bar.resume(sum(len(batch) for name, batch in batches.items() if name in done))
        results = map_in_actors(
            waiting,
            DraftingWorker,
            context.config.questions.workers,
            config=context.config,
            run=context.run,
            directory=context.directory,
            parts=_PARTS,
            failed=_FAILED,
        )
        accepted = 0
        for row in results:
            accepted += row["accepted"]
            bar.advance(row["seeds"], f"{accepted:,} drafts accepted")
    return list(batches)


def clean(
    accepted: Sequence[Candidate], benchmarks: Sequence[str]
) -> tuple[list[Candidate], list[Rejected]]:
    """(candidates that repeat no benchmark item, the others); without benchmarks nothing is
    checked."""
    if not benchmarks:
        return list(accepted), []
    known, kept, rejected = Contamination.load(benchmarks), [], []
    for one in accepted:
        reason = known.found(one.text)
        if reason is not None:
            rejected.append(failed(one, reason))
            continue
        verification = replace(one.verdict.verification, uncontaminated=True)
        kept.append(replace(one, verdict=replace(one.verdict, verification=verification)))
    return kept, rejected


def failed(one: Candidate, *reasons: str) -> Rejected:
    """The candidate as a rejected one."""
    return Rejected(one.path.seed, one.path.chain_id, one.text, reasons)


def reworded(
    split: Split, drafter: Drafter, writer: QuestionWriter, config: QuestionsConfig, run_seed: int
) -> tuple[Split, list[Rejected]]:
    """The split in a model's words: what it could not word is rejected, and shares are restored
    over what remains."""
    rejected: list[Rejected] = []
    sides: list[tuple[Candidate, ...]] = []
    for side in (split.heldout, split.train):
        kept, lost = drafter.judge([one.draft for one in side], writer)
        sides.append(
            tuple(
                balance(kept, config, run_seed, None, [one for earlier in sides for one in earlier])
            )
        )
        rejected += lost
    return replace(split, heldout=sides[0], train=sides[1]), rejected


class Harder:
    """Finds a harder question to take the place of one that was too easy: of the same seed and
    side, with a longer path, else with a more obfuscated one; never one that repeats what is
    already asked."""

    def __init__(self, split: Split, assembled: Callable[[Candidate, SplitName], Question]) -> None:
        self._assembled, self._duplicates = assembled, DuplicateFilter()
        self._waiting: dict[str, list[Candidate]] = {}
        for one in (*split.heldout, *split.train):
            self._duplicates.add(asked(one))
        for one in sorted(
            split.eligible,
            key=lambda one: (one.path.complexity, one.draft.obfuscation, one.path.key),
        ):
            self._waiting.setdefault(one.path.seed, []).append(one)

    def __call__(self, too_easy: Sequence[tuple[Question, int]]) -> list[Question | None]:
        """For each question and the complexity it is to have: another question, or None."""
        return [self._instead_of(question, complexity) for question, complexity in too_easy]

    def _instead_of(self, question: Question, complexity: int) -> Question | None:
        waiting = self._waiting.get(question.seed, [])
        longer = [one for one in waiting if one.path.complexity >= complexity]
        hidden = [
            one
            for one in waiting
            if one.path.complexity >= question.complexity
            and one.draft.obfuscation > question.obfuscation
        ]
        for one in (*longer, *hidden):
            if self._duplicates.add(asked(one)) is None:
                waiting.remove(one)
                return self._assembled(one, question.split)
        return None


def model_writer(context: StageContext, graph: Graph) -> QuestionWriter:
    """The writer over the configured model."""
    from medr_ray.questions.wording.llm_writer import LLMWriter

    config = context.config
    return LLMWriter(
        open_chat_client(config.llm, context.run),
        graph.entities,
        config.questions.language,
        config.llm.model,
    )


def given_up(courses: Sequence[Course]) -> list[Rejected]:
    """The questions that were replaced or rejected on their courses, with what the models made of
    them."""
    rows = []
    for course in courses:
        rows += [
            Rejected(
                one.question.seed, one.question.chain_id, one.question.task.text, (one.reason,)
            )
            for one in course.replaced
        ]
        if course.state == "rejected":
            rows.append(
                Rejected(
                    course.question.seed,
                    course.question.chain_id,
                    course.question.task.text,
                    (course.reason,),
                )
            )
    return rows


def execute(context: StageContext) -> Counts:
    """Write the questions; see the module's docstring."""
    config, run_seed = context.config.questions, context.config.run.seed
    graph = read_graph(context.run)
    parts = draft_parts(context, sorted(graph.seed_graphs))
    drafted = [
        one
        for part in parts
        for one in context.directory.read_records(f"{_PARTS}/{part}", Candidate)
    ]
    accepted, rejected = clean(drafted, config.benchmarks)
    split = split_and_balance(accepted, graph.entities, config, run_seed)
    rejected += [failed(one, reason) for one, reason in split.repeats]
    if config.writer == "llm":
        drafter = Drafter.over(graph, context.config)
        split, lost = reworded(split, drafter, model_writer(context, graph), config, run_seed)
        rejected += lost

    def assembled(one: Candidate, side: SplitName) -> Question:
        return assemble(one, side, graph.entities, graph.specialties, config.language)

    questions = [assembled(candidate, "train") for candidate in split.train]
    questions += [assembled(candidate, "heldout") for candidate in split.heldout]
    panel = build_panel(config, context.run, context.directory, context.console)
    if panel is not None:
        courses = calibrate(
            questions,
            panel,
            Harder(split, assembled),
            config.calibration_threshold,
            config.calibration_rounds,
        )
        questions = [one.question for one in courses if one.state == "kept"]
        rejected += given_up(courses)
    return write(context, parts, questions, len(accepted), rejected, split)


def write(
    context: StageContext,
    parts: Sequence[str],
    questions: Sequence[Question],
    accepted: int,
    rejected: Sequence[Rejected],
    split: Split,
) -> Counts:
    """The stage's files and figures."""
    directory = context.directory
    questions = sorted(questions, key=lambda question: question.task.task_id)
    directory.write(QUESTIONS, questions)
    directory.write_jsonl("questions.jsonl", questions)
    every = [*_drafts_rejected(context, parts), *rejected]
    directory.write_jsonl("rejected.jsonl", every)
    counts = question_counts(questions, accepted, every, split.overlapping)
    context.console.print(
        f"questions: {len(questions):,} of {accepted + len(every):,} candidates ({counts['train']:,} train, "
        f"{counts['heldout']:,} held out), {counts['mean_hops']} hops on average",
        highlight=False,
    )
    return counts


def _drafts_rejected(context: StageContext, parts: Sequence[str]) -> Iterator[Rejected]:
    for part in parts:
        yield from context.directory.read_records(f"{_FAILED}/{part}", Rejected)


def question_counts(
    questions: Sequence[Question], accepted: int, rejected: Sequence[Rejected], overlapping: int
) -> dict[str, Any]:
    """The figures of the report. ``reasons`` counts rejected candidates by the check they
    failed."""
    reasons = Counter(
        check for one in rejected for check in {reason.split(":")[0] for reason in one.reasons}
    )
    return {
        "accepted": len(questions),
        "candidates_verified": accepted,
        "rejected": len(rejected),
        "train": sum(one.split == "train" for one in questions),
        "heldout": sum(one.split == "heldout" for one in questions),
        "overlapping_train_candidates_dropped": overlapping,
        "mean_hops": round(sum(one.complexity for one in questions) / max(len(questions), 1), 2),
        "by_hops": _tally(one.complexity for one in questions),
        "by_predicate": _tally(one.guidance[-1].predicate for one in questions),
        "by_paradigm": _tally(one.paradigm for one in questions),
        "by_specialty": _tally(one.specialty for one in questions),
        "by_obfuscation": _tally(one.obfuscation for one in questions),
        "reasons": dict(sorted(reasons.items())),
    }


def _tally(values: Iterable[Any]) -> dict[str, int]:
    return {str(value): count for value, count in sorted(Counter(values).items())}


def _inputs(config: PipelineConfig) -> Mapping[str, Any]:
    """The form of the questions, and the model that words and the benchmarks' content where there
    are any."""
    inputs: dict[str, Any] = {"format": _FORMAT}
    if config.questions.writer == "llm":
        inputs["llm"] = config.llm.identity()
    if config.questions.benchmarks:
        inputs["benchmarks"] = [file_digest(path) for path in config.questions.benchmarks]
    return inputs


QUESTIONS_STAGE = Stage(
    name="questions",
    needs=("entities", "graph", "chains"),
    sections=("questions",),
    execute=execute,
    inputs=_inputs,
)
