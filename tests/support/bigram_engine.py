"""An engine without a library: a language model whose next token depends on the last one alone."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence

import torch

from medr_ray.core.errors import InfrastructureError
from medr_ray.engines.base import FinishReason, Generation, Progress, Sampling
from medr_ray.engines.managed_engine import ManagedEngine
from medr_ray.engines.weight_transfer import WeightTransfer, compute_checksum

VOCABULARY = 64
END_ID = 0
NAMES = ("bigram.weight", "bigram.bias")
# Token i is the i-th of these letters; the end token has no text.
_LETTERS = "".join(chr(code) for code in range(ord("0"), ord("0") + VOCABULARY))


def make_bigram_weights(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "bigram.weight": torch.randn(VOCABULARY, VOCABULARY, generator=generator).bfloat16(),
        "bigram.bias": torch.randn(VOCABULARY, generator=generator).bfloat16(),
    }


def compute_bigram_logits(weights: Mapping[str, torch.Tensor], ids: Sequence[int]) -> torch.Tensor:
    """Of shape (ids, vocabulary)."""
    return weights["bigram.weight"].float()[list(ids)] + weights["bigram.bias"].float()


def encode_letters(text: str) -> list[int]:
    return [1 + ord(letter) % (VOCABULARY - 1) for letter in text]


class BigramEngine(ManagedEngine):
    """``seconds`` is what a token takes."""

    def __init__(self, seed: int = 0, seconds: float = 0.001) -> None:
        super().__init__()
        self._weights = make_bigram_weights(seed)
        self._seconds = seconds
        self._transfer: WeightTransfer | None = None
        self._incoming: dict[str, torch.Tensor] = {}

    def close(self) -> None:
        self._weights = {}

    async def _sample(self, prompt: Sequence[int], sampling: Sampling) -> Generation:
        async for piece in self._stream_pieces(prompt, sampling):
            if isinstance(piece, Generation):
                return piece
        raise InfrastructureError("a stream ended without its generation")

    async def _stream_pieces(
        self, prompt: Sequence[int], sampling: Sampling
    ) -> AsyncGenerator[Progress | Generation, None]:
        rng = torch.Generator()
        if sampling.seed is not None:
            rng.manual_seed(sampling.seed % 2**64)
        ids: list[int] = []
        logprobs: list[float] = []
        text, finish_reason = "", "length"
        while len(ids) < sampling.max_tokens and finish_reason == "length":
            await asyncio.sleep(self._seconds)
            logits = compute_bigram_logits(self._weights, [*prompt, *ids][-1:])[0]
            distribution = (logits / (sampling.temperature or 1.0)).log_softmax(-1)
            token = int(distribution.argmax())
            if sampling.temperature:
                token = int(distribution.exp().multinomial(1, generator=rng))
            ids.append(token)
            logprobs.append(float(distribution[token]))
            if token == END_ID:
                finish_reason = "stop"
                continue
            text += _LETTERS[token]
            if any(stop in text for stop in sampling.stop):
                finish_reason = "stop"
                text = text[: min(text.index(stop) for stop in sampling.stop if stop in text)]
            elif not sampling.stop:
                yield Progress(_LETTERS[token])
        if sampling.stop and text:
            yield Progress(text)
        reason: FinishReason = "stop" if finish_reason == "stop" else "length"
        yield Generation(tuple(ids), tuple(logprobs), text, reason, self._version)

    async def _begin_update(self, adapter_scaling: float | None) -> None:
        shapes = {name: tuple(weight.shape) for name, weight in make_bigram_weights(0).items()}
        self._transfer = WeightTransfer(shapes)
        self._incoming = {}

    async def _write_weights(self, bucket: Mapping[str, torch.Tensor]) -> None:
        assert self._transfer is not None
        self._transfer.take_bucket(bucket)
        self._incoming.update(bucket)

    async def _finish_update(self) -> str:
        assert self._transfer is not None
        checksum = self._transfer.finish()
        self._weights = self._incoming
        return checksum

    async def _compute_checksum(self) -> str:
        return compute_checksum(self._weights)

    async def _drop_cache(self) -> None:
        """Nothing is kept of what was read."""

    async def _release_memory(self, keep_weights: bool) -> None:
        if not keep_weights:
            self._weights = {}

    async def _take_memory(self) -> None:
        """Weights come with the next update."""
