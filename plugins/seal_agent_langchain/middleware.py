"""
SealMiddleware: lets a LangChain agent learn from what it reads, and answer a whole run with one version.

Promises: nothing on the reply path but a look at what is new and a bounded queue (backlog.py; full: dropped and counted,
offered again next turn); a hook never raises; only text from outside is observed (outside.py), and none that was forgotten
before; of a thread that a checkpointer keeps, each message is read once, also after a restart; within a run the
version does not change, unless the model is wrapped (with_retry, with_fallbacks, configurable_fields).
Does not promise: that what waits in the queue survives the process. A document is committed once it is
observed; `flush` waits for that (do so before you close the agent), and at exit the process waits up to a
minute. Consolidation is yours to call. What users say is kept in the home, as any document is. A middleware that
removes messages (a summary takes their place) comes after this one in the list, or they are not read; one that redacts them
comes before it, or they are kept as they were.
Limits: LangChain does not call the hooks of a run that failed; what it read is observed after the thread's next run. What the
model wrote before a restart, or in a conversation that no checkpointer keeps, and a summary has taken away since, is not known
as its own. Of messages that are corrected in their place the last eight are read again.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, NotRequired

from langchain.agents.middleware import AgentMiddleware, AgentState, ModelRequest, ModelResponse
from langchain.agents.middleware.types import PrivateStateAttr
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import RunnableBinding
from langgraph.config import get_config
from langgraph.runtime import Runtime

from seal_agent.agent import SealAgent
from seal_agent.errors import ConfigError, SealError
from seal_agent.reading.sources import Refusal
from seal_agent.records import content_id
from seal_agent_langchain import outside
from seal_agent_langchain.backlog import Backlog
from seal_agent_langchain.chat_model import ChatSeal
from seal_agent_langchain.rendering import plain

log = logging.getLogger(__name__)

# Conversations that a checkpointer keeps, and of each the model's sentences, that are known again when they are out of sight.
_THREADS, _WROTE = 256, 1_000
_LAST = 8  # messages whose ids are kept: whoever has a reply made anew deletes the last ones first


class SealState(AgentState[Any]):
    """By its name, the version each SealMiddleware of the agent pinned for this run, and the last messages that it read."""

    seal_versions: NotRequired[Annotated[dict[str, int], PrivateStateAttr]]
    seal_read: NotRequired[Annotated[dict[str, list[str]], PrivateStateAttr]]


class SealMiddleware(AgentMiddleware[SealState, Any, Any]):
    """
    create_agent(…, middleware=[SealMiddleware(agent)])

    *learn_from*: "tool" (tool results), "human" (what users say), or both. *waiting*: how many may wait.
    """

    state_schema = SealState

    def __init__(
        self,
        agent: SealAgent,
        learn_from: Sequence[str] = outside.KINDS,
        *,
        name: str = "SealMiddleware",
        waiting: int = 256,
    ) -> None:
        super().__init__()
        if not isinstance(agent, SealAgent):  # hooks never raise: it would be told of at each turn, and nothing learned
            raise ConfigError(f"{agent!r} is no agent; give seal_agent.open(...)")
        kinds = (learn_from,) if isinstance(learn_from, str) else tuple(learn_from)
        if wrong := [kind for kind in kinds if kind not in outside.KINDS]:
            raise ConfigError(
                f"learn_from={wrong}: only {', '.join(outside.KINDS)} are possible; "
                "what the model said itself is never a source"
            )
        self.agent = agent
        self.learn_from = kinds
        self.tools = []
        self._named = name
        self._backlog = Backlog(agent, name, waiting)
        # by thread what the model wrote: a summary may take it out of sight
        self._wrote: OrderedDict[str, dict[str, None]] = OrderedDict()
        self._writing = threading.Lock()

    @property
    def name(self) -> str:
        """Two instances in one agent need two names."""
        return self._named

    @property
    def counts(self) -> dict[str, int]:
        """Documents by what became of them: a decision, "recalled", "forgotten", "dropped", "failed"; and "waiting"."""
        return self._backlog.counts

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all that was read is committed, or has failed (`counts`); False after *timeout* seconds."""
        return self._backlog.flush(timeout)

    # -- one version for a run

    def before_agent(self, state: SealState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Note which version is live now."""
        try:
            live = self.agent.journal.versions.live()
        except Exception as error:
            self._backlog.fail("the live version could not be read", error)
            return None
        return {"seal_versions": {**state.get("seal_versions", {}), self.name: live.number if live else 0}}

    async def abefore_agent(self, state: SealState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        return await asyncio.to_thread(self.before_agent, state, runtime)

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any] | AIMessage:
        """Answer with the version pinned for this run, if the model is this home's ChatSeal."""
        return handler(self._pinned(request))

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any] | AIMessage:
        # In a thread: the first call loads the model, which must not stop the event loop.
        return await handler(await asyncio.to_thread(self._pinned, request))

    def _pinned(self, request: ModelRequest[Any]) -> ModelRequest[Any]:
        try:
            return self._with_version(request)
        except Exception as error:  # the call itself will tell, unless a fallback answers
            log.warning("the version cannot be kept for this run: %s: %s", type(error).__name__, error)
            return request

    def _with_version(self, request: ModelRequest[Any]) -> ModelRequest[Any]:
        chat = _bare(request.model)
        number = dict(request.state).get("seal_versions", {}).get(self.name)  # type: ignore[attr-defined]
        if (
            not isinstance(chat, ChatSeal)
            or chat.version is not None
            or "model" in request.model_settings
            or number is None
        ):
            return request
        if chat.seal.home.resolve() != self.agent.home.resolve() or not _servable(chat, number):
            return request
        return request.override(
            model=_with_pin(request.model, number)
        )  # no setting: another model may be put in its place

    # -- learning

    def before_model(self, state: SealState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Put what is new into the queue, before a middleware that comes later makes a summary of it."""
        return self._read(state)

    async def abefore_model(self, state: SealState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        return await self._read_beside(state)

    def after_agent(self, state: SealState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Put what is new into the queue."""
        return self._read(state)

    async def aafter_agent(self, state: SealState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        return await self._read_beside(state)

    async def _read_beside(self, state: SealState) -> dict[str, Any] | None:
        try:
            return await asyncio.to_thread(self._read, state)
        except RuntimeError as error:  # the loop is being shut down
            self._backlog.fail("messages could not be read", error)
            return None

    def _read(self, state: SealState) -> dict[str, Any] | None:
        """Offer what came after the message that was read last in this thread; which that is now, if nothing was dropped."""
        try:
            messages, read = state["messages"], state.get("seal_read", {})
            places = {message.id: number for number, message in enumerate(messages, 1)}
            known = read.get(self.name, [])
            # a checkpoint of an earlier release names one
            known = [known] if isinstance(known, str) else known
            told = {message.id: _mark(message) for message in messages}
            marks = dict(map(_parted, known))
            edited = [places[key] - 1 for key, said in marks.items() if key in told and said not in ("", told[key])]
            since = min([max((places.get(key, 0) for key in marks), default=0), *edited])
            taken = self._offer_all(messages, since)
        except Exception as error:
            self._backlog.fail("messages could not be read", error)
            return None
        last = [f"{message.id} {_mark(message)}" for message in messages[-_LAST:] if message.id]
        return {"seal_read": {**read, self.name: last}} if last and taken else None

    def _offer_all(self, messages: Sequence[BaseMessage], since: int) -> bool:
        """Offer what failed before, and what is in *messages* from number *since* on; was nothing dropped?"""
        backlog = self._backlog
        taken = [backlog.offer_again()]
        limit = self.agent.settings.max_document_bytes
        thread = _thread()
        with self._writing:
            wrote = list(self._wrote.get(thread, ()))
        for found in outside.documents(messages, self.learn_from, limit, backlog.knows, since, wrote):
            if isinstance(found, Refusal):
                backlog.refuse(found)
            else:
                taken.append(backlog.offer(found))
        if thread:
            self._keep(thread, outside.own(messages[since:]))
        return all(taken)

    def _keep(self, thread: str, said: Sequence[str]) -> None:
        """Remember that the model *said* this in *thread*."""
        with self._writing:
            known = {**self._wrote.pop(thread, {}), **dict.fromkeys(said)}
            self._wrote[thread] = dict.fromkeys(list(known)[-_WROTE:])
            while len(self._wrote) > _THREADS:
                self._wrote.popitem(last=False)


def _parted(known: str) -> tuple[str, str]:
    """A message's id and what it said, "" where an earlier release read it."""
    found = re.fullmatch(r"(.*) (x[0-9a-f]{16,})", known, re.DOTALL)
    return (found[1], found[2]) if found else (known, "")


def _thread() -> str:
    """The conversation this run belongs to, or "" if no checkpointer keeps it."""
    try:
        return str(get_config().get("configurable", {}).get("thread_id", ""))
    except RuntimeError:  # outside of a run
        return ""


def _mark(message: BaseMessage) -> str:
    """What *message* says, as an id: who corrects it replaces it under the id it has."""
    return content_id("x", plain(message, named=""))


def _bare(model: Any) -> Any:
    """*model* without what was bound to it; as it is where that names the version."""
    while isinstance(model, RunnableBinding) and "model" not in model.kwargs:
        model = model.bound
    return model


def _with_pin(model: Any, number: int) -> Any:
    """*model*, a ChatSeal, with what was bound to it, answering with version *number*."""
    if isinstance(model, RunnableBinding):
        return model.model_copy(update={"bound": _with_pin(model.bound, number)})
    return model.pinned(number)


def _servable(chat: ChatSeal, number: int) -> bool:
    """Whether version *number* can still answer: it may have been forgotten since the run began."""
    try:
        chat.seal.chat([], number)  # without a question nothing is computed
    except SealError as error:
        log.warning("version %s cannot be kept for this run: %s", number, error)
        return False
    return True
