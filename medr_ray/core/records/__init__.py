"""The data contracts between the rooms: frozen dataclasses, an Arrow schema derived from each,
content ids.

Stages exchange these records as Parquet. Sequences are tuples, so that a record is immutable and
hashable. Other rooms import from here, not from the modules below.
"""

from medr_ray.core.records.arrow import (
    arrow_schema,
    from_row,
    from_table,
    to_table,
)
from medr_ray.core.records.entities import (
    EntityFrequency,
    SeedEntity,
    Significance,
)
from medr_ray.core.records.evaluation import (
    EvaluationResult,
    Reward,
)
from medr_ray.core.records.graph import (
    Chain,
    Entity,
    Evidence,
    Relation,
    Subgraph,
)
from medr_ray.core.records.ids import (
    canonical_json,
    content_id,
)
from medr_ray.core.records.literature import (
    Citation,
    Correction,
    MeshHeading,
    Section,
    Term,
)
from medr_ray.core.records.tasks import (
    HOPS,
    OBFUSCATION,
    PARADIGM,
    SPECIALTY,
    Calibration,
    GuidanceStep,
    Metadatum,
    Placeholder,
    Question,
    Task,
    Verification,
    question_metadata,
)
from medr_ray.core.records.trajectories import (
    EvidenceEdge,
    FilteredTrajectory,
    Hypothesis,
    Message,
    ToolEvent,
    Trajectory,
    Turn,
    Usage,
)

__all__ = [
    "HOPS",
    "OBFUSCATION",
    "PARADIGM",
    "SPECIALTY",
    "Calibration",
    "Chain",
    "Citation",
    "Correction",
    "Entity",
    "EntityFrequency",
    "EvaluationResult",
    "Evidence",
    "EvidenceEdge",
    "FilteredTrajectory",
    "GuidanceStep",
    "Hypothesis",
    "MeshHeading",
    "Message",
    "Metadatum",
    "Placeholder",
    "Question",
    "Relation",
    "Reward",
    "Section",
    "SeedEntity",
    "Significance",
    "Subgraph",
    "Task",
    "Term",
    "ToolEvent",
    "Trajectory",
    "Turn",
    "Usage",
    "Verification",
    "arrow_schema",
    "canonical_json",
    "content_id",
    "from_row",
    "from_table",
    "question_metadata",
    "to_table",
]
