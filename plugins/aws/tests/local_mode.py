"""Runs one request by SageMaker's own local mode: `python local_mode.py VERB REQUEST CONFIGURATION`, a verb of the client, and two files.

It is a process of its own, as the SDK sets up logging, reads configuration and warns when it is imported.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from local_pipelines import CONFIGURATION


def main(verb: str, request: Path, configuration: Path) -> None:
    configuration.write_text(CONFIGURATION)
    os.environ.update(SAGEMAKER_USER_CONFIG_OVERRIDE=str(configuration), SAGEMAKER_ADMIN_CONFIG_OVERRIDE=str(configuration))
    os.environ.setdefault("AWS_DEFAULT_REGION", os.environ["AWS_REGION"])
    import boto3
    from sagemaker.local import LocalSession, image
    from sagemaker.telemetry import telemetry_logging

    def told(*_: Any, **__: Any) -> None:
        print("telemetry?", file=sys.stderr)

    telemetry_logging._requests_helper = told
    made = image._SageMakerContainer._create_docker_host

    def on_this_network(*given: Any, **named: Any) -> dict[str, Any]:
        """The tests' engine has no network of its own."""
        host = dict(made(*given, **named))
        host.pop("networks", None)
        return {**host, "network_mode": "host"}

    image._SageMakerContainer._create_docker_host = on_this_network
    client = LocalSession(boto_session=boto3.Session()).sagemaker_client
    getattr(client, verb)(**json.loads(request.read_text()))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
