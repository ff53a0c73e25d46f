"""Finds the statements of a sentence by cues, which are words between two named entities.

Precision comes before recall: the words between must contain a cue, the pair must have the types of
the cue's predicate, and a negation in the clause drops the statement. A statement about one item of
a list ("characterised by A, B and C") applies to all items. Other words around a cue and a hedge
lower the confidence.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from medr_ray.graph.extraction.assertion import DOUBTED, compute_assertion_factor
from medr_ray.graph.extraction.cue_patterns import PATTERNS, Pattern
from medr_ray.graph.extraction.sentences import (
    LIST_JOINT,
    Sentence,
    SentenceItem,
    SentenceMention,
)
from medr_ray.graph.extraction.statements import RelationStatement
from medr_ray.knowledge.predicates import DISEASE, DRUG, PHENOTYPE, PREDICATES, Cue

# Characters between the two mentions; across a larger gap a cue rarely relates them.
_MAX_GAP = 110
_MAX_CONFIDENCE = 0.98  # below the 1.0 of a curated record
_CONFIDENCE_DIGITS = 3

# With these words behind it a mention is part of the name of something else.
_COMPOUND = re.compile(
    r"\+ |-AS\d|[- ](?:resistan|sensitiv|tolera|naive|free\b|(?:corona)?virus|vaccin|"
    r"(?:[A-Z][\w-]* )?cells?\b|target|(?:(?:positive|negative) )?(?:T[- ]?)?"
    r"(?:lymphocyte|T[- ]?cell|T\b|cell count|count\b))",
    re.IGNORECASE,
)
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
# With these words behind it a disease is what an animal is made to have: "in a Marfan mouse model".
_MODEL_OF = re.compile(
    r"[- ](?:transgenic )?(?:mouse|mice|murine|rat|animal|zebrafish)[- ]models?\b", re.IGNORECASE
)
# A function that is lowered: "depression of after-discharge activity".
_OF_ACTIVITY = re.compile(r"(?:depression|retention|hesitation) of\b", re.IGNORECASE)
_VOLUME = re.compile(r" (?:volume|work|output|index)", re.IGNORECASE)  # "stroke volume"
# Processes that vocabularies list as synonyms of a disease.
_PROCESS = re.compile(r"fibrosis|(?:venous )?congestion|deformit(?:y|ies)|moles?", re.IGNORECASE)
_PER = "per "  # before a unit: "per mole"
# A disease as an adjective belongs to the noun behind it ("thromboembolic pulmonary hypertension"),
# unless that is who has it ("diabetic rats").
_ADJECTIVE = re.compile(r"(?:ic|al|ive|ous|ed|oid)$", re.IGNORECASE)
_NOUN_BEHIND = re.compile(
    r" (?!(?:effects?|rates?|responses?|behaviou?rs?|patients?|subjects?|individuals?|persons?|"
    r"people|populations?|women|men|children|"
    r"infants|adults|adolescents|mothers|pregnan\w+|participants?|volunteers?|cases?|groups?|rats?|"
    r"mice|mouse|dogs?|animals?|rabbits?|monkeys?|states?|conditions?|episodes?|symptoms?|signs?|"
    r"attacks?|and|or|but|nor|than|as|is|are|was|were|be|been|has|have|had|who|which|that|when|while|"
    r"in|on|of|to|by|for|from|with|without|after|during|before|at|among|following|due|induced|"
    r"associated|caused|treated|receiving|showed|improved|responded)\b)[a-z]{3,}",
)
# With these words behind it a drug is lacked, or something else is given.
_LACK = re.compile(
    r"(?:[- ][\w-]+){0,3}?[- ](?:deficien|restrict|deplet|withdraw|depriv|lesion|silenc|"
    r"knock-?(?:down|out)|down-?regulat)|[- ](?:[\w-]+ )?(?:inhibitor|antagonist|blocker|receptor|"
    r"agonist|antibod|mutation|gene\b|PET\b|SPECT\b|MRI\b|imaging|scan|scintigra|challenge|"
    r"provocation|staining|stain\b)",
    re.IGNORECASE,
)
# With these words behind it a drug only begins the name of a protein: "glutathione S-transferase",
# "insulin-like growth factor".
_PROTEIN_OF = re.compile(
    r"[- ](?:\w?\d[\w-]*[- ]|\w-)?(?:"
    r"(?!(?:dis|incr|decr|rel)eases?\b|phase|bases?\b|cases?\b)\w+ases?\b|"
    r"(?:like|binding|converting|releasing|sensing|transporting|gated)\b|"
    r"(?:transport(?:er)?|channel|pump|exchanger|cotransporter|carrier|growth factor)s?\b)",
    re.IGNORECASE,
)
# With these words behind it a mention describes what is named next: "attenuated ADR-induced FSGS".
_MODIFIER_OF_NEXT = re.compile(
    r"(?:[-/]\w+)?(?: \([^()]*\))?[- ](?:induced|associated|related|evoked|provoked|elicited)\b"
    r"(?! (?:with|to|by|in)\b)",
    re.IGNORECASE,
)
# With these words before it a drug itself is not what acts: its metabolites do, or its lack.
_NOT_ITSELF = re.compile(
    r"\b(?:metabolites?|derivatives?|analog(?:ue)?s?|antibod(?:y|ies)|deficiency|lack|absence|"
    r"withdrawal|deprivation|depletion|restriction|removal|discontinuation|omission|cessation|"
    r"resistance|activity|inhibitors?|antagonists?|blockers?|inhibition|blockade|silencing|"
    r"knock-?down|down-?regulation) (?:of|to|against|from) (?:the )?$|"
    r"\bmutations? (?:in|of) (?:the )?$|"
    r"\bnon-(?:\w+ \()?$|"
    r"\b(?:omitting|discontinuing|stopping|withdrawing|without|against|from|anti-) ?(?:the )?$",
    re.IGNORECASE,
)
# Parts of the cell that vocabularies list with the drugs.
_NOT_GIVEN = re.compile(
    r"(?:auto|iso)?antibod(?:y|ies)|immunoglobulins?|vesicles?|anions?|cations?|ions?|"
    r"(?:long )?(?:non-?coding )?RNAs?|(?:lnc|mi|circ)\w*RNAs?|[\w -]*(?:polymerase|hydrolase|"
    r"phospholipase A2|protein kinases?)s?",
    re.IGNORECASE,
)
# The part of a salt or an ester that does not say which one it is: "cadmium chloride".
_ANION = re.compile(
    r"(?:acetate|chloride|bromide|iodide|fluoride|sul(?:f|ph)ate|phosphate|nitrate|nitrite|oxide|"
    r"dioxide|peroxide|hydroxide|carbonate|bicarbonate|citrate|lactate|palmitate|oleate|stearate|benzoate|"
    r"decanoate|enanthate|valerate|propionate|caproate|mesylate|besylate|hydrochloride|succinate|maleate|tartrate|"
    r"fumarate|gluconate|sodium|potassium|ether|ester|alcohol)s?",
    re.IGNORECASE,
)
_METAL = re.compile(
    r"\b(?:dextran|chondroitin|heparan|dodecyl|zinc|copper|iron|cadmium|nickel|cobalt|gold|silver|titanium|aluminium|aluminum|gallium|"
    r"gadolinium|technetium|ruthenium|platinum) $",
    re.IGNORECASE,
)
_SALT_OF = re.compile(
    r"\b(?!(?:and|or|of|with|by|the|for|in|to|from|than|plus|serum|plasma|urinary|urine|inorganic|"
    r"oral|total|dietary|high|low|intravenous|added|free)\b)[A-Za-z]{3,} $",
    re.IGNORECASE,
)
# A symbol behind a word and a hyphen is part of another name: "pseudoginsenoside-F11".
_HYPHENATED = re.compile(
    r"\b(?:circ|circRNA|lnc|lncRNA|hsa)[-_ ]$|"
    r"\b(?!(?:anti|phospho|phosphorylated|mutant|mutated|human|soluble|wild|type|total|nuclear|"
    r"serum|plasma|activated|cleaved|full|mono|poly|tumou?r|cell|kinase|receptor)\b)[a-z]{5,}-$",
    re.IGNORECASE,
)
_LOOK_BACK = 40  # characters before a mention that are searched for these words
# Between two diseases, when the second is the setting of the first and no subject of its own: "RCVS
# in the setting of a respiratory infection was treated with nimodipine".
_SETTING = re.compile(
    r"[^.;:]{0,25}?\b(?:in the (?:setting|context|course) of|after|following|during|secondary to|"
    r"due to|complicating|complicated by|induced by|caused by|triggered by|despite|"
    r"with concomitant|with concurrent|with underlying|with a history of) (?:[\w,-]+ ){0,4}",
    re.IGNORECASE,
)
# Words of a sentence in which drugs are given.
_GIVEN = re.compile(
    r"\b(?:treat|therap|administ|dos(?:e|age|ing)|inject|receiv|given|regimen|\w*chemo|infus|prescri|"
    r"co-?admin|combin|trial|random|monotherap|intraven|oral|mg\b(?! ?/)|tablet|patients on)",
    re.IGNORECASE,
)
_SETTING_REACH = 90  # characters between the two
_DISEASES = (DISEASE, PHENOTYPE)
# What brings on a disease, or what it is a kind of, is said of the nearest name.
_OF_THE_NEAREST = frozenset({"induced_by", "sign_induced_by", "complicated_by", "subtype_of"})
# Genes are listed with many verbs and nouns between them: "X activated A and preserved B". There a
# cue holds for what stands behind the nearest as well.
_SHARED_BY_COORDINATION = frozenset(
    {"associated_gene", "sign_associated_gene", "acts_on", "gene_interaction"}
)
# Between two drugs that are given together: what is said of the first is said of the second.
_ADDED = re.compile(
    r"\W*(?:plus|and|or|with|combined with|in combination with|followed by|\+)\W*(?:the |an? )?"
)
_CLAUSE_STARTS = r"but|however|although|whereas|while|and (?:was|were|is|are|had|has)"
# Words that may precede a loose cue: another name in the list, then a verb phrase or two words, but
# no other clause, finding or target.
_LEADING_WORDS = re.compile(
    r" (?:and|or) [\w-]+|"
    r"(?=\W*(?:(?:is|was|are|were|has|have|had|can|may)\b|(?:\W*[\w-]+){0,2}\W*$))"
    rf"(?:(?!\b(?:{_CLAUSE_STARTS}|in|among|by|observed|seen|reported|targets?|targeting|and|that|"
    r"compared|than|versus|"
    r"as|who|it|they|we|this|following|after|before|during)\b)[^.,;:()\[\]])*"
)
# And the words that may follow it.
_TRAILING_WORDS = re.compile(
    rf"(?:(?!\b(?:{_CLAUSE_STARTS}|exhibit\w*|show\w*|reveal\w*|impediment|"
    r"effects?\b[^,;]* (?:during|after|following)|responses? to|among|from|treatment|"
    r"therapy|management|compared|than|versus|"
    r"and (?:\w+ly )?(?:promot|increas|induc|decreas|reduc|improv|enhanc|activat|inhibit|suppress)"
    r"\w*)\b)[^.;:()\[\]])*"
)
# General words that name a disease only with another word before them, and such a word.
_GENERAL_WORD = re.compile(
    r"(?:infections?|diseases?|disorders?|syndromes?|tumou?rs?|cancers?|neoplasms?|lesions?|"
    r"inflammation)",
    re.IGNORECASE,
)
_NAME_BEFORE = re.compile(r"\b[A-Za-z]*(?:[A-Z][A-Z0-9-]|\d)[\w-]*[ -]$")
# Text in brackets, or the end of a text in brackets that began before the gap.
_BRACKETS = frozenset("()[]")
_ASIDE = re.compile(r"\s*\([^()]*\)|\s*\[[^\[\]]*\]|^\W*\)")


def read_sentence(sentence: Sentence, factor: float = 1.0) -> list[RelationStatement]:
    """The statements of a sentence between its items; ``factor`` is a factor on their
    confidence."""
    return [reading.statement for reading in read_cues(sentence, factor)]


@dataclass(frozen=True)
class CueReading:
    """A statement with the cue that it rests on, and the two items that it connects; ``is_loose``
    where other words surround the cue."""

    statement: RelationStatement
    cue: Cue
    is_loose: bool
    left: SentenceItem
    right: SentenceItem


def read_cues(sentence: Sentence, factor: float = 1.0) -> list[CueReading]:
    """The statements of a sentence with their cues; see ``read_sentence``."""
    readings = []
    for left, right, types_between in _list_pairs(sentence):
        match = _find_best_cue(sentence.text, left, right, types_between)
        if match is not None and match.pattern.predicate not in _OF_THE_NEAREST:
            governed = _find_governed(sentence, left)
            if governed.concept_id == right.concept_id:
                continue
            if governed is not left:
                left = governed
                match = _find_best_cue(sentence.text, left, right, types_between)
        if match is None:
            continue
        if _is_about_other(sentence.text, match.pattern, left, right, sentence.items):
            continue
        assertion = compute_assertion_factor(
            sentence.text,
            (match.start, left.mention.end),
            right.mention.span,
            match.pattern.cue.wording,
        )
        if assertion <= DOUBTED:
            continue
        confidence = min(match.confidence * assertion * factor, _MAX_CONFIDENCE)
        is_left_subject = match.pattern.cue.subject_first
        subject, obj = (left, right) if is_left_subject else (right, left)
        statement = build_statement(
            sentence, subject.concept_id, match.pattern.predicate, obj.concept_id, confidence
        )
        readings.append(CueReading(statement, match.pattern.cue, match.is_loose, left, right))
    return _drop_reached_over(sentence.text, readings)


def _drop_reached_over(text: str, readings: Sequence[CueReading]) -> list[CueReading]:
    """Leave out the loose readings that reach over an item which the cue connects already: of
    "levodopa for Parkinson's disease leads to dyskinesia" the one with dyskinesia."""
    return [
        reading
        for reading in readings
        if not (reading.is_loose and any(_is_nearer(text, other, reading) for other in readings))
        and not any(_is_sign_of_nearer(other, reading) for other in readings)
    ]


def _is_sign_of_nearer(other: CueReading, reading: CueReading) -> bool:
    """Whether the left sign of ``reading`` is what ``other`` says of a disease before it: in "a
    disorder with anhedonia is a feature of diabetes" the disorder is the feature."""
    return (
        reading.statement.predicate == other.statement.predicate == "presents_with"
        and other.right.mention == reading.left.mention
        and other.cue.subject_first != reading.cue.subject_first
    )


