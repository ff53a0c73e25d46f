"""``medr evaluate``: any model on any benchmark, scored again, compared and looked at.

``run`` without ``--benchmark`` is the pipeline's evaluation stage.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from medr_ray.cli.options import (
    Consent,
    DryRun,
    OptionalConfigFile,
    Overrides,
    ask_consent,
    resolve_config,
)
from medr_ray.cli.showing import show_stage

if TYPE_CHECKING:
    from rich.console import Console

    from medr_ray.core.run import Directory
    from medr_ray.evaluation.calibration import ScorerAgreement
    from medr_ray.evaluation.runs import Answer, EvaluationRun
    from medr_ray.evaluation.runs.comparison import RunComparison
    from medr_ray.evaluation.runs.request import EvaluationRequest

_SHOWN_DISAGREEMENTS = 5
_SHOWN_CHARS = 100  # of a text in a line
_PLACE = typer.Argument(metavar="DIR", help="Directory of an evaluation.")
Place = Annotated[str, _PLACE]
Benchmarks = Annotated[
    list[str] | None,
    typer.Option(
        "--benchmark", help="NAME, NAME:FILE, a file of questions, or module:attribute; repeatable."
    ),
]
EndpointUrl = Annotated[
    str | None, typer.Option("--endpoint", metavar="URL", help="OpenAI-compatible, up to /v1.")
]
ModelName = Annotated[str | None, typer.Option("--model", help="With --endpoint: the model.")]
KeyVariable = Annotated[
    str | None,
    typer.Option("--key-env", help="With --endpoint: environment variable with its key."),
]
AgentSwitch = Annotated[
    Literal["on", "off"] | None,
    typer.Option("--agent", help="The agent with tools, or a plain question; on with -c."),
]
QuestionCount = Annotated[
    int | None, typer.Option("-n", min=1, help="Questions of each benchmark; all without it.")
]
RolloutCount = Annotated[int | None, typer.Option("-k", min=1, help="Attempts at each question.")]
Temperature = Annotated[float | None, typer.Option("--temperature", min=0.0)]
UsdLimit = Annotated[
    float | None, typer.Option("--limit-usd", help="USD a question (agent; needs prices).")
]
TokenLimit = Annotated[int | None, typer.Option("--limit-tokens", help="Tokens a question.")]
CallLimit = Annotated[int | None, typer.Option("--limit-calls", help="Tool calls a question.")]
SecondLimit = Annotated[float | None, typer.Option("--limit-seconds", help="Seconds a question.")]
OutDirectory = Annotated[
    str | None, typer.Option("--out", metavar="DIR", help="Where answers and scores are kept.")
]
ScorerNames = Annotated[
    list[str] | None,
    typer.Option(
        "--scorer", help="official, rules, llm or module:attribute, in order; repeatable."
    ),
]
JudgeModel = Annotated[str | None, typer.Option("--judge", help="Model that judges.")]
JudgeUrl = Annotated[
    str | None, typer.Option("--judge-endpoint", metavar="URL", help="Where the judge is.")
]
JudgeKey = Annotated[
    str | None, typer.Option("--judge-key-env", help="Environment variable with its key.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def run(
    config: OptionalConfigFile = None,
    benchmark: Benchmarks = None,
    endpoint: EndpointUrl = None,
    model: ModelName = None,
    key_env: KeyVariable = None,
    agent: AgentSwitch = None,
    questions: QuestionCount = None,
    rollouts: RolloutCount = None,
    temperature: Temperature = None,
    limit_usd: UsdLimit = None,
    limit_tokens: TokenLimit = None,
    limit_calls: CallLimit = None,
    limit_seconds: SecondLimit = None,
    out: OutDirectory = None,
    judge: JudgeModel = None,
    judge_endpoint: JudgeUrl = None,
    judge_key_env: JudgeKey = None,
    overrides: Overrides = None,
    again: Annotated[
        bool, typer.Option("--again", help="Without --benchmark: make the stage's tables anew.")
    ] = False,
    dry_run: DryRun = False,
    yes: Consent = False,
) -> None:
    """Have a model answer benchmarks, and score the answers; without --benchmark, the pipeline's
    evaluation stage.

    The model is an endpoint's, or the weights of the run of -c. Only what is new is asked.
    """
    settings = {
        "evaluation.benchmarks": benchmark,
        "evaluation.endpoint.base_url": endpoint,
        "evaluation.endpoint.model": model,
        "evaluation.endpoint.api_key_env": key_env,
        "evaluation.max_questions": questions,
        "evaluation.rollouts": rollouts,
        "evaluation.temperature": temperature,
        "agent.max_usd": limit_usd,
        "agent.max_spent_tokens": limit_tokens,
        "agent.max_tool_calls": limit_calls,
        "agent.seconds": limit_seconds,
    }
    judging = _list_judge_settings(judge, judge_endpoint, judge_key_env)
    if benchmark is None:
        _run_stage(
            config, settings, agent, out, [*(overrides or ()), *judging], again, dry_run, yes
        )
        return
    if again or dry_run or yes:
        raise typer.BadParameter(
            "--again, --dry-run and --yes are for the stage: leave --benchmark"
        )
    if model is None and endpoint is not None:
        raise typer.BadParameter("name the endpoint's model", param_hint="--model")
    if config is None and endpoint is None:
        raise typer.BadParameter(
            "say who answers: --endpoint URL --model NAME, or the weights of a run with -c FILE"
        )
    _evaluate(
        resolve_config(config, [*(overrides or ()), *_list_settings(settings), *judging]),
        with_agent=agent == "on" if agent else config is not None,
        out=out,
    )


def resume(place: Place, overrides: Overrides = None) -> None:
    """Go on with an evaluation: ask what is missing, and score it."""
    from medr_ray.evaluation.runs import EvaluationRun
    from medr_ray.evaluation.runs.request import read_request

    evaluation = EvaluationRun.open(place)
    _answer_and_score(evaluation.directory, read_request(evaluation, overrides or ()))


def score(
    place: Place,
    scorer: ScorerNames = None,
    judge: JudgeModel = None,
    judge_endpoint: JudgeUrl = None,
    judge_key_env: JudgeKey = None,
    config: OptionalConfigFile = None,
    overrides: Overrides = None,
) -> None:
    """Score the answers of an evaluation, also by another judge. Nothing is asked again, and
    earlier scores stay."""
    from rich.console import Console

    from medr_ray.evaluation.report.evaluation_report import print_evaluation
    from medr_ray.evaluation.runs import EvaluationRun
    from medr_ray.evaluation.runs.request import EvaluationRequest, read_request

    evaluation = EvaluationRun.open(place)
    judging = _list_judge_settings(judge, judge_endpoint, judge_key_env)
    settings = [*(overrides or ()), *judging]
    if config is None:
        request = read_request(evaluation, settings)
    else:
        request = EvaluationRequest(resolve_config(config, settings), False)
    console = Console()
    _score(evaluation, request, scorer or ["official"], console)
    print_evaluation(evaluation, console)
    _write_report(evaluation, console)


def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="Directory of an evaluation.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Directory of another.")],
    scorer: Annotated[
        str, typer.Option("--scorer", help="Name of the scorer; the first that both have.")
    ] = "",
    confidence: Annotated[float, typer.Option("--confidence", min=0.5, max=0.999)] = 0.95,
    as_json: AsJson = False,
) -> None:
    """Compare any two evaluations on the questions that both were asked: exact McNemar test, and
    paired bootstrap over questions with all attempts."""
    from rich.console import Console

    from medr_ray.evaluation.runs import EvaluationRun
    from medr_ray.evaluation.runs.comparison import compare_runs

    comparisons = list(
        compare_runs(EvaluationRun.open(first), EvaluationRun.open(second), scorer, confidence)
    )
    if as_json:
        _print_json([asdict(comparison) for comparison in comparisons])
        return
    console = Console()
    for comparison in comparisons:
        for line in _describe_comparison(comparison, confidence):
            console.print(line, highlight=False, markup=False, soft_wrap=True)


def show(
    place: Annotated[str | None, _PLACE] = None,
    config: OptionalConfigFile = None,
    overrides: Overrides = None,
    rows: Annotated[int, typer.Option("--rows", min=1, help="With -c: rows to show.")] = 5,
    as_json: AsJson = False,
    html: Annotated[
        bool, typer.Option("--html", help="Write the report too, and say where its page is.")
    ] = False,
) -> None:
    """Show the figures of an evaluation; with -c, the counts and rows of the pipeline's stage."""
    from rich.console import Console

    from medr_ray.evaluation.report.evaluation_report import print_evaluation
    from medr_ray.evaluation.runs import EvaluationRun

    if place is None:
        if config is None:
            raise typer.BadParameter("name the directory of an evaluation, or -c FILE")
        show_stage("evaluation", config, overrides, rows)
        return
    evaluation = EvaluationRun.open(place)
    if as_json:
        _print_json([asdict(figures) for figures in evaluation.figures()])
        return
    console = Console()
    _print_description(evaluation, console)
    print_evaluation(evaluation, console)
    if html:
        _write_report(evaluation, console)


