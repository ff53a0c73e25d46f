"""YAML that people write: strict, and with one line for each mistake.

A key given twice in one mapping is refused, and so is text that is not UTF-8. Plain words are read
as YAML 1.2 reads them: ``no``, ``off`` and ``12:30`` are text, ``1e-6`` is a number. So is ``007``
text, which keeps its zeros.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from medr_ray.core.errors import ConfigError

# The place of a value: its keys and positions from the top, such as ("agent", "tools", 0).
Location = tuple[int | str, ...]

_TAG = "tag:yaml.org,2002:"
_MERGE_TAG = f"{_TAG}merge"  # of the key <<, which takes over the keys of another mapping
# The types of plain words (YAML 1.2.2, section 10.3.2), with the characters that they begin with.
_CORE_TYPES = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(0|[1-9][0-9]*)|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+|\.[0-9]+[eE][-+]?[0-9]+)"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
    ("null", r"~|null|Null|NULL", "~nN"),
    ("merge", r"<<", "<"),
)
# Remedies by what the parser says.
_REMEDIES = (
    ("mapping values are not allowed", "put text that contains ': ' in quotes"),
    ("could not find expected ':'", "write key: value"),
    ("cannot start any token", "put the value in quotes"),
    ("'<document start>'", "put text that begins with % in quotes"),
    ("'<stream end>'", "close the bracket or quote"),
    ("end of stream", "close the bracket or quote"),
    ("unknown escape character", "put the value in single quotes"),
    ("undefined alias", "put text that begins with * in quotes"),
    ("constructor for the tag", "put text that begins with ! in quotes"),
    ("another document", "keep one, without ---"),
    ("unhashable key", "a key is a word"),
    ("expected <block end>", "indent the keys of a section alike"),
)
_MARKS = (  # before the text of a file, from the longest
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)


@dataclass(frozen=True)
class YamlText:
    """The value of a YAML text, and the line of each of its keys and items, counted from 1."""

    value: Any
    lines: dict[Location, int]


def decode_yaml(content: bytes, place: str) -> str:
    """The text of a YAML file. ``place`` names the file in errors.

    Raises ConfigError for bytes that are not UTF-8.
    """
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            raise ConfigError(f"{place}: it is {encoding} text: save it as UTF-8")
    if b"\0" in content:
        raise ConfigError(f"{place}: it holds zero bytes, as UTF-16 does: save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = content[error.start]
        raise ConfigError(
            f"{place} line {line}: byte 0x{byte:02x} is not UTF-8: save the file as UTF-8"
        ) from None


def parse_yaml(text: str, place: str) -> YamlText:
    """Read one YAML document. ``place`` names the text in errors, such as the path of its file.

    Raises ConfigError, with one line, for text that is not YAML and for a key that is given twice.
    """
    try:
        loader = _StrictLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return YamlText(None, {})
            # First: construction copies merged keys into the nodes.
            lines = dict(_list_lines(node))
            return YamlText(loader.construct_document(node), lines)
        finally:
            loader.dispose()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        character = f"the character {ord(text[error.position]):#06x}"
        where = _describe_place(place, text, line)
        raise ConfigError(f"{where}: not YAML: {character} is not allowed: remove it") from None
    except yaml.MarkedYAMLError as error:
        raise ConfigError(_describe_error(error, text, place)) from None
    except RecursionError:
        raise ConfigError(f"{place}: not YAML: its brackets nest too deep") from None


def format_yaml(value: Any) -> str:
    """Return the YAML text of a value, which ``parse_yaml`` and other readers read back."""
    return yaml.dump(value, Dumper=_QuotingDumper, sort_keys=False, allow_unicode=True)


class _KeyGivenTwice(yaml.MarkedYAMLError):
    """YAML forbids it, and its parsers let the last one win."""


class _StrictLoader(yaml.SafeLoader):
    """Reads safe YAML with the types of YAML 1.2, and refuses a key that is given twice."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)  # type: ignore[no-untyped-call]
        first_lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE_TAG:
                continue
            if key.value in first_lines:
                raise _KeyGivenTwice(
                    problem=f"the key {key.value} is given twice, first in line "
                    f"{first_lines[key.value]}: keep one",
                    problem_mark=key.start_mark,
                )
            first_lines[key.value] = key.start_mark.line + 1
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)  # type: ignore[no-untyped-call]
        # A value that is not of the type that its tag or its form says: a number of 5,000 digits,
        # "!!int five", "!!timestamp never".
        except (ValueError, LookupError, AttributeError):
            raise yaml.constructor.ConstructorError(
                problem=f"the value cannot be read as {node.tag.removeprefix(_TAG)}: "
                "put it in quotes",
                problem_mark=node.start_mark,
            ) from None


class _QuotingDumper(yaml.SafeDumper):
    """Puts text in quotes that YAML 1.1 or 1.2 would read as something else."""


_StrictLoader.yaml_implicit_resolvers = {}
for _name, _pattern, _beginnings in _CORE_TYPES:
    for _class in (_StrictLoader, _QuotingDumper):
        _class.add_implicit_resolver(  # type: ignore[no-untyped-call]
            _TAG + _name, re.compile(rf"(?:{_pattern})\Z"), list(_beginnings)
        )
_StrictLoader.add_implicit_resolver(  # type: ignore[no-untyped-call]
    f"{_TAG}null", re.compile(r"\Z"), [""]
)


def _list_lines(root: yaml.Node) -> Iterator[tuple[Location, int]]:
    """Yield the location and line of each key and item; what an alias repeats is listed once."""
    pending: list[tuple[Location, int, yaml.Node]] = [((), 1, root)]
    listed: set[int] = set()
    while pending:
        location, line, node = pending.pop()
        if id(node) in listed:
            continue
        listed.add(id(node))
        if location:
            yield location, line
        if isinstance(node, yaml.SequenceNode):
            pending += [
                ((*location, index), item.start_mark.line + 1, item)
                for index, item in enumerate(node.value)
            ]
        elif isinstance(node, yaml.MappingNode):
            pending += [
                ((*location, key.value), key.start_mark.line + 1, value)
                for key, value in node.value
                if isinstance(key, yaml.ScalarNode)
            ]


def _describe_error(error: yaml.MarkedYAMLError, text: str, place: str) -> str:
    """One line: place, line, problem and remedy."""
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark is not None else 1
    where = _describe_place(place, text, line)
    lines = text.splitlines()
    content = lines[line - 1] if line <= len(lines) else ""
    indentation = content[: len(content) - len(content.lstrip())]
    if "\t" in indentation:
        return f"{where}: not YAML: a tab indents it: indent with spaces"
    if isinstance(error, _KeyGivenTwice):
        return f"{where}: {error.problem}"
    problem = " ".join((error.problem or "it cannot be read").split())
    remedy = next((remedy for phrase, remedy in _REMEDIES if phrase in problem), "")
    return f"{where}: not YAML: {problem}" + (f": {remedy}" if remedy else "")


def _describe_place(place: str, text: str, line: int) -> str:
    """The place and the line; a text of one line needs no number."""
    return f"{place} line {line}" if "\n" in text.rstrip() else place
