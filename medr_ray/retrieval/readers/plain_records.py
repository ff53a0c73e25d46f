"""What the readers share: records of a file one by one, the list of those that cannot be used, and
the lines of a document's text."""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeVar, cast

from pydantic import BaseModel, ValidationError

from medr_ray.core.errors import DataError
from medr_ray.core.json_text import InvalidJson, parse_json
from medr_ray.knowledge.vocabulary_reading import open_vocabulary

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class UnusableRecord:
    """A record that makes no document: its file, its place there ("line 17") and the reason."""

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


def validate_record(model: type[M], value: Any) -> M:
    """The record as an object of the model. DataError names the first field that is wrong."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise DataError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def to_single_line(text: str) -> str:
    """The text on one line, because a line break ends a sentence."""
    return " ".join(text.split())


def format_text(title: str, sections: Iterable[tuple[str, str]]) -> str:
    """The text of a document: its title, then ``heading: content`` for each section that has
    content, a line each."""
    lines = [title]
    for heading, content in sections:
        if content.strip():
            lines.append(f"{heading}: {to_single_line(content)}")
    return "\n".join(lines)


def parse_year(date: str) -> int | None:
    """The year of a date that begins with it ("2009-08-25", "20200331"); None for other text."""
    # ``len`` as well, because "201" is decimal and no year.
    return int(date[:4]) if date[:4].isdecimal() and len(date) >= 4 else None
