"""
The memory without the rest: replay and index in a training loop of your own, on numpy alone.

A tiny softmax model learns two documents, one after the other, whose questions are alike and whose answers
differ. The second lesson overwrites the first, unless some rows of the first are rehearsed beside it.
Run it: python examples/own_training_loop.py. Takes about a second.
"""

import numpy as np

from seal_agent.records import Memory
from seal_agent.remembering.index import Index
from seal_agent.remembering.replay import choose

PLACES = ("Anstrow", "Borrow", "Tarn", "Skell", "Morrow", "Krell", "Holm", "Varn")
LESSONS = {"keepers": "Who keeps the lighthouse of {}?", "builders": "Who built the lighthouse of {}?"}
WIDTH = 64


def embed(text: str) -> np.ndarray:
    """A unit vector: each word a fixed random direction. Use any encoder here."""
    words = text.strip("?").lower().split()
    # Seeds from the letters, since Python's hash() differs from run to run.
    rows = [np.random.default_rng(list(word.encode())).normal(size=WIDTH) for word in words]
    vector = np.sum(rows, axis=0)
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


def lesson(name: str) -> list[Memory]:
    """One document's rows: a question and a person for each place."""
    ask = LESSONS[name]
    return [
        Memory(id=f"{name} {p}", kind="learned", prompt=ask.format(p), completion=f"{name}-{p}", document=name)
        for p in PLACES
    ]


def train(weights: np.ndarray, rows: list[Memory], answers: list[str], steps: int = 400) -> np.ndarray:
    """Plain gradient descent on the cross-entropy of *rows*."""
    inputs = np.stack([embed(row.prompt) for row in rows])
    targets = np.eye(len(answers))[[answers.index(row.completion) for row in rows]]
    for _ in range(steps):
        scores = inputs @ weights
        chances = np.exp(scores - scores.max(1, keepdims=True))
        chances /= chances.sum(1, keepdims=True)
        weights = weights - 2.0 * inputs.T @ (chances - targets) / len(rows)
    return weights


def recall(weights: np.ndarray, rows: list[Memory], answers: list[str]) -> float:
    """Share of *rows* answered rightly."""
    said = [answers[int(np.argmax(embed(row.prompt) @ weights))] for row in rows]
    return sum(answer == row.completion for answer, row in zip(said, rows, strict=True)) / len(rows)


def main() -> dict[str, float]:
    old, new = lesson("keepers"), lesson("builders")
    answers = [row.completion for row in (*old, *new)]
    taught = train(np.zeros((WIDTH, len(answers))), old, answers)

    # The index says what stands near the new rows; choose() mixes that with an even draw from the rest.
    index = Index([row.id for row in old], np.stack([embed(row.prompt) for row in old]))
    hits = index.near(np.stack([embed(row.prompt) for row in new]), 1)
    rehearsed = choose(old, [name for found in hits for name, _ in found], count=len(old) // 2, seed=0)

    kept = {
        "after the first lesson": recall(taught, old, answers),
        "after the second, no replay": recall(train(taught, new, answers), old, answers),
        "after the second, replay": recall(train(taught, [*new, *rehearsed], answers), old, answers),
    }
    for when, share in kept.items():
        print(f"{when:30} {share:.0%} of the first lesson is known")
    return kept


if __name__ == "__main__":
    main()
