"""
Which memories to replay, the Chroma index over them, what of all that is recited was meant, and forgetting in numbers.

Usable alone by someone with their own training loop (examples/own_training_loop.py).
"""
