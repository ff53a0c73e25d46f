"""Which answers count as the same, and which must not."""

import asyncio
import string
import time
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.questions import worded_task

from medr_ray.core.config import GRPOConfig
from medr_ray.core.records import Message, Task, Trajectory, Usage
from medr_ray.evaluation.scorers.base import CORRECT
from medr_ray.evaluation.scorers.rules import RulesScorer
from medr_ray.questions import answers_match
from medr_ray.questions.answer_matching import canonical_form, occurs_in
from medr_ray.training.rewards import compute_rewards
from medr_ray.trajectories.filtering import ReasonCode, judge_trajectory

SAME_FIGURES = [
    ("0.5 mg", ".5 mg"),
    ("10⁶", "10^6"),
    ("Fanconi anaemia", "Fanconi anemia"),
    ("$1,234.50", "1234.5"),
    ("50 %", "50%"),
    ("10⁶", "1e6"),
    ("1,000,000", "10^6"),
    ("1 million", "1,000,000"),
    ("2 x 10^6", "2,000,000"),
    ("2×10⁶", "2e6"),
    ("10⁻³", "0.001"),
    ("½", "0.5"),
    ("1/2", "0.5"),
    ("2½", "2.5"),
    ("2 1/2", "2.5"),
    ("≥ 5", ">= 5"),
    ("at least 5", "≥5"),
    ("≤5", "at most 5"),
    ("more than 5", "> 5"),
    ("fewer than five", "<5"),
    ("5±2", "5 +/- 2"),
    ("5 ± 2", "5 plus or minus 2"),
    ("5-10", "5 to 10"),
    ("5–10", "5-10"),
    ("between 5 and 10", "5-10"),
    ("5%-10%", "5–10%"),
    ("5 µg", "5 μg"),
    ("5 mcg", "5 ug"),
    ("5 micrograms", "5 μg"),
    ("1000 mg", "1 g"),
    ("1 kg", "1000 g"),
    ("500 mL", "0.5 L"),
    ("10 mm", "1 cm"),
    ("60 min", "1 h"),
    ("2 hours", "120 minutes"),
    ("90 seconds", "1.5 min"),
    ("1 000", "1,000"),
    ("1\u202f000", "1000"),
    ("1'000", "1000"),
    ("1.000,5", "1000.5"),
    ("1,234.5", "1 234.5"),
    ("1,00,000", "100000"),
    ("12 March 2020", "March 12, 2020"),
    ("2020-03-12", "12 Mar 2020"),
    ("2020年3月12日", "2020-03-12"),
    ("Mar 2020", "2020-03"),
    ("2020年3月", "March 2020"),
    ("2020年", "2020"),
    ("31/12/2020", "2020-12-31"),
    ("twenty-three", "23"),
    ("one hundred and five", "105"),
    ("two thousand", "2000"),
    ("three thousand four hundred fifty-six", "3456"),
    ("one in five", "1 in 5"),
    ("三", "3"),
    ("十二", "12"),
    ("两百", "200"),
    ("一百二十", "120"),
    ("一百零二", "102"),
    ("二〇二〇", "2020"),
    ("百分之五十", "50%"),
    ("三分之一", "1/3"),
    ("10万", "100,000"),
    ("1.5亿", "150,000,000"),
    ("type II", "type 2"),
    ("Factor VIII", "factor 8"),
    ("type i", "type 1"),
    ("马凡综合征。", "马凡综合征"),
    ("马凡 综合征", "马凡综合征"),
    ("阿司匹林、氯吡格雷", "氯吡格雷和阿司匹林"),
    ("阿司匹林和氯吡格雷", "氯吡格雷，阿司匹林"),
    ("是的", "是"),
    ("是", "yes"),
    ("否", "不是"),
    ("增加了", "增加"),
    ("答案是马凡综合征", "马凡综合征"),
    ("答案：马凡综合征。", "马凡综合征"),
    ("最终答案：FBN1", "FBN1"),
    ("５０％", "50%"),
    ("5公里", "5 km"),
    ("5毫克", "5 mg"),
    ("至少5例", "≥5例"),
    ("选A", "A"),
    ("ＦＢＮ１", "FBN1"),
    ("3个", "3"),
    ("5到10", "5-10"),
    ("超过五十", "> 50"),
    ("a, b and c", "c; a; b"),
    ("Yes.", "yes"),
    ("HIV (human immunodeficiency virus)", "HIV"),
    ("human immunodeficiency virus (HIV)", "HIV"),
    ("tumour", "tumor"),
    ("haemophilia A", "hemophilia A"),
    ("oesophagus", "esophagus"),
    ("β-thalassemia", "beta thalassemia"),
    ("\\boxed{FBN1}", "FBN1"),
    ("1.42e2", "142"),
    ("05", "5"),
    ("+5", "5"),
    ("5 milligrams", "5 mg"),
    ("0·5", "0.5"),
    ("m²", "m2"),
    ("30 kg/m²", "30 kg/m^2"),
    ("5 mg per kg", "5 mg/kg"),
    ("HER2−", "HER2-"),
    ("first", "1st"),
    ("second", "2nd"),
    ("5 IU", "5 iu"),
    ("1 mmol/L", "1000 µmol/L"),
    ("−5", "-5"),
    ("minus 5", "-5"),
    ("5 × 10^6/L", "5x10^6 / L"),
    ("5 mg to 10 mg", "5-10 mg"),
    ("5 or more", "≥5"),
    ("5以上", "≥5"),
    ("10 years", "10年"),
    ("10 000 U", "10000 units"),
    ("100 international units", "100 IU"),
    ("€5", "5 EUR"),
    ("Ⅱ型糖尿病", "2型糖尿病"),
    ("p < .05", "p<0.05"),
    ("100 °C", "100°C"),
    ("1e-3", "0.001"),
    ("0.000005 g", "5 µg"),
    # A decimal comma, where a unit follows.
    ("1,5 mg", "1.5 mg"),
    ("12,5 %", "12.5%"),
    ("1,2 x 10^-5", "0.000012"),
    # How often.
    ("twice daily", "2 times per day"),
    ("twice a day", "2x daily"),
    ("three times daily", "3 times a day"),
    ("once weekly", "once every week"),
    ("5 mg twice daily", "5 mg bid"),
    ("b.i.d.", "twice daily"),
    ("5 mg daily", "5 mg/day"),
    ("every 12 hours", "q12h"),
    ("every other week", "every two weeks"),
    ("每日两次", "一天2次"),
    # Shares.
    ("one third", "1/3"),
    ("two thirds", "2/3"),
    ("half", "1/2"),
    ("a quarter of them", "1/4 of them"),
    ("一半", "1/2"),
    ("1 in 1000", "1/1000"),
    ("1 in 50,000", "1:50 000"),
    ("2 per 100 000", "2/100,000"),
    ("one in a million", "1 in 1,000,000"),
    ("3 out of 5", "3/5"),
    ("two and a half", "2.5"),
    ("120 / 80 mm Hg", "120/80 mmHg"),
    # Powers of other hands.
    ("1.2·10^-5", "1.2e-5"),
    ("1.2 * 10**-5", "1.2e-5"),
    ("1.2 x 10(-5)", "1.2e-5"),
    ("2 x 10(6)", "2 000 000"),
    # Units behind a slash.
    ("5 mg/dL", "50 mg/L"),
    ("5 mg/kg/day", "5 mg per kg per day"),
    ("5 µg/kg/min", "5 mcg kg^-1 min^-1"),
    ("5 mg·kg⁻¹", "5 mg/kg"),
    ("5 mL/hr", "5 ml/h"),
    # Ages, years, temperatures, money, stages.
    ("5 years old", "5-year-old"),
    ("in 1990", "the year 1990"),
    ("37 °C", "37 degrees Celsius"),
    ("US$5", "5 dollars"),
    ("a hundred", "100"),
    ("stage IIIB", "stage 3b"),
    ("p.R117*", "p.R117Ter"),
]
OTHER_FIGURES = [
    ("未增加", "增加"),
    ("没有增加", "增加"),
    ("非小细胞肺癌", "小细胞肺癌"),
    ("1 1/2", "11/2"),
    ("1:1000", "1:100"),
    ("90/60 mmHg", "1.5 mmHg"),
    ("Ca2+", "Ca2-"),
    ("March 12", "March 2012"),
    ("14 days", "2 weeks"),
    ("10 mg", "10 mg/day"),
    ("5 to 10", "5 or 10"),
    ("<0.001", "0.001"),
    ("5 mg", ".5 mg"),
    ("10⁶", "106"),
    ("5±2", "5 2"),
    ("FBN1 or FBN2", "FBN1"),
    ("> 5", "5"),
    (">= 5", "> 5"),
    ("10^6", "106"),
    ("10^6", "10^-6"),
    ("50%", "0.5"),
    ("5-10", "5 10"),
    ("5-10", "-5 10"),
    ("5 mg", "5 g"),
    ("5 mmol", "5 mg"),
    ("5 mM", "5 mm"),
    ("5 IU", "5 mg"),
    ("1 month", "30 days"),
    ("1 year", "12 months"),
    ("1 day", "24 h"),
    ("03/04/2020", "04/03/2020"),
    ("03/04/2020", "3 April 2020"),
    ("Mar 2020", "12 March 2020"),
    ("2020", "2020-03"),
    ("not FBN1", "FBN1"),
    ("no evidence of FBN1", "FBN1"),
    ("FBN1", "FBN2"),
    ("fibrillin 1", "FBN1"),
    ("120/80", "1.5"),
    ("120/80", "120 80"),
    ("1:2", "12"),
    ("1.5", "15"),
    ("1,5", "15"),
    ("1,000", "000,1"),
    ("-5", "5"),
    ("HER2-", "HER2+"),
    ("约5", "5"),
    ("~5", "5"),
    ("about 5", "5"),
    ("$5", "€5"),
    ("5^2", "52"),
    ("2^10", "210"),
    ("十二", "20"),
    ("三十", "13"),
    ("一百二十", "102"),
    ("是", "否"),
    ("增加", "减少"),
    ("aspirin (100 mg)", "aspirin (200 mg)"),
    ("5 (6)", "5"),
    ("s^-1", "s1"),
    ("1/3", "13"),
    ("1/3", "3"),
    ("type II", "type III"),
    ("5 to 10", "10 to 5"),
    ("2/3", "2 3"),
    ("5%", "5‰"),
    ("1 000", "1"),
    ("√2", "2"),
    ("", ""),
    ("5 -3", "5-3"),
    ("10E6", "106"),
    ("one hundred two", "1002"),
    ("twenty three hundred", "23"),
    ("1,5", "1.5"),
    ("1,500 mg", "1.5 mg"),
    ("twice daily", "once daily"),
    ("twice daily", "twice weekly"),
    ("every 2 weeks", "twice weekly"),
    ("every 2 weeks", "2 weeks"),
    ("5 mg/dL", "5 mg/L"),
    ("5 mg/kg", "5 mg per day"),
    ("5 s^-1", "5 s"),
    ("1 in 100", "100 in 1"),
    ("1:100", "1/100"),
    ("1 in 1000", "1 in 10,000"),
    ("one third", "one fourth"),
    ("a third generation", "1/3 generation"),
    ("20 %", "1 in 5"),
    ("37 °C", "37 °F"),
    ("c.-12A>G", "c.12A>G"),
    ("c.*12A>G", "c.12A>G"),
    ("c.123+1G>A", "c.123-1G>A"),
    ("p.R117*", "p.R117"),
    ("stage IIIA", "stage IIIB"),
    ("2 x 10(6)", "2 x 106"),
    ("5/2019", "May 2019"),
]


