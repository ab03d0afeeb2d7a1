"""What steps say of themselves and of what they make."""

from __future__ import annotations

import logging
import os
import sys
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Annotated

from dovetail import (
    ArtifactConfig,
    ArtifactType,
    Client,
    Environment,
    Model,
    Resources,
    get_step_context,
    load_artifact,
    log_artifact_metadata,
    log_metadata,
    log_metrics,
    log_model_metadata,
    log_params,
    pipeline,
    save_artifact,
    step,
)


@step(tags=["nightly"])
def trained(rate: float) -> dict[str, float]:
    log_params(rate=rate, optimizer="sgd", layers=[64, 32], frozen=None)
    for epoch in range(3):
        log_metrics({"loss": 1.0 / (epoch + 1), "übereinstimmung": epoch / 4}, step=epoch)
    log_metrics(score=0.75)
    log_metadata(source="warehouse", rows=1000, nested={"by": ["day", "store"]}, at=datetime(2026, 1, 31, 12, tzinfo=timezone.utc), day=date(2026, 1, 31))
    return {"weight": rate * 3}


@pipeline(tags=["experiment", "größe"])
def talkative(rate: float = 0.5) -> None:
    trained(rate)


@step
def reported() -> Annotated[dict[str, int], ArtifactConfig(name="report", artifact_type=ArtifactType.STATISTICS, tags=("weekly",), metadata={"by": "config"})]:
    log_artifact_metadata(metadata={"rows": 3})
    get_step_context().add_output_metadata({"checked": True})
    return {"rows": 3}


@pipeline
def report() -> None:
    reported()


@step
def fitted(rows: int) -> Annotated[dict[str, int], "churn_weights"]:
    log_model_metadata(rows=rows)
    log_metrics(accuracy=rows / 100)
    return {"rows": rows}


@step(enable_cache=False)
def promoted(weights: dict[str, int]) -> int:
    version = get_step_context().model
    assert version is not None
    version.promote("production", reason=f"{weights['rows']} rows")
    return version.version


@pipeline(model=Model("churn", description="who leaves", tags=("tabular",), metadata={"owner": "sales"}))
def training(rows: int) -> None:
    promoted(fitted(rows))


@step
def scored(customers: int) -> dict[str, int]:
    model = Client().get_model_version("churn", "production")
    return {"by_version": model.version, "score": customers * model.load_artifact("churn_weights")["rows"]}


@pipeline
def scoring() -> None:
    scored(2)


@step
def writer(number: int) -> Annotated[int, "shared"]:
    return number * 11


@pipeline
def writers(count: int = 6) -> None:
    for number in range(count):
        writer.with_options(id=f"writer_{number}")(number)


@step
def keeps(word: str) -> str:
    kept = save_artifact({"word": word}, "kept.word", metadata={"letters": len(word)})
    return f"{kept.name} {kept.version}"


@step(enable_cache=False)
def finds(said: str) -> dict[str, str]:
    return {**load_artifact("kept.word"), "first": load_artifact("kept.word", 1)["word"], "said": said}


@pipeline
def keeping(word: str) -> None:
    finds(keeps(word))


@step
def variable(name: str) -> str:
    return os.environ.get(name, "is not set")


@pipeline
def variables() -> None:
    with_it = variable.with_options(environment=Environment(env={"BAKERY_OVEN": "très chaud"}))
    with_it.with_options(id="set")("BAKERY_OVEN")
    variable.with_options(id="not_set")("BAKERY_OVEN")


@step
def chatty(lines: int) -> int:
    for number in range(lines):
        print(f"Zeile {number} von größe, 数据")
    print("no newline at the end", end="")
    return lines


@step
def warned(about: str) -> str:
    """On the other stream: how the lines of two streams follow each other is chance."""
    print("to stderr", file=sys.stderr)
    logging.getLogger("bakery").warning("the %s is hot", about)
    logging.getLogger("bakery").info("nobody asked for this")
    return about


@step
def silent() -> None:
    pass


@pipeline
def logs() -> None:
    chatty(3)
    warned("oven")
    silent()


@step(resources=Resources(cpu=0.5, memory="512MiB"))
def modest(value: int) -> int:
    return value


@pipeline
def with_resources() -> None:
    modest(7)


@step(resources=Resources(gpu=1))
def on_a_gpu(value: int) -> int:
    if not any(Path("/dev").glob("nvidia*")):
        raise RuntimeError("there is no GPU here")
    return value


@pipeline
def with_gpu() -> None:
    on_a_gpu(7)


@step(resources=Resources(cpu=4096))
def on_many_cores(value: int) -> int:
    return value


@pipeline
def with_many_cores() -> None:
    on_many_cores(7)


@pipeline
def with_a_closure(factor: int = 3) -> None:
    @step
    def inner(value: int) -> int:
        return value * factor

    modest(inner(2))
