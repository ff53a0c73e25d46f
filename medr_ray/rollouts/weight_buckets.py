"""Buckets of weights in Ray's object store: written once by their sender, and read in place by
every engine of a node.

Ray pickles torch's tensors, which takes the sender as many bytes again as they have. The bytes of a
numpy array are copied into the store once. Numpy has no bfloat16, so the arrays are of 16-bit
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
    tensor that is not a bfloat16 of the host.
    """
    import torch

    names = []
    references = []
    while bucket:
        name, tensor = bucket.popitem()
        if tensor.dtype != torch.bfloat16 or tensor.device.type != "cpu":
            raise ValueError(
                f"weights travel as bfloat16 from the host's memory; {name} is {tensor.dtype} on "
                f"{tensor.device}"
            )
        names.append(name)
        references.append(ray.put(tensor.detach().contiguous().view(torch.int16).numpy()))
    return names, references


def read_shared_bucket(
    names: Sequence[str], arrays: "Sequence[numpy.ndarray[Any, Any]]"
) -> "dict[str, torch.Tensor]":
    """Tensors over the arrays' memory, which must not be written: it may be Ray's."""
    import torch

    with warnings.catch_warnings():
        # Torch cannot mark a tensor as read-only, and warns of it.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return {
            name: torch.from_numpy(array).view(torch.bfloat16)
            for name, array in zip(names, arrays, strict=True)
        }
