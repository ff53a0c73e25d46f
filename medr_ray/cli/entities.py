"""``medr entities show [NAME]``: the stage's counts, or the portrait of one concept."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medr_ray.cli.options import ConfigFile, Overrides, resolve

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from medr_ray.core.run import RunDirectory
    from medr_ray.entities.concept_summary import Portrait, Sample

_SENTENCES = 3
_MOST_BARS = 40


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
    if name is None:
        from medr_ray.cli.stages import show_stage

        if as_json:
            raise typer.BadParameter(
                "--json goes with a NAME; the stage's figures are in its manifest.json"
            )
        show_stage("entities", config, overrides, rows)
        return
    from medr_ray.core.run import run_directory

    show_concept(run_directory(resolve(config, overrides)), name, rows, as_json)


def show_concept(run: "RunDirectory", name: str, rows: int, as_json: bool) -> None:
    """Print the portrait of the concept that ``name`` means, or the concepts it may mean. DataError
    when it means none, with the nearest names."""
    from rich.console import Console

    from medr_ray.cli.name_resolution import meaning_of
    from medr_ray.entities.concept_summary import draw, read_names, rule_applied
    from medr_ray.retrieval.snippets import sentence_spans

    entities = run.stage("entities")
    rule_applied(entities)
    names = read_names(entities)
    columns = {one: one for one in ("concept_id", "name", "entity_type", "specialty")}
    concept = meaning_of(name, names, columns, "concepts", entities.uri, as_json)
    if concept is None:
        return
    portrait = draw(run, names, concept, sentence_spans, rows, _SENTENCES)
    if as_json:
        typer.echo(json.dumps(as_object(portrait), ensure_ascii=False))
    else:
        print_portrait(portrait, Console(), rows)


def as_object(portrait: "Portrait") -> dict[str, Any]:
    """The portrait as plain values, ready for JSON; what its frequency says stands first."""
    values = asdict(portrait)
    return {**values.pop("frequency"), **values}


# --- on a terminal --------------------------------------------------------------------


def print_portrait(portrait: "Portrait", console: "Console", rows: int) -> None:
    """The portrait, at most ``rows`` of each list."""
    from rich.table import Table
    from rich.text import Text

    one = portrait.frequency
    console.print(Text.assemble((one.name, "bold"), "  ", (one.concept_id, "cyan")))
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in _lines(portrait, rows):
        table.add_row(label, Text(value))
    console.print(table)
    for sample in portrait.samples:
        console.print(_quoted(sample))


def _lines(portrait: "Portrait", rows: int) -> list[tuple[str, str]]:
    """(label, value) of each line."""
    one = portrait.frequency
    interval = f"{one.frequency:.2g} (95 % interval {one.frequency_lower:.2g} to {one.frequency_upper:.2g})"
    lines = [
        ("type", f"{one.entity_type}{f', {portrait.specialty}' if portrait.specialty else ''}"),
        ("citations", f"{one.documents:,} of {portrait.citations:,}, {one.mentions:,} mentions"),
        ("frequency", interval),
        ("rare", f"{'yes' if portrait.rare else 'no'}; rare is what is {portrait.rule}"),
        ("seed", _verdict(portrait)),
    ]
    if portrait.prevalence is not None:
        lines.append(
            ("prevalence", f"{portrait.prevalence:.2g} of people; {portrait.prevalence_source}")
        )
    forms = [f"{form.form} ({form.documents:,} | {form.mentions:,})" for form in portrait.forms]
    lines.append(("found as", f"{_some(forms, rows)} (citations | mentions)" if forms else ""))
    lines.append(("also called", _some(list(portrait.aliases), rows)))
    lines.append(("years", histogram([(year.year, year.documents) for year in portrait.years])))
    together = [f"{other.name} ({other.documents:,})" for other in portrait.companions]
    lines.append(("named with", _some(together, rows)))
    return [(label, value) for label, value in lines if value]


def _verdict(portrait: "Portrait") -> str:
    judged = portrait.significance
    if judged is None:
        return "no candidate"
    state = "accepted" if judged.verdict else "rejected"
    return f"{state} by {judged.decided_by}, rank {portrait.rank:,} of {portrait.candidates:,}: {judged.reason}"


def _some(items: list[str], most: int) -> str:
    """The first of a list, and how many more there are."""
    rest = f"; and {len(items) - most:,} more" if len(items) > most else ""
    return "; ".join(items[:most]) + rest


def histogram(years: list[tuple[int | None, int]]) -> str:
    """Citations per year as one line: first year, bars whose height counts from none, last year,
    the peak."""
    known = {year: documents for year, documents in years if year is not None and documents}
    parts = []
    if known:
        first, last = min(known), max(known)
        peak = max(known, key=lambda year: (known[year], year))
        bars, step = _bars(known)
        together = f" ({step} years a bar)" if step > 1 else ""
        parts.append(
            f"{first} {bars} {last}{together}, most in {peak} ({known[peak]:,})"
            if first < last
            else f"{first} ({known[first]:,})"
        )
    parts += [
        f"{documents:,} without a year" for year, documents in years if year is None and documents
    ]
    return "; ".join(parts)


def _bars(known: dict[int, int]) -> tuple[str, int]:
    """A bar for each year of the span, or for so many years together that all fit a line; and how
    many those are."""
    from medr_ray.evaluation.layout import sparkline

    first, last = min(known), max(known)
    step = -(-(last - first + 1) // _MOST_BARS)
    heights = [
        float(sum(known.get(year, 0) for year in range(start, start + step)))
        for start in range(first, last + 1, step)
    ]
    return sparkline([0.0, *heights], len(heights) + 1)[1:], step  # the zero sets the scale's foot


def _quoted(sample: "Sample") -> "Text":
    """The sentence with its mention set off, and where it stands."""
    from rich.text import Text

    quoted: Any = Text("  ")
    quoted.append(sample.sentence[: sample.start])
    quoted.append(sample.sentence[sample.start : sample.end], "bold yellow")
    quoted.append(sample.sentence[sample.end :])
    quoted.append(f"  PMID:{sample.pmid}{f', {sample.year}' if sample.year else ''}", "dim")
    return quoted
