"""What keeps a job from starting or running is told in a sentence with the command that cures it, and by the check where it can be known before."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import botocore.exceptions
import pytest

from conftest import KEYS, make_role
from dovetail.components import Job
from dovetail.errors import ConfigurationError, DovetailError
from dovetail.stack.checks import DEADLINE
from dovetail_aws.sagemaker_step_operator import SageMakerStepOperator
from dovetail_aws.service_errors import AwsError, Denied, Unreachable, translated
from emulator import Emulator, free_port
from sagemaker_service import LIFE, REGION, ROLE, SageMakerService

IMAGE = f"123456789012.dkr.ecr.{REGION}.amazonaws.com/dovetail:1"
JOB = Job("train-1", ["x"])
CREATE = "CreateProcessingJob"
USER = "arn:aws:iam::123456789012:user/ci/jane"
SESSION = "arn:aws:sts::123456789012:assumed-role/Builder/session"

Make = Callable[..., SageMakerStepOperator]


@pytest.fixture
def make(sagemaker: SageMakerService) -> Make:
    def make(**given: Any) -> SageMakerStepOperator:
        all_given = {"role": ROLE, "endpoint_url": sagemaker.url, "region": REGION, "image": IMAGE, "poll": 0.05, **KEYS, **given}
        made = SageMakerStepOperator(**{name: value for name, value in all_given.items() if value is not None})
        return made.called("sagemaker", "sagemaker")  # type: ignore[return-value]

    return make


SAID = [
    ("UnrecognizedClientException", "The security token included in the request is invalid.", Denied, r"aws sts get-caller-identity.*`region` is enabled"),
    ("ExpiredTokenException", "The security token included in the request is expired", Denied, "Sign in again"),
    (
        "AccessDeniedException", f"User: {USER} is not authorized to perform: sagemaker:CreateProcessingJob on resource: arn:aws:sagemaker:x:1:y/z because no",
        Denied, r"Allow sagemaker:CreateProcessingJob: `aws iam put-user-policy --user-name jane --policy-name dovetail-CreateProcessingJob --policy-document '\{.*y/z.*\}'`",
    ),
    (
        "AccessDeniedException", f"User: {SESSION} is not authorized to perform: iam:PassRole on resource: {ROLE} because no identity-based policy allows it",
        Denied, rf"Allow iam:PassRole: `aws iam put-role-policy --role-name Builder --policy-name dovetail-PassRole .*{ROLE}",
    ),
    (
        "ValidationException", f"Could not assume role {ROLE}. Please ensure that the role exists and allows principal 'sagemaker.amazonaws.com' to assume the role.",
        Denied, "aws iam update-assume-role-policy --role-name dovetail --policy-document .*sagemaker.amazonaws.com",
    ),
    (
        "ResourceLimitExceeded",
        "The account-level service limit 'ml.p3.2xlarge for processing job usage' is 2 Instances, with current utilization of 2 Instances and a request delta of 1 Instances.",
        AwsError, r"quota 'ml.p3.2xlarge for processing job usage' is too low: `aws service-quotas request-service-quota-increase --service-code sagemaker --desired-value 3 .*QuotaName=='ml.p3.2xlarge for",
    ),
    ("ThrottlingException", "Rate exceeded", Unreachable, "Try again later"),
    ("InternalFailure", "", Unreachable, "Try again later"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "message", "kind", "cure"), SAID, ids=[f"{code} {number}" for number, (code, *_) in enumerate(SAID)])
def test_what_sagemaker_refuses_is_told_with_its_cure(make: Make, sagemaker: SageMakerService, code: str, message: str, kind: type[Exception], cure: str) -> None:
    with sagemaker.refusing(CREATE, code, message), pytest.raises(kind, match=cure) as raised:
        make(attempts=1).start(JOB)
    assert type(raised.value) is kind
    assert isinstance(raised.value, DovetailError)
    assert f"SageMaker in {REGION} at {sagemaker.url} refused {CREATE} of job train-1 ({code}" in str(raised.value)


def test_the_policies_in_cures_are_json(make: Make, sagemaker: SageMakerService) -> None:
    for code, message, _, cure in SAID:
        if "--policy-document" in cure:
            with sagemaker.refusing(CREATE, code, message), pytest.raises(Denied) as raised:
                make().start(JOB)
            policy = re.search(r"--policy-document '(.*?)'`", str(raised.value))
            assert policy is not None
            assert json.loads(policy[1])["Statement"][0]["Effect"] == "Allow"


def test_no_error_of_the_client_library_gets_through_as_it_is() -> None:
    made = 0
    for name in dir(botocore.exceptions):
        cls = getattr(botocore.exceptions, name)
        if isinstance(cls, type) and issubclass(cls, botocore.exceptions.BotoCoreError):
            error = cls.__new__(cls)
            Exception.__init__(error, "what it says")
            told = translated(error, "SageMaker", "job a")
            assert isinstance(told, AwsError), name
            assert "what it says" in str(told)
            made += 1
    assert made > 50


# -- the check -------------------------------------------------------------------------------------------------------------


def test_the_check_finds_nothing_wrong(make: Make) -> None:
    assert make().check() == []


def test_the_check_finds_that_nobody_listens_within_its_deadline(make: Make) -> None:
    began = time.monotonic()
    (problem,) = make(endpoint_url=f"http://127.0.0.1:{free_port()}").check()
    assert time.monotonic() - began < DEADLINE
    assert "Could not connect to the endpoint URL" in problem
    assert f"SageMaker in {REGION}" in problem


def test_the_check_without_a_network_ends_and_names_what_it_could_not_reach() -> None:
    """Where packets are lost without a word."""
    began = time.monotonic()
    operator = SageMakerStepOperator(role=ROLE, endpoint_url="http://192.0.2.1:9", region=REGION, **KEYS)
    (problem,) = operator.check()
    assert time.monotonic() - began < DEADLINE
    assert "192.0.2.1:9" in problem


def test_the_check_finds_missing_credentials_and_a_missing_region(sagemaker: SageMakerService) -> None:
    (problem,) = SageMakerStepOperator(role=ROLE, endpoint_url=sagemaker.url, region=REGION).check()
    assert "Unable to locate credentials" in problem
    assert "AWS_ACCESS_KEY_ID" in problem
    (problem,) = SageMakerStepOperator(role=ROLE, endpoint_url=sagemaker.url, **KEYS).check()
    assert problem.endswith("Set `region`, or AWS_REGION.")


def test_the_check_finds_a_role_that_is_not_there(make: Make) -> None:
    (problem,) = make(role=f"{ROLE}-nobody").check()
    assert f"There is no role {ROLE}-nobody" in problem
    assert "`aws iam create-role --role-name dovetail-nobody" in problem


def test_the_check_finds_a_role_that_sagemaker_may_not_assume(make: Make, s3: Emulator) -> None:
    (problem,) = make(role=make_role(s3.url, "for-lambda", "lambda.amazonaws.com")).check()
    assert "sagemaker.amazonaws.com may not assume role" in problem
    assert "aws iam update-assume-role-policy --role-name for-lambda" in problem


def test_the_check_finds_that_the_role_may_not_be_passed(make: Make, sagemaker: SageMakerService) -> None:
    sagemaker.may_pass = False
    (problem,) = make().check()
    assert "may not pass role" in problem
    assert "Allow iam:PassRole: `aws iam put-" in problem


def test_a_region_is_that_of_the_surroundings(sagemaker: SageMakerService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    operator = SageMakerStepOperator(role=ROLE, endpoint_url=sagemaker.url, image=IMAGE, **KEYS)
    with pytest.raises(ConfigurationError, match="jobs in eu-west-3"):
        operator.start(JOB)


# -- jobs that ended -------------------------------------------------------------------------------------------------------


def test_why_a_job_failed_is_told(make: Make, sagemaker: SageMakerService) -> None:
    running = make(instance_type="ml.m5.large").start(JOB)
    held = sagemaker.jobs["Processing/train-1"]
    assert running.wait(0.1) is None
    held.status, held.failure, held.message = "Failed", "AlgorithmError: See job logs for more information", "exit code 137"
    assert running.wait(1) == 137
    assert "It was killed, as for want of memory on ml.m5.large of 8 GiB. Ask for more: Resources(memory=…)." in running.explain()
    held.failure = "CapacityError: Unable to provision requested ML compute capacity"
    held.message = ""
    assert "Try again later, or ask for another `instance_type`" in running.explain()
    held.failure = "ClientError: Failed to download image"
    assert "Allow ecr:BatchGetImage and ecr:GetDownloadUrlForLayer" in running.explain()


def test_a_log_that_may_not_be_read_is_no_end_of_the_explanation(make: Make, sagemaker: SageMakerService) -> None:
    running = make().start(JOB)
    held = sagemaker.jobs["Processing/train-1"]
    held.status, held.failure = "Failed", "AlgorithmError: what happened"
    message = f"User: {USER} is not authorized to perform: logs:DescribeLogStreams on resource: x"
    with sagemaker.refusing("DescribeLogStreams", "AccessDeniedException", message):
        said = running.explain()
    assert "SageMaker says: AlgorithmError: what happened." in said
    assert "Allow logs:DescribeLogStreams" in said


def test_an_image_without_the_plugin_is_told(make: Make, sagemaker: SageMakerService) -> None:
    running = make().start(JOB)
    held = sagemaker.jobs["Processing/train-1"]
    held.status = "Failed"
    sagemaker.logs["/aws/sagemaker/ProcessingJobs/train-1/algo-1-1"] = [
        "python: Error while finding module specification for 'dovetail_aws.sagemaker_entry' (ModuleNotFoundError: No module named 'dovetail_aws')"
    ]
    assert running.wait(1) == 1
    assert "dovetail-aws is not installed in the image" in running.explain()


def test_a_job_that_is_gone_has_ended(make: Make, sagemaker: SageMakerService) -> None:
    running = make().start(JOB)
    sagemaker.jobs.clear()
    assert running.wait(1) == -1
    assert running.explain() == "SageMaker does not know the job any more."
    running.stop()


def test_how_a_job_fares_is_asked_no_oftener_than_configured(make: Make, sagemaker: SageMakerService) -> None:
    running = make(poll=0.3).start(JOB)
    began = time.monotonic()
    while time.monotonic() - began < 1.0:
        assert running.wait(0.02) is None
    assert 2 <= [verb for verb, _ in sagemaker.requests].count("DescribeProcessingJob") <= 4


def test_one_of_many_who_ask_for_a_job_starts_it_and_all_have_it(make: Make, sagemaker: SageMakerService) -> None:
    running = [make().start(JOB) for _ in range(3)]
    assert len({each.address for each in running}) == 1
    assert len(sagemaker.jobs) == 1


# -- credentials -----------------------------------------------------------------------------------------------------------


def test_a_job_is_followed_for_longer_than_a_token_lives(sagemaker: SageMakerService, monkeypatch: pytest.MonkeyPatch) -> None:
    """`DOVETAIL_LONG_TESTS=1` has it go on for two minutes."""
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{sagemaker.url}/role-credentials")
    operator = SageMakerStepOperator(role=ROLE, endpoint_url=sagemaker.url, region=REGION, image=IMAGE, poll=0.2)
    running = operator.start(JOB)
    lasts = 120.0 if os.environ.get("DOVETAIL_LONG_TESTS") else 2.5 * (LIFE + 1)
    began = time.monotonic()
    while time.monotonic() - began < lasts:
        assert running.wait(0.5) is None
    sagemaker.jobs["Processing/train-1"].status = "Completed"
    assert running.wait(5) == 0
    keys = {key for verb, key in sagemaker.signed_by if verb == "DescribeProcessingJob"}
    assert len(keys) >= 3
    assert keys <= set(sagemaker.issued)


def test_fields_and_help_are_read_without_the_client_library() -> None:
    code = (
        "import sys, dovetail_aws\n"
        "from dovetail.registry import Registry\n"
        "for each in [f for name in dir(dovetail_aws) if name.startswith('dovetail_') for f in getattr(dovetail_aws, name)()]:\n"
        "    module, _, name = each.target.partition(':')\n"
        "    cls = getattr(__import__(module, fromlist=[name]), name)\n"
        "    assert cls.capabilities is not None and cls.__doc__\n"
        "sys.exit(any(name.partition('.')[0] in ('botocore', 'boto3') for name in sys.modules))\n"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
