"""The dialogues that SFT learns from: the run's accepted trajectories, or a file of ``sft.data``.

A row that cannot be learnt from is set aside with its line, field, problem and remedy, and so is a
dialogue that is too long; both are counted and written to ``rejected.jsonl``, and neither stops the
others. A file of which more than half of the rows are no dialogues is refused. Dialogues with the
same ``group`` (the same question) are on one side of the evaluation split, whatever else is in the
file, so that no question that is learnt is asked.
"""

import io
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from medr_ray.core.config import PipelineConfig, SFTConfig
from medr_ray.core.errors import DataError
from medr_ray.core.files import BROKEN_GZIP, locate_file, open_unpacked
from medr_ray.core.json_text import InvalidJson, parse_json
from medr_ray.core.records import hash_fraction
from medr_ray.core.run import Directory, RunDirectory
from medr_ray.training.artifacts import SFT_EXAMPLES, SFT_REJECTED
from medr_ray.trajectories.artifacts import TRAJECTORIES
from medr_ray.trajectories.dataset import (
    Dialogue,
    DialogueEncoder,
    DialogueExample,
    RowProblem,
    find_malformed_messages,
    read_copies,
)
from medr_ray.trajectories.dialogue_rows import is_tool_response, read_dialogue

if TYPE_CHECKING:
    import pyarrow as pa

PARQUET_ENDING = ".parquet"
_PARQUET_ROWS = 256  # read at a time
_TABLE_ROWS = 256  # examples in a row group
# Of the rows; with more the file is of another kind than chat data.
_MOST_BAD_SHARE = 0.5
_MAX_LINE_BYTES = 64 * 2**20  # a longer line is no dialogue, and reading it would fill the memory


@dataclass(frozen=True)
class RejectedRow:
    """A dialogue that is not learnt from. ``line`` counts from 1, and is null where the dialogue is
    the run's own; ``id`` is "" where the row could not be read."""

    line: int | None
    id: str
    field: str
    problem: str
    remedy: str


@dataclass(frozen=True)
class NumberedDialogue:
    """A dialogue and the line that it stands in; null for one of the run's own."""

    dialogue: Dialogue
    line: int | None = None


@dataclass
class _Intake:
    """Sorts dialogues into examples and rejected rows, and counts them."""

    config: SFTConfig
    encoder: DialogueEncoder
    rejected: list[RejectedRow] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def take(
        self, rows: Iterable[NumberedDialogue | RejectedRow]
    ) -> Iterator[tuple[DialogueExample, bool]]:
        """(example, whether it is for evaluation), as often as an epoch takes each."""
        for row in rows:
            self.counts["rows"] += 1
            if isinstance(row, RejectedRow):
                self._reject("bad_rows", row)
                continue
            example = self._encode(row)
            if example is None:
                continue
            is_held_out = hash_fraction(row.dialogue.group) < self.config.evaluation_fraction
            copies = 1 if is_held_out else row.dialogue.copies
            self.counts["evaluation_examples" if is_held_out else "examples"] += copies
            for _ in range(copies):
                yield example, is_held_out

    def _encode(self, row: NumberedDialogue) -> DialogueExample | None:
        dialogue = row.dialogue
        try:
            example = self.encoder.encode_dialogue(dialogue)
        except RowProblem as problem:
            self._reject("bad_rows", _describe_problem(row.line, dialogue.dialogue_id, problem))
            return None
        limit = self.config.max_tokens
        if len(example.ids) <= limit:
            return example
        self._reject(
            "too_long",
            RejectedRow(
                row.line,
                dialogue.dialogue_id,
                "messages",
                f"have {len(example.ids):,} tokens, and sft.max_tokens is {limit:,}",
                "raise sft.max_tokens, or shorten the dialogue",
            ),
        )
        return None

    def _reject(self, kind: str, row: RejectedRow) -> None:
        self.counts[kind] += 1
        self.rejected.append(row)


