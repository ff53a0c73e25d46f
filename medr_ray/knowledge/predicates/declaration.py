"""The parts of a predicate's declaration: types, wording, cues in sentences, ranks, and limits
on the turns that a chain of relations makes with it."""

from dataclasses import dataclass, field
from typing import Final, Literal

from medr_ray.core.records import NodeType
from medr_ray.knowledge.registries.fact_predicates import FACT_PREDICATES, Cardinality

DISEASE: Final = "disease"
PHENOTYPE: Final = "phenotype"
GENE: Final = "gene"
DRUG: Final = "drug"
VALUE: Final = "value"
TRIAL: Final = "trial"
APPLICATION: Final = "application"
PRODUCT: Final = "product"
COMPANY: Final = "company"
PATENT: Final = "patent"
PAPER: Final = "paper"
JOURNAL: Final = "journal"

# Prefix of a predicate's name for the direction from object to subject.
INVERSE = "inverse:"


# How a cue words its relation: in a clause ("was caused by"), by a name of it ("losartan for Marfan
# syndrome"), or as a compound that takes it for granted ("chloramphenicol-induced anaemia").
CueWording = Literal["clause", "named", "compound"]


@dataclass(frozen=True)
class Cue:
    """One way to state a predicate in a sentence.

    ``between``, ``before``, ``after`` and ``left`` are regular expressions. ``between`` matches the
    words between the left and the right mention, ``before`` the words before the left one,
    ``after`` the words after the right one, and ``left`` the end of the left mention itself; ""
    matches anything. Words that may surround a mention because of its type are not part of a cue:
    ``graph.extraction.cue_patterns`` adds them.

    - ``subject_first``: the left mention is the subject.
    - ``wording``: which words of the sentence can deny or doubt it (see
      ``graph.extraction.assertion``).
    - ``confidence``: how often it is right, from 0 to 1. ``loose`` is the same where other words
      surround it, 0 where they may not.
    - ``observed`` and ``observed_loose``: how many pairs were related by a type of relation that
      the predicate can mean, of how many the cue stated, on the training set of BioRED, whole and
      with other words around it. The confidences follow from them (``tests/support/fit_cues.py``);
      a cue that BioRED cannot show, because it relates no two diseases, has its own by judgement.
    - ``left_list``, ``right_list``: the cue holds for all items of a list on that side, not only
      for the nearest.
    """

    between: str
    confidence: float
    subject_first: bool
    before: str = ""
    after: str = ""
    left: str = ""
    wording: CueWording = "clause"
    loose: float = 0.0
    left_list: bool = True
    right_list: bool = True
    observed: tuple[int, int] = (0, 0)
    observed_loose: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class TurnLimit:
    """How often a chain may enter an entity by a step of ``into`` and leave it by one of ``out``,
    with the reason. Steps are directed predicates; two such steps are a turn."""

    into: tuple[str, ...]
    out: tuple[str, ...]
    at_most: Literal[0, 1]
    reason: str


@dataclass(frozen=True)
class Predicate:
    """A relation type.

    Wording:

    - ``phrase`` names the object from the subject's side ("mode of inheritance"), and
      ``inverse_phrase`` the subject from the object's side; "" where no question goes that way.
      ``inverse_preposition`` joins the latter and the name after it.
    - ``clause`` is a relative clause about the subject ("that is complicated by {other}"),
      ``inverse_clause`` one about the object; "" if there is none.
    - All of them may contain ``{clinical}``, the qualifier of the relation.

    Cardinality is that of the facts of the same name; a predicate that no registry states is
    many-valued both ways.

    A ``symmetric`` relation is stored once, with the smaller id as the subject. ``record_rank``
    orders the facts of a disease record. ``expansion_rank`` decides which relations of an entity a
    graph keeps first. ``assumed_when_tied``: abstracts that connect two entities of these types
    closely but without a cue are taken to mean this predicate.
    """

    name: str
    subject_type: NodeType
    object_type: NodeType
    phrase: str
    record_rank: int
    expansion_rank: int
    inverse_phrase: str = ""
    inverse_preposition: str = "of"
    clause: str = ""
    inverse_clause: str = ""
    symmetric: bool = False
    assumed_when_tied: bool = False
    # Not compared: predicates are hashed often, and the other fields identify them.
    cues: tuple[Cue, ...] = field(default=(), compare=False)

    @property
    def object_types(self) -> tuple[NodeType, ...]:
        """The types that an object may have: a trial's sponsor may be an institution."""
        fact_predicate = FACT_PREDICATES.get(self.name)
        others = fact_predicate.other_object_types if fact_predicate is not None else ()
        return (self.object_type, *others)

    @property
    def ages(self) -> bool:
        """Whether the value may change after the date of the record that states it."""
        fact_predicate = FACT_PREDICATES.get(self.name)
        return fact_predicate is not None and fact_predicate.ages

    @property
    def is_listed_in_full(self) -> bool:
        """Whether the record of the subject lists every object."""
        fact_predicate = FACT_PREDICATES.get(self.name)
        return fact_predicate is not None and fact_predicate.listed_in_full

    def cardinality(self, forward: bool) -> Cardinality:
        """How many objects a subject has (``forward``), or subjects an object."""
        fact_predicate = FACT_PREDICATES.get(self.name)
        if fact_predicate is None:
            return "many"
        return fact_predicate.cardinality if forward else fact_predicate.inverse

    def name_subject(self, obj: str, clinical: str = "") -> str:
        """A noun phrase for the subject, such as "disease associated with the gene FBN1"."""
        return _join_words(
            self.inverse_phrase.format(clinical=clinical), self.inverse_preposition, obj
        )

    def describe(self) -> str:
        """The types of both ends, and what the relation says of them."""
        types = f"{self.subject_type} -> {' or '.join(self.object_types)}"
        meaning = f"{self.phrase} of SUBJECT is OBJECT"
        if self.clause:
            meaning = f"SUBJECT {self.clause}"
        meaning = meaning.format(other="OBJECT", clinical="so many patients")
        return f"{types}; {meaning}{', and the other way round' if self.symmetric else ''}"

    def prints_clinical(self, forward: bool) -> bool:
        """Whether the noun phrase in that direction contains the qualifier."""
        phrase = self.phrase if forward else self.inverse_phrase
        return "{clinical}" in phrase


def invert_predicates(*predicates: str) -> tuple[str, ...]:
    """The directed predicates from object to subject."""
    return tuple(f"{INVERSE}{predicate}" for predicate in predicates)


def _join_words(*words: str) -> str:
    return " ".join(word for word in words if word)
