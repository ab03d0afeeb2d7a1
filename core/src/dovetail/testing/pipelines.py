"""The pipelines that components are tried with. They are copied into a project of their own, so they use what a user's would."""

from __future__ import annotations

import os
import platform
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Annotated, Any

from dovetail import (
    BaseMaterializer,
    Environment,
    Resources,
    Retry,
    get_step_context,
    log_metadata,
    log_metrics,
    log_params,
    pipeline,
    save_artifact,
    step,
    when,
)

_POLL = 0.02  # seconds


class Box:
    """A value that no built-in materializer keeps as it is."""

    def __init__(self, parts: dict[str, bytes]) -> None:
        self.parts = parts


class BoxMaterializer(BaseMaterializer):
    """Knows of folders and files only: no line of it says where the artifact store is."""

    ASSOCIATED_TYPES = (Box,)

    def save(self, value: Box) -> None:
        for name, content in value.parts.items():
            place = os.path.join(self.uri, "parts", name)
            os.makedirs(os.path.dirname(place), exist_ok=True)
            with open(place, "wb") as file:
                file.write(content)

    def load(self, data_type: Any) -> Box:
        parts = {}
        root = os.path.join(self.uri, "parts")
        for folder, _, names in os.walk(root):
            for name in names:
                place = os.path.join(folder, name)
                with open(place, "rb") as file:
                    parts[os.path.relpath(place, root)] = file.read()
        return Box(parts)


@step
def numbers(count: int) -> list[int]:
    return list(range(count))


@step
def scaled(value: int, by: int = 2) -> int:
    return value * by


@step
def total(values: list[int]) -> int:
    return sum(values)


@step
def bounds(value: int) -> tuple[Annotated[int, "low"], Annotated[int, "high"]]:
    return value - 1, value + 1


@step
def paused(value: int, seconds: float = 0.15) -> int:
    time.sleep(seconds)
    return value


@step
def failing(value: int, message: str = "no more flour") -> int:
    raise ValueError(f"{message} ({value})")


@step
def fails_on(value: int, worst: int) -> int:
    if value == worst:
        raise ValueError(f"not {value}")
    return value


@pipeline
def single(value: int = 21) -> None:
    scaled(value)


@pipeline
def fan(width: int = 6) -> None:
    """One value goes to many steps, and what they make of it into one."""
    source = scaled.with_options(id="source")(3)
    total([scaled(source, by=number) for number in range(width)])


@pipeline
def chain(length: int = 5) -> None:
    value = scaled.with_options(id="link_0")(1)
    for number in range(1, length):
        value = scaled.with_options(id=f"link_{number}")(value)


@pipeline
def layers(width: int = 3) -> None:
    """Every step takes what all steps of the layer above gave."""
    first = [paused.with_options(id=f"first_{number}")(number) for number in range(width)]
    second = [
        paused.with_options(id=f"second_{number}")(total.with_options(id=f"sum_{number}")(first)) for number in range(width)
    ]
    total.with_options(id="last")(second)


@step
def marked(value: int, mark: str) -> int:
    """Each time that it runs leaves a version of its own, which no other can take back."""
    save_artifact(value, mark)
    return value


@pipeline
def counted(width: int = 3) -> None:
    first = [marked.with_options(id=f"first_{number}")(number, f"first_{number}") for number in range(width)]
    marked.with_options(id="last")(total(first), "last")


@pipeline
def diamond() -> None:
    low, high = bounds(10)
    total([scaled.with_options(id="left")(low), scaled.with_options(id="right")(high, by=3)])


@pipeline
def placed() -> None:
    """A step that takes nothing from the one it waits for."""
    first = paused.with_options(id="first")(1, seconds=0.5)
    scaled.with_options(id="second", after=first)(2)


@pipeline
def broken() -> None:
    """The second of three steps fails; one more depends on none of them."""
    bad = failing(scaled.with_options(id="before")(1))
    scaled.with_options(id="behind")(bad)
    scaled.with_options(id="further_behind", after="behind")(bad)


@pipeline
def beside(seconds: float = 1.0) -> None:
    """A step fails at once while another, on which a third depends, goes on."""
    failing(1)
    scaled.with_options(id="after_slow")(paused.with_options(id="slow")(2, seconds=seconds))


@step
def chatty(lines: int) -> int:
    for number in range(lines):
        print(f"line {number} of größe")  # noqa: T201  # it is looked for in the log
    return lines


@step
def logging_step(value: int) -> int:
    log_params(rate=0.5, kind="linear", value=value)
    for number in range(3):
        log_metrics({"loss": 1.0 / (number + 1)}, step=number)
    log_metrics(score=0.75)
    log_metadata(source="contract")
    return value


@pipeline
def talkative() -> None:
    chatty(3)
    logging_step(7)


@pipeline
def tracked(fail: bool = False) -> None:
    logging_step.with_options(id="first")(1)
    logging_step.with_options(id="second")(2)
    if fail:
        failing_after_logging(3)


@step
def failing_after_logging(value: int) -> int:
    log_metrics(loss=0.125)
    raise ValueError("the loss is too good")


@pipeline
def branching(threshold: int) -> None:
    source = scaled.with_options(id="source")(5)
    with when(source > threshold):
        scaled.with_options(id="above")(source)
    with when(source <= threshold):
        below = scaled.with_options(id="below")(source)
        scaled.with_options(id="further_below")(below)


@pipeline
def mapped(count: int = 4) -> None:
    total(scaled.map(numbers(count), by=3))