def report(
    places: Annotated[list[str], typer.Argument(metavar="DIR...", help="Evaluations.")],
    out: Annotated[
        str | None, typer.Option("--out", metavar="DIR", help="Where it goes; the first DIR.")
    ] = None,
) -> None:
    """Write report.html, report.md and report.json of an evaluation; of several one report.html, in
    which they stand side by side."""
    from medr_ray.core.run import Directory
    from medr_ray.evaluation.report.evaluation_report import (
        PAGE,
        write_evaluation_page,
        write_evaluation_report,
    )
    from medr_ray.evaluation.runs import EvaluationRun

    evaluations = [EvaluationRun.open(place) for place in places]
    directory = Directory(out) if out else evaluations[0].directory
    if len(evaluations) == 1:
        names = write_evaluation_report(evaluations[0], directory)
    else:
        write_evaluation_page(evaluations, directory)
        names = [f"{PAGE}.html"]
    for name in names:
        typer.echo(f"{directory.uri}/{name}")


def export(
    place: Place,
    out: Annotated[str, typer.Option("--out", metavar="DIR", help="Where the logs go.")],
    log_format: Annotated[
        Literal["inspect"], typer.Option("--format", help="Logs of inspect_ai, as JSON.")
    ] = "inspect",
) -> None:
    """Export an evaluation as logs of inspect_ai, one for each model and benchmark."""
    from datetime import UTC, datetime

    from medr_ray.core.run import Directory
    from medr_ray.evaluation.report.evaluation_report import export_inspect_logs
    from medr_ray.evaluation.runs import EvaluationRun

    directory = Directory(out)
    for name in export_inspect_logs(EvaluationRun.open(place), directory, datetime.now(UTC)):
        typer.echo(f"{directory.uri}/{name}")


