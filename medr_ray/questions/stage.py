"""The questions stage: drafts questions for every seed, then chooses, words and examines them.

``execute`` runs these steps, and rejected candidates are collected from all of them:

1. Draft: Ray Data hands batches of seeds to actors that know the graph and every annotated fact
   (``drafting``). Each batch is written as a part, so a resumed run drafts only the missing parts.
2. Drop the candidates that repeat a benchmark item (``checks.contamination``).
3. Choose and split: one deterministic pass over all accepted candidates (``split``).
4. Reword the chosen questions with a language model, where one is configured (``wording``).
5. Calibrate: models examine the questions, and too easy ones are replaced (``calibration``).
6. Write ``questions.parquet`` (and ``.jsonl``) with the chosen questions, and ``rejected.jsonl``
   with every candidate that failed a check and every question that calibration rejected or
   replaced, with all reasons.

On a second run, a model's wording comes from the response cache and its examinations from the
ledger.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from medr_ray.core.config import PipelineConfig
from medr_ray.core.data import map_in_actors
from medr_ray.core.progress import Bar
from medr_ray.core.records import Question
from medr_ray.core.run import Counts, Directory, RunDirectory, Stage, StageContext
from medr_ray.knowledge.vocabulary_reading import file_digest
from medr_ray.llm.reachability import find_endpoint_problems
from medr_ray.llm.roles import open_chat_client
from medr_ray.questions.artifacts import QUESTIONS
from medr_ray.questions.calibration.panel import open_panel
from medr_ray.questions.calibration.replacement_pool import AssembleQuestion, ReplacementPool
from medr_ray.questions.calibration.rounds import CalibrationState, calibrate_questions
from medr_ray.questions.checks.contamination import ContaminationCheck
from medr_ray.questions.counts import count_questions
from medr_ray.questions.drafting.assembly import assemble_question
from medr_ray.questions.drafting.drafter import (
    Drafter,
    DraftingWorker,
    QuestionGraph,
    RejectedDraft,
    read_graph,
)
from medr_ray.questions.split import Candidate, QuestionSplit, pick_balanced, split_and_balance
from medr_ray.questions.wording.writers import QuestionWriter

# Seeds per part: some seconds of work, which is all that a killed run loses.
_SEEDS_PER_PART = 8
# Raise this with every change of the columns of questions.parquet, so that a run whose questions
# have another format generates them again. It is 2 since the task is a column of its own, 3 since
# figures keep their signs when names and answers are compared, 4 since spellings are folded by
# morphemes, 5 since phrases are figures too, and 6 since only facts that are single-valued in the
# world identify an entity or are asked without their source.
_QUESTIONS_FORMAT = 6
_ACCEPTED_FOLDER = "drafts/accepted"
_REJECTED_FOLDER = "drafts/rejected"
R = TypeVar("R")


def execute(context: StageContext) -> Counts:
    """Run the steps of the module's docstring. Returns the figures of the report."""
    config = context.config.questions
    graph = read_graph(context.run)
    # Sorted, so that the batches and their parts are the same in every run.
    parts = draft_parts(context, sorted(graph.seed_graphs))
    drafted = read_parts(context.directory, _ACCEPTED_FOLDER, parts, Candidate)
    accepted, contaminated = drop_contaminated(drafted, config.benchmarks)
    split = split_and_balance(accepted, graph.entities, config, context.config.run.seed)
    repeats = [reject_candidate(candidate, reason) for candidate, reason in split.repeats]
    # A model words only the chosen questions: wording every candidate would cost many more calls.
    split, misworded = reword_with_model(context, split, graph)
    assemble = partial(
        assemble_question,
        entities=graph.entities,
        specialties=graph.specialties,
        language=config.language,
    )
    questions, too_easy = calibrate_difficulty(context, split, assemble)
    # This order is the order of rejected.jsonl: by step, and within a step as the step gave them.
    rejected = [
        *read_parts(context.directory, _REJECTED_FOLDER, parts, RejectedDraft),
        *contaminated,
        *repeats,
        *misworded,
        *too_easy,
    ]
    write_questions(context.directory, questions, rejected)
    counts = count_questions(questions, len(accepted), rejected, split.overlapping_count)
    print_summary(context, counts)
    return counts


