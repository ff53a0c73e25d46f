"""Embeddings of texts by a transformers encoder, normalised to unit length.

Texts are encoded in the order of their length, so that batches need little padding; the vectors are
returned in the order of the input. The same list of texts with the same batch size gives the same
vectors. How the token states become one vector is the model's own convention: their mean
(sentence-transformers), the first one (BERT's [CLS]; MedCPT), or the last one, which is that of an
end-of-text token behind the text (decoders such as BMRetriever).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from medr_ray.core.errors import MedrError
from medr_ray.engines.weights import model_path

Pooling = Literal["mean", "cls", "last"]
MAX_TOKENS = 256  # the length MiniLM was trained with; longer texts are cut


class Encoder:
    """An encoder with its tokenizer, on the GPU where there is one.

    ``model`` is a model reference (see ``engines.weights.model_path``) or the name of a model on a
    hub. ``threads`` is the number of torch threads on CPU. ``prefix`` is put in front of every
    text, as some models ask for. Raises MedrError where the model is not there.
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

        # Imported here, because torch is slow to import.
        from medr_ray.engines.number_format import select_dtype

        logging.disable_progress_bar()
        self._torch = torch
        self._batch = batch
        self._pooling = pooling
        self._max_tokens = max_tokens
        self._prefix = prefix
        # For the whole process: torch has no such setting for a model.
        torch.set_num_threads(threads)
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            path = _resolve_model(model)
            self._tokenizer: Any = AutoTokenizer.from_pretrained(path)
            self._model: Any = (
                AutoModel.from_pretrained(path, dtype=select_dtype(self._device))
                .to(self._device)
                .eval()
            )
        except (OSError, ValueError) as error:
            raise MedrError(f"the encoder {model} cannot be loaded: {error}") from error
        if self._tokenizer.pad_token is None:
            # Decoders have no padding token; padding is masked, so that any token will do.
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self.dimensions: int = self._model.config.hidden_size

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors, float32 of shape (len(texts), dimensions)."""
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        # By characters, which follow the number of tokens well enough. Equal lengths go by
        # position, so that the same texts always make the same batches: in bfloat16 a batch can
        # change a vector.
        order = sorted(range(len(texts)), key=lambda i: (len(texts[i]), i))
        with self._torch.inference_mode():
            for start in range(0, len(order), self._batch):
                chosen = order[start : start + self._batch]
                vectors[chosen] = self._embed_batch([self._prefix + texts[i] for i in chosen])
        return vectors

    def count_tokens(self, texts: Sequence[str]) -> int:
        """The tokens that ``encode`` reads of the texts, without padding."""
        batch = self._tokenize_batch([self._prefix + text for text in texts])
        return int(batch["attention_mask"].sum())

    def _embed_batch(self, texts: list[str]) -> np.ndarray:
        inputs = self._tokenize_batch(texts).to(self._device)
        # Sums over many tokens are taken in float32; bfloat16 has 8 bits of precision.
        hidden = self._model(**inputs).last_hidden_state.float()
        pooled = self._pool_states(hidden, inputs["attention_mask"])
        return self._torch.nn.functional.normalize(pooled, dim=1).cpu().numpy()

    def _tokenize_batch(self, texts: list[str]) -> Any:
        """A padded batch of the texts' ids and their attention mask."""
        return self._tokenizer.pad({"input_ids": self._list_ids(texts)}, return_tensors="pt")

    def _list_ids(self, texts: list[str]) -> list[list[int]]:
        """The ids of each text.

        With "last" pooling every text ends with the end-of-text token, also one that is cut.
        """
        end = self._tokenizer.eos_token_id if self._pooling == "last" else None
        # One place is left for the end token.
        max_length = self._max_tokens if end is None else self._max_tokens - 1
        rows: list[list[int]] = self._tokenizer(texts, truncation=True, max_length=max_length)[
            "input_ids"
        ]
        return rows if end is None else [row if row[-1:] == [end] else [*row, end] for row in rows]

    def _pool_states(self, hidden: Any, mask: Any) -> Any:
        """States of shape (batch, tokens, size) to vectors of shape (batch, size).

        Padding is left out, on whichever side of the text the tokenizer puts it.
        """
        if self._pooling == "mean":
            weights = mask.unsqueeze(-1).float()
            return (hidden * weights).sum(1) / weights.sum(1)
        # ``argmax`` of a mask is its first 1, that of the mask times the positions its last 1. So
        # padding may be on the left or on the right.
        positions = self._torch.arange(mask.shape[1], device=mask.device)
        first_or_last = mask.argmax(1) if self._pooling == "cls" else (mask * positions).argmax(1)
        return hidden[self._torch.arange(len(hidden), device=mask.device), first_or_last]


def _resolve_model(model: str) -> str:
    """The folder of a model reference, or the name itself where it is one on a hub.

    "owner/name" is a name on a hub, unless there is such a folder.
    """
    looks_like_hub_name = model.count("/") == 1 and not model.startswith((".", "/"))
    if looks_like_hub_name and not Path(model).exists():
        return model
    return str(model_path(model))
