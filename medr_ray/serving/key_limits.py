"""What each key may do in a minute and at a time. Pure: the time is an argument."""

import math
from collections import deque
from dataclasses import dataclass, field

from medr_ray.serving.keys import ServingKey

# The window of the limits "a minute", in seconds.
_WINDOW_SECONDS = 60.0
# When to come again where only a running request stands in the way; nobody knows when it ends.
_CONCURRENCY_RETRY_SECONDS = 1


@dataclass(frozen=True)
class LimitReached:
    """Why a key must wait, and for how many seconds."""

    message: str
    retry_after: int


@dataclass
class _KeyUse:
    """What a key did in the last minute: the times of requests, and (time, tokens) of answers."""

    running: int = 0
    requests: deque[float] = field(default_factory=deque)
    answers: deque[tuple[float, int]] = field(default_factory=deque)

    def forget_before(self, time: float) -> None:
        while self.requests and self.requests[0] <= time:
            self.requests.popleft()
        while self.answers and self.answers[0][0] <= time:
            self.answers.popleft()


class KeyLimiter:
    """Admits requests by the limits of their keys. Tokens count once they are read and written, so
    the request that crosses ``tpm`` is still answered."""

    def __init__(self) -> None:
        self._use: dict[str, _KeyUse] = {}

    def admit(self, key: ServingKey, now: float) -> LimitReached | None:
        """Count a request, or say why it must wait. ``finish`` must follow one that is counted.
        ``now`` is in seconds, of a clock that never goes back."""
        use = self._use.setdefault(key.name, _KeyUse())
        use.forget_before(now - _WINDOW_SECONDS)
        if key.concurrency is not None and use.running >= key.concurrency:
            return LimitReached(
                f"the key {key.name} may have {key.concurrency} requests at a time",
                _CONCURRENCY_RETRY_SECONDS,
            )
        if key.rpm is not None and len(use.requests) >= key.rpm:
            # As many must leave the window as stand above the limit, and the next one.
            leaves_at = use.requests[len(use.requests) - key.rpm] + _WINDOW_SECONDS
            return LimitReached(
                f"the key {key.name} may send {key.rpm} requests a minute",
                _round_up(leaves_at - now),
            )
        if key.tpm is not None:
            wait = _find_token_wait(use.answers, key.tpm, now)
            if wait is not None:
                return LimitReached(
                    f"the key {key.name} may use {key.tpm} tokens a minute", _round_up(wait)
                )
        use.requests.append(now)
        use.running += 1
        return None

    def finish(self, key: ServingKey, tokens: int, now: float) -> None:
        """Note that a counted request ended, with the tokens of its prompt and its answer."""
        use = self._use[key.name]
        use.running -= 1
        if tokens:
            use.answers.append((now, tokens))


def _find_token_wait(answers: deque[tuple[float, int]], limit: int, now: float) -> float | None:
    """Seconds until fewer tokens than ``limit`` are in the window; null when there are now."""
    used = sum(tokens for _, tokens in answers)
    if used < limit:
        return None
    for time, tokens in answers:
        used -= tokens
        if used < limit:
            return time + _WINDOW_SECONDS - now
    return None


def _round_up(seconds: float) -> int:
    """Whole seconds, at least one: Retry-After has no fractions."""
    return max(1, math.ceil(seconds))
