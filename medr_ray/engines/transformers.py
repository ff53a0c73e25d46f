"""The transformers engine: batched generation with the sampled tokens' log-probabilities, on CPU or one GPU.

What holds: the log-probabilities belong to the distribution sampled from (temperature applied, nothing truncated);
``load_weights`` replaces every parameter or raises, so an engine never answers with half-updated weights.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    DynamicCache,
    StoppingCriteria,
    StoppingCriteriaList,
    TextIteratorStreamer,
)

from medr_ray.core.config import EngineConfig
from medr_ray.core.errors import InfrastructureError
from medr_ray.engines.base import Generation, Sampling
from medr_ray.engines.chat import ChatRenderer

_SHRINK_AT = 0.6  # share of open sequences at which the cache is copied without the finished ones
_DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}


@dataclass
class _Decoding:
    """Sequences still being sampled: ``rows`` are their places in the batch, all tensors in that order."""

    rows: list[int]
    cache: DynamicCache
    mask: torch.Tensor
    logits: torch.Tensor

    def keep(self, alive: list[int]) -> None:
        """Drop finished sequences, so that the rest decode faster."""
        index = torch.tensor(alive, device=self.mask.device)
        self.rows = [self.rows[i] for i in alive]
        self.cache.batch_select_indices(index)
        self.mask, self.logits = self.mask[index], self.logits[index]


class _Cancelled(StoppingCriteria):
    def __init__(self, event: threading.Event) -> None:
        self._event = event

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:  # type: ignore[override]
        return torch.full((input_ids.shape[0],), self._event.is_set(), device=input_ids.device)


class TransformersEngine:
    """A causal language model in a Hugging Face directory. Not thread-safe: one generation at a time."""

    def __init__(self, model_dir: Path, config: EngineConfig, trust_remote_code: bool = False) -> None:
        self._device = _device(config)
        if self._device == "cpu":
            torch.set_num_threads(config.threads)
        self.tokenizer = AutoTokenizer.from_pretrained(model_dir, trust_remote_code=trust_remote_code)
        model: Any = AutoModelForCausalLM.from_pretrained(
            model_dir, dtype=_DTYPES[config.dtype], trust_remote_code=trust_remote_code)
        self.model: Any = model.to(self._device).eval()
        self.renderer = ChatRenderer(self.tokenizer)
        self.max_batch = config.max_batch
        self.version = 0

    def generate(self, prompts: Sequence[Sequence[int]], sampling: Sampling) -> list[Generation]:
        """Sample one continuation per prompt, in order, at most ``max_batch`` together, long prompts first."""
        order = sorted(range(len(prompts)), key=lambda i: (-len(prompts[i]), i))
        done: dict[int, Generation] = {}
        for start in range(0, len(order), self.max_batch):
            batch = order[start:start + self.max_batch]
            done.update(zip(batch, self._generate([prompts[i] for i in batch], sampling), strict=True))
        return [done[i] for i in range(len(prompts))]

    @torch.inference_mode()
    def _generate(self, prompts: Sequence[Sequence[int]], sampling: Sampling) -> list[Generation]:
        """Decode step by step. ``generate`` of the library does the same at a third of the speed here: it keeps
        finished sequences in the batch and reads equal prompts (a group's) once each."""
        if sampling.seed is not None:
            torch.manual_seed(sampling.seed)
        ids: list[list[int]] = [[] for _ in prompts]
        logprobs: list[list[float]] = [[] for _ in prompts]
        state = self._prefill(prompts)
        open_rows = set(range(len(prompts)))
        for step in range(sampling.max_tokens):
            tokens, chosen = _sample(state.logits, sampling.temperature)
            for row, token, logprob in zip(state.rows, tokens.tolist(), chosen.tolist(), strict=True):
                if row in open_rows:
                    ids[row].append(token)
                    logprobs[row].append(logprob)
                    if self._finished(ids[row], sampling.stop):
                        open_rows.discard(row)
            if not open_rows or step + 1 == sampling.max_tokens:
                break
            if len(open_rows) <= _SHRINK_AT * len(state.rows):
                alive = [i for i, row in enumerate(state.rows) if row in open_rows]
                tokens = tokens[torch.tensor(alive, device=tokens.device)]
                state.keep(alive)
            self._advance(state, tokens)
        return [self._read(row, lp, sampling) for row, lp in zip(ids, logprobs, strict=True)]

    def _prefill(self, prompts: Sequence[Sequence[int]]) -> _Decoding:
        """Read every different prompt once and spread its cache over those who share it."""
        unique = list(dict.fromkeys(tuple(prompt) for prompt in prompts))
        places = {prompt: i for i, prompt in enumerate(unique)}
        input_ids, mask = self._left_padded(unique)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        out = self.model(
            input_ids=input_ids, attention_mask=mask, position_ids=positions, past_key_values=DynamicCache(),
            use_cache=True, logits_to_keep=1)
        index = torch.tensor([places[tuple(prompt)] for prompt in prompts], device=mask.device)
        out.past_key_values.batch_select_indices(index)
        return _Decoding(list(range(len(prompts))), out.past_key_values, mask[index], out.logits[:, -1][index])

    def _advance(self, state: _Decoding, tokens: torch.Tensor) -> None:
        state.mask = torch.cat([state.mask, state.mask.new_ones(len(tokens), 1)], dim=1)
        out = self.model(
            input_ids=tokens[:, None], attention_mask=state.mask, position_ids=state.mask.sum(-1, keepdim=True) - 1,
            past_key_values=state.cache, use_cache=True)
        state.logits = out.logits[:, -1]

    def _finished(self, ids: list[int], stop: tuple[str, ...]) -> bool:
        if ids[-1] == self.renderer.end_id:
            return True
        return bool(stop) and any(text in str(self.tokenizer.decode(ids)) for text in stop)

    def stream(
        self, prompt: Sequence[int], sampling: Sampling, cancelled: threading.Event | None = None,
    ) -> Iterator[str]:
        """Text deltas of one continuation; setting ``cancelled`` ends it at the next token."""
        streamer = TextIteratorStreamer(self.tokenizer, skip_prompt=True, skip_special_tokens=True)
        input_ids, attention_mask = self._left_padded([prompt])
        criteria = StoppingCriteriaList([_Cancelled(cancelled)] if cancelled else [])
        failure: list[BaseException] = []

        def work() -> None:
            try:
                with torch.inference_mode():
                    if sampling.seed is not None:
                        torch.manual_seed(sampling.seed)
                    self.model.generate(
                        input_ids=input_ids, attention_mask=attention_mask, streamer=streamer,
                        stopping_criteria=criteria, **self._options(sampling))
            except BaseException as error:
                failure.append(error)
                streamer.end()

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        yield from (delta for delta in streamer if delta)
        thread.join()
        if failure:
            raise InfrastructureError(f"generation failed: {failure[0]}") from failure[0]

    def load_weights(self, weights: Mapping[str, Any], version: int) -> None:
        """Replace all parameters; raises InfrastructureError when names or shapes do not match."""
        own = dict(self.model.named_parameters())
        if own.keys() != weights.keys():
            odd = sorted(own.keys() ^ weights.keys())[:3]
            raise InfrastructureError(f"weights do not match the model: {odd} ...")
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(torch.as_tensor(weights[name]))
        self.version = version

    def _left_padded(self, prompts: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        longest = max(len(prompt) for prompt in prompts)
        pad = self.renderer.end_id
        ids = [[pad] * (longest - len(prompt)) + list(prompt) for prompt in prompts]
        mask = [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts]
        return torch.tensor(ids, device=self._device), torch.tensor(mask, device=self._device)

    def _options(self, sampling: Sampling) -> dict[str, Any]:
        options: dict[str, Any] = {
            "max_new_tokens": sampling.max_tokens, "do_sample": sampling.temperature > 0, "top_k": 0, "top_p": 1.0,
            "temperature": sampling.temperature, "pad_token_id": self.renderer.end_id,
            "eos_token_id": self.renderer.end_id,
        }
        if sampling.temperature == 0:
            options.update(top_k=None, top_p=None, temperature=None)
        if sampling.stop:
            options.update(stop_strings=list(sampling.stop), tokenizer=self.tokenizer)
        return options

    def _read(self, row: list[int], logprobs: list[float], sampling: Sampling) -> Generation:
        end = self.renderer.end_id
        length = row.index(end) + 1 if end in row else len(row)
        ids = row[:length]
        text = str(self.tokenizer.decode(ids[:-1] if ids[-1] == end else ids, skip_special_tokens=True))
        cuts = [text.index(stop) for stop in sampling.stop if stop in text]
        stopped = ids[-1] == end or bool(cuts)
        return Generation(
            output_ids=tuple(ids), logprobs=tuple(logprobs[:length]), text=text[:min(cuts)] if cuts else text,
            finish_reason="stop" if stopped else "length", version=self.version)


def _sample(logits: torch.Tensor, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    """(tokens, their log-probabilities), each (sequences); greedy at temperature 0."""
    distribution = (logits.float() / (temperature or 1.0)).log_softmax(-1)
    tokens = torch.multinomial(distribution.exp(), 1)[:, 0] if temperature > 0 else distribution.argmax(-1)
    return tokens, distribution.gather(1, tokens[:, None])[:, 0]


def _device(config: EngineConfig) -> str:
    if config.device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return config.device
