"""The order of the rooms, read from the source: imports point downwards, no error is swallowed,
modules say what they are."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

FLOORS = {
    "core": 0,
    "governor": 1,
    "knowledge": 1,
    "engines": 1,
    "llm": 2,
    "corpus": 2,
    "retrieval": 3,
    "entities": 3,
    "diagnosis": 4,
    "graph": 4,
    "questions": 5,
    "tools": 5,
    "agent": 6,
    "rollouts": 7,
    "trajectories": 8,
    "training": 9,
    "serving": 9,
    "evaluation": 10,
    "pipeline": 11,
    "lineage": 11,
    "console": 12,
    "cli": 13,
}
PACKAGE = Path(__file__).resolve().parents[1] / "medr_ray"
SOURCES = sorted(path for path in PACKAGE.rglob("*.py"))


def room_of(module: str) -> str:
    """The room of ``medr_ray.room.file``; core for the package itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "core"


def imported_modules(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, module) of every import of this package, in functions and under TYPE_CHECKING too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            names = (
                [f"{module}.{alias.name}" for alias in node.names]
                if module == "medr_ray"
                else [module]
            )
        else:
            continue
        yield from ((node.lineno, name) for name in names if name.split(".")[0] == "medr_ray")


def climbs(importer: str, imported: str) -> bool:
    return importer != imported and FLOORS[imported] >= FLOORS[importer]


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def test_imports_point_to_lower_floors_only() -> None:
    climbing = []
    for path in SOURCES:
        importer = room_of(
            f"medr_ray.{path.relative_to(PACKAGE).with_suffix('').as_posix().replace('/', '.')}"
        )
        if importer == "__init__":
            continue
        climbing += [
            f"{path.relative_to(PACKAGE)}:{line} imports {module}"
            for line, module in imported_modules(parsed(path))
            if climbs(importer, room_of(module))
        ]
    assert climbing == []


def test_every_room_has_a_floor_and_promises_something() -> None:
    rooms = [
        path.parent for path in SOURCES if path.name == "__init__.py" and path.parent != PACKAGE
    ]
    assert [room.name for room in rooms if room.parent == PACKAGE and room.name not in FLOORS] == []
    assert [
        room.name for room in rooms if not ast.get_docstring(parsed(room / "__init__.py"))
    ] == []


def test_imports_are_absolute() -> None:
    relative = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []


def swallows(handler: ast.ExceptHandler) -> bool:
    return handler.type is None or all(
        isinstance(statement, ast.Pass) for statement in handler.body
    )


def test_no_exception_is_swallowed() -> None:
    silent = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ExceptHandler) and swallows(node)
    ]
    assert silent == []


@pytest.mark.parametrize(
    ("importer", "imported", "wrong"),
    [
        ("graph", "corpus", False),
        ("graph", "graph", False),
        ("corpus", "graph", True),
        ("retrieval", "entities", True),
        ("evaluation", "serving", False),
        ("core", "cli", True),
    ],
)
def test_what_counts_as_climbing(importer: str, imported: str, wrong: bool) -> None:
    assert climbs(importer, imported) is wrong


def test_every_module_says_what_it_guarantees() -> None:
    assert [
        str(path.relative_to(PACKAGE)) for path in SOURCES if not ast.get_docstring(parsed(path))
    ] == []


def table_names(tree: ast.AST) -> list[str]:
    """The Parquet file names that a module writes out."""
    literals = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return [
        literal
        for literal in literals
        if isinstance(literal, str) and re.fullmatch(r"\w+\.parquet", literal)
    ]


def test_a_table_that_others_read_is_named_where_it_is_declared_and_nowhere_else() -> None:
    declared: set[str] = set()
    elsewhere: list[str] = []
    for path in SOURCES:
        names = table_names(parsed(path))
        if path.name == "artifacts.py":
            declared.update(names)
        else:
            elsewhere += names
    assert "questions.parquet" in declared
    assert declared & set(elsewhere) == set()
    assert [name for name in elsewhere if elsewhere.count(name) > 1] == []


# Words that say nothing of what a variable holds.
EMPTY_NAMES = frozenset(
    (
        *("one", "ones", "thing", "things", "dice", "made", "most", "found", "known", "shown"),
        *("told", "tell", "heard", "said", "says", "asked", "holds", "wanted"),
    )
)


def stored_names(tree: ast.AST) -> Iterator[ast.Name]:
    """Every variable that is assigned, loops and comprehensions included; fields of classes are
    none."""
    fields = {
        id(target)
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for statement in node.body
        if isinstance(statement, ast.Assign | ast.AnnAssign)
        for target in ast.walk(statement)
    }
    for node in ast.walk(tree):
        is_stored = isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        if is_stored and id(node) not in fields:
            yield node


def test_variables_are_named_after_what_they_hold() -> None:
    empty = [
        f"{path.relative_to(PACKAGE)}:{name.lineno} {name.id}"
        for path in SOURCES
        for name in stored_names(parsed(path))
        if name.id in EMPTY_NAMES
    ]
    assert empty == []
