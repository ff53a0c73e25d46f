"""How a sentence says that a drug was given: at which dose, by which route, in which line, with
what, against what, and in which trial."""

import re
from collections.abc import Iterable, Sequence

from medr_ray.graph.extraction.sentences import Sentence, SentenceItem
from medr_ray.knowledge.predicates import DRUG
from medr_ray.retrieval.snippets import Span

TREATMENTS = frozenset({"treated_with", "sign_treated_with"})
_GIVEN = TREATMENTS | {"combined_with"}
_LINE = re.compile(
    r"(?<!after )(?<!following )\b(first|second|third|fourth|1st|2nd|3rd|later)[- ]line\b",
    re.IGNORECASE,
)
_LINE_WORDS = {"1st": "first", "2nd": "second", "3rd": "third"}
_SETTING = re.compile(
    r"\b(neo-?adjuvant|adjuvant|maintenance|salvage|add-on|adjunctive|prophylactic|preventive|"
    r"induction|palliative|combination|rescue|replacement) (?:\w+ )?(?:treatment|therapy|"
    r"chemotherapy|use)\b|\b(monotherapy|prophylaxis|prevention)\b",
    re.IGNORECASE,
)
_ADDED_TO = re.compile(r" (?:to|with) (?:\w+ ){0,2}", re.IGNORECASE)
_PREVENTS = re.compile(
    r"\bprevent(?:s|ed|ing)?\b|vaccin\w+|\bprotect(?:s|ed|ing)? against\b", re.IGNORECASE
)
_PRETREATED = re.compile(
    r"\b((?:previously|heavily) (?:un)?treated|pre-?treated|treatment[- ]na[iï]ve|relapsed|"
    r"refractory)\b",
    re.IGNORECASE,
)
_EARLIER = re.compile(
    r"\b(?:previously|formerly|earlier|prior|initially) (?:\w+ )?(?:treated|managed|treatment|"
    r"therapy|exposed|exposure) (?:with|to|by) (?:[\w-]+ ){0,2}$",
    re.IGNORECASE,
)
_DOSE = re.compile(
    r"(?<![\w.])\d[\d.,]*(?: ?(?:-|–|to|or|and) ?\d[\d.,]*)? ?"
    r"(?:mg|µg|μg|mcg|ug|g|IU|U|units|mL|ml|mmol|µmol|nmol|µM|μM|uM|mM|nM)\b"
    r"(?:[ ]?/[ ]?(?:kg|day|d|m2|m\^2|h|hr|week|wk|dose|min)\b){0,3}"
    r"(?! ?/ ?(?:dl|dL|l|L|ml|mL))"
    r"(?: (?:once daily|twice daily|daily|weekly|monthly|per day|per kg|a day|twice a day|"
    r"once weekly|every \d+ (?:hours|days|weeks)|b\.i\.d\.|bid|tid|q\.d\.))?"
)
# Between a drug and its dose: behind other words it is the dose of something else.
_LEADS_TO_DOSE = re.compile(
    r"[ (\[]*(?:(?:at|in|a|an|the|of|with|by|for|given|administered|orally|oral|daily|once|twice|"
    r"weekly|single|total|fixed|initial|mean|median|low|high|starting|maintenance|intravenous|"
    r"intravenously|intraperitoneal|subcutaneous|subcutaneously|infusion|injections?|tablets?|"
    r"dos(?:e|es|age|ages)|concentrations?|i\.?[pvm]\.?|s\.?c\.?|p\.?o\.?|hydrochloride|sodium|"
    r"treatment|therapy)[ (,:]*)*"
)
_DOSE_REACH = 40  # characters between a drug and its dose
# How a drug is applied, where it does not reach the whole body, as the words before its name say.
_LOCAL_ROUTE = re.compile(
    r"\b(topical|intralesional|intravitreal|intrathecal|intraventricular|intra-articular|inhaled|"
    r"nebuli[sz]ed|intravesical|intratympanic|subconjunctival|vaginal)(?:ly)? (?:[\w-]+ )?$",
    re.IGNORECASE,
)
# Between two drugs that are given together: "A-B", "A plus 320 mg B", "A in combination with B".
_PARTNER_JOINT = re.compile(
    r"(?: \([^()]*\))?(?:[-/–]| ?\+ ?| (?:plus|combined with|in combination with|together with|"
    r"along with|added to) (?:the |an? |\d[\d.,]* ?m?g )?(?:[\w-]+ )?)",
    re.IGNORECASE,
)
# Words around a list of drugs that are given together.
_COMBINATION_BEFORE = re.compile(
    r"\b(?:combinations? of|combin(?:ed|ation|ing)(?: \w+)? with|together with|along with) "
    r"(?:the |an? )?(?:[\w-]+ )?$",
    re.IGNORECASE,
)
_COMBINATION_BEHIND = re.compile(r"(?: \([^()]*\))?[ -]combinations?\b", re.IGNORECASE)
_COMPARATOR = re.compile(
    r"\b(?:versus|vs\.?|compared (?:with|to)|in comparison (?:with|to)|than(?: with| in)?|"
    r"superior to|over) (?:the )?(placebo|vehicle|saline|controls?|standard (?:of care|therapy|"
    r"treatment)|no treatment|sham)\b|\b(placebo)-controlled\b",
    re.IGNORECASE,
)
_BACKGROUND = re.compile(r"\b(?:on|added to|background) (?:(?:stable|a|the) )?$", re.IGNORECASE)
_COMPARED_WITH = re.compile(
    r"\b(?:versus|vs\.?|compared (?:with|to)|in comparison (?:with|to)|than(?: with)?|"
    r"superior to) (?:the )?(?:\w+ )?$",
    re.IGNORECASE,
)
_TRIAL = re.compile(
    r"\b(NCT\d{8}|ISRCTN\d{6,9}|ChiCTR[-\w]{6,20}|UMIN\d{6,12}|ACTRN\d{10,16}|"
    r"\d{4}-\d{6}-\d{2})\b"
)
_NAMED_TRIAL = re.compile(r"\b([A-Z][A-Z0-9]{2,}(?:-[A-Z0-9]+)*) (?:trial|program|programme)\b")
_NO_TRIAL_NAMES = frozenset({"RCT", "FDA", "THE", "RNA", "DNA", "HIV", "USA", "PHASE"})


