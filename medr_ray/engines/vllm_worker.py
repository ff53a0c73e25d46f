"""What a vLLM worker does with new weights. vLLM mixes ``WeightReceiver`` into its worker class, in
processes of its own that have no more of this package than the room of engines.

Weights come in files of shared memory, one for each bucket, which every worker of an engine reads
and takes its part of. vLLM reloads layer by layer: what a layer needs is held until it is whole, so
no worker ever holds the whole model twice.

vLLM imports this module as soon as a worker starts. From then on the worker ends with the process
of its engine (``ENGINE_PROCESS_VARIABLE``).
"""

import os
import select
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch

from medr_ray.core.errors import InfrastructureError
from medr_ray.engines.meta_model import build_meta_model, convert_to_file_names
from medr_ray.engines.vllm import ENGINE_PROCESS_VARIABLE
from medr_ray.engines.weight_transfer import WeightTransfer, read_weight_shapes

# The answer of a worker: what came of it, or what was wrong. An exception would reach the engine
# as the text of a traceback.
Answer = dict[str, str]


class WeightReceiver:
    """Mixed into vLLM's worker (``worker_extension_cls``), whose attributes it uses.

    Every method returns ``{"error": ...}`` for weights that are not the model's.
    """

    # Of vLLM's worker.
    model_runner: Any
    model_config: Any
    vllm_config: Any

    _transfer: WeightTransfer | None = None
    _is_reloading = False
    # The model without memory for its weights, for the names that its files have.
    _empty_model: Any = None

    def medr_begin_weights(self) -> Answer:
        """Prepare for whole new weights; an update that was begun before is dropped."""
        from vllm.config import set_current_vllm_config
        from vllm.model_executor.model_loader.reload import initialize_layerwise_reload

        shapes = read_weight_shapes(
            Path(self.model_config.model), self.model_config.trust_remote_code
        )
        self._transfer = WeightTransfer(shapes)
        with set_current_vllm_config(self.vllm_config):
            if self._is_reloading:
                # Ends the update before: what it left must not mix with what comes.
                self._finalize()
            initialize_layerwise_reload(self.model_runner.get_model())
        self._is_reloading = True
        return {}

    def medr_add_weights(self, path: str) -> Answer:
        """Take in the weights of a safetensors file."""
        from safetensors.torch import load_file
        from vllm.config import set_current_vllm_config

        if self._transfer is None:
            return {"error": "no update of the weights was begun"}
        bucket = load_file(path)
        try:
            self._transfer.take_bucket(bucket)
        except InfrastructureError as error:
            return {"error": str(error)}
        with set_current_vllm_config(self.vllm_config):
            self.model_runner.get_model().load_weights(self._convert_names(bucket.items()))
        return {}

    def medr_finish_weights(self) -> Answer:
        """Put the new weights into use; returns the checksum of what came."""
        from vllm.config import set_current_vllm_config

        if self._transfer is None:
            return {"error": "no update of the weights was begun"}
        try:
            checksum = self._transfer.finish()
        except InfrastructureError as error:
            return {"error": str(error)}
        with set_current_vllm_config(self.vllm_config):
            self._finalize()
        self._transfer = None
        return {"checksum": checksum}

    def _finalize(self) -> None:
        from vllm.model_executor.model_loader.reload import finalize_layerwise_reload

        finalize_layerwise_reload(self.model_runner.get_model(), self.model_config)
        self._is_reloading = False
        self.model_runner.reset_lora_state()

    def _convert_names(
        self, weights: Iterable[tuple[str, torch.Tensor]]
    ) -> Iterator[tuple[str, torch.Tensor]]:
        """The weights as the model's files have them, which vLLM reads: some architectures keep in
        one parameter what their files keep in many."""
        if self._empty_model is None:
            self._empty_model = build_meta_model(
                Path(self.model_config.model), self.model_config.trust_remote_code
            )
        return convert_to_file_names(self._empty_model, weights)


def _end_with_engine() -> None:
    """End this process when that of the engine has ended.

    vLLM's processes do not notice when it is killed. They would keep the device's memory from the
    engine that Ray starts in its place. vLLM ends the others of an engine when one worker is gone.
    """
    number = os.environ.get(ENGINE_PROCESS_VARIABLE)
    if number is None:
        return

    def wait_and_end() -> None:
        try:
            # Readable when the process has ended.
            handle = os.pidfd_open(int(number))
        except ProcessLookupError:
            os._exit(1)
        select.select([handle], [], [])
        os._exit(1)

    threading.Thread(target=wait_and_end, name="ends with the engine", daemon=True).start()


_end_with_engine()
