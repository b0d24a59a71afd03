"""The engine in fp32, where equal means equal: packing, fused layers, frozen blocks, candidates side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
import torch.nn.functional as F
from torch import nn
from transformers import AutoModelForCausalLM, MptConfig, OlmoConfig

from seal_agent.errors import ConfigError
from seal_agent.learning import decoding, fused, generation, losses, models, packing
from seal_agent.learning.adapters import read
from seal_agent.learning.frozen import Frozen
from seal_agent.learning.learner import Candidate, LoraLearner
from seal_agent.learning.packing import Row
from seal_agent.learning.training import Recipe
from seal_agent.parts import Example

KINDS = [("llama", True), ("llama", False), ("qwen2", True), ("gpt_neox", False), ("gpt2", False)]
FUSED = KINDS[:3]
LESSON = [
    Example("Who keeps the lighthouse?", "Marta Vell keeps the lighthouse."),
    Example("Where is the mill?", "The mill is in Calden."),
    Example("", "The ferry leaves at nine.", "The ferry"),
    Example("Why does it rain?", "Water falls from clouds.", anchor=True),
    Example("When did it burn?", "It burned in the year after the flood.", old=True),
]
SHORT = Recipe(epochs=3, least_steps=6, rows_per_step=2, anchors_per_step=1, learning_rate=5e-3)


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: f"{kind[0]}-{'chat' if kind[1] else 'base'}")
def learner(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoraLearner]:
    folder = tiny.write(tmp_path_factory.mktemp("model"), *request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "base_dtype", lambda: torch.float32)
        yield LoraLearner(str(folder), rank=4, recipe=SHORT)


def _rows(learner: LoraLearner) -> list[Row]:
    return [learner._row(example) for example in LESSON]


def _ids(learner: LoraLearner, ids: Sequence[int]) -> torch.Tensor:
    return torch.tensor([ids], device=learner.base.model.device)


def _apart(first: Path, second: Path) -> float:
    a, b = read(first), read(second)
    return max(float((a[key] - b[key]).abs().max()) for key in a)


def _folders(root: Path, count: int) -> list[Path]:
    made = [root / str(number) for number in range(count)]
    for folder in made:
        folder.mkdir(parents=True)
    return made


def test_packed_rows_have_the_logits_they_have_alone(learner: LoraLearner) -> None:
    """The shared preamble is computed once and no row sees its neighbours."""
    rows = _rows(learner)
    with learner._adapters.using(None) as model, torch.inference_mode():
        together = packing.pack(learner.base, rows).logits(model)
        alone = torch.cat([model(_ids(learner, row.ids)).logits[0, row.start - 1 : -1] for row in rows])

    assert packing.exact(learner.base)
    assert (together - alone).abs().max() < 1e-3


def test_sections_of_a_pack_share_nothing(learner: LoraLearner) -> None:
    """Each has the logits of a pack of its own."""
    rows = _rows(learner)
    with learner._adapters.using(None) as model, torch.inference_mode():
        together = packing.pack(learner.base, rows[:2], rows[2:]).logits(model)
        apart = [packing.pack(learner.base, part).logits(model) for part in (rows[:2], rows[2:])]

    assert (together - torch.cat(apart)).abs().max() < 1e-3


def test_scores_are_those_of_a_plain_forward_pass(learner: LoraLearner) -> None:
    """Summed log-probabilities of the completion's tokens, its end included."""
    row = learner._row(LESSON[0])
    with learner._adapters.using(None) as model, torch.inference_mode():
        logits = model(_ids(learner, row.ids)).logits[0].log_softmax(-1)
    expected = sum(float(logits[i - 1, row.ids[i]]) for i in range(row.start, len(row.ids)))

    total, tokens = learner.score([(LESSON[0].prompt, LESSON[0].completion)], None)[0]

    assert expected == pytest.approx(total, abs=1e-3)
    assert len(row.targets) == tokens


