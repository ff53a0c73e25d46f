"""The transformers engine. It samples many requests in one batch, on the CPU or one GPU.

Guaranteed:

- Batching is continuous: a request can join the batch before any token and leaves it after its last
  token.
- Each sampled token comes with its log-probability under the distribution that it was drawn from:
  the temperature is applied, and nothing is truncated.
- Every request has its own random numbers, so other requests do not change the numbers that a seed
  gives.
- ``load_weights`` replaces all parameters or raises. It raises while requests are running, so no
  answer comes from two versions.
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
from medr_ray.engines.number_format import select_dtype
from medr_ray.engines.slots import CacheWindow, SlotCache

_LEAST_SEED = -(2**63)  # torch's bounds
_SEEDS = 2**64
# Below it sampling is greedy: logits divided by less overflow, and the most likely token has all of
# the probability long before.
_LEAST_TEMPERATURE = 1e-5
# The engine admits new requests at every fourth step, so requests that arrive within these steps
# are read together. Reading two prompts at once takes little longer than reading one.
_ADMIT_EVERY_STEPS = 4
_MAX_PREFILL_TOKENS = 4096  # prompt tokens that one forward pass reads, with padding
# If a prompt begins like another row, the engine copies the common beginning from that row. A
# beginning that is shorter than this is read again.
_MIN_COPIED_TOKENS = 16


@dataclass(eq=False)
class EngineRequest:
    """A prompt to continue, and the tokens that were sampled so far.

    ``generation`` is set when the request is done. Setting ``cancelled`` ends it at the next token.
    """

    prompt: tuple[int, ...]
    sampling: Sampling
    rng: torch.Generator
    output_ids: list[int] = field(default_factory=list)
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
        if config.dtype == "auto":
            dtype = select_dtype(self._device)
        else:
            dtype = getattr(torch, config.dtype)
        model: Any = AutoModelForCausalLM.from_pretrained(
            model_dir, dtype=dtype, trust_remote_code=trust_remote_code
        )
        _require_full_attention(model.config, model_dir)
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
            # From torch's own generator, so that ``torch.manual_seed`` determines unseeded requests
            # too. ``randint`` draws int64, so the bound must be below 2**63.
            seed = int(torch.randint(2**62, ()).item())
        elif not _LEAST_SEED <= seed < _SEEDS:
            # Torch refuses others; seeds that are counted up may get there.
            seed %= _SEEDS
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
        # All are done; the condition only narrows the type.
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
        text = self._decode_ids(request.output_ids).rstrip("\ufffd")
        return text[: len(text) - _stop_prefix_length(text, request.sampling.stop)]

    def load_weights(self, weights: Mapping[str, Any], version: int) -> None:
        """Replace all parameters.

        Raises InfrastructureError when names or shapes do not match, or while requests are running.
        """
        # ``named_parameters`` lists a tied weight once; the trainer's weights come from it as well.
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
            # Several waves, because each may read a limited number of tokens. A request that was
            # postponed can copy the prompt that the previous wave has read.
            while wave := self._admit_requests():
                self._prefill_wave(wave)
        if self._running:
            self._decode_step()
        self._steps += 1

    def _admit_requests(self) -> list[EngineRequest]:
        """Take the next wave from the queue: requests whose prompts one forward pass reads.

        The i-th request of the wave gets the i-th row behind the running requests. A request with
        the same prompt as another one of the wave waits for the next wave, and then copies the
        prompt's states instead of computing them again.
        """
        wave: list[EngineRequest] = []
        postponed: list[EngineRequest] = []
        longest = 0  # new tokens of the longest prompt in the wave
        first_row = len(self._running)
        while self._waiting and first_row + len(wave) < len(self._cache.row_token_ids):
            request = self._waiting.popleft()
            if request.cancelled:
                self._finish_request(request)
            elif self._should_wait_for_next_wave(request, wave):
                postponed.append(request)
            else:
                row = first_row + len(wave)
                self._assign_row(request, row)
                new_tokens = len(request.prompt) - len(self._cache.row_token_ids[row])
                if wave and max(longest, new_tokens) * (len(wave) + 1) > _MAX_PREFILL_TOKENS:
                    # The row that was assigned above is given up: the next wave assigns one again.
                    postponed.append(request)
                    break
                longest = max(longest, new_tokens)
                wave.append(request)
        # ``extendleft`` reverses the order, so with ``reversed`` the requests keep that of arrival.
        self._waiting.extendleft(reversed(postponed))
        return wave

    def _should_wait_for_next_wave(
        self, request: EngineRequest, wave: Sequence[EngineRequest]
    ) -> bool:
        """Whether the wave reads the same prompt, and no row of the cache has it yet."""
        is_in_wave = any(request.prompt == other.prompt for other in wave)
        return is_in_wave and not self._is_prefix_cached(request)

    def _is_prefix_cached(self, request: EngineRequest) -> bool:
        """Whether all of the prompt but its last token is in the cache."""
        _, length = self._cache.find_prefix_source(request.prompt)
        return length >= len(request.prompt) - 1

    def _assign_row(self, request: EngineRequest, row: int) -> None:
        """Prepare ``row`` for the request, with the longest beginning of the prompt in the cache.

        At least the last token of the prompt is left to read, because sampling needs its logits.
        """
        cache = self._cache
        source_row, shared_length = cache.find_prefix_source(request.prompt)
        shared_length = min(shared_length, len(request.prompt) - 1)
        # If the prompt begins with all tokens of an idle row, that row has the last turn of the
        # same dialogue and is used in place. Otherwise the row used longest ago is given up.
        source_length = len(cache.row_token_ids[source_row])
        is_idle = source_row >= row
        is_own_last_turn = is_idle and 0 < source_length == shared_length
        replaced_row = source_row if is_own_last_turn else cache.find_oldest_row(row)
        cache.swap_rows(replaced_row, row)
        # The swap may have moved the source row.
        if source_row == replaced_row:
            source_row = row
        elif source_row == row:
            source_row = replaced_row
        if source_row != row and shared_length >= _MIN_COPIED_TOKENS:
            cache.copy_prefix(source_row, row, shared_length)
        # Without a copy, the row may still have the tokens of another prompt.
        cached_ids = cache.row_token_ids[row][:shared_length]
        is_usable = cached_ids == list(request.prompt[:shared_length])
        cache.row_token_ids[row] = cached_ids if is_usable else []

    def _prefill_wave(self, wave: list[EngineRequest]) -> None:
        """Read the new tokens of the admitted prompts and sample the first token of each."""
        first_row = len(self._running)
        cached_lengths = [len(self._cache.row_token_ids[first_row + i]) for i in range(len(wave))]
        new_ids = [
            list(request.prompt[start:])
            for request, start in zip(wave, cached_lengths, strict=True)
        ]
        for row, request in enumerate(wave, first_row):
            # Recorded before the pass writes the states: after a failed pass the caller must call
            # ``reset``, which clears the records.
            self._cache.row_token_ids[row] = list(request.prompt)
        self._running += wave
        self._sample_tokens(self._compute_logits(first_row, cached_lengths, new_ids), first_row)

    def _decode_step(self) -> None:
        """Read the last token of every running request and sample the next one."""
        cached_lengths = [len(self._cache.row_token_ids[row]) for row in range(len(self._running))]
        new_ids = [[request.output_ids[-1]] for request in self._running]
        for row, request in enumerate(self._running):
            self._cache.row_token_ids[row].append(request.output_ids[-1])
        self._sample_tokens(self._compute_logits(0, cached_lengths, new_ids), 0)

    def _compute_logits(
        self, first_row: int, cached_lengths: list[int], new_ids: list[list[int]]
    ) -> torch.Tensor:
        """Logits of shape (rows, vocabulary) after the last new token of each row.

        Row ``first_row + i`` reads the tokens ``new_ids[i]``; it has the states of the
        ``cached_lengths[i]`` tokens before them.
        """
        width = max(map(len, new_ids))
        pad_id = self.renderer.end_id  # any id will do: the states of padding are overwritten later
        window = CacheWindow(first_row, cached_lengths, width, self._device)
        self._cache.set_window(window)
        padded = [ids + [pad_id] * (width - len(ids)) for ids in new_ids]
        hidden = self.model.get_decoder()(
            input_ids=torch.tensor(padded, device=self._device),
            attention_mask=window.build_mask(self.model.dtype),
            position_ids=window.positions,
            past_key_values=self._cache,
            use_cache=True,
        ).last_hidden_state
        # Only the last position of each row: the output layer is the largest of a small model.
        last_positions = torch.tensor([len(ids) - 1 for ids in new_ids], device=self._device)
        rows = torch.arange(len(new_ids), device=self._device)
        return self.model.get_output_embeddings()(hidden[rows, last_positions])

    def _sample_tokens(self, logits: torch.Tensor, first_row: int) -> None:
        """Append a token to each request from ``first_row`` on, and remove those that end."""
        requests = self._running[first_row:]
        tokens, logprobs = _draw_tokens(logits, requests)
        for request, token, logprob in zip(requests, tokens, logprobs, strict=True):
            request.output_ids.append(token)
            request.logprobs.append(logprob)
        # From the last row to the first, because removing a request moves the last one to its row.
        for row in reversed(range(first_row, len(self._running))):
            if self._has_ended(self._running[row]):
                self._remove_from_batch(row)

    def _has_ended(self, request: EngineRequest) -> bool:
        sampling = request.sampling
        if (
            request.cancelled
            or request.output_ids[-1] == self.renderer.end_id
            or len(request.output_ids) >= sampling.max_tokens
        ):
            return True
        if not sampling.stop:
            return False
        # The whole text is decoded each time: a stop text may span several tokens, and a token may
        # end in the middle of a character.
        text = self._decode_ids(request.output_ids)
        return any(stop in text for stop in sampling.stop)

    def _remove_from_batch(self, row: int) -> None:
        """Remove a request from the batch. Its states stay in the cache, in the first idle row."""
        self._finish_request(self._running[row])
        # Running requests must have the first rows, without a gap, so the last one takes this row.
        last_row = len(self._running) - 1
        self._cache.mark_used(row)
        self._cache.swap_rows(row, last_row)
        self._running[row] = self._running[last_row]
        self._running.pop()

    def _finish_request(self, request: EngineRequest) -> None:
        request.generation = self._build_generation(request)

    def _decode_ids(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True))

    def _build_generation(self, request: EngineRequest) -> Generation:
        output_ids = request.output_ids
        has_end_token = bool(output_ids) and output_ids[-1] == self.renderer.end_id
        text = self._decode_ids(output_ids[:-1] if has_end_token else output_ids)
        stop_positions = [text.index(stop) for stop in request.sampling.stop if stop in text]
        return Generation(
            output_ids=tuple(output_ids),
            logprobs=tuple(request.logprobs),
            text=text[: min(stop_positions, default=len(text))],
            finish_reason="stop" if has_end_token or stop_positions else "length",
            version=self.version,
        )


def _draw_tokens(
    logits: torch.Tensor, requests: Sequence[EngineRequest]
) -> tuple[list[int], list[float]]:
    """Draw a token for each row; returns (tokens, their log-probabilities).

    ``logits`` have shape (rows, vocabulary). A token is drawn by inversion of the row's cumulative
    distribution with one number of the request's own generator, so the other rows do not affect it.
    At temperature 0, or as good as 0, it is the most likely token.
    """
    device = logits.device
    temperature = torch.tensor(
        [request.sampling.temperature for request in requests], device=device
    )
    is_sampled = temperature >= _LEAST_TEMPERATURE
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
    """The length of the longest suffix of ``text`` with which a stop text begins."""
    longest = 0
    for stop in stops:
        for length in range(min(len(stop) - 1, len(text)), longest, -1):
            if text.endswith(stop[:length]):
                longest = length
                break
    return longest


def _require_full_attention(config: Any, model_dir: Path) -> None:
    """Raise ConfigError unless all layers of the model have full attention.

    The cache keeps every position, but layers with a sliding window or a state space do not.
    """
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
