"""
Which styles teach: a bandit over the menu, the cheap alternative to tuning the writer.

Promises: of each passage one edit is written; it is trained as it is and once more without each style, side by side, as many
rows in all each time, and asked the same held-out questions; a style leaves once edits without it earn more by more than
chance among passages, every look spending of the error; what stays is compared with the whole menu on passages that nobody
chose by. What is done is written down, so that a process that died goes on where it was.
Does not promise: the best menu. Styles that help no more than chance stay, and a style alone may do what none missed.

Source: elimination of arms as in Even-Dar et al. (JMLR 2006); plain rotation of styles beat SEAL's reinforcement (2603.22213).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from statistics import fmean

from seal_agent.editing.improving import Loop, Practice, grounds, held, rewarded
from seal_agent.judging.statistics import spent
from seal_agent.records import Menu, SelfEdit, StyleWorth, content_id

_WHOLE = ""  # the name of an edit from which no style is left out
_LEAST = 5  # passages looked at before a style may leave

Scores = dict[str, list[float]]
"""By the style left out, the reward of each question."""


@dataclass(frozen=True)
class Bandit:
    """The choice needs what a *loop* over the writer needs; what is tried is kept in its journal."""

    loop: Loop

    def play(self, lessons: Sequence[Practice]) -> Menu:
        """Look at one passage after another; what each style earned, and the styles that stay."""
        gains: dict[str, list[float]] = {}
        gone: list[str] = []
        chosen_by = [one for one in lessons if not held(one)]
        for look, one in enumerate(chosen_by, 1):
            self.loop.say("trying styles", look / len(chosen_by))
            scores = self._tried(one, gone, None)
            whole = scores.pop(_WHOLE, [])
            for style, without in scores.items():
                gains.setdefault(style, []).append(fmean(whole) - fmean(without))
            gone += self._leaving(gains, gone, look)
        worth = [
            StyleWorth(style=style, gain=fmean(of), n=len(of), kept=style not in gone)
            for style, of in sorted(gains.items())
            if of
        ]
        return self._compared(Menu(worth=worth), [one for one in lessons if held(one)], gone)

    def _leaving(self, gains: dict[str, list[float]], gone: Collection[str], look: int) -> list[str]:
        level = spent(look) / max(1, len(gains))
        staying = [style for style in gains if style not in gone]
        leaving = [
            style
            for style in staying
            if len(gains[style]) >= _LEAST and self.loop.test([-gain for gain in gains[style]]) < level
        ]
        return leaving if len(leaving) < len(staying) else []  # somebody must write

    def _compared(self, menu: Menu, lessons: Sequence[Practice], gone: Sequence[str]) -> Menu:
        """*menu* with how the whole and what stays of it do on *lessons* nobody chose by."""
        both = [self._tried(one, (), gone) for one in lessons] if gone else []
        pairs = [(fmean(scores[_WHOLE]), fmean(scores[",".join(gone)])) for scores in both]
        if not pairs:
            return menu
        whole, chosen = zip(*pairs, strict=True)
        p = self.loop.test([b - a for a, b in pairs])
        return menu.model_copy(update={"before": fmean(whole), "after": fmean(chosen), "n": len(pairs), "p": p})

    def _tried(self, one: Practice, gone: Collection[str], without: Sequence[str] | None) -> Scores:
        """An edit of a passage as it is, and without each of its styles, or without all of those in *without*."""
        loop = self.loop
        named = "each" if without is None else ",".join(without)
        rests_on = grounds(one, loop.learner, loop.basis, loop.seed)
        key = content_id("u", rests_on, ",".join(sorted(gone)), named)
        if (kept := loop.journal.tries.kept(key)) is None:
            rows = [row for row in loop.write(one.passage, None, loop.seed)[0] if row.style not in gone]
            # what stands verbatim in the source is on every menu: it is what is remembered
            styles = sorted({row.style for row in rows if row.origin != "verbatim" and not row.refused})
            left_out = {style: {style} for style in styles} if without is None else {named: set(without)}
            edits: dict[str, list[SelfEdit]] = {
                name: [row for row in rows if row.style not in out] for name, out in {_WHOLE: set(), **left_out}.items()
            }
            (scores,) = rewarded(loop.learner, [*edits.values()], [(loop.reward, one.questions)], loop.seed, level=True)
            kept = dict(zip(edits, scores, strict=True))
            loop.journal.tries.keep(key, one.passage.document, kept)
        return dict(kept)
