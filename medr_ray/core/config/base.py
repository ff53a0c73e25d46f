"""What every section of the configuration shares."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Backend = Literal["rules", "llm"]


class Section(BaseModel):
    """Frozen, and closed: a key that is not declared is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ServiceConfig(Section):
    """Limits that hold for each service of a section alike."""

    timeout_seconds: float = Field(
        10.0, gt=0, description="one request until its whole answer is here"
    )
    deadline_seconds: float = Field(
        25.0,
        gt=0,
        description="one search, waiting for its turn and all tries together; "
        "keep it below agent.tool_seconds",
    )
    retries: int = Field(2, ge=0, description="after failures that may pass")
    max_bytes: int = Field(8_000_000, ge=1024, description="of an answer; a longer one is not read")
    concurrency: int = Field(
        4, ge=1, description="requests under way to one service, of the whole cluster together"
    )
