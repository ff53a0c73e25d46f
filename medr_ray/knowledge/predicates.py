"""The relations the pipeline speaks of, and the one way each is put into words.

The same wording is used where a disease record is rendered for the index, where a sentence is read
back into a relation, where a hop becomes part of a question, and where the teacher names what it
looks for. So what a question asks is what a document says, whichever room writes it.
"""

from dataclasses import dataclass
from typing import Final

from medr_ray.core.records import EntityType

DISEASE: Final = "disease"
PHENOTYPE: Final = "phenotype"
GENE: Final = "gene"
DRUG: Final = "drug"
VALUE: Final = "value"


@dataclass(frozen=True)
class Predicate:
    """A relation type.

    ``phrase`` names the object seen from the subject ("mode of inheritance"), ``inverse_phrase``
    the subject seen from the object, or "" where that direction is not asked. ``sentence`` states
    the relation; all three may hold ``{clinical}``, the qualifier of the relation, ``sentence``
    also ``{subject}`` and ``{object}``. ``of`` joins a phrase to what it belongs to ("of", "with").
    ``clause`` says the relation of its subject as a relative clause ("that is complicated by
    {other}"), ``inverse_clause`` of its object; "" where it cannot be said so. A ``symmetric``
    relation is stored once, its smaller id as the subject.
    """

    name: str
    subject_type: EntityType
    object_type: EntityType
    phrase: str
    sentence: str
    of: str = "of"
    inverse_phrase: str = ""
    inverse_of: str = "of"
    clause: str = ""
    inverse_clause: str = ""
    symmetric: bool = False

    def state(self, subject: str, obj: str, clinical: str = "") -> str:
        """The sentence that states the relation between two names."""
        return self.sentence.format(subject=subject, object=obj, clinical=clinical)

    def name_object(self, subject: str, clinical: str = "") -> str:
        """A noun phrase for the object: "mode of inheritance of Marfan syndrome"."""
        return _joined(self.phrase.format(clinical=clinical), self.of, subject)

    def name_subject(self, obj: str, clinical: str = "") -> str:
        """A noun phrase for the subject: "disease associated with the gene FBN1" for "the gene
        FBN1"."""
        return _joined(self.inverse_phrase.format(clinical=clinical), self.inverse_of, obj)

    def describe(self, other: str, forward: bool, clinical: str = "") -> str:
        """A relative clause about the subject (``forward``) or the object: "that is associated with
        the gene FBN1"."""
        return (self.clause if forward else self.inverse_clause).format(
            other=other, clinical=clinical
        )

    def prints_clinical(self, forward: bool) -> bool:
        """Whether the noun phrase in that direction holds the qualifier."""
        return "{clinical}" in (self.phrase if forward else self.inverse_phrase)


def _joined(*words: str) -> str:
    return " ".join(word for word in words if word)


