"""``medr sft show [EXAMPLE]``: the stage's counts, or one dialogue as the model sees it, with the
tokens that are learnt marked."""

from typing import TYPE_CHECKING, Annotated

import typer

from medr_ray.cli.options import ConfigFile, Overrides, resolve_config
from medr_ray.cli.showing import show_stage_or_item

if TYPE_CHECKING:
    from rich.text import Text

    from medr_ray.core.run import RunDirectory
    from medr_ray.training.sft_data import ShownExample

_LEARNT_MARKS = "⟦", "⟧"  # around learnt text, also where a terminal has no colours
_LEARNT_STYLE = "bold green"


def show(
    config: ConfigFile,
    example: Annotated[
        str | None,
        typer.Argument(
            metavar="EXAMPLE",
            show_default=False,
            help="A dialogue's id, or its number from 1; without it, the stage.",
        ),
    ] = None,
    overrides: Overrides = None,
    rows: Annotated[int, typer.Option("--rows", min=1, help="Steps to show, without EXAMPLE.")] = 5,
) -> None:
    """Show the sft stage's counts and its last steps; or what is learnt of a dialogue, before the
    stage has run as well."""

    def show_item(run: "RunDirectory", item: str) -> None:
        from rich.console import Console

        from medr_ray.training.sft_data import find_example

        shown_example = find_example(resolve_config(config, overrides), run, item)
        Console().print(_render_example(shown_example), soft_wrap=True)

    show_stage_or_item("sft", config, overrides, rows, example, show_item)


def _render_example(example: "ShownExample") -> "Text":
    from rich.text import Text

    start, end = _LEARNT_MARKS
    split = "held out for evaluation" if example.is_held_out else "learnt from"
    text = Text(
        f"{example.dialogue_id}: {example.tokens:,} tokens, {example.learnt_tokens:,} of them "
        f"learnt ({start}so{end}), weight {example.weight:g}, {split}\n\n",
        style="dim",
    )
    body = Text(style="default")
    for run, is_learnt in example.runs:
        body.append(f"{start}{run}{end}" if is_learnt else run, _LEARNT_STYLE if is_learnt else "")
    return Text.assemble(text, body)