# --- 1. drafting ----------------------------------------------------------------------


def draft_parts(context: StageContext, seeds: Sequence[str]) -> list[str]:
    """Draft the seeds that are in no part yet. Returns the names of all parts, in order."""
    batches = {
        f"seeds-{start:06d}.parquet": list(seeds[start : start + _SEEDS_PER_PART])
        for start in range(0, len(seeds), _SEEDS_PER_PART)
    }
    # Only the accepted parts are listed: a worker writes them after the rejected ones, so a name
    # in this list means that the whole batch is done.
    done = set(context.directory.list_files(_ACCEPTED_FOLDER))
    pending = [
        {"part": name, "seeds": batch} for name, batch in batches.items() if name not in done
    ]
    with Bar(context.console, "questions", len(seeds), "seeds") as bar:
        bar.resume(sum(len(batch) for name, batch in batches.items() if name in done))
        drafting = map_in_actors(
            pending,
            DraftingWorker,
            context.config.questions.workers,
            config=context.config,
            run=context.run,
            directory=context.directory,
            accepted_folder=_ACCEPTED_FOLDER,
            rejected_folder=_REJECTED_FOLDER,
        )
        accepted = 0
        with drafting as results:
            for row in results:
                accepted += row["accepted"]
                bar.advance(row["seeds"], f"{accepted:,} drafts accepted")
    return list(batches)


def read_parts(directory: Directory, folder: str, parts: Sequence[str], record: type[R]) -> list[R]:
    """The records of all parts in a folder, in the order of ``parts``."""
    return [row for part in parts for row in directory.read_records(f"{folder}/{part}", record)]


# --- 2. contamination -----------------------------------------------------------------


def drop_contaminated(
    candidates: Sequence[Candidate], benchmarks: Sequence[str]
) -> tuple[list[Candidate], list[RejectedDraft]]:
    """Separate the candidates that repeat a benchmark item.

    Returns (clean candidates, rejected ones). Without benchmarks all candidates are returned
    unchecked, and their verification does not claim that they are uncontaminated.
    """
    if not benchmarks:
        return list(candidates), []
    check = ContaminationCheck.load(benchmarks)
    clean = []
    rejected = []
    for candidate in candidates:
        reason = check.find_rejection_reason(candidate.text)
        if reason is not None:
            rejected.append(reject_candidate(candidate, reason))
            continue
        verification = replace(candidate.verdict.verification, uncontaminated=True)
        clean.append(
            replace(candidate, verdict=replace(candidate.verdict, verification=verification))
        )
    return clean, rejected


def reject_candidate(candidate: Candidate, reason: str) -> RejectedDraft:
    """The record of an accepted candidate that a later step rejects."""
    path = candidate.path
    return RejectedDraft(path.seed, path.chain_id, candidate.text, (reason,))


# --- 4. wording by a model ------------------------------------------------------------


def reword_with_model(
    context: StageContext, split: QuestionSplit, graph: QuestionGraph
) -> tuple[QuestionSplit, list[RejectedDraft]]:
    """The split in the words of the configured model; unchanged where rules are the writer.

    Candidates whose wording fails are rejected. Each side is balanced again over what remains, as
    the shares changed. Returns (the new split, the rejected candidates).
    """
    config = context.config.questions
    if config.writer != "llm":
        return split, []
    drafter = Drafter.from_graph(graph, context.config)
    writer = open_model_writer(context, graph)
    rejected: list[RejectedDraft] = []
    chosen: list[Candidate] = []
    sides: list[tuple[Candidate, ...]] = []
    # Held-out questions come first, so that train questions that repeat one of them are dropped.
    for side in (split.heldout, split.train):
        worded, misworded = drafter.word_and_verify([candidate.draft for candidate in side], writer)
        kept = pick_balanced(worded, config, context.config.run.seed, limit=None, earlier=chosen)
        sides.append(tuple(kept))
        chosen += kept
        rejected += misworded
    return replace(split, heldout=sides[0], train=sides[1]), rejected


def open_model_writer(context: StageContext, graph: QuestionGraph) -> QuestionWriter:
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


# --- 5. calibration -------------------------------------------------------------------


