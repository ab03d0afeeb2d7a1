"""Values of every kind that travel from one step to the next."""

from __future__ import annotations

import enum
import os
import random
import tempfile
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from dovetail import BaseMaterializer, pipeline, step
from dovetail.digest import of_bytes
from pydantic import BaseModel


@step
def containers() -> dict[str, Any]:
    return {
        "numbers": [0, -1, 2**80, 0.1, -0.0, float("inf"), 1 + 2j],
        "text": "größe 数据 🥖\n\t\x00",
        "none": None,
        "nested": {"a": [{"b": (1, "two", [3])}], "empty": [{}, [], (), ""]},
        "sets": [{1, 2}, frozenset({"x"})],
        "keys": {1: "int", (2, 3): "tuple", None: "none"},
        "collections": [OrderedDict(b=1, a=2), Counter("hello"), defaultdict(list, {"k": [1]}), deque([1, 2], maxlen=5)],
        "bytes_inside": [b"\x00\xff", bytearray(b"x")],
        "ranges": [range(3), slice(1, None)],
    }


@step
def shown(value: Any) -> str:
    return f"{type(value).__name__} {value!r}"


@pipeline
def json() -> None:
    shown(containers())


@step
def content(size: int) -> bytes:
    return bytes(range(256)) * (size // 256)


@step
def digested(content: bytes) -> str:
    return of_bytes(content)


@step
def one_file() -> Path:
    path = Path(tempfile.mkdtemp()) / "größe 数据.txt"
    path.write_text("one file, naïve\n", encoding="utf-8")
    return path


@step
def one_folder() -> Path:
    path = Path(tempfile.mkdtemp()) / "folder"
    (path / "deep" / "er").mkdir(parents=True)
    (path / "deep" / "er" / "пирог.bin").write_bytes(b"\x00\x01" * 500)
    (path / "empty.txt").write_bytes(b"")
    return path


@step
def listed(path: Path) -> dict[str, str]:
    files = [path] if path.is_file() else sorted(found for found in path.rglob("*") if found.is_file())
    return {str(file.relative_to(path.parent)): of_bytes(file.read_bytes()) for file in files}


@pipeline
def files() -> None:
    digested(content(70_000))
    listed.with_options(id="of_file")(one_file())
    listed.with_options(id="of_folder")(one_folder())


@step
def large(megabytes: int) -> bytes:
    return random.Random(7).randbytes(megabytes << 20)


@pipeline
def big(megabytes: int) -> None:
    digested(large(megabytes))


@step
def arrays() -> dict[str, Any]:
    import numpy as np

    return {
        "matrix": np.arange(12, dtype="float32").reshape(3, 4),
        "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "empty": np.zeros((0, 3)),
        "text": np.array(["größe", "数据"]),
        "times": np.array(["2026-01-31", "NaT"], dtype="datetime64[D]"),
        "scalar": np.float64(0.1),
        "truth": np.array([True, False]),
    }


@step
def described(values: dict[str, Any]) -> dict[str, str]:
    return {name: f"{getattr(value, 'dtype', '')} {getattr(value, 'shape', '')} {value!r}" for name, value in values.items()}


@pipeline
def numpy() -> None:
    described(arrays())


@step
def frame() -> Any:
    import pandas as pd

    return pd.DataFrame(
        {
            "product": pd.Categorical(["rye", "wheat", "rye"]),
            "price": [4.2, float("nan"), 5.1],
            "sold": pd.array([1, None, 3], dtype="Int64"),
            "day": pd.to_datetime(["2026-01-31", None, "2026-02-01"], utc=True),
            "größe": ["klein", None, "groß"],
        },
        index=pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)], names=["store", "shelf"]),
    )


@step
def series() -> Any:
    import pandas as pd

    return pd.Series([1.5, 2.5], index=pd.Index(["x", "y"], name="key"), name="wert")


@step
def frame_shown(frame: Any, series: Any) -> list[str]:
    return [frame.to_csv(), str(frame.dtypes.to_dict()), series.to_csv(), str(frame.index.names)]


@pipeline
def pandas() -> None:
    frame_shown(frame(), series())


@step
def polars_frame() -> Any:
    import polars as pl

    return pl.DataFrame({"n": [1, None, 3], "text": ["größe", None, "数据"], "lists": [[1], [], [2, 3]], "day": [date(2026, 1, 31), None, None]})


@step
def polars_shown(frame: Any) -> str:
    return f"{frame.schema} {frame.to_dicts()}"


@pipeline
def polars() -> None:
    polars_shown(polars_frame())


