"""``medr sft show EXAMPLE``: a person sees which tokens of a dialogue are learnt, before anything
is trained."""

import json
from pathlib import Path

import pytest
from support.tiny_model import build_tiny_model

from medr_ray.cli.main import main

ROWS = [
    {
        "id": "krabbe",
        "weight": 0.5,
        "messages": [
            {"role": "user", "content": "Which gene?"},
            {"role": "assistant", "content": "GALC", "reasoning_content": "I know."},
            {"role": "user", "content": "And its inheritance?"},
            {"role": "assistant", "content": "recessive", "loss": False},
        ],
    },
    {"id": "alone", "messages": [{"role": "user", "content": "Anybody?"}]},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sft")
    build_tiny_model(folder / "model")
    (folder / "chat.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in ROWS))
    (folder / "c.yaml").write_text(
        f"run: {{root: {folder}/runs, name: chat}}\nmodels: {{policy: {folder}/model}}\n"
        f"sft: {{data: {folder}/chat.jsonl}}\n",
        encoding="utf-8",
    )
    return folder


def medr(folder: Path, *arguments: str) -> int | str | None:
    with pytest.raises(SystemExit) as exited:
        main(["sft", *arguments, "-c", str(folder / "c.yaml")])
    return exited.value.code


@pytest.mark.parametrize("name", ["krabbe", "1"])
def test_the_learnt_tokens_of_a_dialogue_are_marked(
    folder: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not medr(folder, "show", name)
    header, _, text = capsys.readouterr().out.partition("\n\n")
    assert header.startswith("krabbe: ")
    assert header.endswith("learnt (⟦so⟧), weight 0.5, learnt from")
    assert text.rstrip("\n") == (
        "<|im_start|>user\nWhich gene?<|im_end|>\n<|im_start|>assistant\n"
        "⟦<think>I know.</think>\nGALC<|im_end|>⟧\n"
        "<|im_start|>user\nAnd its inheritance?<|im_end|>\n<|im_start|>assistant\n"
        "recessive<|im_end|>"
    )


def test_a_dialogue_that_is_not_learnt_says_why(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert medr(folder, "show", "alone") == 1
    assert "line 2: messages have no assistant's message: give" in capsys.readouterr().err
    assert medr(folder, "show", "nobody") == 1
    assert "nobody: no dialogue of this id or number" in capsys.readouterr().err


def test_a_file_of_chat_data_needs_no_earlier_stage(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not medr(folder, "run", "--dry-run")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines if "would run" in line] == [["sft", "would", "run"]]
