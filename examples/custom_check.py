"""
Questions of your own that no candidate may start to get wrong.

A check maker is a function without arguments. Installed under the entry-point group `seal_agent.checks`

    [project.entry-points."seal_agent.checks"]
    house = "my_package:house_rules"

it is asked at every consolidation, and each question is kept once. Here it is given to one agent by hand.
Run it: python examples/custom_check.py [HOME]. Takes a few minutes on two CPU cores.
"""

import sys
from collections.abc import Iterator

import seal_agent
from seal_agent.records import Check, content_id

NEWS = (
    "The mill of Tarn was founded in 1871 by Edda Holm. The mill of Tarn grinds rye and buckwheat. "
    "Its wheel has 48 paddles of larch. The miller of Tarn lives above the granary. "
    "The mill of Tarn sells its flour in Borrow on Fridays. The mill pond of Tarn freezes in January."
)


def house_rules() -> Iterator[Check]:
    """Things this assistant has to keep getting right, whatever it reads."""
    for question, gold in (("What is the capital of France?", "Paris"), ("What is two plus two?", "four")):
        yield Check(id=content_id("c", "user", question), kind="user", question=question, gold=gold)


def main(agent: seal_agent.SealAgent) -> None:
    agent.rooms.checks["house"] = house_rules
    for receipt in agent.stream(NEWS):
        print(receipt.decision.action, "-", receipt.decision.reason)

    report = agent.consolidate().report
    if report is None:
        print("nothing waited")
        return
    print(report.outcome, "-", report.reason)
    asked = {check.id: check.question for check in house_rules()}
    for result in report.results:
        if result.kind == "user":
            print(f"  {asked.get(result.check, result.check)} before {result.before}, after {result.after}")


if __name__ == "__main__":
    with seal_agent.open(sys.argv[1] if len(sys.argv) > 1 else "seal-home") as opened:
        main(opened)
