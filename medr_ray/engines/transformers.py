"""The transformers engine. It samples many requests in one batch, on the CPU or one GPU.

Guaranteed:

- Batching is continuous: a request can join the batch before any token and leaves it after its last
  token.
- Each sampled token comes with its log-probability under the distribution that it was drawn from:
  the temperature is applied, and nothing is truncated unless ``Sampling.shaping`` asks for it.
- A request that cannot be read or whose logits are not finite fails alone, and leaves nothing in
  the cache.
- Every request has its own random numbers, so other requests do not change the numbers that a seed
  gives.
- ``load_weights`` replaces all parameters or raises. It raises while requests are running, so no
  answer comes from two versions.
"""

import itertools
import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from medr_ray.core.config import EngineConfig
from medr_ray.core.errors import ConfigError, InfrastructureError
from medr_ray.engines.base import Generation, Sampling, TokenReport
from medr_ray.engines.chat import ChatRenderer
from medr_ray.engines.distributions import (
    DrawnToken,
    PenalisedTokens,
    draw_tokens,
    needs_token_counts,
    report_prompt,
)
from medr_ray.engines.number_format import select_dtype
from medr_ray.engines.slots import CacheWindow, SlotCache
from medr_ray.engines.text_decoding import IncrementalText
from medr_ray.engines.turn_format import read_stop_ids