def calibrate(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Labelled pairs, JSONL or CSV.")],
    scorer: ScorerNames = None,
    judge: JudgeModel = None,
    judge_endpoint: JudgeUrl = None,
    judge_key_env: JudgeKey = None,
    config: OptionalConfigFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Measure scorers against people: each row has question, answer, prediction and label.

    Without --scorer, our rules, and the judge where one is named.
    """
    from rich.console import Console

    from medr_ray.core.run import open_run
    from medr_ray.evaluation.calibration import calibrate_scorers, read_labelled_pairs
    from medr_ray.evaluation.runs.judging import build_named_scorers

    judging = _list_judge_settings(judge, judge_endpoint, judge_key_env)
    resolved = resolve_config(config, [*(overrides or ()), *judging])
    usual = ["rules", "llm"] if resolved.evaluation.judge == "llm" else ["rules"]
    pairs = read_labelled_pairs(file)
    scorers = build_named_scorers(scorer or usual, resolved, open_run(resolved))
    agreements = calibrate_scorers(scorers, pairs, resolved.llm.concurrency)
    if as_json:
        _print_json([asdict(agreement) for agreement in agreements])
        return
    console = Console()
    for agreement in agreements:
        for line in _describe_agreement(agreement):
            console.print(line, highlight=False, markup=False, soft_wrap=True)


def interactive(place: Place, overrides: Overrides = None) -> None:
    """Go through the questions of an evaluation one by one, with the agent's steps as they happen.

    Answers are kept as `resume` keeps them; what is answered is shown from its record.
    """
    from rich.console import Console

    from medr_ray.evaluation.runs import EvaluationRun
    from medr_ray.evaluation.runs.request import read_request

    evaluation = EvaluationRun.open(place)
    _go_through(evaluation, read_request(evaluation, overrides or ()), Console(highlight=False))


# --- asking and scoring ---------------------------------------------------------------


def _run_stage(
    config: Path | None,
    settings: dict[str, Any],
    agent: str | None,
    out: str | None,
    overrides: list[str],
    again: bool,
    dry_run: bool,
    yes: bool,
) -> None:
    """The pipeline's stage."""
    from medr_ray.pipeline import run_pipeline

    if config is None:
        raise typer.BadParameter("name a benchmark with --benchmark, or the run's -c FILE")
    given = [key for key, value in settings.items() if value is not None]
    if given or agent or out:
        raise typer.BadParameter(
            "without --benchmark the pipeline's stage runs as it is configured: use --set, or name "
            "a benchmark"
        )
    from_stage = "evaluation" if again else None
    resolved = resolve_config(config, overrides)
    run_pipeline(resolved, from_stage, "evaluation", dry_run, confirm=ask_consent(yes))


def _list_settings(settings: dict[str, Any]) -> list[str]:
    return [f"{key}={json.dumps(value)}" for key, value in settings.items() if value is not None]


def _list_judge_settings(
    judge: str | None, judge_endpoint: str | None, judge_key_env: str | None
) -> list[str]:
    if judge is None:
        if judge_endpoint or judge_key_env:
            raise typer.BadParameter("name the model that judges", param_hint="--judge")
        return []
    return _list_settings(
        {
            "evaluation.judge": "llm",
            "llm.model": judge,
            "llm.base_url": judge_endpoint,
            "llm.api_key_env": judge_key_env,
        }
    )


def _evaluate(config: Any, with_agent: bool, out: str | None) -> None:
    from medr_ray.core.run import Directory
    from medr_ray.evaluation.runs.request import EvaluationRequest, choose_directory, plan_request

    request = EvaluationRequest(config, with_agent)
    directory = Directory(out) if out else choose_directory(request)
    plan_request(request, directory)
    _answer_and_score(directory, request)


def _answer_and_score(directory: "Directory", request: "EvaluationRequest") -> None:
    """Ask what is pending, and score what is not scored; one process at a time in a directory."""
    from rich.console import Console

    from medr_ray.core.lock import run_lock
    from medr_ray.evaluation.report.evaluation_report import print_evaluation
    from medr_ray.evaluation.runs import EvaluationRun
    from medr_ray.evaluation.runs.request import answer_request

    console = Console()
    with run_lock(directory):
        evaluation = EvaluationRun.open(directory)
        pending = len(evaluation.list_pending())
        answered = answer_request(evaluation, request, console)
        line = f"{answered:,} answered"
        if pending > answered:
            line += f", {pending - answered:,} not, and are tried again by `resume`"
        console.print(f"{directory.uri}: {line}", highlight=False, markup=False, soft_wrap=True)
        _score(evaluation, request, ["official"], console)
        print_evaluation(evaluation, console)
        _write_report(evaluation, console)


def _score(
    evaluation: "EvaluationRun", request: "EvaluationRequest", names: list[str], console: "Console"
) -> None:
    from medr_ray.evaluation.runs.judging import OFFICIAL, build_scorers
    from medr_ray.evaluation.runs.scoring import score_answers

    benchmarks = request.select_benchmarks() if OFFICIAL in names else []
    scorers = build_scorers(
        request.config, evaluation.plan, benchmarks, evaluation.directory, names
    )
    new = score_answers(evaluation, scorers, request.config.llm.concurrency, console)
    console.print(f"{new:,} scores are new", highlight=False)


# --- question by question -------------------------------------------------------------


def _go_through(
    evaluation: "EvaluationRun", request: "EvaluationRequest", console: "Console"
) -> None:
    """Show each attempt in turn, asking those that have no answer."""
    import asyncio

    from medr_ray.cli.episode_view import EpisodeView
    from medr_ray.core.lock import run_lock
    from medr_ray.evaluation.runs.judging import OFFICIAL, build_scorers
    from medr_ray.evaluation.runs.request import open_ask
    from medr_ray.evaluation.runs.scoring import score_answer

    benchmarks = request.select_benchmarks()
    scorers = build_scorers(
        request.config, evaluation.plan, benchmarks, evaluation.directory, [OFFICIAL]
    )
    view = EpisodeView(console, names_question=False)
    with run_lock(evaluation.directory), open_ask(evaluation, request, view, console) as ask:
        attempts = list(evaluation.plan.list_attempts())
        for number, attempt in enumerate(attempts, 1):
            title = f"{attempt.benchmark} {number} of {len(attempts)}, {attempt.respondent.name}"
            console.rule(title)
            console.print(attempt.task.text, style="bold", markup=False)
            if not _wants_next(console):
                return
            if not evaluation.has_answer(attempt):
                asyncio.run(_ask_live(evaluation, attempt, ask, view))
            else:
                _replay(evaluation.read_answer(attempt), view)
            if not evaluation.has_answer(attempt):
                continue
            answer = evaluation.read_answer(attempt)
            if not request.with_agent:
                console.print(answer.prediction or "(no answer)", style="green", markup=False)
            scores = asyncio.run(score_answer(evaluation, answer, scorers[attempt.benchmark]))
            console.print(f"right answer: {attempt.task.answer}", markup=False)
            for each in scores:
                console.print(f"{each.scorer}: {each.verdict} {each.reason}".rstrip(), markup=False)


async def _ask_live(evaluation: Any, attempt: Any, ask: Any, view: Any) -> None:
    import time

    from medr_ray.core.errors import InfrastructureError
    from medr_ray.evaluation.runs.asking import build_request

    started = time.monotonic()
    try:
        trajectory = await ask(build_request(attempt))
    except InfrastructureError as error:
        view.hide_status()
        evaluation.keep_failure(attempt, str(error))
        typer.echo(f"not answered: {error}")
        return
    finally:
        view.hide_status()
    evaluation.keep_answer(attempt, trajectory, time.monotonic() - started)


def _replay(answer: "Answer", view: Any) -> None:
    from medr_ray.agent.events import events_of_trajectory

    events = events_of_trajectory(
        answer.trajectory, language=answer.task.language, seconds=answer.seconds
    )
    for event in events:
        view(event)
    view.hide_status()


def _wants_next(console: "Console") -> bool:
    """Whether the user goes on: any line but q."""
    try:
        return console.input("Enter to see the answer, q to end: ").strip().lower() != "q"
    except EOFError:
        return False


def _write_report(evaluation: "EvaluationRun", console: "Console") -> None:
    """Write the report into the directory of an evaluation, and print where its page is."""
    from medr_ray.evaluation.report.evaluation_report import write_evaluation_report

    page = write_evaluation_report(evaluation, evaluation.directory)[0]
    line = f"{evaluation.directory.uri}/{page}"
    console.print(line, highlight=False, markup=False, soft_wrap=True)


# --- printing -------------------------------------------------------------------------


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _print_description(evaluation: "EvaluationRun", console: "Console") -> None:
    """Who was asked what, and how much of it is answered."""
    plan = evaluation.plan
    pending = len(evaluation.list_pending())
    lines = [
        f"{benchmark.title}: {len(benchmark.tasks):,} questions, {plan.rollouts} attempts each"
        for benchmark in plan.benchmarks
    ]
    for respondent in plan.respondents:
        way = "agent" if respondent.agent else "plain question"
        sampling = ", ".join(
            f"{name} {value}" for name, value in respondent.sampling.items() if value
        )
        lines.append(f"{respondent.name} at {respondent.endpoint}, {way}, {sampling}")
    if pending:
        lines.append(f"{pending:,} are not answered: `medr evaluate resume` asks them")
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _describe_comparison(row: "RunComparison", confidence: float) -> list[str]:
    from medr_ray.evaluation.report.formatting import format_p_value, format_percent

    comparison = row.comparison
    difference = comparison.difference
    lines = [f"{row.benchmark}, scored by {row.scorer}: {comparison.first} and {comparison.second}"]
    if difference is None or difference.value is None:
        return [*lines, "  no question was scored for both"]
    for name, share in (
        (comparison.first, row.first_share),
        (comparison.second, row.second_share),
    ):
        low = format_percent(share.low)
        lines.append(
            f"  {name}: {format_percent(share.value)} of {share.n} "
            f"({low} to {format_percent(share.high)}, {share.interval})"
        )
    test = comparison.test
    lines += [
        f"  difference {100 * difference.value:+.1f} points, {confidence:.0%} interval "
        f"{100 * (difference.low or 0):+.1f} to {100 * (difference.high or 0):+.1f} "
        f"(paired bootstrap over {difference.n} questions, p = "
        f"{format_p_value(difference.p_value or 0)})",
        f"  right by the first attempt of one only: {comparison.first} {test.b}, "
        f"{comparison.second} {test.c} of {test.n}; exact McNemar p = "
        f"{format_p_value(test.p_value)}",
    ]
    if not row.same_scorer:
        lines.append(
            "  scored by different versions of the scorer, its judge or its prompt: score both "
            "runs anew to be sure"
        )
    return lines


def _describe_agreement(agreement: "ScorerAgreement") -> list[str]:
    from medr_ray.evaluation.report.formatting import format_percent, shorten_line

    counts = agreement.confusion
    accuracy = agreement.accuracy
    kappa = "-" if agreement.kappa is None else f"{agreement.kappa:.3f}"
    judge = f" ({agreement.judge})" if agreement.judge else ""
    lines = [
        f"{agreement.scorer}{judge}: agrees on {format_percent(accuracy.value)} of {accuracy.n} "
        f"({format_percent(accuracy.low)} to {format_percent(accuracy.high)}), kappa {kappa}, "
        f"{agreement.unscored} unscored",
        f"  people say correct: {counts.both_correct} accepted, {counts.false_rejects} refused "
        f"(recall {format_percent(agreement.recall)})",
        f"  people say incorrect: {counts.false_accepts} accepted, {counts.both_incorrect} refused "
        f"(false accepts {format_percent(agreement.false_accept_rate)})",
    ]
    for pair, verdict in agreement.disagreements[:_SHOWN_DISAGREEMENTS]:
        given = shorten_line(pair.prediction or "(no answer)", _SHOWN_CHARS)
        right_answer = shorten_line(pair.task.answer, _SHOWN_CHARS)
        lines.append(f"  {verdict.verdict}: {given} for {right_answer}")
    return lines
