"""What every section of the configuration shares: it is frozen, closed to keys that are not
declared, and clear about which of its fields decide a result."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

Backend = Literal["rules", "llm"]


T = TypeVar("T")


class _OperationalMark:
    """Marks a field in its annotation; see ``Operational``."""


# A field that changes how a run works but not what it makes: workers, time-outs, retries, rates,
# prices, ports. Fingerprints leave it out, so that changing it makes no finished stage stale.
Operational = Annotated[T, _OperationalMark()]


class Section(BaseModel):
    """Frozen, and closed: a key that is not declared is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def identity(self) -> dict[str, Any]:
        """The fields that decide a result, as JSON values; sections inside are treated alike."""
        dumped = self.model_dump(mode="json")
        return {
            name: _identity_of(getattr(self, name), dumped[name])
            for name, field in type(self).model_fields.items()
            if not is_operational(field)
        }


def is_operational(field: FieldInfo) -> bool:
    """Whether the field is marked as one that decides no result."""
    return any(isinstance(mark, _OperationalMark) for mark in field.metadata)


def _identity_of(value: Any, dumped: Any) -> Any:
    """``dumped``, the JSON form of ``value``, without the operational fields of sections in it."""
    if isinstance(value, Section):
        return value.identity()
    if isinstance(value, Mapping):
        # Dumping turns keys into strings but keeps their order.
        pairs = zip(dumped, value.values(), dumped.values(), strict=True)
        return {key: _identity_of(item, dumped_item) for key, item, dumped_item in pairs}
    if isinstance(value, tuple):
        pairs_in_order = zip(value, dumped, strict=True)
        return [_identity_of(item, dumped_item) for item, dumped_item in pairs_in_order]
    return dumped


class ServiceConfig(Section):
    """Limits that hold for each service of a section alike."""

    timeout_seconds: Operational[float] = Field(
        10.0, gt=0, description="one request until its whole answer is here"
    )
    deadline_seconds: Operational[float] = Field(
        25.0,
        gt=0,
        description="one search, waiting for its turn and all tries together; "
        "keep it below agent.tool_seconds",
    )
    retries: Operational[int] = Field(2, ge=0, description="after failures that may pass")
    max_bytes: int = Field(8_000_000, ge=1024, description="of an answer; a longer one is not read")
    concurrency: Operational[int] = Field(
        4, ge=1, description="requests under way to one service, of the whole cluster together"
    )
