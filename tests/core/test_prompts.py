"""Prompts that ship inside the package: found by room, name and language, byte for byte."""

from pathlib import Path

import pytest

import medr_ray
from medr_ray.core.errors import ConfigError
from medr_ray.core.prompts import read_package_json, read_prompt

PACKAGE = Path(medr_ray.__file__).parent


def test_a_prompt_is_read_as_it_is_stored() -> None:
    stored = (PACKAGE / "evaluation" / "prompts" / "judge.zh.txt").read_bytes().decode("utf-8")
    assert read_prompt("medr_ray.evaluation", "judge", "zh") == stored
    assert read_prompt("medr_ray.tools", "quotes").endswith("\n")


def test_a_missing_prompt_is_named_with_those_that_exist() -> None:
    with pytest.raises(ConfigError, match=r"judge\.fr\.txt.*judge\.en\.txt, judge\.zh\.txt"):
        read_prompt("medr_ray.evaluation", "judge", "fr")


def test_a_json_file_is_parsed_once() -> None:
    names = read_package_json("medr_ray.entities", "general_names.json")
    assert names["names"]
    assert read_package_json("medr_ray.entities", "general_names.json") is names
