"""
The one place that chooses a device and a number format.

Promises: cuda with bf16 if there is one, else the CPU with bf16 where its instructions have it, else fp32.
Does not promise: several devices; one home trains on one device.
"""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

import torch


def device() -> torch.device:
    """The device everything runs on."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def base_dtype() -> torch.dtype:
    """The format of the frozen base weights. Adapters and optimizer state are always fp32."""
    if torch.cuda.is_available() or _cpu_has_bf16():
        return torch.bfloat16
    return torch.float32


def at_once(amount: int) -> int:
    """How many rows or tokens go into one pass where *amount* is right for two CPU cores: a GPU waits for launches."""
    return 8 * amount if torch.cuda.is_available() else amount


def machine() -> str:
    """What a measured second depends on, as far as can be told from here."""
    known = re.search(r"model name\s*: (.*)", _cpuinfo())
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else known[1] if known else platform.machine()
    return (
        f"{name}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, {base_dtype()}, torch {torch.__version__}"
    )


def _cpu_has_bf16() -> bool:
    # Emulated bf16 is slower than fp32, so ask the instruction set, not torch, which emulates silently.
    return bool(re.search("avx512_bf16|amx_bf16", _cpuinfo()))


def _cpuinfo() -> str:
    info = Path("/proc/cpuinfo")
    return info.read_text(errors="replace") if info.exists() else ""
