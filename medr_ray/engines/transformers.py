"""The transformers engine: continuous batching with the log-probabilities of the sampled tokens, on
CPU or one GPU.

Guaranteed: a request joins the running batch between two tokens and leaves it after its last one.
The log-probabilities are those of the distribution that was sampled from (temperature applied,
nothing truncated). A seeded request draws from random numbers of its own, whatever else is in the
batch. ``load_weights`` replaces every parameter or raises, and works only while no request is
running, so that no answer mixes two versions.
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

# New requests wait up to this many steps, because reading two prompts together costs little more
# than reading one.
_ADMIT_EVERY_STEPS = 4
_PREFILL_TOKENS = 4096  # prompt tokens, with padding, that one forward pass reads at most
# A beginning that a prompt shares with another row is copied from there if it is this long; a
# shorter one is read again.
_MIN_COPIED_TOKENS = 16
_DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}


@dataclass(eq=False)
class EngineRequest:
    """A prompt to continue and what is sampled so far.

    ``generation`` is set when it is done. Setting ``cancelled`` ends it at the next token.
    """

    prompt: tuple[int, ...]
    sampling: Sampling
    rng: torch.Generator
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    cancelled: bool = False
    generation: Generation | None = None


class TransformersEngine:
    """A causal language model in a Hugging Face directory.

    ``submit`` may be called from any thread; all other methods from one thread at a time.
    """

    def __init__(
        self, model_dir: Path, config: EngineConfig, trust_remote_code: bool = False
    ) -> None:
        self._device = _select_device(config)
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
        self._running: list[EngineRequest] = []  # the i-th running request has row i of the cache
        self._steps = 0

    def submit(self, prompt: Sequence[int], sampling: Sampling) -> EngineRequest:
        """Queue a request; ``step`` advances it."""
        seed = sampling.seed
        if seed is None:
            # From torch's own generator, so that ``torch.manual_seed`` decides unseeded requests
            # too.
            seed = int(torch.randint(2**62, ()).item())
        # On the CPU, whatever the engine's device is: a seed gives the same numbers everywhere.
        rng = torch.Generator()
        rng.manual_seed(seed)
        request = EngineRequest(tuple(prompt), sampling, rng)
        # ``deque.append`` is atomic, so that other threads may submit without a lock.
        self._waiting.append(request)
        return request

    def generate(self, prompts: Sequence[Sequence[int]], sampling: Sampling) -> list[Generation]:
        """Sample one continuation per prompt, in order.

        With a seed, the i-th prompt is sampled with ``seed + i``: equal prompts still differ.
        """
        seeds = itertools.repeat(None) if sampling.seed is None else itertools.count(sampling.seed)
        requests = [
            self.submit(
                prompt, Sampling(sampling.max_tokens, sampling.temperature, sampling.stop, seed)
            )
            for prompt, seed in zip(prompts, seeds, strict=False)
        ]
        while any(request.generation is None for request in requests):
            self.step()
        return [request.generation for request in requests if request.generation is not None]

    def reset(self) -> None:
        """Forget all requests, whatever state a failed step left them in."""
        self._running.clear()
        self._waiting.clear()
        self._cache.clear_tokens()

    def text_so_far(self, request: EngineRequest) -> str:
        """The part of a request's text that is final.

        It leaves out an incomplete character at the end, and an end that may become a stop text.
        """
        if request.generation is not None:
            return request.generation.text
        text = self._decode_ids(request.ids).rstrip("\ufffd")
        return text[: len(text) - _stop_prefix_length(text, request.sampling.stop)]

    def load_weights(self, weights: Mapping[str, Any], version: int) -> None:
        """Replace all parameters.

        Raises InfrastructureError when names or shapes do not match, or while requests are running.
        """
        # Tied weights are named once here, as in the trainer's own parameters.
        own = dict(self.model.named_parameters())
        if own.keys() != weights.keys():
            unmatched = sorted(own.keys() ^ weights.keys())[:3]
            raise InfrastructureError(f"weights do not match the model: {unmatched} ...")
        if self._running:
            raise InfrastructureError(
                f"weights cannot change under {len(self._running)} running requests"
            )
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(torch.as_tensor(weights[name]))
        self._cache.clear_tokens()
        self.version = version

    @torch.inference_mode()
    def step(self) -> None:
        """Admit waiting requests, then sample one more token for every running request."""
        if not self._running or self._steps % _ADMIT_EVERY_STEPS == 0:
            # More than one wave: each reads a limited number of tokens, and a request that was
            # postponed can copy what the wave before it has read.
            while wave := self._admit_requests():
                self._prefill_wave(wave)
        if self._running:
            self._decode_step()
        self._steps += 1

    def _admit_requests(self) -> list[EngineRequest]:
        """The next requests to read together; each gets the row behind the one before it.

        A request whose prompt is read in the same pass already waits for the next one: then it can
        copy what was read.
        """
        wave: list[EngineRequest] = []
        postponed: list[EngineRequest] = []
        longest = 0  # new tokens of the longest prompt in the wave
        first_row = len(self._running)
        while self._waiting and first_row + len(wave) < len(self._cache.tokens):
            request = self._waiting.popleft()
            if request.cancelled:
                self._finish_request(request)
            elif self._is_read_in_wave(request, wave):
                postponed.append(request)
            else:
                row = first_row + len(wave)
                self._assign_row(request, row)
                new_tokens = len(request.prompt) - len(self._cache.tokens[row])
                if wave and max(longest, new_tokens) * (len(wave) + 1) > _PREFILL_TOKENS:
                    # Its row was prepared, but it is not in the batch: the next wave prepares one
                    # again.
                    postponed.append(request)
                    break
                longest = max(longest, new_tokens)
                wave.append(request)
        # ``extendleft`` turns the order round, so this restores that of arrival.
        self._waiting.extendleft(reversed(postponed))
        return wave

    def _is_read_in_wave(self, request: EngineRequest, wave: Sequence[EngineRequest]) -> bool:
        is_in_wave = any(request.prompt == other.prompt for other in wave)
        return is_in_wave and not self._is_prefix_cached(request)

    def _is_prefix_cached(self, request: EngineRequest) -> bool:
        """Whether all of the prompt but its last token is in the cache."""
        _, length = self._cache.find_prefix_source(request.prompt)
        return length >= len(request.prompt) - 1

    def _assign_row(self, request: EngineRequest, row: int) -> None:
        """Give the request ``row``, with as much of the prompt's beginning as the cache has.

        At least the prompt's last token is left to read: sampling needs its output.
        """
        cache = self._cache
        source, shared = cache.find_prefix_source(request.prompt)
        shared = min(shared, len(request.prompt) - 1)
        # An idle row whose tokens all begin the prompt holds the last turn of the same dialogue.
        is_own_last_turn = source >= row and 0 < len(cache.tokens[source]) == shared
        replaced = source if is_own_last_turn else cache.find_oldest_row(row)
        cache.swap_rows(replaced, row)
        # The swap may have moved the source.
        source = {replaced: row, row: replaced}.get(source, source)
        if source != row and shared >= _MIN_COPIED_TOKENS:
            cache.copy_prefix(source, row, shared)
        row_tokens = cache.tokens[row]
        is_usable = row_tokens[:shared] == list(request.prompt[:shared])
        cache.tokens[row] = row_tokens[:shared] if is_usable else []

    def _prefill_wave(self, wave: list[EngineRequest]) -> None:
        """Read the new tokens of the admitted prompts and sample the first token of each."""
        first_row = len(self._running)
        starts = [len(self._cache.tokens[first_row + i]) for i in range(len(wave))]
        new_ids = [
            list(request.prompt[start:]) for request, start in zip(wave, starts, strict=True)
        ]
        for row, request in enumerate(wave, first_row):
            # Recorded before the pass has written them. A pass that fails is followed by ``reset``.
            self._cache.tokens[row] = list(request.prompt)
        self._running += wave
        self._sample_tokens(self._compute_logits(first_row, starts, new_ids), first_row)

    def _decode_step(self) -> None:
        """Read the last token of every running request and sample the next one."""
        starts = [len(self._cache.tokens[row]) for row in range(len(self._running))]
        new_ids = [[request.ids[-1]] for request in self._running]
        for row, request in enumerate(self._running):
            self._cache.tokens[row].append(request.ids[-1])
        self._sample_tokens(self._compute_logits(0, starts, new_ids), 0)

    def _compute_logits(
        self, first_row: int, starts: list[int], new_ids: list[list[int]]
    ) -> torch.Tensor:
        """Logits of shape (rows, vocabulary) after each row's last new token.

        The rows from ``first_row`` on read their ``new_ids``, from position ``starts[i]`` on.
        """
        width = max(map(len, new_ids))
        pad_id = self.renderer.end_id  # any id will do: what is read of it is overwritten later
        window = CacheWindow(first_row, starts, width, self._device)
        self._cache.set_window(window)
        padded = [ids + [pad_id] * (width - len(ids)) for ids in new_ids]
        hidden = self.model.get_decoder()(
            input_ids=torch.tensor(padded, device=self._device),
            attention_mask=window.build_mask(self.model.dtype),
            position_ids=window.positions,
            past_key_values=self._cache,
            use_cache=True,
        ).last_hidden_state
        # The output layer is the largest of a small model: apply it to one position a row.
        last = torch.tensor([len(ids) - 1 for ids in new_ids], device=self._device)
        rows = torch.arange(len(new_ids), device=self._device)
        return self.model.get_output_embeddings()(hidden[rows, last])

    def _sample_tokens(self, logits: torch.Tensor, first_row: int) -> None:
        """Append the next token of every request from ``first_row`` on, and take out of the batch
        those that end."""
        requests = self._running[first_row:]
        tokens, logprobs = _draw_tokens(logits, requests)
        for request, token, logprob in zip(requests, tokens, logprobs, strict=True):
            request.ids.append(token)
            request.logprobs.append(logprob)
        # From the last row on, because taking one out moves the last request into its row.
        for row in reversed(range(first_row, len(self._running))):
            if self._has_ended(self._running[row]):
                self._remove_from_batch(row)

    def _has_ended(self, request: EngineRequest) -> bool:
        sampling = request.sampling
        if (
            request.cancelled
            or request.ids[-1] == self.renderer.end_id
            or len(request.ids) >= sampling.max_tokens
        ):
            return True
        if not sampling.stop:
            return False
        # The whole text: a stop text may lie across tokens, and a token need not end with a
        # character.
        text = self._decode_ids(request.ids)
        return any(stop in text for stop in sampling.stop)

    def _remove_from_batch(self, row: int) -> None:
        """Take a request out of the batch. Its row becomes the first idle row, with its tokens."""
        self._finish_request(self._running[row])
        # Running requests have the first rows, without a gap: the last one moves into the free row.
        last = len(self._running) - 1
        self._cache.mark_used(row)
        self._cache.swap_rows(row, last)
        self._running[row] = self._running[last]
        self._running.pop()

    def _finish_request(self, request: EngineRequest) -> None:
        request.generation = self._build_generation(request)

    def _decode_ids(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True))

    def _build_generation(self, request: EngineRequest) -> Generation:
        ids = request.ids
        has_end_token = bool(ids) and ids[-1] == self.renderer.end_id
        text = self._decode_ids(ids[:-1] if has_end_token else ids)
        stop_positions = [text.index(stop) for stop in request.sampling.stop if stop in text]
        return Generation(
            output_ids=tuple(ids),
            logprobs=tuple(request.logprobs),
            text=text[: min(stop_positions, default=len(text))],
            finish_reason="stop" if has_end_token or stop_positions else "length",
            version=self.version,
        )


def _draw_tokens(
    logits: torch.Tensor, requests: Sequence[EngineRequest]
) -> tuple[list[int], list[float]]:
    """Each row's token and its log-probability; ``logits`` have shape (rows, vocabulary).

    A token is drawn by inversion of the row's cumulative distribution, with one number of the
    request's own generator: the draw does not depend on the other rows. At temperature 0 it is the
    most likely token.
    """
    device = logits.device
    temperature = torch.tensor(
        [request.sampling.temperature for request in requests], device=device
    )
    is_sampled = temperature > 0
    # In float32 whatever the weights are in, because training forms ratios of these probabilities.
    # Where sampling is greedy the divisor is 1: log-probabilities are then those at temperature 1.
    scaled = logits.float() / torch.where(is_sampled, temperature, 1.0)[:, None]
    logprobs = scaled.log_softmax(-1)
    tokens = logprobs.argmax(-1)
    if bool(is_sampled.any()):
        numbers = [torch.rand(1, generator=request.rng) for request in requests]
        uniform = torch.cat(numbers).to(device)
        cumulative = logprobs.exp().cumsum(-1)
        # Rounding lets the sum end a little off 1: scale by it, so that a draw never falls outside.
        target = uniform[:, None] * cumulative[:, -1:]
        drawn = torch.searchsorted(cumulative, target, right=True)[:, 0]
        tokens = torch.where(is_sampled, drawn.clamp(max=logits.shape[1] - 1), tokens)
    return tokens.tolist(), logprobs.gather(1, tokens[:, None])[:, 0].tolist()


def _stop_prefix_length(text: str, stops: Sequence[str]) -> int:
    """The length of the longest end of ``text`` that is the beginning of a stop text."""
    longest = 0
    for stop in stops:
        for length in range(min(len(stop) - 1, len(text)), longest, -1):
            if text.endswith(stop[:length]):
                longest = length
                break
    return longest


def _check_attention(config: Any, model_dir: Path) -> None:
    """Raise ConfigError for a model with other layers than full attention: the cache keeps every
    position, which a sliding window or a state-space layer does not expect."""
    layer_types = set(getattr(config, "layer_types", None) or ())
    unsupported = layer_types - {"full_attention"}
    if unsupported:
        raise ConfigError(
            f"{model_dir}: layers of type {', '.join(sorted(unsupported))} are not supported by "
            "the transformers engine; serve this model with an OpenAI-compatible server and use it "
            "as an llm endpoint"
        )


def _select_device(config: EngineConfig) -> str:
    if config.device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return config.device
