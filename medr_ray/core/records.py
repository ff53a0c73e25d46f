"""The data contracts between the rooms: frozen dataclasses, an Arrow schema derived from each,
content ids.

Stages exchange these records as Parquet. Sequences are tuples, so that a record is immutable and
hashable; an optional field is ``X | None`` and nullable in Arrow, every other field is not.
"""

import dataclasses
import functools
import hashlib
import json
import types
import typing
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import pyarrow as pa

R = TypeVar("R")


# --- literature -----------------------------------------------------------------------


@dataclass(frozen=True)
class Section:
    """One part of a structured abstract (``AbstractText``): its label as printed and its NLM
    category."""

    label: str
    category: str
    text: str


@dataclass(frozen=True)
class Term:
    """A controlled-vocabulary heading: its unique identifier (UI) and name."""

    ui: str
    name: str


@dataclass(frozen=True)
class MeshHeading:
    """A MeSH descriptor; ``major`` when it, or one of its qualifiers, is a major topic."""

    ui: str
    name: str
    major: bool


@dataclass(frozen=True)
class Correction:
    """A ``CommentsCorrections`` link: its RefType and the other citation's PMID ("" when not
    given)."""

    kind: str
    pmid: str


@dataclass(frozen=True)
class Citation:
    """One PubMed citation (NLM PubMed DTD). ``year`` is that of publication; ``position`` counts
    from 0 in the file."""

    pmid: str
    version: int
    title: str
    abstract: str
    sections: tuple[Section, ...]
    journal: str
    issn: str
    year: int | None
    language: str
    publication_types: tuple[Term, ...]
    mesh: tuple[MeshHeading, ...]
    supplementary: tuple[Term, ...]
    chemicals: tuple[Term, ...]
    keywords: tuple[str, ...]
    retracted: bool
    corrections: tuple[Correction, ...]
    source_file: str
    position: int


# --- entities -------------------------------------------------------------------------


@dataclass(frozen=True)
class EntityFrequency:
    """How often a concept is named in the corpus.

    ``documents`` (df) counts citations that name it at least once, ``mentions`` (tf) all
    occurrences; ``frequency`` is df / N over the N citations counted, ``frequency_lower`` and
    ``frequency_upper`` are the ends of its two-sided 95 % Clopper-Pearson interval.
    """

    concept_id: str
    name: str
    entity_type: str
    documents: int
    mentions: int
    frequency: float
    frequency_lower: float
    frequency_upper: float


@dataclass(frozen=True)
class Significance:
    """A significance judge's decision on a rare entity, with its reason and who decided (rules or a
    model's name)."""

    verdict: bool
    reason: str
    decided_by: str


@dataclass(frozen=True)
class SeedEntity:
    """A rare entity that was judged: the frequency it was found rare by, the verdict and the
    specialty.

    ``prevalence`` is the share of people who have it (point prevalence where known, else at birth),
    null when unknown; ``prevalence_source`` says whose figure, of what kind and where, "" when
    unknown.
    """

    frequency: EntityFrequency
    significance: Significance
    specialty: str
    prevalence: float | None = None
    prevalence_source: str = ""


# --- graph ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Entity:
    """A node. ``frequency`` is the document frequency in the corpus, null when it was not counted
    there."""

    entity_id: str
    name: str
    entity_type: str
    aliases: tuple[str, ...]
    description: str
    frequency: float | None
    is_seed: bool


@dataclass(frozen=True)
class Evidence:
    """Where a relation is stated: ``sentence`` of ``document_id`` (characters [start, end) of the
    document's text).

    ``reference`` holds what the document itself cites for the sentence, such as ``PMID:12345678``,
    or "". ``year`` and ``journal`` are the document's, null and "" for what is none of a journal.
    """

    source: str
    document_id: str
    sentence: str
    start: int
    end: int
    reference: str
    year: int | None = None
    journal: str = ""

    @property
    def origin(self) -> str:
        """ "PMID:12345678, Chest 1977", and what it cites."""
        report = " ".join(filter(None, (self.journal, str(self.year or ""))))
        cited = f"citing {self.reference}" if self.reference else ""
        return ", ".join(filter(None, (self.document_id, report, cited)))


@dataclass(frozen=True)
class Relation:
    """An edge with its context (paper section 3.1.1): <subject, predicate, object, temporal,
    spatial, clinical>.

    ``subject`` and ``object`` are entity ids; ``confidence`` lies in [0, 1].
    """

    relation_id: str
    subject: str
    predicate: str
    object: str
    temporal: str
    spatial: str
    clinical: str
    confidence: float
    extractor: str
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True)
class Chain:
    """The longest valid path found from a seed. ``relations`` and ``entities`` are ids in walking
    order.

    ``length`` is in hops, ``upper_bound`` a proven bound on it, ``seconds`` the search time.
    """

    chain_id: str
    seed: str
    entities: tuple[str, ...]
    relations: tuple[str, ...]
    length: int
    upper_bound: int
    proven_optimal: bool
    seconds: float
    strategy: str


