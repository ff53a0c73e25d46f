"""The transformers engine: continuous batching with the sampled tokens' log-probabilities, on CPU
or one GPU.

What holds: a request joins the running batch at the next token and leaves it at its last; the
log-probabilities belong to the distribution sampled from (temperature applied, nothing truncated);
a seeded request draws from its own random numbers, whoever shares the batch; ``load_weights``
replaces every parameter or raises, and only between batches, so no answer mixes two versions.
"""

import itertools
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from medr_ray.core.config import EngineConfig
from medr_ray.core.errors import ConfigError, InfrastructureError
from medr_ray.engines.base import Generation, Sampling
from medr_ray.engines.chat import ChatRenderer
from medr_ray.engines.slots import CacheWindow, SlotCache

_ADMIT_EVERY = 4  # steps; reading two prompts together costs little more than one
_PREFILL_TOKENS = 4096  # padded tokens of prompts read in one forward pass
_WORTH_COPYING = (
    16  # shared tokens below which another row's beginning is read again rather than copied
)
_DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}


@dataclass(eq=False)
class EngineRequest:
    """A continuation being made; ``generation`` is set when it is done. ``cancelled`` ends it at
    the next token."""

    prompt: tuple[int, ...]
    sampling: Sampling
    random: torch.Generator
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    cancelled: bool = False
    generation: Generation | None = None


