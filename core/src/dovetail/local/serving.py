"""The server program of a local deployment, one process per replica: `python -m dovetail.local.serving FOLDER LISTENER CONTROL`.

LISTENER is the file number of the listening socket, CONTROL that of a socket to the deploying process. The server writes
its identity there when it is ready, and ends if CONTROL closes before a byte has come: nothing half-started is left.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dovetail.errors import DeploymentError, DovetailError
from dovetail.local.serving_data import library, pack, unpack
from dovetail.local.serving_folder import Serving, ServingFolder
from dovetail.local.serving_http import Endpoint, Refused, say
from dovetail.values.processes import process_identity

METHODS = ("predict", "predict_proba")


def main() -> None:
    folder, listener, control = sys.argv[1:]
    if os.fork():  # what deployed it need not wait for it to end
        os._exit(0)
    listening, deployer = socket.socket(fileno=int(listener)), socket.socket(fileno=int(control))
    for inherited in (listening, deployer):
        inherited.set_inheritable(False)
    threading.Thread(target=_end_if_abandoned, args=(deployer,), daemon=True).start()
    try:
        _serve(ServingFolder(Path(folder)), listening, deployer)
    except DovetailError as error:
        if error.__cause__ is not None:
            traceback.print_exception(error.__cause__)
        say(str(error))
        os._exit(1)


def _end_if_abandoned(deployer: socket.socket) -> None:
    try:
        kept = deployer.recv(1)
    except OSError:
        kept = b""
    if not kept:
        say("ended, since what deployed it ended or gave up before it was healthy")
        os._exit(1)


def _serve(folder: ServingFolder, listener: socket.socket, deployer: socket.socket) -> None:
    serving = folder.serving()
    signal.signal(signal.SIGTERM, _told_to_stop)
    model = load_model(serving)
    endpoint = Endpoint(listener, serving, folder.token(), lambda message: answer(model, message))
    try:
        threading.Thread(target=endpoint.serve_forever, args=(0.2,), daemon=True).start()
        say(f"process {os.getpid()} serves {serving.name!r} at {serving.url}")
        deployer.sendall(json.dumps(process_identity()).encode() + b"\n")
        while True:
            time.sleep(3600)
    except SystemExit:
        endpoint.shutdown()
        listener.close()
    idle = endpoint.wait_until_idle(serving.grace)
    say(f"process {os.getpid()} was told to stop" + ("" if idle else "; a request that it was answering is lost"))
    os._exit(0)  # threads of the model's library do not keep it


def _told_to_stop(*_: Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit


def load_model(serving: Serving) -> Any:
    """The model as its materializer reads it. Raises MaterializerError, or whatever the materializer raises."""
    from dovetail.materializers.builtin import SPECS
    from dovetail.materializers.finder import Materializers
    from dovetail.materializers.interface import MaterializerSpec
    from dovetail.values.imports import RecordedTypes

    sys.path[:] = [place for place in sys.path if place not in ("", str(Path.cwd()))]
    sys.path += [place for place in serving.path if place not in sys.path]
    specs = [MaterializerSpec((name,), target) for name, target in serving.materializers.items()]
    plugins = frozenset(spec.target.partition(":")[0].partition(".")[0] for spec in specs)
    materializers = Materializers([*specs, *SPECS], RecordedTypes(plugins=plugins))
    model = materializers.load(serving.model, serving.materializer, serving.type, trusted=serving.trusted)
    if not (hasattr(model, "predict") or callable(model)):
        raise DeploymentError(
            f"{serving.name!r} is a {type(model).__name__}, which cannot be served: it has no predict() and cannot be called. "
            f"Deploy an estimator, or an object whose class defines predict or __call__."
        )
    return model


def answer(model: Any, message: Mapping[str, Any]) -> dict[str, Any]:
    """The message that answers; raises Refused where the data cannot be read or the model raises."""
    function = _function(model, message.get("method", "predict"))
    try:
        kind = "frame" if "columns" in message else "rows"
        data = _suited(model, unpack(message.get("columns", message.get("instances")), message, kind))
    except Exception as error:  # numpy and pandas raise of every kind for data that makes no array or frame
        raise Refused(400, f"The data cannot be read: {error}") from error
    try:
        predictions = function(data)
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        raise Refused(400, f"The model raised {type(error).__name__}: {error}") from error
    try:
        packed, form = pack(predictions)
    except (DovetailError, RecursionError) as error:
        raise Refused(400, f"The model answered with what has no form as JSON: {error}") from error
    return {"predictions": packed, **form}


def _function(model: Any, method: object) -> Any:
    if method not in METHODS:
        raise Refused(400, f"There is no method {str(method)[:80]!r}; there are {' and '.join(METHODS)}.")
    function = getattr(model, str(method), None)
    if function is None and method == "predict":
        return model
    if function is None:
        raise Refused(400, f"The model, a {type(model).__name__}, has no {method}.")
    return function


def _suited(model: Any, data: Any) -> Any:
    """Rows given as dicts become a frame for an estimator that was fitted on one."""
    named = isinstance(data, list) and data and all(isinstance(row, dict) for row in data)
    pandas = library("pandas") if named and hasattr(model, "feature_names_in_") else None
    return data if pandas is None else pandas.DataFrame(data)


if __name__ == "__main__":
    main()