def write_examples(
    config: PipelineConfig, run: RunDirectory, directory: Directory, encoder: DialogueEncoder
) -> dict[str, int]:
    """Write ``examples.parquet`` and ``rejected.jsonl``; returns their counts.

    Raises DataError where nothing can be learnt or evaluated, or more than half of the rows are no
    dialogues.
    """
    import pyarrow as pa

    sft = config.sft
    intake = _Intake(sft, encoder)
    rows = _list_rows(config, run)
    schema = pa.schema(
        [
            ("dialogue_id", pa.string()),
            ("ids", pa.list_(pa.int32())),
            ("mask", pa.list_(pa.bool_())),
            ("weight", pa.float64()),
            ("is_evaluation", pa.bool_()),
        ]
    )
    directory.write_batches(SFT_EXAMPLES.name, schema, _build_tables(intake.take(rows), schema))
    directory.write_jsonl(SFT_REJECTED.name, intake.rejected)
    counts = {
        name: intake.counts[name]
        for name in ("rows", "examples", "evaluation_examples", "bad_rows", "too_long")
    }
    _require_examples(counts, intake.rejected, directory, sft)
    return counts


@dataclass(frozen=True)
class ShownExample:
    """A dialogue as the model sees it. ``runs`` are its texts in order, each with whether it is
    learnt."""

    dialogue_id: str
    tokens: int
    learnt_tokens: int
    weight: float
    is_held_out: bool
    runs: list[tuple[str, bool]]


def find_example(config: PipelineConfig, run: RunDirectory, name: str) -> ShownExample:
    """The dialogue of an id, or of a number from 1, as the stage would train it. Raises DataError
    for one that is not there or cannot be learnt from."""
    encoder = DialogueEncoder.open(config)
    for number, row in enumerate(_list_rows(config, run), 1):
        dialogue_id = row.id if isinstance(row, RejectedRow) else row.dialogue.dialogue_id
        if name not in (dialogue_id, str(number)):
            continue
        if isinstance(row, RejectedRow):
            raise DataError(f"line {row.line}: {row.field} {row.problem}: {row.remedy}")
        example = encoder.encode_dialogue(row.dialogue)
        return ShownExample(
            dialogue_id,
            len(example.ids),
            sum(example.mask),
            example.weight,
            hash_fraction(row.dialogue.group) < config.sft.evaluation_fraction,
            encoder.decode_runs(example),
        )
    source = config.sft.data or "the accepted trajectories of the run"
    raise DataError(f"{name}: no dialogue of this id or number in {source}")


def _list_rows(
    config: PipelineConfig, run: RunDirectory
) -> Iterable[NumberedDialogue | RejectedRow]:
    if config.sft.data is None:
        return list_own_dialogues(run, config.sft)
    return read_file_dialogues(config.sft.data, config)


def list_own_dialogues(run: RunDirectory, sft: SFTConfig) -> list[NumberedDialogue]:
    """The accepted trajectories of the run in the order of their ids, as often as the trajectories
    stage sampled each. Their malformed replies, which the agent repaired, are not learnt."""
    copies = read_copies(run.stage("trajectories"))
    accepted = sorted(
        (entry.trajectory for entry in run.read(TRAJECTORIES) if entry.accepted),
        key=lambda trajectory: trajectory.trajectory_id,
    )
    dialogues = []
    for trajectory in accepted:
        malformed = find_malformed_messages(trajectory.messages)
        unlearnt = {
            number
            for number, message in enumerate(trajectory.messages)
            if ("tool" if is_tool_response(message) else message.role) not in sft.learn_from
        }
        if count := copies.get(trajectory.trajectory_id, 0):
            dialogue = Dialogue(
                trajectory.trajectory_id,
                trajectory.question_id,
                trajectory.messages,
                malformed | unlearnt,
                copies=count,
            )
            dialogues.append(NumberedDialogue(dialogue))
    return dialogues


def read_file_dialogues(
    uri: str, config: PipelineConfig
) -> Iterator[NumberedDialogue | RejectedRow]:
    """The dialogues of a file of chat data, and its bad rows. Raises DataError for a file that
    cannot be read."""
    for line, row in _read_rows(uri):
        if isinstance(row, RejectedRow):
            yield row
            continue
        try:
            dialogue = read_dialogue(row, config.sft.learn_from, config.agent.prompt)
        except RowProblem as problem:
            yield _describe_problem(line, _name_row(row), problem)
        else:
            yield NumberedDialogue(dialogue, line)


def _read_rows(uri: str) -> Iterator[tuple[int, Any]]:
    """(line, value) of each row; a line that is no JSON is a RejectedRow."""
    fs, path = locate_file(uri)
    try:
        with fs.open_input_file(path) as file:
            if path.endswith(PARQUET_ENDING):
                yield from _read_parquet(file)
                return
            with open_unpacked(file) as stream:
                # A file of pyarrow cannot read lines.
                yield from _read_lines(io.BufferedReader(cast(io.RawIOBase, stream)))
    except BROKEN_GZIP as error:
        raise DataError(f"{uri}: its gzip is damaged ({error}): fetch it again") from None
    except OSError as error:
        raise DataError(
            f"sft.data: {uri} cannot be read ({error}): name a file of chat data"
        ) from None


