"""Buckets of weights in Ray's object store: written once by their sender, and read in place by
every engine of a node.

Ray pickles torch's tensors, which takes the sender as many bytes again as they have. The bytes of a
numpy array are copied into the store once. Numpy has no bfloat16, so its arrays are of 16-bit
integers.
"""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import ray

if TYPE_CHECKING:
    import numpy
    import torch


def share_bucket(bucket: "dict[str, torch.Tensor]") -> tuple[list[str], list[Any]]:
    """The names of the bucket's tensors, and references to their arrays in the object store.

    The bucket is emptied meanwhile, so that a process never has it twice. Raises ValueError for a
    tensor that is not a bfloat16 or float32 of the host.
    """
    import torch

    from medr_ray.engines.number_format import EXPORT_DTYPES

    names = []
    references = []
    while bucket:
        name, tensor = bucket.popitem()
        if tensor.dtype not in EXPORT_DTYPES or tensor.device.type != "cpu":
            raise ValueError(
                f"weights travel as bfloat16 or float32 from the host's memory; {name} is "
                f"{tensor.dtype} on {tensor.device}"
            )
        values = tensor.detach().contiguous()
        if values.dtype == torch.bfloat16:
            values = values.view(torch.int16)
        names.append(name)
        references.append(ray.put(values.numpy()))
        del values
    return names, references


def read_shared_bucket(
    names: Sequence[str], arrays: "Sequence[numpy.ndarray[Any, Any]]"
) -> "dict[str, torch.Tensor]":
    """Tensors over the arrays' memory, which must not be written: it may be Ray's."""
    import torch

    with warnings.catch_warnings():
        # Torch cannot mark a tensor as read-only, and warns of it.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        tensors = {name: torch.from_numpy(array) for name, array in zip(names, arrays, strict=True)}
    return {
        name: tensor.view(torch.bfloat16) if tensor.dtype == torch.int16 else tensor
        for name, tensor in tensors.items()
    }
