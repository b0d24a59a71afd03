"""The numbers in the README, and the commands that make them."""