def _is_nearer(text: str, other: CueReading, reading: CueReading) -> bool:
    """Whether ``other`` states the same predicate of one of the two items, and its other item
    stands between them."""
    predicate = reading.statement.predicate
    if other.statement.predicate != predicate or predicate in _SHARED_BY_COORDINATION:
        return False
    if other.left.mention == reading.left.mention:
        end, start = other.right.group_end, reading.right.group_start
    elif other.right.mention == reading.right.mention:
        end, start = reading.left.group_end, other.left.group_start
    else:
        return False
    return end <= start and _ADDED.fullmatch(text, end, start) is None


def _is_beside_other(text: str, item: SentenceItem, items: Sequence[SentenceItem]) -> bool:
    """Whether one of the other ``items`` is listed with a disease though of another type: of "a
    patient with hepatitis and a gastric ulcer was treated" nobody knows for which."""
    return any(
        other.entity_type in _DISEASES
        and other.entity_type != item.entity_type
        and other.group_end <= item.group_start
        and LIST_JOINT.fullmatch(text, other.group_end, item.group_start) is not None
        for other in items
    )


def _is_about_other(
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
        item.entity_type in _DISEASES and _MODIFIER_OF_NEXT.match(text, item.mention.end)
        for item in (left, right)
    ):
        return True
    if predicate in _OF_SUBSTANCES and any(
        item.entity_type == DRUG and _is_level(text, item) for item in (left, right)
    ):
        return True
    if predicate in _TREATMENTS and pattern.cue.subject_first:
        is_of_patients = (
            pattern.cue.wording == "clause"
            and _IN.search(text, 0, left.group_start) is not None
            and _PATIENTS_BEHIND.match(text, left.group_end) is not None
        )
        return is_of_patients or _is_beside_other(text, left, items)
    if predicate == "acts_on":
        is_beside = _BESIDE.match(text, left.group_end) is not None
        is_by_other = _INHIBITOR_OF.search(text, left.group_end, right.group_start) is not None
        return is_by_other and (is_beside or not is_compound)
    if predicate == "complicated_by" and _TREATED.search(text, 0, left.group_start):
        return True  # "therapy for a disease leads to": the therapy does
    if predicate == "presents_with" and _is_beside_other(text, left, items):
        return True
    if predicate == "presents_with":
        subject = left if pattern.cue.subject_first else right
        return _SYMPTOMS.search(text, *subject.mention.span) is not None
    if predicate == "combined_with":
        # "Randomised to A plus B, A or C": the list behind the cue is one of arms.
        is_of_arms = left.group_start != right.group_start and any(
            item.group_start == right.group_start and item.concept_id == left.concept_id
            for item in items
        )
        return is_of_arms or _GIVEN.search(text) is None
    if predicate in _INDUCED and _EFFECT_OF.search(text, 0, left.group_start):
        return True
    if predicate in _INDUCED:
        is_occasion = _LATER.match(text, left.group_end) is not None
        return is_occasion and _TREATED.search(text, 0, left.group_start) is not None
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
        _MEASURED.search(text, max(0, start - 2 * _LOOK_BACK), start) is not None
        or _AMOUNT.match(text, end) is not None
    )


