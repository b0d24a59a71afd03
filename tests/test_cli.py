"""Every command, as people and as programs call it: one JSON document, an exit code that means something."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from conftest import BARN, LIGHT, MILL, ORDERS, PROCESS, WHEN, Ran, Run

from seal_agent import agent as agents
from seal_agent import cli
from seal_agent.cli_show import drawable
from seal_agent.judging.quiz import practised
from seal_agent.testing import ADAPTER, NOTHING, FakeLearner, fake_agent
from seal_agent.wiring import Rooms

# -- reading


def test_observe_gives_a_receipt_for_everything_refusals_included(run: Run, notes: Path) -> None:
    ran = run("observe", notes, "--json")
    assert ran.code == 0
    receipts = ran.data["receipts"]
    assert [receipt["action"] for receipt in receipts] == ["edit", "skip", "edit"]
    assert receipts[1]["id"] == ""
    assert "no `text`" in receipts[1]["reason"]
    for receipt in receipts:
        assert {"id", "action", "reason", "numbers", "edits", "refused"} <= receipt.keys()


def test_observe_reads_standard_input(run: Run) -> None:
    lines = "".join(json.dumps({"text": document.text}) + "\n" for document in (MILL, ORDERS))
    ran = run("observe", "-", "--json", stdin=lines)
    assert [receipt["action"] for receipt in ran.data["receipts"]] == ["edit", "hold"]


def test_json_lines_is_one_receipt_a_line(run: Run, notes: Path) -> None:
    ran = run("observe", notes, "--json-lines")
    assert ran.code == 0
    assert [json.loads(line)["action"] for line in ran.out.splitlines()] == ["edit", "skip", "edit"]


def test_what_is_no_character_is_escaped(run: Run) -> None:
    """A file's name need not be UTF-8; what is printed is."""
    ran = run("observe", "caf\udce9.txt", "--json")
    assert ran.code == 1
    assert "caf\udce9.txt" in ran.data["error"]
    ran.out.encode()


