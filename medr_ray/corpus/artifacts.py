"""What the corpus stage writes for others."""

from medr_ray.core.artifacts import Artifact
from medr_ray.core.records import Citation

CITATIONS = Artifact("corpus", "citations", Citation)
