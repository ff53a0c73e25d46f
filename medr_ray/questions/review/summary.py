"""What readers found: the accepted share with its interval, the defects, by reader and together."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from medr_ray.core.errors import MedrError
from medr_ray.core.lock import run_lock
from medr_ray.core.records import Question, Split
from medr_ray.core.run import MANIFEST, RunDirectory
from medr_ray.entities.rarity import compute_clopper_pearson
from medr_ray.questions.artifacts import QUESTIONS
from medr_ray.questions.review.defects import DEFECTS
from medr_ray.questions.review.draw import Draw, draw_questions
from medr_ray.questions.review.verdicts import ReaderVerdict, StoredVerdicts, VerdictStore

# Share of the read questions that must be accepted, in [0, 1]: with more than one wrong in ten,
# models are taught and measured by the faults of the set.
REQUIRED_SHARE = 0.9


@dataclass(frozen=True)
class Share:
    """``count`` of ``n``, with the ends of the 95 % Clopper-Pearson interval of the share, in
    [0, 1]; value and ends are null when n is 0."""

    count: int
    n: int
    low: float | None
    high: float | None

    @property
    def value(self) -> float | None:
        return self.count / self.n if self.n else None

    def describe(self) -> str:
        """The share in words: "46 of 50 (92.0 %, 95 % interval 80.8 to 97.8)"."""
        if self.value is None or self.low is None or self.high is None:
            return "0 of 0"
        return (
            f"{self.count} of {self.n} ({100 * self.value:.1f} %, 95 % interval "
            f"{100 * self.low:.1f} to {100 * self.high:.1f})"
        )


@dataclass(frozen=True)
class ReadingFigures:
    """The verdicts of one reader, or of all together: then a question that anybody refused is
    refused, and one that anybody calls no research question is none.

    ``research`` is of the questions about which that was asked. ``defects`` counts the questions
    with each code, the frequent ones first.
    """

    accepted: Share
    research: Share
    defects: Mapping[str, int]


@dataclass(frozen=True)
class DrawProgress:
    """How many of the ``drawn`` questions of a draw are ``read`` by anybody."""

    draw: Draw
    drawn: int
    read: int

    def describe(self) -> str:
        """The progress in words: "draw of seed 7, 50 of all: 32 of 50 read"."""
        return f"draw of {self.draw.describe()}: {self.read} of {self.drawn} read"


@dataclass(frozen=True)
class ReviewSummary:
    """What the verdicts say of the questions of a run as they are now.

    Every draw that was ever begun is drawn again from these questions, and the verdicts on what is
    drawn count. So the figures of questions made anew are not those of the ones that stayed alone,
    which are the better ones where the others were left out for what readers said: until the
    questions in their place are read, ``unread`` counts them. ``outdated`` are the verdicts that
    count nowhere, ``problems`` name unreadable lines.
    """

    together: ReadingFigures
    by_reviewer: Mapping[str, ReadingFigures]
    draws: tuple[DrawProgress, ...]
    unread: int
    outdated: int
    problems: tuple[str, ...]

    @property
    def is_enough(self) -> bool:
        """Whether everything drawn is read, and so much of it accepted as a set needs."""
        share = self.together.accepted.value
        return share is not None and share >= REQUIRED_SHARE and not self.unread


def read_review(run: RunDirectory) -> ReviewSummary | None:
    """The summary of a run's verdicts; None where nobody has read its questions."""
    stored = VerdictStore(run).read()
    if not stored.verdicts and not stored.problems:
        return None
    return summarize_review(run.stage("questions").read(QUESTIONS), stored)


def summarize_review(questions: Sequence[Question], stored: StoredVerdicts) -> ReviewSummary:
    """The summary of the verdicts that stand on the questions drawn from these."""
    draws = {
        draw: {question.task.task_id: question for question in draw_questions(questions, draw)}
        for draw in _find_draws(stored.verdicts)
    }
    drawn = {task_id: question for sample in draws.values() for task_id, question in sample.items()}
    standing = stored.select_standing(drawn.values())
    read_ids = {verdict.question_id for verdict in standing}
    reviewers = sorted({verdict.reviewer for verdict in standing})
    keys = {(verdict.reviewer, verdict.question_id) for verdict in standing}
    outdated = {(verdict.reviewer, verdict.question_id) for verdict in stored.verdicts} - keys
    return ReviewSummary(
        compute_figures(standing),
        {
            name: compute_figures([verdict for verdict in standing if verdict.reviewer == name])
            for name in reviewers
        },
        tuple(
            DrawProgress(draw, len(sample), len(sample.keys() & read_ids))
            for draw, sample in draws.items()
        ),
        len(drawn.keys() - read_ids),
        len(outdated),
        stored.problems,
    )


def _find_draws(verdicts: Iterable[ReaderVerdict]) -> list[Draw]:
    """The draws that were begun, by seed; of several sizes the largest, which has the others in
    it."""
    sizes: dict[tuple[int, Split | None], int] = {}
    for verdict in verdicts:
        key = (verdict.draw.seed, verdict.draw.split)
        sizes[key] = max(verdict.draw.size, sizes.get(key, 0))
    draws = [Draw(seed, size, split) for (seed, split), size in sizes.items()]
    return sorted(draws, key=lambda draw: (draw.seed, draw.split or ""))


