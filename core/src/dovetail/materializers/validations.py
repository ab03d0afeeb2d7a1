"""Validations: verdict and findings as JSON, and the validator's own report as it gave it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from dovetail.errors import MaterializerError
from dovetail.materializers import json_file
from dovetail.materializers.interface import BaseMaterializer
from dovetail.values.artifacts import ArtifactType
from dovetail.values.encoding import Json, decode, encode
from dovetail.values.validation import Finding, Validation, Verdict

_MOST_FINDINGS = 20  # of those that did not pass, in what is shown of a validation


class ValidationMaterializer(BaseMaterializer):
    ASSOCIATED_TYPES = (Validation,)
    ASSOCIATED_ARTIFACT_TYPE = ArtifactType.DATA_ANALYSIS

    def save(self, value: Validation) -> None:
        findings = [{**dataclasses.asdict(each), "verdict": each.verdict.value, "value": encode(each.value)} for each in value.findings]
        said = {"verdict": value.verdict.value, "validator": value.validator, "rows": dict(value.rows), "findings": findings}
        json_file.write(f"{self.uri}/validation.json", said)
        json_file.write(f"{self.uri}/report.json", encode(value.report))
        json_file.write_bytes(f"{self.uri}/report.html", value.html.encode("utf-8", "surrogatepass"))

    def load(self, data_type: Any) -> Validation:
        said = json_file.read(f"{self.uri}/validation.json")
        html = json_file.read_bytes(f"{self.uri}/report.html").decode("utf-8", "surrogatepass")
        report = decode(json_file.read(f"{self.uri}/report.json"))
        try:
            findings = [Finding(**{**each, "verdict": Verdict(each["verdict"]), "value": decode(each["value"])}) for each in said["findings"]]
            return Validation(Verdict(said["verdict"]), findings, said["validator"], html, report, said["rows"])
        except (KeyError, TypeError, ValueError) as error:
            raise MaterializerError(f"{self.uri} holds no validation as it was written there: {error!r}. Run `dovetail store verify`.") from error

    def extract_metadata(self, value: Validation) -> Mapping[str, Json]:
        broken = [str(each) for each in value.broken]
        more = [f"and {len(broken) - _MOST_FINDINGS} more"] if len(broken) > _MOST_FINDINGS else []
        said: dict[str, Any] = {"verdict": value.verdict.value, "validator": value.validator, "rows": dict(value.rows)}
        return {**said, "broken": [*broken[:_MOST_FINDINGS], *more]} if broken else said

    def save_visualizations(self, value: Validation) -> Mapping[str, str]:
        json_file.write_bytes(f"{self.uri}/report.html", value.html.encode("utf-8", "surrogatepass"))
        return {"report.html": "html"}