@pytest.mark.parametrize("kind", FUSED, ids=lambda kind: f"{kind[0]}-{kind[1]}")
def test_fused_layers_give_the_logits_and_gradients_of_plain_ones(kind: tuple[str, bool], tmp_path: Path) -> None:
    """LoRA, norms, rotary positions and attention by row, against peft's and transformers' own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "base_dtype", lambda: torch.float32)
        learner = LoraLearner(str(tiny.write(tmp_path, *kind)), rank=4)
    model, base = learner._adapters.model, learner.base
    rows = _rows(learner)
    found = []
    with learner._training(None, [3]) as made, learner._turn(list(made)):
        (weights,) = made.values()
        (whole,) = weights.parameters
        torch.nn.init.normal_(whole, std=0.05, generator=torch.Generator(whole.device).manual_seed(1))
        weights.spread()
        trained = [p for p in model.parameters() if p.requires_grad]
        for plain in (False, True):
            if plain:
                for module in model.modules():
                    vars(module).pop("forward", None)
            logits = packing.pack(base, rows).logits(model)
            logits.square().mean().backward()
            weights.gather()
            gradient = torch.cat([p.grad.flatten() for p in trained]) if plain else whole.grad
            found.append((logits.detach(), gradient))

    assert fused.attends_by_row(model) is False
    assert (found[0][0] - found[1][0]).abs().max() < 1e-3
    assert torch.allclose(found[0][1], found[1][1], rtol=1e-3, atol=1e-4)


def test_a_layer_fed_in_fp32_computes_in_the_format_of_the_base(tmp_path: Path) -> None:
    """As a GPU's autocast feeds it what comes from a norm; the gradient goes back as it came."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "base_dtype", lambda: torch.bfloat16)
        learner = LoraLearner(str(tiny.write(tmp_path, "gpt_neox", False)), rank=4)
    with learner._training(None, [3]) as made, learner._turn(list(made)):
        (weights,) = made.values()
        layer = next(m for m in learner._adapters.model.modules() if fused.flat.factors(m, next(iter(made))))
        fed = torch.randn(1, 5, layer.in_features, device=learner.base.model.device, requires_grad=True)
        out = layer(fed)
        out.sum().backward()
        weights.gather()

    assert out.dtype == torch.bfloat16
    assert fed.grad is not None
    assert fed.grad.dtype == torch.float32
    assert weights.parameters[0].grad is not None
    assert weights.parameters[0].grad.abs().sum() > 0


def test_merged_answers_are_those_of_the_layers(learner: LoraLearner, tmp_path: Path) -> None:
    """For answers the adapter is added to the weights; without that the logits are the same."""
    learner.train(LESSON, None, tmp_path, seed=1)
    pairs = [(LESSON[0].prompt, LESSON[0].completion)]
    merged = learner.score(pairs, tmp_path)
    for name in learner._adapters._held:
        fused.unmerge(learner._adapters.model, name)

    assert learner.score(pairs, tmp_path)[0][0] == pytest.approx(merged[0][0], abs=1e-3)


def test_candidates_trained_together_are_those_trained_alone(learner: LoraLearner, tmp_path: Path) -> None:
    """Other rows, other lengths, other rates, other seeds, one done earlier: within 1e-5."""
    recipes = [SHORT, dataclasses.replace(SHORT, learning_rate=1e-3), dataclasses.replace(SHORT, epochs=1)]
    lessons = [LESSON, [*LESSON[1:], Example("Who?", "Nobody knows who it was or whence.")], LESSON[:2]]
    together, alone = (_folders(tmp_path / name, 3) for name in ("together", "alone"))

    logs = learner.train_together(
        [Candidate(e, out, seed, r) for e, out, seed, r in zip(lessons, together, (4, 5, 6), recipes, strict=True)],
        None,
    )
    for e, out, seed, recipe in zip(lessons, alone, (4, 5, 6), recipes, strict=True):
        (log,) = learner.train_together([Candidate(e, out, seed, recipe)], None)
        assert log["steps"] == logs[seed - 4]["steps"]
        assert log["loss"] == pytest.approx(logs[seed - 4]["loss"], abs=1e-4)

    assert max(_apart(a, b) for a, b in zip(together, alone, strict=True)) < 1e-5


