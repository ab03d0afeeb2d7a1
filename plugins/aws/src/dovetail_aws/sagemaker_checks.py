"""What is wrong with how SageMaker is configured, as far as its own services tell."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Protocol
from urllib.parse import unquote

from dovetail_aws.sagemaker_pipeline_options import SageMakerPipelineOptions
from dovetail_aws.sagemaker_runner import SageMakerRunner
from dovetail_aws.service_errors import Absent, AwsError, explained, policy, trust, trusting

_SERVICE = "sagemaker.amazonaws.com"
_CLOCK = "scheduler.amazonaws.com"


def problems(options: SageMakerRunner) -> Iterator[str]:
    try:
        with explained(options.where, f"{options.job_type} jobs"):
            getattr(options.service("sagemaker"), f"list_{options.job_type}_jobs")(MaxResults=1)
    except AwsError as error:
        yield str(error)
        return
    yield from role_problems(options)
    found = options.image_problem(options.image) if options.image is not None else None
    if found is not None:
        yield found


def pipeline_problems(options: SageMakerPipelineOptions) -> Iterator[str]:
    """What else keeps an orchestrator from its work, where single jobs would run."""
    try:
        with explained(options.where, "pipelines"):
            options.service("sagemaker").list_pipelines(MaxResults=1)
    except AwsError as error:
        yield str(error)
        return
    if options.schedule_role is not None:
        yield from _clock_problems(options, options.schedule_role)


def _clock_problems(options: SageMakerPipelineOptions, schedule_role: str) -> Iterator[str]:
    name = schedule_role.rpartition("/")[2]
    try:
        with explained("IAM", f"role {name}"):
            role = options.service("iam").get_role(RoleName=name)["Role"]
    except Absent:
        yield f"There is no role {schedule_role}. Correct `schedule_role` (`aws iam list-roles`), or leave it out."
        return
    except AwsError:
        return
    if not _trusts(role["AssumeRolePolicyDocument"], _CLOCK):
        yield f"{_CLOCK} may not assume role {schedule_role}, so that no schedule could start anything. {trusting(schedule_role, _CLOCK)}."


class HasRole(Protocol):
    role: str

    def service(self, name: str) -> Any: ...


def role_problems(options: HasRole) -> Iterator[str]:
    """Nothing where IAM may not be asked: then the first job tells."""
    name = options.role.rpartition("/")[2]
    try:
        with explained("IAM", f"role {name}"):
            role = options.service("iam").get_role(RoleName=name)["Role"]
    except Absent:
        yield f"There is no role {options.role}. Correct `role` (`aws iam list-roles`), or make it: {_made(name)}."
        return
    except AwsError:
        return
    if not _trusts(role["AssumeRolePolicyDocument"]):
        yield f"{_SERVICE} may not assume role {options.role}. {trusting(options.role)}."
        return
    yield from _passing_problems(options)


def _trusts(policy: Any, service: str = _SERVICE) -> bool:
    found = policy if isinstance(policy, dict) else json.loads(unquote(policy))
    statements = found.get("Statement", [])
    for statement in statements if isinstance(statements, list) else [statements]:
        principal = statement.get("Principal", {})
        services = principal.get("Service", []) if isinstance(principal, dict) else [principal]
        named = services if isinstance(services, list) else [services]
        if statement.get("Effect") == "Allow" and (service in named or "*" in named):
            return True
    return False


def _passing_problems(options: HasRole) -> Iterator[str]:
    """Whether who submits may give the role to SageMaker, as IAM's own simulation says."""
    try:
        with explained("IAM", "whether the role may be passed"):
            who = str(options.service("sts").get_caller_identity()["Arn"])
            told = options.service("iam").simulate_principal_policy(
                PolicySourceArn=_policy_source(who), ActionNames=["iam:PassRole"], ResourceArns=[options.role],
                ContextEntries=[{"ContextKeyName": "iam:PassedToService", "ContextKeyValues": [_SERVICE], "ContextKeyType": "string"}],
            )  # fmt: skip
    except AwsError:
        return
    if any(each["EvalDecision"] != "allowed" for each in told["EvaluationResults"]):
        kind, name = ("user", who.rpartition("/")[2]) if ":user/" in who else ("role", _policy_source(who).rpartition("/")[2])
        allowed = policy("iam:PassRole", options.role)
        yield (
            f"{who} may not pass role {options.role} to SageMaker. Allow iam:PassRole: "
            f"`aws iam put-{kind}-policy --{kind}-name {name} --policy-name dovetail-PassRole --policy-document '{allowed}'`."
        )


def _policy_source(who: str) -> str:
    """The role behind a session, which is whose policies count."""
    if ":assumed-role/" not in who:
        return who
    _, partition, _, _, account, rest = who.split(":", 5)
    return f"arn:{partition}:iam::{account}:role/{rest.split('/')[1]}"


def _made(name: str) -> str:
    return f"`aws iam create-role --role-name {name} --assume-role-policy-document '{trust(_SERVICE)}'`"