class TransformersEngine:
    """A causal language model in a Hugging Face directory. ``submit`` may be called from any
    thread, the rest from one at a time."""

    def __init__(
        self, model_dir: Path, config: EngineConfig, trust_remote_code: bool = False
    ) -> None:
        self._device = _device(config)
        if self._device == "cpu":
            torch.set_num_threads(config.threads)
        self.tokenizer = AutoTokenizer.from_pretrained(
            model_dir, trust_remote_code=trust_remote_code
        )
        model: Any = AutoModelForCausalLM.from_pretrained(
            model_dir, dtype=_DTYPES[config.dtype], trust_remote_code=trust_remote_code
        )
        _check_attention(model.config, model_dir)
        self.model: Any = model.to(self._device).eval()
        self.renderer = ChatRenderer(self.tokenizer)
        self.version = 0
        self._cache = SlotCache(self.model.config.num_hidden_layers, config.max_batch)
        self._waiting: deque[EngineRequest] = deque()
        self._open: list[EngineRequest] = []  # row i of the cache is the i-th open request's
        self._steps = 0

    def submit(self, prompt: Sequence[int], sampling: Sampling) -> EngineRequest:
        """Queue a request; ``step`` advances it."""
        random = torch.Generator()
        random.manual_seed(
            sampling.seed if sampling.seed is not None else int(torch.randint(2**62, ()).item())
        )
        request = EngineRequest(tuple(prompt), sampling, random)
        self._waiting.append(request)
        return request

    def generate(self, prompts: Sequence[Sequence[int]], sampling: Sampling) -> list[Generation]:
        """Sample one continuation per prompt, in order. With a seed, each prompt gets its own
        random numbers."""
        seeds = itertools.repeat(None) if sampling.seed is None else itertools.count(sampling.seed)
        requests = [
            self.submit(
                prompt, Sampling(sampling.max_tokens, sampling.temperature, sampling.stop, seed)
            )
            for prompt, seed in zip(prompts, seeds, strict=False)
        ]
        while any(one.generation is None for one in requests):
            self.step()
        return [one.generation for one in requests if one.generation is not None]

    def reset(self) -> None:
        """Forget all requests, whatever state a failed step left them in."""
        self._open.clear()
        self._waiting.clear()
        self._cache.clear_tokens()

    def text_so_far(self, request: EngineRequest) -> str:
        """What may be shown of a request: never half a character, nor what may become a stop
        text."""
        if request.generation is not None:
            return request.generation.text
        text = self._decode_ids(request.ids).rstrip("\ufffd")
        return text[: len(text) - _begun(text, request.sampling.stop)]

    def load_weights(self, weights: Mapping[str, Any], version: int) -> None:
        """Replace all parameters; raises InfrastructureError when names or shapes do not match, or
        while requests are being answered."""
        own = dict(self.model.named_parameters())
        if own.keys() != weights.keys():
            odd = sorted(own.keys() ^ weights.keys())[:3]
            raise InfrastructureError(f"weights do not match the model: {odd} ...")
        if self._open:
            raise InfrastructureError(
                f"weights cannot change under {len(self._open)} running requests"
            )
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(torch.as_tensor(weights[name]))
        self._cache.clear_tokens()
        self.version = version

    @torch.inference_mode()
    def step(self) -> None:
        """Admit what waits, then one more token for every open request."""
        if not self._open or self._steps % _ADMIT_EVERY == 0:
            while wave := self._admit():
                self._prefill(wave)
        if self._open:
            self._decode()
        self._steps += 1

    def _admit(self) -> list[EngineRequest]:
        """The next requests to read together, each with its row. Equal prompts wait for the first
        one's reading."""
        wave: list[EngineRequest] = []
        longest, put_off = 0, []
        first = len(self._open)
        while self._waiting and first + len(wave) < len(self._cache.tokens):
            request = self._waiting.popleft()
            if request.cancelled:
                self._finish(request)
            elif any(request.prompt == one.prompt for one in wave) and not self._known(request):
                put_off.append(request)
            else:
                row = first + len(wave)
                self._place(request, row)
                new = len(request.prompt) - len(self._cache.tokens[row])
                if wave and max(longest, new) * (len(wave) + 1) > _PREFILL_TOKENS:
                    put_off.append(request)
                    break
                longest = max(longest, new)
                wave.append(request)
        self._waiting.extendleft(reversed(put_off))
        return wave

    def _known(self, request: EngineRequest) -> bool:
        return self._cache.find_prefix_source(request.prompt)[1] >= len(request.prompt) - 1

    def _place(self, request: EngineRequest, row: int) -> None:
        """Bring what is known of the prompt's beginning into ``row``; at least its last token is
        read again."""
        cache = self._cache
        source, shared = cache.find_prefix_source(request.prompt)
        shared = min(shared, len(request.prompt) - 1)
        continues = (
            source >= row and 0 < len(cache.tokens[source]) == shared
        )  # the dialogue's own last turn
        given_up = source if continues else cache.find_oldest_row(row)
        cache.swap_rows(given_up, row)
        source = {given_up: row, row: given_up}.get(source, source)
        if source != row and shared >= _WORTH_COPYING:
            cache.copy_prefix(source, row, shared)
        own = cache.tokens[row]
        cache.tokens[row] = own[:shared] if own[:shared] == list(request.prompt[:shared]) else []

    def _prefill(self, wave: list[EngineRequest]) -> None:
        first = len(self._open)
        starts = [len(self._cache.tokens[first + i]) for i in range(len(wave))]
        fresh = [list(one.prompt[start:]) for one, start in zip(wave, starts, strict=True)]
        for i, one in enumerate(wave):
            self._cache.tokens[first + i] = list(one.prompt)
        self._open += wave
        self._sample(self._logits(first, starts, fresh), first)

    def _decode(self) -> None:
        starts = [len(self._cache.tokens[row]) for row in range(len(self._open))]
        fresh = [[one.ids[-1]] for one in self._open]
        for row, one in enumerate(self._open):
            self._cache.tokens[row].append(one.ids[-1])
        self._sample(self._logits(0, starts, fresh), 0)

    def _logits(self, first: int, starts: list[int], fresh: list[list[int]]) -> torch.Tensor:
        """(rows, vocabulary) after each row's last token; rows from ``first`` on read their
        ``fresh`` tokens."""
        width = max(len(one) for one in fresh)
        pad = self.renderer.end_id
        window = CacheWindow(first, starts, width, self._device)
        self._cache.set_window(window)
        ids = torch.tensor([one + [pad] * (width - len(one)) for one in fresh], device=self._device)
        hidden = self.model.get_decoder()(
            input_ids=ids,
            attention_mask=window.mask(self.model.dtype),
            position_ids=window.positions,
            past_key_values=self._cache,
            use_cache=True,
        ).last_hidden_state
        last = torch.tensor([len(one) - 1 for one in fresh], device=self._device)
        return self.model.get_output_embeddings()(
            hidden[torch.arange(len(fresh), device=self._device), last]
        )

    def _sample(self, logits: torch.Tensor, first: int) -> None:
        """Give every open request from row ``first`` on its next token; close those that end."""
        requests = self._open[first:]
        tokens, logprobs = _draw(logits, requests)
        for request, token, logprob in zip(requests, tokens, logprobs, strict=True):
            request.ids.append(token)
            request.logprobs.append(logprob)
        for row in reversed(range(first, len(self._open))):
            if self._ended(self._open[row]):
                self._close(row)

    def _ended(self, request: EngineRequest) -> bool:
        sampling = request.sampling
        if (
            request.cancelled
            or request.ids[-1] == self.renderer.end_id
            or len(request.ids) >= sampling.max_tokens
        ):
            return True
        return bool(sampling.stop) and any(
            text in self._decode_ids(request.ids) for text in sampling.stop
        )

    def _close(self, row: int) -> None:
        """Take a request out of the batch; its row becomes the first idle one and keeps its
        tokens."""
        self._finish(self._open[row])
        last = len(self._open) - 1
        self._cache.mark_used(row)
        self._cache.swap_rows(row, last)
        self._open[row] = self._open[last]
        self._open.pop()

    def _finish(self, request: EngineRequest) -> None:
        request.generation = self._read(request)

    def _decode_ids(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True))

    def _read(self, request: EngineRequest) -> Generation:
        ids, end = request.ids, self.renderer.end_id
        ended = bool(ids) and ids[-1] == end
        text = self._decode_ids(ids[:-1] if ended else ids)
        cuts = [text.index(stop) for stop in request.sampling.stop if stop in text]
        return Generation(
            output_ids=tuple(ids),
            logprobs=tuple(request.logprobs),
            text=text[: min(cuts)] if cuts else text,
            finish_reason="stop" if ended or cuts else "length",
            version=self.version,
        )


