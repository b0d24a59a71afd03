"""Documents come in: where from, whether to trust them, whether to learn them."""
