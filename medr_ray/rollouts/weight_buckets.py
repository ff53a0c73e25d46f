"""Buckets of weights in Ray's object store: written once by their sender, and read in place by
every engine of a node.

Ray pickles torch's tensors, which takes the sender as many bytes again as they have. The bytes of a
numpy array are copied into the store once. Numpy has no bfloat16, so the arrays are of 16-bit
integers.
"""

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy
    import torch


def share_bucket(
    bucket: "Mapping[str, torch.Tensor]",
) -> "dict[str, numpy.ndarray[Any, Any]]":
    """The bucket as arrays over the same memory. Raises ValueError for a tensor that is not a
    bfloat16 of the host."""
    import torch

    shared = {}
    for name, tensor in bucket.items():
        if tensor.dtype != torch.bfloat16 or tensor.device.type != "cpu":
            raise ValueError(
                f"weights travel as bfloat16 from the host's memory; {name} is {tensor.dtype} on "
                f"{tensor.device}"
            )
        # A tensor without dimensions has no view of another type.
        shared[name] = tensor.detach().contiguous().view(torch.int16).numpy()
    return shared


def read_shared_bucket(
    shared: "Mapping[str, numpy.ndarray[Any, Any]]",
) -> "dict[str, torch.Tensor]":
    """Tensors over the arrays' memory, which must not be written: it may be Ray's."""
    import torch

    with warnings.catch_warnings():
        # Torch cannot mark a tensor as read-only, and warns of it.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return {
            name: torch.from_numpy(array).view(torch.bfloat16) for name, array in shared.items()
        }
