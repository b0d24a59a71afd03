"""
Sentence vectors from all-MiniLM-L6-v2: what is near what.

Promises: unit vectors, float32, 384 numbers each, the same for the same text; loaded on first use.
Does not promise: more than 256 tokens of a text (the model was trained on less).

Source: sentence-transformers/all-MiniLM-L6-v2 (mean pooling, then normalisation).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from seal_agent.learning import LOADING, embedded

DIMENSIONS = 384


class Embedder:
    """Turns texts into vectors. The fingerprint names the weights, so that vectors of another model are refused."""

    fingerprint = embedded.EMBEDDER.sha256[:16]

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors of *texts*, shape [len(texts), 384], float32."""
        import torch

        from seal_agent.learning.devices import device

        if not texts:
            return np.zeros((0, DIMENSIONS), dtype=np.float32)
        with LOADING:
            tokenizer, model = self._tokenizer, self._model
        out = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        for at in range(0, len(order), 64):
            chosen = order[at : at + 64]
            encoded = tokenizer(
                [texts[i] for i in chosen], padding=True, truncation=True, max_length=256, return_tensors="pt"
            ).to(device())
            with torch.inference_mode():
                hidden = model(**encoded).last_hidden_state
            mask = encoded["attention_mask"][..., None]
            mean = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)
            out[chosen] = torch.nn.functional.normalize(mean, dim=1).cpu().numpy()
        return out

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(embedded.embedder_folder(), local_files_only=True)

    @cached_property
    def _model(self) -> Any:
        import torch
        from transformers import AutoModel

        from seal_agent.learning.devices import device

        folder = embedded.embedder_folder()
        model = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True, dtype=torch.float32)
        return model.eval().to(device())