def test_a_reader_that_has_gone_is_no_bug(tmp_path: Path) -> None:
    """`seal-agent status | head -0`: it exits with 1, and says nothing of it."""
    with subprocess.Popen(
        [sys.executable, "-c", PROCESS, "status", "--home", str(tmp_path / "home"), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        told = process.stderr.read()
    assert (process.returncode, told) == (1, "")


def test_a_line_is_flushed_when_its_document_is_committed(tmp_path: Path) -> None:
    """A reader of the lines may rely on them while the stream goes on, and after the process is killed."""
    home = tmp_path / "home"
    command = [sys.executable, "-c", PROCESS, "observe", "-", "--json-lines", "--home", str(home)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps({"text": MILL.text}) + "\n")
        process.stdin.flush()
        receipt = json.loads(process.stdout.readline())  # the input is still open
        process.kill()
    with fake_agent(home) as agent:
        assert agent.journal.receipt(receipt["id"])
        assert agent.verify() == []


def test_a_path_that_is_not_there_is_an_error_only_if_it_is_alone(run: Run, notes: Path, tmp_path: Path) -> None:
    alone = run("observe", tmp_path / "nowhere", "--json")
    assert alone.code == 1
    assert "no such file" in alone.data["error"]
    assert "no such file" in alone.err
    among = run("observe", tmp_path / "nowhere", notes / "mill.md", "--json")
    assert among.code == 0
    assert [receipt["action"] for receipt in among.data["receipts"]] == ["skip", "edit"]


def test_a_stream_that_breaks_tells_what_was_committed(run: Run) -> None:
    class Broken(io.BytesIO):
        def readline(self, size: int | None = -1, /) -> bytes:
            line = super().readline(size)
            if not line:
                raise OSError("the pipe burst")
            return line

    lines = json.dumps({"text": MILL.text}) + "\n"
    ran = run("observe", "-", "--json", stdin=Broken(lines.encode()))
    assert ran.code == 1
    assert "the pipe burst" in ran.data["error"]
    assert [receipt["id"] for receipt in ran.data["receipts"]] == [MILL.id]


def test_quarantine_lists_and_releases(run: Run) -> None:
    assert run("quarantine", "--json").data == {"receipts": [], "aside": []}
    run("observe", "-", stdin=ORDERS.text)
    held = run("quarantine", "--json").data["receipts"]
    assert [receipt["id"] for receipt in held] == [ORDERS.id]
    assert "earlier instructions" in held[0]["reason"]

    released = run("quarantine", "--release", ORDERS.id, "--json")

    assert released.code == 0
    assert released.data["receipts"][0]["action"] != "hold"
    assert run("quarantine", "--json").data == {"receipts": [], "aside": []}
    assert run("quarantine", "--release", ORDERS.id).code == 1


# -- learning


def test_consolidate_has_an_outcome_whatever_it_is(run: Run, notes: Path, learner: FakeLearner) -> None:
    nothing = run("consolidate", "--json")
    assert (nothing.code, nothing.data["outcome"], nothing.data["report"]) == (0, "nothing", None)
    run("observe", notes / "mill.md")
    learner.learns = False
    rejected = run("consolidate", "--json")
    assert (rejected.code, rejected.data["outcome"], rejected.data["version"]) == (0, "rejected", 0)
    learner.learns = True
    accepted = run("consolidate", "--json")
    assert (accepted.code, accepted.data["outcome"], accepted.data["version"]) == (0, "accepted", 2)
    assert accepted.data["report"]["findings"]


def test_a_consolidation_that_breaks_is_an_error(run: Run, notes: Path, learner: FakeLearner) -> None:
    run("observe", notes / "mill.md")
    learner.finite = False
    ran = run("consolidate", "--json")
    assert ran.code == 1
    assert "not finite" in ran.data["error"]


@pytest.mark.parametrize(
    "command", [("demo",), ("bench", "decide"), ("bench", "stream"), ("bench", "gate"), ("status",)]
)
def test_an_empty_name_is_no_home(command: tuple[str, ...], run: Run) -> None:
    """It is a variable that was not set."""
    ran = run(*command, "--home", "", "--json")

    assert ran.code == 2
    assert "is no folder for a home" in ran.data["error"]


# -- answering


def test_an_answer_names_its_version(run: Run, notes: Path) -> None:
    fresh = run("ask", WHEN, "--json")
    assert (fresh.code, fresh.data["answer"], fresh.data["version"]) == (0, NOTHING, 0)
    run("observe", notes / "mill.md")
    run("consolidate")
    live = run("ask", WHEN, "--json").data
    assert "1871" in live["answer"]
    assert live["version"] == 1
    assert len(live["digest"]) == 64
    assert live["sources"]
    assert run("ask", WHEN, "--version", "base", "--json").data["version"] == 0
    assert "version 1" in run("ask", WHEN).out


def test_a_version_that_is_none_is_bad_usage_and_one_that_is_missing_an_error(run: Run) -> None:
    assert run("ask", WHEN, "--version", "latest").code == 2
    missing = run("ask", WHEN, "--version", "7", "--json")
    assert missing.code == 1
    assert "no version 7" in missing.data["error"]


def test_a_quiz_grades_and_shows_every_row(run: Run, notes: Path, questions: Path) -> None:
    base = run("quiz", questions, "--json").data
    assert (base["n"], base["correct"], base["version"]) == (2, 0, 0)
    open_book = run("quiz", questions, "--open-book", "--json").data
    assert open_book["rows"][0]["correct"]
    run("observe", notes / "mill.md")
    run("consolidate")
    live = run("quiz", questions, "--json").data
    assert (live["correct"], live["accuracy"], live["version"]) == (1, 0.5, 1)
    assert 0 < live["f1"] < 1
    assert live["rows"][0] == {
        "question": WHEN,
        "gold": "1871",
        "answer": "Alder Mill: 1871. Alder Mill opened in 1871 beside the river Tarn.",
        "correct": True,
    }
    assert run("quiz", questions, "--version", "base", "--json").data["correct"] == 0
    assert run("quiz", questions, "--topic", "--json").data["topic"] is True
    assert "1 of 2 right" in run("quiz", questions).out


def test_a_quiz_may_be_official_squad(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "squad.json"
    asked = [
        {"question": "Who built it?", "answers": [{"text": "Brandt"}, {"text": "Josef Brandt"}]},
        {"question": "Who painted it?", "answers": [], "is_impossible": True},
    ]
    paragraphs = [{"context": "Josef Brandt built it.", "qas": asked}]
    file.write_text(json.dumps({"data": [{"title": "Mill", "paragraphs": paragraphs}]}))
    said = run("quiz", file, "--open-book", "--json").data
    assert (said["n"], said["correct"], said["rows"][0]["gold"]) == (1, 1, "Brandt")


def test_a_quiz_may_begin_with_a_byte_order_mark(run: Run, questions: Path) -> None:
    questions.write_bytes(b"\xef\xbb\xbf" + questions.read_bytes())
    assert run("quiz", questions, "--json").data["n"] == 2


@pytest.mark.parametrize("paragraphs", [None, 3, "text"])
def test_a_file_without_passages_is_no_practice(run: Run, tmp_path: Path, paragraphs: object) -> None:
    file = tmp_path / "odd.json"
    file.write_text(json.dumps([{"title": "T", "paragraphs": paragraphs}]))
    ran = run("improve", file, "--json")
    assert (ran.code, "entry 1" in ran.data["error"]) == (1, True)


@pytest.mark.parametrize("text", ["{", "[]", "[1]", '[{"context": "x"}]', '[{"questions": [{"answer": "x"}]}]'])
def test_a_file_that_is_no_quiz_is_an_error_with_the_reason(run: Run, tmp_path: Path, text: str) -> None:
    file = tmp_path / "odd.json"
    file.write_text(text)
    ran = run("quiz", file, "--json")
    assert ran.code == 1
    assert ran.data["error"]


# -- looking back


def test_looking_back(run: Run, notes: Path, learner: FakeLearner) -> None:
    assert run("versions", "--json").data == []
    run("observe", notes / "mill.md")
    learner.learns = False
    run("consolidate")
    learner.learns = True
    run("consolidate")

    status = run("status", "--json").data
    assert status["documents"] == {"total": 1, "edited": 1, "skipped": 0, "held": 0}
    assert (status["live"], status["versions"], status["waiting"]) == (2, 2, 0)
    assert status["memories"] > 0
    listed = run("versions", "--json").data
    assert [(v["number"], v["parent"], v["status"]) for v in listed] == [(1, 0, "rejected"), (2, 0, "live")]
    assert all({"id", "created", "report"} <= version.keys() for version in listed)
    assert run("show", "1", "--json").data["report"]["outcome"] == "rejected"
    shown = run("show", "2").out
    assert all(word in shown for word in ("new facts", "verdict", "pass", "training tokens", "verbatim"))
    assert run("show", "base").code == 0
    assert run("show", "9").code == 1


def test_rows_refused_twice_are_shown_with_the_reason(run: Run, notes: Path, learner: FakeLearner) -> None:
    run("observe", notes / "mill.md")
    learner.learns = False
    for _ in range(2):
        run("consolidate")
    aside = run("quarantine", "--json").data["aside"]
    assert len(aside) == run("status", "--json").data["aside"] > 0
    assert {row["reason"] for row in aside} == {"version 2 was rejected"}
    shown = run("quarantine").out
    assert "nothing is held" in shown
    assert "Alder Mill" in shown


def test_rollback_returns_and_says_where_to(run: Run, notes: Path) -> None:
    assert run("rollback").code == 1  # there is nothing to leave
    run("observe", notes / "mill.md")
    run("consolidate")
    assert run("rollback", "--json").data == {"live": 0}
    assert run("ask", WHEN, "--json").data["version"] == 0
    assert run("rollback", "1", "--json").data == {"live": 1}
    assert run("rollback", "base", "--json").data == {"live": 0}
    assert run("rollback", "5").code == 1


def test_diff_names_the_answers_that_changed_and_bisect_the_version_that_did_it(run: Run, notes: Path) -> None:
    for name in ("mill.md", "light.jsonl"):
        run("observe", notes / name)
        run("consolidate")

    changed = run("diff", "base", "1", "--json").data
    assert changed["gained"] > 0
    assert changed["lost"] == 0
    assert all(row["before"] != row["after"] for row in changed["changed"])
    assert run("diff", "1", "1", "--json").data["changed"] == []
    assert run("diff", "1", "9").code == 1

    found = run("bisect", WHEN, "--json").data
    assert (found["version"], found["before"]) == (1, NOTHING)
    assert "1871" in found["after"]
    assert len(found["documents"]) == 1
    assert run("bisect", "What is the capital of Peru?", "--json").data["version"] == 0
    assert run("bisect", " ").code == 1


def test_diff_asks_what_the_compared_versions_learned_whichever_is_live(run: Run, notes: Path) -> None:
    for name in ("mill.md", "light.jsonl"):
        run("observe", notes / name)
        run("consolidate")
    gained = [run("diff", *pair, "--json").data["gained"] for pair in (("1", "2"), ("base", "2"))]
    run("rollback", "base")
    assert [run("diff", *pair, "--json").data["gained"] for pair in (("1", "2"), ("base", "2"))] == gained
    assert min(gained) > 0


def test_bisect_passes_over_a_damaged_version(run: Run, notes: Path, learner: FakeLearner) -> None:
    """The base and those that are whole are enough to tell."""
    for document in (MILL, LIGHT, BARN):
        (notes / "one.md").write_text(f"# {document.title}\n\n{document.text}")
        run("observe", notes / "one.md")
        assert run("consolidate", "--json").data["outcome"] == "accepted"
    second = run("versions", "--json").data[1]
    with (Path(second["path"]) / ADAPTER).open("ab") as file:
        file.write(b" ")

    assert run("bisect", "Who raised Quill Barn in 1822?", "--json").data["version"] == 3


def test_bisect_explains_the_answer_that_ask_gives(run: Run, notes: Path, learner: FakeLearner) -> None:
    """A named version answers everything; people get the base's answer where nothing learned is named."""
    run("observe", notes / "mill.md")
    run("consolidate")
    learner.recite = lambda conversations, *how: [[] for _ in conversations]  # type: ignore[method-assign]
    found = run("bisect", WHEN, "--json").data
    assert run("ask", WHEN, "--json").data["version"] == 0
    assert (found["version"], found["after"], found["documents"]) == (0, NOTHING, [])


def test_why_names_the_taught_sentence_and_the_consolidation_that_learned_it(run: Run, notes: Path) -> None:
    for name in ("light.jsonl", "mill.md"):
        run("observe", notes / name)
        run("consolidate")
    found = run("why", WHEN, "--json").data
    assert "1871" in found["answer"]
    first = found["documents"][0]
    assert first["document"] in run("ask", WHEN, "--json").data["sources"]
    assert (first["title"], first["version"]) == ("Alder Mill", 2)
    assert "1871" in first["sentence"]
    assert run("why", "What is the capital of Peru?", "--json").data["documents"] == []
    assert run("why", "").code == 1


def test_verify_finds_a_changed_adapter(run: Run, notes: Path, tmp_path: Path) -> None:
    run("observe", notes / "mill.md")
    run("consolidate")
    assert run("verify", "--json").data == {"problems": []}
    adapter = next((tmp_path / "home" / "adapters").glob(f"*/{ADAPTER}"))
    adapter.write_bytes(adapter.read_bytes() + b" ")
    ran = run("verify", "--json")
    assert ran.code == 1
    assert "has changed" in ran.data["problems"][0]
    assert "has changed" in ran.err


def test_doctor_names_what_is_missing(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cli, "_device", lambda: {"device": "cpu", "dtype": "float32"})
    ran = run("doctor", "--json")
    assert ran.code == 1
    assert "seal-agent fetch" in ran.data["error"]
    assert ran.data["lock"] == "free"
    for name in ("smollm2-135m", "all-minilm-l6-v2"):
        (tmp_path / "cache" / name).mkdir(parents=True)
        (tmp_path / "cache" / name / "config.json").write_text("{}")
    well = run("doctor", "--json")
    assert (well.code, well.data["problems"]) == (0, [])
    assert {"torch", "transformers", "peft", "chromadb", "device", "dtype", "cache"} <= well.data.keys()
    odd = run("doctor", "--model", tmp_path / "nowhere", "--json")
    assert (odd.code, odd.data["models present"]) == (1, False)
    assert "nowhere" in odd.data["error"]


# -- beginning


def test_fetch_says_where_the_models_are(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from seal_agent.learning import embedded

    def fetched(say: Callable[[str], None]) -> list[Path]:
        say("downloading")
        return [tmp_path / "model"]

    monkeypatch.setattr(embedded, "fetch", fetched)
    ran = run("fetch", "--json")
    assert ran.data == {"folders": [str(tmp_path / "model")]}
    assert "downloading" in ran.err
    assert run("fetch", "--model", "gpt2").code == 1


@pytest.mark.parametrize("picture", ["file/figures.png", "figures.txt"])
def test_a_picture_that_cannot_be_drawn_is_refused_before_anything_is_measured(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, picture: str
) -> None:
    from seal_agent.bench import demo

    monkeypatch.setattr(demo, "run", lambda *given, **arm: pytest.fail("it was measured"))
    (tmp_path / "file").write_text("in the way")

    assert run("demo", "--json", "--picture", tmp_path / picture).code == 2


def test_a_picture_may_lie_in_a_new_folder(tmp_path: Path) -> None:
    drawable(tmp_path / "new" / "figures.png")

    assert (tmp_path / "new").is_dir()


def test_demo_wants_a_home_of_its_own(run: Run, notes: Path) -> None:
    """In one that knows the documents nothing is learned, and its figures would be those of a perfect memory."""
    run("observe", notes)
    ran = run("demo", "--home", os.environ["SEAL_HOME"], "--json")
    assert ran.code == 1
    assert "needs a new --home" in ran.data["error"]


def test_demo_prints_what_it_measured(run: Run, tmp_path: Path) -> None:
    ran = run("demo", "--seed", "3", "--json", "--picture", tmp_path / "figures.png")
    assert ran.code == 0
    assert (tmp_path / "figures.png").stat().st_size > 5000
    assert ran.data["recall"]["before"] <= ran.data["recall"]["after"]
    assert ran.data["seed"] == 3
    assert not (tmp_path / "home").exists()  # a temporary home, whatever $SEAL_HOME says


# -- manners


def test_every_command_takes_a_home_a_model_and_json() -> None:
    """The benches too; one script can call them all the same way."""
    commands = dict(typer.main.get_command(cli.app).commands)  # type: ignore[attr-defined]
    commands |= {f"bench {name}": one for name, one in commands.pop("bench").commands.items()}

    assert len(commands) > 25
    for name, command in commands.items():
        options = {option for parameter in command.params for option in parameter.opts}
        assert {"--home", "--model", "--json"} <= options, name


def test_a_bench_measures_the_model_of_the_home_it_is_given(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless another is named."""
    from seal_agent.bench import superseding

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "seal.toml").write_text('model = "tiny"\n')
    monkeypatch.setattr(superseding, "run", lambda out, n, arms, model, *say: {"model": model, "arms": {}})

    given = [[], ["--home", tmp_path / "mine"], ["--home", tmp_path / "mine", "--model", "other"]]
    assert [run("bench", "supersede", *how, "--json").data["model"] for how in given] == [None, "tiny", "other"]


@pytest.mark.parametrize(
    "arguments",
    [[], ["learn"], ["ask"], ["observe"], ["status", "--colour"], ["observe", "x", "--json-lines"], ["quiz"]],
)
def test_bad_usage_is_2_with_the_reason(run: Run, arguments: list[str]) -> None:
    ran = run(*arguments, "--json")
    assert ran.code == 2
    assert ran.data["error"] in ran.err


def test_help_is_no_error(run: Run) -> None:
    ran = run("--help")
    assert ran.code == 0
    assert all(name in ran.out for name in ("observe", "consolidate", "watch", "quiz", "rollback", "doctor"))
    assert run("observe", "--help").code == 0


def test_settings_that_cannot_work_are_an_error(run: Run, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "seal.toml").write_text("rank = 0\n")
    ran = run("status", "--json")
    assert ran.code == 1
    assert "rank" in ran.data["error"]
    (tmp_path / "home" / "seal.toml").write_bytes('model = "é"'.encode("latin-1"))
    assert "is not TOML" in run("status", "--json").data["error"]


def test_a_path_and_a_version_that_cannot_be_are_refused(run: Run) -> None:
    assert run("observe", "").code == run("show", "9" * 20).code == 2


def test_what_a_library_prints_does_not_spoil_the_document(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def chatty(self: agents.SealAgent) -> dict[str, Any]:
        print("loading shards")
        return {"waiting": float("nan")}

    monkeypatch.setattr(agents.SealAgent, "status", chatty)
    ran = run("status", "--json")
    assert ran.data == {"waiting": None}
    assert "loading shards" in ran.err


def test_an_error_nobody_foresaw_still_has_a_reason_and_a_code(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: agents.SealAgent) -> dict[str, Any]:
        raise ZeroDivisionError("by design")

    monkeypatch.setattr(agents.SealAgent, "status", broken)
    ran = run("status", "--json")
    assert ran.code == 1
    assert ran.data == {"error": "ZeroDivisionError: by design"}
    assert "Traceback" in ran.err


def test_a_home_that_is_busy_is_an_error_that_names_the_holder(run: Run, notes: Path, tmp_path: Path) -> None:
    from seal_agent.journal import HomeLock

    run("observe", notes / "mill.md")
    with HomeLock(tmp_path / "home"):
        ran = run("consolidate", "--json")
    assert ran.code == 1
    assert str(os.getpid()) in ran.data["error"]


def test_the_tables_show_text_as_it_is(run: Run) -> None:
    marked = "Pell [bold]Weir was built by [red]Orla Finn in 1802."
    ran = run("observe", "-", stdin=json.dumps({"text": marked, "title": "[bold]Pell"}))
    assert "[bold]Pell" in ran.out


def test_the_tables_cut_no_id_and_no_path_off(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`forget` wants the whole id."""
    monkeypatch.setenv("COLUMNS", "50")
    path = tmp_path / ("long " * 12) / "none.txt"
    ran = run("observe", "-", path, stdin=json.dumps({"text": "Pell Weir was built by Orla Finn in 1802."}))

    shown = "".join(ran.out.split()).replace("│", "").replace("┃", "")
    assert "…" not in ran.out
    assert path.name in shown


def test_no_progress_bar_is_left_running(run: Run, notes: Path) -> None:
    run("observe", notes)
    assert run("consolidate").code == 0
    for thread in threading.enumerate():
        if type(thread).__module__.startswith("rich."):
            thread.join(10)  # one that was told to stop is on its way
            assert not thread.is_alive()


def test_improve_tells_what_became_of_each_round(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "practice.json"
    file.write_text(json.dumps([{"title": LIGHT.title, "context": LIGHT.text}]))

    done = run("improve", file, "--rounds", 1, "--samples", 2, "--json")

    assert done.code == 0
    assert [report["outcome"] for report in done.data["rounds"]] == ["undecided"]
    assert (done.data["writer"], done.data["documents"]) == (0, [LIGHT.id])
    assert run("improve", file, "--styles", "--json").data["documents"] == [LIGHT.id]
    assert run("improve", tmp_path / "nowhere.json", "--json").code == 1


def interrupted(run: Run, monkeypatch: pytest.MonkeyPatch, part: str, *command: str) -> Ran:
    def stops(*given: Any, **how: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(FakeLearner, part, stops)
    return run(*command, "--json")


def test_ctrl_c_is_an_error_that_says_what_is_kept(
    run: Run, notes: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As any other error: with a document, and 1."""
    run("observe", str(notes))
    said = interrupted(run, monkeypatch, "train", "consolidate")
    assert (said.code, said.data) == (1, {"error": "interrupted; what was acknowledged is kept"})
    new = tmp_path / "new.md"
    new.write_text(LIGHT.text.replace("green", "white"))
    said = interrupted(run, monkeypatch, "score", "observe", str(notes), str(new))
    assert said.code == 1
    assert said.data["receipts"]
    assert said.data["error"].startswith("interrupted; what was acknowledged is kept: ")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_what_cannot_be_told_is_done_all_the_same_and_what_cannot_be_answered_is_an_error(tmp_path: Path) -> None:
    def ran(*command: str, **pipes: Any) -> subprocess.CompletedProcess[bytes]:
        environment = {**os.environ, "SEAL_HOME": str(tmp_path / "home")}
        line = [sys.executable, "-c", PROCESS, *command, "--json"]
        return subprocess.run(line, env=environment, check=False, **{"stdout": subprocess.PIPE, **pipes})

    note = tmp_path / "a.md"
    note.write_text(f"# {MILL.title}\n\n{MILL.text}")
    with Path("/dev/full").open("wb") as full:
        assert ran("observe", str(note), stderr=full).returncode == 0
        told = ran("consolidate", stderr=full)
        assert (told.returncode, json.loads(told.stdout)["outcome"]) == (0, "accepted")
        told = ran("status", stdout=full, stderr=subprocess.PIPE)
        assert told.returncode == 1
        assert told.stderr.startswith(b"seal-agent: the answer could not be written: ")
        assert b"Traceback" not in told.stderr


def test_json_for_a_terminal_that_knows_ascii_only_is_still_json(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "__stdout__", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    said = run("observe", str(tmp_path / "é.md"), "--json")
    assert said.out.isascii()
    assert "é.md" in said.data["error"]


def test_a_file_that_cannot_be_read_is_an_error_only_if_it_is_alone(run: Run, notes: Path, tmp_path: Path) -> None:
    scan = tmp_path / "scan.md"
    scan.write_bytes(b"\xff\xfe\x00")
    alone, beside = (run("observe", *paths, "--json") for paths in ([str(scan)], [str(scan), str(notes)]))
    assert (alone.code, beside.code) == (1, 0)
    assert "nothing could be read: refused: it looks like UTF-16" in alone.data["error"]
    assert alone.data["receipts"]


def test_an_empty_id_releases_nothing_and_a_closed_input_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("quarantine", "--release", "", "--json").code == 1
    monkeypatch.setattr(sys, "stdin", None)
    assert [found.reason for found in cli._found(["-"], 100)] == ["it is closed"]


def test_a_question_that_is_empty_or_no_valid_unicode_is_refused(run: Run) -> None:
    for command in ("ask", "why"):
        assert "is not valid Unicode" in run(command, "h\udcffi", "--json").data["error"]
    assert "question 1 of 1 is empty" in run("ask", " ", "--json").data["error"]


def test_answers_as_hugging_face_has_them_are_all_taken(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "squad.json"
    answers = {"text": ["1871", "the year 1871"], "answer_start": [3, 3]}
    row = {"title": "T", "context": "C", "questions": [{"question": WHEN, "answers": answers}]}
    file.write_text(json.dumps([row]))
    assert run("quiz", str(file), "--json").data["rows"][0]["gold"] == "1871"


def test_every_part_that_is_not_installed_is_named_and_a_home_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(cli.SealError, match=r"no styles called nope.*no decider called 'dd'.*no writer called 'ww'"):
        agents.open(tmp_path / "home", styles=["nope"], decider="dd", writer="ww")
    (tmp_path / "file").write_text("")
    for place in ("file", "file/below"):
        with pytest.raises(cli.SealError, match="cannot be the folder of a home"):
            agents.open(tmp_path / place)


def test_a_list_without_a_document_is_refused(run: Run, tmp_path: Path) -> None:
    with fake_agent(tmp_path / "h") as agent:
        empty: Any = []
        assert agent.observe(empty).decision.reason == "refused: it holds no document"


def test_a_part_that_prints_does_not_come_between_the_lines(
    run: Run, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Rooms.screen
    monkeypatch.setattr(Rooms, "screen", lambda self, document: print("hello") or screen(self, document))
    for option, read in (
        ("--json-lines", lambda out: [json.loads(line) for line in out.splitlines()]),
        ("--json", json.loads),
    ):
        ran = run("observe", notes, option)
        assert read(ran.out)
        assert "hello" not in ran.out


def test_what_was_read_before_a_mistake_of_ours_is_told(run: Run, notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Rooms.screen

    def breaks(self: Rooms, document: Any) -> str:
        if document.title == "Pell Weir":
            raise SystemError("a mistake of ours")
        return screen(self, document)

    (notes / "zz.md").write_text("# Pell Weir\n\nPell Weir was built by Orla Finn in 1802.")
    monkeypatch.setattr(Rooms, "screen", breaks)
    ran = run("observe", notes, "--json")
    assert ran.code == 1
    assert "SystemError: a mistake of ours" in ran.data["error"]
    assert [receipt["action"] for receipt in ran.data["receipts"]][:1] == ["edit"]
    assert "Traceback" in ran.err


def test_null_in_a_file_of_questions_is_no_word(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "q.json"
    asked = [
        {"question": WHEN, "answers": None, "answer": "1871"},
        {"question": "Who built it?", "answer": "Josef Brandt"},
    ]
    file.write_text(json.dumps([{"title": None, "context": MILL.text, "questions": asked}]))
    ran = run("quiz", file, "--topic", "--json")
    assert ran.data["n"] == 2
    assert [document.title for document in practised(file)] == [""]


def test_forget_fails_where_something_is_left_and_where_there_is_nothing(run: Run, notes: Path, tmp_path: Path) -> None:
    """Who runs it in a script must be told that a copy still lies there."""
    light, mill = (receipt["id"] for receipt in run("observe", notes, "--json").data["receipts"] if receipt["id"])
    run("consolidate")
    copy = tmp_path / "home" / "copy.txt"
    copy.write_text(MILL.text)

    left = run("forget", mill, "--json")
    assert (left.code, left.data["left"]) == (1, ["copy.txt"])
    copy.unlink()
    assert run("forget", light, "--json").code == 0
    assert run("forget", mill, "--json").code == 1


def test_doctor_looks_where_the_home_is(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert run("doctor", "--home", "~/zz", "--json").data["home"] == str(tmp_path / "zz")
    (tmp_path / "zz").touch()
    for home in ("~/zz", "~/zz/below"):
        assert f"{tmp_path / 'zz'} is no folder" in run("doctor", "--home", home, "--json").data["error"]


def test_doctor_tells_all_it_knows_of_a_home_that_cannot_be_locked_and_fails(run: Run, tmp_path: Path) -> None:
    (tmp_path / "home" / "seal.lock").mkdir(parents=True)
    ran = run("doctor", "--json")

    assert ran.code == 1
    assert ran.data["lock"] == "out of order"
    assert "cannot be locked" in ran.data["error"]
    assert ran.data["device"]


def test_an_answer_that_nobody_can_be_told_is_no_success(run: Run, notes: Path, tmp_path: Path) -> None:
    """Standard output is closed."""
    done = subprocess.run(
        ["sh", "-c", '"$0" -c "$1" status --json >&-', sys.executable, PROCESS],
        env={**os.environ, "SEAL_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 1
    assert "standard output is closed" in done.stderr


def test_the_gate_bench_gives_again_what_it_kept(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ("bench", "gate", "--n", "1", "--out", tmp_path / "kept", "--json")
    first = run(*command).data
    assert first["n"] == 1
    monkeypatch.setattr("seal_agent.bench.gate._tried", lambda *given: pytest.fail("done again"))
    assert run(*command).data == first


@pytest.mark.parametrize("command", [("observe",), ("watch", "--once")])
def test_a_name_that_is_too_long_for_a_file_stops_nobody_beside_it(
    command: tuple[str, ...], run: Run, notes: Path
) -> None:
    """It is a receipt with its reason, and what can be read is read."""
    for file in notes.iterdir():
        os.utime(file, (0, 0))

    ran = run(*command, "x" * 300, notes, "--json")

    assert ran.code == 0
    assert run("status", "--json").data["documents"]["total"] > 0


def test_arms_are_named_with_blanks_or_without_and_commas_name_none(run: Run) -> None:
    """No arm named is all of them, which takes hours."""
    ran = run("bench", "supersede", "--arms", "nobody, full", "--json")
    assert (ran.code, ran.data["error"]) == (1, "no arm called nobody; there are full, store, store_all")
    assert run("bench", "stream", "--arms", " , ", "--json").code == 2
