"""Prompts and word lists that ship inside the package, read once per process.

A room keeps its prompts in its own folder ``prompts/``, one text file each. A prompt that exists in
several languages is a file per language, ``NAME.LANGUAGE.txt``.
"""

import functools
import hashlib
from importlib import resources
from typing import Any

from medr_ray.core.errors import ConfigError
from medr_ray.core.json_text import parse_json

_FENCE_CHARACTERS = 12  # of the digest in a fence: 48 bits, which no author of a page can aim at


@functools.cache
def read_prompt(package: str, name: str, language: str | None = None) -> str:
    """Return the text of ``prompts/NAME.txt`` in ``package``, or of ``prompts/NAME.LANGUAGE.txt``.

    The text is returned exactly as it is stored, with its last line break: responses are cached
    under the text that was sent. Raises ConfigError when the package has no such prompt.
    """
    file_name = f"{name}.txt" if language is None else f"{name}.{language}.txt"
    # Through ``resources``, because a package may be imported from a zip file.
    folder = resources.files(package).joinpath("prompts")
    try:
        return folder.joinpath(file_name).read_text(encoding="utf-8")
    except FileNotFoundError:
        names = sorted(file.name for file in folder.iterdir())
        raise ConfigError(
            f"{package} has no prompt {file_name}; its prompts are {', '.join(names)}"
        ) from None


def build_fence(text: str) -> str:
    """The line before and after ``text`` in a prompt, between which it is data.

    It has a digest of the text. A text cannot hold its own digest, so it cannot close the fence and
    pose as the prompt.
    """
    digest = hashlib.sha256(text.encode(errors="replace")).hexdigest()[:_FENCE_CHARACTERS]
    return f"===== {digest} ====="


@functools.cache
def read_package_json(package: str, file_name: str) -> Any:
    """Return the content of a JSON file beside the modules of ``package``.

    Every caller gets the same object, so a caller must not change it.
    """
    return parse_json(resources.files(package).joinpath(file_name).read_bytes(), file_name)