@dataclass(frozen=True)
class _CueMatch:
    """A cue that matches around a pair, with its confidence, whether other words surround it, and
    the character where its wording begins."""

    pattern: Pattern
    confidence: float
    is_loose: bool
    start: int


def _find_governed(sentence: Sentence, left: SentenceItem) -> SentenceItem:
    """The item that the words behind ``left`` are about: the disease before it where ``left`` is
    only its setting, standing in the place of ``left``; else ``left`` itself."""
    if left.entity_type not in _DISEASES:
        return left
    for item in reversed(sentence.items):
        gap = left.group_start - item.group_end
        if gap < 0 or item.entity_type not in _DISEASES or item.is_class:
            continue
        if gap > _SETTING_REACH:
            break
        if _SETTING.fullmatch(sentence.text, item.group_end, left.group_start):
            mention = SentenceMention(*left.mention.span, item.concept_id)
            return replace(left, mention=mention, entity_type=item.entity_type)
        break
    return left


def _list_pairs(sentence: Sentence) -> Iterator[tuple[SentenceItem, SentenceItem, set[str]]]:
    """Pairs of items that are close enough to be related, with the entity types of the items
    between their lists."""
    items = sentence.items
    if len(items) < 2:
        return
    # Once for each item: most stand in several pairs.
    is_meant = [_is_meant(sentence.text, item) for item in items]
    for i, left in enumerate(items):
        if not is_meant[i]:
            continue
        for j in range(i + 1, len(items)):
            right = items[j]
            # Items come in order, so all that follow are even further apart.
            if right.group_start - left.group_end > _MAX_GAP:
                break
            if not _may_be_related(left, right):
                continue
            if is_meant[j]:
                yield left, right, _find_types_between(sentence.text, left, right, items[i + 1 : j])


