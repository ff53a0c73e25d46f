"""Names in the configuration that another room owns: vocabulary formats, predicates, document
sources, tools, losses.

The room that owns the names keeps the only table of them. A field refers to that table by its
import path, because ``core`` may not import the rooms above it. The table is imported when a value
is validated, so the defaults, which the tests check, cost no import.
"""

import difflib
import importlib
from collections.abc import Collection

from pydantic import AfterValidator


def registered_in(registry: str, unless: str = "") -> AfterValidator:
    """Return a validator for a field whose value must be one of the names in a room's table.

    ``registry`` is ``module:attribute``; the attribute is a collection of names. A value that
    contains one of the characters of ``unless`` is not looked up. The ValueError names the nearest
    known name.
    """

    def check_name(name: str) -> str:
        if set(unless).isdisjoint(name):
            check_known(name, registered_names(registry))
        return name

    return AfterValidator(check_name)


def registered_names(registry: str) -> Collection[str]:
    """Return the names in the table at ``module:attribute``."""
    module_name, _, attribute = registry.partition(":")
    # Imported here and not above: the rooms that own the names import ``core``.
    names: Collection[str] = getattr(importlib.import_module(module_name), attribute)
    return names


def check_known(name: str, names: Collection[str], noun: str = "name") -> None:
    """Raise ValueError, with the nearest known name, when ``name`` is not one of ``names``.

    ``noun`` is what the message calls it, such as "stage".
    """
    if name not in names:
        choices = ", ".join(names) or "none"
        # With a cutoff of 0 there is a nearest name for every input, unless the table is empty.
        nearest = difflib.get_close_matches(name, names, n=1, cutoff=0.0)
        hint = f"did you mean {nearest[0]!r}? " if nearest else ""
        raise ValueError(f"unknown {noun} {name!r}: {hint}Known: {choices}")
