"""Every field of the configuration is described, and is read by some room."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

import medr_ray.core.config
from medr_ray.core.config import PipelineConfig, Section
from medr_ray.core.settings import list_settings, load_config


def sections() -> Iterator[type[Section]]:
    """Every section, nested ones too."""
    waiting: list[type[Section]] = [Section]
    while waiting:
        section = waiting.pop()
        if section is not Section:
            yield section
        waiting.extend(section.__subclasses__())


def fields() -> Iterator[tuple[type[Section], str]]:
    for section in sections():
        for name in section.__annotations__:
            if name in section.model_fields:
                yield section, name


def attributes_read_outside_of_the_configuration(package: Path) -> set[str]:
    names: set[str] = set()
    for path in package.rglob("*.py"):
        if path.is_relative_to(package / "core" / "config"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return names


def test_every_field_has_a_description_of_one_sentence() -> None:
    undescribed = [
        f"{section.__name__}.{name}"
        for section, name in fields()
        if not section.model_fields[name].description
    ]
    assert undescribed == []
    several_lines = [
        f"{section.__name__}.{name}"
        for section, name in fields()
        if "\n" in (section.model_fields[name].description or "")
    ]
    assert several_lines == []


def test_every_field_is_read_outside_of_the_configuration() -> None:
    package = Path(medr_ray.core.config.__file__).parents[2]
    read = attributes_read_outside_of_the_configuration(package)
    unread = [f"{section.__name__}.{name}" for section, name in fields() if name not in read]
    assert unread == []


def test_the_listed_settings_are_the_configuration() -> None:
    config = load_config(
        None, ["graph.steps=9", "questions.closed_book={model: small, retries: 7}"], {}
    )
    settings = {setting.key: setting for setting in list_settings(config)}
    assert settings["graph.steps"].value == "9"
    assert settings["questions.closed_book.retries"].value == "7"
    assert settings["index.sources"].value.startswith('[{"source": "pubmed"')
    assert all(setting.description for setting in settings.values())


@pytest.mark.parametrize("name", list(PipelineConfig.model_fields))
def test_every_section_is_listed(name: str) -> None:
    section: BaseModel = getattr(PipelineConfig(), name)
    listed = {setting.key for setting in list_settings(section)}
    assert {key.split(".")[0] for key in listed} == set(type(section).model_fields)