def find_line(sentence: str, drugs: Sequence[Span]) -> str:
    """The line or setting of a treatment with one of the drugs [start, end), such as "second-line
    treatment", or "". What is given in addition to a drug is not that drug's setting."""
    match = _LINE.search(sentence)
    if match is not None:
        word = match[1].lower()
        return f"{_LINE_WORDS.get(word, word)}-line treatment"
    match = _SETTING.search(sentence)
    if match is None:
        return "prevention" if _PREVENTS.search(sentence) else ""
    if any(_ADDED_TO.fullmatch(sentence, match.end(), start) for start, _ in drugs):
        return ""
    return (match[2] or f"{match[1]} therapy").lower()


def find_history(sentence: str) -> str:
    """How those studied were treated before, such as "previously treated", or ""."""
    match = _PRETREATED.search(sentence)
    return match[1].lower() if match else ""


def find_dose(sentence: str, drug: Span) -> str:
    """The dose that follows the drug [start, end) closely, such as "10 mg/kg", or ""."""
    match = _DOSE.search(sentence, drug[1], min(len(sentence), drug[1] + _DOSE_REACH))
    if match is None or not _LEADS_TO_DOSE.fullmatch(sentence, drug[1], match.start()):
        return ""
    return match.group().strip()


def find_route(sentence: str, start: int) -> str:
    """The local route that is named before the drug at ``start``, such as "topical", or ""."""
    match = _LOCAL_ROUTE.search(sentence, 0, start)
    return match[1].lower() if match else ""


