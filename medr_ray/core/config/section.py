"""What every section of the configuration is: frozen, and closed to keys that are not declared."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Backend = Literal["rules", "llm"]


class Section(BaseModel):
    """Frozen, and closed: a key that is not declared is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
