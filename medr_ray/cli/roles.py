"""``medr roles list``: who plays each role; ``medr roles try``: five fixed inputs to each model,
with what came back beside what was expected."""

import functools
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medr_ray.cli.options import ConfigFile, Overrides, resolve_config
from medr_ray.cli.showing import print_json

if TYPE_CHECKING:
    from rich.console import Console

    from medr_ray.cli.trials.trial import Trial
    from medr_ray.core.config import EndpointConfig, PipelineConfig
    from medr_ray.core.config.roles import Role
    from medr_ray.core.run import Directory
    from medr_ray.llm.usage import RoleUsage

_MAX_PRINTED_CHARS = 300  # of an input or a reply on a terminal: three to four lines

app = typer.Typer(name="roles", help="Who plays each role, and whether it does.")
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, an object a line.")]


@app.command("list")
def list_all(config: ConfigFile, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Print each role, who plays it, and the model and address of those that a model plays."""
    from rich.console import Console
    from rich.table import Table

    from medr_ray.core.config.roles import list_roles

    roles = list_roles(resolve_config(config, overrides))
    rows = [_describe_role(role) for role in roles]
    if as_json:
        for row in rows:
            print_json(row)
        return
    table = Table(*rows[0], box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row.values())
    Console().print(table, markup=False)


def _describe_role(role: "Role") -> dict[str, str]:
    """A line of the list. It holds no key."""
    endpoint = role.endpoint
    without = "rules" if role.by_model.endswith("llm") else "nobody"
    return {
        "role": role.name,
        "setting": role.setting,
        "played by": "llm" if endpoint else without,
        "model": endpoint.model if endpoint else "",
        "endpoint": endpoint.base_url if endpoint else "",
    }


@app.command("try")
def try_roles(
    config: ConfigFile,
    overrides: Overrides = None,
    names: Annotated[
        list[str] | None, typer.Option("--role", help="Try this role alone; may be repeated.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put five fixed inputs to each role that a model plays, and show what came back beside what
    was expected.

    Everything is asked anew, nothing comes from the cache, and what it costs counts in the run's
    budget. Exit 1 where a role fails more than it may.
    """
    from rich.console import Console

    from medr_ray.core.config.roles import list_roles
    from medr_ray.core.run import open_run

    resolved = resolve_config(config, overrides)
    roles = _choose_roles(list_roles(resolved), names or ())
    run = open_run(resolved)
    # Trying a role makes no folder of a run that has not begun.
    budget = run if run.exists("run.json") else None
    console = Console()
    if not as_json:
        console.print("every input is sent anew: nothing comes from the cache", style="dim")
    results = []
    for role, endpoint in roles:
        result = _try_role(role, endpoint, resolved, budget)
        results.append(result)
        if as_json:
            _print_lines(result)
        else:
            _print_result(result, console)
    if not all(result.is_enough for result in results):
        raise typer.Exit(1)


def _choose_roles(
    roles: "Sequence[Role]", names: Sequence[str]
) -> "list[tuple[Role, EndpointConfig]]":
    """The roles that a model plays, with its endpoint, of ``names`` where there are any.

    Raises ConfigError for an unknown name, and where no model plays any of them, with the settings
    that change that.
    """
    from medr_ray.core.config.names import check_known
    from medr_ray.core.errors import ConfigError

    for name in names:
        try:
            check_known(name, [role.name for role in roles], "role")
        except ValueError as error:
            raise ConfigError(str(error)) from None
    wanted_roles = [role for role in roles if not names or role.name in names]
    played = [(role, role.endpoint) for role in wanted_roles if role.endpoint is not None]
    if not played:
        settings = "; ".join(dict.fromkeys(role.by_model for role in wanted_roles))
        raise ConfigError(
            f"no model plays {', '.join(names) or 'any role'}: set {settings} (with llm.model and "
            "llm.base_url where the setting is llm)"
        )
    return played


# --- trying ---------------------------------------------------------------------------


@dataclass(frozen=True)
class _TrialResult:
    trial: "Trial"
    passed: bool
    came_back: str
    seconds: float
    usage: "RoleUsage"


@dataclass(frozen=True)
class _RoleResult:
    """What became of a role's trials; ``problem`` is why it could not be asked."""

    role: "Role"
    endpoint: "EndpointConfig"
    trials: tuple[_TrialResult, ...]
    required: int
    seconds: float
    problem: str = ""

    @property
    def passed_count(self) -> int:
        return sum(trial.passed for trial in self.trials)

    @property
    def is_enough(self) -> bool:
        """Whether the role may be left to this model."""
        return not self.problem and self.passed_count >= self.required

    def total(self) -> dict[str, Any]:
        """Tokens and US dollars of all trials; the latter None without prices."""
        usages = [trial.usage for trial in self.trials]
        is_priced = self.endpoint.usd_per_million_input is not None
        return {
            "input_tokens": sum(usage.input_tokens for usage in usages),
            "output_tokens": sum(usage.output_tokens for usage in usages),
            "usd": sum(usage.usd for usage in usages) if is_priced else None,
        }


def _try_role(
    role: "Role", endpoint: "EndpointConfig", config: "PipelineConfig", budget: "Directory | None"
) -> _RoleResult:
    from medr_ray.cli.trials.registry import TRIALS, require_passed
    from medr_ray.core.errors import MedrError
    from medr_ray.llm.reachability import find_endpoint_problems

    required = require_passed(role.name)
    started = time.monotonic()
    # In seconds, before a dead endpoint is asked again and again.
    problem = next(find_endpoint_problems({role.endpoint_key: endpoint}), "")
    results: tuple[_TrialResult, ...] = ()
    if not problem:
        trials = list(TRIALS[role.name](config, endpoint))
        try:
            # Each trial asks from an event loop of its own; the governor keeps to the limits.
            with ThreadPoolExecutor(min(len(trials), endpoint.concurrency)) as pool:
                run_trial = functools.partial(_run_trial, endpoint, budget)
                results = tuple(pool.map(run_trial, trials))
        except MedrError as error:
            problem = str(error)
    return _RoleResult(role, endpoint, results, required, time.monotonic() - started, problem)


def _run_trial(
    endpoint: "EndpointConfig", budget: "Directory | None", trial: "Trial"
) -> _TrialResult:
    from medr_ray.llm.client import ChatClient

    # Without a role, so that the counts of a stage in progress stay its own.
    client = ChatClient(endpoint.model_copy(update={"cache": False}), budget)
    started = time.monotonic()
    outcome = trial.ask(client)
    seconds = time.monotonic() - started
    return _TrialResult(trial, outcome.passed, outcome.came_back, seconds, client.usage)


# --- showing --------------------------------------------------------------------------


def _print_lines(result: _RoleResult) -> None:
    for line in _list_lines(result):
        print_json(line)


def _list_lines(result: _RoleResult) -> Iterator[dict[str, Any]]:
    """A line for each trial, then the role's own."""
    about = {
        "role": result.role.name,
        "model": result.endpoint.model,
        "endpoint": result.endpoint.base_url,
    }
    for entry in result.trials:
        yield {
            **about,
            "trial": entry.trial.name,
            "sent": entry.trial.sent,
            "expected": entry.trial.expected,
            "came_back": entry.came_back,
            "passed": entry.passed,
            "seconds": round(entry.seconds, 2),
            "input_tokens": entry.usage.input_tokens,
            "output_tokens": entry.usage.output_tokens,
        }
    yield {
        **about,
        "passed": result.passed_count,
        "trials": len(result.trials),
        "required": result.required,
        "enough": result.is_enough,
        "seconds": round(result.seconds, 2),
        **result.total(),
        "problem": result.problem,
    }


def _print_result(result: _RoleResult, console: "Console") -> None:
    from rich.text import Text

    style = "bold green" if result.is_enough else "bold red"
    console.print(Text(_describe_result(result), style), soft_wrap=True)
    for entry in result.trials:
        mark = ("pass ", "green") if entry.passed else ("FAIL ", "bold red")
        console.print(Text.assemble("  ", mark, (entry.trial.name, "bold")), soft_wrap=True)
        for label, text in (
            ("sent", entry.trial.sent),
            ("expected", entry.trial.expected),
            ("came back", entry.came_back),
        ):
            line = Text.assemble("       ", (f"{label}: ", "dim"), _shorten(text))
            console.print(line, soft_wrap=True)


def _describe_result(result: _RoleResult) -> str:
    who = f"{result.role.name} by {result.endpoint.model or 'a model without a name'}"
    if result.problem:
        return f"{who} could not be asked: {result.problem}"
    total = result.total()
    usd = "no price set" if total["usd"] is None else f"{total['usd']:.4f} USD"
    return (
        f"{who} at {result.endpoint.base_url}: {result.passed_count} of {len(result.trials)} "
        f"passed, {result.required} required; {result.seconds:,.1f} s, "
        f"{total['input_tokens']:,} input and {total['output_tokens']:,} output tokens, {usd}"
    )


def _shorten(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _MAX_PRINTED_CHARS else f"{words[:_MAX_PRINTED_CHARS]}…"
