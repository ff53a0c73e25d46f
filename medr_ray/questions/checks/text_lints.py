"""What can be seen to be wrong with a question's text without a reader: named findings.

A lint reports what a physician would not write, whatever grammar or model wrote it; it decides
nothing. It sees the text, its answer and which words are names, and not how the text was made.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from medr_ray.core.records import Language, Question, QuestionStep, literal_values
from medr_ray.questions.answer_matching import normalize_words

LintName = Literal[
    "too_long",
    "leftover",
    "stock_opening",
    "both_the",
    "tautology",
    "bare_share",
    "capital",
    "inverted_name",
    "superlative",
    "spacing",
    "doubled_word",
    "no_question_mark",
]
LINT_NAMES: tuple[str, ...] = literal_values(LintName)

# Words of a text: what is read once and kept in mind, up to so many hops, and of a longer chain.
_SHORT_CHAIN = 4
_MAX_WORDS = 45
_MAX_WORDS_OF_LONG_CHAIN = 75
# Chinese is counted in characters: texts that say the same have about 5 of them for 3 English
# words, so these are the limits above times 5 / 3. A name or number in other letters counts as
# 2, a usual Chinese word, however long it is: readers take it in at a glance.
_MAX_CHARACTERS = 75
_MAX_CHARACTERS_OF_LONG_CHAIN = 125
_CHARACTERS_OF_A_FOREIGN_WORD = 2


@dataclass(frozen=True)
class TextLint:
    """A finding: its name, and the words it is about."""

    name: LintName
    excerpt: str


@dataclass(frozen=True)
class _LintedText:
    """What the lints look at. ``unquoted`` is the text without what it quotes, such as titles: the
    words of others stay as they are."""

    text: str
    unquoted: str
    language: Language
    hops: int
    answer: str
    name_words: Collection[str]


def find_lints(
    text: str, language: Language, hops: int, answer: str, name_words: Collection[str] = ()
) -> list[TextLint]:
    """Everything that is found in a question's text.

    ``name_words`` are words that are written with a capital wherever they stand, folded (see
    ``collect_name_words``).
    """
    linted = _LintedText(text, _QUOTED.sub(" ", text), language, hops, answer, name_words)
    return [
        TextLint(name, excerpt)
        for name, find_excerpts in _LINTS.items()
        for excerpt in find_excerpts(linted)
    ]


def lint_questions(questions: Sequence[Question]) -> dict[str, int]:
    """In how many of the questions each lint found something.

    Which words of diseases and drugs keep their capital is learnt from the names in all questions.
    A company's name and the like are those of the question's own steps: "Research" in one is no
    reason to write it so in another.
    """
    common: set[tuple[str, str]] = set()
    own: list[set[tuple[str, str]]] = []
    for question in questions:
        names = {(step.name, _find_name_type(step)) for step in question.steps}
        common |= {name for name in names if name[1] in _COMMON_NOUN_TYPES}
        own.append({name for name in names if name[1] not in _COMMON_NOUN_TYPES})
    common_words = collect_name_words(common)
    return count_lints(
        find_lints(
            question.task.text,
            question.task.language,
            question.complexity,
            question.task.answer,
            common_words | collect_name_words(names),
        )
        for question, names in zip(questions, own, strict=True)
    )


def _find_name_type(step: QuestionStep) -> str:
    """The type of a step's name. What a question names as it is printed, such as the acronym of a
    trial, has the type of all values: that it is a text stands in its id."""
    return "text" if step.value.startswith(_TEXT_PREFIX) else step.value_type


def count_lints(lints: Iterable[Iterable[TextLint]]) -> dict[str, int]:
    """In how many of the texts, whose findings are given, each lint found something: every lint,
    with 0 where it found nothing."""
    counts = Counter(name for findings in lints for name in {lint.name for lint in findings})
    return {name: counts[name] for name in LINT_NAMES}  # type: ignore[index]


# --- length and form ------------------------------------------------------------------

_CHINESE = re.compile(r"[぀-ヿ㐀-鿿]")
_FOREIGN_WORD = re.compile(r"[^\W_぀-ヿ㐀-鿿]+(?:[-.,'’/@][^\W_぀-ヿ㐀-鿿]+)*")
_QUOTED = re.compile(r"“[^”]*”|《[^》]*》|\"[^\"]*\"")
# What templates, masks and identifiers leave behind.
_LEFTOVER = re.compile(
    r"\(the one\b|[{}]|\[[A-Z_]{3,}\]|<[^<>]*>|\(\s*\)|\[\s*\]|（\s*）|\bNone\b|\bnan\b|\bTODO\b"
    r"|\b(?:MESH|OMIM|ORPHA|HP|MONDO|GENE|VALUE|NCT|FDA|PATENT|PMID):\w+",
)
_BRACKETS = {")": "(", "]": "[", "）": "（", "】": "【", "》": "《", "”": "“"}
_STOCK_OPENING = re.compile(
    r"(?:Begin|Start|Take|First, take|Starting|Beginning)\b(?!-)(?! (?:date|of|and)\b)"
    r"|从.+?出发|取(?![得决消])",
)
_BOTH_THE = re.compile(r"\bboth the\b.+?\band\b", re.IGNORECASE)
# A comma, full stop or the like in front of which there is a blank, or that stands twice. A blank
# before an abbreviation's or a number's point is none (" .5").
_SPACING = re.compile(
    r"\S*(?:  +| [,;:?!](?=\s|$)| \.(?=\s|$)|,,+|;;+|\?\?+|\.\.+|，，+|。。+|？？+)"
)
_DOUBLED = re.compile(r"\b([a-z]+) \1\b", re.IGNORECASE)
# Words that a sentence may have twice in a row.
_DOUBLED_RIGHTLY = frozenset({"that", "had", "very", "beri"})
_DOUBLED_CHINESE = re.compile(r"的的|是是|在在|与与|和和")
_QUESTION_MARKS = ("?", "？")


def describe_excess(text: str, language: Language, hops: int) -> str:
    """How long a question is, and how long it may be, where it is longer ("47 words, more than
    45"); else ""."""
    is_long_chain = hops > _SHORT_CHAIN
    if language == "zh":
        count = len(_CHINESE.findall(text))
        count += _CHARACTERS_OF_A_FOREIGN_WORD * len(_FOREIGN_WORD.findall(text))
        limit = _MAX_CHARACTERS_OF_LONG_CHAIN if is_long_chain else _MAX_CHARACTERS
        unit = "characters"
    else:
        count = len(text.split())
        limit = _MAX_WORDS_OF_LONG_CHAIN if is_long_chain else _MAX_WORDS
        unit = "words"
    return f"{count} {unit}, more than {limit}" if count > limit else ""


def _find_length(linted: _LintedText) -> Iterator[str]:
    excess = describe_excess(linted.text, linted.language, linted.hops)
    if excess:
        yield excess


def _find_leftovers(linted: _LintedText) -> Iterator[str]:
    for match in _LEFTOVER.finditer(linted.text):
        yield match[0]
    opened: list[str] = []
    for sign in linted.text:
        if sign in _BRACKETS.values():
            opened.append(sign)
        elif sign in _BRACKETS and (not opened or opened.pop() != _BRACKETS[sign]):
            yield f"{sign} that nothing opens"
            return
    if opened:
        yield f"{opened[-1]} that nothing closes"


def _find_stock_openings(linted: _LintedText) -> Iterator[str]:
    for sentence in _split_sentences(linted.text):
        match = _STOCK_OPENING.match(sentence)
        if match:
            yield match[0]


def _find_both_the(linted: _LintedText) -> Iterator[str]:
    for match in _BOTH_THE.finditer(linted.text):
        yield match[0]


def _find_spacing(linted: _LintedText) -> Iterator[str]:
    for match in _SPACING.finditer(linted.text):
        yield match[0]
    if linted.text != linted.text.strip():
        yield "blanks around the text"


def _find_doubled_words(linted: _LintedText) -> Iterator[str]:
    for match in _DOUBLED.finditer(linted.unquoted):
        if match[1].lower() not in _DOUBLED_RIGHTLY:
            yield match[0]
    for match in _DOUBLED_CHINESE.finditer(linted.unquoted):
        yield match[0]


def _find_missing_question_mark(linted: _LintedText) -> Iterator[str]:
    if not linted.text.rstrip().endswith(_QUESTION_MARKS):
        yield linted.text.rstrip()[-20:]


# --- what is said ---------------------------------------------------------------------

# Words of an answer that any question may have.
_COMMON_ANSWER_WORDS = frozenset(
    (
        *("a", "an", "and", "as", "at", "by", "for", "from", "in", "is", "it", "no"),
        *("none", "not", "of", "on", "or", "the", "to", "with", "yes"),
        *("acute", "arm", "chronic", "class", "cohort", "company", "condition", "date", "day"),
        *("disease", "disorder", "drug", "finding", "gene", "group"),
        *("inheritance", "inc", "incorporated", "limited", "ltd", "month", "name"),
        *("number", "onset", "patient", "patients", "percent"),
        *("phase", "placebo", "product", "syndrome", "trial", "type", "year", "years"),
    )
)
_MIN_TELLING_LETTERS = 3  # shorter words are in too many texts
# In Chinese texts: endings that say what kind of thing an answer is, and not which.
_CHINESE_KIND = re.compile(r"(?:综合征|综合症|疾病|遗传|公司|基因|药物|试验|病|症|型|剂)+$")
_CHOICE = re.compile(
    r"\bor\b|\bwhich of\b|\bversus\b|\bvs\b|\bcompar(?:e|ed|ing)\b|还是|或|哪一?[种个项组家]更",
    re.IGNORECASE,
)

_PEOPLE_EN = (
    r"(?:patients|people|persons|individuals|cases|subjects|participants|children|adults|infants"
    r"|women|men|families|probands|carriers)"
)
_PEOPLE_ZH = r"(?:患者|病人|病例|受试者|参与者|儿童|成人|女性|男性|家系|例)"
_BARE_SHARE = re.compile(
    rf"\b\d[\d,]* (?:out )?of (?:the )?\d[\d,]* (?:\w+ ){{0,2}}{_PEOPLE_EN}\b"
    rf"|\b\d[\d,]*/\d[\d,]* (?:\w+ ){{0,2}}{_PEOPLE_EN}\b"
    rf"|\b\d[\d.]*(?: ?(?:-|–|to) ?\d[\d.]*)? ?(?:%|percent|per cent) of (?:the )?(?:\w+ ){{0,2}}"
    rf"{_PEOPLE_EN}\b"
    rf"|\b(?:in|of) (?:all|some|most|few) {_PEOPLE_EN}\b"
    rf"|\d+ ?[名例个]?{_PEOPLE_ZH}?中(?:的|有)?\d+ ?[名例个]"
    rf"|\d[\d.]*(?: ?[-–~～至] ?\d[\d.]*)? ?%的{_PEOPLE_ZH}",
    re.IGNORECASE,
)
# A text with any of these says where a share is from.
_SOURCE = re.compile(
    r"\baccording to\b|\b(?:report(?:ed|s)?|published|registered|recorded|described|registry"
    r"|study|studies|trial|paper|cohort|article|review|label|annotations?|survey|monograph)\b|\bNCT\d{8}\b|\bPMID\b"
    r"|据|报道|发表|研究|试验|登记|论文|文献|队列|注释|说明书|综述",
    re.IGNORECASE,
)

_SUPERLATIVE = re.compile(
    r"\b(?:best|worst|safest|strongest|greatest|finest|deadliest|optimal|superior|foremost|leading"
    r"|gold[- ]standard|(?:most|least) (?:effective|efficacious|potent|powerful|promising|important"
    r"|significant|common|frequent|suitable|appropriate|successful|dangerous|severe|tolerable|toxic"
    r"|reliable|favou?rable|prominent|notable))\b"
    r"|最(?:好|佳|优|差|安全|有效|重要|常见|严重|强|适合|成功|危险|显著)|首选",
    re.IGNORECASE,
)
# What a superlative may be measured by; a text that names it says what it means.
_MEASURE = re.compile(
    r"\b(?:rate|share|proportion|percentage|percent|number|count|ratio|score|survival|mortality"
    r"|reduction|increase|change|mean|median|enrol(?:l)?ment|participants|dose|dosage|duration|years?"
    r"|months?|weeks?|days?|prevalence|incidence|frequency|concentration|level|risk|hazard|odds"
    r"|p[- ]?value|outcome|endpoint|response|measured|figure|result)s?\b|%"
    r"|率|比例|百分|数|剂量|时间|生存|评分|风险|结果|终点|浓度|水平|年|月",
    re.IGNORECASE,
)


def _find_tautology(linted: _LintedText) -> Iterator[str]:
    """The answer, when all that tells it from others is in the text already; a text that offers it
    for choice is none."""
    if _CHOICE.search(linted.text):
        return
    if linted.language == "zh" and _CHINESE.search(linted.answer):
        core = _CHINESE_KIND.sub("", linted.answer)
        if len(core) > 1 and core in linted.text:
            yield core
        return
    answer_words = normalize_words(linted.answer)
    telling = {word for word in answer_words if _is_telling(word)}
    # Of "4 patents" the figure tells; alone it may be part of a date that the text states.
    figures = {word for word in answer_words if word[0].isdigit()}
    if telling and telling | figures <= set(normalize_words(linted.text)):
        yield " ".join(sorted(telling | figures))


def _is_telling(word: str) -> bool:
    is_word = len(word) >= _MIN_TELLING_LETTERS and not word[0].isdigit()
    return is_word and word not in _COMMON_ANSWER_WORDS


def _find_bare_shares(linted: _LintedText) -> Iterator[str]:
    if _SOURCE.search(linted.text):
        return
    for match in _BARE_SHARE.finditer(linted.unquoted):
        yield match[0]


def _find_superlatives(linted: _LintedText) -> Iterator[str]:
    for match in _SUPERLATIVE.finditer(linted.unquoted):
        # "Best disease" is named after a physician.
        if match.start() and match[0][0].isupper() and match[0].lower() in linted.name_words:
            continue
        rest = linted.unquoted[: match.start()] + linted.unquoted[match.end() :]
        if not _MEASURE.search(rest):
            yield match[0]


# --- capitals -------------------------------------------------------------------------

# Types whose names are common nouns but for a word such as Marfan's; others' are names throughout.
_COMMON_NOUN_TYPES = frozenset({"disease", "phenotype", "value", "drug", "substance"})
# Types of which no name begins with a proper name, but for codes.
_GENERIC_TYPES = frozenset({"drug", "category"})
_TEXT_PREFIX = "VALUE:text/"
# What registries and their keepers are called. "Drugs" is a name in "Drugs@FDA" alone.
_REGISTRY = re.compile(
    r"\b(?:Drugs@FDA|Orange Book|ClinicalTrials\.gov|LiverTox|Orphanet|PubMed|DailyMed|DrugBank"
    r"|Human Phenotype Ontology|(?:US |U\.S\. )?Food and Drug Administration)\b"
)
# Endings of common nouns and adjectives of medicine. The writers have their own list: a lint that
# shared it would never see its faults.
_COMMON_ENDING = re.compile(
    r"(?:ia|osis|itis|emia|oma|pathy|trophy|plasia|ism|uria|derma|ency|ance|ation|tion|sion|lysis|cele"
    r"|megaly|penia|rrhea|plegia|paresis|ectasia|ity|ness|ment|al|ic|ive|ary|ar|ous|form|ated|i[sz]ed|ing|ure"
    r"|mab|nib|ine|ol|ide|ate|cin|vir|tan|pril|one|(?<=\w{4})ase|onset|stature)$"
)
# "Renpenning syndrome", "Bohring-Opitz syndrome": where persons' names stand, "-ing" is theirs.
_EPONYM_ENDING = re.compile(r"[^\W\d_]+ing(?:-[^\W\d_][\w-]*)? (?:syndrome|disease)\b")
_ALWAYS_CAPITAL = frozenset(
    (
        *("january", "february", "march", "april", "may", "june", "july", "august"),
        *("september", "october", "november", "december"),
        *("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
        *("i", "us", "usa", "american", "european", "english"),
        *("chinese", "japanese", "greek", "latin", "roman"),
    )
)
# A name as a catalogue sorts it: "Cardiomyopathy, familial hypertrophic 1", "Hemochromatosis, type
# 1". What stands behind such a comma in a catalogue, and in a sentence hardly ever; physicians do
# say "…, Kimberley type".
_INVERTED_NAME = re.compile(
    r"\b[^\W\d_][\w-]+(?: \w+)?, (?:familial|hereditary|congenital|acquired|autosomal|x-linked"
    r"|malignant|benign|hemolytic|somatic|sporadic"
    r"|primary|secondary|juvenile|infantile|neonatal|adult|idiopathic|central|chronic|acute"
    r"|(?:early|late)[- ]onset|susceptibility|type \w+|[\w-]+-(?:induced|related|associated|linked)"
    r"|\d{1,2}[a-z]?(?=[ ,?]))(?!\w)",
    re.IGNORECASE,
)
# An acronym or symbol: MRI, HIV-1, COL2A1. A longer word in capitals without a digit is shouted.
_MAX_ACRONYM_LETTERS = 6
_WORD = re.compile(r"[^\W\d_][\w’']*")
_SENTENCE_BREAK = re.compile(r"(?<=[.?!:])\s+(?=\S)|(?<=[。？！])\s*(?=\S)")
_POSSESSIVE = re.compile(r"['’]s?$")


def collect_name_words(names: Iterable[tuple[str, str]]) -> frozenset[str]:
    """The words that keep their capital in the middle of a sentence, folded, from (name, type).

    All words of a company's, a person's or a gene's name do, and of a category in several words
    ("Type 1 - New Molecular Entity"). Of a disease's or drug's those do that names have in capitals
    at least as often as not, behind the first word, which tables print with a capital anyway. Of a
    disease's, a word that is only ever the first does too, unless it ends as common nouns do.
    """
    kept: set[str] = set()
    first_words: set[str] = set()
    balance: Counter[str] = Counter()
    for name, name_type in set(names):
        words = _WORD.findall(name)
        # A period of life ("Adult") and a class of frequency are common nouns.
        is_common = name_type in _COMMON_NOUN_TYPES or (name_type == "category" and len(words) == 1)
        if not is_common:
            kept.update(map(_fold_word, words))
        elif words and not name.isupper():
            if _EPONYM_ENDING.match(name):
                kept.add(_fold_word(words[0]))
            elif name_type not in _GENERIC_TYPES:
                first_words.add(words[0])
            for word in words[1:]:
                balance[_fold_word(word)] += 1 if word[0].isupper() else -1
    for word in first_words:
        folded = _fold_word(word)
        if folded not in balance and word[0].isupper() and not _COMMON_ENDING.search(folded):
            kept.add(folded)
    # As often with as without: some table prints all names in small letters.
    kept.update(word for word, count in balance.items() if count >= 0)
    return frozenset(kept)


def _find_capitals(linted: _LintedText) -> Iterator[str]:
    if linted.language == "zh":
        return
    for sentence in _split_sentences(_REGISTRY.sub("registry", linted.unquoted)):
        for match in list(_WORD.finditer(sentence))[1:]:
            word = match[0]
            if word[0].isupper() and not _may_be_capital(word, linted.name_words):
                yield word


def _find_inverted_names(linted: _LintedText) -> Iterator[str]:
    for match in _INVERTED_NAME.finditer(linted.unquoted):
        yield match[0]


def _may_be_capital(word: str, name_words: Collection[str]) -> bool:
    folded = _fold_word(word)
    if folded in name_words or folded in _ALWAYS_CAPITAL:
        return True
    has_digit = any(sign.isdigit() for sign in word)
    is_acronym = word.isupper() and len(word) <= _MAX_ACRONYM_LETTERS
    # One capital inside is a spelling of its own: "LiverTox", "GlaxoSmithKline".
    has_own_spelling = not word.isupper() and any(sign.isupper() for sign in word[1:])
    return has_digit or is_acronym or has_own_spelling


def _fold_word(word: str) -> str:
    return _POSSESSIVE.sub("", word).casefold()


def _split_sentences(text: str) -> list[str]:
    return _SENTENCE_BREAK.split(text.strip())


# In the order in which findings are given.
_LINTS: dict[LintName, Callable[[_LintedText], Iterator[str]]] = {
    "too_long": _find_length,
    "leftover": _find_leftovers,
    "stock_opening": _find_stock_openings,
    "both_the": _find_both_the,
    "tautology": _find_tautology,
    "bare_share": _find_bare_shares,
    "capital": _find_capitals,
    "inverted_name": _find_inverted_names,
    "superlative": _find_superlatives,
    "spacing": _find_spacing,
    "doubled_word": _find_doubled_words,
    "no_question_mark": _find_missing_question_mark,
}
