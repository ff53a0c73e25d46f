"""Figures in a text, each in one spelling: numbers with their signs, powers, fractions, ranges,
comparisons, dates, quantities with units.

Guarantees: two different figures never get the same spelling. What could be read in two ways stays
as it is written ("1,5" without a unit, "03/04/2020", "1.000" is one). A percentage is not a share:
"50 %" is not 0.5. Days, months and years are not converted, for none is an exact number of the
others; grams, litres, metres, seconds and moles are. The time is in proportion to the length of the
text.
"""

import functools
import re
import unicodedata
from collections.abc import Sequence
from datetime import date
from fractions import Fraction

from medr_ray.knowledge.name_normalization import write_beta
from medr_ray.questions.answer_phrases import write_phrases

_MAX_DIGITS = 40  # of a number that is compared by its value; longer ones are compared as written
_MAX_EXPONENT = 300  # beyond it a power is compared as written

# --- characters -------------------------------------------------------------------------

_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
_RAISED = re.compile(r"(?<=(.))[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻]+", re.S)
_VULGAR_FRACTION = re.compile(r"[¼-¾⅐-⅞↉]")
_MICRO = re.compile(r"[µμ](?=(?:g|l|m|mol|s|iu)\b)", re.I)
# Case tells molar from metre: "5 mM" is not 5 mm.
_MOLAR = re.compile(r"(?<=\d)\s?([mµμunp]?)M\b")
_MICRO_SIGNS = {"µ": "u", "μ": "u"}
_SIGN_SPELLINGS = {
    **dict.fromkeys("‐‑‒–—−－﹣", "-"),
    **dict.fromkeys("⩾≧", "≥"),
    **dict.fromkeys("⩽≦", "≤"),
    **dict.fromkeys("≈≃∼～", "~"),
    **dict.fromkeys("’‘ʼ′", "'"),
    **dict.fromkeys("⁄∕", "/"),
    "·": ".",
    "％": "%",
}
_SIGNS = str.maketrans(_SIGN_SPELLINGS)
# A dot in the middle is a decimal point elsewhere.
_DOT_TIMES = re.compile(r"(?<=\d) ?[·⋅∙•] ?(?=10\^)")


def fold_signs(text: str) -> str:
    """The text in compatibility form and lower case, with raised figures behind a ``^`` and one
    character for each sign."""
    # "5 mM" in ASCII too; all the rest is for signs beyond it.
    text = _MOLAR.sub(lambda match: f" {_MICRO_SIGNS.get(match[1], match[1])}molar", text)
    if text.isascii():
        return " ".join(text.lower().split())
    text = write_beta(unicodedata.normalize("NFC", text))
    text = _RAISED.sub(_write_raised, text)
    text = _VULGAR_FRACTION.sub(lambda match: f" {unicodedata.normalize('NFKC', match[0])} ", text)
    text = _MICRO.sub("u", text)
    text = _DOT_TIMES.sub(" × ", text)
    text = re.sub(r"(?<=\d)·(?=\d)", ".", text).replace("·", " ")
    text = unicodedata.normalize("NFKC", text.translate(_SIGNS)).translate(_SIGNS).casefold()
    return " ".join(text.split())


def _write_raised(match: re.Match[str]) -> str:
    figure = match[0].translate(_SUPERSCRIPTS)
    is_charge = figure[-1] in "+-" and not match[1].isdigit()
    is_exponent = match[1].isdigit() or (match[1].isalpha() and not is_charge)
    return f"^{figure}" if is_exponent else figure


# --- Chinese figures --------------------------------------------------------------------

