"""Implementations that break one promise each, as real ones do, and the promise that has to find it."""

from __future__ import annotations

import dataclasses
import os
import pickle
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from dovetail.components import Capability, Deployment, DeploymentStatus, Entry, ExperimentTracker, Secret, StepRun
from dovetail.errors import DeploymentError
from dovetail.local.artifact_store import LocalArtifactStore
from dovetail.local.memory_store import MemoryArtifactStore
from dovetail.local.model_deployer import LocalModelDeployer
from dovetail.local.orchestrator import LocalOrchestrator
from dovetail.local.secret_store import LocalSecretStore
from dovetail.materializers.arrays import ArrayMaterializer
from dovetail.materializers.interface import BaseMaterializer
from dovetail.testing import (
    ArtifactStoreContract,
    ExperimentTrackerContract,
    MaterializerContract,
    ModelDeployerContract,
    OrchestratorContract,
    PluginContract,
    Recorded,
    SecretStoreContract,
)

# -- artifact stores ---------------------------------------------------------------------------------------------------


class Overwriting(LocalArtifactStore):
    """Writes whatever was there."""

    def create(self, path: str, data: bytes | Path) -> bool:
        self.overwrite(path, data if isinstance(data, bytes) else data.read_bytes())
        return True


class LooksThenWrites(LocalArtifactStore):
    """Asks first and writes then, as fsspec's generic `mode="create"` does."""

    def create(self, path: str, data: bytes | Path) -> bool:
        if self.stat(path) is not None:
            return False
        self.overwrite(path, data if isinstance(data, bytes) else data.read_bytes())
        return True


class WritesInPlace(LocalArtifactStore):
    """Lets the operating system choose one creator, who then writes where all can see it."""

    def create(self, path: str, data: bytes | Path) -> bool:
        content = data if isinstance(data, bytes) else data.read_bytes()
        target = Path(self._within(path))
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(target, "xb", buffering=0) as file:
                for start in range(0, len(content), 1 << 16):
                    file.write(content[start : start + (1 << 16)])
        except FileExistsError:
            return False
        return True


class OverwritesInPlace(LocalArtifactStore):
    """Empties what it overwrites before it writes."""

    def overwrite(self, path: str, data: bytes) -> None:
        target = Path(self._within(path))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


class ListsByPrefix(MemoryArtifactStore):
    """Takes every object whose key begins alike for one of the folder's."""

    def delete_folder(self, folder: str) -> None:
        for path, _ in list(self.walk("")):
            if path.startswith(folder):
                self.delete(path)


class ListsOnePage(LocalArtifactStore):
    """Never asks for the next page."""

    def scan(self, folder: str) -> Iterator[Entry]:
        for number, entry in enumerate(super().scan(folder)):
            if number < 1000:
                yield entry


class ErrorsOfItsOwn(MemoryArtifactStore):
    """Raises its vendor's exceptions."""

    def read(self, path: str) -> bytes:
        try:
            return super().read(path)
        except FileNotFoundError as error:
            raise KeyError("NoSuchKey") from error


class InstanceOwn(MemoryArtifactStore):
    """Keeps its objects in the instance."""

    def __post_init__(self) -> None:
        self._own = uuid.uuid4().hex

    def _at(self, path: str) -> str:
        return super()._at(f"{self._own}/{path}".rstrip("/"))


class ReadsWhatItWants(LocalArtifactStore):
    """Gives other bytes than were written, now and then."""

    def create(self, path: str, data: bytes | Path) -> bool:
        return super().create(path, data[:-1] + b"\x00" if isinstance(data, bytes) and len(data) > 1000 else data)


class StoreContract(ArtifactStoreContract):
    flavor: ClassVar[type[LocalArtifactStore]]

    @pytest.fixture
    def store(self, tmp_path: Path) -> Any:
        if issubclass(self.flavor, MemoryArtifactStore):
            return self.flavor(bucket=uuid.uuid4().hex)
        return self.flavor(path=tmp_path / "store")


class TestOverwriting(StoreContract):
    flavor = Overwriting
    caught_by = "test_creating_again_says_so_and_changes_nothing"


class TestLooksThenWrites(StoreContract):
    flavor = LooksThenWrites
    caught_by = "test_of_many_creators_of_one_path_exactly_one_wins"


