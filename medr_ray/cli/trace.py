"""``medr trace``: prints where a result comes from, as a tree down to sentences and source
files."""

from typing import TYPE_CHECKING, Annotated

import typer

from medr_ray.cli.options import OptionalConfigFile, Overrides, resolve_config

if TYPE_CHECKING:
    from rich.tree import Tree

    from medr_ray.lineage import TraceNode


def trace(
    identifier: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="traj-…, q-…, chain-…, rel-…, fact-…, an entity or PMID:…"
        ),
    ],
    config: OptionalConfigFile = None,
    run: Annotated[
        str | None, typer.Option("--run", help="A run directory or its URI, in place of -c.")
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Trace a trajectory, question, chain, relation, fact, entity or document to its sources."""
    from rich.console import Console

    from medr_ray.core.errors import ConfigError
    from medr_ray.core.run import RunDirectory, open_run
    from medr_ray.lineage import trace as trace_result

    is_given_once = (config is None) != (run is None)
    if not is_given_once:
        raise ConfigError(
            "medr trace: give the run by -c FILE or by --run DIRECTORY, one of the two"
        )
    if run is not None:
        # A run directory is complete by itself: there is no configuration to change.
        if overrides:
            raise ConfigError("medr trace: --set has no effect with --run: use it with -c FILE")
        # As text, because ``Path`` would turn s3://bucket/run into s3:/bucket/run.
        directory = RunDirectory(run)
    else:
        directory = open_run(resolve_config(config, overrides))
    Console().print(_build_tree(trace_result(directory, identifier)))


def _build_tree(node: "TraceNode", parent: "Tree | None" = None) -> "Tree":
    """Build the tree of the node and everything below it. With ``parent``, it is added there as a
    branch."""
    from rich.text import Text
    from rich.tree import Tree

    text = f"  {node.text}" if node.text else ""
    label = Text.assemble((node.kind, "bold"), " ", (node.id, "cyan"), text)
    branch = parent.add(label) if parent is not None else Tree(label)
    for child in node.children:
        _build_tree(child, branch)
    return branch
