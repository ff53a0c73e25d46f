"""Where a run lives, and how Ray is reached."""

from pydantic import Field

from medr_ray.core.config.section import Section


class RunConfig(Section):
    """Where a run lives and the seed all its random choices derive from."""

    name: str = Field("default", pattern=r"^[A-Za-z0-9._-]+$")
    root: str = Field("runs", description="a folder or a URI such as s3://bucket/runs")
    seed: int = 0


class RayConfig(Section):
    """How to reach Ray. Without an address a private local instance is started."""

    address: str | None = Field(
        None, description="an existing cluster; RAY_ADDRESS is honoured too"
    )
    num_cpus: int = Field(
        4, ge=2, description="logical CPUs of the private instance; below 4 small pools starve"
    )
    dashboard: bool = False
    object_store_mb: int = Field(1024, ge=128)
