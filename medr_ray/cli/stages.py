"""One command group per stage: ``medr STAGE run`` and ``medr STAGE show``.

``_SPECIAL_COMMANDS`` adds commands to a stage or replaces one of the two.
"""

from collections.abc import Callable, Mapping
from typing import Annotated

import typer

from medr_ray.cli import (
    corpus,
    entities,
    evaluate,
    facts,
    graph,
    question_review,
    questions,
    sft,
    trajectories,
)
from medr_ray.cli.options import (
    ConfigFile,
    Consent,
    DryRun,
    Overrides,
    ask_consent,
    resolve_config,
)
from medr_ray.cli.showing import command_name, show_stage
from medr_ray.core.stages import STAGES

_SPECIAL_COMMANDS: Mapping[str, Mapping[str, Callable[..., None]]] = {
    "corpus": {"download": corpus.download},
    "entities": {"show": entities.show},
    "facts": {"show": facts.show},
    "graph": {"show": graph.show, "export": graph.export},
    "questions": {
        "generate": questions.generate,
        "show": questions.show,
        "review": question_review.review,
        "card": questions.card,
    },
    "trajectories": {
        "show": trajectories.show,
        "stats": trajectories.stats,
        "policy": trajectories.policy,
        "export": trajectories.export,
        "card": trajectories.card,
    },
    "sft": {"show": sft.show},
    "evaluation": {
        "run": evaluate.run,
        "resume": evaluate.resume,
        "score": evaluate.score,
        "compare": evaluate.compare,
        "show": evaluate.show,
        "report": evaluate.report,
        "export": evaluate.export,
        "calibrate": evaluate.calibrate,
        "interactive": evaluate.interactive,
    },
}


def build_stage_groups() -> list[typer.Typer]:
    """Return a typer application for each stage, in pipeline order."""
    return [_build_group(stage, entry.summary) for stage, entry in STAGES.items()]


def _build_group(stage: str, summary: str) -> typer.Typer:
    group = typer.Typer(name=command_name(stage), help=summary, no_args_is_help=True)
    commands = {
        "run": _build_run_command(stage),
        "show": _build_show_command(stage),
        # Last, so that they replace ``run`` or ``show``.
        **_SPECIAL_COMMANDS.get(stage, {}),
    }
    for name, command in commands.items():
        group.command(name)(command)
    return group


def _build_run_command(stage: str) -> Callable[..., None]:
    def run(
        config: ConfigFile,
        overrides: Overrides = None,
        again: Annotated[
            bool, typer.Option("--again", help="Make this stage anew, and later ones too.")
        ] = False,
        dry_run: DryRun = False,
        yes: Consent = False,
    ) -> None:
        from medr_ray.pipeline import run_pipeline

        from_stage = stage if again else None
        resolved = resolve_config(config, overrides)
        run_pipeline(
            resolved, from_stage, stage, dry_run, confirm=ask_consent(yes), only_needed=True
        )

    # Typer shows the docstring as the command's help.
    run.__doc__ = f"Run the {stage} stage, after whatever it needs that is not finished."
    return run


def _build_show_command(stage: str) -> Callable[..., None]:
    def show(
        config: ConfigFile,
        overrides: Overrides = None,
        rows: Annotated[int, typer.Option("--rows", min=1, help="Rows to show.")] = 5,
    ) -> None:
        show_stage(stage, config, overrides, rows)

    show.__doc__ = f"Show the {stage} stage's counts and a few of its rows."
    return show
