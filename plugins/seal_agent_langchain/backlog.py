"""
What a middleware has come upon and is to observe: a bounded queue, and the thread that reads it.

Promises: each text is offered once, one under a name again when the name says it again; a full queue drops, counts and says so;
what could not be observed is offered again; nothing that was forgotten before is observed, and nothing that was recalled; a
process that ends waits up to a minute for what waits here.
Does not promise: that what waits survives the process. A process that was forked learns nothing, and says so.
"""

from __future__ import annotations

import atexit
import concurrent.futures.thread  # noqa: F401 - see _before_exit
import logging
import math
import os
import queue
import threading
import time
import weakref
from collections import Counter, OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from seal_agent.agent import SealAgent
from seal_agent.reading.sources import Refusal
from seal_agent.records import Document, normalised
from seal_agent_langchain import outside

log = logging.getLogger(__name__)

_SEEN = 10_000  # documents of which this process knows that it offered them already
_IDLE = 5.0  # seconds without work after which the thread ends
_AT_EXIT = 60.0  # seconds a process that ends waits for what it has read: the model may have to be loaded first


class Backlog:
    """Documents for *agent*, at most *waiting* at a time; *name* is that of the middleware, for the log."""

    def __init__(self, agent: SealAgent, name: str, waiting: int) -> None:
        self.agent, self.name = agent, name
        self._queue: queue.Queue[tuple[str, Document]] = queue.Queue(max(1, waiting))
        self._seen: OrderedDict[str, str] = OrderedDict()  # by key the id of what was offered last under it
        self._counts: Counter[str] = Counter(
            dict.fromkeys(("edit", "skip", "hold", "recalled", "forgotten", "dropped", "failed"), 0)
        )
        self._told: tuple[str, set[str]] = "", set()  # every remembered sentence, and of which state of the journal
        self._again: dict[str, Document] = {}  # what could not be observed, to be offered again next turn
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self._process, self._ends = os.getpid(), math.inf
        _before_exit(_flush_at_exit, weakref.ref(self))

    @property
    def counts(self) -> dict[str, int]:
        """Documents by what became of them: a decision, "recalled", "forgotten", "dropped", "failed"; and "waiting"."""
        with self._guard:
            return {**self._counts, "waiting": self._queue.unfinished_tasks}

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all that was offered is committed, or has failed (`counts`); False after *timeout* seconds."""
        with self._queue.all_tasks_done:
            return self._queue.all_tasks_done.wait_for(lambda: not self._queue.unfinished_tasks, timeout)

    def offer_again(self) -> bool:
        """Offer what could not be observed; was there room for all of it? What there was none for is kept."""
        with self._guard:
            failed, self._again = self._again, {}
        left = {key: document for key, document in failed.items() if not self.offer(document)}
        with self._guard:
            self._again = {**left, **self._again}
        return not left

    def knows(self, document: Document) -> bool:
        """Was it offered before?"""
        with self._guard:
            known = self._seen.get(_key(document)) == document.id
            if known:
                self._seen.move_to_end(_key(document))
        return known

    def offer(self, document: Document) -> bool:
        """Is it in the queue, or was it? Each text is offered once, or its tellings would be miscounted."""
        key = _key(document)
        with self._guard:
            if self._seen.get(key) == document.id:  # two runs may have come upon it at the same time
                return True
            try:
                if os.getpid() != self._process:  # a fork has neither the thread nor a journal of its own
                    self._tell_once("it was made before this process was forked; open the agent in each worker")
                    raise queue.Full
                self._queue.put_nowait((key, document))
            except queue.Full:
                self._counts["dropped"] += 1
                return False
            self._see(key, document.id)
            if self._thread is None or not self._thread.is_alive():  # or it was killed
                self._thread = threading.Thread(target=self._drain, name=self.name, daemon=True)
                # Python 3.12 starts none once the main thread has ended: see _flush_at_exit
                with suppress(RuntimeError):
                    self._thread.start()
            return True

    def refuse(self, refusal: Refusal) -> None:
        """Count and tell of what cannot be read, once."""
        with self._guard:
            if self._tell_once(f"{refusal.name} cannot be read: {refusal.reason}"):
                self._counts["failed"] += 1

    def fail(self, what: str, error: Exception) -> None:
        """Count and tell of *what* went wrong."""
        self._count("failed")
        log.warning("%s: %s: %s: %s", self.name, what, type(error).__name__, error)

    def _tell_once(self, what: str) -> bool:
        """Log *what*; False if it was logged before. The caller holds the guard."""
        if what in self._seen:
            return False
        self._see(what, "")
        log.warning("%s: %s", self.name, what)
        return True

    def _see(self, key: str, said: str) -> None:
        self._seen[key] = said
        self._seen.move_to_end(key)
        while len(self._seen) > _SEEN:
            self._seen.popitem(last=False)

    def _drain(self, idle: float = _IDLE, ends: float = math.inf) -> None:
        while time.monotonic() < ends:
            try:
                key, document = self._queue.get(timeout=idle)
            except queue.Empty:
                with self._guard:
                    if self._queue.empty():
                        self._thread = None
                        return
                continue
            try:
                self._count(self._learn(document))
            except Exception as error:
                with self._guard:
                    self._seen.pop(key, None)
                    self._again[key] = document
                    if len(self._again) > self._queue.maxsize:
                        self._again.pop(next(iter(self._again)))
                self.fail(f"document {document.id} was not observed", error)
            finally:
                self._queue.task_done()

    def _learn(self, document: Document) -> str:
        journal = self.agent.journal
        if journal.recalled(document.id):
            return "recalled"
        if document.id in journal.forgotten() and not journal.document(document.id):
            return "forgotten"  # a conversation is handed over again and again; who wants it back observes it
        if (stands := journal.memories.fingerprint()) != self._told[0]:
            learned = journal.memories.all("learned")
            said = (text for m in learned for text in (m.completion, f"{m.title}: {m.completion}"))
            self._told = stands, set(map(normalised, said))
        if outside.remembered(document, self._told[1]):
            with journal.transaction():
                journal.event("recalled", id=document.id)
            return "recalled"
        return self.agent.observe(document).decision.action

    def _count(self, what: str) -> None:
        with self._guard:
            self._counts[what] += 1


def _key(document: Document) -> str:
    return f"{document.external_id or document.id} {document.source}"


def _before_exit(call: Callable[..., None], *given: Any) -> None:
    """
    *call* when the process ends: when its main thread has ended, for thread pools are closed then, those registered last first;
    and again when all other threads have.
    """
    atexit.register(call, *given)
    with suppress(AttributeError, RuntimeError):  # it is no public function, and refuses in a process that ends
        threading._register_atexit(call, *given)  # type: ignore[attr-defined]


def _flush_at_exit(backlog: weakref.ref[Backlog]) -> None:
    found = backlog()
    if not found or found._process != os.getpid():
        return
    found._ends = min(found._ends, time.monotonic() + _AT_EXIT)  # that long in all, however often it is called
    found.offer_again()  # what could not be observed may be by now
    if found._thread and not found._thread.is_alive():
        found._drain(0.0, found._ends)  # nobody else can
    if not found.flush(max(0.0, found._ends - time.monotonic())):
        log.warning("%s: %s documents were not observed before the end", found.name, found.counts["waiting"])
