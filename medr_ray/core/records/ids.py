"""Ids made of the content they stand for."""

import dataclasses
import hashlib
import json
from typing import Any


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys and no spaces.

    Equal values give equal text on every machine.
    """
    return _ENCODER.encode(value)


def _convert_dataclass(value: Any) -> Any:
    """The fields of a record; the encoder asks again for records among them. This takes a third of
    the time of ``dataclasses.asdict``."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    raise TypeError(f"not JSON: {type(value).__name__}")


_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_convert_dataclass
)


def content_id(prefix: str, *parts: Any) -> str:
    """Return ``prefix-<16 hex digits>`` of the SHA-256 of the parts.

    The same input gives the same id everywhere.

    Prefixes: ``fact``, ``rel`` relation, ``chain``, ``q`` question, ``traj`` trajectory.
    """
    return f"{prefix}-{hashlib.sha256(canonical_json(parts).encode()).hexdigest()[:16]}"
