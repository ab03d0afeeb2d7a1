"""The pipelines that the harness breaks. What each step did is told in a file beside the store, one line a call."""

from __future__ import annotations

import os
from typing import Annotated, Tuple

from dovetail import Model, Retry, get_step_context, log_metadata, log_metrics, log_params, pipeline, save_artifact, step


def executed(what: str) -> None:
    with open(os.environ["EXECUTED"], "a", encoding="utf-8") as file:
        file.write(f"{get_step_context().step_name} {what}\n")


@step(enable_cache=False)
def load() -> Annotated[list, "rows"]:
    executed("load")
    print("loading")
    return [1, 2, 3]


@step
def split(rows: list) -> Tuple[Annotated[list, "left"], list]:
    executed("split")
    log_params(share=0.5)
    return rows[:1], rows[1:]


@step(enable_cache=False)
def square(x: int) -> int:
    executed(f"square {x}")
    return x * x


@step
def train(rows: list, squares: list) -> Annotated[dict, "model"]:
    executed("train")
    log_metrics(loss=0.5, step=1)
    log_metadata(rows=len(rows))
    save_artifact({"note": len(rows)}, "note")
    return {"w": sum(rows) + sum(squares)}


@step(retry=Retry(max_retries=1))
def flaky(left: list) -> int:
    executed("flaky")
    if get_step_context().attempt == 1:
        raise ConnectionError("the first attempt always fails")
    return len(left)


@step
def fragile(x: int) -> int:
    executed("fragile")
    if os.environ.get("BREAK"):
        raise ValueError("broken on purpose")
    return x


@step
def report(model: dict, count: int) -> str:
    executed("report")
    return f"{model} {count}"


@step
def count(found: list) -> int:
    executed("count")
    return len(found)


@step(isolated=True)
def apart(x: int) -> list:
    executed("apart")
    return [x, "in a process of its own"]


@step(step_operator=True)
def afar(x: int) -> list:
    executed("afar")
    print("far away")
    return [x, "in a process that shares nothing with the run's"]


@pipeline(model=Model("scored"))
def whole() -> None:
    """A chain, a fan-out, a map, a model, a retry and a tracker; in threads."""
    rows = load()
    left, right = split(rows)
    squares = square.map(right)
    model = train(rows, squares)
    report(model, fragile(flaky(left)))


@pipeline
def with_worker() -> None:
    apart(flaky(load()))


@pipeline
def with_operator() -> None:
    report({"w": 1}, fragile(count(afar(flaky(load())))))
