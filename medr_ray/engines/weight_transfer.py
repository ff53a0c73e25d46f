"""New weights on their way into an engine.

Names and shapes are checked as they come. At the end a checksum says whether what arrived is what
was sent.

The sender sums up a ``WeightChecksum`` over the tensors that it streams, the receiver one over the
tensors that it is given. The checksum finds lost, repeated, damaged and outdated weights; it is no
protection against somebody who forges them.
"""

import hashlib
import struct
from collections.abc import Mapping
from pathlib import Path

import torch

from medr_ray.core.errors import InfrastructureError

_SUM_BITS = 128
# Words of 8 bytes that are multiplied at a time: 32 MB, and as much again for their factors.
_WORDS_AT_A_TIME = 4 * 2**20
# Odd, so that a factor can be divided by and no change of a word is lost; the fractional part of
# the golden ratio in 64 bits, as a signed number (Knuth, The Art of Computer Programming 3, 6.4).
_FACTOR_STEP = 0x9E3779B97F4A7C15 - 2**64


class WeightChecksum:
    """A checksum over (name, shape, values in bfloat16) that does not depend on the order.

    It is the same on every device and in every process.
    """

    def __init__(self) -> None:
        self._sum = 0

    def add_tensor(self, name: str, tensor: torch.Tensor) -> None:
        """Take in a whole tensor; other number formats are rounded to bfloat16."""
        values = tensor.detach().to(torch.bfloat16).contiguous()
        text = f"{name}\0{tuple(values.shape)}".encode()
        digest = hashlib.blake2b(
            text + struct.pack("<q", _sum_words(values)), digest_size=_SUM_BITS // 8
        )
        # A sum, because it does not depend on the order; not an exclusive or, because a tensor that
        # came twice would be as good as none.
        self._sum = (self._sum + int.from_bytes(digest.digest(), "little")) % 2**_SUM_BITS

    def hexdigest(self) -> str:
        """The checksum of what was taken in so far."""
        return f"{self._sum:0{_SUM_BITS // 4}x}"


def compute_checksum(weights: Mapping[str, torch.Tensor]) -> str:
    """The checksum of whole weights."""
    checksum = WeightChecksum()
    for name, tensor in weights.items():
        checksum.add_tensor(name, tensor)
    return checksum.hexdigest()


class WeightTransfer:
    """The weights of one update, as they come in. ``shapes`` are those of all of them, by name.

    Every method raises InfrastructureError for what does not belong to the update.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self._shapes = shapes
        self._missing = set(shapes)
        self._checksum = WeightChecksum()

    def take_bucket(self, bucket: Mapping[str, torch.Tensor]) -> None:
        """Check a bucket and add it to the checksum."""
        for name, tensor in bucket.items():
            if name not in self._shapes:
                raise InfrastructureError(f"the model has no weights {name!r}")
            if name not in self._missing:
                raise InfrastructureError(f"the weights {name!r} came twice")
            if tuple(tensor.shape) != tuple(self._shapes[name]):
                raise InfrastructureError(
                    f"the weights {name!r} are of shape {tuple(tensor.shape)}, the model's are of "
                    f"{tuple(self._shapes[name])}"
                )
            if tensor.dtype != torch.bfloat16:
                raise InfrastructureError(
                    f"the weights {name!r} came as {tensor.dtype}; they travel as torch.bfloat16"
                )
            self._checksum.add_tensor(name, tensor)
            self._missing.discard(name)

    def finish(self) -> str:
        """The checksum of what came."""
        if self._missing:
            raise InfrastructureError(
                f"{len(self._missing)} of {len(self._shapes)} weights did not come: "
                f"{', '.join(sorted(self._missing)[:3])} ..."
            )
        return self._checksum.hexdigest()


def read_weight_shapes(
    model_dir: Path, trust_remote_code: bool = False
) -> dict[str, tuple[int, ...]]:
    """Shapes of a model's weights by name, as ``named_parameters`` of the Hugging Face model lists
    them: a tied weight once. No weights are read."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(model_dir, trust_remote_code=trust_remote_code)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code)
    return {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}


def _sum_words(values: torch.Tensor) -> int:
    """The sum of the words of 8 bytes of a bfloat16 tensor, each times a factor of its place,
    modulo 2^64."""
    numbers = values.view(torch.int16).flatten()
    padding = -len(numbers) % 4
    if padding:
        numbers = torch.cat([numbers, numbers.new_zeros(padding)])
    words = numbers.view(torch.int64)
    total = 0
    for start in range(0, len(words), _WORDS_AT_A_TIME):
        part = words[start : start + _WORDS_AT_A_TIME]
        places = torch.arange(start, start + len(part), device=words.device)
        # Integers of 64 bits wrap around, alike on every device. Two odd numbers give an odd one.
        factors = places.mul_(2).add_(1).mul_(_FACTOR_STEP)
        total += int((part * factors).sum().item())
    return (total + 2**63) % 2**64 - 2**63
