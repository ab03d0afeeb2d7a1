"""What a Bento needs installed where it runs: the versions that are here, and wheels of what no index has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dovetail.errors import DefinitionError
from dovetail_bentoml.frameworks import distribution_of

WHEELS = "wheels"
_OWN = ("dovetail", "dovetail-bentoml")


def pinned(model: Any, framework: str, materializer: str, more: Sequence[str], folder: Path) -> list[str]:
    """Requirement lines, sorted; wheels of what was not installed from an index go into `folder`, and their lines name them."""
    from dovetail.planning.wheels import closure_of, kept_wheel, unreleased

    roots = [*_OWN, *_plugins_of(materializer), *filter(None, (distribution_of(framework),)), *_wrapped_in(model), *_checked(more)]
    lines = []
    for name, version in closure_of(roots).items():
        wheel = unreleased(name)
        lines.append(f"{name}=={version}" if wheel is None else f"./{WHEELS}/{wheel[0]}")
        if wheel is not None:
            folder.mkdir(exist_ok=True)
            (folder / wheel[0]).write_bytes(kept_wheel(*wheel))
    return sorted(lines)


def _checked(requirements: Sequence[str]) -> Iterable[str]:
    """A line that is none could be an option of pip, or two lines."""
    from packaging.requirements import InvalidRequirement, Requirement

    from dovetail.planning.wheels import installed

    for text in requirements:
        try:
            found = Requirement(text)
        except InvalidRequirement as error:
            raise DefinitionError(f"build_bento's requirement {text!r} cannot be read: {str(error).splitlines()[0]}. Write it as `name>=1`.") from error
        here = installed(found.name)
        if here is None or found.url is not None or not found.specifier.contains(here.version, prereleases=True):
            seen = "not installed" if here is None else f"installed as {here.version}"
            raise DefinitionError(f"build_bento's requirement {text!r} is {seen} here, and a Bento is built of what is installed. Install it first.")
        yield text


def _plugins_of(materializer: str) -> list[str]:
    from dovetail.registry.installed import installed_plugins

    top = re.split(r"[.:]", materializer)[0]
    return [plugin.distribution for plugin in installed_plugins() if plugin.top_level == top and top != "dovetail"]


def _wrapped_in(model: Any) -> list[str]:
    """Other libraries that a model is made of: a pipeline of transformers computes by PyTorch, estimators of XGBoost are scikit-learn's too."""
    tops = {base.__module__.partition(".")[0] for base in type(model).__mro__}
    found = [name for top, name in (("sklearn", "scikit-learn"), ("torch", "torch"), ("pandas", "pandas")) if top in tops]
    return [*found, *(["torch"] if "transformers" in tops else [])]
