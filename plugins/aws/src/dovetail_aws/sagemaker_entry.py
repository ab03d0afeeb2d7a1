"""The first process of a job's container: `python -m dovetail_aws.sagemaker_entry ARGUMENTS`.

SageMaker takes texts up to a length. What is longer comes in pieces, which are put together here. The worker runs as a child, so
that it can be told to end, and so that its exit code can be left where SageMaker finds it: a processing job tells no other.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import zlib
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import Any

PIECES = "--dovetail-pieces"  # before arguments that are pieces of a command
VARIABLE = "DOVETAIL_PIECE_"  # and a number: variables that hold pieces of variables
SECRETS = "DOVETAIL_SECRETS_AT"  # a variable: region and name of the secret that holds more variables
_THEIRS = "arn:aws:secretsmanager:*:*:secret:dovetail/jobs/*"
_TOLD = ("failure", "message")  # in this order read of training and of processing jobs, a kilobyte of each
_OUTPUT = Path("/opt/ml/output")


RETRIES = "--dovetail-retries"  # and how often a worker that was lost is started again; before all other arguments
GO_ON = "--dovetail-go-on"  # what waits for nothing of a failed step is started too, for which the job must not have failed
_NOT_LOST = (0, 1, 2)  # exit codes of workers that are not to be started again


def packed(value: Any) -> str:
    return base64.b64encode(zlib.compress(json.dumps(value).encode(), 9)).decode()


def unpacked(pieces: Sequence[str]) -> Any:
    return json.loads(zlib.decompress(base64.b64decode("".join(pieces))))


def take_command(arguments: Sequence[str]) -> list[str]:
    return list(unpacked(arguments[1:])) if arguments[:1] == [PIECES] else list(arguments)


def take_variables(environ: MutableMapping[str, str]) -> None:
    """Set the variables that came in pieces, and take the pieces away."""
    pieces: list[str] = []
    while (piece := environ.pop(f"{VARIABLE}{len(pieces)}", None)) is not None:
        pieces.append(piece)
    if pieces:
        environ.update(unpacked(pieces))


def take_secrets(environ: MutableMapping[str, str]) -> None:
    """Set the variables that lie in Secrets Manager, read with the credentials of the job's role."""
    place = environ.pop(SECRETS, None)
    if place is None:
        return
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.session import Session

    region, _, name = place.partition(":")
    try:
        told = Session().create_client("secretsmanager", region_name=region).get_secret_value(SecretId=name)
    except (BotoCoreError, ClientError) as error:
        cure = f"Allow secretsmanager:GetSecretValue on {_THEIRS} to the job's role, or set `secrets_in: environment`."
        sys.exit(f"The job's secrets cannot be read: {error}. {cure}")
    environ.update(json.loads(told["SecretString"]))


def take_options(arguments: Sequence[str]) -> tuple[int, bool, list[str]]:
    """Retries, whether to go on after a failure, and what is left of the arguments."""
    rest, retries = list(arguments), 0
    if rest[:1] == [RETRIES]:
        retries, rest = int(rest[1]), rest[2:]
    return (retries, True, rest[1:]) if rest[:1] == [GO_ON] else (retries, False, rest)


def main() -> int:
    retries, goes_on, arguments = take_options(sys.argv[1:])
    command = take_command(arguments)
    take_variables(os.environ)
    take_secrets(os.environ)
    code = _worked(command, retries)
    if code:
        _tell(code)
    return 0 if goes_on and code == 1 else code  # whose failure is in the ledger, where all that waits for it looks


def _worked(command: Sequence[str], retries: int) -> int:
    """The exit code of the worker, or of the last of them."""
    asked_to_end = False
    process: subprocess.Popen[bytes] | None = None

    def end(*_: object) -> None:
        nonlocal asked_to_end
        asked_to_end = True
        if process is not None:
            process.terminate()

    signal.signal(signal.SIGTERM, end)
    while True:
        process = subprocess.Popen([sys.executable, *command])
        if asked_to_end:  # before there was one to hand it on to
            process.terminate()
        code = process.wait()
        if code in _NOT_LOST or retries < 1 or asked_to_end:
            return 128 - code if code < 0 else code
        retries -= 1


def _tell(code: int) -> None:
    for name in _TOLD:
        with contextlib.suppress(OSError):
            _OUTPUT.mkdir(parents=True, exist_ok=True)
            (_OUTPUT / name).write_text(f"exit code {code}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