class TestWritesInPlace(StoreContract):
    flavor = WritesInPlace
    caught_by = "test_a_reader_never_sees_half_an_object"


class TestOverwritesInPlace(StoreContract):
    flavor = OverwritesInPlace
    caught_by = "test_a_reader_of_an_overwritten_object_sees_the_old_or_the_new_one"


class TestListsByPrefix(StoreContract):
    flavor = ListsByPrefix
    caught_by = "test_after_any_sequence_of_calls_it_holds_what_a_dictionary_would"


class TestListsOnePage(StoreContract):
    flavor = ListsOnePage
    caught_by = "test_a_folder_of_many_objects_is_listed_whole"


class TestErrorsOfItsOwn(StoreContract):
    flavor = ErrorsOfItsOwn
    caught_by = "test_reading_what_is_not_there_raises_file_not_found"


class TestInstanceOwn(StoreContract):
    flavor = InstanceOwn
    caught_by = "test_another_instance_with_its_configuration_is_the_same_store"


class TestReadsWhatItWants(StoreContract):
    flavor = ReadsWhatItWants
    caught_by = "test_what_was_created_is_read_back"


# -- orchestrators -----------------------------------------------------------------------------------------------------


class KnowsDataOnly(LocalOrchestrator):
    """Starts a step when its data is there, and does not know that some wait for more than data."""

    def submit(self, plan: Any, run: Any) -> None:
        for step in plan.steps:
            if step.node.after:
                start_at_once(run, step, after=())
        super().submit(plan, run)


class TakesWhatIsThere(LocalOrchestrator):
    """Starts every step at once, with whatever it finds in place of what is still being made."""

    def submit(self, plan: Any, run: Any) -> None:
        stale = {"artifact": run.workspace.ledger.artifacts.save(0)[0]}

        def found(given: Any) -> Any:
            if "list" in given:
                return {"list": [found(item) for item in given["list"]]}
            return stale if "from" in given else given

        for step in plan.steps:
            if any(step.node.upstream()):
                start_at_once(run, step, inputs={name: found(given) for name, given in step.node.inputs.items()})
        super().submit(plan, run)


def start_at_once(run: Any, step: Any, **changes: Any) -> None:
    run._steps[step.invocation] = dataclasses.replace(step, node=dataclasses.replace(step.node, **changes))
    run._waiting[step.invocation] = -1
    run._ready.append(step.invocation)


class CallsEverythingDone(LocalOrchestrator):
    """Takes every step that ended for one that completed."""

    def _start(self, task: Any) -> None:
        super()._start(task)
        task.outcome, task.error = {**task.outcome, "status": "completed"}, None


class RunsTwice(LocalOrchestrator):
    """Submits each step's job a second time, to be sure."""

    def _start(self, task: Any) -> None:
        from dovetail.execution.attempt import Attempt, settle

        super()._start(task)
        settle(
            Attempt(
                task.driver.workspace, task.driver.info, task.step, task.driver.definition(task.step), task.inputs, task.key, 2
            )
        )


class SharesTheProcess(LocalOrchestrator):
    """Runs steps in threads even where they must not share a process."""

    def _start(self, task: Any) -> None:
        task.run_here()


class CountsNothing(LocalOrchestrator):
    """States that it keeps to resources, and starts whatever is ready."""

    def submit(self, plan: Any, run: Any) -> None:
        run.drive(self._start, slots=8)


class StatesNothing(LocalOrchestrator):
    """Runs steps at once, and does not say so."""

    capabilities: ClassVar = frozenset()


class Boasting(LocalOrchestrator):
    """States what it cannot do, so plans that need it are let through to it."""

    boast: ClassVar[Capability]

    def __init_subclass__(cls, **options: Any) -> None:
        cls.capabilities = LocalOrchestrator.capabilities | {cls.boast}
        super().__init_subclass__(**options)


class BoastsOfGpus(Boasting):
    boast: ClassVar = Capability.GPUS


class BoastsOfEnvironments(Boasting):
    boast: ClassVar = Capability.ENVIRONMENTS


class BoastsOfSchedules(Boasting):
    boast: ClassVar = Capability.SCHEDULES


class BoastsOfBeingElsewhere(Boasting):
    boast: ClassVar = Capability.REMOTE


