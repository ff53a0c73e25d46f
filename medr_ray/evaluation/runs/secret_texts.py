"""The texts of encrypted benchmarks, wherever something is written down.

Their publishers encrypt questions and answers so that no crawler takes them into training data. A
run keeps them as its publisher does, readable by programs only, and reports leave them out. This
keeps nobody from reading them who wants to.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from medr_ray.core.errors import DataError
from medr_ray.core.json_text import InvalidJson, parse_json
from medr_ray.core.records import Task

WITHHELD = "(the text of an encrypted benchmark)"
_SEALED = "sealed"  # the field that stands for all others of a row but its format
_FORMAT = "format"
_KEY = hashlib.sha256(b"Benchmark texts are not to be read as plain text online.").digest()


def seal_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with its fields as base64 of their JSON, combined by XOR with a key."""
    text = json.dumps(row, ensure_ascii=False)
    sealed: dict[str, Any] = {_SEALED: base64.b64encode(_combine(text.encode())).decode()}
    if _FORMAT in row:
        sealed[_FORMAT] = row[_FORMAT]
    return sealed


def open_row(row: Any) -> Any:
    """The row that was sealed; any other value as it is. Raises DataError for a damaged one."""
    if not isinstance(row, dict) or _SEALED not in row:
        return row
    try:
        data = base64.b64decode(row[_SEALED], validate=True)
        return parse_json(_combine(data), "the sealed row")
    except (ValueError, TypeError, InvalidJson):
        # ``from None``: the error could quote the text.
        raise DataError("its sealed text is broken") from None


def withhold_texts(task: Task) -> Task:
    """The task; one of an encrypted benchmark without its texts."""
    if not task.is_secret:
        return task
    return replace(task, text=WITHHELD, answer=WITHHELD, aliases=())


def _combine(data: bytes) -> bytes:
    return bytes(byte ^ _KEY[position % len(_KEY)] for position, byte in enumerate(data))
