"""Whether what a cue says between two mentions is said of something else.

Of the drug against a gene, of the treatment for a disease or of the effect on it, of a level that
was measured, or of another disease that is listed beside: then it is no relation of the two.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from medr_ray.graph.extraction.cue_patterns import Pattern
from medr_ray.graph.extraction.mention_meaning import DISEASES, describes_next
from medr_ray.graph.extraction.sentences import LIST_JOINT, SentenceItem
from medr_ray.knowledge.predicates import DRUG

_LOOK_BACK = 80  # characters before a drug that are searched for words of a measurement
# With these words behind it a gene is what a drug is made against.
_TARGETED = re.compile(
    r"[- ](?:receptor |gene )?(?:(?:specific|targeted|directed) )?(?:mAbs?\b|"
    r"(?:monoclonal )?antibod|inhibit(?:or|ion)|antagoni|blocker|agonist|"
    r"vaccin|degrader)",
    re.IGNORECASE,
)
# With these words before it a disease is the occasion of what acts: "surgery for cancer decreased".
_OCCASION = re.compile(
    r"\b(?:for|during|after|following|against|without|before) (?:the |an? )?(?:[\w-]+ ){0,2}$"
)
# "Treatment of cancer after cisplatin": the drug only came earlier.
_TREATED = re.compile(
    r"\b(?:treatment|therap(?:y|ies)|management|recurrence|relapse|model)s? (?:of|for|in) "
    r"(?:[\w-]+ ){0,5}$",
    re.IGNORECASE,
)
_LATER = re.compile(r"[\w ]{0,20}? (?:after|following|during)\b", re.IGNORECASE)
# "Changes in hypertensive patients were attenuated": the changes were, not the disease.
_IN = re.compile(r"\b(?:in|of|from) (?:the |these |\d+ )?(?:\w+ )?$", re.IGNORECASE)
_PATIENTS_BEHIND = re.compile(
    r" (?:patients|subjects|children|women|men|rats|mice|animals|dogs|individuals)\b", re.IGNORECASE
)
# "A binds to IL6 at sites responsible for its binding to IL6R": that of IL6.
_OF_NEAREST = re.compile(r"\b(?:its|their) ")
_BESIDE = re.compile(r" (?:or|and) ")
# Between a drug and a gene: another substance acts on the gene.
_INHIBITOR_OF = re.compile(
    r"\b(?:inhibitors?|antagonists?|blockers?|agonists?) (?:of|for|against) (?:the )?"
    r"(?:[\w-]+ ){0,5}$",
    re.IGNORECASE,
)
# "Protection against hypoxia was induced": the protection was.
_EFFECT_OF = re.compile(
    r"\b(?:(?:protection|resistance|tolerance) (?:against|to)(?: the effects? of)?|at) "
    r"(?:the )?(?:[\w-]+ )?$",
    re.IGNORECASE,
)
# What is treated is not the disease, but what came of it: "for this complication of lupus".
_CONSEQUENCE_OF = re.compile(
    r"\b(?:complications?|manifestations?|consequences?|sequelae?|symptoms?|signs?|"
    r"side[- ]effects?) (?:of|in|from) (?:the )?(?:\w+ )?$",
    re.IGNORECASE,
)
# Of two findings that coexist, what follows says where the second comes from.
_COEXISTENCE = re.compile(
    r"\bco-?(?:existence|occurrence) of (?:the |an? )?(?:\w+ )?$", re.IGNORECASE
)
_SYMPTOMS = re.compile(r"\b(?:symptoms?|signs?|manifestations?|findings?)$", re.IGNORECASE)
# Words around a substance that is measured in the body.
_MEASURED = re.compile(
    r"\b(?:plasma|serum|blood|fasting|urinary|urine|circulating|endogenous|hepatic|tissue|faecal|"
    r"fecal|salivary|intracellular|extracellular|cytosolic|postprandial|maternal) $|"
    r"\b(?:secretion|production|release|synthesis|levels?|concentrations?|excretion|content) of "
    r"(?:the |both )?(?:[\w-]+,? ){0,3}$|\bthat of $",
    re.IGNORECASE,
)
_AMOUNT = re.compile(
    r" (?:levels?|concentrations?|uptake|metabolism|production|release|secretion|excretion|"
    r"synthesis|accumulation|overload|imbalance|homeostasis|content|turnover|output)\b",
    re.IGNORECASE,
)
# Words of a sentence in which drugs are given.
_GIVEN = re.compile(
    r"\b(?:treat|therap|administ|dos(?:e|age|ing)|inject|receiv|given|regimen|\w*chemo|infus|"
    r"prescri|"
    r"co-?admin|combin|trial|random|monotherap|intraven|oral|mg\b(?! ?/)|tablet|patients on)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class _Reading:
    """A cue between two items of a sentence, and all of its items."""

    text: str
    pattern: Pattern
    left: SentenceItem
    right: SentenceItem
    items: Sequence[SentenceItem]

    @property
    def is_compound(self) -> bool:
        return self.pattern.cue.wording == "compound"

    @property
    def subject(self) -> SentenceItem:
        return self.left if self.pattern.cue.subject_first else self.right

    @property
    def object(self) -> SentenceItem:
        return self.right if self.pattern.cue.subject_first else self.left


_Check = Callable[[_Reading], bool]


def is_about_other(
    text: str,
    pattern: Pattern,
    left: SentenceItem,
    right: SentenceItem,
    items: Sequence[SentenceItem],
) -> bool:
    """Whether the sentence with the ``items`` says it of something else than the two: of a drug
    against the gene, of what was done for the disease, or of two substances that nobody gives."""
    reading = _Reading(text, pattern, left, right, items)
    checks = _CHECKS.get(pattern.predicate, ())
    return _only_describes(reading) or any(check(reading) for check in checks)


def _only_describes(reading: _Reading) -> bool:
    """A disease that describes what is named next: "lupus-associated nephritis"."""
    return not reading.is_compound and any(
        item.entity_type in DISEASES and describes_next(reading.text, item)
        for item in (reading.left, reading.right)
    )


def _is_measured(reading: _Reading) -> bool:
    """A substance that is measured and not given: "high plasma glucose"."""
    return any(
        item.entity_type == DRUG and _is_level(reading.text, item)
        for item in (reading.left, reading.right)
    )


def _is_level(text: str, item: SentenceItem) -> bool:
    start, end = item.mention.span
    return (
        _MEASURED.search(text, max(0, start - _LOOK_BACK), start) is not None
        or _AMOUNT.match(text, end) is not None
    )


def _is_of_consequence(reading: _Reading) -> bool:
    return (
        not reading.pattern.cue.subject_first
        and _CONSEQUENCE_OF.search(reading.text, 0, reading.right.group_start) is not None
    )


def _is_in_patients(reading: _Reading) -> bool:
    """What was treated in the patients with the disease, and not the disease."""
    return (
        reading.pattern.cue.subject_first
        and reading.pattern.cue.wording == "clause"
        and _IN.search(reading.text, 0, reading.left.group_start) is not None
        and _PATIENTS_BEHIND.match(reading.text, reading.left.group_end) is not None
    )


def _is_beside_other_if_treated(reading: _Reading) -> bool:
    return reading.pattern.cue.subject_first and _is_beside_other(reading)


def _is_beside_other(reading: _Reading) -> bool:
    """Whether another item is listed with the left disease though of another type: of "a patient
    with hepatitis and a gastric ulcer was treated" nobody knows for which."""
    left = reading.left
    return any(
        other.entity_type in DISEASES
        and other.entity_type != left.entity_type
        and other.group_end <= left.group_start
        and LIST_JOINT.fullmatch(reading.text, other.group_end, left.group_start) is not None
        for other in reading.items
    )


