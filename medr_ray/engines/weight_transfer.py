"""New weights on their way into an engine.

Names and shapes are checked as they come. At the end a ``WeightChecksum`` over the tensors that
arrived says whether they are those that were sent.
"""

from collections.abc import Mapping
from pathlib import Path

import torch

from medr_ray.core.errors import InfrastructureError
from medr_ray.engines.meta_model import build_meta_model
from medr_ray.engines.number_format import require_export_dtype
from medr_ray.engines.weight_checksum import WeightChecksum


def compute_checksum(weights: Mapping[str, torch.Tensor]) -> str:
    """The checksum of whole weights."""
    checksum = WeightChecksum()
    for name, tensor in weights.items():
        checksum.add(name, tensor)
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
            require_export_dtype(name, tensor)
            self._checksum.add(name, tensor)
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
    model = build_meta_model(model_dir, trust_remote_code)
    return {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
