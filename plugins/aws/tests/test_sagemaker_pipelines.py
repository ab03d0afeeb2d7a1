"""Every setting of a pipeline and its steps is in the definition that SageMaker received; what that cannot say is refused before."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

import pytest

from conftest import KEYS, asking, make_role
from dovetail.components import Job, JobGraph, Secret
from dovetail.errors import ConfigurationError
from dovetail.values.settings import Resources, Schedule
from dovetail.worker import BEGINNING
from dovetail_aws.sagemaker_orchestrator import SageMakerOrchestrator
from dovetail_aws.sagemaker_requests import request_of
from dovetail_aws.service_errors import AwsError, Denied, Unreachable
from emulator import Emulator
from pipelines_service import PipelineService, knows_versions
from sagemaker_service import REGION, ROLE, SageMakerService, serving
from test_sagemaker_requests import IMAGE, SETTINGS, TRAINING, TRAINING_SETTINGS, at

pytestmark = pytest.mark.skipif(not knows_versions(), reason="this botocore knows no versions of pipelines, which 1.40 does")
STEP_SETTINGS = [each for each in SETTINGS if "secrets_in" not in each[0]]  # no definition has secrets
TRAINING_STEP_SETTINGS = [each for each in TRAINING_SETTINGS if "secrets_in" not in each[0]]
LABELS = {"dovetail.run": "01j", "dovetail.run-name": "diamond-1", "dovetail.pipeline": "diamond", "dovetail.stack": "aws", "dovetail.tag.nightly": ""}
LOAD = Job("load-01j", ["-m", "dovetail.execution", "s3:///runs/x", "load", "--in-graph"], labels={**LABELS, "dovetail.step": "load"})
TRAIN = Job("train-01j", ["-m", "dovetail.execution", "s3:///runs/x", "train", "--in-graph"], labels={**LABELS, "dovetail.step": "train"}, after=["load-01j"])
Make = Callable[..., SageMakerOrchestrator]


def graph(*jobs: Job, name: str = "diamond-01j", **more: Any) -> JobGraph:
    return JobGraph(name, "diamond", "01j", jobs or (LOAD, TRAIN), labels=LABELS, **more)


@pytest.fixture
def service(s3: Emulator, role: str) -> Iterator[PipelineService]:
    """It notes what it is asked for, and runs nothing."""
    with serving(PipelineService(s3.port)) as running:
        yield running  # type: ignore[misc]


@pytest.fixture
def make(service: PipelineService) -> Make:
    def make(**given: Any) -> SageMakerOrchestrator:
        all_given = {"role": ROLE, "endpoint_url": service.url, "region": REGION, "image": IMAGE, "poll": 0.02, **KEYS, **given}
        made = SageMakerOrchestrator(**{name: value for name, value in all_given.items() if value is not None})
        return made.called("sagemaker", "sagemaker")  # type: ignore[return-value]

    return make


def received(service: PipelineService) -> dict[str, Any]:
    """The definition of what was started last."""
    execution = list(service.executions.values())[-1]
    found: dict[str, Any] = json.loads(execution.definition)
    return found


def arguments(service: PipelineService, orchestrator: SageMakerOrchestrator, job: Job = LOAD) -> dict[str, Any]:
    orchestrator.start(graph(job))
    found: dict[str, Any] = received(service)["Steps"][0]["Arguments"]
    return found


# -- the definition --------------------------------------------------------------------------------------------------------


def test_a_graph_is_a_definition_of_its_jobs_in_their_order(make: Make, service: PipelineService) -> None:
    make().start(graph())
    assert received(service) == {
        "Version": "2020-12-01", "Metadata": {}, "Parameters": [], "PipelineExperimentConfig": None,
        "Steps": [
            {"Name": "load-01j", "Type": "Processing", "DisplayName": "load", "Arguments": _arguments("load")},
            {"Name": "train-01j", "Type": "Processing", "DisplayName": "train", "Arguments": _arguments("train"), "DependsOn": ["load-01j"]},
        ],
    }  # fmt: skip


def _arguments(step: str) -> dict[str, Any]:
    tags = {**LABELS, "dovetail.step": step}
    return {
        "ProcessingResources": {"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.t3.medium", "VolumeSizeInGB": 30}},
        "AppSpecification": {
            "ImageUri": IMAGE, "ContainerEntrypoint": ["python", "-m", "dovetail_aws.sagemaker_entry"],
            "ContainerArguments": ["-m", "dovetail.execution", "s3:///runs/x", step, "--in-graph"],
        },
        "Environment": {}, "RoleArn": ROLE, "StoppingCondition": {"MaxRuntimeInSeconds": 86_400},
        "Tags": [{"Key": name, "Value": value} for name, value in tags.items()],
    }  # fmt: skip


def test_a_training_step_is_the_request_of_the_job_without_its_name(make: Make, service: PipelineService) -> None:
    orchestrator = make(**TRAINING, keep_alive=900)
    orchestrator.start(graph(LOAD))
    wanted = request_of(orchestrator, LOAD)
    del wanted["TrainingJobName"]
    assert received(service)["Steps"] == [{"Name": "load-01j", "Type": "Training", "DisplayName": "load", "Arguments": wanted}]
    assert wanted["ResourceConfig"]["KeepAlivePeriodInSeconds"] == 900


@pytest.mark.parametrize("said_by", ["configuration", "settings of the step"])
@pytest.mark.parametrize(("given", "place", "wanted"), STEP_SETTINGS, ids=[" ".join(given) for given, _, _ in STEP_SETTINGS])
def test_a_setting_is_in_the_processing_step(make: Make, service: PipelineService, given: dict[str, Any], place: str, wanted: Any, said_by: str) -> None:
    orchestrator, job = (make(**given), LOAD) if said_by == "configuration" else (make(), Job("load-01j", ["x"], settings=given))
    assert at(arguments(service, orchestrator, job), place) == wanted


@pytest.mark.parametrize("said_by", ["configuration", "settings of the step"])
@pytest.mark.parametrize(("given", "place", "wanted"), TRAINING_STEP_SETTINGS, ids=[" ".join(given) for given, _, _ in TRAINING_STEP_SETTINGS])
def test_a_setting_is_in_the_training_step(make: Make, service: PipelineService, given: dict[str, Any], place: str, wanted: Any, said_by: str) -> None:
    given = {**TRAINING, **given}
    orchestrator, job = (make(**given), LOAD) if said_by == "configuration" else (make(), Job("load-01j", ["x"], settings=given))
    assert at(arguments(service, orchestrator, job), place) == wanted


def test_no_field_is_without_a_test_of_what_it_does() -> None:
    of_connections = {"region", "endpoint_url", "profile", "key", "secret", "token", "connect_timeout", "read_timeout", "attempts"}
    tried = {name for given, _, _ in (*STEP_SETTINGS, *TRAINING_STEP_SETTINGS) for name in given} | {"job_type", "poll"}
    of_pipelines = {"prefix", "parallel_steps", "schedule_role"}
    assert {each.name for each in fields(SageMakerOrchestrator)} - of_connections == tried | of_pipelines


def test_a_step_has_what_it_asks_for(make: Make, service: PipelineService) -> None:
    job = Job(
        "train-01j", ["-c", "pass"], image=IMAGE, variables={"A": "1"}, timeout=90.5, retries=2,
        resources=Resources(cpu=3.5, memory="20GiB", disk="100GiB"), labels=TRAIN.labels,
    )  # fmt: skip
    make().start(graph(job))
    (step,) = received(service)["Steps"]
    assert step["Arguments"]["ProcessingResources"]["ClusterConfig"] == {"InstanceCount": 1, "InstanceType": "ml.r5.xlarge", "VolumeSizeInGB": 100}
    assert step["Arguments"]["StoppingCondition"] == {"MaxRuntimeInSeconds": 91 + int(BEGINNING)}
    assert step["Arguments"]["Environment"] == {"A": "1"}
    assert step["Arguments"]["AppSpecification"]["ContainerArguments"] == ["--dovetail-retries", "2", "-c", "pass"]
    assert step["RetryPolicies"] == [
        {
            "ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR", "SageMaker.CAPACITY_ERROR", "SageMaker.RESOURCE_LIMIT"],
            "IntervalSeconds": 30, "BackoffRate": 2.0, "MaxAttempts": 2,
        }
    ]  # fmt: skip


def test_more_retries_than_a_policy_may_have_are_left_to_the_container(make: Make, service: PipelineService) -> None:
    make().start(graph(Job("a", ["x"], retries=50)))
    (step,) = received(service)["Steps"]
    assert step["RetryPolicies"][0]["MaxAttempts"] == 20
    assert step["Arguments"]["AppSpecification"]["ContainerArguments"] == ["--dovetail-retries", "50", "x"]


def test_a_run_that_goes_on_after_failures_says_so_to_each_container(make: Make, service: PipelineService) -> None:
    make().start(graph(keep_going=True))
    assert [step["Arguments"]["AppSpecification"]["ContainerArguments"][0] for step in received(service)["Steps"]] == ["--dovetail-go-on"] * 2


def test_each_step_has_its_own_image_and_machine(make: Make, service: PipelineService) -> None:
    jobs = Job("a", ["x"], image=IMAGE + "a"), Job("b", ["x"], image=IMAGE + "b", settings={**TRAINING, "spot": True})
    make().start(graph(*jobs))
    first, second = received(service)["Steps"]
    assert (first["Type"], first["Arguments"]["AppSpecification"]["ImageUri"]) == ("Processing", IMAGE + "a")
    assert (second["Type"], second["Arguments"]["AlgorithmSpecification"]["TrainingImage"]) == ("Training", IMAGE + "b")


# -- the pipeline ----------------------------------------------------------------------------------------------------------


def test_a_pipeline_has_its_role_tags_and_parallelism(make: Make, service: PipelineService) -> None:
    make(tags={"team": "fraud"}, parallel_steps=3, prefix="risk").start(graph())
    made, started = service.sent("CreatePipeline"), service.sent("StartPipelineExecution")
    assert (made["PipelineName"], made["RoleArn"], made["PipelineDescription"]) == ("risk-diamond", ROLE, "Pipeline diamond of Dovetail")
    assert {each["Key"]: each["Value"] for each in made["Tags"]} == {"dovetail.pipeline": "diamond", "dovetail.stack": "aws", "team": "fraud"}
    assert made["ParallelismConfiguration"] == started["ParallelismConfiguration"] == {"MaxParallelExecutionSteps": 3}
    assert started["PipelineExecutionDisplayName"] == "diamond-01j"
    make(tags={"team": "risk"}, prefix="risk").start(graph(name="diamond-02j"))
    assert list(service.tags.values())[0]["team"] == "risk"


def test_runs_of_a_pipeline_are_executions_of_one(make: Make, service: PipelineService) -> None:
    addresses = [make().start(graph(LOAD, name=f"diamond-0{number}j")).address for number in range(3)]
    assert len(set(addresses)) == 3
    assert len({address.partition("/execution/")[0] for address in addresses}) == 1
    assert [request.get("PipelineVersionId") for verb, request in service.requests if verb == "StartPipelineExecution"] == [1, 2, 3]


def test_of_two_who_submit_at_once_each_starts_its_own_definition(make: Make, service: PipelineService) -> None:
    make().start(graph(LOAD, name="first"))
    both = threading.Barrier(2)
    update = service.UpdatePipeline

    def together(request: dict[str, Any]) -> dict[str, Any]:
        told = update(request)
        both.wait(20)
        return told

    service.UpdatePipeline = together  # type: ignore[method-assign]
    names = ["one", "two"]
    threads = [threading.Thread(target=make().start, args=(graph(Job(f"{name}-job", ["x"]), name=name),)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    found = {each.request["PipelineExecutionDisplayName"]: json.loads(each.definition)["Steps"][0]["Name"] for each in service.executions.values()}
    assert found == {"first": "load-01j", "one": "one-job", "two": "two-job"}


def test_two_who_make_a_pipeline_at_once_have_one_with_two_versions(make: Make, service: PipelineService) -> None:
    update, made = service.UpdatePipeline, []

    def meanwhile(request: dict[str, Any]) -> dict[str, Any]:
        if not made:
            made.append(request)
            told = service.CreatePipeline({**request, "PipelineDefinition": json.dumps({"Version": "2020-12-01", "Steps": []})})
            assert told
            from sagemaker_service import Refused

            raise Refused("ResourceNotFound", "Pipeline does not exist.")
        return update(request)

    service.UpdatePipeline = meanwhile  # type: ignore[method-assign]
    make().start(graph(LOAD))
    assert service.sent("StartPipelineExecution")["PipelineVersionId"] == 2
    assert received(service)["Steps"][0]["Name"] == "load-01j"


def test_who_asks_again_has_the_same_execution(make: Make, service: PipelineService) -> None:
    first = make().start(graph())
    assert make().start(graph()).address == first.address
    listed = service.ListPipelineExecutions
    service.ListPipelineExecutions = lambda request: {"PipelineExecutionSummaries": []}  # type: ignore[method-assign]  # it lags behind
    with pytest.raises(Unreachable, match="ConflictException"):  # so that it is asked again
        make().start(graph())
    service.ListPipelineExecutions = listed  # type: ignore[method-assign]
    assert make().start(graph()).address == first.address
    assert len(service.executions) == 1


def test_an_execution_is_found_by_its_address_and_told_how_it_fares(make: Make, service: PipelineService) -> None:
    address = make().start(graph()).address
    running = make().find(address)
    assert running.address == address
    assert running.wait(0.05) is None
    running.stop()
    assert running.wait(5) == 143
    running.stop()
    for status, code in {"Succeeded": 0, "Failed": 1, "CompletedWithFailures": 1, "Stopped": 143}.items():
        service.executions[address].status = status
        assert make().find(address).wait(5) == code
    gone = make().find(address + "9")
    assert gone.wait(5) == -1
    gone.stop()
    assert gone.explain() == "SageMaker does not know the execution any more."


def test_what_failed_is_told_of_all_pages_with_its_log(make: Make, service: PipelineService) -> None:
    jobs = [Job(f"job-{number}", ["x"], labels={"dovetail.step": f"step {number}"}) for number in range(5)]
    running = make().start(graph(*jobs))
    execution = service.executions[running.address]
    for step in execution.steps:
        step.status = "Succeeded"
    held = service.begin("Processing", {**execution.steps[4].definition["Arguments"], "ProcessingJobName": "pipelines-x"})
    held.status, held.failure = "Failed", "AlgorithmError: See job logs"
    execution.status, execution.steps[4].status, execution.steps[4].held = "Failed", "Failed", held
    execution.steps[4].failure = "ClientError: AlgorithmError: See job logs"
    service.logs["/aws/sagemaker/ProcessingJobs/pipelines-x/algo-1-0"] = ["Killed by something"]
    said = running.explain()
    assert "Step step 4: ClientError: AlgorithmError" in said
    assert "Killed by something" in said
    with service.refusing("ListPipelineExecutionSteps", "AccessDeniedException", "not authorized to perform: sagemaker:ListPipelineExecutionSteps"):
        assert "One or multiple steps failed" in running.explain()


# -- refused before anything is submitted ----------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{"region": "us-east-1"}, {"endpoint_url": "http://x"}, {"poll": 1.0}, {"prefix": "x"}, {"parallel_steps": 2}, {"schedule_role": ROLE}])
def test_what_all_steps_share_is_no_setting_of_one(make: Make, service: PipelineService, settings: dict[str, Any]) -> None:
    said = "is the same for all steps of a pipeline. Set it for the orchestrator"
    with pytest.raises(ConfigurationError, match=said):
        make().start(graph(Job("a", ["x"], settings=settings)))
    assert len(make().ill_fitting(Resources(), settings)) == 1
    assert service.requests == []


def test_secrets_are_in_no_definition(make: Make, service: PipelineService) -> None:
    with pytest.raises(ConfigurationError, match="shown to everybody who may describe it. Keep them in a secret store"):
        make().start(graph(Job("a", ["x"], secrets={"TOKEN": "planted-5f3"})))
    assert service.requests == []
    assert SageMakerOrchestrator.shows_variables
    make(key=Secret("AKIAPLANTED"), secret=Secret("planted-5f3")).start(graph(Job("a", ["x"], credentials={"AWS_SECRET_ACCESS_KEY": "planted-5f3"})))
    assert "planted-5f3" not in json.dumps(service.requests)


def test_a_definition_that_is_too_long_is_refused(make: Make, service: PipelineService) -> None:
    jobs = [Job(f"job-{number}", ["x"], variables={f"V{each}": "x" * 250 for each in range(60)}) for number in range(70)]
    with pytest.raises(ConfigurationError, match="characters, and SageMaker takes 1048576. Make it of fewer steps"):
        make().start(graph(*jobs))
    assert service.requests == []


def test_what_no_machine_has_is_known_before_the_run(make: Make) -> None:
    assert make().ill_fitting(Resources(cpu=2), {}) == []
    assert "No instance type" in make().ill_fitting(Resources(gpu=9), {})[0]
    assert "ml.m5.large has 2 cores" in make().ill_fitting(Resources(cpu=8), {"instance_type": "ml.m5.large"})[0]
    assert "Training jobs need an `output_path`" in make().ill_fitting(Resources(), {"job_type": "training"})[0]


@pytest.mark.parametrize(("given", "said"), [({"parallel_steps": 0}, "1 or more"), ({"prefix": "-x"}, "beginning with a letter"), ({"prefix": "x" * 21}, "at most 20")])
def test_fields_that_cannot_be_are_refused(make: Make, given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        make(**given)


def test_a_refusal_says_what_cures_it(make: Make, service: PipelineService) -> None:
    arn = "arn:aws:iam::123456789012:user/ann is not authorized to perform: sagemaker:CreatePipeline on resource: arn:aws:sagemaker:x"
    with service.refusing("CreatePipeline", "AccessDeniedException", f"User: {arn}"), pytest.raises(Denied, match="put-user-policy --user-name ann"):
        make().start(graph())
    quota = "The account-level service limit 'Maximum number of steps allowed in a pipeline' is 50 Steps, with current utilization of 0 Steps and a request delta of 51 Steps."
    with service.refusing("CreatePipeline", "ResourceLimitExceeded", quota), pytest.raises(AwsError, match="request-service-quota-increase .*--desired-value 51"):
        make().start(graph())


# -- check -----------------------------------------------------------------------------------------------------------------


def test_a_check_asks_for_pipelines_and_for_the_clocks_role(make: Make, service: PipelineService, s3: Emulator) -> None:
    assert make().check() == []
    with service.refusing("ListPipelines", "AccessDeniedException", "not authorized to perform: sagemaker:ListPipelines"):
        assert ["sagemaker:ListPipelines" in problem for problem in make().check()] == [True]
    (problem,) = make(schedule_role=ROLE).check()
    assert "scheduler.amazonaws.com may not assume role" in problem
    assert "update-assume-role-policy --role-name dovetail" in problem
    clock = make_role(s3.url, "clock", "scheduler.amazonaws.com")
    assert make(schedule_role=clock).check() == []
    assert "There is no role" in make(schedule_role=f"{ROLE}-none").check()[0]


def test_a_check_without_a_network_ends_soon(make: Make) -> None:
    (problem,) = make(endpoint_url="http://127.0.0.1:9").check()
    assert "could not be asked" in problem


def test_reading_its_fields_imports_no_sdk() -> None:
    code = (
        "import sys, dataclasses; from dovetail_aws.sagemaker_orchestrator import SageMakerOrchestrator as S; "
        "[f.metadata for f in dataclasses.fields(S)]; S.capabilities; S.__doc__; sys.exit(any(n.partition('.')[0] in ('botocore', 'boto3') for n in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# -- moto ------------------------------------------------------------------------------------------------------------------


class _Versions(SageMakerService):
    """moto, and what it does not know."""

    def ListPipelineVersions(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"PipelineVersionSummaries": [{"PipelineArn": "arn", "PipelineVersionId": 1}]}


def test_moto_takes_a_pipeline_and_tells_it_as_it_was_asked_for(s3: Emulator, role: str, make: Make) -> None:
    with serving(_Versions(s3.port)) as front:
        orchestrator = make(endpoint_url=front.url, prefix="moto", tags={"team": "fraud"})
        first = orchestrator.start(graph())
        assert first.wait(5) == 0
        second = orchestrator.start(graph(LOAD, name="diamond-02j"))
        assert second.address != first.address
        assert orchestrator.start(graph()).address == first.address
        client = asking("sagemaker", s3.url)
        assert json.loads(client.describe_pipeline(PipelineName="moto-diamond")["PipelineDefinition"])["Steps"][0]["Name"] == "load-01j"
        assert client.describe_pipeline_execution(PipelineExecutionArn=first.address)["PipelineExecutionDisplayName"] == "diamond-01j"


# -- schedules -------------------------------------------------------------------------------------------------------------

NIGHTLY = Schedule(cron="30 2 * * 1-5", timezone="Europe/Berlin")
TICK = Job("schedule-diamond-1", ["-m", "dovetail.execution", "s3:///schedules/diamond/1", "--scheduled"])


def test_a_schedule_starts_a_pipeline_of_one_job_at_its_times(make: Make, service: PipelineService, s3: Emulator) -> None:
    orchestrator = make(schedule_role=f"{ROLE}-clock", prefix="s1")
    address = orchestrator.schedule("diamond", NIGHTLY, graph(TICK))
    clock = asking("scheduler", s3.url)
    found = clock.get_schedule(Name="s1-schedule-diamond")
    assert found["Arn"] == address
    assert (found["ScheduleExpression"], found["ScheduleExpressionTimezone"]) == ("cron(30 2 ? * 2-6 *)", "Europe/Berlin")
    assert (found["State"], found["FlexibleTimeWindow"]) == ("ENABLED", {"Mode": "OFF"})
    assert found["Target"]["Arn"] == "arn:aws:sagemaker:eu-central-1:123456789012:pipeline/s1-schedule-diamond"
    assert found["Target"]["RoleArn"] == f"{ROLE}-clock"
    assert service.executions == {}
    (step,) = json.loads(service.pipelines["s1-schedule-diamond"][-1]["PipelineDefinition"])["Steps"]
    assert step["Arguments"]["AppSpecification"]["ContainerArguments"] == TICK.command


def test_a_schedule_that_aws_cannot_say_is_refused_before_anything_is_made(make: Make) -> None:
    (problem,) = make().schedule_problems(Schedule(cron="0 3 13 * FRI"))
    assert "AWS takes one of both" in problem
    assert make().schedule_problems(NIGHTLY) == []


def test_a_schedule_of_the_same_name_is_replaced_and_can_be_ended(make: Make, s3: Emulator) -> None:
    orchestrator, clock = make(prefix="s2"), asking("scheduler", s3.url)
    first = orchestrator.schedule("diamond", NIGHTLY, graph(TICK))
    assert orchestrator.schedule("diamond", Schedule(cron="0 0 1 * *"), graph(TICK)) == first
    found = clock.get_schedule(Name="s2-schedule-diamond")
    assert (found["ScheduleExpression"], found["ScheduleExpressionTimezone"], found["Target"]["RoleArn"]) == ("cron(0 0 1 * ? *)", "UTC", ROLE)
    orchestrator.unschedule(first)
    assert [each["Name"] for each in clock.list_schedules(NamePrefix="s2")["Schedules"]] == []
    orchestrator.unschedule(first)
    with pytest.raises(ConfigurationError, match="is no schedule"):
        orchestrator.unschedule("arn:aws:sagemaker:x")
