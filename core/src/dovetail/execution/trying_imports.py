"""What a clean process does to try whether a run's steps can be imported from its code package."""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from typing import Any

from dovetail.execution.importing import inert
from dovetail.values.imports import load_object


def main(task: str) -> None:
    """Answers, into a file as user code may print, what is wrong with each source."""
    given: dict[str, Any] = json.loads(task)
    sys.path[:] = [*given["roots"], *given["path"]]
    sys.meta_path[:] = [finder for finder in sys.meta_path if not _is_editable(finder)]
    with inert():
        answers = {source: problem for source in given["sources"] if (problem := _tried(source)) is not None}
    Path(given["answer"]).write_text(json.dumps(answers), encoding="utf-8")


def _is_editable(finder: Any) -> bool:
    """Whether it finds what `pip install -e` made known, which is not installed elsewhere."""
    return str(getattr(finder, "__module__", "")).startswith("__editable__")


def _tried(source: str) -> dict[str, Any] | None:
    try:
        load_object(source)
    except ModuleNotFoundError as error:
        return {"error": str(error), "missing": error.name}
    except BaseException as error:  # whatever a user's module raises, SystemExit too, the others are tried
        return {"error": f"{type(error).__name__}: {error}{_place(error)}"}
    return None


def _place(error: BaseException) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<frozen")]
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
