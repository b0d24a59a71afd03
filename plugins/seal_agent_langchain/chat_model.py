"""
ChatSeal: the live version of a home as a LangChain chat model.

Promises: a cheap constructor and one engine for each home of a process; every reply names the version that
gave it, also to LangChain's cache, so that a consolidation never leaves old answers behind; no lock is held
between tokens.
Does not promise: free choice of tools. Tools may be bound and the reply is plain text: at 135M parameters
yes/no likelihoods do not separate prompts that need a tool from those that do not. A forced tool call is
refused when called.
Limits: unknown options (timeout, max_retries, api_key …) are accepted and have no meaning for a model in this
process; input tokens are counted without those that the chat template adds.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.chat_models import generate_from_stream
from langchain_core.language_models.model_profile import ModelProfile
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import ConfigDict, Field, PrivateAttr, model_validator

from seal_agent import agent as seal
from seal_agent import settings
from seal_agent.agent import SealAgent
from seal_agent.errors import ConfigError
from seal_agent.records import Version
from seal_agent_langchain.rendering import plain, turns

ALIAS = "seal"  # "seal@2", "seal@base": a call names a version without knowing the model
_WINDOWS = {"smollm2-135m": 8192}  # tokens; of other models the window is known only once they are loaded
_COLDEST = 1e-30  # what is colder would overflow, and is as greedy
_UNFORCED = (None, "auto", "none", False)

_engines: WeakValueDictionary[Path, SealAgent] = WeakValueDictionary()
# a ChatSeal may be made for each request; the model must not be loaded for each
_recent: deque[SealAgent] = deque(maxlen=4)
_opening = threading.Lock()


def engine(home: str | Path, model: str | None = None) -> SealAgent:
    """The agent of *home* that all ChatSeals of this process share, opened if need be."""
    if not str(home):
        raise ConfigError("'' names no folder for a home; the folder you are in is '.'")
    folder = Path(home).expanduser().resolve()
    with _opening:
        found = _engines.get(folder)
        if found is None or found.journal.closed:
            found = _engines[folder] = seal.open(folder, model)
        _assert_same(found, model)
        if found in _recent:
            _recent.remove(found)
        _recent.append(found)
        return found


def _assert_same(agent: SealAgent, model: str | None) -> None:
    if model is not None and model != agent.settings.model:
        raise ConfigError(f"{agent.home} is open with model {agent.settings.model!r}, not {model!r}; use another home")


@dataclass
class _Opened:
    """The agent of a *home* that was opened for a ChatSeal; who is pickled or copied with it finds it by the home."""

    home: str | Path | None = field(default=None, compare=False)
    agent: SealAgent | None = field(default=None, compare=False)

    def __reduce__(self) -> tuple[type[_Opened], tuple[()]]:
        return _Opened, ()


class ChatSeal(BaseChatModel):
    """
    A chat model that answers with what its home has learned: ChatSeal(agent=agent) or ChatSeal(home="…").

    *version* pins a version (0 is the untouched base); so may a call: `chat.invoke(…, model="seal@2")`.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    agent: SealAgent | None = Field(default=None, exclude=True, repr=False)
    home: str | Path | None = None
    model: str | None = None
    version: int | None = Field(default=None, ge=0)
    temperature: float = Field(default=0.0, ge=0)
    max_tokens: int | None = Field(default=None, ge=1)
    seed: int = 0
    stop: list[str] | None = None

    _opened: _Opened = PrivateAttr(default_factory=_Opened)
    _pin: int | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _one_home(self) -> ChatSeal:
        if (self.agent is None) == (self.home is None):
            raise ValueError("give either agent=seal_agent.open(…) or home='folder'")
        if self.agent is not None:
            _assert_same(self.agent, self.model)
        return self

    @property
    def seal(self) -> SealAgent:
        """The agent that answers, opened on first use."""
        if self.agent:
            return self.agent
        held = self._opened
        # a copy may have been given another home, and somebody may have closed it
        if held.home != self.home or held.agent is None or held.agent.journal.closed:
            self._opened = _Opened(self.home, engine(str(self.home), self.model))
        return self._opened.agent  # type: ignore[return-value]  # it was opened

    def pinned(self, number: int) -> ChatSeal:
        """
        The same, answering with version *number* for the length of a run: nobody named it, so what names nothing learned is still
        the base's to answer.
        """
        copy = self.model_copy()
        copy._pin = number
        return copy

    # -- replies

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        # told as a whole: nobody asked for its pieces
        return generate_from_stream(self._stream(messages, stop, **kwargs))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        if not (said := turns(messages)):
            raise ConfigError("there is no message to answer; give one, or a question")
        question = next((plain(message) for message in reversed(messages) if message.type == "human"), "")
        name, version, pieces = self._start(said, question, kwargs)
        reply = ""
        for piece in until(pieces, stop if stop is not None else self.stop):
            reply += piece
            yield _told(ChatGenerationChunk(message=AIMessageChunk(content=piece)), run_manager)
        last = AIMessageChunk(
            content="",
            usage_metadata=self._usage(said, reply),
            response_metadata={
                "model_name": name,
                "model_provider": ALIAS,
                "seal_version": version.number if version else 0,
                "seal_digest": version.digest if version else "",
            },
            chunk_position="last",
        )
        yield _told(ChatGenerationChunk(message=last), run_manager)

    def _start(
        self, said: Sequence[dict[str, str]], question: str, how: Mapping[str, Any]
    ) -> tuple[str, Version | None, Iterator[str]]:
        """The name to sign with, the version that answers, and the reply, piece by piece."""
        if how.get("tool_choice") not in _UNFORCED:
            raise NotImplementedError(
                f"{self._name} cannot be made to call a tool (tool_choice={how['tool_choice']!r}); "
                "it answers in plain text. Use tool_choice='auto' or a larger model for this step"
            )
        asked = how.get("model")
        pinned = asked is None and self._pin is not None
        number = self._pin if pinned else self.version if asked is None else self._number(asked)
        version, pieces = self.seal.chat(
            said, number, asked=question, scoped=True if pinned else None, **self._options(how)
        )
        answering, plainly = version.number if version else 0, asked is None or asked in (ALIAS, self._name)
        if not plainly and number == answering:
            return str(asked), version, pieces
        # what names nothing learned may have been left to the base, whatever version the call was to be answered by
        about = (asked or self._name) if plainly else str(asked).rpartition("@")[0]
        return f"{about}@{answering}", version, pieces

    def _options(self, how: Mapping[str, Any]) -> dict[str, Any]:
        """The options of a call, else those of the model. ConfigError lists those that cannot be followed."""
        given = {key: how.get(key) for key in ("max_tokens", "temperature", "seed")}
        chosen = {key: getattr(self, key) if value is None else value for key, value in given.items()}
        limit, heat, seed = chosen.values()
        wrong = []
        if limit is not None and not (isinstance(limit, int) and limit >= 1):
            wrong.append(f"max_tokens={limit!r}: a whole number, 1 or more")
        if not (isinstance(heat, (int, float)) and 0 <= heat < math.inf):
            wrong.append(f"temperature={heat!r}: a number, 0 or more")
        if not (isinstance(seed, int) and -(2**63) <= seed < 2**63):
            wrong.append(f"seed={seed!r}: a whole number of 64 bits")
        if wrong:
            raise ConfigError(f"options of a call that cannot be followed: {'; '.join(wrong)}")
        heat = heat if heat > _COLDEST else 0.0
        return {"temperature": heat, "seed": seed, **({"max_new_tokens": limit} if limit else {})}

    def _number(self, asked: object) -> int | None:
        """The version that a call's `model=` names: "seal@2", "…@base"; without "@" the usual one."""
        if not isinstance(asked, str):
            raise ConfigError(f"model={asked!r}: a name such as 'seal', 'seal@2' or 'seal@base' was expected")
        _, at, chosen = asked.rpartition("@")
        if asked in (ALIAS, self._name):
            return self.version
        if at and (chosen == "base" or chosen.isdecimal()):
            return 0 if chosen == "base" else int(chosen)
        raise ConfigError(
            f"no model {asked!r} here; known: {ALIAS!r} or {self._name!r}, "
            f"with a version as in '{ALIAS}@2', '{ALIAS}@base'"
        )

    def _usage(self, said: Sequence[dict[str, str]], reply: str) -> UsageMetadata:
        read = sum(self.seal.learner.count(turn["content"]) for turn in said)
        written = self.seal.learner.count(reply)
        return UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)

    def get_num_tokens(self, text: str) -> int:
        """Tokens in *text*, by the model's own tokenizer."""
        return self.seal.learner.count(text)

    def get_token_ids(self, text: str) -> list[int]:
        """Not given: LangChain's own would fetch another model's tokenizer from the hub."""
        raise NotImplementedError("a home's tokenizer counts only; call get_num_tokens")

    # -- tools

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The model with *tools* noted. It will not call them of its own accord; see the top of this file."""
        if tool_choice is not None:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    # -- what LangChain wants to know

    @property
    def _llm_type(self) -> str:
        return "seal-agent"

    @property
    def _name(self) -> str:
        return self.seal.settings.model

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        """
        Part of LangChain's cache key. All versions are in it, for a call may name any: no answer outlives a change of them, and
        what was forgotten is not answered from there.
        """
        return {
            "home": str(self.seal.home),
            "model": self._name,
            "version": self.version,
            "pin": self._pin,
            "versions": self.seal.journal.versions.standing(),
            "scope": self.seal.settings.scope,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "seed": self.seed,
            "stops": self.stop,  # LangChain puts the call's own in the place of "stop"
        }

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop if stop is not None else self.stop, **kwargs)
        params["ls_provider"] = ALIAS
        params["ls_model_name"] = kwargs.get("model") or self.model or self._name
        return params

    def _resolve_model_profile(self) -> ModelProfile | None:
        profile = ModelProfile(text_inputs=True, text_outputs=True, tool_calling=False, structured_output=False)
        with suppress(ConfigError):  # which is told when the home is opened
            home = Path(str(self.home)).expanduser()
            chosen = self.agent.settings if self.agent else settings.read(home, model=self.model)
            if chosen.model in _WINDOWS:
                profile["max_input_tokens"] = _WINDOWS[chosen.model]
        return profile


def until(pieces: Iterator[str], stops: Sequence[str] | None) -> Iterator[str]:
    """*pieces* up to the first stop string. What may be the beginning of one is held back meanwhile."""
    marks = [mark for mark in ([stops] if isinstance(stops, str) else stops or ()) if mark]
    held = ""
    try:
        for piece in pieces:
            held += piece
            if ends := [held.index(mark) for mark in marks if mark in held]:
                held = held[: min(ends)]
                break
            free = len(held) - _begun(held, marks)
            if free:
                yield held[:free]
                held = held[free:]
        if held:
            yield held
    finally:
        # A reply that is cut short ends here and now, not when someone collects the garbage.
        if close := getattr(pieces, "close", None):
            close()


def _begun(text: str, marks: Sequence[str]) -> int:
    """How many characters at the end of *text* may be the beginning of a mark."""
    return max((n for mark in marks for n in range(1, len(mark)) if text.endswith(mark[:n])), default=0)


def _told(chunk: ChatGenerationChunk, run_manager: CallbackManagerForLLMRun | None) -> ChatGenerationChunk:
    if run_manager:
        run_manager.on_llm_new_token(str(chunk.message.content), chunk=chunk)
    return chunk
