"""The files that the entities stage writes for other stages."""

from medr_ray.core.artifacts import Artifact
from medr_ray.core.records import EntityFrequency, SeedEntity

FREQUENCIES = Artifact("entities", "frequencies.parquet", EntityFrequency)
SEEDS = Artifact("entities", "seeds.parquet", SeedEntity)
