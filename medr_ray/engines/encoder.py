"""Embeddings of texts by any transformers encoder, in bfloat16 on CPU, normalised to unit length.

Texts are encoded shortest first, so that a batch pads little; the answer is in the order of the
input. The same list of texts with the same batch size gives the same vectors. How token states
become one vector is the model's own convention: their mean (sentence-transformers), the first
(BERT's [CLS]; MedCPT), or the last, an end-of-text token put behind the text (decoders such as
BMRetriever).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from medr_ray.core.errors import MedrError
from medr_ray.engines.weights import model_path

Pooling = Literal["mean", "cls", "last"]
MAX_TOKENS = 256  # what MiniLM was trained on; longer texts are cut


class Encoder:
    """``model`` is a model reference (see ``engines.weights.model_path``) or the name of a model on
    a hub, ``threads`` the torch threads on CPU, ``prefix`` what stands in front of every text.

    Raises MedrError where the model is not there.
    """

    def __init__(
        self,
        model: str,
        batch: int = 64,
        threads: int = 1,
        *,
        pooling: Pooling = "mean",
        max_tokens: int = MAX_TOKENS,
        prefix: str = "",
    ) -> None:
        import torch
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()
        self._torch = torch
        self._batch, self._pooling, self._max_tokens, self._prefix = (
            batch,
            pooling,
            max_tokens,
            prefix,
        )
        torch.set_num_threads(threads)
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            path = _located(model)
            self._tokenizer: Any = AutoTokenizer.from_pretrained(path)
            self._model: Any = (
                AutoModel.from_pretrained(path, dtype=torch.bfloat16).to(self._device).eval()
            )
        except (OSError, ValueError) as error:
            raise MedrError(f"the encoder {model} cannot be loaded: {error}") from error
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self.dimensions: int = self._model.config.hidden_size

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors, float32 of shape (len(texts), dimensions)."""
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        order = sorted(range(len(texts)), key=lambda i: (len(texts[i]), i))
        with self._torch.inference_mode():
            for start in range(0, len(order), self._batch):
                chosen = order[start : start + self._batch]
                vectors[chosen] = self._embed([self._prefix + texts[i] for i in chosen])
        return vectors

    def _embed(self, texts: list[str]) -> np.ndarray:
        inputs = self._tokens(texts).to(self._device)
        hidden = self._model(**inputs).last_hidden_state.float()
        pooled = self._pooled(hidden, inputs["attention_mask"])
        return self._torch.nn.functional.normalize(pooled, dim=1).cpu().numpy()

    def _tokens(self, texts: list[str]) -> Any:
        """A padded batch. Where the last state counts, every text ends with the end-of-text
        token."""
        if self._pooling != "last" or self._tokenizer.eos_token_id is None:
            return self._tokenizer(
                texts,
                padding=True,
                truncation=True,
                max_length=self._max_tokens,
                return_tensors="pt",
            )
        end = self._tokenizer.eos_token_id
        rows = self._tokenizer(texts, truncation=True, max_length=self._max_tokens - 1)["input_ids"]
        ended = [row if row[-1:] == [end] else [*row, end] for row in rows]
        return self._tokenizer.pad({"input_ids": ended}, return_tensors="pt")

    def _pooled(self, hidden: Any, mask: Any) -> Any:
        """(batch, tokens, size) to (batch, size); padding counts for nothing on either side of the
        text."""
        if self._pooling == "mean":
            weights = mask.unsqueeze(-1).float()
            return (hidden * weights).sum(1) / weights.sum(1)
        places = self._torch.arange(mask.shape[1], device=mask.device)
        chosen = mask.argmax(1) if self._pooling == "cls" else (mask * places).argmax(1)
        return hidden[self._torch.arange(len(hidden), device=mask.device), chosen]


def _located(model: str) -> str:
    """The folder of a model reference; a name with one slash that is no folder here is one on a
    hub."""
    on_hub = model.count("/") == 1 and not model.startswith((".", "/")) and not Path(model).exists()
    return model if on_hub else str(model_path(model))
