"""The card of a set of questions: what is in it, where its facts come from, and what readers found.

The form is that of the dataset cards of model hubs: Markdown with a table for each count. Nothing
in it is estimated; what is not known is said to be so.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from medr_ray.core.errors import DataError
from medr_ray.core.records import Question
from medr_ray.core.run import RunDirectory
from medr_ray.knowledge.registries.sources import REGISTRIES
from medr_ray.questions.artifacts import QUESTIONS
from medr_ray.questions.review.summary import describe_review, read_review
from medr_ray.questions.shapes import SHAPES

# Sources that are no registry of ``REGISTRIES``: their licence, and who is to be named.
_OTHER_SOURCES: Mapping[str, tuple[str, str]] = {
    "hpo": (
        "see https://human-phenotype-ontology.github.io/license.html",
        "Human Phenotype Ontology annotations, with the entries of OMIM and Orphanet",
    ),
    "pubmed": (
        "see https://www.nlm.nih.gov/databases/download/terms_and_conditions.html",
        "PubMed, US National Library of Medicine",
    ),
}
_COUNTS = {
    "by_shape": "Shape",
    "by_hops": "Hops",
    "by_source": "Source",
    "by_answer_type": "Answer",
    "by_specialty": "Specialty",
}
_EXAMPLES = 10


def build_card(run: RunDirectory) -> str:
    """The card of a run's questions in Markdown. Raises DataError where the run has none."""
    stage = run.stage("questions")
    manifest = stage.manifest()
    if manifest is None:
        raise DataError(f"{stage.uri}: no finished questions; run `medr questions generate`")
    questions = stage.read(QUESTIONS)
    lines = [
        "# Questions over registries, curated tables and papers",
        "",
        *_describe_size(manifest["counts"], questions),
        "",
        *describe_reading(run),
        "",
        *_describe_sources(questions),
        "",
        *_tabulate_counts(manifest["counts"]),
        *_list_examples(questions),
    ]
    return "\n".join(lines) + "\n"


def _describe_size(counts: Mapping[str, Any], questions: Sequence[Question]) -> Iterator[str]:
    languages = sorted({question.task.language for question in questions})
    yield (
        f"{counts['accepted']:,} questions ({counts['train']:,} train, {counts['heldout']:,} held "
        f"out) in {', '.join(languages)}, {counts['mean_hops']} look-ups on average. "
        f"{counts['multi_hop_across_registries']:,} of {counts['multi_hop']:,} with several "
        "look-ups ask two registries or more."
    )
    yield ""
    yield (
        "Each is a plan over facts of record. It was kept when every step has one value, the text "
        "is read back as the plan, names neither the answer nor what is found on the way, no fact "
        "leads past a step, and every step has a record that can be searched. No train question "
        "shares a trial, drug, company, application, disease, gene, paper or patent with a "
        "held-out one."
    )
    benchmarks = {question.verification.uncontaminated for question in questions}
    if benchmarks == {True}:
        yield "None repeats an item of the configured benchmarks."
    else:
        yield "They were not compared with benchmarks (`questions.benchmarks`)."


def describe_reading(run: RunDirectory) -> Iterator[str]:
    """The lines of the card about what readers found, under a heading."""
    yield "## What readers found"
    yield ""
    summary = read_review(run)
    if summary is None:
        yield "Not reviewed: nobody has read a sample yet (`medr questions review`)."
        return
    for line in describe_review(summary):
        yield f"- {line}"


def _describe_sources(questions: Sequence[Question]) -> Iterator[str]:
    yield "## Sources"
    yield ""
    yield from tabulate_sources({source for question in questions for source in question.sources})
    yield ""
    yield describe_dates(questions)


def tabulate_sources(sources: Iterable[str]) -> Iterator[str]:
    """A table of the sources' licences, and of whom to name."""
    yield "| Source | Licence | Attribution |"
    yield "| --- | --- | --- |"
    for source in sorted(sources):
        registry = REGISTRIES.get(source)  # type: ignore[call-overload]
        if registry is not None:
            yield f"| {registry.title} | {registry.licence} | {registry.attribution} |"
        else:
            licence, attribution = _OTHER_SOURCES[source]
            yield f"| {source} | {licence} | {attribution} |"


def describe_dates(questions: Sequence[Question]) -> str:
    """A sentence on the dates of the facts that may have changed since."""
    dates = sorted({step.as_of for question in questions for step in question.steps if step.as_of})
    if not dates:
        return "No question rests on what may have changed since."
    return (
        f"What may have changed since is as of {dates[0]} to {dates[-1]}; each question states "
        "the date of its own facts."
    )


def _tabulate_counts(counts: Mapping[str, Any]) -> Iterator[str]:
    for key, title in _COUNTS.items():
        yield f"## {title}"
        yield ""
        skill = " Skill |" if key == "by_shape" else ""
        yield f"| {title} | Questions |{skill}"
        yield f"| --- | ---: |{' --- |' if skill else ''}"
        for value, count in counts[key].items():
            meaning = f" {SHAPES[value].skill} |" if skill else ""
            yield f"| {value} | {count:,} |{meaning}"
        yield ""


def _list_examples(questions: Sequence[Question]) -> Iterator[str]:
    """The first question of each shape by id, a few of them."""
    first: dict[str, Question] = {}
    for question in questions:
        first.setdefault(question.shape, question)
    yield "## Examples"
    yield ""
    for question in list(first.values())[:_EXAMPLES]:
        yield f"- {question.task.text} **{question.task.answer}** ({question.shape})"
