"""Multi-hop questions and how they were made."""

from dataclasses import dataclass


@dataclass(frozen=True)
class GuidanceStep:
    """One masked triple (paper section 3.2.1): ([MASK], predicate, [MASK]), with the types of both
    ends.

    ``clinical`` is the qualifier the question itself prints (such as "3 of 7 patients"), or "".
    ``also`` names the predicates of further facts that the question tells of the object,
    ``inverse:`` in front where it is their object.
    """

    subject_type: str
    predicate: str
    object_type: str
    clinical: str
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class Placeholder:
    """A name used in the cheat sheet in place of an entity, and the entity's id."""

    placeholder: str
    entity_id: str


@dataclass(frozen=True)
class Verification:
    """What was checked: one answer in the graph, no leak of it in the text, every hop needed, every
    hop evidenced, no other question like it, no benchmark item like it, not answered without a
    search by the configured model. The last two are null where nothing to check against is
    configured."""

    unique: bool
    no_leak: bool
    hops_needed: bool
    evidence: bool
    no_duplicate: bool = True
    uncontaminated: bool | None = None
    not_closed_book: bool | None = None


@dataclass(frozen=True)
class Calibration:
    """Difficulty as measured: ``model`` answered ``correct`` of ``attempts`` right. ``accuracy`` in
    [0, 1] with the Clopper-Pearson 95 % interval [``lower``, ``upper``]; ``rounds`` of regeneration
    came before; ``tokens`` used."""

    model: str
    attempts: int
    correct: int
    accuracy: float
    lower: float
    upper: float
    rounds: int
    tokens: int


@dataclass(frozen=True)
class Question:
    """A multi-hop question. ``complexity`` is its number of hops, ``obfuscation`` its level (see
    ``questions.drafting.obfuscation``), ``split`` is "train" or "heldout"; ``calibration`` has a
    row per calibration model."""

    question_id: str
    text: str
    language: str
    answer: str
    answer_aliases: tuple[str, ...]
    answer_type: str
    paradigm: str
    complexity: int
    specialty: str
    chain_id: str
    seed: str
    split: str
    start: str
    relations: tuple[str, ...]
    guidance: tuple[GuidanceStep, ...]
    cheat_sheet: str
    entity_mapping: tuple[Placeholder, ...]
    verification: Verification
    calibration: tuple[Calibration, ...] = ()
    obfuscation: int = 0