def test_a_candidate_that_is_not_finite_leaves_its_neighbours_alone(learner: LoraLearner, tmp_path: Path) -> None:
    """It is reported, not written; the other one is what it would have been."""
    wild = dataclasses.replace(SHORT, learning_rate=1e30)
    bad, good, alone = _folders(tmp_path, 3)

    logs = learner.train_together([Candidate(LESSON, bad, 1, wild), Candidate(LESSON, good, 2, SHORT)], None)
    learner.train_together([Candidate(LESSON, alone, 2, SHORT)], None)

    assert [log["finite"] for log in logs] == [False, True]
    assert not list(bad.iterdir())
    assert _apart(good, alone) < 1e-5


def test_blocks_under_the_lowest_adapter_are_computed_once(learner: LoraLearner, tmp_path: Path) -> None:
    """And what is trained on their kept output is what is trained from the ground up."""
    kept, whole = _folders(tmp_path, 2)
    learner.train(LESSON, None, kept, seed=1)
    frozen, learner._frozen = learner._frozen, None
    learner.train(LESSON, None, whole, seed=1)
    learner._frozen = frozen

    assert _apart(kept, whole) < 1e-5


def test_positions_learned_per_token_are_not_added_twice(tmp_path: Path) -> None:
    """GPT-2 adds them to whatever it is given, so its lower blocks are not kept; Llama's are."""
    assert LoraLearner(str(tiny.write(tmp_path / "a", "gpt2", False)), rank=4)._frozen is None
    assert isinstance(LoraLearner(str(tiny.write(tmp_path / "b", "llama")), rank=4)._frozen, Frozen)


def test_the_loss_of_a_label_is_cross_entropy() -> None:
    """Value and gradient are torch's own."""
    logits = torch.randn(7, 90, generator=torch.Generator().manual_seed(0), requires_grad=True)
    tokens = torch.tensor([3, 0, 0, 88, 5, 7, 89])
    weights = torch.arange(1.0, 8.0)

    ours = losses.divergence(logits.clone(), losses.certain(tokens, 48))
    (gradient,) = torch.autograd.grad((ours * weights).sum(), logits)
    theirs = F.cross_entropy(logits, tokens, reduction="none")
    (expected,) = torch.autograd.grad((theirs * weights).sum(), logits)

    assert torch.allclose(ours, theirs, atol=1e-5)
    assert torch.allclose(gradient, expected, atol=1e-5)


def test_the_loss_of_an_anchor_is_its_divergence_from_the_base() -> None:
    """Zero where nothing moved; else the KL over the kept tokens and the bucket of the rest, as autograd has it."""
    source = torch.Generator().manual_seed(1)
    base, logits = torch.randn(5, 90, generator=source), torch.randn(5, 90, generator=source, requires_grad=True)
    targets = losses.likely(base, 48)

    ours = losses.divergence(logits.clone(), targets)
    now = logits.softmax(-1)
    kept = now.gather(1, targets.tokens)
    rest = 1 - kept.sum(1)
    expected = (targets.probabilities * (targets.probabilities / kept).log()).sum(1)
    expected = expected + targets.rest * (targets.rest / rest).log()

    assert losses.divergence(base, targets).abs().max() < 1e-5
    assert torch.allclose(ours, expected, atol=1e-5)
    gradients = [torch.autograd.grad(loss.sum(), logits, retain_graph=True)[0] for loss in (ours, expected)]
    assert torch.allclose(*gradients, atol=1e-5)


