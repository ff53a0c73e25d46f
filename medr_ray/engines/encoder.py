"""Sentence embeddings: a BERT-like encoder with mean pooling, in bfloat16 on CPU, normalised to unit length.

Texts are encoded shortest first, so that a batch pads little; the answer is in the order of the input. The same
list of texts with the same batch size gives the same vectors.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from medr_ray.engines.weights import model_path

MAX_TOKENS = 256  # what MiniLM was trained on; longer texts are cut


class Encoder:
    """``model`` is a model reference (see ``engines.weights.model_path``), ``threads`` the torch threads on CPU.

    Raises MedrError where the model is not there.
    """

    def __init__(self, model: str, batch: int = 64, threads: int = 1) -> None:
        import torch
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging

        path = model_path(model)
        logging.disable_progress_bar()
        self._torch = torch
        self._batch = batch
        torch.set_num_threads(threads)
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._tokenizer: Any = AutoTokenizer.from_pretrained(path)
        self._model: Any = AutoModel.from_pretrained(path, dtype=torch.bfloat16).to(self._device).eval()
        self.dimensions: int = self._model.config.hidden_size

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors, float32 of shape (len(texts), dimensions)."""
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        order = sorted(range(len(texts)), key=lambda i: (len(texts[i]), i))
        with self._torch.inference_mode():
            for start in range(0, len(order), self._batch):
                chosen = order[start : start + self._batch]
                vectors[chosen] = self._embed([texts[i] for i in chosen])
        return vectors

    def _embed(self, texts: list[str]) -> np.ndarray:
        inputs = self._tokenizer(texts, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
        inputs = inputs.to(self._device)
        hidden = self._model(**inputs).last_hidden_state.float()
        mask = inputs["attention_mask"].unsqueeze(-1).float()
        mean = (hidden * mask).sum(1) / mask.sum(1)
        return self._torch.nn.functional.normalize(mean, dim=1).cpu().numpy()