def _find_types_between(
    sentence: str, left: SentenceItem, right: SentenceItem, items: Sequence[SentenceItem]
) -> set[str]:
    """The entity types of the ``items`` that stand between the two lists and separate them: what
    stands in brackets, or only describes the next name, does not."""
    start = left.group_end
    end = right.group_start
    asides = [match.span() for match in _ASIDE.finditer(sentence[start:end])] if items else []
    return {
        item.entity_type
        for item in items
        if start <= item.group_start
        and item.group_end <= end
        and not _MODIFIER_OF_NEXT.match(sentence, item.mention.end)
        and not any(
            first + start <= item.mention.start and item.mention.end <= last + start
            for first, last in asides
        )
    }


def _may_be_related(left: SentenceItem, right: SentenceItem) -> bool:
    """Whether the two may be related: a class is related only to its members."""
    if left.concept_id == right.concept_id or left.mention.end > right.mention.start:
        return False
    return not left.is_class and (not right.is_class or right.mention.end == left.group_end)


def _is_meant(sentence: str, item: SentenceItem) -> bool:
    """Whether a mention means its concept, and is not the beginning of another name, such as a
    virus or the deficiency of a drug."""
    start, end = item.mention.span
    if _COMPOUND.match(sentence, end):
        return False
    if item.entity_type in _DISEASES:
        if _PROCESS.fullmatch(sentence, start, end) or _VOLUME.match(sentence, end):
            return False
        if sentence.endswith(_PER, max(0, start - len(_PER)), start):
            return False
        if _OF_ACTIVITY.match(sentence[start:]) is not None:
            return False
        return not (_MODEL_OF.match(sentence, end) or _is_part_of_longer_name(sentence, item))
    if item.entity_type != DRUG:
        is_word = sentence[start:end].islower()
        return is_word or not _HYPHENATED.search(sentence, max(0, start - _LOOK_BACK), start)
    if _NOT_GIVEN.fullmatch(sentence, start, end):
        return False
    before = sentence[max(0, start - _LOOK_BACK) : start]
    if _METAL.search(before) or (
        _ANION.fullmatch(sentence, start, end) and _SALT_OF.search(before)
    ):
        return False
    return not (
        _LACK.match(sentence, end) or _PROTEIN_OF.match(sentence, end) or _NOT_ITSELF.search(before)
    )