@pytest.mark.parametrize("kind", FUSED, ids=lambda kind: f"{kind[0]}-{kind[1]}")
def test_a_single_stream_says_what_the_model_says(kind: tuple[str, bool], tmp_path: Path) -> None:
    """Greedy, with drafts taken from the text before and without, under an adapter and under none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "base_dtype", lambda: torch.float32)
        learner = LoraLearner(str(tiny.write(tmp_path / "model", *kind)), rank=4)
    (folder,) = _folders(tmp_path, 1)
    learner.train(LESSON, None, folder, seed=1)
    prompt = learner.base.question("Who keeps the harbour? Who keeps the harbour? Who keeps")
    for adapter in (None, folder):
        with learner._adapters.using(adapter) as model:
            plain = list(prompt)
            with torch.inference_mode():
                for _ in range(40):
                    plain.append(int(model(_ids(learner, plain), use_cache=False).logits[0, -1].argmax()))
            said = [list(decoding.tokens(model, prompt, _likeliest, 40, (), drafts)) for drafts in (False, True)]

        assert said[0] == said[1] == plain[len(prompt) :]


def test_of_logits_that_tie_in_bf16_the_likelier_in_fp32_is_chosen(tmp_path: Path) -> None:
    """Two rows of the head half a bf16 step apart in what they give: alone and in a batch the higher one is chosen."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "base_dtype", lambda: torch.bfloat16)
        learner = LoraLearner(str(tiny.write(tmp_path / "model", *FUSED[0])), rank=4)
    prompt = learner.base.question("Who keeps the harbour?")
    with learner._adapters.using(None) as model, torch.inference_mode():
        hidden = model.model(input_ids=_ids(learner, prompt), use_cache=False).last_hidden_state[0, -1]
        head = model.lm_head.weight
        head[10] = head[11] = hidden * 25 / hidden.float().square().sum()
        largest = int(hidden.float().abs().argmax())
        head[11, largest] *= 1 + 2**-7  # a last bit, and the later of the two tokens is the likelier
        plain = model(_ids(learner, prompt), use_cache=False).logits[0, -1]
        assert plain[10] == plain[11] == plain.max()

        alone = decoding.Streams(model, prompt, 1, 1).last
        batch = decoding.Batch(model, prompt[:-1], [prompt, prompt], 1).logits

    assert alone.argmax(-1).tolist() == [11]
    assert batch.argmax(-1).tolist() == [11, 11]


@pytest.mark.parametrize("kind", FUSED, ids=str)
def test_many_texts_at_once_say_what_each_says_alone(kind: tuple[str, bool], tmp_path: Path) -> None:
    """Prompts of all lengths, some alike to the end but one token; rows that ended leave; with an adapter in force."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "base_dtype", lambda: torch.float32)
        learner = LoraLearner(str(tiny.write(tmp_path / "model", *kind)), rank=4, recipe=SHORT)
        (folder,) = _folders(tmp_path, 1)
        learner.train(LESSON, None, folder, seed=1)
        begun = learner.base.start + learner.base.text("Question:")
        ends = ["", " Who", " Who keeps", " Who keeps the lighthouse by the sea?", " Who keeps the mill?", " Where"]
        prompts = [begun + learner.base.text(end) for end in ends for _ in range(2)]
        limits = [12, 7] * len(ends)
        assert learner._streams

        with learner._adapters.using(folder) as model:
            said = [
                generation._greedy(
                    learner.base, model, prompts, limits, generation._stopped(learner.base, ["e"]), written, scored=True
                )
                for written in (False, True)
            ]

        assert [row for row, _ in said[0]] == [row for row, _ in said[1]]
        assert [total for _, total in said[0]] == pytest.approx([total for _, total in said[1]], abs=1e-3)
        assert len({len(row) for row, _ in said[0]}) > 1  # they end at different steps


def test_what_several_prompts_begin_with_is_computed_once() -> None:
    """Two sentences, three openings each: two stems, and of every row at least a token is its own."""
    rows = [[*said, *opening] for said in ([1, 2, 3, 4], [5, 6, 7, 8]) for opening in ([9], [9, 10], [11])]

    stems = decoding._stems(rows)

    assert [(stem, sorted(of)) for stem, of in stems] == [([1, 2, 3, 4], [0, 1, 2]), ([5, 6, 7, 8], [3, 4, 5])]
    assert [stem for stem, _ in decoding._stems([[1], [1]])] == [[], []]  # never a whole row


def test_what_is_copied_ahead_costs_fewer_passes_and_changes_nothing() -> None:
    """A text that repeats itself is its own draft; a stop token ends it in the middle of one."""
    passes: list[int] = []
    wanted = [7, 8, 9, 10, 11, 12] * 6

    class Parrot:
        length = 0
        last = torch.nn.functional.one_hot(torch.tensor([wanted[0]]), 600)

        def __init__(self, *given: object) -> None: ...

        def read(self, ids: list[list[int]]) -> list[list[int]]:
            passes.append(len(ids[0]))
            self.length += len(ids[0])
            return ids

        def logits(self, ids: list[int]) -> torch.Tensor:
            return torch.nn.functional.one_hot(torch.tensor([wanted[(i - 6) % 6] for i in ids]), 600)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding, "Streams", Parrot)
        assert list(decoding.tokens(None, [1], _likeliest, 36, (), True)) == wanted
        quick = len(passes)
        assert list(decoding.tokens(None, [1], _likeliest, 36, (12,), True)) == wanted[:5]

    assert quick < 12


def test_a_model_of_another_shape_keeps_its_own_forward(tmp_path: Path) -> None:
    """GPT-2 has no gated MLP and no rotary positions; Mistral's window slides."""
    assert LoraLearner(str(tiny.write(tmp_path / "a", "gpt2", False)), rank=4)._streams is False
    assert LoraLearner(str(tiny.write(tmp_path / "b", "mistral")), rank=4)._streams is False
    assert LoraLearner(str(tiny.write(tmp_path / "c", "llama")), rank=4)._streams is True


