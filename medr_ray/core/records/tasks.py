"""The tasks of agents, and the multi-hop questions that most of them come from."""

from dataclasses import dataclass, fields
from typing import Literal

Language = Literal["en", "zh"]
Split = Literal["train", "heldout"]
Paradigm = Literal[
    "lookup", "multi_hop", "causal", "intersection", "temporal", "comparative", "quantitative"
]

# The names of the metadata items that a question gives its task.
HOPS_KEY = "hops"
PARADIGM_KEY = "paradigm"
SPECIALTY_KEY = "specialty"
SHAPE_KEY = "shape"
# The name of the metadata item of a task whose texts are not to be written down.
ENCRYPTED_KEY = "encrypted"


@dataclass(frozen=True)
class GuidanceStep:
    """One masked triple (paper section 3.2.1): ([MASK], predicate, [MASK]), with the types of both
    ends. ``predicate`` is the kind of a step (``questions.steps``)."""

    subject_type: str
    predicate: str
    object_type: str


@dataclass(frozen=True)
class QuestionStep:
    """One step of a question's plan (``questions.plans``), inputs before what is found from them.

    ``kind`` is "named" for what the question names, else a name in ``questions.steps.STEP_KINDS``.
    ``inputs`` are the places of earlier steps in the plan. ``value`` is the id of the entity or
    typed value that is named or found, "" where the records do not state one, ``name`` its name.
    ``facts`` are the ids of the facts that say so, ``as_of`` the ISO date that they are of, where
    they age.
    """

    kind: str
    inputs: tuple[int, ...]
    value: str
    value_type: str
    name: str
    facts: tuple[str, ...] = ()
    as_of: str = ""


@dataclass(frozen=True)
class Placeholder:
    """A name used in the cheat sheet in place of an entity, and the entity's id."""

    placeholder: str
    entity_id: str


@dataclass(frozen=True)
class Verification:
    """The checks of a question, one field each.

    One value at each step in the facts; the text does not leak the answer; every hop is needed;
    every hop has a record that can be searched; what ages is of one date, which the text states;
    the text is read back as the plan; no other question is like it; no benchmark item is like it;
    the configured model does not answer it without a search. The last two are null where nothing to
    check against is configured.
    """

    unique: bool
    no_leak: bool
    hops_needed: bool
    evidence: bool
    single_date: bool
    back_reading: bool
    no_duplicate: bool = True
    uncontaminated: bool | None = None
    not_closed_book: bool | None = None


@dataclass(frozen=True)
class Calibration:
    """Measured difficulty: ``model`` answered ``correct`` of ``attempts`` right.

    ``accuracy`` is in [0, 1], with the Clopper-Pearson 95 % interval [``lower``, ``upper``].
    ``rounds`` of regeneration came before; ``tokens`` were used.
    """

    model: str
    attempts: int
    correct: int
    accuracy: float
    lower: float
    upper: float
    rounds: int
    tokens: int


@dataclass(frozen=True)
class MetadataItem:
    """A named property of a task, such as its number of hops. Reports compare tasks by it."""

    name: str
    value: str


@dataclass(frozen=True)
class Task:
    """What an agent is asked, and what its answer is judged by.

    Agents, rollouts, judges, rewards and benchmarks see nothing else of a question. ``aliases``
    are further names of the answer; ``answer_type`` is its entity type, or "share" for a number.
    ``metadata`` holds each name once. The texts of a secret task are not part of its ``repr``.
    """

    task_id: str
    text: str
    language: Language
    answer: str
    aliases: tuple[str, ...] = ()
    answer_type: str = ""
    metadata: tuple[MetadataItem, ...] = ()

    def __repr__(self) -> str:
        names = ["task_id"] if self.is_secret else [field.name for field in fields(self)]
        return f"Task({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    @property
    def is_secret(self) -> bool:
        """Whether it is of a benchmark that its publisher encrypts."""
        return self.metadata_value(ENCRYPTED_KEY) is not None

    def metadata_value(self, name: str) -> str | None:
        """The value of the metadata item with that name; None where the task has no such item."""
        for item in self.metadata:
            if item.name == name:
                return item.value
        return None

    @property
    def hops(self) -> int | None:
        """How many facts in a row the answer needs; None where the source of the task does not
        say."""
        hops = self.metadata_value(HOPS_KEY)
        # The value of a metadata item is always a text.
        return None if hops is None else int(hops)


def question_metadata(
    paradigm: Paradigm, complexity: int, specialty: str, shape: str
) -> tuple[MetadataItem, ...]:
    """The metadata that describe how a question was made; its task carries them."""
    return (
        MetadataItem(HOPS_KEY, str(complexity)),
        MetadataItem(PARADIGM_KEY, paradigm),
        MetadataItem(SPECIALTY_KEY, specialty),
        MetadataItem(SHAPE_KEY, shape),
    )


@dataclass(frozen=True)
class Question:
    """A question: its task, and how it was made.

    ``shape`` is a name in ``questions.shapes.SHAPES`` and ``skill`` what one learns from it.
    ``complexity`` is the number of look-ups, ``sources`` the registries that they ask. ``steps``
    are the plan; the last is the answer's. ``seed`` is the seed that the plan leads over, or the
    first entity that the question names, ``chain_id`` the seed's chain where the plan is a piece of
    it. ``calibration`` has a row per calibration model. The task's metadata is
    ``question_metadata`` of these fields.
    """

    task: Task
    shape: str
    skill: str
    paradigm: Paradigm
    complexity: int
    specialty: str
    chain_id: str
    seed: str
    split: Split
    sources: tuple[str, ...]
    steps: tuple[QuestionStep, ...]
    guidance: tuple[GuidanceStep, ...]
    cheat_sheet: str
    entity_mapping: tuple[Placeholder, ...]
    verification: Verification
    calibration: tuple[Calibration, ...] = ()

    @property
    def facts(self) -> tuple[str, ...]:
        """The ids of the facts of all steps, each once."""
        return tuple(dict.fromkeys(fact for step in self.steps for fact in step.facts))
