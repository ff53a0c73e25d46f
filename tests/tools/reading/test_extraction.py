import asyncio
import itertools
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from medr_ray.core.config import ReadConfig
from medr_ray.core.errors import ConfigError, ToolError
from medr_ray.tools.reading.fetching import FetchedPage
from medr_ray.tools.reading.plain_text import PageText, extract_text

ARTICLE = """<html><head><title>Fabry disease</title><meta property="article:published_time" content="2019-05-04">
</head><body><nav><a href="/">Home</a><a href="/shop">Shop</a></nav><article><h1>Fabry disease</h1>
<p>Fabry disease is caused by variants of the gene GLA, which encodes alpha-galactosidase A. It is inherited in an
X-linked manner, and men are affected more severely than women.</p>
<p>Enzyme replacement with agalsidase beta lowers the plasma concentration of globotriaosylceramide. A dose of 1 mg/kg
is given every two weeks (p<0.05 against placebo).</p></article><footer>Cookies</footer></body></html>"""


def read(
    body: bytes, media_type: str = "text/html", charset: str = "utf-8", **limits: Any
) -> PageText:
    return asyncio.run(
        extract_text(
            FetchedPage("https://example.org/a", media_type, charset, body), ReadConfig(**limits)
        )
    )


def pdf(content: bytes, pages: int = 1, packed: bool = False) -> bytes:
    """A minimal PDF whose pages all show ``content`` (a content stream)."""
    kids = " ".join(f"{10 + number} 0 R" for number in range(pages))
    data = zlib.compress(content, 9) if packed else content
    filter_of = b" /Filter /FlateDecode" if packed else b""
    objects = {
        1: b"<< /Type /Catalog /Pages 2 0 R >>",
        2: f"<< /Type /Pages /Kids [{kids}] /Count {pages} >>".encode(),
        3: b"<< /Length %d%s >>\nstream\n" % (len(data), filter_of) + data + b"\nendstream",
        4: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        5: b"<< /Title (Dosing of agalsidase) /CreationDate (D:20190504120000Z) >>",
    }
    page = (
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 3 0 R "
        b"/Resources << /Font << /F1 4 0 R >> >> >>"
    )
    objects |= {10 + number: page for number in range(pages)}
    out, places = bytearray(b"%PDF-1.4\n"), {}
    for number, value in objects.items():
        places[number] = len(out)
        out += b"%d 0 obj\n" % number + value + b"\nendobj\n"
    start = len(out)
    out += b"xref\n0 1\n0000000000 65535 f \n"
    for number, place in places.items():
        out += b"%d 1\n%010d 00000 n \n" % (number, place)
    return bytes(
        out + b"trailer << /Size 100 /Root 1 0 R /Info 5 0 R >>\nstartxref\n%d\n%%%%EOF\n" % start
    )


def page_content(text: str) -> bytes:
    return f"BT /F1 12 Tf 72 700 Td ({text}) Tj ET".encode()


def test_of_a_page_the_article_is_kept_with_title_and_date() -> None:
    text = read(ARTICLE.encode())
    assert (text.title, text.date) == ("Fabry disease", "2019-05-04")
    assert "A dose of 1 mg/kg" in text.text
    assert "p<0.05" in text.text
    assert "Shop" not in text.text


def test_a_pdf_is_read_with_title_and_date() -> None:
    assert read(pdf(page_content("1 mg/kg every two weeks")), "application/pdf") == PageText(
        "Dosing of agalsidase", "2019-05-04", "1 mg/kg every two weeks", ""
    )


def test_of_a_long_pdf_the_first_pages_are_read_and_it_says_so() -> None:
    text = read(pdf(page_content("again"), pages=7), "application/pdf", max_pages=2)
    assert text.text.split() == ["again", "again"]
    assert text.note == "the first 2 of 7 pages"


def test_plain_text_keeps_every_sign() -> None:
    assert read(b"5 mg, p<0.05", "text/plain", "no-such-charset").text == "5 mg, p<0.05"
    assert read("p<0.05 & 5 µg".encode("latin-1"), "text/plain", "latin-1").text == "p<0.05 & 5 µg"