class OrchestratorAs(OrchestratorContract):
    flavor: ClassVar[type[LocalOrchestrator]]

    @pytest.fixture
    def orchestrator(self) -> LocalOrchestrator:
        return self.flavor(workers=4, cpu=2.0)


class TestKnowsDataOnly(OrchestratorAs):
    flavor = KnowsDataOnly
    caught_by = "test_a_step_waits_for_what_it_is_placed_after"


class TestTakesWhatIsThere(OrchestratorAs):
    flavor = TakesWhatIsThere
    caught_by = "test_a_step_never_runs_before_its_inputs"


class TestCallsEverythingDone(OrchestratorAs):
    flavor = CallsEverythingDone
    caught_by = "test_a_failed_step_is_never_swallowed"


class TestRunsTwice(OrchestratorAs):
    flavor = RunsTwice
    caught_by = "test_every_step_runs_once"


class TestSharesTheProcess(OrchestratorAs):
    flavor = SharesTheProcess
    caught_by = "test_variables_are_set_for_one_step_alone_or_are_refused"


class TestCountsNothing(OrchestratorAs):
    flavor = CountsNothing
    caught_by = "test_resources_bound_what_runs_at_once_or_are_refused"


class TestStatesNothing(OrchestratorAs):
    flavor = StatesNothing
    caught_by = "test_steps_run_at_once_if_it_states_so_and_else_never"


class TestBoastsOfGpus(OrchestratorAs):
    flavor = BoastsOfGpus
    caught_by = "test_a_step_that_asks_for_a_gpu_has_one_or_does_not_run"


class TestBoastsOfEnvironments(OrchestratorAs):
    flavor = BoastsOfEnvironments
    caught_by = "test_an_environment_that_cannot_be_made_lets_no_step_run"


class TestBoastsOfSchedules(OrchestratorAs):
    flavor = BoastsOfSchedules
    caught_by = "test_a_schedule_is_kept_by_the_engine_or_by_the_scheduler"


class TestBoastsOfBeingElsewhere(OrchestratorAs):
    flavor = BoastsOfBeingElsewhere
    caught_by = "test_steps_run_elsewhere_if_it_states_so"


# -- trackers ----------------------------------------------------------------------------------------------------------


class InMemory(ExperimentTracker):
    """A tracker that keeps its promises; the wrong ones change one thing."""

    server: str = "default"

    RUNS: ClassVar[dict[str, Recorded]] = {}

    def start(self, step_run: StepRun) -> None:
        self._run = self.RUNS.setdefault(key(step_run), Recorded({}, {}, None, {}, {}))

    def log_params(self, params: Mapping[str, Any]) -> None:
        self._run.params.update(params)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None) -> None:
        for name, value in metrics.items():
            self._run.metrics.setdefault(name, []).append((value, step))

    def log_artifact(self, path: Path, folder: str) -> None:
        for file in (each for each in [path, *path.rglob("*")] if each.is_file()):
            below = file.name if file == path else file.relative_to(path).as_posix()
            self._run.files[f"{folder}/{below}".lstrip("/")] = file.read_bytes()

    def set_tags(self, tags: Mapping[str, str]) -> None:
        self._run.tags.update(tags)

    def finish(self, step_run: StepRun) -> None:
        self.RUNS[key(step_run)] = dataclasses.replace(self._run, status=step_run.status)


def key(step_run: StepRun) -> str:
    return f"{step_run.run_id}/{step_run.name}"


class LeaksARun(InMemory):
    """Keeps the run that is open for the process, and does not close it."""

    OPEN: ClassVar[list[Recorded]] = []

    def start(self, step_run: StepRun) -> None:
        super().start(step_run)
        self.OPEN.append(self._run)
        self._run = self.OPEN[0]


