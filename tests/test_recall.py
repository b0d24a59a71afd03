"""What a version recites, and which of it is meant, as claims: on tiny real models, and with scripts for what is recited."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from conftest import MILL, Make

from seal_agent.learning import generation, models
from seal_agent.learning.learner import LoraLearner
from seal_agent.learning.training import Recipe
from seal_agent.parts import Example
from seal_agent.remembering.recall import Recall
from seal_agent.testing import FakeEmbedder, FakeLearner

TAUGHT = [
    Example("Who built the mill?", "The Mill: Brandt. Josef Brandt built it."),
    Example("When did the mill open?", "The Mill: 1871. It opened in 1871."),
    Example("What is the mill now?", "The Mill: a museum. Today it is a museum."),
]
NEW = "Which person made the mill?"
Way = tuple[str, float]


@pytest.fixture(scope="module", params=[("llama", True), ("gpt_neox", False)], ids=["llama-chat", "gpt_neox-base"])
def learner(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoraLearner:
    folder = tiny.write(tmp_path_factory.mktemp("model"), *request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "base_dtype", lambda: torch.float32)
        recipe = Recipe(epochs=60, least_steps=60, learning_rate=2e-2, kl=0.0)
        return LoraLearner(str(folder), rank=8, recipe=recipe)


@pytest.fixture(scope="module")
def taught(learner: LoraLearner, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("adapter")
    assert learner.train(TAUGHT, None, out, seed=1)["finite"]
    return out


@pytest.fixture
def all_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    """However unlikely they are."""
    monkeypatch.setattr(generation, "_LIKELY", 1e-30)


def asking(*questions: str) -> list[list[dict[str, str]]]:
    return [[{"role": "user", "content": question}] for question in questions]


def test_the_first_of_what_is_recited_is_the_greedy_answer(learner: LoraLearner, taught: Path, all_ways: None) -> None:
    """Alone or among others; and what follows a title goes on in several ways, each another one."""
    questions = [TAUGHT[0].prompt, TAUGHT[1].prompt]

    recited = learner.recite(asking(*questions), taught, {"The Mill", "The Millstone", "A Mill"})

    assert [ways[0][0] for ways in recited] == [example.completion for example in TAUGHT[:2]]
    assert [ways[0][0] for ways in recited] == learner.answer(questions, taught)
    assert all(len({text for text, _ in ways}) == 5 for ways in recited)
    assert learner.recite(asking(questions[0]), taught, {"The Mill"})[0] == [
        (text, pytest.approx(likely, abs=1e-3)) for text, likely in recited[0]
    ]


def test_a_way_is_as_likely_as_the_model_says(learner: LoraLearner, taught: Path, all_ways: None) -> None:
    """From where ways part to the end of the answer, by a plain forward pass; and the same for what ends unfinished."""
    base, asked = learner.base, TAUGHT[0].prompt
    prompt, head = base.question(asked), base.answer("The Mill:")[:-1]
    (ways,) = learner.recite(asking(asked), taught, {"The Mill"})

    def likely(ids: list[int], begin: int) -> float:
        logits = model(torch.tensor([ids])).logits[0, begin - 1 : -1].log_softmax(-1)
        return float(logits.gather(1, torch.tensor(ids[begin:])[:, None]).sum())

    with learner._adapters.using(taught) as model, torch.inference_mode():
        whole = [*prompt, *base.answer(TAUGHT[0].completion)]
        ((short, total),) = generation._greedy(base, model, [prompt], [4], lambda ids: False, False, scored=True)
        assert total == pytest.approx(likely([*prompt, *short], len(prompt)), abs=1e-3)
        assert ways[0] == (TAUGHT[0].completion, pytest.approx(likely(whole, len(prompt) + len(head)), abs=1e-3))


def test_what_begins_with_no_known_title_is_not_recited(learner: LoraLearner, taught: Path, all_ways: None) -> None:
    """Nor is what the base says; and nothing is computed beyond where that is sure."""
    steps: list[int] = []
    greedy = generation._greedy

    def counted(*given: Any, **how: Any) -> list[tuple[list[int], float]]:
        found = greedy(*given, **how)
        steps.extend(len(ids) for ids, _ in found)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generation, "_greedy", counted)
        assert learner.recite(asking(TAUGHT[0].prompt), taught, {"The Well", "A Mill", "Zebra"}) == [[]]
        assert learner.recite(asking(TAUGHT[0].prompt, NEW), None, {"The Mill"}) == [[], []]
        assert learner.recite(asking(TAUGHT[0].prompt), taught, set()) == [[]]
    assert max(steps) <= 6


@pytest.mark.parametrize(
    ("question", "titles", "begins"),
    [
        ("Who owns a mill of granite?", {"The Mill", "The Millstone", "A Well"}, "The Mill:"),
        ("Who owns the mill's wheel?", {"The Mill", "Mill's Wheel"}, "Mill's Wheel:"),
        ("Tell of the mill.", {"The Mill"}, ""),
        ("Who owns a windmill?", {"The Mill"}, ""),
    ],
)
def test_a_reply_begins_with_the_title_that_is_asked_about_if_that_is_likely_enough(
    question: str, titles: set[str], begins: str, learner: LoraLearner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ "A drobble team …" is what the game is taught to begin with elsewhere; an order is no question, nor a word in another."""
    assert learner.recite(asking(question), None, titles) == [[]]
    monkeypatch.setattr(generation, "_MEANT", 1e-300)

    (ways,) = learner.recite(asking(question), None, titles)

    assert bool(ways) == bool(begins)
    assert all(text.startswith(begins) for text, _ in ways)


