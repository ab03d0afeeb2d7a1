"""What goes wrong, and what is done about it."""

from __future__ import annotations

import time

from dovetail import Retry, get_step_context, load_artifact, pipeline, step


@step
def flour(grams: int) -> int:
    return grams


@step
def dough(flour: int) -> int:
    raise ValueError(f"{flour} g make no dough")


@step
def bread(dough: int, loaves: int = 1) -> int:
    return dough * loaves


@step
def slow(value: int, seconds: float = 1.5) -> int:
    time.sleep(seconds)
    return value


@pipeline
def spoiled() -> None:
    """The second of four steps fails."""
    made = dough(flour(500))
    bread.with_options(id="loaf")(made)
    bread.with_options(id="crumbs", after="loaf")(made)


@pipeline(failure_policy="continue")
def spoiled_beside() -> None:
    """What does not depend on the failure is finished."""
    bread.with_options(id="never")(dough(flour(1)))
    bread.with_options(id="another")(slow(flour.with_options(id="more_flour")(2)), loaves=3)


@step
def kneaded(flour: int) -> int:
    if flour == 2:
        raise ArithmeticError("the second will not rise")
    return flour * 2


@pipeline(failure_policy="continue")
def one_of_three() -> None:
    bread(baked(kneaded.map([1, 2, 3])))


@step
def baked(doughs: list[int]) -> int:
    return sum(doughs)


@step(retry=Retry(max_retries=3, delay=0.05, backoff=2.0))
def flaky(succeeds_at: int) -> int:
    attempt = get_step_context().attempt
    if attempt < succeeds_at:
        raise ConnectionError(f"attempt {attempt} was cut off")
    return attempt


@pipeline
def retried(succeeds_at: int = 3) -> None:
    bread(flaky(succeeds_at))


@step(retry=Retry(max_retries=2, on=(ConnectionError,)))
def picky(covered: bool) -> int:
    attempt = get_step_context().attempt
    if covered and attempt == 1:
        raise ConnectionResetError("a kind of connection error")
    if not covered:
        raise LookupError("another attempt would be no better")
    return attempt


@pipeline(failure_policy="continue")
def retried_on_some() -> None:
    picky.with_options(id="covered")(True)
    picky.with_options(id="not_covered")(False)


@step(timeout=3.0)
def endless() -> int:
    time.sleep(120)
    return 1


@step(timeout=60)
def quick() -> int:
    return 2


@pipeline
def timed() -> None:
    bread.with_options(id="in_time")(quick())
    bread.with_options(id="too_late")(endless(after="in_time"))


@step(enable_cache=False)
def oven() -> int:
    try:
        return load_artifact("heat")
    except LookupError:  # NotFound is one
        raise RuntimeError("the oven is cold") from None


@step
def heated(loaf: int, degrees: int) -> int:
    return loaf * degrees


@pipeline
def interrupted() -> None:
    """It completes once somebody has saved the artifact `heat`."""
    risen = bread.with_options(id="risen")(flour(300))
    heated(risen, oven(after=risen))
