"""MLflow's tracking store for routed steps: what is logged is said to the step, and answered while the step runs."""

from __future__ import annotations

import inspect
import logging
import re
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from mlflow.entities import Experiment, Metric, Param, Run, RunData, RunInfo, RunInputs, RunStatus, RunTag
from mlflow.store.entities.paged_list import PagedList
from mlflow.store.tracking.abstract_store import AbstractStore

from dovetail_mlflow.routing_artifacts import address_of_model, address_of_run
from dovetail_mlflow.routing_step import RoutedRun, cure, model_called, routed, run_called

_log = logging.getLogger("dovetail")
_told_of_traces: set[tuple[str, ...]] = set()
_EXPERIMENT = "0"
_BY_NAME = re.compile(r"\s*name\s*=\s*['\"]([^'\"]*)['\"]\s*")
_BY_RUN_ID = re.compile(r"\brun_id\b")
_PARENT = "mlflow.parentRunId"
_UNDECLARED = ("delete_tag",)  # calls that MLflow's client makes and its interface does not have
_OF_MLFLOW = ("mlflow.", "dovetail.")  # tags that MLflow, or the context provider, sets by itself


class _Answers:
    """What has a counterpart in a step."""

    def get_experiment(self, experiment_id: str) -> Experiment:
        step = routed()
        name = step.context.pipeline_name if step is not None else "dovetail"
        return Experiment(_EXPERIMENT, name, "dovetail://step", "active")

    def create_run(self, experiment_id: Any, user_id: Any, start_time: Any, tags: Sequence[Any], run_name: str | None, *_: Any) -> Run:
        step = routed()
        if step is None:
            raise cure(None, "create_run")
        said = {tag.key: tag.value for tag in tags or ()}
        parent = step.runs.get(said.get(_PARENT, ""))
        name = run_name or said.get("mlflow.runName") or (f"run_{len(step.runs) + 1}" if step.runs else step.context.step_name)
        started = start_time or _now()
        run = RoutedRun(step, step.prefix_for(name, parent), uuid.uuid4().hex, name, started, user=user_id or "")
        step.runs[run.run_id] = run
        run.tags["mlflow.runName"] = name
        self._tag(run, said)
        return _entity(run)

    def get_run(self, run_id: str) -> Run:
        return _entity(run_called(run_id))

    def update_run_info(self, run_id: str, run_status: Any = None, end_time: Any = None, run_name: str | None = None) -> RunInfo:
        run = run_called(run_id)
        if run_status is not None:
            run.status = run_status if isinstance(run_status, str) else RunStatus.to_string(run_status)
        run.ended, run.name = end_time or run.ended, run_name or run.name
        return _info(run)

    def log_metric(self, run_id: str, metric: Metric) -> None:
        run = run_called(run_id)
        run.metrics.setdefault(metric.key, []).append(metric)
        run.step.context.log_metrics({f"{run.prefix}{metric.key}": metric.value}, metric.step)

    def log_param(self, run_id: str, param: Param) -> Param:
        self._params(run_called(run_id), [param])
        return param

    def set_tag(self, run_id: str, tag: RunTag) -> None:
        self._tag(run_called(run_id), {tag.key: tag.value})

    def log_batch(self, run_id: str, metrics: Sequence[Metric] = (), params: Sequence[Param] = (), tags: Sequence[RunTag] = ()) -> None:
        run = run_called(run_id)
        if params:
            self._params(run, params)
        if tags:
            self._tag(run, {tag.key: tag.value for tag in tags})
        for metric in metrics:
            self.log_metric(run_id, metric)

    def get_metric_history(self, run_id: str, metric_key: str, max_results: Any = None, page_token: Any = None) -> PagedList[Any]:
        return PagedList(run_called(run_id).metrics.get(metric_key, []), None)

    def search_runs(
        self, experiment_ids: Any, filter_string: str = "", run_view_type: Any = None, max_results: int = 1000, order_by: Any = None,
        page_token: Any = None,
    ) -> PagedList[Run]:  # fmt: skip
        """Of this step's own runs, where the filter says which are meant: whoever looks for others is not to take these for all there are."""
        from mlflow.utils.search_utils import SearchUtils

        step = routed()
        if step is None or not _BY_RUN_ID.search(filter_string or ""):
            raise cure(step, "search_runs")
        search: Any = SearchUtils  # its methods are untyped
        found = search.filter([_entity(run) for run in step.runs.values()], filter_string)
        return PagedList(search.sort(found, order_by)[:max_results], None)

    def start_trace(self, *_: Any, **__: Any) -> Any:
        """MLflow keeps its own errors with traces to itself, so this one is said, once for each step that can be told."""
        step = routed()
        key = (step.context.run_id, step.context.step_name) if step is not None else ()
        if key not in _told_of_traces:
            _told_of_traces.add(key)
            _log.warning("%s", cure(step, "tracing"))
        raise cure(step, "tracing")

    def log_inputs(self, run_id: str, datasets: Any = None, models: Any = None) -> None:
        """Data sets that autologging names; Dovetail's record has the step's own inputs."""
        run = run_called(run_id)
        run.inputs += datasets or []
        run.model_inputs += models or []

    def log_outputs(self, run_id: str, models: Sequence[Any]) -> None:
        run_called(run_id).outputs.extend(models)

    def record_logged_model(self, run_id: str, mlflow_model: Any, *_: Any) -> None:
        """The tag by which earlier versions of MLflow find a run's models: its files are kept, and it says nothing more."""

    def create_logged_model(
        self, experiment_id: Any = None, name: str | None = None, source_run_id: str | None = None, tags: Any = None, params: Any = None,
        model_type: str | None = None, **_: Any,
    ) -> Any:  # fmt: skip
        from mlflow.entities import LoggedModel, LoggedModelStatus

        run = run_called(source_run_id or self._any_run())
        model_id = f"m-{uuid.uuid4().hex}"
        model = LoggedModel(
            experiment_id=_EXPERIMENT, model_id=model_id, name=name or "model", artifact_location=address_of_model(model_id),
            creation_timestamp=_now(), last_updated_timestamp=_now(), model_type=model_type, source_run_id=run.run_id,
            status=LoggedModelStatus.PENDING, tags={tag.key: tag.value for tag in tags or ()}, params={each.key: each.value for each in params or ()},
        )  # fmt: skip
        run.step.models[model_id] = model
        return model

    def get_logged_model(self, model_id: str, *_: Any, **__: Any) -> Any:
        return model_called(model_id)

    def finalize_logged_model(self, model_id: str, status: Any) -> Any:
        model = model_called(model_id)
        model.status = status
        return model

    def log_logged_model_params(self, model_id: str, params: Sequence[Any]) -> None:
        model_called(model_id).params.update({each.key: each.value for each in params})

    def set_logged_model_tags(self, model_id: str, tags: Sequence[Any]) -> None:
        model_called(model_id).tags.update({tag.key: tag.value for tag in tags})

    def search_logged_models(self, experiment_ids: Any = None, filter_string: str | None = None, *_: Any, **__: Any) -> PagedList[Any]:
        """By name, as MLflow itself asks to find the model behind `runs:/<run id>/<name>`."""
        step, wanted = routed(), _BY_NAME.fullmatch(filter_string or "")
        if step is None or wanted is None:
            raise cure(step, "search_logged_models")
        return PagedList([model for model in step.models.values() if model.name == wanted[1]], None)

    def _any_run(self) -> str:
        """A model that is logged with no run being active belongs to the step's first."""
        step = routed()
        if step is None or not step.runs:
            import mlflow

            return str(mlflow.start_run().info.run_id)
        return next(iter(step.runs))

    def _params(self, run: RoutedRun, params: Sequence[Param]) -> None:
        run.params.update({param.key: param.value for param in params})
        run.step.context.log_params({f"{run.prefix}{param.key}": param.value for param in params})

    def _tag(self, run: RoutedRun, tags: dict[str, Any]) -> None:
        run.tags.update(tags)
        told = {f"{run.prefix}{name}": value for name, value in tags.items() if not name.startswith(_OF_MLFLOW)}
        if told:
            run.step.context.set_tags(told)