_HAN_DIGITS = {
    **{character: value for value, character in enumerate("零一二三四五六七八九")},
    "〇": 0,
    "两": 2,
    "兩": 2,
}
_HAN_SCALES = {"十": 10, "百": 100, "千": 1_000}
_HAN_LARGE_SCALES = {"万": 10_000, "萬": 10_000, "亿": 10**8, "億": 10**8}
_HAN_FIGURE = "[零〇一二三四五六七八九两兩十百千万萬亿億]"
_HAN_NUMBER = re.compile(rf"{_HAN_FIGURE}+(?:点[零〇一二三四五六七八九]+)?")
_HAN_PARTS = re.compile(
    rf"(?P<whole>百|{_HAN_FIGURE}{{1,12}}|\d{{1,9}})分之"
    rf"(?P<part>{_HAN_FIGURE}{{1,12}}(?:点[零〇一二三四五六七八九]{{1,12}})?|\d{{1,9}}(?:\.\d{{1,9}})?)"
)
_HAN_SCALED_DIGITS = re.compile(r"(?<![\d.])(\d+(?:\.\d+)?) ?([千万萬亿億]+)(?!克|米|分)")
# Words of comparison and of units, as the English ones.
_HAN_WORDS = {
    "大于等于": "≥",
    "大于或等于": "≥",
    "不少于": "≥",
    "不低于": "≥",
    "不小于": "≥",
    "至少": "≥",
    "小于等于": "≤",
    "小于或等于": "≤",
    "不超过": "≤",
    "不多于": "≤",
    "不高于": "≤",
    "不大于": "≤",
    "至多": "≤",
    "最多": "≤",
    "超过": ">",
    "大于": ">",
    "多于": ">",
    "高于": ">",
    "小于": "<",
    "少于": "<",
    "低于": "<",
    "大约": "~",
    "约": "~",
}
_HAN_COMPARISON = re.compile(
    rf"({'|'.join(sorted(_HAN_WORDS, key=len, reverse=True))})"
    r"(?= ?[-.]?[\d零〇一二三四五六七八九两十百])"
)
_HAN_UNITS = {
    "千克": "kg",
    "公斤": "kg",
    "毫克": "mg",
    "微克": "ug",
    "纳克": "ng",
    "克": "g",
    "毫升": "ml",
    "微升": "ul",
    "升": "l",
    "公里": "km",
    "千米": "km",
    "厘米": "cm",
    "毫米": "mm",
    "微米": "um",
    "纳米": "nm",
    "米": "m",
    "小时": "h",
    "分钟": "min",
    "秒": "s",
    "天": "day",
    "周": "week",
    "个月": "month",
}
_HAN_UNIT = re.compile(rf"(?<=\d) ?({'|'.join(sorted(_HAN_UNITS, key=len, reverse=True))})")
_HAN_RANGE = re.compile(r"(?<=\d)%? ?(?:到|至) ?(?=[-.]?\d)")
_HAN_DATE = re.compile(
    r"(?<!\d)(\d{4}) ?年 ?(\d{1,2}) ?月(?: ?(\d{1,2}) ?[日号])?|(?<![\d.])(\d{4}) ?年(?=$|[^\w])"
)
_HAN_YEARS = re.compile(r"(?<![\d.])(\d{1,3}) ?年(?! ?\d)")
_HAN_COUNT = re.compile(r"(?<=\d)个$")
_HAN_EVERY_DAY = re.compile(r"(?:每|1)[日天](?= ?\d+ ?次)")