_ALL = (
    Predicate(
        "has_inheritance",
        DISEASE,
        VALUE,
        "mode of inheritance",
        "The mode of inheritance of {subject} is {object}.",
        clause="whose mode of inheritance is {other}",
    ),
    Predicate(
        "has_onset",
        DISEASE,
        VALUE,
        "age of onset",
        "The age of onset of {subject} is {object}.",
        clause="whose age of onset is {other}",
    ),
    Predicate(
        "associated_gene",
        DISEASE,
        GENE,
        "gene associated",
        "The gene associated with {subject} is {object}.",
        of="with",
        inverse_phrase="disease associated",
        inverse_of="with",
        clause="that is associated with {other}",
        inverse_clause="that is associated with {other}",
    ),
    Predicate(
        "has_finding",
        DISEASE,
        PHENOTYPE,
        "finding in {clinical}",
        "The finding in {clinical} with {subject} is {object}.",
        of="with",
        inverse_phrase="disease in which {clinical} show",
        inverse_of="",
        clause="in which {clinical} show {other}",
        inverse_clause="that {clinical} with {other} show",
    ),
    Predicate(
        "treated_with",
        DISEASE,
        DRUG,
        "drug used in the treatment",
        "The drug used in the treatment of {subject} is {object}.",
        inverse_phrase="disease treated",
        inverse_of="with",
        clause="that is treated with {other}",
        inverse_clause="that is used in the treatment of {other}",
    ),
    Predicate(
        "induced_by",
        DISEASE,
        DRUG,
        "drug that can induce",
        "The drug that can induce {subject} is {object}.",
        of="",
        inverse_phrase="disease induced",
        inverse_of="by",
        clause="that {other} can induce",
        inverse_clause="that can induce {other}",
    ),
    Predicate(
        "presents_with",
        DISEASE,
        PHENOTYPE,
        "sign reported",
        "The sign reported in {subject} is {object}.",
        of="in",
        inverse_phrase="disease that presents",
        inverse_of="with",
        clause="that presents with {other}",
        inverse_clause="that is reported in {other}",
    ),
    Predicate(
        "complicated_by",
        DISEASE,
        DISEASE,
        "complication",
        "The complication of {subject} is {object}.",
        inverse_phrase="disease complicated",
        inverse_of="by",
        clause="that is complicated by {other}",
        inverse_clause="that is a complication of {other}",
    ),
    Predicate(
        "subtype_of",
        DISEASE,
        DISEASE,
        "broader disease",
        "The broader disease of {subject} is {object}.",
        clause="that is a kind of {other}",
        inverse_clause="of which {other} is a kind",
    ),
    Predicate(
        "sign_treated_with",
        PHENOTYPE,
        DRUG,
        "drug used against",
        "The drug used against {subject} is {object}.",
        of="",
        inverse_phrase="sign treated",
        inverse_of="with",
        clause="that is treated with {other}",
        inverse_clause="that is used against {other}",
    ),
    Predicate(
        "sign_induced_by",
        PHENOTYPE,
        DRUG,
        "drug that can bring on",
        "The drug that can bring on {subject} is {object}.",
        of="",
        inverse_phrase="sign brought on",
        inverse_of="by",
        clause="that {other} can bring on",
        inverse_clause="that can bring on {other}",
    ),
    Predicate(
        "sign_associated_gene",
        PHENOTYPE,
        GENE,
        "gene linked",
        "The gene linked to {subject} is {object}.",
        of="to",
        inverse_phrase="sign linked",
        inverse_of="to",
        clause="that is linked to {other}",
        inverse_clause="that is linked to {other}",
    ),
    Predicate(
        "acts_on",
        DRUG,
        GENE,
        "gene whose product is acted on",
        "The gene whose product is acted on by {subject} is {object}.",
        of="by",
        inverse_phrase="drug acting on the product",
        inverse_of="of",
        clause="that acts on the product of {other}",
        inverse_clause="whose product is acted on by {other}",
    ),
    Predicate(
        "gene_interaction",
        GENE,
        GENE,
        "gene reported to interact",
        "The gene reported to interact with {subject} is {object}.",
        of="with",
        inverse_phrase="gene reported to interact",
        inverse_of="with",
        clause="that is reported to interact with {other}",
        inverse_clause="that is reported to interact with {other}",
        symmetric=True,
    ),
    Predicate(
        "combined_with",
        DRUG,
        DRUG,
        "drug given together",
        "The drug given together with {subject} is {object}.",
        of="with",
        inverse_phrase="drug given together",
        inverse_of="with",
        clause="that is given together with {other}",
        inverse_clause="that is given together with {other}",
        symmetric=True,
    ),
)

PREDICATES: dict[str, Predicate] = {one.name: one for one in _ALL}
PREDICATE_ORDER = {name: rank for rank, name in enumerate(PREDICATES)}  # in which facts are told

INVERSE = "inverse:"  # in front of a predicate's name: walked from object to subject
DIRECTED_NAMES = (*PREDICATES, *(f"{INVERSE}{name}" for name in PREDICATES))


def directed(predicate: str, forward: bool) -> str:
    """A predicate's name in walking direction, with ``INVERSE`` in front when walked from object to
    subject; a symmetric one reads the same from both ends."""
    return predicate if forward or PREDICATES[predicate].symmetric else f"{INVERSE}{predicate}"
