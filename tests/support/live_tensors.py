"""The bytes of the tensors that this process makes, as long as somebody holds them."""

import weakref
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveTensors(TorchDispatchMode):
    """Inside the context every storage that an operation returns is counted once: ``now`` those
    alive, ``peak`` the most at a time. What was there before does not count."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.peak = 0
        self._seen: set[int] = set()  # of the storages alive, by their identity

    def __torch_dispatch__(
        self,
        function: Any,
        types: Any,
        arguments: tuple[Any, ...] = (),
        options: dict[str, Any] | None = None,
    ) -> Any:
        before = {storage._cdata for storage in _list_storages((arguments, options))}
        result = function(*arguments, **(options or {}))
        for storage in _list_storages(result):
            if storage._cdata not in self._seen | before:
                self._add(storage)
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        self._seen.add(storage._cdata)
        size = storage.nbytes()
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, storage._cdata, size)

    def _forget(self, identity: int, size: int) -> None:
        self._seen.discard(identity)
        self.now -= size


def _list_storages(values: Any) -> list[torch.UntypedStorage]:
    """The storages of tensors that have memory."""
    return [
        value.untyped_storage()
        for value in tree_leaves(values)
        if isinstance(value, torch.Tensor) and value.device.type != "meta"
    ]
