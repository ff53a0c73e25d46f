"""The transformers engine: batched generation with the sampled tokens' log-probabilities, on CPU or one GPU.

What holds: the log-probabilities belong to the distribution sampled from (temperature applied, nothing truncated);
``load_weights`` replaces every parameter or raises, so an engine never answers with half-updated weights.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
    TextIteratorStreamer,
)

from medr_ray.core.config import EngineConfig
from medr_ray.core.errors import InfrastructureError
from medr_ray.engines.base import Generation, Sampling
from medr_ray.engines.chat import ChatRenderer

_DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}


class _LogprobRecorder(LogitsProcessor):
    """Keeps the log-probability of each sampled token, without keeping every step's logits.

    ``generate`` shows step t's scores together with the token sampled at step t - 1: the gather lags one step, and
    ``finish`` makes up the last one. Must be the last processor, so that it sees what is sampled from.
    """

    def __init__(self) -> None:
        self._previous: torch.Tensor | None = None
        self.steps: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        self._take(input_ids[:, -1])
        self._previous = scores.float().log_softmax(-1)
        return scores

    def finish(self, last: torch.Tensor) -> torch.Tensor:
        """(sequences, steps) log-probabilities."""
        self._take(last)
        return torch.stack(self.steps, dim=1)

    def _take(self, token: torch.Tensor) -> None:
        if self._previous is not None:
            self.steps.append(self._previous.gather(1, token[:, None])[:, 0])


class _Temperature(LogitsProcessor):
    """Scores over the temperature (``generate`` would apply its own after our recorder)."""

    def __init__(self, temperature: float) -> None:
        self._temperature = temperature

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return scores.float() / self._temperature


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
        self.model = AutoModelForCausalLM.from_pretrained(
            model_dir, dtype=_DTYPES[config.dtype], trust_remote_code=trust_remote_code)
        self.model.to(self._device).eval()  # type: ignore[arg-type]
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
        input_ids, attention_mask = self._left_padded(prompts)
        recorder = _LogprobRecorder()
        if sampling.seed is not None:
            torch.manual_seed(sampling.seed)
        output = self.model.generate(
            input_ids=input_ids, attention_mask=attention_mask,
            logits_processor=self._processors(sampling, recorder), **self._options(sampling))
        new = output[:, input_ids.shape[1]:]
        logprobs = recorder.finish(output[:, -1])
        return [self._read(row, lp, sampling) for row, lp in zip(new.tolist(), logprobs.tolist(), strict=True)]

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
                        stopping_criteria=criteria, logits_processor=self._processors(sampling),
                        **self._options(sampling))
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

    def _processors(self, sampling: Sampling, recorder: _LogprobRecorder | None = None) -> LogitsProcessorList:
        processors = LogitsProcessorList()
        if sampling.temperature > 0:
            processors.append(_Temperature(sampling.temperature))
        if recorder is not None:
            processors.append(recorder)
        return processors

    def _options(self, sampling: Sampling) -> dict[str, Any]:
        options: dict[str, Any] = {
            "max_new_tokens": sampling.max_tokens, "do_sample": sampling.temperature > 0, "top_k": 0, "top_p": 1.0,
            "temperature": 1.0, "pad_token_id": self.renderer.end_id, "eos_token_id": self.renderer.end_id,
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


def _device(config: EngineConfig) -> str:
    if config.device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return config.device
