"""The base of every section of the configuration.

A section is frozen, refuses keys that are not declared, and marks the fields that decide no result.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.fields import FieldInfo

from medr_ray.core.config.urls import StorageUri

# Who does the thinking in a role: deterministic rules, or the language model under ``llm``.
Backend = Literal["rules", "llm"]


T = TypeVar("T")


class _OperationalMark:
    """Marks a field in its annotation; see ``Operational``."""


# A field that changes how a run works but not what it makes: workers, time-outs, retries, rates,
# prices, ports. Fingerprints leave it out, so that changing it makes no finished stage stale.
Operational = Annotated[T, _OperationalMark()]


class Section(BaseModel):
    """A frozen group of settings. A key that is not declared is an error."""

    # A wrong value may be a key that was put in the wrong place.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    def identity(self) -> dict[str, Any]:
        """The fields that decide a result, as JSON values; sections inside are treated alike."""
        # As JSON values: an identity is hashed, and must be the same text in every process.
        dumped = self.model_dump(mode="json")
        return {
            name: _identity_of(getattr(self, name), dumped[name])
            for name, field in type(self).model_fields.items()
            if not is_operational(field)
        }


def is_operational(field: FieldInfo) -> bool:
    """Whether the field is marked as operational: it decides no result."""
    return any(isinstance(mark, _OperationalMark) for mark in field.metadata)


def _identity_of(value: Any, dumped: Any) -> Any:
    """Return ``dumped``, the JSON form of ``value``, without its sections' operational fields."""
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


class FileSource(Section):
    """A source that is read from files of its publisher, or needs none; a plain name stands for one
    that needs none. ``WITHOUT_FILES`` are the names of these."""

    WITHOUT_FILES: ClassVar[tuple[str, ...]]

    source: str = Field(description="name of the source")
    paths: tuple[StorageUri, ...] = Field(
        (), description="files, plain or gzip, or URIs; * matches any name in a folder"
    )

    @model_validator(mode="before")
    @classmethod
    def _accept_plain_name(cls, value: Any) -> Any:
        return {"source": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check_paths(self) -> Self:
        if (self.source in self.WITHOUT_FILES) == bool(self.paths):
            problem = "takes no paths" if self.paths else "needs its files in paths"
            raise ValueError(f"the source {self.source} {problem}")
        return self


class ServiceConfig(Section):
    """Limits for each web service that a section uses."""

    timeout_seconds: Operational[float] = Field(
        10.0, gt=0, description="seconds for one request, until its whole answer has arrived"
    )
    deadline_seconds: Operational[float] = Field(
        25.0,
        gt=0,
        description="seconds for one search, with its waiting time and all retries; "
        "keep it below agent.tool_seconds",
    )
    retries: Operational[int] = Field(
        2, ge=0, description="retries after a failure that may be temporary"
    )
    max_bytes: int = Field(
        8_000_000, ge=1024, description="bytes of an answer; a longer answer is not read"
    )
    concurrency: Operational[int] = Field(
        4, ge=1, description="open requests to one service, counted over the whole cluster"
    )
