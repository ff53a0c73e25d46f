"""Decides whether a sentence asserts the statement of a cue, or denies or doubts it.

It looks at negation and speculation within the clause.

A clause ends at a colon, a semicolon or a word of contrast. A statement is denied by words between
the two entities, before them in their clause with no comma in between, or right behind them ("was
excluded"). Phrases that only look like negation ("not only", "not uncommon") do not count. It is
doubted by words of doubt anywhere in the clause ("whether", "is not known"), and by an aim before
it ("to determine the role of"). A wording that names the relation ("losartan for Marfan syndrome")
is not hedged by what else the sentence finds likely ("may be safe"), but a question about it is a
doubt. A compound ("chloramphenicol-induced anaemia") takes the relation for granted, whatever the
sentence asks about it: it is denied or doubted only by the words right before it, or denied right
behind it.
"""

import re

from medr_ray.knowledge.predicates.declaration import CueWording
from medr_ray.retrieval.snippets import Span

# Factors on the confidence of a cue. From a doubted one the rules read no statement at all.
DENIED = 0.0
DOUBTED = 0.5
HEDGED = 0.9
ASSERTED = 1.0

_CLAUSE_BREAK = re.compile(
    r"[;:]|\b(?:but|however|although|though|whereas|while|yet|unlike|except|despite)\b",
    re.IGNORECASE,
)
_NOT_A_NEGATION = re.compile(
    r"\b(?:not (?:only|un\w+|infrequent\w*|rare\w*|just|merely|necessarily)|without doubt|"
    r"with (?:or|and) without|no doubt|(?:cannot|can not|could not) be (?:excluded|ruled out))\b",
    re.IGNORECASE,
)
# "No" is matched by case: "NO" is nitric oxide.
_DENIAL = re.compile(
    r"\b(?:[Nn]o|(?i:not|neither|nor|never|without|cannot|ineffective|lack(?:s|ed|ing)? of|"
    r"absence of|fail(?:s|ed|ure)? to|rather than|instead of|unrelated|ruled out|excluded|"
    r"unlikely|contraindicated|(?:less|least|poorly|rarely) (?:well )?(?:responsive|effective|"
    r"respond\w*)|(?:resistant|resistance|refractory) to))\b|n't\b|^[- ]resistan"
)
# A denial between two entities does not reach past these words: they begin another assertion.
_DENIAL_SCOPE_END = re.compile(
    r"\b(?:and|but) (?:\w+ly )?(?:is|are|was|were|has|had|have|may|can|\w+ed)\b"
)
_DENIAL_BEHIND = re.compile(
    r"(?:\W+\w+){0,2}?\W+"
    r"(?:(?:is|was|are|were|has|have|had|do|does|did|could|can|may)(?: be| been| of)? "
    r"(?:not|never|absent|unlikely|excluded|ruled out|ineffective|rejected|contraindicated|"
    r"unsuccessful|no (?:benefit|value|use|effect))|"
    r"(?:has|have|had) no\b|failed\b|without (?:success|effect|benefit|response|improvement)|"
    r"remains? unproven)",
    re.IGNORECASE,
)
_DENIAL_OF_NAME = re.compile(
    r"\b(?:[Nn]o|(?i:not|without|never|neither|nor|absence of|rather than|instead of|"
    r"exclud(?:e|es|ed|ing)|non))[ -](?:[\w-]+ ){0,6}$"
)
_DENIAL_OF_NAME_BEHIND = re.compile(
    r"(?:\W+\w+){0,2}?\W+(?:is|was|are|were|has|have|did)(?: been)? (?:absent|excluded|ruled out|"
    r"not (?:suitable|recommended|indicated|appropriate|used)|"
    r"not (?:seen|observed|found|detected|occur|develop))",
    re.IGNORECASE,
)
# Words that ask for a relation or leave it open. What is unclear about a mechanism or an origin
# takes the relation for granted.
_QUESTION = re.compile(
    r"\b(?:whether|hypothesi[sz]e[ds]?|hypothes[ie]s|speculat\w+|controversial|"
    r"(?<!mechanism )(?<!mechanisms )(?<!pathogenesis )(?<!reason )(?<!reasons )"
    r"(?:is|are|was|were|remain(?:s|ed)?|been) (?:(?:as )?yet |still |largely |not )?"
    r"(?:(?:fully|well|entirely|completely) )?"
    r"(?:un(?:clear|known|certain|established|proven|determined|resolved)|"
    r"(?<=not )(?:clear|known|certain|established|proven|determined)|"
    r"to be (?:\w+ )?(?:seen|determined|established|proven|clarified|elucidated|investigated)|"
    r"questioned|elusive|debated)|inconclusive|inconsistent|conflicting|few reports|"
    r"needs? (?:to be )?further|further (?:stud|investigat|research|explor)|"
    r"(?:ask|know|known|determine|examine|see|test|clear|learn|assess|evaluate|establish)\w* if)\b",
    re.IGNORECASE,
)
_DOUBT = re.compile(
    r"\b(?:possibl[ey]|possibility|potential(?:ly)?|suspected|presum(?:ed|ably)|putative|"
    r"questionable|would)\b",
    re.IGNORECASE,
)
_STUDIES = (
    "(?:investigat|reveal|elucidat|understand|uncover|determin|assess|"
    "evaluat|examin|test|explor|clarif|compar|find out|analy[sz]|"
    "stud|defin)"
)
_OPEN_QUESTION = (
    "(?:effects?|efficacy|effectiveness|safety|roles?|associations?|relation(?:ship)?s?|impact|"
    "influence|usefulness|value|potential|possible|contribution|involvement|activity|feasibility|"
    "correlations?|abilit(?:y|ies)|capacity|expression|levels?|prevalence|incidence|frequency)"
)
# An aim says what is to be found out, not what was found.
_AIM = re.compile(
    rf"\b(?:aim(?:s|ed)?|purpose|objective|goal|in order to|designed to|"
    rf"to {_STUDIES}\w*|"
    rf"{_STUDIES}\w* (?:\w+ ){{0,2}}{_OPEN_QUESTION})\b",
    re.IGNORECASE,
)
_HEDGE = re.compile(
    r"\b(?:may|might|could|probabl[ey]|likely|suggest(?:s|ed|ing|ive)?|appears?|seems?|"
    r"propose[sd]?|thought|believed|predicted)\b",
    re.IGNORECASE,
)
_DOUBT_OF_NAME = re.compile(
    r"\b(?:possible|possibility of|potential of|suspected|presumed|putative|questionable|potential|"
    r"hypothetical|proposed) (?:\w+ ){0,2}$",
    re.IGNORECASE,
)
# A treatment that is hoped for: "may represent a potential new therapy for gout".
_HOPED_FOR = re.compile(
    r"\b(?:potential|possible|promising|candidate|prospective) (?:(?:new|novel|alternative|"
    r"additional|adjuvant|future|therapeutic) )*(?:therap(?:y|ies)|treatments?|drugs?|agents?|"
    r"option|strateg(?:y|ies)|approach(?:es)?|candidates?)\b",
    re.IGNORECASE,
)


