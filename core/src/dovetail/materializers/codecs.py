"""Which library's single values are written into the JSON of what holds them, and by which module.

Each module has `write(value, encode)`, which returns JSON and raises MaterializerError for a value that it would change,
and `read(node, decode)`.
"""

from __future__ import annotations

from types import MappingProxyType

# the mark in the JSON → module
MODULES = MappingProxyType(
    {
        "numpy": "dovetail.materializers.numpy_scalars",
        "pandas": "dovetail.materializers.pandas_scalars",
        "zone": "dovetail.materializers.time_zones",
        "fraction": "dovetail.materializers.fractions",
        "decimal": "dovetail.materializers.decimals",
        "uuid": "dovetail.materializers.uuids",
    }
)

# full name of a class, or of a base of it → mark
TYPES = MappingProxyType(
    {
        "numpy.generic": "numpy",
        "numpy.str_": "numpy",  # these two have str and bytes before generic among their bases
        "numpy.bytes_": "numpy",
        "pandas._libs.tslibs.timestamps.Timestamp": "pandas",
        "pandas._libs.tslibs.timedeltas.Timedelta": "pandas",
        "pandas._libs.tslibs.period.Period": "pandas",
        "pandas._libs.interval.Interval": "pandas",
        "pandas._libs.missing.NAType": "pandas",
        "pandas._libs.tslibs.nattype.NaTType": "pandas",
        "pandas.Timestamp": "pandas",  # since pandas 3
        "pandas.Timedelta": "pandas",
        "pandas.Period": "pandas",
        "pandas.Interval": "pandas",
        "pandas.api.typing.NAType": "pandas",
        "pandas.api.typing.NaTType": "pandas",
        "zoneinfo.ZoneInfo": "zone",
        "pytz.tzinfo.BaseTzInfo": "zone",
        "pytz.UTC": "zone",
        "fractions.Fraction": "fraction",
        "decimal.Decimal": "decimal",
        "uuid.UUID": "uuid",
    }
)


def mark_of(cls: type) -> str | None:
    """The mark under which values of this class are written into JSON, along its bases, or None."""
    for base in cls.__mro__:
        mark = TYPES.get(f"{base.__module__}.{base.__qualname__}")
        if mark is not None:
            return mark
    return None
