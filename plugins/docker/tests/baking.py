"""A pipeline that imports a library, copied into each test's project."""

from dovetail import pipeline, step


@step
def kneaded(flour: int) -> str:
    import yaml

    return yaml.safe_dump({"flour": flour})


@step
def weighed(dough: str) -> int:
    return len(dough)


@pipeline
def baking(flour: int = 3) -> None:
    weighed(kneaded(flour))
