"""The relations the pipeline speaks of, and the one way each is put into words.

The same wording is used where a disease record is rendered for the index, where a sentence is read back into a
relation, where a hop becomes part of a question, and where the teacher names what it looks for. So what a question
asks is what a document says, whichever room writes it.
"""

from dataclasses import dataclass

DISEASE, PHENOTYPE, GENE, DRUG, VALUE = "disease", "phenotype", "gene", "drug", "value"


@dataclass(frozen=True)
class Predicate:
    """A relation type.

    ``phrase`` names the object seen from the subject ("mode of inheritance"), ``inverse_phrase`` the subject seen
    from the object, or "" where that direction is not asked. ``sentence`` states the relation; all three may hold
    ``{clinical}``, the qualifier of the relation, ``sentence`` also ``{subject}`` and ``{object}``. ``of`` joins a
    phrase to what it belongs to ("of", "with").
    """

    name: str
    subject_type: str
    object_type: str
    phrase: str
    sentence: str
    of: str = "of"
    inverse_phrase: str = ""
    inverse_of: str = "of"

    def state(self, subject: str, obj: str, clinical: str = "") -> str:
        """The sentence that states the relation between two names."""
        return self.sentence.format(subject=subject, object=obj, clinical=clinical)

    def name_object(self, subject: str, clinical: str = "") -> str:
        """A noun phrase for the object: "mode of inheritance of Marfan syndrome"."""
        return _joined(self.phrase.format(clinical=clinical), self.of, subject)

    def name_subject(self, obj: str, clinical: str = "") -> str:
        """A noun phrase for the subject: "disease associated with the gene FBN1" for "the gene FBN1"."""
        return _joined(self.inverse_phrase.format(clinical=clinical), self.inverse_of, obj)

    def prints_clinical(self, forward: bool) -> bool:
        """Whether the noun phrase in that direction holds the qualifier."""
        return "{clinical}" in (self.phrase if forward else self.inverse_phrase)


def _joined(*words: str) -> str:
    return " ".join(word for word in words if word)


_ALL = (
    Predicate("has_inheritance", DISEASE, VALUE, "mode of inheritance",
              "The mode of inheritance of {subject} is {object}."),
    Predicate("has_onset", DISEASE, VALUE, "age of onset", "The age of onset of {subject} is {object}."),
    Predicate("associated_gene", DISEASE, GENE, "gene associated",
              "The gene associated with {subject} is {object}.", of="with",
              inverse_phrase="disease associated", inverse_of="with"),
    Predicate("has_finding", DISEASE, PHENOTYPE, "finding in {clinical}",
              "The finding in {clinical} with {subject} is {object}.", of="with"),
    Predicate("treated_with", DISEASE, DRUG, "drug used in the treatment",
              "The drug used in the treatment of {subject} is {object}.",
              inverse_phrase="disease treated", inverse_of="with"),
    Predicate("induced_by", DISEASE, DRUG, "drug that can induce", "The drug that can induce {subject} is {object}.",
              of="", inverse_phrase="disease induced", inverse_of="by"),
    Predicate("presents_with", DISEASE, PHENOTYPE, "sign reported", "The sign reported in {subject} is {object}.",
              of="in", inverse_phrase="disease that presents", inverse_of="with"),
    Predicate("complicated_by", DISEASE, DISEASE, "complication", "The complication of {subject} is {object}.",
              inverse_phrase="disease complicated", inverse_of="by"),
    Predicate("subtype_of", DISEASE, DISEASE, "broader disease", "The broader disease of {subject} is {object}."),
)

PREDICATES: dict[str, Predicate] = {one.name: one for one in _ALL}
