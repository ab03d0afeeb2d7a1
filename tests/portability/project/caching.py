"""What runs again and what is taken from the cache."""

from __future__ import annotations

import csv

from bakery import priced
from bakery.selling import receipt
from dovetail import pipeline, step


@step
def prices(path: str = "data/prices.csv") -> dict[str, float]:
    with open(path, encoding="utf-8") as file:
        return {row["product"]: float(row["price"]) for row in csv.DictReader(file)}


@step
def gross(prices: dict[str, float], loaves: int) -> float:
    return sum(priced(net) for net in prices.values()) * loaves


@step
def stocked() -> dict[str, int]:
    """By a path that no parameter names."""
    with open("data/stock.csv", encoding="utf-8") as file:
        return {row["product"]: int(row["loaves"]) for row in csv.DictReader(file)}


@step
def doubled(amount: float) -> float:
    return amount * 2


@step
def counted(stock: dict[str, int]) -> float:
    return sum(stock.values())


@pipeline
def shop(loaves: int = 2) -> None:
    read = prices()
    doubled(gross(read, loaves))
    receipt(read)


@pipeline
def stock() -> None:
    doubled(counted(stocked()))


@step
def squared(number: int) -> int:
    return number**2


@step
def numbers(count: int) -> list[int]:
    return list(range(count))


@step
def total(values: list[int]) -> int:
    return sum(values)


@pipeline
def growing(count: int) -> None:
    total(squared.map(numbers(count)))


@step(cache_key="the moon's phase")
def keyed(value: int) -> int:
    return value


@step(enable_cache=False)
def never_cached(value: int) -> int:
    return value


@pipeline
def mixed() -> None:
    doubled(never_cached(keyed(3)))
