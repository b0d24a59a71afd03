"""
How fast is the engine? The same lessons until the same loss, ours against transformers, TRL and SEAL's inner loop.

Promises: one process per contender and repetition, contenders interleaved in alternating order, each with the best rate
of one common grid; what is compared are ratios within this run, with bootstrap intervals; what was extrapolated, or computed
from other parts, says so; a second that another machine measured is not taken over.
Does not promise: seconds that hold on another machine, or rivals at settings other than those listed.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from seal_agent.bench import growth, keeping
from seal_agent.bench.drawing import panels
from seal_agent.bench.shipped import corpus
from seal_agent.errors import SealError
from seal_agent.learning import devices, embedded
from seal_agent.parts import Say, silent

_RATES = (1e-3, 2e-3, 4e-3)  # the common grid
_EDITS = "edits-seal-round1-implications.json"
_TARGET_EPOCHS = 10  # SEAL's inner loop: the loss that Trainer, batch 1, has after ten epochs
_QUICK_EPOCHS = 3
_QUICK_WITHOUT = ("trainer_b8", "trl_padding_free")  # slower than their siblings whenever both were run
_LENGTH = 64  # tokens of a generated sample
_QUESTIONS, _ANSWER = 5, 32  # questions about a passage, and tokens of an answer, in the candidate search
_TRAINERS: dict[str, dict[str, Any]] = {
    "trainer_b1": {"does": "trainer", "batch": 1},
    "trainer_b8": {"does": "trainer", "batch": 8},
    "trl_packed": {"does": "trl", "batch": 1, "trl": {"packing": True, "max_length": 1024}},
    "trl_padding_free": {"does": "trl", "batch": 8, "trl": {"padding_free": True, "max_length": None}},
}
_OURS: dict[str, Any] = {"does": "ours", "rows": 16}  # a step takes all rows of a lesson, as TRL packs them
_LADDER: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("rows one by one", ("packing", "fusing", "keeping")),
    ("packed", ("fusing", "keeping")),
    ("fused", ("keeping",)),
    ("lower blocks kept", ()),
)
_LASTING = {"does": "lasting", "times": 200, "at": [10, 50, 100, 200]}  # consolidations in one process


def lessons(data: Path | None, count: int) -> list[list[str]]:
    """
    *count* lessons, each a passage and the lines of an edit: SEAL's published ones in *data*, else built-in ones.

    Five edits of one passage stand one after another. SealError if *data* lacks the files.
    """
    if data is None:
        return [[d["text"], *(f"{d['title']}: {s}" for s in d["text"].split(". ")[:8])] for d in corpus("invented")][
            :count
        ]
    missing = [name for name in ("passages.json", _EDITS) if not (data / name).is_file()]
    if missing:
        raise SealError(f"{data} lacks {', '.join(missing)}; give a folder shaped like SEAL's published edits")
    passages, edits = (json.loads((data / name).read_text("utf-8")) for name in ("passages.json", _EDITS))
    found = [
        [passage["context"], *(line for line in edit.splitlines() if line.strip())]
        for passage, five in zip(passages, edits, strict=False)
        for edit in five
    ]
    if len(found) < count:
        raise SealError(f"{data} has {len(found)} edits with a passage, {count} are wanted; give a folder like SEAL's")
    return found[:count]


def run(
    data: Path | None = None,
    model: str | None = None,
    quick: bool = False,
    seed: int = 0,
    out: Path | None = None,
    say: Say = silent,
    say_line: Callable[[str], None] = silent,
) -> dict[str, Any]:
    """The whole bench; finished parts are kept in *out* and not run again. Returns the document of `bench speed`."""
    if find_spec("trl") is None or find_spec("datasets") is None:
        raise SealError("the rivals are not installed; bring them with: pip install 'trl>=1.16,<2' 'datasets>=4'")
    bench = _Bench(model or embedded.MODEL.folder, seed, out, say_line)
    taught = lessons(data, 1 if quick else 15)
    chosen = range(0, 5, 5) if quick else range(0, 15, 5)  # the first edit of each passage
    first, targets, epochs = taught[0], {}, _QUICK_EPOCHS if quick else _TARGET_EPOCHS
    for number in sorted({*chosen, *(() if quick else range(5))}):
        job = {"does": "trainer", "batch": 1, "rate": _RATES[0], "epochs": epochs, "targets": [0.0]}
        targets[number] = bench.do(f"target-{number}", {**job, "lessons": [taught[number]]})["losses"][0][-1]
    rivals = {name: job for name, job in _TRAINERS.items() if not (quick and name in _QUICK_WITHOUT)}
    everyone = {**rivals, "ours_1": _OURS}
    best = {name: _best_rate(bench, name, job, first, targets[0], quick) for name, job in everyone.items()}
    times: dict[str, list[dict[str, Any]]] = {name: [] for name in everyone}
    for turn, number in enumerate(chosen):
        names = list(everyone) if turn % 2 == 0 else list(everyone)[::-1]
        for name in names:
            job = {**everyone[name], "rate": best[name], "lessons": [taught[number]], "targets": [targets[number]]}
            times[name].append(bench.do(f"{name}-{number}", job))
        say("training", (turn + 1) / len(chosen))
    together = _together(bench, taught, targets, best["ours_1"], quick)
    ladder = _ladder(bench, taught, best["ours_1"], quick)
    generated = _generated(bench, first[0], quick)
    peak = bench.do("peak", {"does": "peak"})["flops"]
    seal = bench.do("seal", {"does": "seal", "rate": 1e-3, "lessons": [first]})
    searched = [] if data is None or quick else _searched(bench, data, taught, best["ours_1"])
    return {
        **_result(times, together, ladder, generated, peak, seal, best, targets, epochs, seed),
        "halving": searched,
        "growth": {} if quick else bench.keep("growth", {}, lambda: growth.run(say=say)),
        "process_mb": {} if quick else bench.do("lasting", _LASTING)["peak_mb_after"],
    }


class _Bench:
    """Runs jobs in processes of their own; keeps what is finished."""

    def __init__(self, model: str, seed: int, out: Path | None, say_line: Callable[[str], None]) -> None:
        self.model, self.seed, self.out, self._say = model, seed, out, say_line
        if out:
            out.mkdir(parents=True, exist_ok=True)

    def do(self, name: str, job: dict[str, Any]) -> dict[str, Any]:
        return self.keep(name, job, lambda: self._done(name, job))

    def keep(self, name: str, job: dict[str, Any], do: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What *do* gives for *job*; kept, if there is a folder, for this machine: seconds of another are not mixed in."""
        if not self.out:
            return do()
        kept = self.out / f"{keeping.named(name, self.model, seed=self.seed, machine=devices.machine(), **job)}.json"
        return dict(keeping.once(kept, do))

    def _done(self, name: str, job: dict[str, Any]) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "seal_agent.bench.contenders"],
            input=json.dumps({"model": self.model, "seed": self.seed, **job}),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise SealError(f"{name} broke: {done.stderr.strip().splitlines()[-1:]}")
        result = dict(json.loads(done.stdout.strip().splitlines()[-1]))
        self._say(f"{name}: {result.get('seconds', 0.0):.1f} s")
        return result