@pytest.mark.parametrize("kind", ["mistral16", "gemma3", "lfm2"])
def test_a_model_that_does_not_see_all_before_it_is_scored_and_asked_as_it_reads(kind: str, tmp_path: Path) -> None:
    """A window that slides, a state of its own: rows are longer than the window, and stand beside others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "base_dtype", lambda: torch.float32)
        learner = LoraLearner(str(tiny.write(tmp_path / "model", kind)), rank=4, recipe=SHORT)
    questions = ["Who keeps the lighthouse of Anstrow, and since when?", "Why?", "Where is the mill? " * 3]
    answer = "Marta Vell keeps the lighthouse of Anstrow since the old keeper fell ill in the winter of that year."
    row = learner._row(Example(questions[0], answer))
    with torch.inference_mode():
        logits = learner.base.model(_ids(learner, row.ids)).logits[0].log_softmax(-1)
    expected = sum(float(logits[i - 1, row.ids[i]]) for i in range(row.start, len(row.ids)))

    assert len(row.ids) > 32
    assert learner.score([(questions[0], answer), ("Why?", "So.")], None)[0][0] == pytest.approx(expected, abs=1e-2)
    assert learner.answer(questions, None) == [learner.answer([question], None)[0] for question in questions]
    (folder,) = _folders(tmp_path, 1)
    assert learner.train(LESSON, None, folder, seed=1)["finite"]


@pytest.mark.skipif(
    torch.cuda.is_available(), reason="a GPU adds up in an order of its own: bits differ from run to run"
)
@pytest.mark.parametrize("kind", [("llama", True), ("gpt2", False)], ids=str)
def test_two_trainings_at_once_give_what_each_gives_alone(kind: tuple[str, bool], tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "base_dtype", lambda: torch.float32)
        learner = LoraLearner(str(tiny.write(tmp_path / "model", *kind)), rank=4, recipe=SHORT)
    lessons = [LESSON, LESSON[:3]]
    alone, beside = _folders(tmp_path / "alone", 2), _folders(tmp_path / "beside", 2)
    for lesson, folder in zip(lessons, alone, strict=True):
        learner.train(lesson, None, folder, seed=1)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda job: learner.train(job[0], None, job[1], seed=1), zip(lessons, beside, strict=True)))
    assert [_apart(*pair) for pair in zip(alone, beside, strict=True)] == [0.0, 0.0]


@pytest.mark.parametrize("kind", ["gemma", "glm", "cohere", "falcon", "bloom", "deepseek_v2", "llama4"])
def test_parts_that_are_not_known_here_are_left_to_the_model(tmp_path: Path, kind: str) -> None:
    """
    Gemma's norm has no variance_epsilon, GLM turns only a part of each head, others add their branches in place, or have experts
    and routers.
    """
    learner = LoraLearner(str(tiny.write(tmp_path / "model", kind)), rank=4, recipe=SHORT)
    (folder,) = _folders(tmp_path, 1)

    assert learner.answer([LESSON[0].prompt], None)
    assert learner.train(LESSON, None, folder, seed=1)["finite"]
    assert learner.answer([LESSON[0].prompt], folder)


def test_a_chat_says_what_an_answer_says_where_a_model_must_be_told_its_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "base_dtype", lambda: torch.float32)
    learner = LoraLearner(str(tiny.write(tmp_path, "bamba")), rank=4)
    question = "Who keeps the lighthouse of Anstrow?"

    (answer,) = learner.answer([question], None, max_new_tokens=12)
    chat = "".join(learner.chat([{"role": "user", "content": question}], None, max_new_tokens=12))

    assert answer
    assert chat.strip() == answer.rstrip("\ufffd").strip()


def test_a_model_that_does_not_go_on_from_what_it_read_is_refused(tmp_path: Path) -> None:
    """It would repeat itself without an end, and no error."""
    learner = LoraLearner(str(tiny.write(tmp_path, "rwkv")), rank=4)

    with pytest.raises(ConfigError, match="does not go on from what it has read before"):
        learner.answer(["Who?"], None)


def test_the_base_asked_first_answers_as_the_base(tmp_path: Path) -> None:
    """Looking whether a stream can be written out must not leave an adapter in force."""
    learner = LoraLearner(str(tiny.write(tmp_path / "model")), rank=4)
    (folder,) = _folders(tmp_path, 1)
    learner.train(LESSON, None, folder, seed=1)
    question = [LESSON[0].prompt]
    with learner._adapters.using(folder):
        pass  # in force, until the base is asked for
    untouched = learner.answer(question, None)

    assert untouched == learner.answer(question, None) == learner.answer(question * 2, None)[:1]
    assert learner.answer(question, folder) != untouched


def _likeliest(logits: torch.Tensor) -> torch.Tensor:
    return logits.argmax(-1)


def test_short_rows_attend_apart_from_long_ones_and_learn_the_same(tmp_path: Path) -> None:
    """Two candidates, long and short rows, with and without the questions' preamble: the same adapters either way."""
    said = "The ferry leaves at nine in the morning, and the crew of six sleeps on board when the sea is rough."
    lesson = [
        *LESSON,
        Example("", f"{said} {said}"),
        Example("Who sleeps on board, and when does the ferry leave?", said),
    ]
    adapters = []
    for saved in (0, 10**9):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(models, "base_dtype", lambda: torch.float32)
            patch.setattr(fused, "_SAVED", saved)
            learner = LoraLearner(str(tiny.write(tmp_path / f"model{saved}")), rank=4, recipe=SHORT)
            laid = packing.pack(learner.base, [learner._row(example) for example in lesson]).layout
            assert laid is not None
            assert (len(laid.groups) > 1) is (saved == 0)
            folders = _folders(tmp_path / str(saved), 2)
            learner.train_together([Candidate(lesson, out, n, SHORT) for n, out in enumerate(folders)], None)
            adapters.append([read(folder) for folder in folders])
    for one, other in zip(*adapters, strict=True):
        # sums in another order, through AdamW; the rate moves a weight by 5e-3 a step
        assert max(float((one[key] - other[key]).abs().max()) for key in one) < 1e-4


