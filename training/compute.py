"""Where a training runs: a GPU where there is one, else the CPU; alone, or as one of several under ``torchrun``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Compute:
    """One process of a training.

    Attributes
    ----------
    device
        ``cpu`` or ``cuda:N``.
    mixed
        Whether products are computed in bfloat16 (half precision on older GPUs, with scaled gradients).
    rank, world
        Number of this process, and of all.
    """

    device: str = "cpu"
    mixed: bool = False
    rank: int = 0
    world: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    @property
    def dtype(self) -> torch.dtype:
        """Of mixed products."""
        brain = not self.device.startswith("cuda") or torch.cuda.is_bf16_supported()
        return torch.bfloat16 if brain else torch.float16

    def precision(self) -> AbstractContextManager[object]:
        """Mixed precision inside, where it is on."""
        return torch.autocast(self.device.split(":")[0], self.dtype) if self.mixed else nullcontext()

    def scaler(self) -> torch.amp.GradScaler:
        """Keeps small gradients of half precision above zero; does nothing where that is not used."""
        return torch.amp.GradScaler(enabled=self.mixed and self.dtype == torch.float16)

    def spread(self, model: nn.Module) -> nn.Module:
        """Return the model as it is trained: on the device, its gradients averaged over all processes."""
        model.to(self.device)
        if self.world == 1:
            return model
        return DistributedDataParallel(model, device_ids=None if self.device == "cpu" else [self.device])

    def meet(self) -> None:
        """Wait for all processes."""
        if self.world > 1:
            torch.distributed.barrier()


def leads() -> bool:
    """Whether this process speaks for all of a distributed training."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def compute(threads: int, mixed: bool | None = None) -> Iterator[Compute]:
    """Set this process up, and take it down at the end.

    Parameters
    ----------
    threads
        Of PyTorch on the CPU.
    mixed
        None: on a GPU only.
    """
    torch.set_num_threads(threads)
    world, rank, local = (int(os.environ.get(k, d)) for k, d in (("WORLD_SIZE", 1), ("RANK", 0), ("LOCAL_RANK", 0)))
    gpu = torch.cuda.is_available()
    device = f"cuda:{local}" if gpu else "cpu"
    if gpu:
        torch.cuda.set_device(device)
    if world > 1:
        torch.distributed.init_process_group("nccl" if gpu else "gloo")
    try:
        yield Compute(device, gpu if mixed is None else mixed, rank, world)
    finally:
        if world > 1:
            torch.distributed.destroy_process_group()
