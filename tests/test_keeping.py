"""What a bench has finished: whole or not there, and found again only by a run that would do the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from seal_agent.bench import keeping
from seal_agent.errors import ConfigError


def test_a_run_that_is_killed_while_it_writes_leaves_what_was_kept_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "part.json"
    keeping.write(kept, {"steps": 1})

    def died(file: Path, text: str, *how: object) -> None:
        file.write_bytes(text[: len(text) // 2].encode())
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", died)
        with pytest.raises(KeyboardInterrupt):
            keeping.write(kept, {"steps": 2})

    assert keeping.read(kept, {}) == {"steps": 1}
    keeping.write(kept, {"steps": 2})
    assert keeping.read(kept, {}) == {"steps": 2}
    assert [file.name for file in tmp_path.iterdir()] == ["part.json"]


def test_what_is_done_is_done_once_and_read_back_as_it_was_kept(tmp_path: Path) -> None:
    done: list[int] = []

    def do() -> tuple[int, int]:
        done.append(1)
        return 1, 2

    assert [keeping.once(tmp_path / "part.json", do) for _ in range(2)] == [[1, 2], [1, 2]]
    assert done == [1]
    assert keeping.read(tmp_path / "other.json", "nothing") == "nothing"


def test_no_bench_writes_what_it_keeps_in_another_way() -> None:
    """Written straight to its name, half a file stays when the run is killed, and breaks every later one."""
    rooms = [file for file in Path(keeping.__file__).parent.glob("*.py") if file.name != "keeping.py"]

    assert len(rooms) > 10
    assert [file.name for file in rooms if "write_text(json" in file.read_text()] == []


def test_a_name_is_that_of_the_model_and_of_all_a_result_depends_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The embedded model has one name, whether it is named or not; a folder is the same folder from wherever it is named."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").mkdir()
    names = [keeping.named("part", model, seed=seed) for model in (None, "a", "tiny") for seed in (0, 1)]

    assert len(set(names)) == 6
    assert all(name.startswith("part-") for name in names)
    assert keeping.named("part", "smollm2-135m", seed=0) == names[0]
    assert keeping.named("part", str(tmp_path / "tiny"), seed=0) == names[4]


def test_arms_are_those_that_were_named_each_once() -> None:
    known = ("full", "store", "seal")
    assert keeping.chosen(["seal", "full", "seal"], known) == ["seal", "full"]
    assert keeping.chosen([], known) == list(known)
    assert keeping.chosen([], known, usual=["store"]) == ["store"]
    with pytest.raises(ConfigError, match="no arm called gpt-5; there are full, store, seal"):
        keeping.chosen(["full", "gpt-5"], known)