def compute_figures(verdicts: Iterable[ReaderVerdict]) -> ReadingFigures:
    """The figures of standing verdicts."""
    by_question: dict[str, list[ReaderVerdict]] = {}
    for verdict in verdicts:
        by_question.setdefault(verdict.question_id, []).append(verdict)
    accepted = sum(
        all(verdict.decision == "accept" for verdict in readings)
        for readings in by_question.values()
    )
    opinions = [
        [verdict.is_research for verdict in readings if verdict.is_research is not None]
        for readings in by_question.values()
    ]
    asked_of = [answers for answers in opinions if answers]
    counts: Counter[str] = Counter()
    for readings in by_question.values():
        counts.update({code for verdict in readings for code in verdict.codes})
    order = {defect.code: position for position, defect in enumerate(DEFECTS)}
    defects = sorted(counts.items(), key=lambda item: (-item[1], order[item[0]]))  # type: ignore[index]
    return ReadingFigures(
        compute_share(accepted, len(by_question)),
        compute_share(sum(all(answers) for answers in asked_of), len(asked_of)),
        dict(defects),
    )


def compute_share(count: int, n: int) -> Share:
    """``count`` of ``n`` with its interval."""
    if n == 0:
        return Share(0, 0, None, None)
    lower, upper = compute_clopper_pearson(np.array([count]), n)
    return Share(count, n, float(lower[0]), float(upper[0]))


# --- in words and as plain values -----------------------------------------------------


def describe_review(summary: ReviewSummary) -> list[str]:
    """The summary, a line for each figure; the first is the accepted share."""
    together = summary.together
    readers = len(summary.by_reviewer)
    lines = [
        f"accepted by readers: {together.accepted.describe()}, {readers} "
        f"{'reader' if readers == 1 else 'readers'}",
        describe_standing(summary),
        f"real research questions: {together.research.describe()}",
        f"defects: {_describe_defects(together)}",
    ]
    if readers > 1:
        for name, figures in summary.by_reviewer.items():
            lines.append(
                f"{name}: accepted {figures.accepted.describe()}; real research questions "
                f"{figures.research.describe()}; defects: {_describe_defects(figures)}"
            )
    return lines + describe_side_notes(summary)


def describe_in_brief(summary: ReviewSummary) -> str:
    """The summary in a line."""
    together = summary.together
    return (
        f"accepted {together.accepted.describe()}; {describe_standing(summary)}; real research "
        f"questions {together.research.describe()}; defects: {_describe_defects(together)}"
    )


def describe_side_notes(summary: ReviewSummary) -> list[str]:
    """How much of each draw is read, and what counts nowhere."""
    lines = [progress.describe() for progress in summary.draws]
    if summary.outdated:
        lines.append(
            f"{summary.outdated} verdicts count nowhere: their questions have changed or are drawn "
            "no more"
        )
    return [*lines, *summary.problems]


def describe_standing(summary: ReviewSummary) -> str:
    """A sentence that says whether so many are accepted as a set needs."""
    if not summary.together.accepted.n:
        return "no question of this set has been read"
    required = f"{100 * REQUIRED_SHARE:.0f} %"
    share = summary.together.accepted.value
    if share is not None and share >= REQUIRED_SHARE:
        if summary.is_enough:
            return f"the {required} that a set of questions needs are reached"
        return (
            f"the {required} that a set of questions needs are not shown yet: {summary.unread} of "
            "the questions drawn are not read"
        )
    return (
        f"fewer than the {required} that a set of questions needs: what is trained or measured on "
        "it learns its defects too"
    )


def to_plain_values(summary: ReviewSummary) -> dict[str, Any]:
    """The summary for report.json and the manifest: other programs read these keys."""
    return {
        **_to_plain_figures(summary.together),
        "required_share": REQUIRED_SHARE,
        "is_enough": summary.is_enough,
        "by_reviewer": {
            name: _to_plain_figures(figures) for name, figures in summary.by_reviewer.items()
        },
        "draws": [
            {
                "seed": progress.draw.seed,
                "n": progress.draw.size,
                "split": progress.draw.split,
                "drawn": progress.drawn,
                "read": progress.read,
            }
            for progress in summary.draws
        ],
        "unread": summary.unread,
        "outdated": summary.outdated,
        "unreadable_lines": len(summary.problems),
    }


def _to_plain_figures(figures: ReadingFigures) -> dict[str, Any]:
    accepted = figures.accepted
    research = figures.research
    return {
        "read": accepted.n,
        "accepted": accepted.count,
        "accepted_share": accepted.value,
        "accepted_low": accepted.low,
        "accepted_high": accepted.high,
        "research_asked": research.n,
        "research": research.count,
        "research_share": research.value,
        "research_low": research.low,
        "research_high": research.high,
        "defects": dict(figures.defects),
    }


def _describe_defects(figures: ReadingFigures) -> str:
    return ", ".join(f"{code} {count}" for code, count in figures.defects.items()) or "none"


# --- in the manifest ------------------------------------------------------------------


def record_in_manifest(run: RunDirectory) -> str:
    """Write the summary beside the counts of the questions' manifest, whose fingerprint stays.

    Returns why that was not done, "" when it was: the run may be in use, and the verdicts are safe
    without it.
    """
    directory = run.stage("questions")
    try:
        # Only with the lock: a pipeline may be setting the questions aside.
        with run_lock(run):
            manifest = directory.manifest()
            summary = read_review(run) if manifest else None
            if manifest is None or summary is None:
                return ""
            counts = {**manifest["counts"], "review": to_plain_values(summary)}
            directory.write_json(MANIFEST, {**manifest, "counts": counts})
    except MedrError as error:
        return f"the manifest keeps its earlier figures of the review: {error}"
    return ""
