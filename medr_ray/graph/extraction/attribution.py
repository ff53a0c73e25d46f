"""Whether what a cue says between two mentions is said of something else.

Of the drug against a gene, of the treatment for a disease or of the effect on it, of a level that
was measured, or of another disease that is listed beside: then it is no relation of the two.
"""

import re
from collections.abc import Sequence

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
_TREATMENTS = frozenset({"treated_with", "sign_treated_with"})
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
_INDUCED = frozenset({"induced_by", "sign_induced_by"})
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
_OF_SUBSTANCES = frozenset(
    {
        "treated_with",
        "sign_treated_with",
        "induced_by",
        "sign_induced_by",
        "combined_with",
        "acts_on",
    }
)
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
_GENE_PREDICATES = frozenset({"associated_gene", "sign_associated_gene"})
# Words of a sentence in which drugs are given.
_GIVEN = re.compile(
    r"\b(?:treat|therap|administ|dos(?:e|age|ing)|inject|receiv|given|regimen|\w*chemo|infus|"
    r"prescri|"
    r"co-?admin|combin|trial|random|monotherap|intraven|oral|mg\b(?! ?/)|tablet|patients on)",
    re.IGNORECASE,
)


def _is_beside_other(text: str, item: SentenceItem, items: Sequence[SentenceItem]) -> bool:
    """Whether one of the other ``items`` is listed with a disease though of another type: of "a
    patient with hepatitis and a gastric ulcer was treated" nobody knows for which."""
    return any(
        other.entity_type in DISEASES
        and other.entity_type != item.entity_type
        and other.group_end <= item.group_start
        and LIST_JOINT.fullmatch(text, other.group_end, item.group_start) is not None
        for other in items
    )


def is_about_other(
    text: str,
    pattern: Pattern,
    left: SentenceItem,
    right: SentenceItem,
    items: Sequence[SentenceItem],
) -> bool:
    """Whether the sentence with the ``items`` says it of something else than the two: of a drug
    against the gene, of what was done for the disease, or of two substances that nobody gives."""
    predicate = pattern.predicate
    is_compound = pattern.cue.wording == "compound"
    if not is_compound and any(
        item.entity_type in DISEASES and describes_next(text, item) for item in (left, right)
    ):
        return True
    if predicate in _OF_SUBSTANCES and any(
        item.entity_type == DRUG and _is_level(text, item) for item in (left, right)
    ):
        return True
    if predicate in _TREATMENTS and not pattern.cue.subject_first:
        return _CONSEQUENCE_OF.search(text, 0, right.group_start) is not None
    if predicate in _TREATMENTS:
        is_of_patients = (
            pattern.cue.wording == "clause"
            and _IN.search(text, 0, left.group_start) is not None
            and _PATIENTS_BEHIND.match(text, left.group_end) is not None
        )
        return is_of_patients or _is_beside_other(text, left, items)
    if predicate == "acts_on":
        is_beside = _BESIDE.match(text, left.group_end) is not None
        is_by_other = _INHIBITOR_OF.search(text, left.group_end, right.group_start) is not None
        is_of_nearest = any(
            item.entity_type == right.entity_type
            and left.group_end <= item.group_start
            and _OF_NEAREST.search(text, item.group_end, right.group_start) is not None
            for item in items
        )
        return is_of_nearest or (is_by_other and (is_beside or not is_compound))
    if predicate == "complicated_by" and _TREATED.search(text, 0, left.group_start):
        return True  # "therapy for a disease leads to": the therapy does
    if predicate == "presents_with":
        subject = left if pattern.cue.subject_first else right
        is_of_symptoms = _SYMPTOMS.search(text, *subject.mention.span) is not None
        is_of_second = (
            not pattern.cue.subject_first
            and left.mention.end != left.group_end
            and _COEXISTENCE.search(text, 0, left.group_start) is not None
        )
        return is_of_symptoms or is_of_second or _is_beside_other(text, left, items)
    if predicate == "combined_with":
        # "Randomised to A plus B, A or C": the list behind the cue is one of arms.
        is_of_arms = left.group_start != right.group_start and any(
            item.group_start == right.group_start and item.concept_id == left.concept_id
            for item in items
        )
        return is_of_arms or _GIVEN.search(text) is None
    if predicate in _INDUCED:
        is_of_effect = _EFFECT_OF.search(text, 0, left.group_start) is not None
        is_treated = _TREATED.search(text, 0, left.group_start) is not None
        return is_of_effect or (is_treated and _LATER.match(text, left.group_end) is not None)
    if predicate not in _GENE_PREDICATES:
        return False
    gene = right if pattern.cue.subject_first else left
    if _TARGETED.match(text, gene.mention.end):
        return True
    return pattern.cue.subject_first and _OCCASION.search(text, 0, left.group_start) is not None


def _is_level(text: str, item: SentenceItem) -> bool:
    """Whether a drug is measured and not given: "high plasma glucose"."""
    start, end = item.mention.span
    return (
        _MEASURED.search(text, max(0, start - _LOOK_BACK), start) is not None
        or _AMOUNT.match(text, end) is not None
    )
