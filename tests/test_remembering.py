"""What is rehearsed and what stands near, as claims, against real Chroma."""

from __future__ import annotations

import gc
import json
from importlib.resources import files

import numpy as np
import pytest

from seal_agent.bench.shipped import corpus
from seal_agent.parts import Example
from seal_agent.records import Memory
from seal_agent.remembering import seeding
from seal_agent.remembering.index import Index
from seal_agent.remembering.replay import choose, token_share


def memories(documents: int, rows: int) -> list[Memory]:
    return [
        Memory(id=f"m{d}-{r}", kind="learned", prompt="?", completion="!", document=f"d{d}")
        for d in range(documents)
        for r in range(rows)
    ]


def unit(n: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(n, 32)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_a_large_home_answers_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chroma would take half a minute to begin with, and be no faster then."""
    monkeypatch.setattr("chromadb.EphemeralClient", lambda *given: pytest.fail("not for so few"))
    vectors = np.random.default_rng(0).normal(size=(20_000, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert Index([str(n) for n in range(20_000)], vectors).near(vectors[7:8], 1)[0][0][0] == "7"


def test_chroma_and_brute_force_find_the_same_neighbours() -> None:
    """The index is an index: it can be rebuilt and says what the vectors say."""
    vectors, ids = unit(400), [f"m{i}" for i in range(400)]
    exact, approximate = Index(ids, vectors), Index(ids, vectors, exact_up_to=0)
    queries = unit(20, seed=1)

    same = sum(a[0][0] == b[0][0] for a, b in zip(exact.near(queries, 3), approximate.near(queries, 3), strict=True))

    assert same >= 19
    assert [hit[0][0] for hit in approximate.near(vectors[:5], 1)] == ids[:5]


def test_an_empty_index_finds_nothing() -> None:
    """A fresh home has no memories."""
    assert Index([], np.zeros((0, 1))).near(unit(2), 3) == [[], []]


def test_an_index_that_grows_keeps_its_collection_and_leaves_none_behind() -> None:
    """What was added is found by the new index and never by the old one; what shrinks is built anew; the last is deleted."""
    import chromadb
    from chromadb.config import Settings

    client = chromadb.EphemeralClient(Settings(anonymized_telemetry=False))
    vectors = unit(40)
    ids = [f"m{number}" for number in range(40)]
    there = client.count_collections()
    first = Index(ids[:30], vectors[:30], exact_up_to=0)
    first.near(vectors[:1])

    grown = first.then(ids, vectors)

    assert [hits[0][0] for hits in grown.near(vectors)] == ids
    assert client.count_collections() == there + 1
    assert all(name in ids[:30] for hits in first.near(vectors, 5) for name, _ in hits)
    assert [hits[0][0] for hits in grown.then(ids[:10], vectors[:10]).near(vectors[:10])] == ids[:10]
    del first, grown
    gc.collect()
    assert client.count_collections() == there


def test_rehearsal_never_exceeds_what_was_asked_for() -> None:
    """And never repeats a row; if more is asked for than there is, all of it."""
    chosen = choose(memories(5, 10), [], 18, seed=1)

    assert len(chosen) == 18
    assert len({memory.id for memory in chosen}) == 18
    assert {memory.id for memory in choose(memories(2, 3), [], 7, seed=1)} == {memory.id for memory in memories(2, 3)}


def test_rehearsal_prefers_what_is_near_and_keeps_the_rest_alive() -> None:
    """Two fifths near, the others spread over the documents."""
    near = [f"m0-{r}" for r in range(10)]
    chosen = choose(memories(5, 10), near, 10, seed=1)

    assert [memory.id for memory in chosen[:4]] == near[:4]
    assert {memory.document for memory in chosen[4:]} >= {"d1", "d2", "d3", "d4"}
    assert choose(memories(5, 10), ["forgotten", *near], 10, seed=1) == chosen


def test_the_same_seed_rehearses_the_same_rows() -> None:
    """Order and seeds come from content."""
    assert choose(memories(4, 6), [], 9, seed=3) == choose(list(reversed(memories(4, 6))), [], 9, seed=3)


def test_tokens_count_as_often_as_their_rows_are_trained() -> None:
    """New rows in each epoch, old ones in every other, of the anchors as many as were drawn; a prompt and its answer both."""
    rows = [
        Example("a b", "c d", origin="written"),  # four words in two epochs
        Example("", "a b", origin="verbatim"),
        Example("a", "b c d", old=True),  # four words once
        Example("a", "b", anchor=True),
        Example("c", "d", anchor=True),  # of two anchors three were drawn
    ]

    share = token_share(rows, lambda text: len(text.split()), {"epochs": 2.0, "anchors_drawn": 3})

    assert share == {"written": 8 / 22, "verbatim": 4 / 22, "cut": 0.0, "rehearsal": (4 + 6) / 22}


def test_general_memories_share_no_answer_with_the_measured_questions() -> None:
    """What is rehearsed is not what is measured."""
    said = {f" {prompt.lower()} " for prompt in seeding.prompts()}
    answers = {q["answer"].lower() for q in corpus("general") if len(q["answer"]) > 3}

    assert not [(a, p) for a in answers for p in said if f" {a} " in p.replace("?", " ").replace(".", " ")]


def test_measured_questions_are_not_among_the_prompts() -> None:
    """Not one of them."""
    prompts = json.loads((files("seal_agent.remembering") / "general.json").read_text("utf-8"))["prompts"]

    assert not {q["question"] for q in corpus("general")} & set(prompts)