def _best_rate(bench: _Bench, name: str, job: dict[str, Any], lesson: list[str], target: float, quick: bool) -> float:
    """The rate of the common grid with which *name* reaches the target soonest on the first lesson."""
    if quick:
        return _RATES[1]
    tried = {
        rate: bench.do(f"{name}-rate-{rate}", {**job, "rate": rate, "lessons": [lesson], "targets": [target]})
        for rate in _RATES
    }
    return min(_RATES, key=lambda rate: (not tried[rate]["reached"], tried[rate]["seconds"]))


def _together(
    bench: _Bench, taught: list[list[str]], targets: dict[int, float], rate: float, quick: bool
) -> dict[str, dict[str, Any]]:
    """Five edits of one passage at once, and fifteen (the five from three seeds), each to its own target."""
    if quick:
        return {}
    done = {}
    for name, lessons_ in (("ours_5", taught[:5]), ("ours_15", taught[:5] * 3)):
        aims = [targets[number % 5] for number in range(len(lessons_))]
        done[name] = bench.do(name, {**_OURS, "rate": rate, "lessons": lessons_, "targets": aims})
    return done


def _searched(bench: _Bench, data: Path, taught: list[list[str]], rate: float) -> list[dict[str, Any]]:
    """For each passage: what successive halving among its five edits saves, and what it loses against the full search."""
    passages = json.loads((data / "passages.json").read_text("utf-8"))
    job = {**_OURS, "does": "search", "rate": rate, "epochs": 9}
    found = []
    for number in range(len(taught) // 5):
        pairs = [(q["question"], q["answer"]) for q in passages[number]["questions"]]
        done = bench.do(f"search-{number}", {**job, "lessons": taught[5 * number : 5 * number + 5], "pairs": pairs})
        saved = 1 - done["halved"]["tokens"] / done["full"]["tokens"]
        found.append(
            {"passage": number, "regret_nats": done["regret"], "tokens_saved": saved, "chosen": done["chosen"]}
        )
    return found


def _ladder(bench: _Bench, taught: list[list[str]], rate: float, quick: bool) -> list[dict[str, Any]]:
    """Tokens per second of one candidate with our techniques switched on one after another, then of five at once."""
    job = {**_OURS, "rate": rate, "targets": [0.0], "epochs": 2 if quick else 4}
    rungs = []
    for name, without in _LADDER[:: 3 if quick else 1]:
        done = bench.do(f"ladder-{name}", {**job, "lessons": taught[:1], "without": list(without)})
        rungs.append(_rung(name, done))
    done = bench.do("ladder-five", {**job, "lessons": taught[:5], "targets": [0.0] * 5})
    return [*rungs, _rung("five candidates", done)]


def _rung(name: str, done: dict[str, Any]) -> dict[str, Any]:
    return {
        "rung": name,
        "tokens_per_second": done["tokens"] / done["seconds"],
        "flops": done["flops"] / done["seconds"],
        "peak_mb": done["peak_mb"],
    }


def _generated(bench: _Bench, passage: str, quick: bool) -> dict[str, list[float]]:
    """Tokens per second: sixteen samples of one passage (four, one by one) and a single stream, `generate` and ours."""
    prompt = f"{passage}\n\nImplications of the passage:\n1."
    job = {"does": "generate", "prompt": prompt, "length": _LENGTH, "batch": 1}
    kinds: dict[str, dict[str, Any]] = {
        "batch_generate": {"with": "generate", "count": 4, "temperature": 1.0},
        "batch_naive": {"with": "generate", "count": 16, "temperature": 1.0, "batch": 16},
        "batch_ours": {"with": "ours", "count": 16, "temperature": 1.0},
        "single_generate": {"with": "generate", "count": 1, "temperature": 0.0},
        "single_ours": {"with": "ours", "count": 1, "temperature": 0.0},
        "five_ours": {"with": "ours", "count": 5, "temperature": 0.0},
    }
    if quick:
        kinds = {name: kind for name, kind in kinds.items() if name not in ("batch_naive", "five_ours")}
    found: dict[str, list[float]] = {name: [] for name in kinds}
    for turn in range(1 if quick else 3):
        for name in list(kinds) if turn % 2 == 0 else list(kinds)[::-1]:
            done = bench.do(f"generate-{name}-{turn}", {**job, **kinds[name]})
            found[name].append(done["tokens"] / done["seconds"])
    return found


def _ratio(slow: Sequence[float], quick: Sequence[float], seed: int = 0) -> dict[str, Any]:
    """
    How many times faster: mean of *slow* over mean of *quick*, which are of the same lessons or turns, with a bootstrap 95 %
    interval over these.
    """
    draw, pairs = random.Random(seed), list(zip(slow, quick, strict=True))

    def value(of: Sequence[tuple[float, float]]) -> float:
        return sum(one for one, _ in of) / sum(other for _, other in of)

    if len(pairs) < 3:
        return {"value": value(pairs), "low": None, "high": None, "n": len(pairs)}
    many = sorted(value(draw.choices(pairs, k=len(pairs))) for _ in range(2000))
    return {"value": value(pairs), "low": many[49], "high": many[1949], "n": len(pairs)}


def _result(
    times: dict[str, list[dict[str, Any]]],
    together: dict[str, dict[str, Any]],
    ladder: list[dict[str, Any]],
    generated: dict[str, list[float]],
    peak: float,
    seal: dict[str, Any],
    rates: dict[str, float],
    targets: dict[int, float],
    epochs: int,
    seed: int,
) -> dict[str, Any]:
    seconds = {name: [one["seconds"] for one in of] for name, of in times.items()}
    reached = {name: all(one["reached"] for one in of) for name, of in times.items()}
    rival = min(
        (name for name in _TRAINERS if name in times), key=lambda n: (not reached[n], statistics.fmean(seconds[n]))
    )
    ours = seconds["ours_1"]
    # SEAL runs one row a step, here until the same epochs; two of its steps were timed, the rest is multiplied
    as_seal = [seal["seconds_per_step"] * seal["rows"] * epochs]
    pace = {name: statistics.fmean(of) for name, of in generated.items()}
    ratios = {
        "train_vs_trainer_b1": _ratio(seconds["trainer_b1"], ours, seed),
        "train_vs_best_rival": _ratio(seconds[rival], ours, seed),
        "train_vs_seal": _ratio(as_seal, ours[:1], seed),  # the lesson that SEAL's steps were timed on
        "generate_batch": _ratio(generated["batch_ours"], generated["batch_generate"], seed),
        "generate_single": _ratio(generated["single_ours"], generated["single_generate"], seed),
    }
    ratios["search_vs_naive"] = {"value": None, "low": None, "high": None, "n": 0, "computed": True}
    if "ours_5" in together:
        # nobody is asked: as many tokens at the pace of a single stream there, of five here; training by single lessons' means
        asked = 5 * _QUESTIONS * _ANSWER
        naive = 5 * statistics.fmean(seconds["trainer_b1"]) + asked / pace["single_generate"]
        ours_5 = together["ours_5"]["seconds"] + asked / pace["five_ours"]
        ratios["search_vs_naive"] |= {"value": naive / ours_5, "n": 1}
    contenders = [
        {
            "name": name,
            "rate": rates.get(name, rates["ours_1"]),
            "seconds": [one["seconds"] for one in of],
            "epochs": [one["epochs"] for one in of],
            "tokens_per_second": sum(one["tokens"] for one in of) / sum(one["seconds"] for one in of),
            "peak_mb": max(one["peak_mb"] for one in of),
            "reached": all(one["reached"] for one in of),
        }
        for name, of in {**times, **{name: [one] for name, one in together.items()}}.items()
    ]
    return {
        "ratios": ratios,
        "percent_of_peak": 100 * ladder[-1]["flops"] / peak,
        "peak_flops": peak,
        "best_rival": rival,
        "contenders": contenders,
        "ladder": ladder,
        "generation_tokens_per_second": pace,
        "seal_seconds_extrapolated": as_seal[0],
        "targets": targets,
        "n": len(ours),
        "seed": seed,
        "seeds": [seed],
    }


def told(result: dict[str, Any]) -> str:
    """The result as lines for people."""
    lines = [f"until the same loss, {result['n']} lessons:"]
    for one in result["contenders"]:
        took = statistics.fmean(one["seconds"])
        lines.append(
            f"   {one['name']:18} {took:7.1f} s  {one['tokens_per_second']:6.0f} tokens/s  {one['peak_mb']:6.0f} MB"
            f"{'' if one['reached'] else '   did not reach it'}"
        )
    for name, ratio in result["ratios"].items():
        if ratio["value"] is not None:
            spread = f" ({ratio['low']:.1f} to {ratio['high']:.1f})" if ratio["low"] is not None else ""
            how = ", computed from parts" if ratio.get("computed") else ""
            lines.append(f"{name}: {ratio['value']:.1f} times{spread}{how}")
    lines.append(
        "the ladder, tokens/s: " + ", ".join(f"{r['rung']} {r['tokens_per_second']:.0f}" for r in result["ladder"])
    )
    lines.append(
        f"{result['percent_of_peak']:.0f} % of the measured matmul peak ({result['peak_flops'] / 1e9:.0f} GFLOP/s)"
    )
    return "\n".join(lines)


def draw(result: dict[str, Any], picture: Path) -> None:
    """Seconds to the same loss by contender, and the ladder in tokens per second: one PNG."""
    with panels(picture, 2, (11, 3.2)) as (_, (left, right)):
        shown = [one for one in result["contenders"] if one["name"] not in ("ours_5", "ours_15")]
        names = [one["name"] for one in shown][::-1]
        means = [statistics.fmean(one["seconds"]) for one in shown][::-1]
        bars = left.barh(names, means, color=["#2a7" if name.startswith("ours") else "#bbb" for name in names])
        left.bar_label(bars, fmt="%.0f s", padding=2)
        left.set(title=f"One lesson until the same loss, n = {result['n']}", xlim=(0, 1.18 * max(means)))
        rungs = result["ladder"][::-1]
        bars = right.barh([r["rung"] for r in rungs], [r["tokens_per_second"] for r in rungs], color="#79b")
        right.bar_label(bars, fmt="%.0f", padding=2)
        right.set(
            title="Our techniques one after another, tokens/s",
            xlim=(0, 1.18 * max(r["tokens_per_second"] for r in rungs)),
        )
