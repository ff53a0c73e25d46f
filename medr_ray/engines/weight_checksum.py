"""A checksum of whole model weights that does not depend on the order of the tensors.

The sender of weights adds each tensor while it streams them, and the receiver adds what it was
given, in buckets of any size: equal checksums say that all of it arrived.
"""

import hashlib
import json

import torch

_MODULUS = 2**256  # of the sum of SHA-256 digests


class WeightChecksum:
    """Sums the SHA-256 of every tensor's name, shape and bf16 bytes.

    So weights that came in float32 have the same checksum in an engine that computes in bf16.

    A sum and no exclusive or: a tensor that comes twice does not cancel itself.
    """

    def __init__(self) -> None:
        self._total = 0

    def add(self, name: str, tensor: torch.Tensor) -> None:
        """Take in one tensor. What is not bf16 is rounded to it first."""
        data = tensor.detach().to("cpu", torch.bfloat16).contiguous()
        digest = hashlib.sha256(json.dumps([name, list(data.shape)]).encode())
        # As bytes, because numpy has no bfloat16. Flat, because a tensor without dimensions has no
        # view of another type.
        digest.update(data.flatten().view(torch.uint8).numpy().data)
        self._total = (self._total + int.from_bytes(digest.digest(), "big")) % _MODULUS

    def hexdigest(self) -> str:
        """The checksum of what was added so far, 64 hexadecimal digits."""
        return f"{self._total:064x}"
