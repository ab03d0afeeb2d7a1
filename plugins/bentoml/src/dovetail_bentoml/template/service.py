"""The service of a Bento that dovetail-bentoml built. What is served, and how, is said by dovetail.json beside this file."""

from typing import Any

import bentoml
from dovetail_bentoml.served import Served

served = Served.beside(__file__)


@bentoml.service(name="dovetail_model", traffic={"timeout": served.request_timeout})
class DovetailModel:
    def __init__(self) -> None:
        self.model = served.load()

    @bentoml.api
    def predict(self, instances: Any = None, columns: Any = None, kind: Any = None, dtype: Any = None, shape: Any = None, dtypes: Any = None) -> Any:
        """Rows as `instances`, or a mapping of `columns`; the rest says their types, where JSON cannot."""
        return served.answer(self.model, "predict", instances, columns, kind=kind, dtype=dtype, shape=shape, dtypes=dtypes)

    if served.has("predict_proba"):

        @bentoml.api
        def predict_proba(
            self, instances: Any = None, columns: Any = None, kind: Any = None, dtype: Any = None, shape: Any = None, dtypes: Any = None
        ) -> Any:
            return served.answer(self.model, "predict_proba", instances, columns, kind=kind, dtype=dtype, shape=shape, dtypes=dtypes)


DovetailModel.add_asgi_middleware(served.guard)