@pytest.mark.parametrize(("one", "other"), SAME_FIGURES)
def test_one_figure_or_name_in_two_spellings_is_the_same_answer(one: str, other: str) -> None:
    assert answers_match(one, other, ())
    assert answers_match(other, one, ())


@pytest.mark.parametrize(("one", "other"), OTHER_FIGURES)
def test_another_figure_or_name_is_another_answer(one: str, other: str) -> None:
    assert not answers_match(one, other, ())
    assert not answers_match(other, one, ())


@pytest.mark.parametrize(
    ("prediction", "answer"),
    [
        ("*E*", "E"),
        ("**E**", "E"),
        ("Ｅ＊", "E*"),
        ("E* (unproven but suspected cause)", "E*"),
        ("marfan syndrome", "Marfan syndrome"),
        ("The Marfan syndrome.", "Marfan syndrome"),
        ("  “Marfan Syndrome” ", "Marfan syndrome"),
        ("The answer is Marfan syndrome.", "Marfan syndrome"),
        ("Crohn’s disease", "Crohn disease"),
        ("X linked recessive inheritance", "X-linked recessive inheritance"),
        ("BRCA-1", "BRCA1"),
        ("β-thalassemia", "beta thalassemia"),
        ("Stickler syndrome, type 1", "Stickler syndrome, type I"),
        ("Factor VIII deficiency", "factor 8 deficiency"),
        ("Sjogren syndrome", "Sjögren syndrome"),
        ("45 percent of patients", "45% of patients"),
        ("45.0 per cent", "45%"),
        ("1,000 mg", "1000mg"),
        ("three", "3"),
        ("March 5, 2020", "2020-03-05"),
        ("5th of March 2020", "5 Mar 2020"),
        ("aspirin and clopidogrel", "clopidogrel, aspirin"),
        ("A, B, and C", "c; a; b"),
        ("FBN1 (fibrillin 1)", "FBN1"),
        ("马凡综合征。", "马凡综合征"),
    ],
)
def test_the_same_answer_in_other_clothes(prediction: str, answer: str) -> None:
    assert answers_match(prediction, answer, ())
    assert answers_match(prediction, "something else", (answer,))


