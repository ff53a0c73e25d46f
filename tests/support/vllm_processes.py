"""The processes that vLLM starts, of this machine."""

import time
from collections.abc import Collection

import psutil

_TITLE = "VLLM::"  # as vLLM names its processes


def find_vllm_processes() -> dict[int, str]:
    """Their names by number."""
    names = {}
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"]
        if words and words[0].startswith(_TITLE):
            names[process.pid] = words[0]
    return names


def wait_until_ended(numbers: Collection[int], seconds: float) -> None:
    """Raises AssertionError when one of them is there after so long."""
    deadline = time.monotonic() + seconds
    while remaining := find_vllm_processes().keys() & set(numbers):
        assert time.monotonic() < deadline, f"{remaining} have not ended"
        time.sleep(0.2)