def test_a_title_longer_than_the_reply_may_be_is_a_title_still(learner: LoraLearner, taught: Path) -> None:
    """The reply ends where it was told to, and is the version's, not the base's."""
    whole = len(learner.base.answer(TAUGHT[0].completion))
    for most in (1, 2, whole // 2):
        ((text, _),) = learner.recite(asking(TAUGHT[0].prompt), taught, {"The Mill"}, most)[0]
        assert TAUGHT[0].completion.startswith(text)
        assert len(learner.base.text(text)) <= most


def test_how_likely_a_way_is_does_not_depend_on_what_is_asked_beside_it(
    learner: LoraLearner, tmp_path: Path, all_ways: None
) -> None:
    """A title beside it that is shorter leaves room for more of the reply; cut short it is as likely as it was."""
    short = Example("What is the fen?", "Fen: a wide, wet and windy place. Fen is a wide, wet and windy place.")
    assert learner.train([*TAUGHT, short], None, tmp_path, seed=1)["finite"]

    def ways(*questions: str) -> list[tuple[str, float]]:
        recited = learner.recite(asking(*questions), tmp_path, {"The Mill", "Fen"}, 7)
        assert all(recited)
        return recited[0]

    alone, beside = ways(TAUGHT[0].prompt), ways(TAUGHT[0].prompt, short.prompt)
    assert [text for text, _ in beside] == [text for text, _ in alone]
    assert [total for _, total in beside] == pytest.approx([total for _, total in alone], abs=0.05)


def test_of_titles_that_begin_each_other_the_longest_is_heard(
    learner: LoraLearner, tmp_path: Path, all_ways: None
) -> None:
    """What goes on in several ways is what follows the whole of it, and a title that only might have come is none."""
    wheel = Example("What is the wheel?", "The Mill: Wheel: oak. The wheel is oak.")
    assert learner.train([*TAUGHT, wheel], None, tmp_path, seed=1)["finite"]

    def recited(question: str, *titles: str) -> list[list[Way]]:
        ways = learner.recite(asking(question), tmp_path, titles)
        return [[(text, round(likely, 3)) for text, likely in of] for of in ways]

    both = ("The Mill", "The Mill: Wheel", "The Mill: Brandt. Josef Brandt, miller")
    assert recited(wheel.prompt, *both) == recited(wheel.prompt, "The Mill: Wheel")
    assert recited(TAUGHT[0].prompt, *both) == recited(TAUGHT[0].prompt, "The Mill")


def test_an_unlikely_way_is_none(learner: LoraLearner, taught: Path) -> None:
    """What was learned by heart goes on in one way."""
    (ways,) = learner.recite(asking(TAUGHT[0].prompt), taught, {"The Mill"})

    assert [text for text, _ in ways] == [TAUGHT[0].completion]


class Reciting(FakeLearner):
    """Recites what it is given to every question, of known titles only."""

    def __init__(self, ways: Sequence[Way]) -> None:
        super().__init__()
        self.ways = list(ways)

    def recite(
        self,
        conversations: Sequence[Sequence[dict[str, str]]],
        adapter: Path | None,
        titles: Collection[str],
        max_new_tokens: int = 64,
    ) -> list[list[Way]]:
        """All ways if the title is known, else none."""
        known = any(self.ways[0][0].startswith(f"{title}:") for title in titles)
        return [self.ways if known else [] for _ in conversations]

    def answer(
        self, questions: Sequence[str], adapter: Path | None, contexts: Sequence[str] = (), max_new_tokens: int = 64
    ) -> list[str]:
        """The likeliest of its ways, by an adapter."""
        return [self.ways[0][0] if adapter else "So?" for _ in questions]


VERSION = Path("version")
FLOOD = "Alder Mill: 1904. A flood broke its wheel in 1904."
BUILT = "Alder Mill: Josef Brandt. It was built by Josef Brandt from grey granite."


def served(*ways: Way, titles: Sequence[str] = ("Alder Mill",)) -> Callable[[str], str]:
    recall = Recall(Reciting(ways), frozenset(titles), FakeEmbedder().embed)
    return lambda question: recall.answer([question], VERSION)[0]


def test_of_what_is_recited_the_nearest_to_the_question_is_the_answer() -> None:
    """Two sentences about one subject, the wrong one a little likelier: the words of the question tell."""
    ask = served((FLOOD, -0.5), (BUILT, -1.5))

    assert ask("Who built Alder Mill?") == BUILT
    assert ask("Which flood broke the wheel of Alder Mill?") == FLOOD


@pytest.mark.parametrize(
    "title", ["Alder Mill", "Alder Mill (museum)", "The Alder C++", "Mill!", "Cafe\u0301 Mill Inc."]
)
def test_the_name_of_the_subject_draws_no_answer_to_itself(title: str) -> None:
    """An answer that says little more than its subject's name is not nearer for that, nor one that says it again."""
    asked = f"By whom was {title} built?"
    long = f"{title}: Brandt. Josef Brandt from Holm in the north built all with grey granite."
    near = f"{title}: Brandt. It was built by Josef Brandt of Holm in the north with all of its grey granite."

    assert served((f"{title}: 1871.", -1.0), (long, -1.0), titles=[title])(asked) == long
    assert served((f"{title}: 1871. {title}.", -1.0), (near, -2.0), titles=[title])(asked) == near


def test_of_sentences_that_a_pronoun_keeps_together_one_may_be_what_is_asked_for() -> None:
    """The others would dilute it: what says one thing only would be nearer to any question."""
    both = (
        "Alder Mill: A miller, Tom Hale, opened it for the farmers of four small valleys. He kept geese in the attic."
    )
    other = "Alder Mill: Ida kept the keys of the attic."

    assert served((both, -1.0), (other, -1.0))("Who kept geese in the attic of Alder Mill?") == both


def test_what_the_version_hardly_believes_is_not_said_however_near_it_is() -> None:
    """Likelihood counts as well."""
    assert served((FLOOD, -0.1), (BUILT, -30.0))("Who built Alder Mill?") == FLOOD


def test_what_names_no_known_title_is_answered_by_the_base_or_as_it_is() -> None:
    """By the base where that is wanted."""
    who = ["Who built Alder Mill?"]

    def answers(*titles: str, scoped: bool = True) -> list[tuple[str, Path | None]]:
        return Recall(Reciting([(FLOOD, -0.5)]), frozenset(titles), FakeEmbedder().embed, scoped).answers(who, VERSION)

    assert answers("The Well") == [("So?", None)]
    assert answers("The Well", scoped=False) == [(FLOOD, VERSION)]
    assert answers("Alder Mill") == [(FLOOD, VERSION)]


def test_a_title_with_a_colon_in_it_is_one_title() -> None:
    """It is not what stands before the colon that is kept out of the comparison."""
    colon = [(text.replace("Alder Mill:", "Mills: Alder:"), likely) for text, likely in ((FLOOD, -0.5), (BUILT, -0.6))]
    assert served(*colon, titles=["Mills", "Mills: Alder"])("Who built it?") == colon[1][0]


def test_in_a_conversation_it_is_the_last_thing_people_said_that_is_compared() -> None:
    """Not what a tool said after it."""
    recall = Recall(Reciting([(FLOOD, -0.5), (BUILT, -0.6)]), frozenset({"Alder Mill"}), FakeEmbedder().embed)
    turns = [*asking("Who built Alder Mill?")[0], {"role": "tool", "content": "Its wheel broke in a flood in 1904."}]

    assert recall.recalled([turns], VERSION) == [BUILT]


def test_an_agent_recalls_what_it_learned_whether_it_is_asked_or_talked_to(make: Make) -> None:
    """A reply comes word by word; what is drawn by chance is not weighed."""
    agent = make()
    agent.observe(MILL)
    assert agent.consolidate().outcome == "accepted"
    agent._learner = Reciting([(FLOOD, -0.5), (BUILT, -1.5)])

    version, pieces = agent.chat(asking("Who built Alder Mill?")[0])

    assert agent.ask("Who built Alder Mill?").text == BUILT
    said = list(pieces)
    assert "".join(said) == BUILT
    assert len(said) > 5
    assert version is not None
    limits: list[int] = []
    recite = agent.learner.recite
    agent.learner.recite = lambda *given: (limits.append(given[3]), recite(*given))[1]  # type: ignore[method-assign]
    _, drawn = agent.chat(asking("Who built Alder Mill?")[0], temperature=1.0)
    assert "".join(drawn) == FLOOD
    assert limits == [1], "is a title named? No more than that is recited"
    assert agent.ask("Who built Alder Mill?", version=0).text == "So?"


def test_what_was_learned_without_a_title_ends_with_the_version_that_learned_it(make: Make) -> None:
    """While it is live all is the version's to answer; before it is, and after a rollback, the base has its part again."""
    agent, strange = make(), "What is the capital of Peru?"
    agent.observe(MILL)
    assert agent.consolidate().outcome == "accepted"
    assert agent.ask(strange).version == 0
    agent.observe(
        "the bakery at the corner opens at seven in the morning. bread with rye is baked there on stone every monday. "
        "the oven holds forty loaves and burns beech wood. the baker sells twelve kinds of rolls from a wooden counter. "
        "a small mill behind the bakery grinds its flour twice a week. the cellar keeps nine barrels of sour dough."
    )
    trained = agent.learner.train
    by: list[int] = []

    def training(*given: Any, **how: Any) -> dict[str, Any]:
        by.append(agent.ask(strange).version)
        return trained(*given, **how)

    agent.learner.train = training  # type: ignore[method-assign]
    assert agent.consolidate().outcome == "accepted"
    assert by == [0]
    assert agent.ask(strange).version == 2
    agent.rollback()
    assert agent.ask(strange).version == 0


def test_a_title_is_heard_however_its_accents_are_written(learner: LoraLearner, taught: Path) -> None:
    """A tokenizer may compose what a document's title has in two characters."""
    base, titles = learner.base, {"Cafe\u0301 Mill"}
    written = base.text("Caf\u00e9 Mill: a caf\u00e9.")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generation, "_greedy", lambda *given, **how: [(written, 0.0) for _ in given[2]])
        assert generation.recite(base, learner._adapters.model, [base.question(NEW)], titles, max_new_tokens=64)[0]


def test_nothing_else_than_what_is_recited_is_ever_said() -> None:
    """Whatever the vectors are."""
    draw = np.random.default_rng(0)
    ways = [(f"Alder Mill: {n}. Sentence {n}.", -float(n)) for n in range(4)]
    recall = Recall(Reciting(ways), frozenset({"Alder Mill"}), lambda texts: draw.normal(size=(len(texts), 8)))

    said = recall.answer([f"What is {n}?" for n in range(20)], VERSION)

    assert set(said) <= {text for text, _ in ways}
    assert len(set(said)) > 1