def compute_assertion_factor(
    sentence: str, left: Span, right: Span, wording: CueWording = "clause"
) -> float:
    """The factor for the statement of a sentence about two entities, from ``DENIED`` to
    ``ASSERTED``.

    ``left`` is the [start, end) of the left entity, or of the words that lead up to it, and
    ``right`` that of the right entity. ``wording`` is that of the cue between them.
    """
    # Masked with the same number of characters, so that the offsets stay valid.
    readable = _NOT_A_NEGATION.sub(lambda match: "_" * len(match.group()), sentence)
    before, behind = _split_clause(readable, left[0], right[1])
    between = readable[left[1] : right[0]]
    # A denial before a comma or a bracket usually refers to something else.
    near = before[max(before.rfind(","), before.rfind("(")) + 1 :]
    if _is_denied_between(between):
        return DENIED
    if wording == "compound":
        if _DENIAL_OF_NAME.search(near) or _DENIAL_OF_NAME_BEHIND.match(behind):
            return DENIED
        # A title in the form of a question doubts what it says.
        is_doubted = _DOUBT_OF_NAME.search(near) or sentence.endswith("?")
        return DOUBTED if is_doubted else ASSERTED
    denial = _DENIAL if wording == "clause" else _DENIAL_OF_NAME
    if denial.search(near) or _DENIAL_BEHIND.match(behind):
        return DENIED
    inside = readable[left[0] : right[1]]
    clause = before + inside + behind
    if sentence.endswith("?") or _QUESTION.search(clause) or _AIM.search(before + inside):
        return DOUBTED
    if wording == "named":
        is_hoped_for = _HOPED_FOR.search(between) is not None
        return DOUBTED if is_hoped_for or _DOUBT_OF_NAME.search(near) else ASSERTED
    if _DOUBT.search(clause):
        return DOUBTED
    return HEDGED if _HEDGE.search(clause) else ASSERTED


def may_deny(sentence: str) -> bool:
    """Whether a sentence has any word of denial: a quick test before
    ``compute_assertion_factor``."""
    # ``_DENIAL`` accepts "-resistan" only at the beginning of the text between two entities, so a
    # whole sentence is searched for it separately.
    return "resistan" in sentence or _DENIAL.search(sentence) is not None


def _is_denied_between(between: str) -> bool:
    """Whether a denial between two entities reaches the right one."""
    return any(
        not _DENIAL_SCOPE_END.search(between, denial.end()) for denial in _DENIAL.finditer(between)
    )


def _split_clause(sentence: str, start: int, end: int) -> tuple[str, str]:
    """The parts of the clause before and behind characters [start, end)."""
    breaks_before = (match.end() for match in _CLAUSE_BREAK.finditer(sentence, 0, start))
    clause_start = max(breaks_before, default=0)
    break_behind = _CLAUSE_BREAK.search(sentence, end)
    clause_end = break_behind.start() if break_behind else len(sentence)
    return sentence[clause_start:start], sentence[end:clause_end]
