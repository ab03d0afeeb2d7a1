"""Values that a worker needs and nobody else is to see: they lie in Secret Manager while its job lasts, and are read where it starts."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Mapping
from typing import Any

from dovetail_gcp.errors import GoogleError
from dovetail_gcp.services import ServiceConnection

HOST = "secretmanager.googleapis.com"
PLACE = "DOVETAIL_HANDED_SECRETS"  # the variable that says where they are
_ROLE = "roles/secretmanager.admin"
_LONGEST = 8 * 86400  # seconds: a job's own most, and a day
# Run by the worker's own Python before all else, with nothing but its standard library, as the account that the machine has.
BEGIN = f"""
import base64, json, os, sys, urllib.error, urllib.request
def asked(url, **headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        sys.exit("The worker may not read what it was handed: " + error.read().decode("utf-8", "replace")[:1000]
            + " Grant its service account the role roles/secretmanager.secretAccessor.")
host = os.environ.get("GCE_METADATA_HOST", "metadata.google.internal")
token = asked("http://" + host + "/computeMetadata/v1/instance/service-accounts/default/token", **{{"Metadata-Flavor": "Google"}})
found = asked(os.environ.pop("{PLACE}"), Authorization="Bearer " + token["access_token"])
os.environ.update(json.loads(base64.b64decode(found["payload"]["data"])))
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
""".strip()


def hand_over(at: ServiceConnection, name: str, values: Mapping[str, str], labels: Mapping[str, str], seconds: float | None = None) -> None:
    """Put them where `place_of` says. They are removed by `take_back`, else by themselves a day after `seconds`."""
    path, what = f"v1/projects/{at.project_id()}/secrets", f"What job {name} is handed"
    lasts = min(_LONGEST, (seconds or _LONGEST) + 86400)
    kept: dict[str, Any] = {"userManaged": {"replicas": [{"location": at.location}]}} if at.location else {"automatic": {}}
    try:
        made = {"replication": kept, "ttl": f"{lasts:.0f}s", "labels": dict(labels)}
        at.service(HOST, "POST", path, what, made, {"secretId": name}, role=_ROLE, again=True)
    except GoogleError as error:
        if error.status != 409:  # who asks again had lost the answer
            raise
    payload = {"payload": {"data": base64.b64encode(json.dumps(dict(values)).encode()).decode()}}
    at.service(HOST, "POST", f"{path}/{name}:addVersion", what, payload, role=_ROLE, again=True)


def place_of(at: ServiceConnection, name: str) -> str:
    """Where the worker reads them: the value of the variable PLACE."""
    return f"{(at.endpoint_url or f'https://{HOST}').rstrip('/')}/v1/projects/{at.project_id()}/secrets/{name}/versions/latest:access"


def take_back(at: ServiceConnection, name: str) -> None:
    """They go by themselves in the end, so nothing is said where this fails."""
    with contextlib.suppress(GoogleError):
        at.service(HOST, "DELETE", f"v1/projects/{at.project_id()}/secrets/{name}", f"What job {name} was handed", role=_ROLE)