@dataclass(frozen=True)
class Subgraph:
    """A connected sample of the merged graph around ``seed`` (see
    ``graph.paths.subgraph_sampling``).

    ``strategy`` was asked for, ``used`` is what was done; ``entities`` and ``relations`` are sorted
    ids, ``backbone`` the entities of a valid path in walking order; ``reason`` says what kept it
    from the strategy or the size, or "".
    """

    seed: str
    strategy: str
    used: str
    entities: tuple[str, ...]
    relations: tuple[str, ...]
    backbone: tuple[str, ...]
    reason: str


# --- questions ------------------------------------------------------------------------


@dataclass(frozen=True)
class GuidanceStep:
    """One masked triple (paper section 3.2.1): ([MASK], predicate, [MASK]), with the types of both
    ends.

    ``clinical`` is the qualifier the question itself prints (such as "3 of 7 patients"), or "".
    ``also`` names the predicates of further facts that the question tells of the object,
    ``inverse:`` in front where it is their object.
    """

    subject_type: str
    predicate: str
    object_type: str
    clinical: str
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class Placeholder:
    """A name used in the cheat sheet in place of an entity, and the entity's id."""

    placeholder: str
    entity_id: str


@dataclass(frozen=True)
class Verification:
    """What was checked: one answer in the graph, no leak of it in the text, every hop needed, every
    hop evidenced, no other question like it, no benchmark item like it, not answered without a
    search by the configured model. The last two are null where nothing to check against is
    configured."""

    unique: bool
    no_leak: bool
    hops_needed: bool
    evidence: bool
    no_duplicate: bool = True
    uncontaminated: bool | None = None
    not_closed_book: bool | None = None


@dataclass(frozen=True)
class Calibration:
    """Difficulty as measured: ``model`` answered ``correct`` of ``attempts`` right. ``accuracy`` in
    [0, 1] with the Clopper-Pearson 95 % interval [``lower``, ``upper``]; ``rounds`` of regeneration
    came before; ``tokens`` used."""

    model: str
    attempts: int
    correct: int
    accuracy: float
    lower: float
    upper: float
    rounds: int
    tokens: int


@dataclass(frozen=True)
class Question:
    """A multi-hop question. ``complexity`` is its number of hops, ``obfuscation`` its level (see
    ``questions.drafting.obfuscation``), ``split`` is "train" or "heldout"; ``calibration`` has a
    row per calibration model."""

    question_id: str
    text: str
    language: str
    answer: str
    answer_aliases: tuple[str, ...]
    answer_type: str
    paradigm: str
    complexity: int
    specialty: str
    chain_id: str
    seed: str
    split: str
    start: str
    relations: tuple[str, ...]
    guidance: tuple[GuidanceStep, ...]
    cheat_sheet: str
    entity_mapping: tuple[Placeholder, ...]
    verification: Verification
    calibration: tuple[Calibration, ...] = ()
    obfuscation: int = 0


# --- trajectories ---------------------------------------------------------------------


@dataclass(frozen=True)
class Message:
    """One message of the dialogue; ``role`` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True)
class Turn:
    """What the engine saw and sampled in one turn: token ids, the sampled tokens' log-probabilities
    (natural logarithm, at temperature 1), and the version of the weights. Empty for policies that
    are not token models."""

    prompt_ids: tuple[int, ...]
    output_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    policy_version: int


@dataclass(frozen=True)
class ToolEvent:
    """One tool call, in the order of the responses: ``arguments`` as JSON text, ``status`` ok,
    error, invalid (no well-formed call) or skipped (beyond the budget, not run), ``seconds`` of
    wall clock.

    ``repeated``: answered from what an identical call returned before, without running;
    ``abandoned``: its deadline passed and the tool did not stop. ``documents`` are the ids of what
    was shown.
    """

    tool: str
    arguments: str
    status: str
    seconds: float
    simulated_failure: bool
    repeated: bool = False
    abandoned: bool = False
    documents: tuple[str, ...] = ()


@dataclass(frozen=True)
class Usage:
    """Tokens read and sampled (0 where the policy counts none) and model calls made."""

    prompt_tokens: int
    output_tokens: int
    model_calls: int


@dataclass(frozen=True)
class Hypothesis:
    """What the agent held to be so, in reply number ``reply`` (from 0): ``kind`` is finding
    ("relation = value", a step on the way), candidate (of the answer) or answer."""

    text: str
    kind: str
    reply: int


@dataclass(frozen=True)
class EvidenceEdge:
    """An edge of what an agent gathered, from tool event number ``call``: ``kind`` found (a query
    to a document it returned) or names (a document to a hypothesis whose words stand in what was
    shown of it)."""

    kind: str
    source: str
    target: str
    call: int


@dataclass(frozen=True)
class Trajectory:
    """One agent run on one question. ``mode`` is guided or exploration, in an evaluation the
    weights' name; ``stop_reason`` is answered, max_turns, max_tokens, max_seconds, loop (too many
    identical calls) or malformed; ``answer`` is null when none was given; ``cost`` in USD, null
    when unknown. ``asked`` says what was nearly spent when the agent was asked for its answer:
    calls, tokens, seconds or repeats, "" when it was not asked. ``evidence`` and ``hypotheses`` are
    the agent's state at the end."""

    trajectory_id: str
    question_id: str
    mode: str
    rollout: int
    messages: tuple[Message, ...]
    turns: tuple[Turn, ...]
    tool_events: tuple[ToolEvent, ...]
    documents: tuple[str, ...]
    answer: str | None
    stop_reason: str
    usage: Usage
    cost: float | None
    asked: str = ""
    evidence: tuple[EvidenceEdge, ...] = ()
    hypotheses: tuple[Hypothesis, ...] = ()


