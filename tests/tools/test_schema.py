"""A typed function as a tool: what the agent is shown, what reaches the function, and what becomes
of its failures."""

import asyncio
import logging
import sys
import textwrap
import threading
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from medr_ray.core.config import AgentConfig, PipelineConfig
from medr_ray.core.errors import ConfigError, InfrastructureError, ToolError
from medr_ray.tools import ToolResult, build_tools, from_function, schema, tool
from medr_ray.tools.schema import FunctionTool


@tool
def dose(
    drug: Annotated[str, Field(description="its name", max_length=20)],
    weight: Annotated[float, Field(gt=0, le=300)],
    route: Literal["iv", "oral"] = "iv",
    times: int = 1,
    days: list[int] | None = None,
    fasting: bool = False,
) -> str:
    """A dose in mg
    by body weight.

    Not part of what the agent reads.
    """
    return f"{drug} {weight * 15:g} mg {route} x{times} {days} {fasting} {type(weight).__name__}"


def call_tool(function_tool: FunctionTool, **arguments: Any) -> str:
    return asyncio.run(function_tool.call(arguments)).text


def test_the_example_of_the_documentation_is_a_tool_of_less_than_ten_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    example = textwrap.dedent(
        (schema.__doc__ or "").split("::\n", 1)[1].split("\nand selects", 1)[0]
    )
    assert len([line for line in example.splitlines() if line]) <= 10
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package" / "tools.py").write_text(example)
    monkeypatch.syspath_prepend(tmp_path)
    config = PipelineConfig(agent=AgentConfig(tools=("search", "my_package.tools:dose")))
    _, tool = build_tools(config, searcher=None)  # type: ignore[arg-type]
    sys.modules.pop("my_package.tools")
    assert (tool.name, tool.description) == ("dose", "A single dose in mg by body weight.")
    assert asyncio.run(tool.call({"weight": 3})) == ToolResult("45 mg")
    with pytest.raises(ToolError, match=r"'weight' is wrong: -3 .* minimum"):
        asyncio.run(tool.call({"weight": -3}))


def test_the_signature_is_the_schema_and_the_docstring_the_description() -> None:
    assert (dose.name, dose.description) == ("dose", "A dose in mg by body weight.")
    assert dose.parameters == {
        "type": "object",
        "properties": {
            "drug": {"type": "string", "maxLength": 20, "description": "its name"},
            "weight": {"type": "number", "exclusiveMinimum": 0, "maximum": 300},
            "route": {"type": "string", "enum": ["iv", "oral"], "default": "iv"},
            "times": {"type": "integer", "default": 1},
            "days": {
                "anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "null"}],
                "default": None,
            },
            "fasting": {"type": "boolean", "default": False},
        },
        "required": ["drug", "weight"],
        "additionalProperties": False,
    }


def test_a_decorated_function_is_still_the_function() -> None:
    assert dose("aspirin", 2.0, times=3).startswith("aspirin 30 mg iv x3")


def test_arguments_arrive_as_their_types_and_defaults_are_filled_in() -> None:
    assert call_tool(dose, drug="aspirin", weight=2) == "aspirin 30 mg iv x1 None False float"
    assert (
        call_tool(dose, drug="a", weight=2, days=[1, 2], fasting=True)
        == "a 30 mg iv x1 [1, 2] True float"
    )


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        ({"drug": "a"}, "dose needs the argument 'weight'"),
        ({"drug": "a", "wieght": 1}, "no argument 'wieght': did you mean 'weight'?"),
        ({"drug": "a", "weight": "1"}, "'weight' is wrong: '1' is not of type 'number'"),
        ({"drug": "a", "weight": 301}, "'weight' is wrong: 301"),
        ({"drug": "a" * 21, "weight": 1}, "'drug' is wrong"),
        ({"drug": "a", "weight": 1, "route": "nasal"}, "'route' is wrong: 'nasal' is not one of"),
        ({"drug": "a", "weight": 1, "days": [1, "x"]}, "'days.*' is wrong"),
    ],
)
def test_wrong_arguments_are_named_and_never_reach_the_function(
    arguments: dict[str, Any], wrong: str
) -> None:
    with pytest.raises(ToolError, match=wrong.replace("?", r"\?")):
        call_tool(dose, **arguments)


