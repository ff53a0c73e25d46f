"""The questions stage: drafts questions for every seed, then words, verifies and chooses them.

Ray Data hands batches of seeds to actors that know the graph and every annotated fact
(``drafting``). Each batch is written as a part, so a killed run goes on with the missing parts.
The choice is one deterministic pass over all accepted candidates, which also splits and balances
them. Where models examine the questions, too easy ones are replaced. On a second run, a language
model's wording comes from the response cache and its examination from the ledger.

``questions.parquet`` (and ``.jsonl``) contains the chosen questions. ``rejected.jsonl`` contains
every candidate that failed a check and every question that was given up, with all reasons.
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

# Seeds per part: some seconds of work, which is all that a killed run loses.
_SEEDS_PER_PART = 8
# Raise this with every change of the columns of questions.parquet, so that a run whose questions
# have another format generates them again. It is 2 since the task is a column of its own.
_QUESTIONS_FORMAT = 2
_ACCEPTED_PARTS = "parts/accepted"
_REJECTED_PARTS = "parts/rejected"


def most_questions(config: PipelineConfig, run: RunDirectory) -> int | None:
    """An upper bound for the number of questions; None while the run has no seeds."""
    if not run.has(SEEDS):
        return None
    accepted = sum(seed.significance.verdict for seed in run.read(SEEDS))
    limits = [
        config.questions.per_seed * min(accepted, config.graph.max_seeds or accepted),
        config.questions.max_questions,
    ]
    return min(limit for limit in limits if limit is not None)


def draft_parts(context: StageContext, seeds: Sequence[str]) -> list[str]:
    """Draft the seeds that are in no part yet. Returns the names of all parts, in order."""
    batches = {
        f"seeds-{start:06d}.parquet": list(seeds[start : start + _SEEDS_PER_PART])
        for start in range(0, len(seeds), _SEEDS_PER_PART)
    }
    # Only the accepted parts are listed: a worker writes them after the rejected ones, so a name
    # in this list means that the whole batch is done.
    done = set(context.directory.list_files(_ACCEPTED_PARTS))
    pending = [
        {"part": name, "seeds": batch} for name, batch in batches.items() if name not in done
    ]
    with Bar(context.console, "questions", len(seeds), "seeds") as bar:
        bar.resume(sum(len(batch) for name, batch in batches.items() if name in done))
        results = map_in_actors(
            pending,
            DraftingWorker,
            context.config.questions.workers,
            config=context.config,
            run=context.run,
            directory=context.directory,
            parts=_ACCEPTED_PARTS,
            failed=_REJECTED_PARTS,
        )
        accepted = 0
        for row in results:
            accepted += row["accepted"]
            bar.advance(row["seeds"], f"{accepted:,} drafts accepted")
    return list(batches)


def clean(
    accepted: Sequence[Candidate], benchmarks: Sequence[str]
) -> tuple[list[Candidate], list[Rejected]]:
    """Separate the candidates that repeat a benchmark item.

    Returns (clean candidates, rejected ones). Without benchmarks all candidates are returned
    unchecked, and their verification does not claim that they are uncontaminated.
    """
    if not benchmarks:
        return list(accepted), []
    contamination = Contamination.load(benchmarks)
    kept = []
    rejected = []
    for candidate in accepted:
        reason = contamination.found(candidate.text)
        if reason is not None:
            rejected.append(failed(candidate, reason))
            continue
        verification = replace(candidate.verdict.verification, uncontaminated=True)
        kept.append(
            replace(candidate, verdict=replace(candidate.verdict, verification=verification))
        )
    return kept, rejected


def failed(one: Candidate, *reasons: str) -> Rejected:
    """The candidate as a rejected one, with the reasons."""
    return Rejected(one.path.seed, one.path.chain_id, one.text, reasons)


def reworded(
    split: Split, drafter: Drafter, writer: QuestionWriter, config: QuestionsConfig, run_seed: int
) -> tuple[Split, list[Rejected]]:
    """The split in a model's words.

    Candidates whose wording fails are rejected. Each side is balanced again over what remains, as
    the shares changed. Returns (the new split, the rejected candidates).
    """
    rejected: list[Rejected] = []
    sides: list[tuple[Candidate, ...]] = []
    # Held-out questions come first, so that train questions that repeat one of them are dropped.
    for side in (split.heldout, split.train):
        kept, lost = drafter.judge([candidate.draft for candidate in side], writer)
        sides.append(
            tuple(
                balance(
                    kept,
                    config,
                    run_seed,
                    None,
                    [candidate for earlier in sides for candidate in earlier],
                )
            )
        )
        rejected += lost
    return replace(split, heldout=sides[0], train=sides[1]), rejected


class Harder:
    """Replaces questions that were too easy with harder ones.

    A replacement has the same seed and the same side of the split. A longer path is preferred to a
    more obfuscated one. A replacement never repeats a question that is already chosen.
    """

    def __init__(self, split: Split, assembled: Callable[[Candidate, SplitName], Question]) -> None:
        self._assemble_question = assembled
        self._duplicates = DuplicateFilter()
        self._unused_by_seed: dict[str, list[Candidate]] = {}
        for candidate in (*split.heldout, *split.train):
            self._duplicates.add(asked(candidate))
        # The easiest first, so that a replacement is no harder than it needs to be. The chosen
        # candidates are in here as well: the duplicate filter passes over them.
        for candidate in sorted(
            split.eligible,
            key=lambda candidate: (
                candidate.path.complexity,
                candidate.draft.obfuscation,
                candidate.path.key,
            ),
        ):
            self._unused_by_seed.setdefault(candidate.path.seed, []).append(candidate)

    def __call__(self, too_easy: Sequence[tuple[Question, int]]) -> list[Question | None]:
        """A replacement for each question at the complexity it shall have; None where none is
        left."""
        return [self._find_replacement(question, complexity) for question, complexity in too_easy]

    def _find_replacement(self, question: Question, complexity: int) -> Question | None:
        unused = self._unused_by_seed.get(question.seed, [])
        longer = [candidate for candidate in unused if candidate.path.complexity >= complexity]
        more_obfuscated = [
            candidate
            for candidate in unused
            if candidate.path.complexity >= question.complexity
            and candidate.draft.obfuscation > question.obfuscation
        ]
        for candidate in (*longer, *more_obfuscated):
            if self._duplicates.add(asked(candidate)) is None:
                unused.remove(candidate)
                return self._assemble_question(candidate, question.split)
        return None


def model_writer(context: StageContext, graph: Graph) -> QuestionWriter:
    """The question writer that uses the configured language model."""
    # Imported here: runs whose questions are worded by rules need no client of a model.
    from medr_ray.questions.wording.llm_writer import LLMWriter

    config = context.config
    return LLMWriter(
        open_chat_client(config.llm, context.run),
        graph.entities,
        config.questions.language,
        config.llm.model,
    )


def given_up(courses: Sequence[Course]) -> list[Rejected]:
    """The questions that calibration replaced or rejected, with its reason for each."""
    rejected = []
    for course in courses:
        rejected += [
            Rejected(
                attempt.question.seed,
                attempt.question.chain_id,
                attempt.question.task.text,
                (attempt.reason,),
            )
            for attempt in course.replaced
        ]
        if course.state == "rejected":
            rejected.append(
                Rejected(
                    course.question.seed,
                    course.question.chain_id,
                    course.question.task.text,
                    (course.reason,),
                )
            )
    return rejected


def execute(context: StageContext) -> Counts:
    """Write the questions; see the module's docstring. Returns the figures of the report."""
    config = context.config.questions
    run_seed = context.config.run.seed
    graph = read_graph(context.run)
    # Sorted, so that the batches and their parts are the same in every run.
    parts = draft_parts(context, sorted(graph.seed_graphs))
    drafted = [
        candidate
        for part in parts
        for candidate in context.directory.read_records(f"{_ACCEPTED_PARTS}/{part}", Candidate)
    ]
    accepted, rejected = clean(drafted, config.benchmarks)
    split = split_and_balance(accepted, graph.entities, config, run_seed)
    rejected += [failed(candidate, reason) for candidate, reason in split.repeats]
    # A model words only the chosen questions: wording every candidate would cost many more calls.
    if config.writer == "llm":
        drafter = Drafter.over(graph, context.config)
        split, lost = reworded(split, drafter, model_writer(context, graph), config, run_seed)
        rejected += lost

    def assemble_question(one: Candidate, side: SplitName) -> Question:
        return assemble(one, side, graph.entities, graph.specialties, config.language)

    questions = [assemble_question(candidate, "train") for candidate in split.train]
    questions += [assemble_question(candidate, "heldout") for candidate in split.heldout]
    panel = build_panel(config, context.run, context.directory, context.console)
    if panel is not None:
        courses = calibrate(
            questions,
            panel,
            Harder(split, assemble_question),
            config.calibration_threshold,
            config.calibration_rounds,
        )
        questions = [course.question for course in courses if course.state == "kept"]
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
    """Write the stage's files. Returns the figures of the report."""
    directory = context.directory
    questions = sorted(questions, key=lambda question: question.task.task_id)
    directory.write(QUESTIONS, questions)
    directory.write_jsonl("questions.jsonl", questions)
    all_rejected = [*_read_rejected_drafts(context, parts), *rejected]
    directory.write_jsonl("rejected.jsonl", all_rejected)
    counts = question_counts(questions, accepted, all_rejected, split.overlapping)
    context.console.print(
        f"questions: {len(questions):,} of {accepted + len(all_rejected):,} candidates "
        f"({counts['train']:,} train, "
        f"{counts['heldout']:,} held out), {counts['mean_hops']} hops on average",
        highlight=False,
    )
    return counts


