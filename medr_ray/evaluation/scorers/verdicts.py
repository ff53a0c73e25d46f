"""The verdict in a judge's reply.

A verdict is a statement: the field of a JSON object, a line "correct: yes", or a line of one word.
What only mentions a verdict is none: the words of the instructions ("yes or no"), a hypothesis ("it
would have been correct: yes"), a quotation of the answer. Statements that contradict each other are
no verdict either, so that the judge is asked again.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from medr_ray.core.json_text import InvalidJson, find_json_values, parse_json
from medr_ray.llm.thoughts import split_thought

# In the languages in which models answer, whatever the prompt's.
_YES_WORDS = (
    *("yes", "true", "correct", "right", "是", "对", "正确", "是的", "正確", "對"),
    *("正解", "はい", "정답", "예", "да", "верно", "правильно", "ja", "richtig", "oui", "vrai"),
    *("sí", "correcto", "✓", "✔", "✅"),
)
_NO_WORDS = (
    *("no", "false", "incorrect", "wrong", "not correct", "否", "错", "错误", "不正确"),
    *("不对", "不是", "不", "錯", "錯誤", "不正確", "不對", "不正解", "いいえ", "오답", "아니오"),
    *("нет", "неверно", "неправильно", "nein", "falsch", "non", "faux", "incorrecto"),
    *("✗", "✘", "❌"),
)
_VALUES = dict.fromkeys(_YES_WORDS, True) | dict.fromkeys(_NO_WORDS, False)
# The longest first: "不正确" begins with "不".
_VALUE = "|".join(sorted(_VALUES, key=len, reverse=True))
_LABEL = (
    r"is[ _]correct|correct(?:ness)?|verdict|judge?ment|grade|"
    r"是否正确|正确性|正确|判断|判定|评判|结论|裁定|是否正確|正確|判斷|結論"
)
_JSON_FIELDS = frozenset(
    {
        "correct",
        "is_correct",
        "verdict",
        "judgement",
        "judgment",
        "grade",
        "正确",
        "是否正确",
        "正確",
    }
)
_MARKUP = r"[\s\"'“”‘’*_`~]*"
_STATEMENT = re.compile(
    rf"(?<![\w-])(?P<label>{_LABEL})(?P<end>[\"”])?{_MARKUP}(?:[:=?→]|[-=]>){_MARKUP}[\[(（【「<]?{_MARKUP}"
    rf"(?P<value>{_VALUE})(?P<after>[^\n]*)",
    re.IGNORECASE,
)
_BARE_LINE = re.compile(
    rf"^[\s\"'“”‘’*_`~#>\[\](){{}}（）【】「」-]*(?P<value>{_VALUE})"
    r"[\s\"'“”‘’*_`~\[\](){}（）【】「」.!。！]*$",
    re.IGNORECASE | re.MULTILINE,
)
# A line that is a sentence about the answer, and nothing else.
_SENTENCE = re.compile(
    r"^[\s*_`~#-]*(?:(?P<lead>yes|no)[,.;:—–-]+\s{0,3})?"
    r"(?:(?:the|this) (?:given |candidate |submitted )?(?:answer|response) is|it is|"
    r"(?:该|此|这个|所给)?(?:回答|作答|答案)是?) ?[*_`]{0,3}"
    r"(?P<value>correct|right|incorrect|wrong|not correct|正确|不正确|错误)的?[\s*_`~.!。！]*$",
    re.IGNORECASE | re.MULTILINE,
)
# Characters without width, which some models write into their replies.
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]")
# What wraps a value: a box of LaTeX, tags with the label as their name, marks of a chat template.
_BOX = re.compile(r"\\boxed\{(?:\\text\{)?([^{}\n]{1,40})\}{1,2}")
_TAGGED = re.compile(
    rf"<(?P<label>{_LABEL})>\s{{0,9}}(?P<value>{_VALUE})\s{{0,9}}</(?:{_LABEL})>", re.IGNORECASE
)
_END_MARK = re.compile(r"(?:<\|[^|<>\n]{1,40}\|>|</s>|<eos>|<end_of_turn>)")
# The key of an object without its brackets.
_KEY_QUOTE = re.compile(r"[\"“]\Z")
# What may follow a value: nothing, punctuation, or the next field of the reply.
_AFTER_VALUE = re.compile(
    r"""[\s"'“”‘’*_`~\])）】」>]*(?:$|[.,;!。，；！(（—–-]|(?:because|since|as|confidence|reason\w*)\b)""",
    re.IGNORECASE,
)
_ALTERNATIVE = re.compile(
    rf"{_MARKUP}(?:or|and|/|\||或者?|还是|、){_MARKUP}(?:{_VALUE})", re.IGNORECASE
)
# Words before a verdict, in its sentence, that make it a mention.
_MENTION = re.compile(
    r"\b(?:not|never|if|unless|would|could|might|should|were|had|whether|claim\w*|sa(?:y|ys|id)|"
    r"stat(?:es?|ed|ing)|assert\w*|writes?|wrote|reply|answer with|either|pretend\w*|"
    r"instruct\w*)\b|"
    r"n't\b|如果|假如|假设|若|要是|倘若|除非|本来|声称|写道|说|回答|并非|不是",
    re.IGNORECASE,
)
# Words behind it, in its sentence: "correct: yes, had it said so".
_HYPOTHESIS = re.compile(r"\b(?:if|had|were|unless|provided|would)\b|如果|假如|的话", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?。！？;；\n](?=\s|$)|\n")
_OPEN_QUOTE = re.compile(r"[\"“‘「『][^\"”’」』\n]*$")
_MAX_REPLY_CHARACTERS = 100_000  # of a reply that is looked at; a verdict is one word


