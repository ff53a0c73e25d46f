"""``medr report``: the results of a run, from its manifests and tables."""

from medr_ray.cli.options import ConfigFile, Overrides, resolve_config


def report(config: ConfigFile, overrides: Overrides = None) -> None:
    """Write report.json and report.md of the run, and print the report."""
    from rich.console import Console

    from medr_ray.core.run import open_run
    from medr_ray.evaluation.report import print_report, write_report

    resolved = resolve_config(config, overrides)
    run = open_run(resolved)
    print_report(write_report(resolved, run), Console())