class DropsMetrics(InMemory):
    """Sends the last of what came within an instant."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None) -> None:
        if not step or step % 100 != 99:
            super().log_metrics(metrics, step)


class AlwaysContent(InMemory):
    """Closes every step run as completed."""

    def finish(self, step_run: StepRun) -> None:
        super().finish(dataclasses.replace(step_run, status="completed"))


class LosesFiles(InMemory):
    """Notes where a file was and reads it when the step ends."""

    def start(self, step_run: StepRun) -> None:
        super().start(step_run)
        self._noted = []

    def log_artifact(self, path: Path, folder: str) -> None:
        self._noted.append((path, folder))

    def finish(self, step_run: StepRun) -> None:
        for path, folder in self._noted:
            super().log_artifact(path, folder)
        super().finish(step_run)


class LosesTags(InMemory):
    """Lets the tags that are said last stand for all."""

    def set_tags(self, tags: Mapping[str, str]) -> None:
        self._run.tags.clear()
        super().set_tags(tags)


class LeavesAVariable(InMemory):
    """Says to its library by a variable which run is open, and leaves it set."""

    def start(self, step_run: StepRun) -> None:
        super().start(step_run)
        os.environ["IN_MEMORY_RUN"] = key(step_run)


class WritesOnWhatItIsGiven(InMemory):
    """Adds its own entry to the step's params before it sends them."""

    def log_params(self, params: Any) -> None:
        params["sent_by"] = "in-memory"
        super().log_params({name: value for name, value in params.items() if name != "sent_by"})


class KeyInTheLink(InMemory):
    """Leads people to the run by a link that lets them in."""

    api_key: Secret = Secret("k-4f1d0c9a7b")

    def url(self, step_run: StepRun) -> str:
        return f"https://tracker.example/{step_run.run_id}?key={self.api_key.reveal()}"


class TrackerContract(ExperimentTrackerContract):
    flavor: ClassVar[type[InMemory]] = InMemory

    @pytest.fixture
    def tracker(self) -> InMemory:
        return self.flavor()

    @pytest.fixture
    def recorded(self) -> Any:
        return lambda step_run: dataclasses.replace(InMemory.RUNS[key(step_run)])


class TestLeaksARun(TrackerContract):
    flavor = LeaksARun
    caught_by = "test_nothing_of_one_step_run_reaches_the_next"


class TestDropsMetrics(TrackerContract):
    flavor = DropsMetrics
    caught_by = "test_no_metric_of_many_is_dropped"


class TestAlwaysContent(TrackerContract):
    flavor = AlwaysContent
    caught_by = "test_how_a_step_ended_arrives"


class TestLosesFiles(TrackerContract):
    flavor = LosesFiles
    caught_by = "test_files_arrive_as_they_were_when_they_were_handed_over"


class TestLosesTags(TrackerContract):
    flavor = LosesTags
    caught_by = "test_tags_arrive"


class TestLeavesAVariable(TrackerContract):
    flavor = LeavesAVariable
    caught_by = "test_nothing_is_left_in_the_process_once_it_is_finished"


class TestWritesOnWhatItIsGiven(TrackerContract):
    flavor = WritesOnWhatItIsGiven
    caught_by = "test_what_is_logged_is_left_as_it_was_given"


class TestKeyInTheLink(TrackerContract):
    flavor = KeyInTheLink
    caught_by = "test_it_shows_its_secrets_to_nobody"


class TestInMemory(TrackerContract):
    """The one that the wrong ones are made of keeps every promise, so what each changes is what is caught."""


# -- deployers and secret stores ---------------------------------------------------------------------------------------


class Optimist(LocalModelDeployer):
    """Believes what it once started."""

    def status(self, handle: Mapping[str, Any]) -> DeploymentStatus:
        return DeploymentStatus.RUNNING


class TakesAnything(LocalModelDeployer):
    """Passes over settings that it does not know."""

    def start(self, deployment: Deployment) -> dict[str, Any]:
        return super().start(dataclasses.replace(deployment, settings={}))


class ForgetsTheServer(LocalModelDeployer):
    """Strikes a deployment off its list, and lets its server run on."""

    FORGOTTEN: ClassVar[list[Any]] = []

    def stop(self, handle: Mapping[str, Any]) -> None:
        self.FORGOTTEN.append(handle)

    def status(self, handle: Mapping[str, Any]) -> DeploymentStatus:
        return DeploymentStatus.STOPPED if handle in self.FORGOTTEN else super().status(handle)

    def predict(self, handle: Mapping[str, Any], *asked: Any) -> Any:
        if handle in self.FORGOTTEN:
            raise DeploymentError("It is stopped. Start it again.")
        return super().predict(handle, *asked)