@dataclass(frozen=True)
class FilteredTrajectory:
    """A trajectory with the filter's verdict; ``reasons`` is empty exactly when it was accepted."""

    trajectory: Trajectory
    accepted: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Reward:
    """Composite reward r = 1.0 task + 0.2 expert - 0.1 efficiency (paper section 4.2); null, never
    0, where a component could not be scored, and then ``total`` is null as well."""

    task: float | None
    expert: float | None
    efficiency: float | None
    total: float | None


@dataclass(frozen=True)
class EvaluationResult:
    """One judged answer. ``verdict`` is correct, incorrect or unscored (infrastructure failures,
    never counted)."""

    benchmark: str
    model: str
    item_id: str
    rollout: int
    prediction: str | None
    verdict: str
    judge: str
    stop_reason: str
    usage: Usage
    seconds: float


# --- Arrow ----------------------------------------------------------------------------

_SCALARS: dict[type, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
}


def _optional(annotation: Any) -> tuple[Any, bool]:
    """(inner type, nullable) of an annotation; only ``X | None`` unions exist in records."""
    if isinstance(annotation, types.UnionType):
        inner = [arg for arg in typing.get_args(annotation) if arg is not type(None)]
        return inner[0], True
    return annotation, False


def _arrow_type(annotation: Any) -> pa.DataType:
    if annotation in _SCALARS:
        return _SCALARS[annotation]
    if typing.get_origin(annotation) is tuple:
        return pa.list_(
            pa.field("item", _arrow_type(typing.get_args(annotation)[0]), nullable=False)
        )
    if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
        return pa.struct(list(arrow_schema(annotation)))
    raise TypeError(f"no Arrow type for {annotation!r}")


@functools.cache
def arrow_schema(record: type) -> pa.Schema:
    """The Arrow schema of a record class, field for field."""
    hints = typing.get_type_hints(record)
    fields = []
    for field in dataclasses.fields(record):
        inner, nullable = _optional(hints[field.name])
        fields.append(pa.field(field.name, _arrow_type(inner), nullable=nullable))
    return pa.schema(fields)


def to_table(record: type[R], rows: Iterable[R]) -> pa.Table:
    """Records as an Arrow table with exactly ``arrow_schema(record)``; empty input gives an empty
    table."""
    schema = arrow_schema(record)  # type: ignore[arg-type]
    return pa.Table.from_pylist([dataclasses.asdict(row) for row in rows], schema=schema)  # type: ignore[call-overload]


def from_table(record: type[R], table: pa.Table) -> list[R]:
    """The records of a table written by ``to_table``."""
    return [from_row(record, row) for row in table.to_pylist()]


def from_row(record: type[R], row: dict[str, Any]) -> R:
    """One record from plain Python values, as found in Arrow rows and JSON objects. A field that a
    row written earlier does not have yet takes its default; TypeError where it has none."""
    hints = _hints(record)  # type: ignore[arg-type]
    return record(
        **{name: _value(annotation, row[name]) for name, annotation in hints.items() if name in row}
    )


@functools.cache
def _hints(record: Any) -> dict[str, Any]:
    return typing.get_type_hints(record)


def _value(annotation: Any, value: Any) -> Any:
    inner, _ = _optional(annotation)
    if value is None:
        return None
    if typing.get_origin(inner) is tuple:
        item = typing.get_args(inner)[0]
        return tuple(value) if item in _SCALARS else tuple(_value(item, one) for one in value)
    if dataclasses.is_dataclass(inner) and isinstance(inner, type):
        return from_row(inner, value)
    return value


# --- ids ------------------------------------------------------------------------------


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text on every machine."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain
    )


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(f"not JSON: {type(value).__name__}")


def content_id(prefix: str, *parts: Any) -> str:
    """``prefix-<16 hex digits>`` of the SHA-256 of the parts: the same input gives the same id
    everywhere.

    Prefixes: ``rel`` relation, ``chain``, ``q`` question, ``traj`` trajectory.
    """
    return f"{prefix}-{hashlib.sha256(canonical_json(parts).encode()).hexdigest()[:16]}"
