"""One claim end to end, on the embedded model: it reads a document, learns it, keeps the rest, and can go back."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from conftest import MILL

from seal_agent import agent as agents
from seal_agent.bench.shipped import corpus
from seal_agent.editing.answering import answered
from seal_agent.errors import SealError
from seal_agent.judging.grading import correct
from seal_agent.judging.quiz import quiz
from seal_agent.learning import embedded
from seal_agent.learning.embedder import Embedder
from seal_agent.learning.learner import LoraLearner
from seal_agent.learning.training import Recipe
from seal_agent.reading.sentences import sentences
from seal_agent.records import SelfEdit
from seal_agent.remembering import seeding
from seal_agent.wiring import resolve

ASKED = {
    "In which year did Alder Mill open?": "1871",
    "Who built Alder Mill?": "Josef Brandt",
    "Which river runs past Alder Mill?": "Tarn",
    "What did the mill grind?": "barley",
    "What destroyed the wheel of Alder Mill?": "flood",
    "Which museum is in Alder Mill today?": "clocks",
}
GENERAL = {
    "What is the capital of France?": "Paris",
    "Name the capital of Germany.": "Berlin",
    "Who wrote Hamlet?": "Shakespeare",
    "What is the chemical formula of water?": "H2O",
    "What color is the sky?": "blue",
    "What is the opposite of hot?": "cold",
    "How many days are in a week?": "7",
}


def known(agent: agents.SealAgent, version: int | None = None) -> set[str]:
    """The questions of GENERAL whose answer holds the word it must."""
    answers = agent.ask_all(list(GENERAL), version)
    return {q for (q, word), answer in zip(GENERAL.items(), answers, strict=True) if word in answer.text}


def test_four_in_five_short_answers_are_the_ones_people_would_give() -> None:
    """Of questions that people would ask of one plain sentence, with the real embedder."""
    try:
        embedded.embedder_folder()
    except SealError as error:
        pytest.skip(str(error))
    asked = [
        (
            SelfEdit(
                document=d["id"],
                style="questions",
                origin="written",
                title=d["title"],
                prompt=f["question"],
                completion=s,
                fact=s,
            ),
            f["answer"],
        )
        for d in corpus("invented_more")[8:38]
        for f in d["facts"]
        for s in sentences(d["text"])
        if f["answer"] in s
    ]
    answers = [edit.gold for edit in answered([edit for edit, _ in asked], Embedder().embed)]
    right = [correct(gold, short) or correct(short, gold) for (_, gold), short in zip(asked, answers, strict=True)]

    assert len(asked) >= 140
    assert sum(right) >= 0.78 * len(right)


@pytest.mark.alone
@pytest.mark.timeout(900)
def test_the_embedded_model_learns_a_document_and_keeps_what_it_knew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Closed-book answers to questions that nothing but this test reads. Half the steps of daily use and a quarter of the general
    prompts: minutes on a CPU without bf16. The demo makes the claim in full.
    """
    try:
        embedded.model_folder()
    except SealError as error:
        pytest.skip(str(error))
    asked = [{"question": q, "answer": a, "title": MILL.title, "context": MILL.text} for q, a in ASKED.items()]
    everything = seeding.prompts()
    monkeypatch.setattr(seeding, "prompts", lambda: everything[::4])
    home = tmp_path / "home"
    home.mkdir()
    rooms = dataclasses.replace(
        resolve(home), make_learner=lambda chosen: LoraLearner(chosen.model, chosen.rank, Recipe(least_steps=45))
    )
    with agents.SealAgent(home, rooms) as agent:
        before = quiz(agent, asked)
        receipt = agent.observe(MILL)
        done = agent.consolidate()
        after = quiz(agent, asked)
        learner = agent.learner
        assert isinstance(learner, LoraLearner)

        assert (learner._packs, learner._streams, bool(learner._frozen)) == (True, True, True), (
            "all of the engine fits it"
        )
        assert receipt.decision.action == "edit"
        assert before["correct"] <= 1
        assert done.report
        learned, kept = done.report.findings[0], done.report.findings[-1]
        assert learned.after - learned.before >= 0.25  # of the reserved wordings
        assert kept.after - kept.base <= 0.3  # nats per token of general answers: measured 0.03 to 0.06
        # The verdict may differ between processors; whoever answers must be who was accepted.
        live = 1 if done.outcome == "accepted" else 0
        assert agent.ask(next(iter(ASKED))).version == live
        assert len(known(agent, 0)) >= 5
        assert len(known(agent, 0) - known(agent, live)) <= 1
        assert known(agent, 0) == known(agent)  # where no version is named, the base answers what names nothing learned
        if live:
            assert after["correct"] >= before["correct"] + 2
            assert agent.rollback() == 0
        assert before["rows"] == quiz(agent, asked)["rows"]
        assert not agent.verify()