@pytest.mark.parametrize(
    ("prediction", "answer"),
    [
        ("", "Marfan syndrome"),
        (" .", "Marfan syndrome"),
        ("E", "E*"),
        ("E*", "E"),
        ("E*（未证实）", "E（未证实）"),
        ("either Marfan syndrome or MASS syndrome", "Marfan syndrome"),
        ("Marfan syndrome or MASS syndrome", "Marfan syndrome"),
        ("Marfan syndrome, MASS syndrome", "Marfan syndrome"),
        ("not Marfan syndrome", "Marfan syndrome"),
        ("It could be Marfan syndrome, which is autosomal dominant", "Marfan syndrome"),
        ("Autosomal dominant inheritance (or recessive)", "Autosomal dominant inheritance"),
        ("Autosomal recessive inheritance", "Autosomal dominant inheritance"),
        ("Hepatitis", "Hepatitis A"),
        ("Hepatitis B", "Hepatitis A"),
        ("type II", "type III"),
        ("4.5%", "45%"),
        ("p>0.05", "p<0.05"),
        ("-5", "5"),
        ("HER2-", "HER2+"),
        ("OMIM 1 23", "OMIM 12 3"),
        ("2020-03-06", "March 5, 2020"),
        ("10-linked inheritance", "X-linked inheritance"),
        ("aspirin", "aspirin, clopidogrel"),
    ],
)
def test_another_answer_is_another_answer(prediction: str, answer: str) -> None:
    assert not answers_match(prediction, answer, ())


