"""``medr entities show [NAME]``: the stage's counts, or the summary of one concept."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medr_ray.cli.options import ConfigFile, Overrides
from medr_ray.cli.showing import print_json, show_stage_or_item

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from medr_ray.core.run import RunDirectory
    from medr_ray.entities.concept_summary import ConceptSummary, SampleSentence

_SAMPLE_SENTENCES = 3
# Bars of the histogram of years, so that a century fits one line of a terminal.
_MAX_BARS = 40


def show(
    config: ConfigFile,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            show_default=False,
            help="A concept, by name, alias or id; without it, the stage.",
        ),
    ] = None,
    overrides: Overrides = None,
    rows: Annotated[
        int, typer.Option("--rows", min=1, help="Rows to show, with NAME of each list.")
    ] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="With NAME: one JSON object.")] = False,
) -> None:
    """Show the entities stage's counts and a few of its rows; or all that is known of one
    concept."""

    def show_item(run: "RunDirectory", item: str) -> None:
        show_concept(run, item, rows, as_json)

    json_error = "--json goes with a NAME; the stage's figures are in its manifest.json"
    show_stage_or_item(
        "entities", config, overrides, rows, name, show_item, json_error if as_json else ""
    )


def show_concept(run: "RunDirectory", name: str, rows: int, as_json: bool) -> None:
    """Print the summary of the concept that ``name`` means, or list the concepts that it may mean.

    Raises DataError with the nearest names when it means none.
    """
    from rich.console import Console

    from medr_ray.cli.name_resolution import resolve_name
    from medr_ray.entities.concept_summary import read_applied_rule, read_names, summarise_concept
    from medr_ray.retrieval.snippets import sentence_spans

    entities = run.stage("entities")
    read_applied_rule(entities)  # raises DataError when the stage is not finished
    names = read_names(entities)
    columns = {column: column for column in ("concept_id", "name", "entity_type", "specialty")}
    concept = resolve_name(name, names, columns, "concepts", entities.uri, as_json)
    if concept is None:
        return
    summary = summarise_concept(run, names, concept, sentence_spans, rows, _SAMPLE_SENTENCES)
    if as_json:
        print_json(to_json_object(summary))
    else:
        print_concept_summary(summary, Console(), rows)


def to_json_object(summary: "ConceptSummary") -> dict[str, Any]:
    """Return the summary as plain values, its frequency's fields first and on the top level."""
    values = asdict(summary)
    return {**values.pop("frequency"), **values}


# --- on a terminal --------------------------------------------------------------------


def print_concept_summary(summary: "ConceptSummary", console: "Console", rows: int) -> None:
    """Print the summary, at most ``rows`` of each list."""
    from rich.table import Table
    from rich.text import Text

    concept = summary.frequency
    console.print(Text.assemble((concept.name, "bold"), "  ", (concept.concept_id, "cyan")))
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in _describe_lines(summary, rows):
        table.add_row(label, Text(value))
    console.print(table)
    for sample in summary.samples:
        console.print(_format_sample(sample))


def _describe_lines(summary: "ConceptSummary", rows: int) -> list[tuple[str, str]]:
    """Return (label, value) of each line that has a value."""
    concept = summary.frequency
    specialty = f", {summary.specialty}" if summary.specialty else ""
    bounds = f"{concept.frequency_lower:.2g} to {concept.frequency_upper:.2g}"
    is_rare = "yes" if summary.rare else "no"
    forms = [f"{form.form} ({form.documents:,} | {form.mentions:,})" for form in summary.forms]
    companions = [f"{companion.name} ({companion.documents:,})" for companion in summary.companions]
    years = [(year.year, year.documents) for year in summary.years]
    counts = f"{concept.documents:,} of {summary.citations:,}, {concept.mentions:,} mentions"
    lines = [
        ("type", f"{concept.entity_type}{specialty}"),
        ("citations", counts),
        ("frequency", f"{concept.frequency:.2g} (95 % interval {bounds})"),
        ("rare", f"{is_rare}; rare is what is {summary.rule}"),
        ("seed", _describe_verdict(summary)),
        ("prevalence", _describe_prevalence(summary)),
        ("found as", f"{_join_first(forms, rows)} (citations | mentions)" if forms else ""),
        ("also called", _join_first(list(summary.aliases), rows)),
        ("years", draw_histogram(years)),
        ("named with", _join_first(companions, rows)),
    ]
    return [(label, value) for label, value in lines if value]


def _describe_verdict(summary: "ConceptSummary") -> str:
    significance = summary.significance
    if significance is None:
        return "no candidate"
    state = "accepted" if significance.verdict else "rejected"
    rank = f"rank {summary.rank:,} of {summary.candidates:,}"
    return f"{state} by {significance.decided_by}, {rank}: {significance.reason}"


def _describe_prevalence(summary: "ConceptSummary") -> str:
    if summary.prevalence is None:
        return ""
    return f"{summary.prevalence:.2g} of people; {summary.prevalence_source}"


def _join_first(items: list[str], limit: int) -> str:
    """Return the first items of a list, and how many more there are."""
    more = f"; and {len(items) - limit:,} more" if len(items) > limit else ""
    return "; ".join(items[:limit]) + more


def draw_histogram(years: list[tuple[int | None, int]]) -> str:
    """(year, citations) as one line: first year, a bar a year, last year, the peak. Bar heights
    start at zero."""
    by_year = {year: documents for year, documents in years if year is not None and documents}
    parts = []
    if by_year:
        first = min(by_year)
        last = max(by_year)
        peak = max(by_year, key=lambda year: (by_year[year], year))
        if first < last:
            bars, step = _draw_bars(by_year)
            width = f" ({step} years a bar)" if step > 1 else ""
            parts.append(f"{first} {bars} {last}{width}, most in {peak} ({by_year[peak]:,})")
        else:
            parts.append(f"{first} ({by_year[first]:,})")
    without_year = [documents for year, documents in years if year is None and documents]
    parts += [f"{documents:,} without a year" for documents in without_year]
    return "; ".join(parts)


def _draw_bars(by_year: dict[int, int]) -> tuple[str, int]:
    """Return the bars, and the years per bar: the fewest with which all bars fit one line."""
    from medr_ray.evaluation.report.formatting import draw_sparkline

    first = min(by_year)
    last = max(by_year)
    # Rounded up, so that there are never more than ``_MAX_BARS`` bars.
    years_per_bar = -(-(last - first + 1) // _MAX_BARS)
    heights = []
    for start in range(first, last + 1, years_per_bar):
        years = range(start, start + years_per_bar)
        heights.append(float(sum(by_year.get(year, 0) for year in years)))
    # A leading zero sets the foot of the scale; its own bar is cut off.
    bars = draw_sparkline([0.0, *heights], len(heights) + 1)[1:]
    return bars, years_per_bar


def _format_sample(sample: "SampleSentence") -> "Text":
    """Return the sentence with its mention highlighted, and its source."""
    from rich.text import Text

    year = f", {sample.year}" if sample.year else ""
    text: Any = Text("  ")
    text.append(sample.sentence[: sample.start])
    text.append(sample.sentence[sample.start : sample.end], "bold yellow")
    text.append(sample.sentence[sample.end :])
    text.append(f"  PMID:{sample.pmid}{year}", "dim")
    return text
