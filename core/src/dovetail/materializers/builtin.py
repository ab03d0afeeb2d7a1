"""Every built-in materializer, declared without importing it or the library it serves."""

from __future__ import annotations

from dovetail.materializers.codecs import TYPES
from dovetail.materializers.interface import MaterializerSpec

_HERE = "dovetail.materializers"
_STRUCTURE = f"{_HERE}.structure:StructureMaterializer"
_EXACTLY_STRUCTURE = (
    *(
        f"builtins.{name}"
        for name in [
            "str",
            "int",
            "float",
            "bool",
            "NoneType",
            "list",
            "dict",
            "tuple",
            "set",
            "frozenset",
            "complex",
            "range",
            "slice",
            "ellipsis",
        ]
    ),
    *(f"collections.{name}" for name in ("OrderedDict", "Counter", "defaultdict", "deque")),
    *(f"datetime.{name}" for name in ("date", "datetime", "time", "timedelta", "timezone")),
    *(f"pathlib.Pure{kind}Path" for kind in ("Posix", "Windows")),
    *(f"pathlib._local.Pure{kind}Path" for kind in ("Posix", "Windows")),  # their module in Python 3.13
)

SPECS: tuple[MaterializerSpec, ...] = (
    MaterializerSpec(_EXACTLY_STRUCTURE, _STRUCTURE, exact=True),
    MaterializerSpec(tuple(TYPES), _STRUCTURE),
    MaterializerSpec(("enum", "namedtuple", "dataclass", "pydantic"), _STRUCTURE),
    MaterializerSpec(("dovetail.values.validation.Validation",), f"{_HERE}.validations:ValidationMaterializer", exact=True),
    MaterializerSpec(("builtins.bytes", "builtins.bytearray"), f"{_HERE}.blobs:BytesMaterializer", exact=True),
    MaterializerSpec(
        tuple(f"{module}.{kind}Path" for module in ("pathlib", "pathlib._local") for kind in ("Posix", "Windows")),
        f"{_HERE}.paths:PathMaterializer",
    ),
    MaterializerSpec(("numpy.ndarray",), f"{_HERE}.arrays:ArrayMaterializer", exact=True),
    MaterializerSpec(("pandas.core.frame.DataFrame", "pandas.DataFrame"), f"{_HERE}.pandas_frames:FrameMaterializer", exact=True),
    MaterializerSpec(("pandas.core.series.Series", "pandas.Series"), f"{_HERE}.pandas_frames:SeriesMaterializer", exact=True),
    MaterializerSpec(("pandas.core.indexes.base.Index", "pandas.Index"), f"{_HERE}.pandas_frames:IndexMaterializer"),
    MaterializerSpec(
        ("pandas.core.arrays.base.ExtensionArray", "pandas.api.extensions.ExtensionArray"),
        f"{_HERE}.pandas_frames:PandasArrayMaterializer",
    ),
    MaterializerSpec(
        ("polars.dataframe.frame.DataFrame", "polars.lazyframe.frame.LazyFrame", "polars.series.series.Series"),
        f"{_HERE}.polars_frames:PolarsMaterializer",
        exact=True,
    ),
    MaterializerSpec(
        tuple(f"pyarrow.lib.{name}" for name in ("Table", "RecordBatch", "ChunkedArray", "Array")),
        f"{_HERE}.arrow_tables:ArrowMaterializer",
    ),
    MaterializerSpec(("scipy.sparse._base._spbase", "scipy.sparse._base.spmatrix"), f"{_HERE}.sparse:SparseMaterializer"),
    MaterializerSpec(("PIL.Image.Image",), f"{_HERE}.images:ImageMaterializer"),
    MaterializerSpec(("matplotlib.figure.Figure",), f"{_HERE}.figures:FigureMaterializer"),
    MaterializerSpec(("xgboost.core.Booster",), f"{_HERE}.boosted:XGBoostMaterializer", exact=True),
    MaterializerSpec(("lightgbm.basic.Booster",), f"{_HERE}.boosted:LightGBMMaterializer", exact=True),
    MaterializerSpec(
        (
            *(
                f"xgboost.sklearn.XGB{kind}"
                for kind in ["Model", "Classifier", "Regressor", "Ranker", "RFClassifier", "RFRegressor"]
            ),
            *(f"lightgbm.sklearn.LGBM{kind}" for kind in ["Model", "Classifier", "Regressor", "Ranker"]),
        ),
        f"{_HERE}.boosted:BoostedEstimatorMaterializer",
        exact=True,
    ),
    MaterializerSpec(("sklearn.base.BaseEstimator",), f"{_HERE}.estimators:EstimatorMaterializer"),
    MaterializerSpec(("builtins.object",), f"{_HERE}.pickles:PickleMaterializer"),
)