def assemble_chosen(split: QuestionSplit, assemble: AssembleQuestion) -> list[Question]:
    """The records of the chosen candidates, train before held-out."""
    questions = [assemble(candidate, "train") for candidate in split.train]
    questions += [assemble(candidate, "heldout") for candidate in split.heldout]
    return questions


def calibrate_difficulty(
    context: StageContext, split: QuestionSplit, assemble: AssembleQuestion
) -> tuple[list[Question], list[RejectedDraft]]:
    """Let the configured models examine the chosen questions.

    Returns (the questions that stay, with replacements in the place of too easy ones; the
    rejected ones). Without models all questions stay.
    """
    config = context.config.questions
    questions = assemble_chosen(split, assemble)
    panel = open_panel(config, context.run, context.directory, context.console)
    if panel is None:
        return questions, []
    # Only here: comparing every chosen question takes time, and without models nothing is replaced.
    pool = ReplacementPool(split, assemble)
    states = calibrate_questions(
        questions,
        panel.examine,
        pool.find_replacements,
        config.calibration_threshold,
        config.calibration_rounds,
    )
    kept = [state.question for state in states if state.status == "kept"]
    return kept, list_too_easy(states)


def list_too_easy(states: Sequence[CalibrationState]) -> list[RejectedDraft]:
    """The questions that calibration replaced or rejected, with its reason for each."""
    rejected = []
    for state in states:
        rejected += [
            _reject_question(attempt.question, attempt.reason) for attempt in state.replaced
        ]
        if state.status == "rejected":
            rejected.append(_reject_question(state.question, state.reason))
    return rejected


def _reject_question(question: Question, reason: str) -> RejectedDraft:
    return RejectedDraft(question.seed, question.chain_id, question.task.text, (reason,))


# --- 6. writing -----------------------------------------------------------------------


def write_questions(
    directory: Directory, questions: Sequence[Question], rejected: Sequence[RejectedDraft]
) -> None:
    """Write the stage's files. The questions are sorted by id."""
    ordered = sorted(questions, key=lambda question: question.task.task_id)
    directory.write(QUESTIONS, ordered)
    directory.write_jsonl("questions.jsonl", ordered)
    directory.write_jsonl("rejected.jsonl", rejected)


def print_summary(context: StageContext, counts: Counts) -> None:
    """Print how many of all candidates became questions, by side, their length, and for what
    reasons the others were refused (one may have several)."""
    candidates = counts["candidates_verified"] + counts["rejected"]
    context.console.print(
        f"questions: {counts['accepted']:,} of {candidates:,} candidates "
        f"({counts['train']:,} train, {counts['heldout']:,} held out), "
        f"{counts['mean_hops']} hops on average",
        highlight=False,
    )
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in counts["reasons"].items())
    if reasons:
        context.console.print(f"questions refused: {reasons}", highlight=False)


# --- the stage ------------------------------------------------------------------------


def _stage_inputs(config: PipelineConfig) -> Mapping[str, Any]:
    """What else decides the questions: their format, the model that words them and the content of
    the benchmarks, where there are any."""
    inputs: dict[str, Any] = {"format": _QUESTIONS_FORMAT}
    if config.questions.writer == "llm":
        inputs["llm"] = config.llm.identity()
    if config.questions.benchmarks:
        inputs["benchmarks"] = [file_digest(path) for path in config.questions.benchmarks]
    return inputs


def _find_problems(config: PipelineConfig, run: RunDirectory) -> Iterator[str]:
    endpoints = {
        f"questions.calibration.{number}": endpoint
        for number, endpoint in enumerate(config.questions.calibration)
    }
    if config.questions.closed_book is not None:
        endpoints["questions.closed_book"] = config.questions.closed_book
    if config.questions.writer == "llm":
        endpoints["llm"] = config.llm
    yield from find_endpoint_problems(endpoints)


def _describe_cost(config: PipelineConfig) -> str:
    uses_models = config.questions.writer == "llm" or bool(config.questions.calibration)
    return "questions that language models worded or answered" if uses_models else ""


QUESTIONS_STAGE = Stage(
    name="questions",
    needs=("entities", "graph", "chains"),
    sections=("questions",),
    execute=execute,
    inputs=_stage_inputs,
    check=_find_problems,
    describe_cost=_describe_cost,
)
