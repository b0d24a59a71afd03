"""Few-shot tasks: the model says how it should be trained on a handful of pairs, and is."""