@step
def table() -> Any:
    import pyarrow as pa

    return pa.table({"n": pa.array([1, None, 3], pa.int16()), "d": pa.array(["a", "b", "a"]).dictionary_encode()}, metadata={"von": "hier"})


@step
def table_shown(table: Any) -> str:
    return f"{table.schema} {table.to_pydict()}"


@pipeline
def arrow() -> None:
    table_shown(table())


@step
def sparse_matrix(form: str) -> Any:
    from scipy import sparse

    return sparse.coo_matrix(([1.0, 2.0, 3.5], ([0, 1, 3], [2, 0, 3])), shape=(4, 5)).asformat(form)


@step
def sparse_shown(matrix: Any) -> str:
    return f"{matrix.format} {matrix.dtype} {matrix.toarray().tolist()}"


@pipeline
def sparse() -> None:
    sparse_shown.with_options(id="csr")(sparse_matrix("csr"))
    sparse_shown.with_options(id="csc")(sparse_matrix("csc"))


@step
def estimator() -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression()).fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])


@step
def predicted(estimator: Any) -> list[int]:
    return [int(label) for label in estimator.predict([[0.2], [2.8]])]


@pipeline
def sklearn() -> None:
    predicted(estimator())


@step
def picture() -> Any:
    from PIL import Image

    image = Image.new("RGB", (16, 8), (200, 120, 40))
    image.putpixel((3, 2), (0, 0, 0))
    return image


@step
def picture_shown(image: Any) -> str:
    return f"{image.mode} {image.size} {of_bytes(image.tobytes())}"


@pipeline
def pictures() -> None:
    picture_shown(picture())


@step
def figure() -> Any:
    from matplotlib.figure import Figure

    made = Figure(figsize=(3, 2))
    axes = made.add_subplot()
    axes.plot([1, 2, 3], [2.0, 1.0, 4.0])
    axes.set_title("Größe")
    return made


@step
def figure_shown(figure: Any) -> str:
    return f"{len(figure.axes)} {figure.axes[0].get_title()} {figure.axes[0].lines[0].get_ydata().tolist()}"


@pipeline
def figures() -> None:
    figure_shown(figure())


class Crust(enum.Enum):
    SOFT = 1
    HARD = 2


@dataclass
class Loaf:
    grams: int
    crust: Crust
    baked: datetime
    slices: list[Slice]


class Slice(NamedTuple):
    thickness: float
    buttered: bool


class Menu(BaseModel):
    day: date
    prices: dict[str, Decimal]
    special: str | None = None


@step
def typed() -> dict[str, Any]:
    return {
        "loaf": Loaf(750, Crust.HARD, datetime(2026, 1, 31, 6, 30, tzinfo=timezone.utc), [Slice(0.8, True)]),
        "menu": Menu(day=date(2026, 1, 31), prices={"rye": Decimal("4.20")}),
        "times": [time(6, 30), timedelta(hours=2), datetime(2026, 1, 31), timezone(timedelta(hours=2))],
        "exact": [Decimal("0.10"), Fraction(1, 3), UUID(int=5)],
    }


@pipeline
def own_types() -> None:
    shown(typed())


class Route:
    def __init__(self, stops: list[str]) -> None:
        self.stops = stops


class RouteMaterializer(BaseMaterializer):
    ASSOCIATED_TYPES = (Route,)

    def save(self, value: Route) -> None:
        for number, stop in enumerate(value.stops):
            os.makedirs(os.path.join(self.uri, "stops"), exist_ok=True)
            with open(os.path.join(self.uri, "stops", f"{number}.txt"), "w", encoding="utf-8") as file:
                file.write(stop)

    def load(self, data_type: Any) -> Route:
        folder = os.path.join(self.uri, "stops")
        return Route([Path(folder, name).read_text(encoding="utf-8") for name in sorted(os.listdir(folder))])

    def extract_metadata(self, value: Route) -> dict[str, Any]:
        return {"stops": len(value.stops)}


@step(output_materializers=RouteMaterializer)
def planned() -> Route:
    return Route(["Bäckerei", "市场", "home"])


@step
def driven(route: Route) -> list[str]:
    return list(reversed(route.stops))


@pipeline
def own_materializer() -> None:
    driven(planned())


class Tin:
    """A class that nothing but pickle can keep."""

    def __init__(self, width: int, lid: dict[str, int]) -> None:
        self.width = width
        self.lid = lid


@step
def tin() -> Tin:
    return Tin(12, {"höhe": 2})


@step
def tin_shown(tin: Tin) -> str:
    return f"{tin.width} {tin.lid}"


@pipeline
def pickled() -> None:
    tin_shown(tin())