def _draw(logits: torch.Tensor, requests: Sequence[EngineRequest]) -> tuple[list[int], list[float]]:
    """Tokens and their log-probabilities, by inversion of each row's distribution; greedy at
    temperature 0."""
    device = logits.device
    heat = torch.tensor([one.sampling.temperature for one in requests], device=device)
    distribution = (logits.float() / torch.where(heat > 0, heat, 1.0)[:, None]).log_softmax(-1)
    tokens = distribution.argmax(-1)
    if bool((heat > 0).any()):
        uniform = torch.cat([torch.rand(1, generator=one.random) for one in requests]).to(device)
        cumulative = distribution.exp().cumsum(-1)
        places = torch.searchsorted(cumulative, uniform[:, None] * cumulative[:, -1:], right=True)[
            :, 0
        ]
        tokens = torch.where(heat > 0, places.clamp(max=logits.shape[1] - 1), tokens)
    return tokens.tolist(), distribution.gather(1, tokens[:, None])[:, 0].tolist()


def _begun(text: str, stops: Sequence[str]) -> int:
    """Length of the longest end of the text that begins a stop text."""
    sizes = (
        size
        for stop in stops
        for size in range(min(len(stop) - 1, len(text)), 0, -1)
        if text.endswith(stop[:size])
    )
    return max(sizes, default=0)


def _check_attention(config: Any, model_dir: Path) -> None:
    odd = set(getattr(config, "layer_types", None) or ()) - {"full_attention"}
    if odd:
        raise ConfigError(
            f"{model_dir}: layers of type {', '.join(sorted(odd))} are not supported by the transformers "
            "engine; serve this model with an OpenAI-compatible server and use it as an llm endpoint"
        )


def _device(config: EngineConfig) -> str:
    if config.device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return config.device
