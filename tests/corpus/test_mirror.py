"""Reading listings of any make, and deciding what is fetched."""

from dataclasses import replace

import pytest

from medr_ray.core.errors import DataError
from medr_ray.corpus.checksum import parse_sidecar_md5
from medr_ray.corpus.mirror import (
    FileState,
    ListedFile,
    StoredFile,
    format_bytes,
    format_keys,
    make_plan,
    parse_listing,
    parse_year_and_number,
    select_files,
)

MD5 = "0123456789abcdef0123456789abcdef"
APACHE = b"""<html><head><title>Index of /pubmed/baseline</title></head><body>
<pre>Name  Last modified  Size
<hr><a href="/pubmed/">Parent Directory</a>                                 -
<a href="README.txt">README.txt</a>                 2025-12-05 15:12  4.2K
<a href="pubmed26n0002.xml.gz">pubmed26n0002.xml.gz</a>       2025-12-05 15:12   19M
<a href="pubmed26n0002.xml.gz.md5">pubmed26n0002.xml.gz.md5</a>   2025-12-05 15:12   60
<a href="pubmed26n0001.xml.gz">pubmed26n0001.xml.gz</a>       2025-12-05 15:12   1.5M
</pre></body></html>"""


def make_listed_file(
    number: int, year: int = 26, folder: str = "baseline", stamp: str = "s"
) -> ListedFile:
    name = f"pubmed{year}n{number:04d}.xml.gz"
    return ListedFile(folder, name, f"{folder}/{name}", 10, stamp)


def make_state(file: ListedFile, size: int = 10, md5: str = MD5) -> FileState:
    return FileState(
        file.name, file.folder, size, md5, "complete", "", "2026-01-01T00:00:00+00:00", file.stamp
    )


@pytest.mark.parametrize(
    "content",
    [
        b"MD5 (pubmed26n0001.xml.gz)= " + MD5.encode() + b"\n",
        b"MD5(pubmed26n0001.xml.gz)=" + MD5.upper().encode(),
        MD5.encode() + b"  pubmed26n0001.xml.gz\r\n",
        b"MD5 (pubmed26n0001.xml.gz) = " + MD5.encode(),
    ],
)
def test_every_spelling_of_a_sidecar_is_read(content: bytes) -> None:
    assert parse_sidecar_md5(content) == MD5


@pytest.mark.parametrize(
    "content", [b"", b"<html>404</html>", MD5[:31].encode(), (MD5 + "0").encode(), b"\xff" * 40]
)
def test_what_is_no_sidecar_has_no_checksum(content: bytes) -> None:
    assert parse_sidecar_md5(content) is None


def test_apaches_listing_gives_the_files_in_order_with_size_and_stamp() -> None:
    first, second = parse_listing(APACHE, "baseline", "baseline/")
    assert (first.key, first.path, first.size) == (
        "baseline/pubmed26n0001.xml.gz",
        "baseline/pubmed26n0001.xml.gz",
        1_572_864,
    )
    assert (second.name, second.stamp) == ("pubmed26n0002.xml.gz", "2025-12-05 15:12 19M")


@pytest.mark.parametrize(
    ("row", "size"),
    [
        (
            '<a href="pubmed26n0001.xml.gz">pubmed26n0001.xml.gz</a> 05-Dec-2025 15:12   20166021',
            20_166_021,
        ),  # nginx
        (
            '<tr><td><a href="pubmed26n0001.xml.gz">pubmed26n0001.xml.gz</a></td>'
            "<td>2025-12-05</td><td>19M</td></tr>",
            19 * 2**20,
        ),
        (
            '<tr><td><pre><a href="pubmed26n0001.xml.gz">pubmed26n0001.xml.gz</a>  19K\n</pre></td>'
            "<td>about</td></tr>",
            19 * 2**10,
        ),
        (
            '<tr><td><a href="./pubmed26n0001.xml.gz">pubmed26n0001.xml.gz</a></td>'
            "<td>19.5 MiB</td></tr>",
            20_447_232,
        ),
        (
            '<A HREF="https://mirror.example/a/b/pubmed26n0001.xml.gz?versionId=7#top">file</A>',
            None,
        ),
        ('<a href="/deep/pubmed26n0001%2Exml.gz">file</a>', None),
        ('<ul><li><a href="pubmed26n0001.xml.gz"> pubmed26n0001.xml.gz</a></ul>', None),
    ],
)
def test_listings_of_other_makes_are_read(row: str, size: int | None) -> None:
    page = f"<html><table>{row}</table>" if row.startswith("<tr") else f"<pre>{row}"
    (file,) = parse_listing(page.encode(), "updatefiles", "")
    assert (file.key, file.path, file.size) == (
        "updatefiles/pubmed26n0001.xml.gz",
        "pubmed26n0001.xml.gz",
        size,
    )


