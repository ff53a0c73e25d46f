"""``medr config``: the resolved configuration, with or without what each key means."""

import pytest

from medr_ray.cli.main import main


def run(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as status:
        main(arguments)
    assert status.value.code == 0


def test_each_key_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    run(["config", "show", "--describe", "--set", "graph.steps=9"])
    lines = capsys.readouterr().out.splitlines()
    place = lines.index("graph.steps = 9")
    assert lines[place + 1].strip().startswith("entities whose documents are read")
    assert 'tools.read.extract = "rules"' in lines
    assert all(line.startswith("    ") for line in lines[1::2])


def test_without_description_the_output_is_yaml(capsys: pytest.CaptureFixture[str]) -> None:
    run(["config", "show", "--set", "graph.steps=9"])
    assert "graph:\n  max_seeds: null\n  steps: 9\n" in capsys.readouterr().out