def _read_rejected_drafts(context: StageContext, parts: Sequence[str]) -> Iterator[Rejected]:
    for part in parts:
        yield from context.directory.read_records(f"{_REJECTED_PARTS}/{part}", Rejected)


def question_counts(
    questions: Sequence[Question], accepted: int, rejected: Sequence[Rejected], overlapping: int
) -> dict[str, Any]:
    """The figures of the report. ``reasons`` counts rejected candidates by the check they
    failed."""
    # A reason reads "check: details". A candidate counts once for a check, however often it
    # failed it.
    reasons = Counter(
        check
        for candidate in rejected
        for check in {reason.split(":")[0] for reason in candidate.reasons}
    )
    return {
        "accepted": len(questions),
        "candidates_verified": accepted,
        "rejected": len(rejected),
        "train": sum(question.split == "train" for question in questions),
        "heldout": sum(question.split == "heldout" for question in questions),
        "overlapping_train_candidates_dropped": overlapping,
        "mean_hops": round(
            sum(question.complexity for question in questions) / max(len(questions), 1), 2
        ),
        "by_hops": _count_values(question.complexity for question in questions),
        "by_predicate": _count_values(question.guidance[-1].predicate for question in questions),
        "by_paradigm": _count_values(question.paradigm for question in questions),
        "by_specialty": _count_values(question.specialty for question in questions),
        "by_obfuscation": _count_values(question.obfuscation for question in questions),
        "reasons": dict(sorted(reasons.items())),
    }


def _count_values(values: Iterable[Any]) -> dict[str, int]:
    return {str(value): count for value, count in sorted(Counter(values).items())}


def _stage_inputs(config: PipelineConfig) -> Mapping[str, Any]:
    """What else decides the questions: their format, the model that words them and the content of
    the benchmarks, where there are any."""
    inputs: dict[str, Any] = {"format": _QUESTIONS_FORMAT}
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
    inputs=_stage_inputs,
)
