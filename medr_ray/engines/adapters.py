"""Updates of an engine by a LoRA adapter alone: some hundredths of the bytes of whole weights.

The engine adds ``scaling`` x B @ A to each adapted matrix (Hu et al. 2021, arXiv 2106.09685). It
keeps those matrices as they were, because the next adapter is added to them and not to the last
result.
"""

import re
from collections.abc import Mapping

import torch

from medr_ray.core.errors import InfrastructureError
from medr_ray.engines.number_format import require_export_dtype
from medr_ray.engines.weight_checksum import WeightChecksum

# As PEFT names the parameters of an adapter in its files.
_ADAPTER_NAME = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<side>[AB])\.weight")


class AdapterTransfer:
    """The adapter of one update, as it comes in. ``shapes`` are those of the model's weights.

    Every method raises InfrastructureError for what does not belong to such an update.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self._shapes = shapes
        self._sides: dict[str, dict[str, torch.Tensor]] = {}
        self._checksum = WeightChecksum()

    def take_bucket(self, bucket: Mapping[str, torch.Tensor]) -> None:
        """Check a bucket and keep it."""
        for name, tensor in bucket.items():
            match = _ADAPTER_NAME.fullmatch(name)
            weight = f"{match['module']}.weight" if match else ""
            if match is None or weight not in self._shapes:
                raise InfrastructureError(f"the model has nothing that {name!r} would adapt")
            require_export_dtype(name, tensor)
            sides = self._sides.setdefault(weight, {})
            if match["side"] in sides:
                raise InfrastructureError(f"the weights {name!r} came twice")
            # Copied, because a bucket's memory may be the sender's.
            sides[match["side"]] = tensor.clone()
            self._checksum.add(name, tensor)

    def finish(self) -> str:
        """The checksum of what came."""
        if not self._sides:
            raise InfrastructureError("no adapter came")
        for weight, sides in self._sides.items():
            self._require_product(weight, sides)
        return self._checksum.hexdigest()

    def multiply(self, weight: str, device: torch.device) -> torch.Tensor:
        """B @ A of a weight, in float32."""
        sides = self._sides[weight]
        return sides["B"].to(device).float() @ sides["A"].to(device).float()

    @property
    def weights(self) -> list[str]:
        """The names of the adapted weights."""
        return list(self._sides)

    @property
    def rank(self) -> int:
        """The largest rank among the adapted weights."""
        return max(sides["A"].shape[0] for sides in self._sides.values())

    @property
    def tensors(self) -> dict[str, torch.Tensor]:
        """What came, under the names of PEFT's files."""
        return {
            f"base_model.model.{weight.removesuffix('.weight')}.lora_{side}.weight": tensor
            for weight, sides in self._sides.items()
            for side, tensor in sides.items()
        }

    def _require_product(self, weight: str, sides: Mapping[str, torch.Tensor]) -> None:
        if len(sides) < 2:
            raise InfrastructureError(f"half of the adapter of {weight!r} did not come")
        first, second = tuple(sides["A"].shape), tuple(sides["B"].shape)
        fits = len(first) == len(second) == 2 and first[0] == second[1]
        if not fits or (second[0], first[1]) != tuple(self._shapes[weight]):
            raise InfrastructureError(
                f"the adapter of {weight!r} is {second} x {first}; the weight is of "
                f"{tuple(self._shapes[weight])}"
            )


class AdaptedWeights:
    """The weights of a model that adapters are added to, by name."""

    def __init__(self, parameters: Mapping[str, torch.Tensor]) -> None:
        self._parameters = parameters
        self._originals: dict[str, torch.Tensor] = {}  # on the host

    def apply(self, transfer: AdapterTransfer, scaling: float) -> None:
        """Let the weights be the original ones with this adapter, and no other."""
        self.restore()
        with torch.no_grad():
            for weight in transfer.weights:
                parameter = self._parameters[weight]
                self._originals[weight] = parameter.detach().to("cpu", copy=True)
                product = transfer.multiply(weight, parameter.device)
                parameter.copy_(parameter.float() + scaling * product)

    def restore(self) -> None:
        """Take the adapter away."""
        with torch.no_grad():
            for weight, original in self._originals.items():
                self._parameters[weight].copy_(original)
        self._originals = {}

    def forget(self) -> None:
        """The weights are whole new ones, to which no adapter was added."""
        self._originals = {}