_WORDS = st.lists(
    st.text(string.ascii_lowercase, min_size=2, max_size=8), min_size=1, max_size=6
).map(" ".join)


@settings(deadline=None)
@given(_WORDS.filter(lambda text: canonical_form(text) != ""))
def test_an_answer_matches_itself_in_any_case_and_with_punctuation(answer: str) -> None:
    assert answers_match(answer, answer, ())
    assert answers_match(f"The {answer.upper()}.", answer, ())


@settings(deadline=None)
@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_can_be_compared(one: str, other: str) -> None:
    assert answers_match(one, other, ()) in (True, False)
    assert answers_match(one, other, ()) == answers_match(other, one, ())
    assert answers_match(one, one, ()) or not canonical_form(one)


@settings(deadline=None)
@given(_WORDS, _WORDS)
def test_naming_an_alternative_never_matches(one: str, other: str) -> None:
    assert not answers_match(f"{one} or {other} maybe", one, ())


def test_a_name_occurs_only_as_whole_words() -> None:
    assert occurs_in("FBN1", "the gene FBN1?")
    assert occurs_in("Marfan syndrome", "Neonatal MARFAN-syndrome, severe")
    assert occurs_in("FBN1", "基因FBN1的疾病")
    assert not occurs_in("ACE", "the face of")
    assert not occurs_in("", "anything")


# --- figures whose equality is known --------------------------------------------------------

_HAN_DIGITS = "零一二三四五六七八九"


def _spell_han(number: int) -> str:
    """A number below ten thousand in Chinese."""
    text = ""
    for scale, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = number // scale % 10
        if digit:
            text += _HAN_DIGITS[digit] + name
        elif text and not text.endswith("零") and number % scale:
            text += "零"
    return text or "零"


def _spell_number(value: Decimal, style: int) -> str:
    """One of the spellings of a value that is not negative."""
    plain = f"{value:f}"
    whole, _, decimals = plain.partition(".")
    if style == 0 and whole == "0" and decimals:
        return f".{decimals}"
    if style == 1:
        return f"{value:,f}"
    if style == 2:
        return f"{value:,f}".replace(",", " ")
    if style == 3:
        return f"{value:e}"
    if style == 4:
        mantissa, _, exponent = f"{value:e}".partition("e")
        return f"{mantissa} × 10^{int(exponent)}"
    if style == 5 and not decimals and int(whole) < 10_000:
        return _spell_han(int(whole))
    if style == 6 and decimals:
        return f"{plain}00"
    if style == 7:
        return f"0{plain}"
    return plain


