"""From flights, weather and planes to what a model may know before a flight leaves, and how two months differ in it."""

from __future__ import annotations

import numpy as np
import pandas as pd

LATE_AFTER_MINUTES = 15
CATEGORIES = ["carrier", "origin", "dest"]
NUMBERS = [
    "departure_minute",
    "arrival_minute",
    "weekday",
    "distance",
    "temp",
    "humid",
    "wind_speed",
    "precip",
    "pressure",
    "visib",
    "plane_age",
    "seats",
]
FEATURES = CATEGORIES + NUMBERS
TARGET = "late"
BINS = 10
SHARE_OF_NOTHING = 1e-4


def problems_of(flights: pd.DataFrame, month: int) -> list[str]:
    """One sentence for each thing that is wrong with a month of flights; none if it can be used."""
    known = flights["arr_delay"].dropna()
    checks = {
        f"{len(flights)} flights are too few for a month": len(flights) >= 10_000,
        f"some flights are not of month {month}": bool((flights["month"] == month).all()),
        "a flight has no carrier, origin or destination": not flights[CATEGORIES].isna().any(axis=None),
        "a scheduled time is not a time of day": bool(flights["sched_dep_time"].between(0, 2359).all()),
        "a distance is not positive": bool((flights["distance"] > 0).all()),
        "more than a tenth of the flights have no arrival delay": len(known) >= 0.9 * len(flights),
        "an arrival delay is beyond a day": bool(known.abs().lt(24 * 60).all()),
        "a flight is listed twice": not flights.duplicated(
            ["month", "day", "carrier", "flight", "origin", "dest", "sched_dep_time"]
        ).any(),
    }
    return [sentence for sentence, holds in checks.items() if not holds]


def features_of(flights: pd.DataFrame, weather: pd.DataFrame, planes: pd.DataFrame) -> pd.DataFrame:
    """One row per flight that arrived: the features, whether it was late, and the day, by which it can be split.

    Nothing that is known only after departure is among the features: no departure delay, no time in the air. The
    weather is that of the scheduled hour.
    """
    arrived = flights[flights["arr_delay"].notna()]
    joined = arrived.merge(weather, on=["origin", "time_hour"], how="left").merge(planes, on="tailnum", how="left")
    table = joined[[*CATEGORIES, "day", *(name for name in NUMBERS if name in joined)]].copy()
    table["departure_minute"] = minute_of_day(joined["sched_dep_time"])
    table["arrival_minute"] = minute_of_day(joined["sched_arr_time"])
    table["weekday"] = pd.to_datetime({"year": 2013, "month": joined["month"], "day": joined["day"]}).dt.dayofweek
    table[TARGET] = (joined["arr_delay"] > LATE_AFTER_MINUTES).astype(int)
    return table[["day", *FEATURES, TARGET]]


def minute_of_day(clock: pd.Series) -> pd.Series:
    """1425 for the clock time 2345."""
    return clock // 100 * 60 + clock % 100


def by_day(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The first three quarters of the month to learn from, the rest to judge by: a model is used on days to come."""
    last_day = table["day"].max() * 3 // 4
    earlier = table["day"] <= last_day
    return table[earlier].reset_index(drop=True), table[~earlier].reset_index(drop=True)


def stability_indices(now: pd.DataFrame, before: pd.DataFrame) -> dict[str, float]:
    """The population stability index of each feature; below 0.1 is calm, above 0.25 another population."""
    return {name: round(_stability_index(now[name], before[name]), 4) for name in FEATURES}


def _stability_index(now: pd.Series, before: pd.Series) -> float:
    if pd.api.types.is_numeric_dtype(before):
        inner = np.unique(before.quantile(np.linspace(0, 1, BINS + 1)[1:-1]).dropna())
        edges = [-np.inf, *inner, np.inf]
        now, before = pd.cut(now, edges), pd.cut(before, edges)
    shares = pd.DataFrame({"now": _shares(now), "before": _shares(before)}).fillna(0.0).clip(lower=SHARE_OF_NOTHING)
    return float(((shares["now"] - shares["before"]) * np.log(shares["now"] / shares["before"])).sum())


def _shares(values: pd.Series) -> pd.Series:
    """By value as text, as what is missing counts too and categories of two months need not be the same."""
    return values.astype("str").value_counts(normalize=True)
