"""Models and devices, LoRA training, generation, scoring: with serving/, the only room that imports torch."""