def test_a_check_that_only_pydantic_knows_names_the_argument_too() -> None:
    class Patient(BaseModel):
        title: str
        age: int

    def describe(patient: Patient, titles: list[Patient] | None = None) -> str:
        """Describes a patient."""
        return f"{patient.title} {patient.age} {titles}"

    def even(
        number: Annotated[int, Field(multiple_of=2)],
        when: Annotated[str, Field(pattern="a$")] = "a",
    ) -> str:
        """Is even."""
        return str(number)

    tool = from_function(describe)
    assert list(tool.parameters["$defs"]["Patient"]["properties"]) == [
        "title",
        "age",
    ]  # the user's title is no title
    assert call_tool(tool, patient={"title": "Dr", "age": 3}) == "Dr 3 None"
    with pytest.raises(ToolError, match=r"'patient.*' is wrong"):
        call_tool(tool, patient={"title": "Dr", "age": "old"})
    with pytest.raises(ToolError, match="'number' is wrong"):
        call_tool(from_function(even), number=3)


def test_a_blocking_function_leaves_the_event_loop_free() -> None:
    def where() -> str:
        """Names its thread."""
        return threading.current_thread().name

    assert call_tool(from_function(where)) != threading.main_thread().name


def test_an_asynchronous_function_may_answer_with_documents() -> None:
    async def find_article(query: str) -> ToolResult:
        """Finds."""
        await asyncio.sleep(0)
        return ToolResult(query, ("PMID:1",))

    assert asyncio.run(from_function(find_article).call({"query": "x"})) == ToolResult(
        "x", ("PMID:1",)
    )


def test_what_a_function_raises_is_a_tool_error_with_type_and_message(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(why: str) -> str:
        """Breaks."""
        raise InfrastructureError(why) if why == "ours" else KeyError(why)

    with caplog.at_level(logging.ERROR), pytest.raises(ToolError) as failure:
        call_tool(from_function(broken), why="no such code")
    assert str(failure.value) == "broken failed: KeyError: 'no such code'"
    assert "Traceback" in caplog.text
    with pytest.raises(InfrastructureError, match="ours"):
        call_tool(from_function(broken), why="ours")


def test_a_function_that_ends_its_program_does_not_end_the_worker() -> None:
    def leaving(code: int) -> str:
        """Leaves."""
        sys.exit(code)

    with pytest.raises(ToolError, match="leaving failed: SystemExit: 3"):
        call_tool(from_function(leaving), code=3)


def test_an_answer_that_is_no_text_is_not_made_up(caplog: pytest.LogCaptureFixture) -> None:
    def nothing():  # type: ignore[no-untyped-def]
        """Says nothing."""

    with pytest.raises(ToolError, match="it returned NoneType, not text"):
        call_tool(from_function(nothing))


def _untyped(query) -> str:  # type: ignore[no-untyped-def]
    """Has no type."""
    return str(query)


def _undescribed(query: str) -> str:
    return query


def _many(*queries: str) -> str:
    """Takes any number."""
    return str(queries)


def _number(query: str) -> int:
    """Counts."""
    return len(query)


def _odd(query: threading.Lock) -> str:  # type: ignore[valid-type]
    """Takes what JSON cannot say."""
    return str(query)


def _dangling(query: "Nowhere") -> str:  # type: ignore[name-defined]  # noqa: F821
    """Takes what is not defined."""
    return str(query)


@pytest.mark.parametrize(
    ("function", "wrong"),
    [
        (_untyped, "argument 'query' has no type"),
        (_undescribed, "has no docstring"),
        (_many, r"\*queries"),
        (_number, "must return str or ToolResult"),
        (_odd, "_odd"),
        (_dangling, "Nowhere"),
        (lambda: "", "no name"),
    ],
)
def test_a_function_that_does_not_say_enough_is_refused(function: Any, wrong: str) -> None:
    with pytest.raises(ConfigError, match=wrong):
        from_function(function)
