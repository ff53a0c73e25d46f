"""Whether a sentence asserts what a cue in it says: negation and speculation by clause, and the
section it stands in.

A clause ends at a semicolon or a word of contrast. What denies a statement stands between the two
entities, before them in their clause without a comma in between, or right behind them ("was
excluded"); phrases that only look like negation ("not only", "not uncommon") do not. What hedges it
may stand anywhere in the clause. A wording that names a relation ("chloramphenicol-induced
anaemia") is only denied or hedged by the words right before it.
"""

import re
from collections.abc import Sequence

from medr_ray.retrieval.snippets import Span

DENIED, DOUBTED, HEDGED, ASSERTED = 0.0, 0.5, 0.75, 1.0  # factors on the confidence of a cue
_BREAK = re.compile(
    r"[;:]|\b(?:but|however|although|though|whereas|while|yet|unlike|except|despite)\b",
    re.IGNORECASE,
)
_ONLY_LOOKS_SO = re.compile(
    r"\b(?:not (?:only|un\w+|infrequent\w*|rare\w*|just|merely|necessarily)|without doubt|with (?:or|and) without|"
    r"no doubt|(?:cannot|can not|could not) be (?:excluded|ruled out))\b",
    re.IGNORECASE,
)
_DENIAL = re.compile(
    r"\b(?:[Nn]o|(?i:not|neither|nor|never|without|cannot|ineffective|lack(?:s|ed|ing)? of|absence of|"
    r"fail(?:s|ed|ure)? to|rather than|instead of|unrelated|ruled out|excluded|unlikely|contraindicated|"
    r"(?:resistant|resistance|refractory) to))\b|n't\b|^[- ]resistan"
)  # "NO" is nitric oxide
_SCOPE_ENDS = re.compile(
    r"\b(?:and|but) (?:\w+ly )?(?:is|are|was|were|has|had|have|may|can|\w+ed)\b"
)
_DENIAL_BEHIND = re.compile(
    r"(?:\W+\w+){0,2}?\W+(?:(?:is|was|are|were|has|have|had|do|does|did|could|can|may)(?: be| been)? "
    r"(?:not|never|absent|unlikely|excluded|ruled out|ineffective|rejected|contraindicated)|(?:has|have|had) no\b|"
    r"failed to|remains? unproven)",
    re.IGNORECASE,
)
_DENIAL_OF_NAME = re.compile(
    r"\b(?:[Nn]o|(?i:not|without|never|neither|nor|absence of|rather than|instead of|exclud(?:e|es|ed|ing)|non))[ -]"
    r"(?:[\w-]+ ){0,4}$"
)
_DENIAL_OF_NAME_BEHIND = re.compile(
    r"(?:\W+\w+){0,2}?\W+(?:is|was|are|were|has|have|did)(?: been)? (?:absent|excluded|ruled out|"
    r"not (?:seen|observed|found|detected|occur|develop))",
    re.IGNORECASE,
)
_DOUBT = re.compile(
    r"\b(?:possibl[ey]|possibility|potential(?:ly)?|suspected|hypothesi[sz]e[ds]?|hypothesis|whether|unclear|unknown|"
    r"controversial|presum(?:ed|ably)|putative|speculat\w+|questionable|if|aim(?:s|ed)?|purpose|objective|"
    r"to (?:investigate|determine|assess|evaluate|examine|test|explore|clarify|compare|find out|analy[sz]e))\b",
    re.IGNORECASE,
)
_HEDGE = re.compile(
    r"\b(?:may|might|could|probabl[ey]|likely|suggest(?:s|ed|ing|ive)?|appears?|seems?|propose[sd]?|thought|believed|"
    r"predicted)\b",
    re.IGNORECASE,
)
_DOUBT_OF_NAME = re.compile(
    r"\b(?:possible|suspected|presumed|putative|questionable|potential|hypothetical) (?:\w+ )?$",
    re.IGNORECASE,
)
_LABEL = re.compile(r"(?:(?<=\s)|^)([A-Z][A-Za-z]*(?:[ /&,][A-Za-z]+){0,5}):\s")
_SECTIONS = (
    (
        re.compile(
            r"result|finding|conclu|discussion|interpretation|case|observation|lesson|outcome|clinical",
            re.IGNORECASE,
        ),
        1.05,
    ),
    (
        re.compile(
            r"background|introduc|objective|aim|purpose|method|design|setting|hypothes|context|rationale|material|"
            r"participant|measure|procedure",
            re.IGNORECASE,
        ),
        0.9,
    ),
)


def certainty(sentence: str, left: Span, right: Span, named: bool) -> float:
    """The factor for what a sentence says of two entities: the [start, end) of the left one, or of
    the wording that leads up to it, and of the right one."""
    readable = _ONLY_LOOKS_SO.sub(lambda match: "_" * len(match.group()), sentence)
    before, behind = _clause(readable, left[0], right[1])
    between = readable[left[1] : right[0]]
    near = before[max(before.rfind(","), before.rfind("(")) + 1 :]
    before_it, behind_it = (
        (_DENIAL_OF_NAME, _DENIAL_OF_NAME_BEHIND) if named else (_DENIAL, _DENIAL_BEHIND)
    )
    if _is_denied(between) or before_it.search(near) or behind_it.match(behind):
        return DENIED
    if named:
        return DOUBTED if _DOUBT_OF_NAME.search(near) or sentence.endswith("?") else ASSERTED
    around = before + readable[left[0] : right[1]] + behind
    return (
        DOUBTED
        if _DOUBT.search(around) or sentence.endswith("?")
        else HEDGED
        if _HEDGE.search(around)
        else ASSERTED
    )


def may_deny(sentence: str) -> bool:
    """Whether a sentence has a word of denial at all."""
    return "resistan" in sentence or _DENIAL.search(sentence) is not None


def _is_denied(between: str) -> bool:
    """Whether a denial between two entities reaches the right one."""
    return any(
        not _SCOPE_ENDS.search(between, denial.end()) for denial in _DENIAL.finditer(between)
    )


def _clause(sentence: str, start: int, end: int) -> tuple[str, str]:
    """What stands before and behind characters [start, end) in their clause."""
    opening = max((match.end() for match in _BREAK.finditer(sentence, 0, start)), default=0)
    closing = _BREAK.search(sentence, end)
    return sentence[opening:start], sentence[end : closing.start() if closing else len(sentence)]


def section_factors(text: str, spans: Sequence[Span]) -> list[float]:
    """The factor of each sentence by the label of a structured abstract that it stands under
    ("RESULTS: ..."); 1 where there is none. What was found counts for more than what was meant or
    known before."""
    factors, current = [], 1.0
    for start, end in spans:
        label = _LABEL.match(text, start, end)
        if label:
            current = next((factor for names, factor in _SECTIONS if names.search(label[1])), 1.0)
        factors.append(current)
    return factors