def _is_part_of_longer_name(sentence: str, item: SentenceItem) -> bool:
    """Whether a mention is only the general word of a name, "infection" in "SFTS infection", or
    the adjective of one."""
    start, end = item.mention.span
    is_adjective = _ADJECTIVE.search(sentence, start, end) is not None
    if is_adjective and _NOUN_BEHIND.match(sentence, end):
        return True
    return (
        _GENERAL_WORD.fullmatch(sentence, start, end) is not None
        and _NAME_BEFORE.search(sentence, max(0, start - _LOOK_BACK), start) is not None
    )


def _are_of_one_list(left: SentenceItem, right: SentenceItem) -> bool:
    """Whether the two are items of one list, or a member and its class."""
    return right.group_start < left.group_end


def _find_best_cue(
    sentence: str, left: SentenceItem, right: SentenceItem, types_between: set[str]
) -> _CueMatch | None:
    """The most confident cue for the pair; of equal ones the first of the table."""
    # A loose cue may reach over items of the right item's type, but over no others; a whole one
    # over none.
    if not types_between <= {right.entity_type}:
        return None
    if _are_of_one_list(left, right):
        start = left.mention.end
        end = right.mention.start
        first_start = left.mention.start
    else:
        start = left.group_end
        end = right.group_start
        first_start = left.group_start
    # Remarks in brackets would keep a pattern from matching all of the text between.
    between = sentence[start:end]
    if not _BRACKETS.isdisjoint(between):
        between = _ASIDE.sub("", between)
    best: _CueMatch | None = None
    for pattern in PATTERNS.get((left.entity_type, right.entity_type), ()):
        least = best.confidence if best else 0.0
        if pattern.most <= least:
            break
        is_whole = not types_between and pattern.whole.fullmatch(between) is not None
        is_loose = not is_whole and _is_loose_match(pattern, between)
        if not (is_whole or is_loose):
            continue
        confidence = pattern.cue.loose if is_loose else pattern.cue.confidence
        if confidence <= least or not _fits_surroundings(pattern, sentence, left, right):
            continue
        # The wording of a cue with words before the pair begins there, not at the left mention.
        if pattern.before is None:
            best = _CueMatch(pattern, confidence, is_loose, left.mention.start)
            continue
        before = pattern.before.search(sentence, max(0, first_start - _MAX_GAP), first_start)
        if before:
            best = _CueMatch(pattern, confidence, is_loose, before.start())
    return best