@pipeline
def mapped_with_failure() -> None:
    total(fails_on.map(numbers(3), worst=1))


@step(retry=Retry(max_retries=2, delay=0.05))
def flaky(succeeds_at: int) -> int:
    attempt = get_step_context().attempt
    if attempt < succeeds_at:
        raise ConnectionError(f"attempt {attempt} was cut off")
    return attempt


@step(retry=Retry(max_retries=2, on=(ConnectionError,)))
def fails_otherwise() -> int:
    raise ValueError("another attempt would be no better")


@pipeline
def retried(succeeds_at: int = 3) -> None:
    scaled(flaky(succeeds_at))


@pipeline
def not_retried() -> None:
    fails_otherwise()


@step(timeout=1.0)
def endless() -> int:
    time.sleep(60)
    return 1


@step(timeout=60)
def quick() -> int:
    return 2


@pipeline
def timed() -> None:
    endless()


@pipeline
def in_time() -> None:
    quick()


def _meet(name: str, others: list[str], seconds: float) -> bool:
    """Whether the other steps were running at the same time as this one; they wait for each other in the artifact store."""
    context = get_step_context()
    store, folder = context.stack.artifact_store, f"meeting/{context.run_id}"
    store.create(f"{folder}/{name}", b"")
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if all(store.stat(f"{folder}/{other}") is not None for other in others):
            time.sleep(_POLL)  # so that who came first sees it too
            return True
        time.sleep(_POLL)
    store.delete(f"{folder}/{name}")
    return False


@step
def meets(name: str, others: list[str], seconds: float) -> bool:
    return _meet(name, others, seconds)


@pipeline
def at_once(seconds: float = 30.0) -> None:
    meets.with_options(id="a")("a", ["b"], seconds)
    meets.with_options(id="b")("b", ["a"], seconds)


@pipeline
def competing(cpu: float, seconds: float) -> None:
    asking = meets.with_options(resources=Resources(cpu=cpu))
    asking.with_options(id="a")("a", ["b"], seconds)
    asking.with_options(id="b")("b", ["a"], seconds)


@pipeline
def greedy(cpu: float) -> None:
    scaled.with_options(resources=Resources(cpu=cpu))(1)


@pipeline
def graphical() -> None:
    scaled.with_options(resources=Resources(gpu=1))(1)


@step
def sees_gpu() -> bool:
    """Whether a device of NVIDIA's or AMD's is there."""
    return any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/kfd").exists()


@pipeline
def looking_for_a_gpu() -> None:
    sees_gpu.with_options(resources=Resources(gpu=1))()


@step
def whereabouts() -> str:
    return f"{socket.gethostname()} {os.getpid()}"


@pipeline
def somewhere() -> None:
    whereabouts()


@step
def variable(name: str, others: list[str], seconds: float) -> tuple[Annotated[str, "before"], Annotated[str, "after"]]:
    """What the variable is before and after the others had time to set theirs."""
    before = os.environ.get("DOVETAIL_CONTRACT_MARK", "")
    _meet(name, others, seconds)
    return before, os.environ.get("DOVETAIL_CONTRACT_MARK", "")


@pipeline
def with_variables(seconds: float) -> None:
    for name, others in (("a", ["b"]), ("b", ["a"])):
        environment = Environment(env={"DOVETAIL_CONTRACT_MARK": f"for {name}"})
        variable.with_options(environment=environment, id=name)(name, others, seconds)
    variable.with_options(id="c")("c", [], 0.0)


@step
def python_version() -> str:
    return platform.python_version()


@pipeline
def with_python() -> None:
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    python_version.with_options(environment=Environment(python=here))()


@pipeline
def with_no_such_python() -> None:
    python_version.with_options(environment=Environment(python="3.99"))()


@step(isolated=True)
def killed(caller: int) -> int:
    if os.getpid() == caller:
        raise RuntimeError("this step was to have a process of its own")
    os.kill(os.getpid(), signal.SIGKILL)
    return 1


@pipeline
def dying(caller: int) -> None:
    scaled(killed(caller))


@step
def waiting(seconds: float) -> int:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(_POLL)
    return 1


@pipeline
def long(seconds: float = 60.0) -> None:
    scaled(waiting(seconds))


@step(output_materializers=BoxMaterializer)
def packed(size: int) -> Box:
    return Box({"empty": b"", "größe/数据": b"\x00\xff" * size, "deep/er/and deeper": b"x"})


@step
def weighed(box: Box) -> dict[str, int]:
    return {name: len(content) for name, content in box.parts.items()}


@pipeline
def journey(count: int = 3) -> None:
    """What a store has to carry: single values, lists by item, nested files, large ones, what was logged and printed."""
    total(scaled.map(numbers(count)))
    weighed(packed(300_000))
    logging_step(7)
    chatty(2)


@step(isolated=True)
def isolated_scaled(value: int, by: int = 2) -> int:
    return value * by


@pipeline
def with_process() -> None:
    isolated_scaled.with_options(id="there")(scaled.with_options(id="here")(4))


@pipeline
def operated() -> None:
    """A step elsewhere between two here, on whatever step operator the stack has."""
    first = scaled.with_options(id="first")(2)
    there = scaled.with_options(id="there", step_operator=True)(first)
    scaled.with_options(id="here")(there)


@pipeline
def operated_badly() -> None:
    failing.with_options(step_operator=True)(2)


@pipeline
def operated_and_killed() -> None:
    killed.with_options(step_operator=True)(0)
