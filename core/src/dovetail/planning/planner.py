"""Makes the plan: decides for each step whether it runs, is cached, or is decided later, and says why."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dovetail.errors import ConfigurationError
from dovetail.graph.definition import importable
from dovetail.graph.tracing import Live, Traced
from dovetail.ledger import layout
from dovetail.planning import readings
from dovetail.planning.code import CodeIdentity, CodeReader
from dovetail.planning.keys import PYTHON, base_of, key_of, resolve
from dovetail.planning.model_inputs import found_anew, found_for
from dovetail.planning.package import Kept, keep_code, runs_elsewhere
from dovetail.planning.workspace import Workspace, addressed, runs_images, settings_for
from dovetail.values.encoding import encode
from dovetail.values.graph import Graph, Node
from dovetail.values.model import ModelArtifact, pin
from dovetail.values.names import TICK, fill
from dovetail.values.plan import Code, Decision, Plan, PlanStep

if TYPE_CHECKING:
    from dovetail.planning.images import Images

_FROM_PIPELINE = ("enable_cache", "retry", "resources", "environment", "timeout", "settings", "model", "experiment_tracker", "substitutions")


@dataclasses.dataclass(frozen=True)
class Request:
    """What is asked besides the graph. `enable_cache` False: nothing is taken from the cache, whatever steps say.

    `taken`: outcomes of the run that is resumed, by invocation. `keep`: whether to store code and outside values now.
    `pins`: model versions that the resumed run saw. `kept`: the whole project that it kept. `later`: whether a step has to run is decided when it is about to.
    """

    run_name: str | None = None
    enable_cache: bool | None = None
    tags: tuple[str, ...] = ()
    resumes: str | None = None
    taken: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    keep: bool = True
    kept: Kept | None = None
    later: bool = False
    now: float | None = None
    pins: Mapping[str, int] = dataclasses.field(default_factory=dict)


class Planner:
    """Plans one run. Keeps what is known so far of each step's outputs."""

    def __init__(self, workspace: Workspace, traced: Traced, request: Request) -> None:
        self._workspace = workspace
        self._graph: Graph = traced.graph
        self._live: Live = traced.live
        self._request = request
        self._reader = CodeReader(workspace.project)
        self._images: Images | None = None
        self._files: set[Path] = set()
        self._codes: dict[str, Code] = {}
        self._bases: dict[Any, tuple[str | None, str | None, str | None]] = {}
        self._outputs: dict[str, Mapping[str, Any]] = {}
        self._externals: dict[str, dict[str, Any]] = {}
        self._notes: list[str] = []
        self._pins: dict[str, int] = dict(request.pins)

    def plan(self) -> Plan:
        now = self._request.now or time.time()
        run_id = layout.new_run_id(now)
        if self._workspace.store.is_far:
            from dovetail.planning.foreseeing import foresee  # brings thread pools along

            foresee(self._workspace.ledger, self._graph.pipeline)
        pipeline_options = {name: self._graph.options[name] for name in _FROM_PIPELINE if name in self._graph.options}
        steps = tuple(self._with_image(self._step(node, pipeline_options)) for node in in_order(self._graph.nodes))
        moment = datetime.fromtimestamp(now, timezone.utc)
        kept = self._keep(steps)
        self._notes += kept.notes
        if self._workspace.stack.waive:
            self._notes.append(f"the stack waives {', '.join(self._workspace.stack.waive)}: what steps say of these is not honoured")
        substitutions = {str(k): str(v) for k, v in (self._graph.options.get("substitutions") or {}).items()}
        template = self._request.run_name or f"{self._graph.pipeline}-{{date}}-{{time}}"
        options = {**self._graph.options, "substitutions": substitutions} if substitutions else self._graph.options
        return Plan(
            run_id=run_id,
            run_name=fill("run", template, moment, {**substitutions, **({"scheduled": moment.strftime(TICK)} if self._request.later else {})}),
            pipeline=self._graph.pipeline,
            created=now,
            stack=self._workspace.stack.snapshot(),
            steps=steps,
            source=self._graph.source,
            parameters=self._graph.parameters,
            options=options,
            codes=self._codes,
            package=kept.package,
            code=kept.code,
            root=str(self._workspace.project.root),
            models=self._models(steps, moment, substitutions),
            pins=self._pins,
            tags=(*self._graph.options.get("tags", ()), *self._request.tags),
            notes=tuple(dict.fromkeys(self._notes)),
            resumes=self._request.resumes,
            problems=kept.problems,
            images=self._images.to_json() if self._images is not None else {},
            versions=self._images.own_versions() if self._images is not None else {},
        )

    def _step(self, node: Node, pipeline_options: Mapping[str, Any]) -> PlanStep:
        options = {**pipeline_options, **node.options} if pipeline_options else node.options
        node = found_anew(self._with_externals(node), self._pinned, self._workspace.ledger)
        code, base, uncached = self._base(node, options)
        options = self._with_tracker(options, code)
        warnings = self._warnings(node, options, uncached)
        taken = self._request.taken.get(node.invocation)
        if taken is not None:
            self._outputs[node.invocation] = taken.get("outputs", {})
            return PlanStep(node, Decision.TAKEN, "committed by the run that this one resumes", options, code, base, uncached, None, taken)
        step = PlanStep(node, Decision.RUN, uncached or "", options, code, base, uncached, warnings=warnings)
        if self._request.later:
            return dataclasses.replace(step, decision=Decision.LATER, why="decided when it is about to run")
        if node.when or node.mapped is not None:
            return dataclasses.replace(step, decision=Decision.LATER, why=_later_why(node))
        inputs = {name: resolve(given, self._output) for name, given in node.inputs.items()}
        waits = sorted({name for name, _ in node.upstream() if name not in self._outputs})
        if waits:
            return dataclasses.replace(step, decision=Decision.LATER, why=uncached or f"decided when {_listed(waits)} {_have(waits)} run")
        return self._decided(step, {name: given for name, given in inputs.items() if given is not None})

    def _with_image(self, step: PlanStep) -> PlanStep:
        images = self._images_for(step.options)
        if images is None or step.code is None or step.decision not in (Decision.RUN, Decision.LATER):
            return step
        return dataclasses.replace(step, image=images.reference(step.options, self._codes[step.code].packages))

    def _images_for(self, options: Mapping[str, Any]) -> Images | None:
        """None where a step of these options runs in no image."""
        if not runs_images(self._workspace, options):
            return None
        if self._images is None:
            from dovetail.planning.images import Images

            self._images = Images(self._workspace)
        return self._images

    def _decided(self, step: PlanStep, inputs: Mapping[str, Any]) -> PlanStep:
        if step.base is None:
            return step
        key = key_of(step.base, inputs)
        entry, why = look_up(self._workspace, key)
        if entry is None:
            return dataclasses.replace(step, key=key, why=why)
        self._outputs[step.invocation] = entry["outputs"]
        return dataclasses.replace(step, decision=Decision.CACHED, key=key, entry=entry, why=why)

    def _base(self, node: Node, options: Mapping[str, Any]) -> tuple[str | None, str | None, str | None]:
        """(code digest, base digest or None, why it is not cached or None); worked out once for all uses of a step."""
        definition = self._live.definitions[node.invocation]
        mark = (id(definition), options.get("enable_cache"), repr(options.get("environment")), repr(self._asked(options)), tuple(spec.itemwise for spec in node.outputs))
        if mark not in self._bases or callable(definition.options.cache_key):
            self._bases[mark] = self._base_afresh(node, options)
        return self._bases[mark]

    def _base_afresh(self, node: Node, options: Mapping[str, Any]) -> tuple[str | None, str | None, str | None]:
        definition = self._live.definitions[node.invocation]
        identity = self._identify(definition.function)
        self._codes.setdefault(identity.digest, Code(identity.parts, identity.packages))
        extra = self._extra(node)
        chosen = {spec.materializer for spec in node.outputs}
        materializers = {name: self._identify(cls) for name, cls in self._live.materializers.items() if name in chosen}
        packages: Mapping[str, str] = dict(identity.packages)
        for found in materializers.values():
            packages = {**packages, **found.packages}
        images = self._images_for(options)
        packages, python = images.packages(options, packages) if images is not None else (packages, PYTHON)
        asked = self._asked(options)
        counted = {"extra": extra, "settings": asked} if asked else extra
        base = base_of(identity.digest, packages, node.outputs, {name: found.digest for name, found in materializers.items()}, counted, python)
        off = self._request.enable_cache is False or options.get("enable_cache") is False
        if off and self._request.enable_cache is not True:
            return identity.digest, None, "caching is off"
        if identity.uncacheable and extra is None:
            return identity.digest, None, identity.uncacheable
        return identity.digest, base, None

    def _asked(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """Settings that decide what the step's own code gets when it asks for the component."""
        return settings_for(self._workspace, options, "data_validator") if options.get("settings") else {}

    def _with_tracker(self, options: Mapping[str, Any], code: str | None) -> Mapping[str, Any]:
        """A step whose code calls the tracking tool itself needs the stack's tracker from its start."""
        if code is None or options.get("experiment_tracker") or "experiment_tracker" not in self._workspace.stack.components:
            return options
        tracker: Any = self._workspace.stack.build("experiment_tracker")
        libraries: frozenset[str] = getattr(tracker, "libraries", frozenset())
        return {**options, "experiment_tracker": True} if libraries and libraries & set(self._codes[code].packages) else options

    def _identify(self, found: Any) -> CodeIdentity:
        identity = self._reader.identify(found)
        self._files.update(identity.files)
        return identity

    def _extra(self, node: Node) -> Any:
        """What `cache_key=` adds: the value given, or what the callable makes of those parameters that it names."""
        chosen = self._live.definitions[node.invocation].options.cache_key
        if not callable(chosen):
            return encode(chosen)
        code: Any = getattr(chosen, "__code__", None)
        wanted = code.co_varnames[: code.co_argcount] if code else ()
        given = {name: node.inputs[name]["value"] for name in wanted if "value" in node.inputs.get(name, {})}
        missing = [name for name in wanted if name not in given]
        if missing:
            raise ConfigurationError(
                f"cache_key of step '{node.invocation}' takes '{missing[0]}', which is no parameter of the step with a value now; "
                f"name parameters only, not artifacts."
            )
        return encode(chosen(**given))

    def _with_externals(self, node: Node) -> Node:
        if not any("external" in given for given in node.inputs.values()):
            return node
        inputs = {name: self._external(given["external"]) if "external" in given else given for name, given in node.inputs.items()}
        return dataclasses.replace(node, inputs=inputs)

    def _external(self, number: str) -> dict[str, Any]:
        if number not in self._externals:
            given = self._live.externals[number]
            if isinstance(given, ModelArtifact):
                self._externals[number] = found_for(given, self._pinned, self._workspace.ledger)
                return self._externals[number]
            self._workspace.ledger.records.format(create=True)
            digest, _ = self._workspace.ledger.artifacts.save(given.value, materializer=given.materializer)
            self._externals[number] = {"artifact": digest}
        return self._externals[number]

    def _output(self, invocation: str, output: str) -> Mapping[str, Any] | None:
        return self._outputs.get(invocation, {}).get(output)

    def _warnings(self, node: Node, options: Mapping[str, Any], uncached: str | None) -> tuple[str, ...]:
        settings = options.get("settings") or {}
        warnings = [f"settings for '{name}' are not for this stack" for name in settings if addressed(self._workspace, name) is None]
        if uncached is None and not any(True for _ in node.upstream()) and not any("artifact" in given for given in node.inputs.values()):
            warnings.append("it takes no artifact; the cache sees its code, parameters and files, not URLs, databases or clocks")
        return tuple(warnings)

    def _models(self, steps: Iterable[PlanStep], moment: datetime, substitutions: Mapping[str, str]) -> dict[str, int | None]:
        """The versions to work on. One to be claimed is the run's own; what steps use beside it is pinned."""
        models: dict[str, int | None] = {}
        for options in (self._graph.options, *(step.options for step in steps)):
            model = options.get("model")
            if model:
                name = fill("model", model["name"], moment, substitutions)
                if model["version"] is None:
                    models[name] = None
                else:
                    models.setdefault(name, self._pinned(name, model["version"]))
        return models

    def _pinned(self, name: str, version: int | str | None) -> int:
        """The version that all of the run sees under that number or stage. Raises NotFound."""
        key = pin(name, version)
        if key not in self._pins:
            self._pins[key] = self._workspace.ledger.versions.resolve_model(name, version)
        return self._pins[key]

    def _keep(self, steps: Sequence[PlanStep]) -> Kept:
        keep = self._request.keep
        if not runs_elsewhere(self._workspace, steps):
            files = self._reader.imported_with(self._files) if keep else ()
            return Kept(keep_code(self._workspace.ledger.records, self._workspace.project, files) if keep else None)
        if self._request.kept is not None:
            return self._request.kept
        from dovetail.planning.whole_package import keep_project

        return keep_project(self._workspace, self._reader.imported_with(self._files), steps, keep=keep)


def look_up(workspace: Workspace, key: str) -> tuple[dict[str, Any] | None, str]:
    """The cache entry for a key and why it is or is not taken."""
    failed: list[str] = []

    def holds(entry: Mapping[str, Any]) -> bool:
        broken = next((reading for reading in entry.get("readings", ()) if not readings.holds(reading, workspace)), None)
        if broken is not None:
            failed.append(readings.describe(broken))
        return broken is None

    entry = workspace.ledger.cache.find(key, holds)
    if entry is not None:
        return entry, f"nothing that it depends on changed since run {entry.get('run_name') or entry.get('run')}"
    return None, failed[0] if failed else "no earlier result for this code and these inputs"


def in_order(nodes: tuple[Node, ...]) -> list[Node]:
    """Nodes so that each stands behind what it waits for, else in the order of the calls."""
    placed: set[str] = set()
    if all(_placed_behind(node, placed) for node in nodes):
        return list(nodes)
    by_name = {node.invocation: node for node in nodes}
    ordered: dict[str, Node] = {}
    pending = list(reversed(nodes))
    while pending:
        node = pending.pop()
        waits = [by_name[name] for name, _ in node.upstream() if name not in ordered]
        if node.invocation in ordered:
            continue
        if waits:
            pending += [node, *waits]
        else:
            ordered[node.invocation] = node
    return list(ordered.values())


def _placed_behind(node: Node, placed: set[str]) -> bool:
    behind = all(name in placed for name, _ in node.upstream())
    placed.add(node.invocation)
    return behind


def environment_note(plan: Plan) -> str | None:
    """Steps that no other process could import."""
    local = [step.invocation for step in plan.steps if not importable(step.node.source)]
    if not local:
        return None
    return f"{_listed(local)} {_have(local)} been defined inside a function, so {'it' if len(local) == 1 else 'they'} cannot be replayed or resumed"


def _later_why(node: Node) -> str:
    return "its condition is decided while the run goes" if node.when else "one child for each item"


def _listed(names: list[str]) -> str:
    shown = [f"'{name}'" for name in names[:3]] + ([f"{len(names) - 3} more"] if len(names) > 3 else [])
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def _have(names: list[str]) -> str:
    return "has" if len(names) == 1 else "have"


