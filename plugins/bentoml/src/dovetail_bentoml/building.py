"""Packaging a model as a Bento."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dovetail import digest
from dovetail.errors import ConfigurationError, DefinitionError
from dovetail.values.artifacts import Manifest
from dovetail_bentoml import own_code, pins
from dovetail_bentoml.bento import SOURCE, Bento
from dovetail_bentoml.frameworks import framework_of, methods_of
from dovetail_bentoml.served import CODE, MODEL, Facts
from dovetail_bentoml.surroundings import home, variables

if TYPE_CHECKING:
    from dovetail.materializers.interface import BaseMaterializer

LAYOUT = 1  # of a Bento's files; another for each change of them
SERVICE = "service:DovetailModel"
_TEMPLATE = Path(__file__).parent / "template" / "service.py"
_NAME = re.compile(r"[a-z0-9]([a-z0-9_.-]{0,61}[a-z0-9])?")
_LOG_LINES = 20


def build_bento(
    model: Any,
    name: str,
    *,
    labels: Mapping[str, str] | None = None,
    requirements: Sequence[str] = (),
    code: Sequence[str] = (),
    require_token: bool = True,
    request_timeout: float = 60.0,
    materializer: type[BaseMaterializer] | None = None,
) -> Bento:
    """Package a model, or an artifact that holds one, with what it takes to serve it elsewhere.

    The same model, settings and versions give the same Bento, tag included; it lies in the project's `.dovetail/bentoml`.
    `labels`: any strings. `requirements`: what the model needs besides its framework, in the versions that are installed here.
    `code`: top-level modules of the project that it needs besides those of its class and its materializer. `require_token`:
    whether callers must show the token in DOVETAIL_BENTOML_TOKEN where BentoML alone serves it; a deployer makes one of its own.
    Raises DefinitionError for what is no model of a known framework, ConfigurationError with the log's end where BentoML fails.
    """
    facts = Facts(_checked_name(name), "", "", "", require_token=require_token, request_timeout=_positive(request_timeout), labels=_strings(labels or {}))
    for option, names in (("requirements", requirements), ("code", code)):
        if isinstance(names, str):
            raise DefinitionError(f"build_bento's {option} is the string {names!r:.80}. Write a list: [{names!r:.80}].")
    place = home()
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="building-", dir=place) as made:
        work = Path(made)
        source = work / "project"
        source.mkdir()
        facts, lines = _lay_out(work, facts, _value_of(model), materializer, requirements, code, getattr(model, "digest", ""))
        version = _version(work, lines)
        target = place / "bentos" / facts.name / version
        if not target.is_dir():
            _build(work, facts, version, lines)
            target.parent.mkdir(parents=True, exist_ok=True)
            _move(work / "home" / "bentos" / facts.name / version, target)
    return Bento.read(target)


def _checked_name(name: object) -> str:
    if not (isinstance(name, str) and _NAME.fullmatch(name)):
        raise DefinitionError(
            f"A Bento cannot be called {str(name)[:60]!r}: its name has lower-case letters, digits, '_', '-' and '.', at most 63, and begins and "
            "ends with a letter or a digit. Put what else you want to say into `labels`."
        )
    return name


def _positive(seconds: object) -> float:
    if type(seconds) not in (int, float) or not 0 < float(seconds) < float("inf"):  # type: ignore[arg-type]  # a number by then
        raise DefinitionError(f"build_bento's request_timeout is {seconds!r}; give a number of seconds above 0.")
    return float(seconds)  # type: ignore[arg-type]  # a number by then


def _strings(labels: Mapping[str, str]) -> dict[str, str]:
    if not isinstance(labels, Mapping):
        raise DefinitionError(f"build_bento's labels are {labels!r:.80}. Write a mapping of strings: {{'team': 'delays'}}.")
    wrong = next((item for pair in labels.items() for item in pair if not isinstance(item, str)), None)
    if wrong is not None:
        raise DefinitionError(f"build_bento's labels hold {wrong!r}, which is no string. Write it as one.")
    return dict(labels)


def _value_of(model: Any) -> Any:
    """An artifact stands for its value."""
    from dovetail.client.views import Artifact

    return model.load() if isinstance(model, Artifact) else model


def _lay_out(
    work: Path, facts: Facts, model: Any, materializer: type[BaseMaterializer] | None, more: Sequence[str], code: Sequence[str], known: str
) -> tuple[Facts, list[str]]:
    """Write the project that BentoML builds from, and the payload beside it, which BentoML need not copy."""
    from dovetail.ledger.artifacts import seal
    from dovetail.materializers.finder import Materializers
    from dovetail.registry import Registry

    materializers = Materializers(Registry.load().materializer_specs())
    cls = materializer or materializers.find(type(model))
    framework = framework_of(model, f"{cls.__module__}:{cls.__qualname__}")
    (work / MODEL).mkdir()
    saved = materializers.save(model, str(work / MODEL), cls)
    manifest = Manifest(saved.type, saved.materializer, saved.format, seal(str(work / MODEL)))
    source = work / "project"
    facts = replace(
        facts, framework=framework, type=saved.type, materializer=saved.materializer, format=saved.format, methods=methods_of(model),
        digest=known or digest.of_json(manifest.covered()), python=f"{sys.version_info.major}.{sys.version_info.minor}",
    )  # fmt: skip
    lay_out_service(source, facts)
    own_code.copy_code(model, cls, code, source / CODE)
    return facts, pins.pinned(model, framework, saved.materializer, more, source / pins.WHEELS)


def lay_out_service(folder: Path, facts: Facts) -> None:
    """The service, which is the same for every model, and what it goes by: no string of anybody's becomes code."""
    shutil.copyfile(_TEMPLATE, folder / "service.py")
    facts.write(folder)


def _version(work: Path, lines: Sequence[str]) -> str:
    from importlib.metadata import version

    files = {str(path.relative_to(work)): digest.of_file(path) for path in sorted(work.rglob("*")) if path.is_file()}
    return digest.of_json({"layout": LAYOUT, "files": files, "requirements": list(lines), "bentoml": version("bentoml")})[:16]


def _build(work: Path, facts: Facts, version: str, lines: Sequence[str]) -> None:
    """BentoML keeps state in its process and changes the working folder, so it builds in a process of its own."""
    options = {"name": facts.name, "version": version, "labels": dict(facts.labels), "python": {"packages": [*lines], "lock_packages": False}}
    command = [sys.executable, "-m", "dovetail_bentoml.build_program", SERVICE, str(work / "project")]
    done = subprocess.run(
        command, input=json.dumps(options), capture_output=True, text=True, check=False, cwd=work / "project", env=variables(work / "home")
    )
    if done.returncode != 0:
        last = "\n".join(f"    {line}" for line in (done.stdout + done.stderr).strip().splitlines()[-_LOG_LINES:])
        raise ConfigurationError(f"BentoML could not build Bento '{facts.name}'. The last lines of its log:\n{last}")
    (work / MODEL).rename(work / "home" / "bentos" / facts.name / version / SOURCE / MODEL)


def _move(made: Path, target: Path) -> None:
    """Another process may have built the same at the same time; one is as good as the other."""
    try:
        made.rename(target)
    except OSError:
        if not target.is_dir():
            raise