def _refusing(base: type, *kept: str) -> dict[str, Any]:
    """A method for every call of an interface that has no counterpart, which raises the cure."""

    def refuse(name: str) -> Callable[..., Any]:
        def method(self: Any, *args: Any, **named: Any) -> Any:
            raise cure(routed(), name)

        return method

    names = [name for name in dir(base) if not name.startswith("_") and callable(getattr(base, name)) and not any(word in name for word in kept)]
    return {name: refuse(name) for name in (*names, *_UNDECLARED)}


_Rest = type("_Rest", (AbstractStore,), _refusing(AbstractStore, "async", "supports"))


class RoutedStore(_Answers, _Rest):  # type: ignore[misc,valid-type]  # made of MLflow's interface, which differs by version
    """One for all steps: which step is meant is found by the run's id, or by who calls."""


def no_registry() -> Any:
    """Models are promoted by Dovetail's own stages, and mirrored to a registry where the stack has one."""
    from mlflow.store.model_registry.abstract_store import AbstractStore as Registry

    return type("NoRegistry", (Registry,), {**_refusing(Registry, "supports"), "__init__": lambda self: None})()


def _now() -> int:
    return int(time.time() * 1000)


def _info(run: RoutedRun) -> RunInfo:
    earlier = {"run_uuid": run.run_id} if "run_uuid" in inspect.signature(RunInfo.__init__).parameters else {}
    return RunInfo(
        **earlier, run_id=run.run_id, experiment_id=_EXPERIMENT, user_id=run.user, status=run.status, start_time=run.started, end_time=run.ended,
        lifecycle_stage="active", artifact_uri=address_of_run(run.run_id), run_name=run.name,
    )  # fmt: skip


def _entity(run: RoutedRun) -> Run:
    """The last point of a metric is that of the highest step, as with MLflow."""
    last = [max(enumerate(points), key=lambda each: (each[1].step, each[1].timestamp, each[0]))[1] for points in run.metrics.values()]
    params = [Param(name, value) for name, value in run.params.items()]
    data = RunData(last, params, [RunTag(name, value) for name, value in run.tags.items()])
    outputs = {}
    if run.outputs:
        from mlflow.entities import RunOutputs

        outputs = {"run_outputs": RunOutputs(list(run.outputs))}
    return Run(_info(run), data, RunInputs(dataset_inputs=list(run.inputs)), **outputs)