class DeployerContract(ModelDeployerContract):
    notices_within = 0.5
    flavor: ClassVar[type[LocalModelDeployer]]

    @pytest.fixture
    def deployer(self) -> LocalModelDeployer:
        return self.flavor()

    @pytest.fixture
    def kill(self) -> Any:
        return lambda handle: [os.kill(process["pid"], 9) for process in handle["processes"]]


class TestOptimist(DeployerContract):
    flavor = Optimist
    caught_by = "test_a_dead_deployment_is_never_said_to_run"


class TestTakesAnything(DeployerContract):
    flavor = TakesAnything
    caught_by = "test_a_setting_that_it_does_not_know_is_refused"


class TestForgetsTheServer(DeployerContract):
    flavor = ForgetsTheServer
    caught_by = "test_a_stopped_deployment_says_so_and_answers_no_more"

    @pytest.fixture(autouse=True)
    def _ended_after_the_test(self, deployer: LocalModelDeployer) -> Iterator[None]:
        yield
        while ForgetsTheServer.FORGOTTEN:
            LocalModelDeployer.stop(deployer, ForgetsTheServer.FORGOTTEN.pop())


class Replaces(LocalSecretStore):
    """Sets a secret anew whenever one of its keys is put."""

    def put(self, name: str, values: Mapping[str, str]) -> None:
        if name in self.names():
            self.delete(name)
        super().put(name, values)


class Blabs(LocalSecretStore):
    """Gives plain text."""

    def get(self, name: str) -> Any:
        return {key: value.reveal() for key, value in super().get(name).items()}

    def put(self, name: str, values: Mapping[str, Any]) -> None:
        self._write(self._file(name), __import__("json").dumps(dict(values)))


class SecretsContract(SecretStoreContract):
    flavor: ClassVar[type[LocalSecretStore]]

    @pytest.fixture
    def secret_store(self, tmp_path: Path) -> LocalSecretStore:
        return self.flavor(path=tmp_path / "secrets")


class TestReplaces(SecretsContract):
    flavor = Replaces
    caught_by = "test_keys_that_are_not_given_stay"


class TestBlabs(SecretsContract):
    flavor = Blabs
    caught_by = "test_what_is_got_shows_itself_to_nobody"


# -- materializers -----------------------------------------------------------------------------------------------------


class LosesDtype(BaseMaterializer):
    """Writes an array's numbers, and not of which type they are."""

    ASSOCIATED_TYPES = (np.ndarray,)

    def save(self, value: Any) -> None:
        Path(self.uri, "numbers").write_text(repr(value.tolist()), encoding="utf-8")

    def load(self, data_type: Any) -> Any:
        import ast

        return np.array(ast.literal_eval(Path(self.uri, "numbers").read_text(encoding="utf-8")))


class PicklesInSecret(BaseMaterializer):
    ASSOCIATED_TYPES = (np.ndarray,)

    def save(self, value: Any) -> None:
        Path(self.uri, "value").write_bytes(pickle.dumps(value))

    def load(self, data_type: Any) -> Any:
        return pickle.loads(Path(self.uri, "value").read_bytes())


class NotesTheTime(ArrayMaterializer):
    def save(self, value: Any) -> None:
        super().save(value)
        Path(self.uri, "saved_at").write_text(str(time.time_ns()), encoding="utf-8")


class WritesBeside(ArrayMaterializer):
    def save(self, value: Any) -> None:
        super().save(value)
        Path("scratch.npy").write_bytes(b"x")


class ReadsWhereItWrote(ArrayMaterializer):
    """Notes the folder, and looks for it there when it loads."""

    def save(self, value: Any) -> None:
        super().save(value)
        Path(self.uri, "place").write_text(self.uri, encoding="utf-8")

    def load(self, data_type: Any) -> Any:
        self.uri = Path(self.uri, "place").read_text(encoding="utf-8")
        return super().load(data_type)


class ArraysContract(MaterializerContract):
    flavor: ClassVar[type[BaseMaterializer]]

    @pytest.fixture
    def materializer(self) -> type[BaseMaterializer]:
        return self.flavor

    @pytest.fixture
    def values(self) -> list[Any]:
        return [np.arange(3, dtype="f4"), np.arange(3, dtype="i8")]


