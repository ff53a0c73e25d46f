"""What the parsers of registries share: records of a file one by one, and the list of those that
cannot be used."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from medr_ray.core.errors import DataError
from medr_ray.core.json_text import InvalidJson, parse_json
from medr_ray.knowledge.vocabulary_reading import open_vocabulary


@dataclass(frozen=True)
class UnusableRecord:
    """A record that cannot be used, or a field of one: its file, its place there ("line 17") and
    the reason."""

    file: str
    where: str
    reason: str


class UnusableRecords(list[UnusableRecord]):
    """The records of a reading that could not be used."""

    def add_record(self, file: str, where: str, reason: str) -> None:
        self.append(UnusableRecord(file, where, reason))


def read_json_lines(path: str, unusable: UnusableRecords) -> Iterator[tuple[str, dict[str, Any]]]:
    """("line N", object) of every line that is a JSON object; empty lines are passed over."""
    try:
        with open_vocabulary(path) as stream:
            for number, line in enumerate(buffer_lines(stream), 1):
                where = f"line {number}"
                try:
                    value = parse_json(line, "the line") if line.strip() else None
                except InvalidJson as error:
                    unusable.add_record(path, where, error.reason)
                    continue
                if isinstance(value, dict):
                    yield where, value
                elif value is not None:
                    unusable.add_record(path, where, f"no JSON object, but {type(value).__name__}")
    except DataError as error:
        unusable.add_record(path, "the rest of the file", str(error))


def buffer_lines(stream: BinaryIO) -> BinaryIO:
    """The stream as one that can be read line by line."""
    return io.BufferedReader(cast(io.RawIOBase, stream))