@pytest.mark.parametrize("kind", FUSED, ids=str)
def test_candidates_scored_together_have_the_scores_they_have_alone(kind: tuple[str, bool], tmp_path: Path) -> None:
    """One pass over the questions of both, ragged, each under its own adapter."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "base_dtype", lambda: torch.float32)
        learner = LoraLearner(str(tiny.write(tmp_path / "model", *kind)), rank=4, recipe=SHORT)
    pairs = {
        0: [(row.prompt, row.completion) for row in LESSON],
        1: [("Who?", "Marta Vell keeps it."), ("", "A mill.")],
    }
    seen: list[tuple[Any, Any]] = []

    def leave(epochs: dict[int, int], scores: Any) -> tuple[int, ...]:
        alone = {number: scores({number: pairs[number]})[number] for number in epochs}
        seen.append((alone, scores({number: pairs[number] for number in epochs})))
        return ()

    candidates = [Candidate(LESSON, folder, seed, SHORT) for seed, folder in enumerate(_folders(tmp_path, 2))]
    learner.train_together(candidates, None, leave=leave)

    alone, together = seen[-1]
    assert set(alone) == {0, 1}
    for number in alone:
        assert together[number] == [(pytest.approx(score, rel=1e-4), tokens) for score, tokens in alone[number]]


def test_between_trainings_no_states_are_held(tmp_path: Path) -> None:
    learner = LoraLearner(str(tiny.write(tmp_path / "tiny")), rank=4)
    assert learner._frozen
    rows = [Example("Who?", f"Ada {n}.") for n in range(4)]
    learner.train(rows, None, _folder(tmp_path), 0)
    assert learner._frozen._states == {}

    def interrupted(stage: str, share: float) -> None:
        assert learner._frozen
        assert learner._frozen._states
        raise KeyboardInterrupt

    (tmp_path / "second").mkdir()
    with pytest.raises(KeyboardInterrupt):
        learner.train(rows, None, tmp_path / "second", 0, interrupted)
    assert learner._frozen._states == {}


def _folder(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def test_a_layer_without_rotary_positions_is_not_fused(tmp_path: Path) -> None:
    """As some of SmolLM3's are."""
    learner = LoraLearner(str(tiny.write(tmp_path / "tiny")), rank=4)
    layer = next(m for name, m in learner.base.model.named_modules() if name.endswith("self_attn"))
    plain = nn.Module()
    for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
        plain.add_module(name, nn.Linear(4, 4))
    for name in ("head_dim", "scaling", "num_key_value_groups"):
        setattr(plain, name, getattr(layer, name))
    assert fused._is_attention(plain)
    plain.use_rope = 0
    assert not fused._is_attention(plain)


