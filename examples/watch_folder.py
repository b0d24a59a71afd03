"""
Learn whatever is put into a folder, for as long as this runs. (`seal-agent watch` does the same with more
care.)

Run it: python examples/watch_folder.py FOLDER [HOME]. Runs on a CPU; stop it with Ctrl-C, nothing is lost.
"""

import sys
import time
from pathlib import Path

import seal_agent
from seal_agent.reading.sources import files


def main(agent: seal_agent.SealAgent, folder: Path, rounds: int | None = None, pause: float = 5.0) -> None:
    """Look *rounds* times (for ever by default), *pause* seconds apart."""
    seen: dict[Path, float] = {}
    while rounds is None or rounds > 0:
        for path in changed(folder, seen):
            for receipt in agent.stream(path):
                print(f"{path.name}: {receipt.decision.action}, {receipt.decision.reason}")
        if why := agent.due():
            report = agent.consolidate()
            print(f"{why}: {report.outcome}, version {report.version} is live")
        rounds = rounds and rounds - 1
        time.sleep(pause)


def changed(folder: Path, seen: dict[Path, float]) -> list[Path]:
    """Files that are new or were written since the last look."""
    found = [path for path in files(folder) if isinstance(path, Path)]  # what cannot be read is a Refusal
    written = {path: path.stat().st_mtime for path in found if path.exists()}  # an editor's links lead nowhere
    fresh = [path for path, when in written.items() if seen.get(path) != when]
    seen.update(written)
    return fresh


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    with seal_agent.open(sys.argv[2] if len(sys.argv) > 2 else "seal-home") as opened:
        main(opened, Path(sys.argv[1]))
