"""The questions stage: drafts questions of every shape, then chooses, words and examines them.

``execute`` runs these steps, and rejected candidates are collected from all of them:

1. Draft: Ray Data hands units, a shape with one of its chains of steps, to actors that hold the
   facts (``drafting``). Each unit is written as a part, so a resumed run drafts only the missing
   parts.
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

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any, TypeVar

from medr_ray.core.config import PipelineConfig
from medr_ray.core.costs import StageCost
from medr_ray.core.data import map_in_actors
from medr_ray.core.progress import Bar
from medr_ray.core.records import Question
from medr_ray.core.run import Counts, Directory, RunDirectory, Stage, StageContext
from medr_ray.knowledge.vocabulary_reading import file_digest
from medr_ray.llm.reachability import find_role_problems
from medr_ray.questions.artifacts import QUESTIONS
from medr_ray.questions.calibration.panel import open_panel
from medr_ray.questions.calibration.replacement_pool import AssembleQuestion, ReplacementPool
from medr_ray.questions.calibration.rounds import CalibrationState, calibrate_questions
from medr_ray.questions.checks.contamination import ContaminationCheck
from medr_ray.questions.cost_estimate import estimate_question_costs
from medr_ray.questions.counts import count_questions
from medr_ray.questions.drafting.assembly import assemble_question
from medr_ray.questions.drafting.candidates import Candidate, RejectedDraft
from medr_ray.questions.drafting.drafter import (
    DraftingUnit,
    DraftingWorker,
    find_searchable,
    list_units,
)
from medr_ray.questions.role_checks import find_doubtful_roles
from medr_ray.questions.split import QuestionSplit, pick_balanced, split_and_balance

# Raise this with every change of the columns of questions.parquet or of what a plan means, so that
# a run whose questions have another format generates them again. It is 8 since their plans have
# steps over patents and generic applications.
_QUESTIONS_FORMAT = 8
_ACCEPTED_FOLDER = "drafts/accepted"
_REJECTED_FOLDER = "drafts/rejected"
R = TypeVar("R")


def execute(context: StageContext) -> Counts:
    """Run the steps of the module's docstring. Returns the figures of the report."""
    config = context.config.questions
    units = list_units(config)
    draft_units(context, units)
    parts = [unit.part for unit in units]
    drafted = read_parts(context.directory, _ACCEPTED_FOLDER, parts, Candidate)
    accepted, contaminated = drop_contaminated(drafted, config.benchmarks)
    split = split_and_balance(accepted, config, context.config.run.seed)
    repeats = [reject_candidate(candidate, reason) for candidate, reason in split.repeats]
    # A model words only the chosen questions: wording every candidate would cost many more calls.
    split, misworded = reword_with_model(context, split)
    assemble = partial(assemble_question, language=config.language)
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
    reasons = count_reasons(context.directory, parts)
    reasons.update(
        reason.partition(":")[0]
        for draft in (*contaminated, *repeats, *misworded, *too_easy)
        for reason in set(draft.reasons)
    )
    counts = count_questions(questions, len(accepted), reasons, split.overlapping_count)
    print_summary(context, counts)
    return counts


# --- 1. drafting ----------------------------------------------------------------------