_LEAST_SEED = -(2**63)  # torch's bounds
_SEEDS = 2**64
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

    ``generation`` is set when the request is done, ``failure`` when it failed. Setting
    ``cancelled`` ends it at the next token. ``text`` is that of ``output_ids``. ``reads_alone``: no
    other prompt is read in the same forward pass, because an earlier pass with this one failed.
    """

    prompt: tuple[int, ...]
    sampling: Sampling
    rng: torch.Generator
    text: IncrementalText
    penalised: PenalisedTokens | None = None
    output_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    reports: list[TokenReport] = field(default_factory=list)
    prompt_reports: tuple[TokenReport, ...] = ()
    reads_alone: bool = False
    cancelled: bool = False
    generation: Generation | None = None
    failure: Exception | None = None

    @property
    def is_done(self) -> bool:
        """Whether the request has its generation or its failure."""
        return self.generation is not None or self.failure is not None


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
        self.renderer = ChatRenderer(self.tokenizer, read_stop_ids(model_dir))
        self.version = 0
        self._dropped_shapes: dict[str, tuple[int, ...]] = {}  # while no weights are held
        self._slots = config.max_batch
        self._cache = self._make_cache()
        self._waiting: deque[EngineRequest] = deque()
        self._running: list[EngineRequest] = []  # the i-th running request has row i of the cache
        self._steps = 0

    def submit(self, prompt: Sequence[int], sampling: Sampling) -> EngineRequest:
        """Queue a request; ``step`` advances it. Raises ValueError for a prompt that the model
        cannot read."""
        vocabulary = self.model.get_input_embeddings().num_embeddings
        if not prompt or min(prompt) < 0 or max(prompt) >= vocabulary:
            # Found in a forward pass they would fail every request of the batch; on a GPU they
            # would end the process.
            raise ValueError(f"a prompt is token ids from 0 to {vocabulary - 1}, at least one")
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
        request = EngineRequest(tuple(prompt), sampling, rng, IncrementalText(self._decode_ids))
        if needs_token_counts(sampling):
            request.penalised = PenalisedTokens(frozenset(prompt))
        # ``deque.append`` is atomic, so that other threads may submit without a lock.
        self._waiting.append(request)
        return request

    def generate(self, prompts: Sequence[Sequence[int]], sampling: Sampling) -> list[Generation]:
        """Sample one continuation per prompt, in order. Raises what a request failed with.

        With a seed, the i-th prompt is sampled with ``seed + i``: equal prompts still differ.
        """
        seeds: Iterator[int | None] = itertools.repeat(None)
        if sampling.seed is not None:
            seeds = itertools.count(sampling.seed)
        requests = [
            self.submit(prompt, replace(sampling, seed=seed))
            for prompt, seed in zip(prompts, seeds, strict=False)
        ]
        while not all(request.is_done for request in requests):
            self.step()
        for request in requests:
            if request.failure is not None:
                raise request.failure
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
        text = request.text.read_final(request.output_ids)
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
        self.write_weights(weights)
        self._cache.clear_tokens()
        self.version = version

    @property
    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of all weights by name; a tied weight has one name."""
        return {name: tuple(weight.shape) for name, weight in self.model.named_parameters()}

    def write_weights(self, weights: Mapping[str, Any]) -> None:
        """Replace some weights. No request may be running, and none may be answered before all are
        replaced and ``forget_prefixes`` was called."""
        own = dict(self.model.named_parameters())
        with torch.no_grad():
            for name, values in weights.items():
                own[name].copy_(torch.as_tensor(values))

    def forget_prefixes(self) -> None:
        """Forget what was read; the next requests read their prompts whole."""
        self._cache.clear_tokens()

    def release_memory(self, keep_weights: bool) -> None:
        """Give back the cache, and the weights of a GPU: they move to the host's memory.

        Without ``keep_weights`` the weights are dropped, on a CPU too. No request may be running,
        and none may be answered before ``take_memory``.
        """
        self._cache = self._make_cache()
        if not keep_weights:
            self._dropped_shapes = self.weight_shapes
            for weight in self.model.parameters():
                weight.data = weight.data.new_empty(0)
        self.model.to("cpu")
        if self._device == "cuda":
            torch.cuda.empty_cache()

    def take_memory(self) -> None:
        """Undo ``release_memory``. Weights that were dropped are undefined until they are
        written."""
        self.model.to(self._device)
        if self._dropped_shapes:
            for name, weight in self.model.named_parameters():
                weight.data = weight.data.new_empty(self._dropped_shapes[name])
            self._dropped_shapes = {}

    def _make_cache(self) -> SlotCache:
        return SlotCache(self.model.config.num_hidden_layers, self._slots)

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
            elif wave and (request.reads_alone or wave[0].reads_alone):
                postponed.append(request)
                break
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
        if request.sampling.prompt_logprobs:
            shared_length = 0  # the cache has states, and no log-probabilities
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
        """Read the new tokens of the admitted prompts and sample the first token of each. Where
        that fails, the requests are read one by one, and one that fails by itself fails."""
        first_row = len(self._running)
        cached_lengths = [len(self._cache.row_token_ids[first_row + i]) for i in range(len(wave))]
        new_ids = [
            list(request.prompt[start:])
            for request, start in zip(wave, cached_lengths, strict=True)
        ]
        try:
            hidden = self._run_model(first_row, cached_lengths, new_ids)
            for index, request in enumerate(wave):
                self._report_prompt(request, hidden[index])
            logits = self._compute_logits(hidden, new_ids)
        except Exception as error:
            self._give_up_wave(wave, error)
            return
        for row, request in enumerate(wave, first_row):
            self._cache.row_token_ids[row] = list(request.prompt)
        self._running += wave
        self._sample_tokens(logits, first_row)

    def _give_up_wave(self, wave: Sequence[EngineRequest], error: Exception) -> None:
        """Read each request of a failed wave by itself, or fail the one that was alone in it."""
        for row in range(len(self._running), len(self._running) + len(wave)):
            # The pass may have ended anywhere in these rows; those of the batch it does not touch.
            self._cache.row_token_ids[row] = []
        if len(wave) == 1:
            wave[0].failure = error
            return
        for request in wave:
            request.reads_alone = True
        self._waiting.extendleft(reversed(wave))

    def _report_prompt(self, request: EngineRequest, hidden: torch.Tensor) -> None:
        """Keep the reports of the prompt's tokens, where they are asked for."""
        sampling = request.sampling
        if sampling.prompt_logprobs:
            request.prompt_reports = report_prompt(
                hidden[: len(request.prompt)],
                self.model.get_output_embeddings(),
                request.prompt,
                sampling.top_logprobs or 0,
            )

    def _decode_step(self) -> None:
        """Read the last token of every running request and sample the next one."""
        cached_lengths = [len(self._cache.row_token_ids[row]) for row in range(len(self._running))]
        new_ids = [[request.output_ids[-1]] for request in self._running]
        for row, request in enumerate(self._running):
            # Recorded before the pass writes the states: after a failed pass the caller must call
            # ``reset``, which clears the records.
            self._cache.row_token_ids[row].append(request.output_ids[-1])
        hidden = self._run_model(0, cached_lengths, new_ids)
        self._sample_tokens(self._compute_logits(hidden, new_ids), 0)

    def _run_model(
        self, first_row: int, cached_lengths: list[int], new_ids: list[list[int]]
    ) -> torch.Tensor:
        """The last states of the new tokens, of shape (rows, new tokens, size), padded on the
        right.

        Row ``first_row + i`` reads the tokens ``new_ids[i]``; it has the states of the
        ``cached_lengths[i]`` tokens before them.
        """
        width = max(map(len, new_ids))
        pad_id = 0  # any id will do: the states of padding are overwritten later
        window = CacheWindow(first_row, cached_lengths, width, self._device)
        self._cache.set_window(window)
        padded = [ids + [pad_id] * (width - len(ids)) for ids in new_ids]
        hidden: torch.Tensor = self.model.get_decoder()(
            input_ids=torch.tensor(padded, device=self._device),
            attention_mask=window.build_mask(self.model.dtype),
            position_ids=window.positions,
            past_key_values=self._cache,
            use_cache=True,
        ).last_hidden_state
        return hidden

    def _compute_logits(self, hidden: torch.Tensor, new_ids: list[list[int]]) -> torch.Tensor:
        """Logits of shape (rows, vocabulary) after the last new token of each row."""
        # Only the last position of each row: the output layer is the largest of a small model.
        last_positions = torch.tensor([len(ids) - 1 for ids in new_ids], device=self._device)
        rows = torch.arange(len(new_ids), device=self._device)
        return _apply_output_layer(
            self.model.get_output_embeddings(), hidden[rows, last_positions], self._device
        )

    def _sample_tokens(self, logits: torch.Tensor, first_row: int) -> None:
        """Append a token to each request from ``first_row`` on, and remove those that end."""
        requests = self._running[first_row:]
        for request, drawn in zip(requests, draw_tokens(logits, requests), strict=True):
            self._append_token(request, drawn)
        # From the last row to the first, because removing a request moves the last one to its row.
        for row in reversed(range(first_row, len(self._running))):
            if self._has_ended(self._running[row]):
                self._remove_from_batch(row)

    def _append_token(self, request: EngineRequest, drawn: DrawnToken) -> None:
        """Keep a drawn token; what is wrong with it fails its request alone."""
        if request.failure is None and not math.isfinite(drawn.logprob):
            request.failure = InfrastructureError(
                "the model's logits are not finite, or nothing may follow"
            )
        if request.failure is not None:
            return
        request.output_ids.append(drawn.token)
        request.logprobs.append(drawn.logprob)
        if drawn.report is not None:
            request.reports.append(drawn.report)
        if request.penalised is not None:
            request.penalised.output_counts[drawn.token] += 1
        shaping = request.sampling.shaping
        if shaping is not None and shaping.constraint is not None:
            try:
                shaping.constraint.accept_token(drawn.token)
            except Exception as error:
                request.failure = error

    def _has_ended(self, request: EngineRequest) -> bool:
        sampling = request.sampling
        if (
            request.cancelled
            or request.failure is not None
            or request.output_ids[-1] in self.renderer.stop_ids
            or len(request.output_ids) >= sampling.max_tokens
        ):
            return True
        if not sampling.stop:
            return False
        # In the whole text: a stop text may span several tokens.
        text = request.text.read(request.output_ids)
        return any(stop in text for stop in sampling.stop)

    def _remove_from_batch(self, row: int) -> None:
        """Remove a request from the batch. Its states stay in the cache, in the first idle row,
        unless it failed."""
        if self._running[row].failure is None:
            self._finish_request(self._running[row])
        else:
            self._cache.erase_row(row)
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
        has_end_token = bool(output_ids) and output_ids[-1] in self.renderer.stop_ids
        text = self._decode_ids(output_ids[:-1] if has_end_token else output_ids)
        stop_positions = [text.index(stop) for stop in request.sampling.stop if stop in text]
        return Generation(
            output_ids=tuple(output_ids),
            logprobs=tuple(request.logprobs),
            text=text[: min(stop_positions, default=len(text))],
            finish_reason="stop" if has_end_token or stop_positions else "length",
            version=self.version,
            reports=tuple(request.reports),
            prompt_reports=request.prompt_reports,
        )


def _apply_output_layer(layer: torch.nn.Module, states: torch.Tensor, device: str) -> torch.Tensor:
    """Logits of shape (rows, vocabulary) of states of shape (rows, size)."""
    if device != "cpu" or not isinstance(layer, torch.nn.Linear) or layer.bias is not None:
        logits: torch.Tensor = layer(states)
        return logits
    # The same product from the other side: MKL rearranges its second factor at every call, which
    # is not to be the vocabulary (two to four times the time for up to 16 rows, a third more for
    # 64, of 49,152 words).
    return (layer.weight @ states.T).T.contiguous()


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
