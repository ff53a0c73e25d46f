"""The card of a set of training dialogues: README.md of a data set on Hugging Face.

The YAML in front has the fields that the hub reads
(https://huggingface.co/docs/hub/datasets-cards); the text says what is in the set, how it was made,
what it rests on, what readers say of its questions, and what it is not. Nothing is estimated; what
is not known is said to be so.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import yaml

from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import DataError
from medr_ray.core.records import FilteredTrajectory, Question, Trajectory
from medr_ray.core.run import RunDirectory
from medr_ray.questions.artifacts import QUESTIONS
from medr_ray.questions.dataset_card import describe_dates, describe_reading, tabulate_sources
from medr_ray.retrieval.documents import REGISTRY_PREFIXES
from medr_ray.trajectories.artifacts import TRAJECTORIES
from medr_ray.trajectories.filtering import ReasonCode, count_reasons
from medr_ray.trajectories.preference_pairs import find_pairs
from medr_ray.trajectories.statistics import PAPER_FIGURES, read_figures

# The hub's names of sizes, and the number of rows that each is below.
_SIZES = (
    ("n<1K", 10**3),
    ("1K<n<10K", 10**4),
    ("10K<n<100K", 10**5),
    ("100K<n<1M", 10**6),
)
_LARGEST_SIZE = "1M<n<10M"
_TAGS = ("medical", "agent", "tool-use", "multi-hop", "synthetic")
_GROUPS: Mapping[str, Callable[[Trajectory, Question], Sequence[str]]] = {
    "Mode": lambda trajectory, question: [trajectory.mode],
    "Hops": lambda trajectory, question: [str(question.complexity)],
    "Specialty": lambda trajectory, question: [question.specialty],
    "Source": lambda trajectory, question: question.sources,
    "Shape": lambda trajectory, question: [question.shape],
    "Language": lambda trajectory, question: [question.task.language],
}


def build_card(run: RunDirectory, config: PipelineConfig) -> str:
    """The card of a run's dialogues in Markdown, with YAML in front. Raises DataError where the run
    has none."""
    stage = run.stage("trajectories")
    manifest = stage.manifest()
    if manifest is None:
        raise DataError(f"{stage.uri}: no finished trajectories; run `medr trajectories run`")
    judged = run.read(TRAJECTORIES)
    questions = {question.task.task_id: question for question in run.read(QUESTIONS)}
    played = [questions[entry.trajectory.question_id] for entry in judged]
    lines = [
        *_write_front_matter(judged, played),
        "",
        "# Dialogues of a medical research agent",
        "",
        *_describe_size(judged, played),
        "",
        *_describe_making(config, manifest),
        "",
        *_describe_formats(judged),
        "",
        *describe_reading(run),
        "",
        *_describe_sources(judged, played),
        "",
        *_tabulate_statistics(manifest["counts"]["statistics"]),
        "",
        *_tabulate_reasons(judged),
        "",
        *_tabulate_groups(judged, played),
        *_describe_limits(judged),
    ]
    return "\n".join(lines) + "\n"


def _write_front_matter(
    judged: Sequence[FilteredTrajectory], played: Sequence[Question]
) -> Iterator[str]:
    fields = {
        "pretty_name": "Dialogues of a medical research agent",
        "language": sorted({question.task.language for question in played}),
        # The sources have different terms: see the table below.
        "license": "other",
        "license_name": "terms-of-the-sources",
        "task_categories": ["question-answering", "text-generation"],
        "size_categories": [_name_size(sum(entry.accepted for entry in judged))],
        "tags": list(_TAGS),
    }
    yield "---"
    yield yaml.safe_dump(fields, sort_keys=False, allow_unicode=True).rstrip()
    yield "---"


def _name_size(rows: int) -> str:
    return next((name for name, limit in _SIZES if rows < limit), _LARGEST_SIZE)


def _describe_size(
    judged: Sequence[FilteredTrajectory], played: Sequence[Question]
) -> Iterator[str]:
    accepted = [entry.trajectory for entry in judged if entry.accepted]
    covered = {trajectory.question_id for trajectory in accepted}
    played_ids = {question.task.task_id for question in played}
    languages = ", ".join(sorted({question.task.language for question in played}))
    yield (
        f"{len(accepted):,} accepted dialogues of {len(judged):,} played; they answer "
        f"{len(covered):,} of {len(played_ids):,} questions, in {languages}."
    )
    yield ""
    yield (
        "In each an agent answers a question over registries, curated tables and papers: it "
        "thinks, calls search tools, reads what they return, and gives its answer. A dialogue is "
        "accepted when the filter names no reason against it; the reasons and how many dialogues "
        "each rejected are below."
    )


def _describe_making(config: PipelineConfig, manifest: Mapping[str, Any]) -> Iterator[str]:
    settings = config.trajectories
    teacher = "rules" if settings.teacher == "rules" else f"the model {config.llm.model}"
    failures = manifest["counts"]["infrastructure_failures"]
    versions = manifest["versions"]
    yield "## How it was made"
    yield ""
    yield f"- The agent was played by {teacher}, with the tools {', '.join(config.agent.tools)}."
    yield (
        f"- Dialogues about each question: {settings.rollouts_per_question}. In "
        f"{settings.guided_fraction:.0%} of them (guided) the teacher saw the steps of "
        "the question with the names masked; they are in no text of this set. In the others "
        "(exploration) it saw the question alone."
    )
    yield (
        f"- {settings.tool_failure_rate:.0%} of the tool calls failed on purpose, so that "
        "dialogues show how to go on."
    )
    if settings.rewrite is None:
        yield "- No model reworded the thoughts."
    else:
        rewritten = manifest["counts"]["rewritten"]
        outcomes = ", ".join(f"{name} {count:,}" for name, count in rewritten.items())
        yield f"- Thoughts were reworded by {settings.rewrite.model}: {outcomes or 'none'}."
    yield f"- {failures:,} dialogues never ended for failures of the infrastructure."
    yield f"- Made with medr-ray {versions['medr-ray']}, seed {config.run.seed}."


def _describe_formats(judged: Sequence[FilteredTrajectory]) -> Iterator[str]:
    pairs, _ = find_pairs(judged)
    yield "## Formats"
    yield ""
    yield "`medr trajectories export --format` writes JSON lines or Parquet:"
    yield ""
    yield "- `chat`: `messages` in the text protocol, with `loss_spans` (TRL's SFTTrainer)."
    yield "- `sharegpt`: `system` and `conversations` (LLaMA-Factory)."
    yield "- `tool_calls`: `messages` with native calls, and `tools` (TRL, chat templates)."
    yield (
        f"- `pairs`: `prompt`, `chosen` and `rejected` (TRL's DPOTrainer); there are "
        f"{len(pairs):,} pairs with one of each question."
    )


def _describe_sources(
    judged: Sequence[FilteredTrajectory], played: Sequence[Question]
) -> Iterator[str]:
    """The sources of the questions and of the documents that the dialogues show."""
    sources_by_prefix = {prefix: source for source, prefix in REGISTRY_PREFIXES.items()}
    documents = {document for entry in judged for document in entry.trajectory.documents}
    prefixes = Counter(document.partition(":")[0] for document in documents)
    quoted_sources = {source for prefix, source in sources_by_prefix.items() if prefix in prefixes}
    others = sum(count for prefix, count in prefixes.items() if prefix not in sources_by_prefix)
    yield "## Sources and licences"
    yield ""
    yield (
        f"The dialogues, rejected ones too, show pieces of {len(documents):,} documents, which "
        "stay under the terms of their sources:"
    )
    yield ""
    yield from tabulate_sources(
        {source for question in played for source in question.sources} | quoted_sources
    )
    yield ""
    if others:
        yield (
            f"{others:,} documents are of other places (pages that the agent read, tools of your "
            "own): look up their terms before you pass the set on."
        )
        yield ""
    yield describe_dates(played)


def _tabulate_statistics(statistics: Mapping[str, Any]) -> Iterator[str]:
    yield "## Statistics of the accepted dialogues"
    yield ""
    yield (
        "Means over the dialogues that a figure speaks of, whose number stands beside it; shares "
        "are between 0 and 1. The paper is MedResearcher-R1 (arXiv 2508.14880)."
    )
    yield ""
    yield "| Figure | Here | Paper | Of |"
    yield "| --- | ---: | ---: | ---: |"
    for name, figure in read_figures(statistics).items():
        paper = PAPER_FIGURES.get(name, "")
        yield f"| {name} | {figure.value:.4g} | {paper} | {figure.n:,} |"


def _tabulate_reasons(judged: Sequence[FilteredTrajectory]) -> Iterator[str]:
    rejected = sum(not entry.accepted for entry in judged)
    yield "## Rejected dialogues"
    yield ""
    yield f"{rejected:,} dialogues were rejected. One with several reasons counts under each."
    yield ""
    yield "| Reason | Dialogues |"
    yield "| --- | ---: |"
    for reason, count in count_reasons(judged).items():
        yield f"| {reason} | {count:,} |"


def _tabulate_groups(
    judged: Sequence[FilteredTrajectory], played: Sequence[Question]
) -> Iterator[str]:
    for title, list_kinds in _GROUPS.items():
        totals: Counter[str] = Counter()
        accepted: Counter[str] = Counter()
        for entry, question in zip(judged, played, strict=True):
            kinds = list_kinds(entry.trajectory, question)
            totals.update(kinds)
            if entry.accepted:
                accepted.update(kinds)
        yield f"## {title}"
        yield ""
        yield f"| {title} | Accepted | Rejected |"
        yield "| --- | ---: | ---: |"
        for kind in sorted(totals):
            yield f"| {kind} | {accepted[kind]:,} | {totals[kind] - accepted[kind]:,} |"
        yield ""


def _describe_limits(judged: Sequence[FilteredTrajectory]) -> Iterator[str]:
    gave_up = count_reasons(judged).get(str(ReasonCode.GAVE_UP), 0)
    yield "## Limits"
    yield ""
    yield (
        "- The dialogues teach how to look things up. They are no medical advice, and an answer is "
        "what a source said at its date."
    )
    yield "- A dialogue is right by the facts its question was made from; a wrong fact goes unseen."
    yield (
        f"- The set lacks the questions that the teacher could not answer ({gave_up:,} dialogues "
        "gave up), so what is in it is easier than what was asked."
    )
    yield (
        "- Tool failures were made on purpose, and the tools search fixed copies of the sources: "
        "live services fail in other ways."
    )
