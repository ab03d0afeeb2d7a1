"""SageMaker's pipelines on this machine, ready for a stack: definitions are received from the real client, and carried out in containers.

    with sagemaker_engine(local_mode=True) as engine:
        orchestrator = SageMakerOrchestrator(**engine.configuration)

`local_mode`: by the local mode of SageMaker's own SDK, one step after the other; else several at once. Workers have the credentials of their
role, so an S3 store beside it has no key of its own; who submits takes those in `variables`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from emulator import Emulator, emulator
from local_mode_service import LocalModeService, missing
from pipelines_service import PipelineService
from sagemaker_service import ACCOUNT, REGION, ROLE, serving

VARIABLES = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing-secret-8f3a", "AWS_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true"}


class Unavailable(Exception):
    """Why it cannot be had on this machine."""


@dataclass(frozen=True)
class Engine:
    """`configuration`: of the orchestrator. `store`: of an S3 store, without its path, whose bucket is `trial`."""

    service: PipelineService
    configuration: Mapping[str, Any]
    store: Mapping[str, Any]
    variables: Mapping[str, str] = field(default_factory=lambda: dict(VARIABLES))


@contextmanager
def sagemaker_engine(*, local_mode: bool = False) -> Iterator[Engine]:
    """Raises Unavailable, or dovetail_docker.testing's."""
    from dovetail_docker.testing import DockerEngine, mounted_sources, python_image

    reason = missing() if local_mode else None
    if reason is not None:
        raise Unavailable(reason)
    with ExitStack() as stack:
        docker, moto = stack.enter_context(DockerEngine()), stack.enter_context(emulator())
        _make_role(moto)
        name = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/dovetail"
        docker.client().images.get(python_image(docker)).tag(name, "trial")
        made = (LocalModeService if local_mode else PipelineService)(moto.port, docker, mounted_sources())
        stack.enter_context(serving(made))
        place = {"endpoint_url": made.url, "region": REGION}
        yield Engine(made, {**place, "role": ROLE, "image": f"{name}:trial", "python": f"{sys.prefix}/bin/python", "poll": 0.1}, place)


def _make_role(moto: Emulator) -> None:
    from botocore.session import Session

    session = Session()
    session.set_credentials("testing", VARIABLES["AWS_SECRET_ACCESS_KEY"])
    trust = {"Statement": [{"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
    client = session.create_client("iam", region_name=REGION, endpoint_url=moto.url)
    client.create_role(RoleName=ROLE.rpartition("/")[2], AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", **trust}))