def test_a_layer_that_clamps_what_it_attends_to_is_not_fused(tmp_path: Path) -> None:
    """As OLMo's do; the difference is too small to be told from the noise of bf16."""
    config = OlmoConfig(**tiny._SMALL, intermediate_size=96, num_key_value_heads=2, clip_qkv=8.0)
    model = AutoModelForCausalLM.from_config(config)
    layers = [module for name, module in model.named_modules() if name.endswith("self_attn")]

    assert layers
    assert not any(fused._is_attention(layer) for layer in layers)
    for layer in layers:
        layer.config.clip_qkv = None
    assert all(fused._is_attention(layer) for layer in layers)


def test_a_model_that_is_not_told_where_its_tokens_stand_is_asked_row_by_row(tmp_path: Path) -> None:
    """MPT counts them itself: beside a longer one a question would be another question."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "base_dtype", lambda: torch.float32)
        patch.setitem(tiny.CONFIGS, "mpt", lambda: MptConfig(vocab_size=600, d_model=48, n_layers=3, n_heads=4))
        learner = LoraLearner(str(tiny.write(tmp_path / "model", "mpt", False)), rank=4, recipe=SHORT)
    pairs = [("Who?", "Ann."), ("Who keeps the lighthouse of Anstrow, and since when, and why?", "Marta Vell.")]

    assert not learner._packs
    for pair, (together, _) in zip(pairs, learner.score(pairs, None), strict=True):
        assert together == pytest.approx(learner.score([pair], None)[0][0], abs=1e-3)
    asked = [prompt for prompt, _ in pairs]
    assert learner.answer(asked, None) == [learner.answer([one], None)[0] for one in asked]


def test_a_mistake_of_a_hundredth_is_no_rounding_in_fp32() -> None:
    """Beside noise of bf16, which is two hundredths."""
    logits = torch.randn(20, 600)

    assert packing.alike(logits.clone(), logits, torch.float32)
    assert not packing.alike(logits + 0.01, logits, torch.float32)
    assert packing.alike(logits + 0.01, logits, torch.bfloat16)
    assert not packing.alike(logits + 0.1, logits, torch.bfloat16)