@pytest.mark.parametrize(
    "href",
    [
        "../../pubmed26n0001.xml.gz",
        "..%2f..%2fpubmed26n0001.xml.gz",
        "../../etc/passwd",
        "/etc/passwd",
        "pubmed26n0001.xml.gz/../../x",
        "..\\pubmed26n0001.xml.gz",
        "pubmed26n0001.xml.gz%00.sh",
        "pubmed26n0001.xml.gz%0a",
        "x/pubmed26n0001.xml.gz.exe",
        "pubmed2\u0666n0001.xml.gz",
        "http://[",
        "",
        "javascript:void(0)",
        ".pubmed26n0001.xml.gz",
    ],
)
def test_a_hostile_link_names_no_file(href: str) -> None:
    assert parse_listing(f'<a href="{href}">x</a>'.encode(), "baseline", "baseline/") == []


@pytest.mark.parametrize(
    "page", [b"", b"   ", b"\x00\xff\x1f", b"<html></html>", b'{"files": []}', b"<a>no link</a>"]
)
def test_a_page_that_is_no_listing_lists_nothing(page: bytes) -> None:
    assert parse_listing(page, "baseline", "baseline/") == []


@pytest.mark.parametrize(
    "name",
    [
        "pubmed26n0001.xml",
        "pubmed26n001.xml.gz",
        "pubmed2026n0001.xml.gz",
        "a/pubmed26n0001.xml.gz",
    ],
)
def test_only_nlms_names_are_names(name: str) -> None:
    assert parse_year_and_number(name) is None


def test_selection_is_by_glob_and_count_and_of_one_year() -> None:
    files = [make_listed_file(1), make_listed_file(2), make_listed_file(3, folder="updatefiles")]
    assert select_files(files, "*", 2) == files[:2]
    assert select_files(files, "*n0003*", None) == files[2:]
    with pytest.raises(DataError, match="matches '\\*n9999\\*'"):
        select_files(files, "*n9999*", None)
    with pytest.raises(DataError, match=r"pubmed26 and pubmed27.*--files 'pubmed27\*'"):
        select_files([*files, make_listed_file(1, 27)], "*", None)


def test_a_complete_file_is_left_alone_and_any_doubt_fetches_it() -> None:
    file = make_listed_file(1)
    good, present = {file.key: make_state(file)}, {file.key: StoredFile(10, MD5)}
    assert make_plan([file], good, present).complete == (file,)
    doubts = [
        ({}, present),
        (good, {}),
        (good, {file.key: StoredFile(9, MD5)}),
        (good, {file.key: StoredFile(10, None)}),
        (good, {file.key: StoredFile(10, "f" * 32)}),
        ({file.key: replace(make_state(file), state="failed")}, present),
        ({file.key: replace(make_state(file), stamp="an earlier date")}, present),
    ]
    for states, stored in doubts:
        assert make_plan([file], states, stored).missing == (file,)


def test_files_of_an_earlier_year_are_stale_and_of_a_later_year_an_error() -> None:
    file = StoredFile(10, MD5)
    old = {make_listed_file(2, 25, "updatefiles").key: file, make_listed_file(1, 25).key: file}
    assert make_plan([make_listed_file(1)], {}, old).stale == (
        "baseline/pubmed25n0001.xml.gz",
        "updatefiles/pubmed25n0002.xml.gz",
    )
    with pytest.raises(DataError, match=r"has pubmed26, .* later files, baseline/pubmed27n0001"):
        make_plan([make_listed_file(1)], {}, {make_listed_file(1, 27).key: StoredFile(10, MD5)})


def test_messages_name_a_few_files_and_count_the_rest() -> None:
    assert format_keys([make_listed_file(number).key for number in range(12, 0, -1)]).endswith(
        "n0010.xml.gz and 2 more"
    )
    assert [format_bytes(count) for count in (12, 45_123_456_789, 2e15)] == [
        "12 B",
        "45.1 GB",
        "2,000.0 TB",
    ]
