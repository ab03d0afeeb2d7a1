"""Steps as users of W&B write them. Copied into a project of each test's own."""

from __future__ import annotations

import threading
import time
from typing import Annotated

from dovetail import Retry, get_step_context, log_metrics, log_params, pipeline, step


@step
def plain(value: int) -> Annotated[str, "identity"]:
    """Plain W&B, imported in the function, and nothing of Dovetail."""
    import wandb

    wandb.config["rate"] = 0.5
    for number in range(3):
        wandb.log({"loss": 1.0 / (number + 1)})
    wandb.summary["best"] = 0.25
    return wandb.run.id


@step
def media(name: str) -> int:
    import pandas
    import wandb
    from PIL import Image

    table = wandb.Table(dataframe=pandas.DataFrame({"x": [1, 2], "y": ["a", "b"]}))
    wandb.log({"picture": wandb.Image(Image.new("RGB", (4, 4), "red")), "table": table, "counts": wandb.Histogram([1, 2, 2])})
    return 1


@step
def in_threads() -> int:
    import wandb

    thread = threading.Thread(target=lambda: wandb.log({"from_thread": 1.0}))
    thread.start()
    thread.join()
    return 1


@step
def side_by_side(number: int) -> str:
    import wandb

    for _ in range(5):
        wandb.log({"number": number})
        time.sleep(0.05)
    log_metrics(last=number)
    return wandb.run.id


@step
def with_init(rate: float) -> str:
    import wandb

    with wandb.init(project="ignored", config={"rate": rate}, tags=["asked"]) as run:
        run.log({"loss": 1.0})
    wandb.log({"after": 2.0})
    log_metrics(accuracy=0.5)
    wandb.finish()
    return run.id


@step
def with_a_run_of_its_own(folder: str) -> str:
    import wandb

    run = wandb.init(id="my-own-run", reinit="create_new", mode="offline", project="mine", dir=folder)
    run.log({"mine": 1.0})
    run.finish()
    wandb.log({"steps": 2.0})
    return run.id


@step(retry=Retry(max_retries=1, delay=0.01))
def second_time_lucky() -> int:
    import wandb

    attempt = get_step_context().attempt
    wandb.log({"attempt": attempt})
    if attempt == 1:
        raise ValueError("not yet")
    return attempt


@step(timeout=60)
def in_a_process() -> str:
    import wandb

    wandb.log({"apart": 1.0})
    return wandb.run.id


@step
def silent() -> int:
    return 1


@step
def data() -> Annotated[list[int], "größe data"]:
    log_params(rows=3)
    return [1, 2, 3]


@step
def trained(data: list[int]) -> Annotated[dict[str, int], "weights"]:
    log_metrics({"loss": 0.5}, step=7)
    log_metrics({"accuracy": 0.5}, step=2)
    return {"sum": sum(data)}


@step
def tried(value: int) -> str:
    """What W&B says here, where it says that nothing was started."""
    import wandb

    try:
        wandb.log({"loss": float(value)})
    except wandb.Error as error:
        return str(error)
    return "logged"


@pipeline
def plain_pipeline() -> None:
    plain(1)
    in_a_process()
    silent()


@pipeline
def threaded() -> None:
    in_threads()


@pipeline
def media_pipeline() -> None:
    media("all")


@pipeline
def parallel() -> None:
    for number in range(3):
        side_by_side.with_options(id=f"side_{number}")(number)


@pipeline
def with_inits() -> None:
    with_init(0.25)


@pipeline
def own_run(folder: str) -> None:
    with_a_run_of_its_own(folder)


@pipeline
def retried() -> None:
    second_time_lucky()


@pipeline
def chain() -> None:
    trained(data())


@pipeline
def trying() -> None:
    tried(1)