class TestLosesDtype(ArraysContract):
    flavor = LosesDtype
    caught_by = "test_every_value_comes_back_the_same"


class TestPicklesInSecret(ArraysContract):
    flavor = PicklesInSecret
    caught_by = "test_nothing_is_unpickled_unless_it_says_so"


class TestNotesTheTime(ArraysContract):
    flavor = NotesTheTime
    caught_by = "test_equal_values_give_equal_bytes_or_it_says_that_they_may_not"


class TestWritesBeside(ArraysContract):
    flavor = WritesBeside
    caught_by = "test_it_writes_plain_files_below_its_folder_and_nowhere_else"


class TestReadsWhereItWrote(ArraysContract):
    flavor = ReadsWhereItWrote
    caught_by = "test_every_value_comes_back_the_same"


# -- plugins -----------------------------------------------------------------------------------------------------------


class WrongPlugin(PluginContract):
    module: ClassVar = "dovetail_wrong"

    @pytest.fixture
    def plugin(self, monkeypatch: pytest.MonkeyPatch) -> str:
        folder = str(Path(__file__).with_name("wrong_plugin"))
        monkeypatch.syspath_prepend(folder)
        monkeypatch.setenv("PYTHONPATH", folder)
        return self.module


class TestHeavyPlugin(WrongPlugin):
    caught_by = "test_declaring_imports_no_heavy_library"


class TestGreedyPlugin(WrongPlugin):
    caught_by = "test_declaring_imports_nothing_that_it_requires"


class TestUnreadablePlugin(WrongPlugin):
    caught_by = "test_every_flavor_can_be_read_without_what_it_requires"


class TestHalfPlugin(WrongPlugin):
    caught_by = "test_every_flavor_implements_its_interface"


class TestSilentPlugin(WrongPlugin):
    caught_by = "test_every_flavor_has_one_line_of_help"


class TestUndocumentedPlugin(WrongPlugin):
    caught_by = "test_every_flavor_is_documented_in_its_class"


class TestPluginWithoutFieldHelp(WrongPlugin):
    caught_by = "test_every_field_has_help"


class TestBoastfulPlugin(WrongPlugin):
    caught_by = "test_every_capability_is_one"


class TestPluginThatLostAMaterializer(WrongPlugin):
    caught_by = "test_every_materializer_is_there"


class SlyPlugin(WrongPlugin):
    """Its module is clean; its hooks are not."""

    module: ClassVar = "dovetail_sly"


class TestPluginThatIsHeavyInAHook(SlyPlugin):
    caught_by = "test_declaring_imports_no_heavy_library"


class TestPluginThatRequiresInAHook(SlyPlugin):
    caught_by = "test_declaring_imports_nothing_that_it_requires"


class TestPluginThatActsWhileItDeclares(SlyPlugin):
    caught_by = "test_declaring_does_nothing_else"


class TestPluginWhoseObserverRaises(SlyPlugin):
    caught_by = "test_its_observers_take_what_runs_tell"


# -- waivers -----------------------------------------------------------------------------------------------------------


class TestNeedlessWaiver(StoreContract):
    """The promise is kept, so its waiver has to go."""

    flavor = LocalArtifactStore
    waived: ClassVar = {"test_what_was_created_is_read_back": "it was not, once"}
    caught_by = "test_what_was_created_is_read_back"


class TestWaivedPromise(StoreContract):
    """Not caught: the promise is broken and waived with a reason."""

    flavor = Overwriting
    waived: ClassVar = {"test_creating_again_says_so_and_changes_nothing": "it overwrites"}
    let_through = "test_creating_again_says_so_and_changes_nothing"


class TestWaivedPromiseBelow(TestWaivedPromise):
    """A subclass that waives nothing keeps the promise again, or is caught."""

    waived: ClassVar = {}
    caught_by = "test_creating_again_says_so_and_changes_nothing"


class TestBrokenFixture(StoreContract):
    """A waiver hides what a promise finds, and not that the test cannot even begin."""

    waived: ClassVar = {"test_what_was_created_is_read_back": "a reason"}
    errs_in = "test_what_was_created_is_read_back"

    @pytest.fixture
    def store(self) -> Any:
        raise ConnectionError("there is no such server")
