"""What the trajectories stage writes for other stages."""

from medr_ray.core.artifacts import Artifact
from medr_ray.core.records import FilteredTrajectory

TRAJECTORIES = Artifact("trajectories", "trajectories.parquet", FilteredTrajectory)
