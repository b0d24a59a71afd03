"""Models and devices, LoRA training, generation, scoring: outside bench/ the only files that import torch."""

import threading

LOADING = threading.RLock()
"""Held by who loads a model: transformers' way of loading changes what all threads share, and mixes two models up."""
