"""Google's services by their REST APIs: one request, its answer as JSON, and the command that cures a refusal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dovetail.errors import ConfigurationError
from dovetail_gcp.connection import GcpConnection
from dovetail_gcp.errors import GoogleError

_PAGE = 100


class ServiceConnection(GcpConnection):
    """What asks one of Google's services, or several, of which each has a host of its own."""

    def service(
        self, host: str, method: str, path: str, what: str, body: Any = None, params: Mapping[str, Any] | None = None, *,
        role: str, again: bool | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """What it answers. `what`: the sentence's subject where it refuses. `role`: what allows it, for the message where it is denied.

        `again`: asking twice does no harm; by default of all but POST.
        """
        url = f"{self.endpoint_url or f'https://{host}'}".rstrip("/")
        options: dict[str, Any] = {"params": params} if params else {}
        if body is not None:
            options["json"] = body
        asked_again = again if again is not None else method != "POST"
        answer = self.asked(method, f"{url}/{path}", what, cures=self._cures(host, role), again=asked_again, **options)
        found: Any = answer.json() if answer.content else {}
        return found if isinstance(found, dict) else {"value": found}

    def pages(self, host: str, path: str, key: str, what: str, params: Mapping[str, Any] | None = None, *, role: str) -> Iterator[dict[str, Any]]:
        """All of a collection, page by page."""
        asked = {"pageSize": _PAGE, **(params or {})}
        while True:
            page = self.service(host, "GET", path, what, params=asked, role=role)
            yield from page.get(key, ())
            if not page.get("nextPageToken"):
                return
            asked = {**asked, "pageToken": page["nextPageToken"]}

    def _check_by(self, host: str, path: str, role: str) -> list[str]:
        """What keeps this component from its service: network, credentials, project, region, rights. Asking changes nothing."""
        try:
            with self.briefly():
                self.service(host, "GET", path, self._subject(), params={"pageSize": 1}, role=role)
        except (GoogleError, ConfigurationError) as error:
            return [str(error)]
        return []

    def _cures(self, host: str, role: str) -> dict[int | str, str]:
        project = self.project_id()
        name = host if "-aiplatform." not in host else "aiplatform.googleapis.com"
        region = f"`project` and `location` ('{project}', '{self.location}')" if self.location else f"`project` ('{project}')"
        more = "it may also be that there is no such project: `gcloud projects list`"
        return {
            403: f"Grant the role by `gcloud projects add-iam-policy-binding {project} --member={self._member()} --role={role}`; {more}",
            404: f"Check {region}",
            "CONSUMER_INVALID": f"Check {region}: `gcloud projects list` shows the projects that there are",
            "SERVICE_DISABLED": f"Switch it on by `gcloud services enable {name} --project={project}`",
            "RESOURCE_EXHAUSTED": (
                f"Wait until others end, take another `location` or machine, or ask for more: "
                f"`gcloud beta quotas info list --service={name} --project={project}`"
            ),
        }

    def _member(self) -> str:
        """Who asks, as the commands of `gcloud` name them."""
        email = self.impersonate or getattr(self.google_credentials(), "service_account_email", None)
        return f"serviceAccount:{email}" if email and "@" in str(email) else "user:EMAIL"
