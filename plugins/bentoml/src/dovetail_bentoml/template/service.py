"""The service of a Bento that dovetail-bentoml built. What is served, and how, is said by dovetail.json beside this file."""

from typing import Any

import bentoml

from dovetail_bentoml.served import Served

served = Served.beside(__file__)


@bentoml.service(name="dovetail_model", traffic={"timeout": served.request_timeout}, logging={"access": {"enabled": served.logs_requests}})
class DovetailModel:
    def __init__(self) -> None:
        self.model = served.load()

    @bentoml.api  # type: ignore[untyped-decorator]
    def predict(
        self, ctx: bentoml.Context, instances: Any = None, columns: Any = None, kind: Any = None, dtype: Any = None, shape: Any = None,
        dtypes: Any = None,
    ) -> Any:  # fmt: skip
        """Rows as `instances`, or a mapping of `columns`; the rest says their types, where JSON cannot."""
        return served.answer(self.model, "predict", ctx, instances, columns, kind=kind, dtype=dtype, shape=shape, dtypes=dtypes)

    if served.has("predict_proba"):

        @bentoml.api  # type: ignore[untyped-decorator]
        def predict_proba(
            self, ctx: bentoml.Context, instances: Any = None, columns: Any = None, kind: Any = None, dtype: Any = None, shape: Any = None,
            dtypes: Any = None,
        ) -> Any:  # fmt: skip
            return served.answer(self.model, "predict_proba", ctx, instances, columns, kind=kind, dtype=dtype, shape=shape, dtypes=dtypes)


DovetailModel.add_asgi_middleware(served.guard)  # type: ignore[attr-defined]  # the decorator makes a service of the class
