"""Figures and fractions in markup keep their values as plain text, in the compiled reader and in
the plain one."""

import io

from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from support.pubmed_xml import ARTICLE, document, plain_account

from medr_ray.corpus import record_stream
from medr_ray.corpus.inline_markup import read_marked_text

_TITLE = b"Effect of <i>BRCA1</i> at 10<sup>-3</sup> &amp; p&lt;0.05"
_VERNACULAR = "Titre français"  # of the same record
_PREFIX = 'xmlns:mml="http://www.w3.org/1998/Math/MathML"'


def read_titles(*titles: str) -> list[str]:
    """The titles as both readers give them."""
    articles = [ARTICLE.replace(_TITLE, title.encode()) for title in titles]
    data = document(*articles)
    rows = []
    for chunk in record_stream.read_citations(io.BytesIO(data), "file.xml"):
        rows += chunk.table.to_pylist()
        # Where there is no title, the plain reader takes the one in the original language.
        assert chunk.hard == sum(row["title"] == _VERNACULAR for row in rows)
    assert rows == plain_account(data).rows
    return [row["title"] for row in rows]


def formula(content: str) -> str:
    tags = content.replace("</", "</mml:").replace("<m", "<mml:m")
    return f"<mml:math {_PREFIX}>{tags}</mml:math>"


FIGURES = [
    ("2 x 10<sup>6</sup> cells/kg", "2 x 10^6 cells/kg"),
    ("a frequency of 10<sup>-3</sup>;", "a frequency of 10^-3;"),
    ("10<sup>−3</sup> and 10<sup>&#8211;4</sup>", "10^−3 and 10^–4"),
    ("10<sup>n+1</sup>, 2<sup>-ΔΔCt</sup>", "10^(n+1), 2^-ΔΔCt"),
    ("30 kg/m<sup>2</sup>.", "30 kg/m^2."),
    ("5 s<sup>-1</sup>, R<sup>2</sup> = 0.9", "5 s^-1, R^2 = 0.9"),
    ("30 µm<sup>2</sup>, (m/s)<sup>2</sup>", "30 µm^2, (m/s)^2"),
    ("e<sup>-x<sup>2</sup></sup>", "e^-x^2"),
    ("½ of it, a <sup>1</sup>/<sub>2</sub> of it", "½ of it, a 1/2 of it"),
    ("2<sup>1</sup>/<sub>2</sub> and 2<sup>1</sup>⁄<sub>2</sub>", "2 1/2 and 2 1⁄2"),
    ("p&lt;0.05, 5 mg/kg, 10⁶", "p<0.05, 5 mg/kg, 10⁶"),
    (f"was {formula('<mfrac><mn>1</mn><mn>2</mn></mfrac>')} of", "was 1/2 of"),
    (f"was {formula('<msup><mn>10</mn><mn>5</mn></msup>')} copies", "was 10^5 copies"),
    (
        "2" + formula("<mfrac> <mrow><mi>a</mi><mo>+</mo><mn>1</mn></mrow>\n <mn>2</mn> </mfrac>"),
        "2 (a+1)/2",
    ),
    (formula("<msubsup><mi>x</mi><mn>1</mn><mn>2</mn></msubsup>"), "x1^2"),
    (formula("<msqrt><mn>2</mn></msqrt>") + " of", "√2 of"),
    # A space before the power, as some publishers send it.
    ("2 x 10 <sup>6</sup> cells, 10&#160;<sup>9</sup>/L", "2 x 10^6 cells, 10^9/L"),
    ("P&lt;5x10 <sup>-8</sup>, 1.5×10 <sup>9</sup>CFU", "P<5x10^-8, 1.5×10^9CFU"),
    ("<b>10</b> <sup>6</sup>, 10<sup> 7</sup>, 10 <sup>4–6</sup>", "10^6, 10^7, 10^(4–6)"),
    ("30 kg/m <sup>2</sup>, 5 mm <sup>3</sup>, 2 µm <sup>2</sup>", "30 kg/m^2, 5 mm^3, 2 µm^2"),
    ("5 mL min <sup>-1</sup> m <sup>−2</sup>", "5 mL min^-1 m^−2"),
    ("χ <sup>2</sup> = 5.4, R <sup>2</sup> = 0.9", "χ^2 = 5.4, R^2 = 0.9"),
    ("10<sup>(-6)</sup>, 10<sup>±1</sup>, 10<sup/>6", "10^(-6), 10^±1, 10 6"),
    ("3" + formula("<mroot><mn>8</mn><mn>3</mn></mroot>"), "3 8^(1/3)"),
    (formula("<mfenced><mn>1</mn><mn>2</mn></mfenced>") + "5", "1 2 5"),
    (formula("<munderover><mo>∑</mo><mn>1</mn><mn>9</mn></munderover>"), "∑1^9"),
    (
        formula("<msemantics><mfrac><mn>1</mn><mn>2</mn></mfrac>")
        .replace("msemantics", "semantics")
        .replace(
            "</mml:math>",
            "<mml:annotation>\\frac{1}{2}</mml:annotation></mml:semantics></mml:math>",
        ),
        "1/2",
    ),
]
NAMES = [
    ("H<sub>2</sub>O, CO<sub>2</sub>, C<sub>6</sub>H<sub>12</sub>", "H2O, CO2, C6H12"),
    ("log<sub>10</sub> 5, log<sub>10</sub>5", "log10 5, log10 5"),
    ("101<sub>2</sub>", "101_2"),
    ("Ca<sup>2+</sup>, Na<sup>+</sup>, Cl<sup>-</sup>, Fe<sup>3+</sup>", "Ca2+, Na+, Cl-, Fe3+"),
    ("SO<sub>4</sub><sup>2-</sup>", "SO4^2-"),
    ("CD4<sup>+</sup>CD25<sup>-</sup>, p53<sup>-/-</sup>", "CD4+CD25-, p53-/-"),
    ("1<sup>st</sup> and 22<sup>nd</sup>, the n<sup>th</sup>", "1st and 22nd, the nth"),
    (
        "<sup>99m</sup>Tc, [<sup>18</sup>F]FDG, <sup>1</sup>H-<sup>13</sup>C",
        "99mTc, [18F]FDG, 1H-13C",
    ),
    ("<i>BRAF</i><sup><i>V600E</i></sup>, Apc<sup>Min/+</sup>", "BRAF^V600E, Apc^Min/+"),
    ("as shown<sup>1,2</sup>, in 2010<sup>3</sup>", "as shown^1,2, in 2010^3"),
    ("a mean of 5.<sup>2</sup>", "a mean of 5.^2"),
    ("30<sup>°</sup>C, 0.05<sup>*</sup>, Drug<sup>®</sup>", "30°C, 0.05*, Drug®"),
    # Behind a space a figure may also be an isotope's number or a reference.
    ("of 30 <sup>18</sup>F scans, 10 <sup>13</sup>C spectra", "of 30 18F scans, 10 13C spectra"),
    ("by <sup>1</sup>H and a <sup>2</sup> H NMR", "by 1H and a 2 H NMR"),
    ("of 30 patients <sup>2</sup>, in 2010 <sup>1</sup>", "of 30 patients 2, in 2010 1"),
    ("the 10 <sup>th</sup>, FEV <sub>1</sub>", "the 10 th, FEV 1"),
    ("<i>FBN1</i> and <b>aortic <i>root</i></b> size", "FBN1 and aortic root size"),
    ("&#x1D6FC;, 😀 and 𝑝&#8239;&lt;&#160;0.05", "𝛼, 😀 and 𝑝 < 0.05"),
    ("<b>a</b><u>b</u> <i>c</i>", "ab c"),
    ("a <sup></sup>b<sub/>", "a b"),
]


