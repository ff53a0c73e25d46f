"""Whether the dialogues of a model's directory can be put together as right tokens, before a stage
that needs them starts."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from medr_ray.core.errors import MedrError
from medr_ray.engines.turn_format import find_template_problems
from medr_ray.engines.weights import model_path

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


def find_model_template_problems(
    reference: str, trust_remote_code: bool = False, with_system: bool = True
) -> list[str]:
    """What is wrong with the chat template or the tokenizer of ``models.policy``; nothing for a
    model that is not there, which others say. ``with_system``: see ``find_template_problems``."""
    try:
        folder = model_path(reference)
    except MedrError:
        return []
    stamps = tuple(
        (folder / name).stat().st_mtime_ns if (folder / name).is_file() else 0
        for name in _TOKENIZER_FILES
    )
    problems = _find_problems(folder, trust_remote_code, with_system, stamps)
    return [f"models.policy: {reference}: {problem}" for problem in problems]


@lru_cache(maxsize=16)  # of models: several stages of one plan ask about the same one
def _find_problems(
    folder: Path, trust_remote_code: bool, with_system: bool, stamps: Sequence[int]
) -> Sequence[str]:
    # transformers takes seconds to import.
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except Exception as error:  # whatever its files, or code that comes with them, raise
        reason = str(error).strip().splitlines()
        return [f"its tokenizer cannot be loaded ({' '.join(reason[:1])})"]
    return find_template_problems(tokenizer, with_system)
