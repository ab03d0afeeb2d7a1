"""`dovetail plugin new`: a package that installs, and whose tests inherit the contract of what it brings."""

from __future__ import annotations

import keyword
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dovetail.errors import ConfigurationError, NotFound
from dovetail.hookspecs import COMPONENT_TYPES
from dovetail.plugin import ComponentType
from dovetail.registry.installed import installed_plugins
from dovetail.registry.official import official_plugin, official_plugins

MATERIALIZER = "materializer"
_TESTED_WITH = {"data_validator": '"pandas>=2.2", '}  # what a contract needs besides
_TEMPLATES = Path(__file__).with_name("plugin_templates")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_.]+[A-Za-z0-9]+)*")
_CLASS = re.compile(r'^class (Acme\w*)\(.*\):\n    """(.*)$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class NewPlugin:
    """`name`: what its flavor and its entry point are called. `kind`: None for a materializer."""

    name: str
    kind: ComponentType | None

    @property
    def distribution(self) -> str:
        return f"dovetail-{self.name}"

    @property
    def package(self) -> str:
        return self.distribution.replace("-", "_")

    @property
    def module(self) -> str:
        return self.what.rpartition("_")[2]

    @property
    def what(self) -> str:
        return self.kind.name if self.kind else MATERIALIZER

    def files(self) -> dict[str, str]:
        """Their contents by their paths in the package's folder."""
        source = _template(f"{self.what}/module.py")
        found = _CLASS.search(source)
        assert found is not None, f"the template of {self.what} has no class with a docstring"
        form = "component" if self.kind else MATERIALIZER
        facts = {
            "CLASS": found[1],
            "HELP": found[2],
            "DESCRIPTION": f"{_a(self.what.replace('_', ' '))} for Dovetail: {found[2][0].lower()}{found[2][1:].rstrip('.')}",
            "MODULE": self.module,
            "SUPPLY_HOOK": self.kind.hook if self.kind else "",
            "COMPONENT_TYPE": self.what,
            "TYPE-OPTION": self.what.replace("_", "-"),
            "CORE_RANGE": _core_range(),
            "TESTED_WITH": _TESTED_WITH.get(self.what, ""),
        }
        templates = {
            "pyproject.toml": "pyproject.toml",
            "README.md": f"README.{form}.md",
            "CHANGELOG.md": "CHANGELOG.md",
            f"src/{self.package}/__init__.py": f"declaration.{form}.py",
            f"src/{self.package}/{self.module}.py": f"{self.what}/module.py",
            f"tests/test_{self.module}.py": f"{self.what}/test.py",
        }
        written = {path: self._filled(_template(template), facts) for path, template in templates.items()}
        return {**written, f"src/{self.package}/py.typed": ""}

    def _filled(self, text: str, facts: Mapping[str, str]) -> str:
        for word, fact in facts.items():
            text = text.replace(word, fact)
        named = {
            "dovetail_acme": self.package,
            "dovetail-acme": self.distribution,
            "my_acme": f"my_{self.name.replace('-', '_')}",
            "Acme": "".join(part.capitalize() for part in self.name.split("-")),
            "acme": self.name,
        }
        return re.sub("|".join(named), lambda match: named[match[0]], text)


def write_plugin(name: str, kind: str, folder: Path | None) -> Path:
    """The folder that was written; nothing is left of it where that fails."""
    plugin = NewPlugin(_checked_name(name), _component_type(kind))
    target = folder or Path(plugin.distribution)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigurationError(f"There is something at {target} already. Give another folder by --folder, or remove it.")
    parent = target.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=".dovetail-", dir=parent))
    try:
        aside.chmod(0o777 & ~_umask())
        for path, text in plugin.files().items():
            (aside / path).parent.mkdir(parents=True, exist_ok=True)
            (aside / path).write_text(text, encoding="utf-8")
        aside.replace(target.absolute())
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return target


def _checked_name(name: str) -> str:
    """The name as flavors and distributions are called by, or what is wrong with it."""
    plain = re.sub(r"[-_.]+", "-", name).lower().removeprefix("dovetail-")
    if not _NAME.fullmatch(name) or not _NAME.fullmatch(plain) or keyword.iskeyword(plain):
        raise ConfigurationError(
            f"{name!r} cannot name a package. Give letters, digits and single hyphens, beginning with a letter, such as 'acme'."
        )
    official = official_plugin(plain, official_plugins())
    if official is not None:
        raise ConfigurationError(f"'{plain}' is the name of an official plugin, {official.distribution}. Choose another name.")
    if plain in ("local", "memory", "dovetail"):
        raise ConfigurationError(f"'{plain}' is built in. Choose another name.")
    taken = next((each for each in installed_plugins() if each.name == plain), None)
    if taken is not None:
        raise ConfigurationError(f"The plugin '{plain}' is installed already, from {taken.distribution}. Choose another name.")
    return plain


def _component_type(kind: str) -> ComponentType | None:
    """None for a materializer."""
    wanted = kind.replace("-", "_").lower()
    if wanted == MATERIALIZER:
        return None
    known = {each.name: each for each in COMPONENT_TYPES}
    published = [each.name for each in COMPONENT_TYPES if each.interface]
    if wanted in known and not known[wanted].interface:
        raise ConfigurationError(
            f"The component type {wanted} has no published interface yet, so nothing could be written for it. "
            f"Choose one of {', '.join([*published, MATERIALIZER])}."
        )
    if wanted not in known:
        raise NotFound("plugin type", kind, [*published, MATERIALIZER])
    return known[wanted]


def _core_range() -> str:
    """From this Dovetail on, up to the next one that may break what works."""
    core = next((plugin.version for plugin in installed_plugins() if plugin.built_in), "")
    numbers = re.match(r"(\d+)\.(\d+)", core)
    return f">={numbers[0]},<{int(numbers[1]) + 1}" if numbers else ""


def _template(name: str) -> str:
    return (_TEMPLATES / f"{name}.txt").read_text(encoding="utf-8")


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _a(words: str) -> str:
    return f"An {words}" if words[0] in "aeiou" else f"A {words}"
