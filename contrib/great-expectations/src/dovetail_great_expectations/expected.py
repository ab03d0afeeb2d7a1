"""What a reference leads one to expect, and what a whole frame is expected to be, as expectations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

MOST_VALUES = 50  # a text with more than these in the reference may say anything


def by_reference(reference: Any, columns: Sequence[Any], most_values: int = MOST_VALUES) -> list[Any]:
    """The type of each column, the range of a number, the values of a text."""
    return [each for name in columns for each in _of_column(str(name), reference[name], most_values)]


def _of_column(name: str, values: Any, most_values: int) -> Iterator[Any]:
    import great_expectations.expectations as gxe
    from pandas.api import types

    present = values.dropna()
    text = bool(len(present)) and all(isinstance(value, str) for value in present)
    yield gxe.ExpectColumnValuesToBeOfType(column=name, type_="str" if text and values.dtype == object else _type_name(values.dtype))
    if text:
        distinct = sorted(present.unique())
        if len(distinct) <= most_values:
            yield gxe.ExpectColumnValuesToBeInSet(column=name, value_set=distinct)
    elif types.is_numeric_dtype(values.dtype) and not types.is_bool_dtype(values.dtype) and len(present):
        yield gxe.ExpectColumnValuesToBeBetween(column=name, min_value=float(present.min()), max_value=float(present.max()))


def _type_name(dtype: Any) -> str:
    """Great Expectations tells columns apart by the class of what they hold."""
    import numpy as np

    held = dtype.type
    return np.dtype(held).name if issubclass(held, np.generic) else str(held.__name__)


def no_cell_missing(columns: Sequence[Any]) -> list[Any]:
    import great_expectations.expectations as gxe

    return [gxe.ExpectColumnValuesToNotBeNull(column=str(name)) for name in columns]


def rows_to_differ(rows: int) -> Any:
    """To be asked of `numbered_by_content`; it observes how many differ."""
    import great_expectations.expectations as gxe

    return gxe.ExpectColumnUniqueValueCountToBeBetween(column="row", min_value=rows)


def numbered_by_content(frame: Any) -> Any:
    """One number for each row, the same for rows that are alike, missing cells included. Raises TypeError where cells cannot be compared."""
    columns = [frame.iloc[:, number] for number in range(frame.shape[1])]
    return frame.groupby(columns, dropna=False, observed=True, sort=False).ngroup().to_frame("row")