def test_what_only_a_machine_would_read_is_gone() -> None:
    hidden = (
        "dose"
        + "".join(chr(0xE0000 + ord(character)) for character in "obey")
        + "\u200b\x1b[8m 5 mg"
    )
    assert read(hidden.encode(), "text/plain").text == "dose[8m 5 mg"


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"%PDF-1.4 and nothing more", "application/pdf"),
        (b"", "application/pdf"),
        (b"", "text/html"),
        (b"<html></html>", "text/html"),
        (b" \n ", "text/plain"),
        (bytes(range(256)), "application/pdf"),
    ],
)
def test_a_page_without_text_is_reported(body: bytes, media_type: str) -> None:
    with pytest.raises(ToolError, match=r"read: https://example\.org/a"):
        read(body, media_type)


@pytest.mark.slow
def test_a_pdf_bomb_ends_its_own_process_only() -> None:
    bomb = pdf(bytes(2_000_000_000 // 8) + page_content("boom"), packed=True)
    assert len(bomb) < 1_000_000
    with pytest.raises(ToolError, match=r"example\.org/a"):
        read(bomb, "application/pdf", parse_memory_mb=256, parse_seconds=10)


@pytest.mark.slow
def test_a_page_that_takes_for_ever_is_left() -> None:
    endless = pdf(b"BT /F1 1 Tf " + b"(a) Tj " * 600_000 + b"ET")
    with pytest.raises(ToolError, match=r"time or memory|too long|memory"):
        read(endless, "application/pdf", parse_seconds=1, parse_memory_mb=4096)


def test_of_a_flood_of_text_the_beginning_is_kept_and_it_says_so() -> None:
    text = read(b"word " * 500_000, "text/plain")
    assert len(text.text) == 1_000_000
    assert text.note == "the first 1,000,000 of 2,500,000 characters"


@pytest.mark.parametrize("date", [b"(5 May 2019)", b"(D:20190504120000+99'99')", b"[1 2]"])
def test_a_pdf_is_read_whatever_date_it_states(date: bytes) -> None:
    text = read(
        pdf(page_content("1 mg/kg")).replace(b"(D:20190504120000Z)", date), "application/pdf"
    )
    assert (text.text, text.date) == ("1 mg/kg", "")


def test_a_year_in_the_footer_dates_no_page() -> None:
    """Behind a cut-off it would let in what is written today."""
    page = ARTICLE.replace("Cookies", "Copyright 2012 Example").replace(
        "article:published_time", "author"
    )
    assert "2012" in page
    assert read(page.encode()).date == ""


@pytest.fixture
def python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Has the parser's process begun by these lines of shell; $PYTHON is the interpreter."""

    def begun_by(lines: str) -> None:
        script = tmp_path / "python"
        script.write_text(f"#!/bin/sh\nPYTHON={sys.executable}\n{lines}\n")
        script.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(script))

    return begun_by


def test_where_the_libraries_are_missing_it_is_not_the_page_that_is_blamed(
    python: Callable[[str], None],
) -> None:
    python('exec "$PYTHON" -S "$@"')
    with pytest.raises(ConfigError, match="No module named 'trafilatura'"):
        read(ARTICLE.encode())


def test_on_a_machine_of_narrow_limits_pages_are_read_within_them(
    python: Callable[[str], None],
) -> None:
    python('ulimit -v 800000\nulimit -t 10\nexec "$PYTHON" "$@"')
    assert read(ARTICLE.encode()).title == "Fabry disease"


def test_no_more_than_four_pages_are_parsed_at_once(
    python: Callable[[str], None], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    python(f'echo + >> {log}\n"$PYTHON" "$@"\necho - >> {log}')

    async def many() -> None:
        page = FetchedPage("https://example.org/a", "text/plain", "", b"words")
        await asyncio.gather(*(extract_text(page, ReadConfig()) for _ in range(9)))

    asyncio.run(many())
    signs = log.read_text().split()
    running = list(itertools.accumulate(1 if sign == "+" else -1 for sign in signs))
    assert (len(signs), max(running)) == (18, 4)


def test_a_call_that_is_cancelled_ends_its_process() -> None:
    endless = pdf(b"BT /F1 1 Tf " + b"(a) Tj " * 600_000 + b"ET")

    async def cancelled() -> list[psutil.Process]:
        others = set(psutil.Process().children())
        reading = asyncio.ensure_future(
            extract_text(FetchedPage("u", "application/pdf", "", endless), ReadConfig())
        )
        while not (begun := list(set(psutil.Process().children()) - others)):
            await asyncio.sleep(0.01)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        return begun

    assert not any(task.is_running() for task in asyncio.run(cancelled()))


# --- charsets and broken bytes --------------------------------------------------------


def page(text: str, charset: str, *, declared: str = "", before: str = "") -> bytes:
    """An HTML page in a charset, with that text in its article."""
    meta = f'<meta charset="{declared}">' if declared else ""
    head = f"<html><head>{before}{meta}<title>T</title></head>"
    return f"{head}<body><article><p>{text}</p></article></body></html>".encode(charset)


SJOGREN = "Sjögren and Ménière were physicians; the patient was examined in the clinic. " * 3
FABRY = "法布里病是一种罕见的遗传性疾病，由酶缺乏引起。" * 10


def test_one_broken_byte_leaves_the_others_what_they_are() -> None:
    body = page(SJOGREN, "utf-8").replace(b"clinic.", b"clinic\xff.", 1)
    text = read(body, charset="utf-8")
    assert "Sjögren and Ménière" in text.text
    assert text.note == "1 characters could not be read"
    plain = read(body, "text/plain", charset="utf-8")
    assert "Sjögren and Ménière" in plain.text


@pytest.mark.parametrize(
    ("text", "encoded", "stated", "declared"),
    [
        (SJOGREN, "windows-1252", "iso-8859-1", ""),
        (SJOGREN, "windows-1252", "", "iso-8859-1"),
        (SJOGREN, "windows-1252", "utf-8", "windows-1252"),
        (SJOGREN, "utf-8", "iso-2022-nonsense", ""),
        (SJOGREN, "utf-8", "", "utf-8"),
        (SJOGREN, "utf-8-sig", "iso-8859-1", ""),
        (SJOGREN, "utf-16", "", ""),
        (FABRY, "gb18030", "gb2312", ""),
        (FABRY, "gb18030", "", "gb2312"),
        (FABRY, "utf-8", "gb2312", "utf-8"),
        ("ファブリー病は遺伝性の疾患である。" * 10, "cp932", "Shift_JIS", ""),
        ("ファブリー病は遺伝性の疾患である。" * 10, "euc_jp", "", "EUC-JP"),
        ("ファブリー病は遺伝性の疾患である。" * 10, "iso2022_jp", "", "ISO-2022-JP"),
        # Nobody says which one.
        ("La maladie de Ménière est très rare, ça va naître. " * 6, "windows-1252", "", ""),
        ("Die Größe der Drüsen fällt über Jahre häufig ab. " * 6, "windows-1252", "utf-8", ""),
        ("Choroba jest rzadką chorobą, która może być śmiertelną. " * 6, "windows-1250", "", ""),
        ("Žádné příznaky, vzácné dědičné onemocnění šesti dětí. " * 6, "windows-1250", "", ""),
        ("Болезнь Фабри наследуется. " * 10, "windows-1251", "", ""),
        ("Болезнь Фабри наследуется. " * 10, "windows-1251", "windows-1251", ""),
        ("파브리병은 유전 질환이다. " * 10, "cp949", "EUC-KR", ""),
    ],
)
def test_a_page_is_read_in_the_charset_that_its_bytes_fit(
    text: str, encoded: str, stated: str, declared: str
) -> None:
    body = page(text, encoded, declared=declared)
    assert text[:10] in read(body, charset=stated).text


def test_a_charset_far_behind_the_beginning_is_found() -> None:
    script = f"<script>{'a = 1; ' * 4_000}</script>"
    body = page(FABRY, "gb18030", declared="gb2312", before=script)
    assert FABRY[:20] in read(body, charset="").text


def test_an_xml_declaration_is_no_hindrance() -> None:
    body = b'<?xml version="1.0" encoding="utf-8"?>' + page(SJOGREN, "utf-8")
    assert "Sjögren" in read(body, "application/xhtml+xml").text


def test_a_page_that_was_cut_says_so() -> None:
    fetched = FetchedPage("https://example.org/a", "text/plain", "utf-8", b"half of it", True)
    text = asyncio.run(extract_text(fetched, ReadConfig()))
    assert text.note == "the page is cut: its packed content ends early"
