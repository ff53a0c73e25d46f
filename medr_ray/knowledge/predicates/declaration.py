"""What the declaration of a predicate consists of: its types, its wording in English and Chinese,
its cues in sentences, its ranks, and the turns that a chain may make with it."""

from dataclasses import dataclass, field
from typing import Final, Literal

from medr_ray.core.records import EntityType

DISEASE: Final = "disease"
PHENOTYPE: Final = "phenotype"
GENE: Final = "gene"
DRUG: Final = "drug"
VALUE: Final = "value"

INVERSE = "inverse:"  # in front of a predicate's name: walked from object to subject


@dataclass(frozen=True)
class Cue:
    """One way to state a predicate in a sentence.

    ``between`` are the words between the left and the right mention; ``before`` is what precedes
    the left one and ``after`` what follows the right one, "" where that does not matter; ``left``
    is how the left mention itself ends. All of them are regular expressions. A cue leaves out the
    words that may surround it because of the entities' types (``graph.extraction.cue_patterns``).
    ``subject_first`` when the subject is the left mention. ``named`` when the wording names the
    relation whatever the sentence goes on to say of it ("chloramphenicol-induced anaemia may be
    fatal"). ``loose`` when other words may surround the cue, at a lower confidence. ``left_list``
    and ``right_list`` when the cue speaks of all items of a list there, not only of the nearest.
    """

    between: str
    confidence: float
    subject_first: bool
    before: str = ""
    after: str = ""
    left: str = ""
    named: bool = False
    loose: bool = False
    left_list: bool = True
    right_list: bool = True


@dataclass(frozen=True)
class ChineseWording:
    """The same phrases and clauses as in English, "" where there is none. They may hold ``{known}``
    (the known entity), ``{other}`` and ``{clinical}`` (the qualifier). In a phrase, ``{other}`` is
    the word for another entity than the one before; in a clause it is the name of the other
    entity."""

    phrase: str
    inverse_phrase: str = ""
    clause: str = ""
    inverse_clause: str = ""


@dataclass(frozen=True)
class TurnLimit:
    """How often a chain may arrive at an entity by a step of ``into`` and leave it by a step of
    ``out``, and why. Steps are directed predicates."""

    into: tuple[str, ...]
    out: tuple[str, ...]
    at_most: Literal[0, 1]
    reason: str


@dataclass(frozen=True)
class Predicate:
    """A relation type.

    ``phrase`` names the object seen from the subject ("mode of inheritance"), ``inverse_phrase``
    the subject seen from the object, or "" where that direction is not asked. ``sentence`` states
    the relation. All three may hold ``{clinical}``, the qualifier of the relation; ``sentence``
    also holds ``{subject}`` and ``{object}``. ``of`` joins a phrase to what it belongs to ("of",
    "with").
    ``clause`` is a relative clause about the subject ("that is complicated by {other}"),
    ``inverse_clause`` one about the object; "" where there is none. A ``symmetric`` relation is
    stored once, with the smaller id as the subject.

    ``record_rank`` orders the facts of a disease record. ``expansion_rank`` decides which relations
    of an entity a graph keeps first. ``assumed_when_tied`` when abstracts that tie two entities of
    these types closely, without a cue, are taken to mean this predicate.
    """

    name: str
    subject_type: EntityType
    object_type: EntityType
    phrase: str
    sentence: str
    chinese: ChineseWording = field(compare=False)
    record_rank: int
    expansion_rank: int
    preposition: str = "of"
    inverse_phrase: str = ""
    inverse_preposition: str = "of"
    clause: str = ""
    inverse_clause: str = ""
    symmetric: bool = False
    assumed_when_tied: bool = False
    # Not compared: predicates are hashed often, and the name alone tells them apart.
    cues: tuple[Cue, ...] = field(default=(), compare=False)

    def render_sentence(self, subject: str, obj: str, clinical: str = "") -> str:
        """The sentence that states the relation between two names."""
        return self.sentence.format(subject=subject, object=obj, clinical=clinical)

    def name_object(self, subject: str, clinical: str = "") -> str:
        """A noun phrase for the object: "mode of inheritance of Marfan syndrome"."""
        return _join_words(self.phrase.format(clinical=clinical), self.preposition, subject)

    def name_subject(self, obj: str, clinical: str = "") -> str:
        """A noun phrase for the subject: "disease associated with the gene FBN1" for "the gene
        FBN1"."""
        return _join_words(
            self.inverse_phrase.format(clinical=clinical), self.inverse_preposition, obj
        )

    def render_clause(self, other: str, forward: bool, clinical: str = "") -> str:
        """A relative clause about the subject (``forward``) or the object: "that is associated with
        the gene FBN1"."""
        clause = self.clause if forward else self.inverse_clause
        return clause.format(other=other, clinical=clinical)

    def prints_clinical(self, forward: bool) -> bool:
        """Whether the noun phrase in that direction holds the qualifier."""
        return "{clinical}" in (self.phrase if forward else self.inverse_phrase)


def invert_predicates(*predicates: str) -> tuple[str, ...]:
    """The predicates walked from object to subject."""
    return tuple(f"{INVERSE}{predicate}" for predicate in predicates)


def _join_words(*words: str) -> str:
    return " ".join(word for word in words if word)
