"""What a computation holds at once, counted on the tensors themselves."""

from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """While it is entered, `peak` is the most bytes that lived at once.

    What was there before counts nothing. Works on the meta device, so sizes may be real ones.
    """

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._live: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Runs the operation, and counts what it made and what is left."""
        self._note((args, kwargs), is_new=False)
        result = func(*args, **(kwargs or {}))
        self._live = {key: one for key, one in self._live.items() if not one[0].expired()}
        self._note(result, is_new=True)
        self.peak = max(self.peak, sum(size for _, size in self._live.values()))
        return result

    def _note(self, values: Any, is_new: bool) -> None:
        for value in tree_leaves(values):
            if isinstance(value, torch.Tensor):
                storage = value.untyped_storage()
                held = StorageWeakRef(storage)
                self._live.setdefault(held.cdata, (held, storage.nbytes() if is_new else 0))