def test_figures_and_fractions_keep_their_values() -> None:
    assert read_titles(*[markup for markup, _ in FIGURES]) == [text for _, text in FIGURES]


def test_formulas_of_substances_and_names_are_written_as_people_type_them() -> None:
    assert read_titles(*[markup for markup, _ in NAMES]) == [text for _, text in NAMES]


_DIGITS = st.integers(0, 9_999).map(str)
_TAGS = st.sampled_from(["sup", "sub", "i", "b", "msup", "mfrac", "msqrt", "mrow"])


def _wrap(children: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    content = st.lists(children, max_size=3).map("".join)
    return st.tuples(_TAGS, content).map(lambda pair: f"<{pair[0]}>{pair[1]}</{pair[0]}>")


_MARKUP = st.lists(
    st.recursive(
        st.one_of(_DIGITS, st.sampled_from(["+", "−", " ", "a", "/", ".", "µ", "&lt;", "<i/>"])),
        _wrap,
        max_leaves=8,
    ),
    max_size=6,
).map("".join)


@settings(max_examples=300, deadline=None)
@given(st.lists(_MARKUP, min_size=1, max_size=4))
def test_both_readers_agree_and_keep_every_character(titles: list[str]) -> None:
    for title, text in zip(titles, read_titles(*titles), strict=True):
        element = etree.fromstring(f"<a>{title}</a>")
        # Nothing is left out: only signs and spaces are added.
        kept = iter(text)
        characters = "".join("".join(element.itertext()).split())
        assert all(character in kept for character in characters)
        assert text == " ".join(text.split())


@settings(max_examples=300, deadline=None)
@given(_DIGITS, _DIGITS, st.sampled_from(["sup", "sub"]))
def test_two_figures_never_become_one(first: str, second: str, tag: str) -> None:
    for markup in (f"{first}<{tag}>{second}</{tag}>", f"x<{tag}>{first}</{tag}>{second}"):
        assert first + second not in read_marked_text(etree.fromstring(f"<a>{markup}</a>"))
