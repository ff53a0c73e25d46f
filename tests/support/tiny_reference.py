"""The tiny random model as a reference: its weights by seed, and its log-probabilities by plain
transformers in float32."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from support.tiny_model import build_tiny_model


class TinyReference:
    """``model_dir`` holds the model of seed 0, whose weights are those of ``make_weights(0)``."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._folder = folder
        # One head of 32 numbers: vLLM's attention on a CPU knows no smaller one.
        self.model_dir = build_tiny_model(folder / "0", seed=0, heads=1)
        self._tokenizer: Any = AutoTokenizer.from_pretrained(self.model_dir)
        self.end_id: int = self._tokenizer.eos_token_id
        self._model: Any = AutoModelForCausalLM.from_pretrained(self.model_dir)
        self._made: dict[int, dict[str, torch.Tensor]] = {}

    def encode(self, text: str) -> list[int]:
        return list(self._tokenizer(text)["input_ids"])

    def make_weights(self, seed: int) -> Mapping[str, torch.Tensor]:
        from transformers import AutoModelForCausalLM

        if seed not in self._made:
            folder = self._folder / str(seed)
            build_tiny_model(folder, seed=seed, heads=1)
            model: Any = AutoModelForCausalLM.from_pretrained(folder)
            self._made[seed] = {
                name: weight.detach().bfloat16() for name, weight in model.named_parameters()
            }
        return self._made[seed]

    def compute_logprobs(
        self, weights: Mapping[str, torch.Tensor], ids: Sequence[int]
    ) -> torch.Tensor:
        with torch.inference_mode():
            for name, parameter in self._model.named_parameters():
                parameter.copy_(weights[name])
            logits: torch.Tensor = self._model(torch.tensor([list(ids)])).logits[0]
        return logits.float().log_softmax(-1)