_SIGN_SPELLINGS = {
    "": ("",),
    "-": ("-", "−", "minus "),
    ">": ("> ", "more than ", "超过"),
    "≥": (">=", "≥ ", "at least ", "至少"),
    "<": ("<", "fewer than ", "少于"),
    "≤": ("<=", "≤", "at most ", "不超过"),
    "~": ("~", "about ", "约"),
    "±": ("±", "+/-"),
}
_UNITS = {
    "": ("",),
    "%": ("%", " percent", " %"),
    "mg": (" mg", "mg", " milligrams"),
    "g": (" g", "g", " gram"),
    "ug": (" µg", "μg", " mcg", "ug", " micrograms"),
    "ml": (" mL", "ml"),
    "l": (" L", " litres"),
    "h": (" h", " hours"),
    "min": (" min", " minutes"),
    "month": (" months", "month"),
    "year": (" years", " yr"),
    "mmol": (" mmol", "mmol"),
    "iu": (" IU", " iu"),
}
_BASES = {
    "mg": ("g", Decimal("0.001")),
    "g": ("g", Decimal(1)),
    "ug": ("g", Decimal("0.000001")),
    "ml": ("l", Decimal("0.001")),
    "l": ("l", Decimal(1)),
    "h": ("min", Decimal(60)),
    "min": ("min", Decimal(1)),
}


def _draw_figure(random: Random, value: Decimal, sign: str, unit: str) -> tuple[object, str]:
    """(what decides the figure, one of its spellings)."""
    base, factor = _BASES.get(unit, (unit, Decimal(1)))
    number = _spell_number(value, random.randrange(8))
    # "1e3g" would be a word; "一百mg" is not how it is written.
    gap = " " if number[-1] in _HAN_DIGITS + "十百千" or "e" in number else ""
    text = random.choice(_SIGN_SPELLINGS[sign]) + number + gap + random.choice(_UNITS[unit])
    return (sign, (value * factor).normalize(), base), text


def _check_figures(seed: int, count: int) -> None:
    random = Random(seed)
    values = [
        Decimal(text)
        for text in [
            "0.5",
            "5",
            "50",
            "1",
            "10",
            "100",
            "1000",
            "12",
            "21",
            "120",
            "102",
            "0.05",
            "2.5",
            "25",
            "1.5",
        ]
    ]
    for _ in range(count):
        value = random.choice(values)
        if random.random() < 0.5:
            value = Decimal(
                random.randrange(1, 10 ** random.randrange(1, 8))
            ) / 10 ** random.randrange(3)
        sign = random.choice(list(_SIGN_SPELLINGS))
        unit = random.choice(list(_UNITS))
        first, one = _draw_figure(random, value, sign, unit)
        # The other differs in nothing, or in one thing, or is the same amount in another unit.
        change = random.randrange(5)
        if change == 0:
            sign = random.choice(list(_SIGN_SPELLINGS))
        elif change == 1:
            unit = random.choice(list(_UNITS))
        elif change == 2:
            value = random.choice(values) if random.random() < 0.5 else value * 10
        elif change == 3 and unit == "g":
            value, unit = value * 1000, "mg"
        second, other = _draw_figure(random, value, sign, unit)
        assert answers_match(one, other, ()) == (first == second), (one, other)
        assert answers_match(other, one, ()) == (first == second), (other, one)
        assert answers_match(one, one, ())


def test_spellings_of_one_figure_match_and_those_of_others_do_not() -> None:
    _check_figures(seed=1, count=1_500)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2, 6))
def test_spellings_of_many_figures(seed: int) -> None:
    _check_figures(seed, count=10_000)


# --- phrases ------------------------------------------------------------------------------