def _fits_surroundings(
    pattern: Pattern, sentence: str, left: SentenceItem, right: SentenceItem
) -> bool:
    """Whether the left mention, the lists of both mentions and the text behind them meet the cue's
    conditions."""
    cue = pattern.cue
    if _are_of_one_list(left, right):
        end = right.mention.end
    else:
        is_left_listed = left.mention.end != left.group_end
        is_right_listed = right.mention.start != right.group_start
        if (is_left_listed and not cue.left_list) or (is_right_listed and not cue.right_list):
            return False
        end = right.group_end
    if pattern.left is not None and not pattern.left.search(sentence, *left.mention.span):
        return False
    return pattern.after is None or pattern.after.match(sentence, end) is not None


def _is_loose_match(pattern: Pattern, between: str) -> bool:
    """Whether the words between contain a loose cue among other words that do not separate it from
    the two."""
    if pattern.core is None:
        return False
    core = pattern.core.search(between)
    return (
        core is not None
        and _LEADING_WORDS.fullmatch(between, 0, core.start()) is not None
        and _TRAILING_WORDS.fullmatch(between, core.end()) is not None
    )


def build_statement(
    sentence: Sentence, subject: str, predicate: str, obj: str, confidence: float
) -> RelationStatement:
    """A statement of a sentence about two entities, without its context. The subject of a symmetric
    relation is the smaller id."""
    if PREDICATES[predicate].symmetric:
        subject, obj = sorted((subject, obj))
    text = sentence.text
    return RelationStatement(
        subject=subject,
        predicate=predicate,
        object=obj,
        temporal="",
        spatial="",
        clinical="",
        confidence=round(confidence, _CONFIDENCE_DIGITS),
        start=sentence.offset,
        end=sentence.offset + len(text),
        reference="",
    )
