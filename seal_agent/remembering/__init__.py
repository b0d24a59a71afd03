"""Which memories to replay, and the Chroma index over them. Usable alone by someone with their own training loop."""