_PHRASES = [
    *("{} mg", "{} mg/kg/day", "{} per 1000", "1 in {}", "{} times daily", "every {} hours"),
    *("{} years old", "{} %", "10^{}", "10^-{}", "{} °C", "stage {}", "c.{}A>G", "c.-{}A>G"),
    *("c.*{}A>G", "{} thirds", "{}/7", "1:{}", "{}:1", "${}", "{} mmHg", "{},5 mg", "≥{}"),
    *("{} and a half", "{} x 10(6)", "2 x 10({})", "q{}h", "{} mg bid", "{}万", "每天{}次"),
]
_PIECES = [
    *("5", "10", "1,5", ".5", "1/2", "twice", "once", "daily", "per", "in", "a", "day", "mg", "g"),
    *("dl", "/", "kg", "one", "third", "thirds", "two", "half", "of", "every", "other", "hours"),
    *("x", "10^", "-6", "(6)", ":", "1000", "years", "old", "celsius", "mm", "hg", "$", "dollars"),
    *(
        "p.R117",
        "*",
        "c.",
        "-12",
        "A>G",
        "IIIB",
        "stage",
        "%",
        "±",
        "–",
        "·",
        "⁻",
        "⁶",
        "每日",
        "两次",
    ),
    *("一半", "bid", "q12h", "and a half", "million", "the year", "1990", "^-1", " "),
]


@pytest.mark.parametrize("phrase", _PHRASES)
def test_a_phrase_with_another_figure_is_another_answer(phrase: str) -> None:
    answers = [phrase.format(number) for number in (1, 2, 5, 10, 11, 12, 20, 21, 100, 101, 1000)]
    for place, answer in enumerate(answers):
        assert answers_match(answer, answer, ())
        assert not any(answers_match(answer, other, ()) for other in answers[place + 1 :])


def _check_phrases(seed: int, count: int) -> None:
    random = Random(seed)
    for _ in range(count):
        one, other = (
            "".join(random.choice(_PIECES) + random.choice(["", " "]) for _ in range(size))
            for size in (random.randrange(1, 8), random.randrange(1, 6))
        )
        assert answers_match(one, other, ()) == answers_match(other, one, ()), (one, other)
        assert answers_match(one, one, ()) or not any(map(str.isalnum, one)), one


def test_phrases_match_in_both_directions_and_themselves() -> None:
    _check_phrases(seed=1, count=500)


@pytest.mark.soak
def test_many_phrases_match_in_both_directions_and_themselves() -> None:
    _check_phrases(seed=2, count=30_000)


@pytest.mark.parametrize(
    "piece",
    ["Marfan syndrome, ", " ", "1", "一", "1 234 ", "(", "½", "-5", "1.234.", "1 in ", "mg/kg"],
)
def test_a_long_answer_takes_time_in_proportion_to_its_length(piece: str) -> None:
    def measure(length: int) -> float:
        text = (piece * length)[:length]
        start = time.process_time()
        answers_match(f"a{text}", f"{text}b", ())
        return time.process_time() - start

    measure(1_000)
    # Ten times the length: far below the hundredfold of a quadratic search.
    assert measure(50_000) < 40 * max(measure(5_000), 0.002)


# --- one decision in every room -----------------------------------------------------------

ROOM_PAIRS = [
    (".5 mg", "0.5 mg", True),
    (".5 mg", "5 mg", False),
    ("10⁶", "10^6", True),
    ("10⁶", "106", False),
    ("5±2", "5 2", False),
    ("> 5", "≥ 5", False),
    ("1000 mg", "1 g", True),
    ("十二", "12", True),
    ("Fanconi anaemia", "Fanconi anemia", True),
    ("FBN1 or FBN2", "FBN1", False),
]


class FixedPreference:
    def score(
        self, trajectories: Sequence[Trajectory], tasks: Sequence[Task]
    ) -> list[float | None]:
        return [0.5] * len(trajectories)


def make_trajectory(task: Task, answer: str) -> Trajectory:
    messages = (
        Message("system", "the rules of the house"),
        Message("user", task.text),
        Message("assistant", f"<answer>{answer}</answer>"),
    )
    usage = Usage(0, 0, 0)
    return Trajectory(
        "t", task.task_id, "exploration", 0, messages, (), (), (), answer, "answered", usage, None
    )


@pytest.mark.parametrize(("prediction", "answer", "is_same"), ROOM_PAIRS)
def test_reward_filter_and_judge_decide_alike(prediction: str, answer: str, is_same: bool) -> None:
    task = replace(worded_task(), answer=answer, aliases=())
    trajectory = make_trajectory(task, prediction)
    score = asyncio.run(RulesScorer().score(task, prediction))
    (reward,) = compute_rewards([trajectory], [task], GRPOConfig(), FixedPreference())
    reasons = judge_trajectory(trajectory, task, 100, 1_000).reasons
    assert (score.verdict == CORRECT) == is_same
    assert (reward.task == 1.0) == is_same
    assert any(reason.startswith(ReasonCode.WRONG_ANSWER) for reason in reasons) != is_same