def _parse_han_integer(text: str) -> int:
    """The value of a Chinese numeral, by digits ("二〇二〇") or by scales ("一百二十")."""
    if all(character in _HAN_DIGITS for character in text):
        return int("".join(str(_HAN_DIGITS[character]) for character in text))
    total = section = digit = 0
    scale = 1
    for character in text:
        if character in _HAN_DIGITS:
            digit = _HAN_DIGITS[character]
            # "一百二" is a hundred and twenty, "一百零二" a hundred and two.
            scale = 1 if digit == 0 else scale
        elif character in _HAN_SCALES:
            scale = _HAN_SCALES[character]
            section += (digit or 1) * scale
            digit = 0
        else:
            scale = _HAN_LARGE_SCALES[character]
            total = (total + section + digit or 1) * scale
            section = digit = 0
    return total + section + digit * (scale // 10 if scale > 10 else 1)


def _write_han_number(match: re.Match[str]) -> str:
    whole, _, decimals = match[0].partition("点")
    if len(whole) > _MAX_DIGITS:
        return match[0]
    value = str(_parse_han_integer(whole))
    if decimals:
        value += "." + "".join(str(_HAN_DIGITS[digit]) for digit in decimals)
    return value


def _write_han_parts(match: re.Match[str]) -> str:
    part = _HAN_NUMBER.sub(_write_han_number, match["part"])
    whole = _HAN_NUMBER.sub(_write_han_number, match["whole"])
    return f" {part}% " if whole == "100" else f" {part}/{whole} "


def _write_han_date(match: re.Match[str]) -> str:
    if match[4]:
        return match[4]
    return _write_date(match[1], int(match[2]), match[3], match[0])


def _scale_digits(match: re.Match[str]) -> str:
    scale = 1
    for character in match[2][:3]:
        scale *= _HAN_SCALES.get(character) or _HAN_LARGE_SCALES[character]
    is_long = len(match[1]) > _MAX_DIGITS or len(match[2]) > 3
    return match[0] if is_long else format_number(Fraction(match[1]) * scale)


def _replace_han_figures(text: str) -> str:
    """The text with Chinese numerals, comparisons, dates and units as the English ones."""
    text = _HAN_COMPARISON.sub(lambda match: f" {_HAN_WORDS[match[1]]} ", text)
    text = _HAN_SCALED_DIGITS.sub(_scale_digits, text)
    text = _HAN_PARTS.sub(_write_han_parts, text)
    text = _HAN_NUMBER.sub(_write_han_number, text.replace("一半", " 1/2 "))
    text = _HAN_EVERY_DAY.sub("每天", text)
    text = _HAN_DATE.sub(_write_han_date, text)
    text = _HAN_YEARS.sub(r"\1 year ", text)
    text = _HAN_UNIT.sub(lambda match: f" {_HAN_UNITS[match[1]]} ", text)
    text = _HAN_RANGE.sub("–", text)
    return _HAN_COUNT.sub("", text)


# --- dates ------------------------------------------------------------------------------

_MONTHS = {
    "january": 1,
    "february": 2,
    "march": 3,
    "april": 4,
    "may": 5,
    "june": 6,
    "july": 7,
    "august": 8,
    "september": 9,
    "october": 10,
    "november": 11,
    "december": 12,
}
_MONTHS |= {name[:3]: number for name, number in _MONTHS.items()} | {"sept": 9}
# Longest names first, because a regular expression takes the first alternative that fits.
_MONTH_PATTERN = "|".join(sorted(_MONTHS, key=len, reverse=True))
_ORDINAL_ENDING = "(?:st|nd|rd|th)?"
_DAY_FIRST = re.compile(
    rf"\b(\d{{1,2}}){_ORDINAL_ENDING}[ -](?:of )?({_MONTH_PATTERN})\.?,?[ -](\d{{4}})\b"
)
_MONTH_FIRST = re.compile(
    rf"\b({_MONTH_PATTERN})\.?[ -](\d{{1,2}}){_ORDINAL_ENDING},?[ -](\d{{4}})\b"
)
_MONTH_AND_YEAR = re.compile(rf"\b({_MONTH_PATTERN})\.?,?[ -](?:of )?(\d{{4}})\b")
_ISO_DATE = re.compile(r"(?<![\w.-])(\d{4})([-/.])(\d{1,2})\2(\d{1,2})(?![\w-]|\.\d)")
_ISO_MONTH = re.compile(r"(?<![\w.-])(\d{4})-(0[1-9]|1[0-2])(?![\w-]|\.\d)")
_NUMERIC_DATE = re.compile(r"(?<![\w./-])(\d{1,2})([-/.])(\d{1,2})\2(\d{4})(?![\w/-]|\.\d)")


def _write_date(year: str, month: int, day: str | None, text: str) -> str:
    """The date as one word ("date20200131"; "date202001" where the day is not known)."""
    try:
        full_date = date(int(year), month, int(day or 1))
    except ValueError:
        # "31 february 2020" is not a date: it is compared as plain text.
        return text
    year_and_month = f" date{full_date.year:04}{full_date.month:02}"
    return f"{year_and_month}{full_date.day:02} " if day else f"{year_and_month} "


def _write_numeric_date(match: re.Match[str]) -> str:
    """A date with the year last; the day is certain only where it is more than twelve."""
    first = int(match[1])
    last = int(match[3])
    if first > 12 >= last:
        return _write_date(match[4], last, match[1], match[0])
    if last > 12 >= first:
        return _write_date(match[4], first, match[3], match[0])
    return match[0]


def _replace_dates(text: str) -> str:
    """The text with every date in the same form."""
    text = _DAY_FIRST.sub(
        lambda match: _write_date(match[3], _MONTHS[match[2]], match[1], match[0]), text
    )
    text = _MONTH_FIRST.sub(
        lambda match: _write_date(match[3], _MONTHS[match[1]], match[2], match[0]), text
    )
    text = _MONTH_AND_YEAR.sub(
        lambda match: _write_date(match[2], _MONTHS[match[1]], None, match[0]), text
    )
    text = _ISO_DATE.sub(
        lambda match: _write_date(match[1], int(match[3]), match[4], match[0]), text
    )
    text = _ISO_MONTH.sub(lambda match: _write_date(match[1], int(match[2]), None, match[0]), text)
    return _NUMERIC_DATE.sub(_write_numeric_date, text)


# --- signs and separators -----------------------------------------------------------------

_NUMBER_AHEAD = (
    r"(?= ?(?:[-+.$€£¥]?\d|(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|"
    r"thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|"
    r"sixty|seventy|eighty|ninety)\b))"
)
# A digit, a sign of comparison, or a word that may be a number.
_ANY_FIGURE = re.compile(
    r"[\d<>%^+~]|one|two|three|four|five|six|seven|eight|nine|ten\b|eleven|twelve|teen|"
    r"twenty|thirty|forty|fifty|plus|per ?cent|once|twice|thrice|half|third|quarter|hourly|daily|"
    r"weekly|monthly|yearly|annually|every |\.i\.d|hundred|thousand|million|billion"
)
# Words that are looked for first, the pattern, the sign.
_COMPARISONS = (
    ((">",), re.compile(r"> ?="), "≥"),
    (("<",), re.compile(r"< ?="), "≤"),
    (("+", "plus"), re.compile(r"\+ ?/ ?-|\bplus[ -]or[ -]minus\b|\+-(?=\d)"), "±"),
    (
        ("equal to", "at least", " than ", "minimum"),
        re.compile(
            r"\b(?:greater|more|higher) than or equal to\b|\b(?:at least|not? (?:less|fewer)"
            rf" than|a minimum of|minimum of){_NUMBER_AHEAD}"
        ),
        "≥",
    ),
    (
        ("equal to", "at most", " than ", "up to", "maximum"),
        re.compile(
            r"\b(?:less|fewer|lower) than or equal to\b|\b(?:at most|not? more than|up to|"
            rf"a maximum of|maximum of){_NUMBER_AHEAD}"
        ),
        "≤",
    ),
    (
        (" than", "over", "above", "exceeding"),
        re.compile(
            rf"\b(?:(?:greater|more|higher|larger) than|over|above|exceeding){_NUMBER_AHEAD}"
        ),
        ">",
    ),
    (
        (" than", "under", "below"),
        re.compile(rf"\b(?:(?:less|fewer|lower|smaller) than|under|below){_NUMBER_AHEAD}"),
        "<",
    ),
    (
        ("about", "approx", "around", "circa", "ca.", "~"),
        re.compile(rf"(?:\b(?:about|approximately|approx\.?|around|circa|ca\.)|~){_NUMBER_AHEAD}"),
        "~",
    ),
    (("minus", "negative"), re.compile(r"\b(?:minus|negative) (?=\.?\d)"), " -"),
)
_THOUSANDS = (
    # 1.234,5: both separators, so the last one is the decimal sign.
    (re.compile(r"(?<![\w.,])(\d{1,3}(?:\.\d{3})+),(\d+)(?![\w.,])"), "."),
    # 1.234.567
    (re.compile(r"(?<![\w.,])(\d{1,3}(?:\.\d{3}){2,})()(?!\d|[.,]\d)"), "."),
    # 1,234,567 and 1,23,456 (India)
    (re.compile(r"(?<![\w.,])(\d{1,3}(?:,\d{3})+)()(?!,?\d)"), ","),
    (re.compile(r"(?<![\w.,])(\d{1,2}(?:,\d{2})+,\d{3})()(?!,?\d)"), ","),
    (re.compile(r"(?<![\w.,'])(\d{1,3}(?:'\d{3})+)()(?!'?\d)"), "'"),
    (re.compile(r"(?<![\w.,])(?<!\d )([1-9]\d{0,2}(?: \d{3})+)()(?! ?\d)"), " "),
)
_COMMA_DECIMAL = re.compile(r"(?<![\w.,])0,(?=\d)(?!\d+,)")
# "1,5 mg" is a decimal comma; "1,5" may be two numbers.
_COMMA_BEFORE_UNIT = re.compile(
    r"(?<![\w.,-])(\d{1,4}),(\d{1,2})"
    r"(?= ?(?:%|[x×*] ?10\^|[kdcmunp]?(?:g|l|m|mol|s)\b|mcg\b|h\b|min\b|iu\b|mmhg\b))"
)
# NLM's own way before it had markup, and that of programs.
_POWER_SPELLINGS = re.compile(
    r"(?P<times>[x×*] ?)10\((?P<power>[-+]?\d{1,3})\)|\b10\((?P<negative>-\d{1,3})\)|"
    r"\b10\*\*(?P<bare>[-+]?\d{1,3})"
)
# "5 mg kg^-1 min^-1" is 5 mg/kg/min; "5 s^-1" is not 5 s.
_INVERSE_UNITS = re.compile(r"(?<=\d)( ?[a-z]{1,5})((?: [a-z]{1,5}\^-1\b)+)")
_LEADING_POINT = re.compile(r"(?<![\w.)\]])\.(?=\d)")
# With a space on both sides or on none: "5 -3" has a negative number.
_RANGE = re.compile(r"(?<![\w.])(\d[\d.]{0,40}%?)(?:-| - | to )(?=\.?\d)")
# "5 mg to 10 mg" is 5-10 mg.
_RANGE_UNIT = re.compile(
    r"(?<![\w.])(\d[\d.]{0,40}) ?([a-z]{1,6})(?:-| - | to )(?=[\d.]{1,40} ?\2\b)"
)
_RANGE_WORDS = re.compile(r"\b(?:between|from) (-?\d[\d.]{0,40}%?) ?(?:and|to|-) ?(?=-?\d)")
_RANGE_PERCENT = re.compile(r"(?<=\d)%–(?=[\d.]{1,40}%)")
_TIMES = re.compile(r"(?<=\d) ?[x×*] ?(?=10\^)")
_OR_MORE = re.compile(r"(?<![\w.])(\d[\d.]{0,40}%?) ?(?:or (?:more|greater|higher)\b|及?以上)")
_MONEY = re.compile(r"(?<![\w.$€£¥])(\d[\d.]{0,40}) ?([$€£¥]|(?:usd|eur|gbp)\b)")
_INTERNATIONAL_UNIT = re.compile(r"(?<=\d) ?(international )?units?\b")
_PLUS_SIGN = re.compile(r"^\+(?=\d)")
_LETTER_POWER = re.compile(r"(?<=[^\W\d])\^(?=\d)")


def _join_thousands(separator: str, match: re.Match[str]) -> str:
    decimals = f".{match[2]}" if match[2] else ""
    return match[1].replace(separator, "") + decimals


def _write_power(match: re.Match[str]) -> str:
    power = match["power"] or match["negative"] or match["bare"]
    return f"{match['times'] or ''}10^{power}"


def _write_inverse_units(match: re.Match[str]) -> str:
    return match[1] + match[2].replace(" ", "/").replace("^-1", "")


def write_figures(text: str) -> str:
    """A text of ``fold_signs`` with dates, thousands, comparisons and ranges in one spelling."""
    if not text.isascii():
        text = _replace_han_figures(text)
    if not _ANY_FIGURE.search(text):
        return text
    text = _replace_dates(text)
    for pattern, separator in _THOUSANDS:
        text = pattern.sub(functools.partial(_join_thousands, separator), text)
    text = _COMMA_BEFORE_UNIT.sub(r"\1.\2", _COMMA_DECIMAL.sub("0.", text))
    text = write_phrases(_INVERSE_UNITS.sub(_write_inverse_units, text))
    text = _POWER_SPELLINGS.sub(_write_power, text)
    text = _LEADING_POINT.sub("0.", text)
    text = text.replace("per cent", "%").replace("percent", "%")
    for words, pattern, sign in _COMPARISONS:
        if any(word in text for word in words):
            text = pattern.sub(sign, text)
    text = _TIMES.sub(" × ", _OR_MORE.sub(r"≥ \1", text))
    text = _MONEY.sub(r"\2 \1", text)
    text = _INTERNATIONAL_UNIT.sub(lambda match: " iu" if match[1] else " u", text)
    text = _RANGE_UNIT.sub(r"\1–", _RANGE_WORDS.sub(r"\1–", text))
    text = _RANGE_PERCENT.sub("–", _RANGE.sub(r"\1–", text))
    # m^2 is written m2 too, and +5 is 5.
    return _PLUS_SIGN.sub("", _LETTER_POWER.sub("", text))


# --- values -----------------------------------------------------------------------------

_UNIT_SPELLINGS = {
    "g": ("g", "gram", "grams", "gramme", "grammes", "gm"),
    "l": ("l", "liter", "liters", "litre", "litres"),
    "m": ("m", "meter", "meters", "metre", "metres"),
    "s": ("s", "sec", "secs", "second", "seconds"),
    "mol": ("mol", "mole", "moles"),
    "molar": ("molar",),
}
_PREFIXES = {
    "": ((""), Fraction(1)),
    "k": ("kilo", Fraction(1000)),
    "d": ("deci", Fraction(1, 10)),
    "c": ("centi", Fraction(1, 100)),
    "m": ("milli", Fraction(1, 1000)),
    "u": ("micro", Fraction(1, 10**6)),
    "n": ("nano", Fraction(1, 10**9)),
    "p": ("pico", Fraction(1, 10**12)),
}


def _list_units() -> dict[str, tuple[str, Fraction]]:
    """Each spelling of a unit: its base unit, and how many of those it is."""
    units: dict[str, tuple[str, Fraction]] = {}
    for base, spellings in _UNIT_SPELLINGS.items():
        for prefix, (word, factor) in _PREFIXES.items():
            for spelling in spellings:
                # Symbols have symbols as prefixes, words have words.
                is_symbol = spelling == base and base != "molar"
                start = prefix if is_symbol or base == "molar" else word
                units[start + spelling] = base, factor
    for symbol in ("mcg", "ugm"):
        units[symbol] = "g", Fraction(1, 10**6)
    for spelling in ("h", "hr", "hrs", "hour", "hours"):
        units[spelling] = "s", Fraction(3600)
    for spelling in ("min", "mins", "minute", "minutes"):
        units[spelling] = "s", Fraction(60)
    for spelling in ("micron", "microns"):
        units[spelling] = "m", Fraction(1, 10**6)
    units["cc"] = "l", Fraction(1, 1000)
    for name in ("day", "week", "month", "year"):
        units[name] = units[f"{name}s"] = name, Fraction(1)
    for spelling in ("yr", "yrs"):
        units[spelling] = "year", Fraction(1)
    return units


UNITS = _list_units()
_MAX_DIVISORS = 3  # of a unit: "5 ug/kg/min"


def _list_divisors() -> dict[str, tuple[str, Fraction]]:
    """Each spelling of a unit behind a slash: its name, and how many of those it is. Times keep
    their own unit, as rates are printed."""
    divisors = {unit: amount for unit, amount in UNITS.items() if amount[0] == "l"}
    for name, spellings in (
        ("kg", ("kg", "kilogram", "kilograms", "kilo")),
        ("s", ("s", "sec", "second")),
        ("min", ("min", "minute")),
        ("h", ("h", "hr", "hour")),
        ("day", ("d", "day")),
        ("week", ("wk", "week")),
        ("month", ("month",)),
        ("year", ("yr", "year")),
    ):
        divisors.update(dict.fromkeys(spellings, (name, Fraction(1))))
    return divisors


_DIVISORS = _list_divisors()
_LARGE_WORDS = {
    "thousand": 10**3,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
}
_SMALL_WORDS = {
    "zero": 0,
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "eleven": 11,
    "twelve": 12,
    "thirteen": 13,
    "fourteen": 14,
    "fifteen": 15,
    "sixteen": 16,
    "seventeen": 17,
    "eighteen": 18,
    "nineteen": 19,
}
_TENS_WORDS = {
    "twenty": 20,
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
    "sixty": 60,
    "seventy": 70,
    "eighty": 80,
    "ninety": 90,
}
_COUNTING_WORDS = {**_SMALL_WORDS, **_TENS_WORDS}
_ORDINAL_WORDS = {
    "first": "1st",
    "second": "2nd",
    "third": "3rd",
    "fourth": "4th",
    "fifth": "5th",
    "sixth": "6th",
    "seventh": "7th",
    "eighth": "8th",
    "ninth": "9th",
    "tenth": "10th",
}
_NUMBER_FOLLOWERS = frozenset({*UNITS, *_LARGE_WORDS, "×", "x", "*"})
# Words between the two figures of a proportion.
_PROPORTION_LINKS = (("in",), ("per",), ("out", "of"), ("of", "every"))
_RANGE_SIGNS = frozenset("–±/:")
_PLAIN_NUMBER = re.compile(r"(?:0|[1-9]\d{0,38})(?:\.\d{0,38}[1-9])?")
_NUMBER = re.compile(r"(-?\d+(?:\.\d+)?)(?:e([-+]?\d+))?")
_FRACTION = re.compile(r"(\d{1,2})/(\d{1,2})")
_POWER = re.compile(r"10\^([-+]?\d+)")


def format_number(value: Fraction) -> str:
    """A value in decimal digits, or as a fraction where it has no end in them."""
    denominator = value.denominator
    twos = fives = 0
    while denominator % 2 == 0:
        denominator //= 2
        twos += 1
    while denominator % 5 == 0:
        denominator //= 5
        fives += 1
    if denominator != 1:
        return f"{value.numerator}/{value.denominator}"
    places = max(twos, fives)
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    sign = "-" if value < 0 else ""
    if not places:
        return sign + digits
    return f"{sign}{digits[:-places]}.{digits[-places:]}"


def parse_number(token: str) -> Fraction | None:
    """The value of a number, a simple fraction or a power of ten; None for any other token, and
    for a number that is too long to be compared by its value."""
    if not token[-1:].isdigit() or len(token) > 2 * _MAX_DIGITS:
        return None
    if match := _NUMBER.fullmatch(token):
        exponent = match[2] or "0"
        is_long = len(match[1]) > _MAX_DIGITS or len(exponent) > 4
        if is_long or abs(int(exponent)) > _MAX_EXPONENT:
            return None
        return Fraction(match[1]) * Fraction(10) ** int(exponent)
    if match := _FRACTION.fullmatch(token):
        value = Fraction(int(match[1]), int(match[2]) or 1)
        # "120/80" is a blood pressure, "2/4" a count: only a fraction in lowest terms is a value.
        is_lowest = value.denominator == int(match[2]) and value < 1
        return value if is_lowest else None
    if match := _POWER.fullmatch(token):
        is_long = len(match[1]) > 4 or abs(int(match[1])) > _MAX_EXPONENT
        return None if is_long else Fraction(10) ** int(match[1])
    return None


def merge_figures(tokens: Sequence[str]) -> list[str]:
    """The tokens with every number, in digits or in words and with its power and unit, as one
    value."""
    merged: list[str] = []
    place = 0
    while place < len(tokens):
        token = tokens[place]
        is_number = token[-1].isdigit() or token in _COUNTING_WORDS
        if not is_number or _is_plain_number(tokens, place):
            merged.append(_ORDINAL_WORDS.get(token, token))
            place += 1
            continue
        value, after = _read_value(tokens, place)
        if value is None:
            merged.append(token)
            place += 1
            continue
        unit = tokens[after] if after < len(tokens) else ""
        if unit in UNITS:
            base, factor = UNITS[unit]
            value *= factor
            divisors, divisor, place = _read_divisors(tokens, after + 1)
            merged += [format_number(value / divisor), base, *divisors]
        else:
            merged.append(format_number(value))
            place = after
    return merged


def _read_divisors(tokens: Sequence[str], place: int) -> tuple[list[str], Fraction, int]:
    """(the units that a unit is divided by, each in one spelling, how many of them it is, where
    they end): "5 mg/dL" is 50 mg/L, and "5 mg per kg per day" 5 mg/kg/d."""
    divisors: list[str] = []
    factor = Fraction(1)
    for _ in range(_MAX_DIVISORS):
        # "5 mg per tablet" is 5 mg/tablet.
        start = place + (tokens[place : place + 1] == ["per"])
        token = tokens[start] if start < len(tokens) else ""
        if token not in _DIVISORS:
            return divisors, factor, start
        name, count = _DIVISORS[token]
        divisors.append(name)
        factor *= count
        place = start + 1
    return divisors, factor, place


def merge_proportions(tokens: Sequence[str]) -> list[str]:
    """The tokens of ``merge_figures`` with "1 in 1000" and "1 per 1000" as 1/1000."""
    merged: list[str] = []
    place = 0
    while place < len(tokens):
        words = tuple(tokens[place + 1 : place + 3])
        size = next((len(link) for link in _PROPORTION_LINKS if words[: len(link)] == link), 0)
        after = place + size + 2
        figures = [tokens[place], *tokens[after - 1 : after]]
        is_open = size and tokens[after : after + 1] and tokens[after] in _RANGE_SIGNS
        if not size or is_open or len(figures) < 2 or not all(map(str.isdecimal, figures)):
            merged.append(tokens[place])
            place += 1
            continue
        share = parse_number("/".join(figures))
        merged += [figures[0], "/", figures[1]] if share is None else [format_number(share)]
        place = after
    return merged


def _is_plain_number(tokens: Sequence[str], place: int) -> bool:
    """Whether the token is a number as it would be written, and the next cannot belong to it. Most
    figures are: it saves their arithmetic."""
    following = tokens[place + 1] if place + 1 < len(tokens) else ""
    is_alone = following not in _NUMBER_FOLLOWERS and "/" not in following
    return is_alone and _PLAIN_NUMBER.fullmatch(tokens[place]) is not None


def _read_value(tokens: Sequence[str], place: int) -> tuple[Fraction | None, int]:
    """(the value of the number that begins at this token, where it ends); None without one."""
    if tokens[place] in _COUNTING_WORDS:
        count, place = _read_words(tokens, place)
        part = parse_number(tokens[place]) if tokens[place : place + 1] == ["1/2"] else None
        if part is not None:  # two and a half
            return count + part, place + 1
        return Fraction(count), place
    value = parse_number(tokens[place])
    if value is None:
        return None, place
    place += 1
    following = tokens[place : place + 2]
    if following and _FRACTION.fullmatch(following[0]) and value.denominator == 1 and value > 0:
        part = parse_number(following[0])
        if part is not None:  # two and a half
            return value + part, place + 1
    if len(following) == 2 and following[0] in ("×", "x", "*"):
        power = parse_number(following[1]) if _POWER.fullmatch(following[1]) else None
        if power is not None:
            return value * power, place + 2
    if following and following[0] in _LARGE_WORDS:
        return value * _LARGE_WORDS[following[0]], place + 1
    return value, place


def _read_words(tokens: Sequence[str], place: int) -> tuple[int, int]:
    """(the value of a number in English words, where it ends)."""
    total = section = 0
    last = 10**3  # what the word before leaves room for
    end = place
    while place < len(tokens):
        word = tokens[place]
        count = _COUNTING_WORDS.get(word)
        if (
            count is not None
            and count < last
            and (last == 10**3 or last == 100 or (last == 10 and 0 < count < 10))
        ):
            section += count
            last = 10 if word in _TENS_WORDS else 0
        elif word == "hundred" and 0 < section < 100:
            section *= 100
            last = 100
        elif word in _LARGE_WORDS and section:
            total += section * _LARGE_WORDS[word]
            section = 0
            last = 10**3
        elif word == "and" and place > 0 and tokens[place - 1] in ("hundred", "thousand"):
            # Only within a number: "a hundred and five".
            if tokens[place + 1 : place + 2] and tokens[place + 1] in _COUNTING_WORDS:
                place += 1
                continue
            break
        else:
            break
        place += 1
        end = place
    return total + section, end