def parse_verdict(reply: str) -> bool | None:
    """Whether a judge's reply says that the answer is correct; None where it gives no verdict."""
    body = _INVISIBLE.sub("", split_thought(reply[:_MAX_REPLY_CHARACTERS]).rest)
    # Full-width letters and colons are letters and colons.
    body = _END_MARK.sub("", _BOX.sub(r"\1", unicodedata.normalize("NFKC", body)))
    body = _TAGGED.sub(r"\n\g<label>: \g<value>\n", body)
    verdicts = set(_read_json_verdicts(body))
    if not verdicts:
        # An object that is cut off or broken states nothing, whatever its texts quote.
        prose = body.partition("{")[0]
        verdicts = {*_read_statements(prose), *_read_bare_lines(prose)}
    return verdicts.pop() if len(verdicts) == 1 else None


def _read_json_verdicts(body: str) -> Iterator[bool]:
    """The verdicts of the JSON objects in a reply."""
    try:
        values = [parse_json(body, "the reply")]
    except InvalidJson:
        try:
            values = list(find_json_values(body))
        except InvalidJson:
            values = []
    for value in _list_objects(values):
        for field, content in value.items():
            verdict = _read_value(content)
            if field.strip().casefold() in _JSON_FIELDS and verdict is not None:
                yield verdict


def _list_objects(values: list[Any]) -> Iterator[dict[str, Any]]:
    """The objects among the values, and those in a list of one."""
    for value in values:
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, dict):
            yield value


def _read_value(content: Any) -> bool | None:
    if isinstance(content, str):
        return _VALUES.get(content.strip().strip(".。").casefold())
    # 1 and 0 are equal to True and False.
    return bool(content) if content in (True, False) else None


def _read_statements(prose: str) -> Iterator[bool]:
    """The verdicts of "correct: yes" and its like."""
    for match in _STATEMENT.finditer(prose):
        before = _SENTENCE_END.split(prose[: match.start()][-300:])[-1]
        if match["end"] is not None:
            before = _KEY_QUOTE.sub("", before)
        after = match["after"]
        sentence_rest = _SENTENCE_END.split(after)[0]
        is_mention = (
            _MENTION.search(before)
            or _OPEN_QUOTE.search(before)
            or _ALTERNATIVE.match(after)
            or _HYPOTHESIS.search(sentence_rest)
            or not _AFTER_VALUE.match(after)
        )
        if not is_mention:
            yield _VALUES[match["value"].casefold()]
            # What follows on the line may state the opposite.
            for other in _STATEMENT.finditer(after):
                yield _VALUES[other["value"].casefold()]


def _read_bare_lines(prose: str) -> Iterator[bool]:
    """The verdicts of lines that are one word, or one sentence about the answer."""
    for pattern in (_BARE_LINE, _SENTENCE):
        for match in pattern.finditer(prose):
            yield _VALUES[match["value"].casefold()]
            lead = match.groupdict().get("lead")
            if lead:
                yield _VALUES[lead.casefold()]
