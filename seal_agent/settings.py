"""
Settings of a home: one flat record. The dial is `rehearsal`.

Read from seal.toml in the home if it is there. Unknown or impossible values are listed, all at once.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from seal_agent.errors import ConfigError


class Settings(BaseModel):
    """How a home learns. Sizes are rows unless a unit is named."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = "smollm2-135m"
    seed: int = Field(0, ge=-(2**31), lt=2**31)
    rank: int = Field(16, ge=1, le=256, description="of adapters that start from the base; others keep theirs")
    rehearsal: float = Field(2.0, ge=0, le=4, description="the dial: rehearsed rows for each new row")
    scope: bool = Field(True, description="what names nothing that was learned is answered by the base")
    best_of: int = Field(
        1, ge=1, le=16, description="edits tried of each document, each by a short training; the best enters the buffer"
    )
    consolidate_after: int = Field(200, ge=1, description="waiting rows that make a consolidation due")
    consolidate_age: float = Field(24.0, gt=0, description="hours after which any waiting row makes it due")
    max_document_bytes: int = Field(1_000_000, ge=1)
    styles: tuple[str, ...] = ()
    screens: tuple[str, ...] = ()
    writer: str = "base"
    decider: str = "novelty"
    learner: str = "lora"


def read(home: Path, **given: object) -> Settings:
    """seal.toml of *home*, with *given* values before it. ConfigError lists every problem."""
    file = home / "seal.toml"
    try:
        stored = tomllib.loads(file.read_text("utf-8-sig")) if file.exists() else {}
        return Settings(**{**stored, **{key: value for key, value in given.items() if value is not None}})
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not TOML: {error}") from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))} = {e['input']!r}: {e['msg']}" for e in error.errors())
        unknown = any(e["type"] == "extra_forbidden" for e in error.errors())
        known = f"; there are {', '.join(Settings.model_fields)}" if unknown else ""
        raise ConfigError(f"settings of {home} cannot work: {problems}{known}") from error
