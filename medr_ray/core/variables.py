"""Environment variables: those that hold keys, and which names of ours there are.

A mistyped name that begins with MEDR_ would change nothing, without a word; so an unknown one is an
error.
"""

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from medr_ray.core.errors import ConfigError

PREFIX = "MEDR_"
# Two underscores stand for the dot of a key: MEDR_GRAPH__STEPS is graph.steps.
DOT = "__"
# What is read beside the keys of the configuration.
_OTHER_NAMES = (
    "MEDR_CACHE",  # see ``user_cache``
    "MEDR_TRACEBACK",  # see ``cli.main``
    "MEDR_VLLM_PYTHON",  # see ``engines.factory``
    "MEDR_ENGINE_PROCESS",  # of the processes of an engine, see ``engines.vllm``
    "MEDR_BENCH_RUN",  # of the measurements
    "MEDR_SHARED_DATA",  # of the tests
)
# Fields of the configuration that give names of variables.
_NAMING_FIELDS = ("api_key_env", "env_names", "extra_headers")
# What Kubernetes sets in every pod for a service with a name such as medr-serve.
_SERVICE_LINK = re.compile(
    rf"{PREFIX}\w+_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://.+")


def read_key(variable: str) -> str:
    """The key in an environment variable, "" where there is none.

    A file that was read into it leaves a line break at the end, which is no part of the key. Raises
    ConfigError for what cannot be sent as a header.
    """
    return clean_key(os.environ.get(variable, ""), variable)


def clean_key(text: str, variable: str) -> str:
    """The key in the text of a variable; see ``read_key``."""
    key = text.strip()
    if not (key.isascii() and key.isprintable()):
        raise ConfigError(f"${variable} is no key: it holds characters other than printable ASCII")
    return key


def list_key_variables(variables: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return (variable, key) for each variable that sets a key, in the order of their names: the
    result must not depend on how the shell orders them."""
    return [
        (name, name.removeprefix(PREFIX).lower().replace(DOT, "."))
        for name in sorted(variables)
        if name.startswith(PREFIX) and DOT in name and not _is_service_link(name, variables[name])
    ]


def check_variables(variables: Mapping[str, str], config: BaseModel) -> None:
    """Raise ConfigError, with the nearest known name, for a variable that nothing reads.

    ``config`` is the resolved configuration, which names the variables that hold its keys.
    """
    named = set(_list_named_variables(config))
    # A default that this configuration replaced may be set for other runs.
    named |= set(_list_named_variables(type(config)()))
    for name in sorted(variables):
        is_ours = name.startswith(PREFIX) and DOT not in name
        if not is_ours or name in named or name in _OTHER_NAMES:
            continue
        if _is_service_link(name, variables[name]):
            continue
        candidates = [*sorted(named), *_OTHER_NAMES, *_list_setting_variables(config)]
        # With a cutoff of 0 there is a nearest name for every text.
        (nearest,) = difflib.get_close_matches(name, candidates, n=1, cutoff=0.0)
        raise ConfigError(
            f"unknown environment variable {name}: did you mean {nearest}? Rename or unset it; "
            "one that holds a key is named by api_key_env"
        )


def _is_service_link(name: str, value: str) -> bool:
    if name.startswith(PREFIX) and name.endswith("_PORT") and _SERVICE_ADDRESS.fullmatch(value):
        return True
    return _SERVICE_LINK.fullmatch(name) is not None


def _list_named_variables(value: Any) -> Iterator[str]:
    """Yield the names of variables that a configuration gives, at every depth."""
    if isinstance(value, BaseModel):
        for field in type(value).model_fields:
            content = getattr(value, field)
            if field not in _NAMING_FIELDS:
                yield from _list_named_variables(content)
            elif isinstance(content, str):
                yield content
            else:
                yield from content.values() if isinstance(content, dict) else content
    elif isinstance(value, tuple):
        for item in value:
            yield from _list_named_variables(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _list_named_variables(item)


def _list_setting_variables(section: BaseModel, prefix: str = PREFIX) -> Iterator[str]:
    """Yield the variable of each key of the configuration."""
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from _list_setting_variables(value, f"{prefix}{name.upper()}{DOT}")
        else:
            yield f"{prefix}{name.upper()}"