def draft_units(context: StageContext, units: Sequence[DraftingUnit]) -> None:
    """Draft the units that are in no part yet."""
    # Only the accepted parts are listed: a worker writes them after the rejected ones, so a name
    # in this list means that the whole unit is done.
    done = set(context.directory.list_files(_ACCEPTED_FOLDER))
    pending = [unit for unit in units if unit.part not in done]
    with Bar(context.console, "questions", len(units), "chains of steps") as bar:
        bar.resume(len(units) - len(pending))
        drafting = map_in_actors(
            [asdict(unit) for unit in pending],
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
                bar.advance(1, f"{accepted:,} drafts accepted")


def count_reasons(directory: Directory, parts: Sequence[str]) -> Counter[str]:
    """How many drafts failed each check, over all units."""
    counts: Counter[str] = Counter()
    for part in parts:
        counts.update(directory.read_json(f"{_REJECTED_FOLDER}/{part}.reasons.json"))
    return counts


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
        values = [step.value for step in candidate.steps]
        reason = check.find_rejection_reason(candidate.text) or check.find_shared_trial(values)
        if reason is not None:
            rejected.append(reject_candidate(candidate, reason))
            continue
        verification = replace(candidate.verification, uncontaminated=True)
        clean.append(replace(candidate, verification=verification))
    return clean, rejected


def reject_candidate(candidate: Candidate, reason: str) -> RejectedDraft:
    """The record of an accepted candidate that a later step rejects."""
    return RejectedDraft(candidate.key, candidate.shape, candidate.text, (reason,))


# --- 4. wording by a model ------------------------------------------------------------


def reword_with_model(
    context: StageContext, split: QuestionSplit
) -> tuple[QuestionSplit, list[RejectedDraft]]:
    """The split in the words of the configured model; unchanged where rules are the writer.

    Candidates whose wording fails are rejected. Each side is balanced again over what remains, as
    the shares changed. Returns (the new split, the rejected candidates).
    """
    config = context.config.questions
    if config.writer != "llm":
        return split, []
    # Imported here: runs whose questions are worded by rules need no client of a model.
    from medr_ray.questions.wording.rewording import Reworder

    reworder = Reworder.open(context.run, context.config)
    rejected: list[RejectedDraft] = []
    chosen: list[Candidate] = []
    sides: list[tuple[Candidate, ...]] = []
    # Held-out questions come first, so that train questions that repeat one of them are dropped.
    for side in (split.heldout, split.train):
        worded, misworded = reworder.reword(side)
        kept = pick_balanced(worded, config, context.config.run.seed, None, chosen).picked
        sides.append(tuple(kept))
        chosen += kept
        rejected += misworded
    return replace(split, heldout=sides[0], train=sides[1]), rejected


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
    return RejectedDraft(question.task.task_id, question.shape, question.task.text, (reason,))


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
    """Print how many of all plans became questions, by side, their length, and for what reasons the
    others were refused (one may have several)."""
    candidates = counts["candidates_verified"] + sum(counts["reasons"].values())
    context.console.print(
        f"questions: {counts['accepted']:,} of {candidates:,} plans "
        f"({counts['train']:,} train, {counts['heldout']:,} held out), "
        f"{counts['mean_hops']} hops on average, {len(counts['by_shape'])} shapes, "
        f"{len(counts['by_specialty'])} specialties",
        highlight=False,
    )
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in counts["reasons"].items())
    if reasons:
        context.console.print(f"questions refused: {reasons}", highlight=False)


# --- the stage ------------------------------------------------------------------------


def _stage_inputs(config: PipelineConfig) -> Mapping[str, Any]:
    """What else decides the questions: their format, the model that words them and the content of
    the benchmarks, where there are any."""
    inputs: dict[str, Any] = {
        "format": _QUESTIONS_FORMAT,
        "searchable": sorted(find_searchable(source.source for source in config.index.sources)),
    }
    if config.questions.writer == "llm":
        inputs["llm"] = config.llm.identity()
    if config.questions.benchmarks:
        inputs["benchmarks"] = [file_digest(path) for path in config.questions.benchmarks]
    return inputs


def _find_problems(config: PipelineConfig, run: RunDirectory) -> Iterator[str]:
    yield from find_role_problems(config, "questions")
    if not list_units(config.questions):
        yield (
            "questions: no shape has a chain of steps over questions.sources with "
            "questions.min_hops to questions.max_hops hops"
        )
    searchable = find_searchable(source.source for source in config.index.sources)
    if searchable.isdisjoint(config.questions.sources):
        yield "questions.sources: none of them is searchable: add registries to index.sources"


def _estimate_cost(config: PipelineConfig, run: RunDirectory) -> StageCost:
    models = tuple(estimate_question_costs(config, run))
    return StageCost("questions that language models worded or answered" if models else "", models)


QUESTIONS_STAGE = Stage(
    name="questions",
    needs=("entities", "facts", "chains"),
    sections=("questions",),
    execute=execute,
    inputs=_stage_inputs,
    check=_find_problems,
    warn=find_doubtful_roles,
    estimate_cost=_estimate_cost,
)