def find_partners(
    sentence: str, own: Sequence[SentenceItem], others: Sequence[SentenceItem]
) -> list[str]:
    """The names of those of the ``others`` that the sentence says were given together with a drug,
    whose mentions are ``own``; in the order of the sentence."""
    partners = [
        other for other in others if any(_is_partner(sentence, drug, other) for drug in own)
    ]
    names = dict.fromkeys(_read_name(sentence, partner) for partner in partners)
    # The capital of a sentence's first word is not the name's.
    return [
        name.lower() if name.istitle() and sentence.startswith(name) else name for name in names
    ]


def _is_partner(text: str, drug: SentenceItem, other: SentenceItem) -> bool:
    first, second = sorted((drug, other), key=lambda item: item.mention.start)
    if _PARTNER_JOINT.fullmatch(text, first.mention.end, second.mention.start):
        return True
    are_listed = first.group_start == second.group_start and first.group_end == second.group_end
    return are_listed and (
        _COMBINATION_BEFORE.search(text, 0, first.group_start) is not None
        or _COMBINATION_BEHIND.match(text, first.group_end) is not None
    )


def find_comparator(
    sentence: str, own: Sequence[SentenceItem], others: Sequence[SentenceItem]
) -> str:
    """What a treatment with one of its ``own`` drugs was compared with: "placebo", or the name of
    one of the ``others``; "" where the sentence compares with neither, or all patients were on the
    drug."""
    spans = [item.mention.span for item in own]
    match = _COMPARATOR.search(sentence)
    if match is not None and any(_BACKGROUND.search(sentence, 0, start) for start, _ in spans):
        return ""
    if match is not None:
        return (match[1] or match[2]).lower()
    for other in others:
        start, end = other.mention.span
        is_of_own = any(end + 1 == first or last + 1 == start for first, last in spans)
        if not is_of_own and _COMPARED_WITH.search(sentence, 0, start):
            return _read_name(sentence, other)
    return ""


def _read_name(sentence: str, item: SentenceItem) -> str:
    return sentence[slice(*item.mention.span)]


def find_trial(text: str) -> str:
    """The number of a trial, else its name, or ""."""
    match = _TRIAL.search(text)
    if match is not None:
        return match.group()
    named = _NAMED_TRIAL.search(text)
    return named[1] if named and named[1] not in _NO_TRIAL_NAMES else ""


def list_trial_numbers(text: str) -> list[str]:
    """The numbers of all trials that a text names."""
    return _TRIAL.findall(text)


def describe_treatment(
    sentence: Sentence, subject: str, predicate: str, obj: str, trial_of_document: str
) -> list[str]:
    """The parts of a relation's context that say how its drugs were given, each "" where nobody
    says it. ``trial_of_document`` is the trial where the sentence names none.

    Nothing is said of a relation without a drug, and of a drug that patients had before.
    """
    text = sentence.text
    drugs = [item for item in sentence.items if item.entity_type == DRUG]
    own = [item for item in drugs if item.concept_id in (subject, obj)]
    spans = [item.mention.span for item in own]
    if not own or any(_EARLIER.search(text, 0, start) for start, _ in spans):
        return []
    others = [item for item in drugs if item not in own]
    dose = _find_first(find_dose(text, span) for span in spans)
    # "Topical A and B": what stands before a list is said of all of it.
    routes = (
        find_route(text, start) for item in own for start in (item.mention.start, item.group_start)
    )
    route = _find_first(routes) if predicate in _GIVEN else ""
    is_treatment = predicate in TREATMENTS
    history = find_history(text) if is_treatment else ""
    line = find_line(text, spans) if is_treatment else ""
    # A combination is about its two partners itself.
    partners = find_partners(text, own, others) if is_treatment else []
    comparator = find_comparator(text, own, others)
    trial = find_trial(text) or trial_of_document
    return [
        f"in {history} disease" if history else "",
        f"at {dose}" if dose else "",
        f"as {route} treatment" if route else "",
        f"as {line}" if line else "",
        f"with {' and '.join(partners)}" if partners else "",
        f"versus {comparator}" if comparator else "",
        f"trial {trial}" if trial else "",
    ]


def _find_first(texts: Iterable[str]) -> str:
    """The first text that is not empty, or ""."""
    return next(filter(None, texts), "")
