"""Questions that repeat a benchmark's, and the formats benchmarks are published in."""

import base64
import csv
import gzip
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

from medr_ray.core.errors import DataError
from medr_ray.knowledge.benchmark_files import BenchmarkItem, read_benchmark
from medr_ray.questions.checks.contamination import ContaminationCheck

_LONG = (
    "For the trial of enzalutamide after docetaxel in men with prostate cancer, which "
    "ingredient of the more "
    "effective regimen was approved first by the regulator?"
)
_SHORT = "Which gene is mutated in Krabbe disease?"
_CHINESE = "已知某种罕见病由GALC基因突变引起，该病最常见的发病年龄是多少？"
_CANARY_TEXT = "BENCHMARK DATA SHOULD NEVER APPEAR AS PLAIN TEXT ONLINE. canary 123"


def _csv(rows: list[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _shift_cell(cell: str) -> str:
    return base64.b64encode(
        "".join(chr(ord(character) + 3) for character in cell).encode()
    ).decode()


def _encrypt_cell(cell: str, canary: str) -> str:
    key = canary.encode()
    return base64.b64encode(
        bytes(c ^ key[i % len(key)] for i, c in enumerate(cell.encode()))
    ).decode()


def _hash_cell(cell: str, canary: str) -> str:
    """As BrowseComp does: XOR with the SHA-256 of the canary."""
    key = hashlib.sha256(canary.encode()).digest()
    return base64.b64encode(
        bytes(c ^ key[i % len(key)] for i, c in enumerate(cell.encode()))
    ).decode()


def _lines(*rows: dict[str, Any]) -> bytes:
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()


_FORMATS = {
    "gaia.jsonl": _lines(
        {"task_id": "1", "Question": _LONG, "Final answer": "x"}, {"Question": _CHINESE}
    ),
    "plain.jsonl": _lines({"question": _LONG}, {"question": _CHINESE}) + b"\n\n",
    "one.json": json.dumps([{"question": _LONG}, {"question": _CHINESE}]).encode(),
    "bioasq.json": json.dumps(
        {"questions": [{"body": _LONG}, {"body": _CHINESE}]}, indent=1
    ).encode(),
    "pubmedqa.json": json.dumps({"1": {"QUESTION": _LONG}, "2": {"QUESTION": _CHINESE}}).encode(),
    "separator.jsonl": _lines(
        {"context": "a\u2028b", "question": _LONG}, {"question": _CHINESE, "answer": "x"}
    ),
    "browsecomp.csv": _csv(
        [
            ["problem", "answer", "problem_topic", "canary"],
            *(
                [_hash_cell(text, _CANARY_TEXT), _hash_cell("x", _CANARY_TEXT), "x", _CANARY_TEXT]
                for text in (_LONG, _CHINESE)
            ),
        ]
    ),
    "plain.csv": b"\xef\xbb\xbf"
    + _csv([["id", "Question", "answer"], ["1", _LONG, "x"], ["2", _CHINESE, "y"]]),
    "medbrowsecomp.csv": _csv(
        [
            [_shift_cell(cell) for cell in row]
            for row in (["prompt", "gold"], [_LONG, "x"], [_CHINESE, "y"])
        ]
    ),
    "xbench.csv": _csv(
        [
            ["id", "prompt", "answer", "canary"],
            *(
                [
                    str(n),
                    _encrypt_cell(text, f"{_CANARY_TEXT}{n}"),
                    _encrypt_cell("x", f"{_CANARY_TEXT}{n}"),
                    f"{_CANARY_TEXT}{n}",
                ]
                for n, text in enumerate((_LONG, _CHINESE))
            ),
        ]
    ),
}


@pytest.mark.parametrize("name", _FORMATS)
@pytest.mark.parametrize("packed", [False, True])
def test_formats_benchmarks_are_published_in(tmp_path: Path, name: str, packed: bool) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(_FORMATS[name]) if packed else _FORMATS[name])
    assert [(item.number, item.question) for item in read_benchmark(str(path))] == [
        (1, _LONG),
        (2, _CHINESE),
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.jsonl", b"", "holds no question"),
        ("header.csv", _csv([["question", "answer"]]), "holds no question"),
        ("other.jsonl", _lines({"question": "What?"}, {"query": _LONG}), "item 2 has no question"),
        ("other.csv", _csv([["query", "answer"], [_LONG, "x"]]), "line 1 cannot be read"),
        ("cut.jsonl", _FORMATS["plain.jsonl"][:-40], "line 2 cannot be read"),
        ("cut.csv", _FORMATS["medbrowsecomp.csv"][:-30], "line 3 cannot be read"),
        (
            "wrong.csv",
            _csv([["prompt", "canary"], [_encrypt_cell(_CHINESE, "one"), "other"]]),
            "line 2 cannot be read",
        ),
        (
            "none.csv",
            _csv([["prompt", "canary"], [_encrypt_cell(_LONG, "one"), ""]]),
            "line 2 cannot be read",
        ),
        ("list.json", b'["What?"]', "item 1 has no question"),
    ],
)
def test_a_broken_file_is_named_with_its_place_and_nothing_of_its_text(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_benchmark(str(path))
    assert str(path) in str(caught.value)
    assert not any(part in str(caught.value) for part in ("enzalutamide", "罕见病", "What?"))
    assert caught.value.__cause__ is None


def test_a_missing_file_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no\.jsonl"):
        ContaminationCheck.load([str(tmp_path / "no.jsonl")])


# --- the check ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def known() -> ContaminationCheck:
    return ContaminationCheck(
        {
            "bench": [
                BenchmarkItem(7, _LONG),
                BenchmarkItem(8, _SHORT),
                BenchmarkItem(9, _CHINESE),
                BenchmarkItem(10, "Which drug was first approved for Fabry disease?"),
            ]
        }
    )


@pytest.mark.parametrize(
    ("text", "item"),
    [
        (_LONG, 7),
        (_LONG.upper().replace(",", " -"), 7),
        (
            "In which year did Smith report on the trial of enzalutamide after "
            "docetaxel in men with prostate cancer, which "
            "ingredient was named by two other groups and later withdrawn from the "
            "European market?",
            7,
        ),
        (_SHORT, 8),
        ("Which gene is mutated in Krabbe's disease?", 8),
        (_CHINESE, 9),
        ("某种罕见病由GALC基因突变引起，该病最常见的发病年龄是几岁？", 9),
        (
            "A colleague of mine, who has read little, would like to know in what year "
            "which drug was first approved for "
            "Fabry disease, and by whom.",
            10,
        ),
    ],
)
def test_a_repeated_question_is_found(known: ContaminationCheck, text: str, item: int) -> None:
    reason = known.find_rejection_reason(text)
    assert reason is not None
    assert reason.startswith("uncontaminated: ")
    assert f"item {item} of bench" in reason


@pytest.mark.parametrize(
    "text",
    [
        "Who reported the trial of enzalutamide after docetaxel in men with prostate cancer?",
        "What is the mode of inheritance of the disease that is associated with the gene GALC?",
        "Which drug is used in the treatment of Krabbe disease?",
        "由FBN1基因突变引起的疾病的遗传方式是什么？",
        "Why?",
        "",
    ],
)
def test_an_honest_question_is_not(known: ContaminationCheck, text: str) -> None:
    assert known.find_rejection_reason(text) is None


def test_thirteen_words_in_a_row_are_too_many_and_twelve_are_not() -> None:
    words = [f"word{letter}" for letter in "abcdefghijklmn"]
    rest = (
        " and some twenty more words that nobody else would ever write in this very order "
        "here today"
    )
    contamination = ContaminationCheck({"bench": [BenchmarkItem(1, " ".join(words) + "?")]})
    assert contamination.find_rejection_reason(" ".join(words[:13]) + rest) is not None
    assert contamination.find_rejection_reason(" ".join(words[:12]) + rest) is None
    assert contamination.find_rejection_reason(" ".join(words[1:12]) + rest) is None


def test_benchmarks_of_one_file_name_keep_apart(tmp_path: Path) -> None:
    paths = [tmp_path / part / "test.jsonl" for part in ("one", "two")]
    for path, text in zip(paths, (_LONG, _SHORT), strict=True):
        path.parent.mkdir()
        path.write_bytes(_lines({"question": text}))
    contamination = ContaminationCheck.load([str(path) for path in paths])
    assert f"item 1 of {paths[1]}" in (contamination.find_rejection_reason(_SHORT) or "")


def test_an_item_does_not_show_its_text() -> None:
    assert repr(BenchmarkItem(3, _LONG)) == "BenchmarkItem(number=3)"


# --- as published ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "count"),
    [
        ("benchmarks/medbrowsecomp/final50_cell_combo_shift3_b64.csv", 50),
        ("benchmarks/xbench/DeepSearch-2505.csv", 100),
        ("benchmarks/test_gaia.jsonl", 2),
        ("benchmarks/bioasq/7B1_golden.json.gz", 100),
        ("benchmarks/multihop/bamboogle.json.gz", 125),
    ],
)
def test_every_item_of_a_published_benchmark_is_found_and_only_its_number_is_given(
    shared_data: Path, path: str, count: int
) -> None:
    items = read_benchmark(str(shared_data / path))
    assert [item.number for item in items] == list(range(1, count + 1))
    contamination = ContaminationCheck.load([str(shared_data / path)])
    for item in items:
        reason = contamination.find_rejection_reason(item.question) or ""
        assert f" of {Path(path).name}" in reason
        assert not any(item.question[at : at + 8] in reason for at in range(len(item.question) - 7))


def test_chinese_benchmark_questions_are_found_when_a_tenth_is_changed(shared_data: Path) -> None:
    path = str(shared_data / "benchmarks/xbench/DeepSearch-2505.csv")
    contamination = ContaminationCheck.load([path])
    for item in read_benchmark(path):
        shorter = item.question[len(item.question) // 10 :]
        assert f"item {item.number} of" in (contamination.find_rejection_reason(shorter) or "")


@pytest.mark.parametrize(
    ("values", "is_shared"),
    [
        (("NCT:NCT00974311", "DRUGBANK:DB08899"), True),
        (("NCT:NCT00974312",), False),
        ((), False),
    ],
)
def test_a_trial_of_a_benchmark_is_not_asked_about(
    values: tuple[str, ...], is_shared: bool
) -> None:
    item = BenchmarkItem(7, "Which company sponsored trial NCT00974311 of enzalutamide?")
    reason = ContaminationCheck({"b.csv": [item]}).find_shared_trial(values)
    assert (reason == "uncontaminated: shares a trial with item 7 of b.csv") is is_shared
