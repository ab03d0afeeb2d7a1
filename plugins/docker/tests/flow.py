"""The pipelines that `test_kills.py` breaks, in a project of their own. `place` is a folder that every container sees too."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from dovetail import Environment, Resources, Retry, get_step_context, pipeline, step

PLACE = Path(os.environ.get("PLACE", "."))


def waiting(x: int) -> int:
    with open(PLACE / "executed", "a", encoding="utf-8") as file:
        file.write(f"{get_step_context().step_name}\n")
    print("its first words")
    (PLACE / "begun").write_text("yes", encoding="utf-8")
    until = time.monotonic() + 120
    while not (PLACE / "go").exists() and time.monotonic() < until:
        time.sleep(0.02)
    return x * 2


@step
def first() -> int:
    return 20


@step
def slow(x: int) -> int:
    return waiting(x)


@step(retry=Retry(max_retries=1))
def stubborn(x: int) -> int:
    return waiting(x)


@step
def after(x: int) -> int:
    return x + 2


@step(resources=Resources(memory="96MB"))
def hungry(x: int) -> int:
    held = []
    while True:
        held.append(os.urandom(4_000_000))
        print("holding", 4 * len(held), "MB")
        time.sleep(0.15)


@step(
    resources=Resources(cpu=0.5, memory="256MB"),
    environment=Environment(env={"COLOUR": "rot & blau"}),
    tags=["nightly"],
    settings={"docker": {"shared_memory": "12m", "volumes": [f"{PLACE}:/elsewhere:ro", *os.environ.get("VOLUMES", "").split()]}},
)
def described(x: int) -> int:
    return waiting(x)


@step(resources=Resources(gpu=1, gpu_type="h100", disk="10GB"))
def typed(x: int) -> int:
    return x


STEPS = {"slow": slow, "stubborn": stubborn, "hungry": hungry, "described": described, "typed": typed}


@pipeline
def p(which: str = "slow") -> None:
    after(STEPS[which](first(), id="middle"))


if __name__ == "__main__":
    p.with_options(tags=["of the run"])(sys.argv[1])
