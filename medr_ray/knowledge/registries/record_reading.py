"""What the parsers of registries share: records of a file one by one, and the list of those that
cannot be used."""

import copy
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeVar, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from medr_ray.core.errors import DataError
from medr_ray.core.json_text import InvalidJson, parse_json
from medr_ray.core.validation_messages import explain_alternatives
from medr_ray.knowledge.vocabulary_reading import open_vocabulary

M = TypeVar("M", bound=BaseModel)
# Lines without a JSON object at a file's start, after which it is taken for one of another format.
_MAX_FOREIGN_LINES = 100


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
    """("line N", object) of every line that is a JSON object; empty lines are passed over.

    A file that begins with many other lines is set aside whole, as one of another format.
    """
    has_object = False
    try:
        with open_vocabulary(path) as stream:
            for number, line in enumerate(buffer_lines(stream), 1):
                where = f"line {number}"
                if number > _MAX_FOREIGN_LINES and not has_object:
                    reason = f"no file of JSON lines: its first {_MAX_FOREIGN_LINES} lines are none"
                    unusable.add_record(path, "the rest of the file", reason)
                    return
                try:
                    value = parse_json(line, "the line") if line.strip() else None
                except InvalidJson as error:
                    unusable.add_record(path, where, error.reason)
                    continue
                if isinstance(value, dict):
                    has_object = True
                    yield where, value
                elif value is not None:
                    unusable.add_record(path, where, f"no JSON object, but {type(value).__name__}")
    except DataError as error:
        unusable.add_record(path, "the rest of the file", str(error))


def buffer_lines(stream: BinaryIO) -> BinaryIO:
    """The stream as one that can be read line by line."""
    return io.BufferedReader(cast(io.RawIOBase, stream))


def validate_leniently(
    model: type[M], record: Mapping[str, Any]
) -> tuple[M, list[tuple[str, str]]]:
    """The record as an object of the model, and (field, reason) of each field that was left out.

    A field of another type is left out. So is an object, such as an element of a list, that lacks
    a field it cannot be without. DataError with the reasons where nothing of the record is left.
    """
    value: Any = record
    problems: list[tuple[str, str]] = []
    while True:
        try:
            return model.model_validate(value), problems
        except ValidationError as error:
            details = error.errors(include_url=False)
        if value is record:
            # The first errors are all there are: later ones only follow from what was left out.
            problems = [_describe_problem(detail) for detail in details]
            value = copy.deepcopy(record)
        places = {_find_removed_place(detail) for detail in details}
        if () in places:
            raise DataError("; ".join(f"{field}: {reason}" for field, reason in problems))
        # From the end, because leaving out an element moves those behind it.
        for place in sorted(places, key=_order_places, reverse=True):
            _remove_place(value, place)


def _describe_problem(detail: ErrorDetails) -> tuple[str, str]:
    """(field, reason) of one error."""
    return ".".join(map(str, detail["loc"])), explain_alternatives([detail])


def _find_removed_place(detail: ErrorDetails) -> tuple[int | str, ...]:
    """What to leave out because of one error: the field, or what lacks it."""
    place = detail["loc"]
    return place[:-1] if detail["type"] == "missing" else place


def _order_places(place: tuple[int | str, ...]) -> list[tuple[int, str]]:
    """A key by which elements of one list are in their order, and fields in any."""
    return [(part, "") if isinstance(part, int) else (0, part) for part in place]


def _remove_place(value: Any, place: tuple[int | str, ...]) -> None:
    """Leave out the field or element at the place.

    A place may go on behind what the record has: pydantic adds the name of the alternative
    ("list[str]") that a value of several types does not fit, and has an error for each.
    """
    for position, part in enumerate(place):
        if not _has_part(value, part):
            return  # left out because of another alternative
        following = place[position + 1 :]
        if not following or not _has_part(value[part], following[0]):
            del value[part]
            return
        value = value[part]


def _has_part(value: Any, part: int | str) -> bool:
    if isinstance(value, dict):
        return part in value
    return isinstance(value, list) and isinstance(part, int) and part < len(value)