def _is_by_inhibitor(reading: _Reading) -> bool:
    """Another substance acts on the gene: "thymidine or an inhibitor of ATR"."""
    left, right = reading.left, reading.right
    if not _INHIBITOR_OF.search(reading.text, left.group_end, right.group_start):
        return False
    return not reading.is_compound or _BESIDE.match(reading.text, left.group_end) is not None


def _is_of_nearest(reading: _Reading) -> bool:
    left, right = reading.left, reading.right
    return any(
        item.entity_type == right.entity_type
        and left.group_end <= item.group_start
        and _OF_NEAREST.search(reading.text, item.group_end, right.group_start) is not None
        for item in reading.items
    )


def _is_of_treatment(reading: _Reading) -> bool:
    """Of "therapy for a disease leads to" the therapy is meant."""
    return _TREATED.search(reading.text, 0, reading.left.group_start) is not None


def _is_of_earlier_drug(reading: _Reading) -> bool:
    is_later = _LATER.match(reading.text, reading.left.group_end) is not None
    return is_later and _is_of_treatment(reading)


def _is_of_symptoms(reading: _Reading) -> bool:
    return _SYMPTOMS.search(reading.text, *reading.subject.mention.span) is not None


def _is_of_coexisting(reading: _Reading) -> bool:
    left = reading.left
    return (
        not reading.pattern.cue.subject_first
        and left.mention.end != left.group_end
        and _COEXISTENCE.search(reading.text, 0, left.group_start) is not None
    )


def _is_of_arms(reading: _Reading) -> bool:
    """Of "randomised to A plus B, A or C" the list behind the cue is one of arms."""
    left, right = reading.left, reading.right
    return left.group_start != right.group_start and any(
        item.group_start == right.group_start and item.concept_id == left.concept_id
        for item in reading.items
    )


def _is_not_given(reading: _Reading) -> bool:
    return _GIVEN.search(reading.text) is None


def _is_of_effect(reading: _Reading) -> bool:
    return _EFFECT_OF.search(reading.text, 0, reading.left.group_start) is not None


def _is_targeted(reading: _Reading) -> bool:
    return _TARGETED.match(reading.text, reading.object.mention.end) is not None


def _is_occasion(reading: _Reading) -> bool:
    return (
        reading.pattern.cue.subject_first
        and _OCCASION.search(reading.text, 0, reading.left.group_start) is not None
    )


_OF_TREATMENTS = (_is_measured, _is_of_consequence, _is_in_patients, _is_beside_other_if_treated)
_OF_CAUSES = (_is_measured, _is_of_effect, _is_of_earlier_drug)
_OF_GENES = (_is_targeted, _is_occasion)
_CHECKS: Mapping[str, Sequence[_Check]] = {
    "treated_with": _OF_TREATMENTS,
    "sign_treated_with": _OF_TREATMENTS,
    "induced_by": _OF_CAUSES,
    "sign_induced_by": _OF_CAUSES,
    "combined_with": (_is_measured, _is_of_arms, _is_not_given),
    "acts_on": (_is_measured, _is_of_nearest, _is_by_inhibitor),
    "complicated_by": (_is_of_treatment,),
    "presents_with": (_is_of_symptoms, _is_of_coexisting, _is_beside_other),
    "associated_gene": _OF_GENES,
    "sign_associated_gene": _OF_GENES,
}
