"""
A task of your own from a handful of pairs: labelling tickets.

The base is trained for the moment on what you show it; no version of your home is made or used, and the adapter is gone when
the block ends. Measure it on pairs you kept back before you rely on it.
Run it: python examples/few_shot.py [HOME]. Takes about a minute on two CPU cores.
"""

import sys

import seal_agent

SHOWN = [
    ("The card was charged twice for one order.", "billing"),
    ("I cannot log in since the update.", "access"),
    ("The parcel came with a broken corner.", "delivery"),
    ("Why is there a fee on my invoice?", "billing"),
    ("The reset link for my password has expired.", "access"),
    ("The driver left my box at another house.", "delivery"),
]
TICKETS = ["Please send the receipt for my last payment.", "The courier never rang the bell."]


def main(agent: seal_agent.SealAgent) -> None:
    with agent.adapt(SHOWN) as adapted:
        for ticket, label in zip(TICKETS, adapted.ask(*TICKETS), strict=True):
            print(f"{label}: {ticket}")


if __name__ == "__main__":
    with seal_agent.open(sys.argv[1] if len(sys.argv) > 1 else "seal-home") as opened:
        main(opened)
