"""Ids made of the content they stand for."""

import dataclasses
import functools
import hashlib
import json
from typing import Any


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys and no spaces.

    Equal values give equal text on every machine.
    """
    return _ENCODER.encode(value)


def _convert_dataclass(value: Any) -> Any:
    """The fields of a record; the encoder asks again for records among them. This takes a fraction
    of the time of ``dataclasses.asdict``."""
    names = _field_names(type(value))  # type: ignore[arg-type]
    if names is None:
        raise TypeError(f"not JSON: {type(value).__name__}")
    return {name: getattr(value, name) for name in names}


@functools.cache
def _field_names(record: type) -> tuple[str, ...] | None:
    """The names of a record's fields; None for a type that is no record."""
    if not dataclasses.is_dataclass(record):
        return None
    return tuple(field.name for field in dataclasses.fields(record))


_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_convert_dataclass
)


def content_id(prefix: str, *parts: Any) -> str:
    """Return ``prefix-<16 hex digits>`` of the SHA-256 of the parts.

    The same input gives the same id everywhere.

    Prefixes: ``fact``, ``rel`` relation, ``chain``, ``q`` question, ``traj`` trajectory.
    """
    return f"{prefix}-{hashlib.sha256(canonical_json(parts).encode()).hexdigest()[:16]}"


def hash_fraction(key: str) -> float:
    """A number in [0, 1) that depends on the key alone."""
    digest = hashlib.sha256(key.encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
