"""Records of a file one by one, what is set aside, and lines of a document's text."""

import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeVar, cast

from pydantic import BaseModel, ValidationError

from medr_ray.core.errors import DataError
from medr_ray.knowledge.vocabulary_reading import open_vocabulary

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class SetAside:
    """A record that makes no document: its file, where it stands there ("line 17") and why."""

    file: str
    where: str
    reason: str


class Aside(list[SetAside]):
    """What was set aside while reading."""

    def put(self, file: str, where: str, reason: str) -> None:
        self.append(SetAside(file, where, reason))


def json_lines(path: str, aside: Aside) -> Iterator[tuple[str, dict[str, Any]]]:
    """("line N", object) of every line that holds a JSON object; empty lines count for nothing."""
    try:
        with open_vocabulary(path) as stream:
            for number, line in enumerate(buffered(stream), 1):
                where = f"line {number}"
                try:
                    value = json.loads(line) if line.strip() else None
                    if b"\\ud" in line:
                        json.dumps(
                            value, ensure_ascii=False
                        ).encode()  # half a surrogate pair is no text
                except (ValueError, RecursionError) as error:
                    aside.put(path, where, f"no JSON: {error}")
                    continue
                if isinstance(value, dict):
                    yield where, value
                elif value is not None:
                    aside.put(path, where, f"no JSON object, but {type(value).__name__}")
    except DataError as error:
        aside.put(path, "the rest of the file", str(error))


def buffered(stream: BinaryIO) -> BinaryIO:
    """The stream with lines to go through."""
    return io.BufferedReader(cast(io.RawIOBase, stream))


def parsed(model: type[M], value: Any) -> M:
    """The record as the model has it; DataError names the first field that is wrong."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise DataError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def single(text: str) -> str:
    """On one line, for a line break ends a sentence."""
    return " ".join(text.split())


def lines(title: str, parts: Iterable[tuple[str, str]]) -> str:
    """The text of a document: its title, then ``heading: content`` a line for what has content."""
    told = (f"{heading}: {single(content)}" for heading, content in parts if content.strip())
    return "\n".join((title, *told))


def year_in(date: str) -> int | None:
    """The year of a date that begins with it ("2009-08-25", "20200331"), None for any other
    text."""
    return int(date[:4]) if date[:4].isdecimal() and len(date) >= 4 else None