def _read_lines(stream: BinaryIO) -> Iterator[tuple[int, Any]]:
    line = 0
    while data := stream.readline(_MAX_LINE_BYTES):
        line += 1
        if len(data) == _MAX_LINE_BYTES and not data.endswith(b"\n"):
            raise DataError(
                f"sft.data: line {line} has more than {_MAX_LINE_BYTES:,} bytes: write one JSON "
                "object a line"
            )
        if not data.strip():
            continue
        try:
            yield line, parse_json(data, "the line")
        except InvalidJson as error:
            yield line, RejectedRow(line, "", "line", error.reason, "write one JSON object a line")


def _read_parquet(file: Any) -> Iterator[tuple[int, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    line = 0
    try:
        batches = pq.ParquetFile(file).iter_batches(_PARQUET_ROWS)
        for batch in batches:
            for row in batch.to_pylist():
                line += 1
                try:
                    yield line, _drop_nulls(_read_json_messages(row))
                except InvalidJson as error:
                    problem = RowProblem("messages", error.reason, "write each message as JSON")
                    yield line, _describe_problem(line, _name_row(row), problem)
    except pa.ArrowInvalid as error:
        raise DataError(f"sft.data: its Parquet is damaged ({error}): fetch it again") from None


def _drop_nulls(value: Any) -> Any:
    """A row without the nulls that a table has where other rows have a value."""
    if isinstance(value, dict):
        return {name: _drop_nulls(part) for name, part in value.items() if part is not None}
    if isinstance(value, list):
        return [_drop_nulls(part) for part in value]
    return value


def _read_json_messages(row: dict[str, Any]) -> dict[str, Any]:
    """A row whose messages are JSON texts, as ``trajectories.export_files`` writes native ones."""
    messages = row.get("messages")
    if not messages or not all(isinstance(message, str) for message in messages):
        return row
    return {**row, "messages": [parse_json(message, "a message") for message in messages]}


def _name_row(row: Any) -> str:
    names = ("id", "trajectory_id")
    return next((str(row[name]) for name in names if isinstance(row, dict) and name in row), "")


def _describe_problem(line: int | None, dialogue_id: str, problem: RowProblem) -> RejectedRow:
    return RejectedRow(line, dialogue_id, problem.field, problem.problem, problem.remedy)


def _build_tables(
    examples: Iterable[tuple[DialogueExample, bool]], schema: "pa.Schema"
) -> Iterator["pa.Table"]:
    import pyarrow as pa

    rows: list[dict[str, Any]] = []
    for example, is_evaluation in examples:
        rows.append(
            {
                "dialogue_id": example.dialogue_id,
                "ids": list(example.ids),
                "mask": list(example.mask),
                "weight": example.weight,
                "is_evaluation": is_evaluation,
            }
        )
        if len(rows) == _TABLE_ROWS:
            yield pa.Table.from_pylist(rows, schema)
            rows = []
    yield pa.Table.from_pylist(rows, schema)


def _require_examples(
    counts: dict[str, int], rejected: list[RejectedRow], directory: Directory, sft: SFTConfig
) -> None:
    """Raise DataError where the examples are none to train on, or hardly the file's."""
    source = sft.data or "the accepted trajectories"
    place = f"{directory.uri}/{SFT_REJECTED.name}"
    if counts["bad_rows"] > _MOST_BAD_SHARE * counts["rows"]:
        row = rejected[0]
        line = f"line {row.line}" if row.line else row.id
        raise DataError(
            f"sft.data: {counts['bad_rows']:,} of {counts['rows']:,} rows of {source} are no "
            f"dialogues; {line}: {row.field} {row.problem}: {row.remedy}; the others are in {place}"
        )
    if not counts["examples"]:
        reason = (
            f"{counts['too_long']:,} of {counts['rows']:,} dialogues are longer than "
            f"sft.max_tokens ({sft.max_tokens:,}), {counts['evaluation_examples']:,} are held out"
        )
        raise DataError(f"{source} has no dialogue to learn from: {reason}; see {place}")
    if sft.evaluation_fraction and not counts["evaluation_examples"]:
        raise DataError(
            f"sft.evaluation_fraction: {sft.evaluation_fraction} of {counts['examples']:,} "
            "dialogues holds out none: raise it, or set it to 0"
        )
