"""A Bento as a value of a pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dovetail.errors import MaterializerError

if TYPE_CHECKING:
    from dovetail_bentoml.served import Facts

SOURCE = "src"  # what BentoML keeps of a project, below a Bento's folder
_FILE = "bento.yaml"


@dataclass(frozen=True)
class Bento:
    """A model packaged by BentoML. `folder`: all its files, as `bentoml serve <folder>` takes it; they are not to be changed.

    `tag`: BentoML's name for it, `name:version`, whose version follows from its content. `model`: the digest of the model in it.
    """

    tag: str
    framework: str
    model: str
    methods: tuple[str, ...]
    labels: Mapping[str, str]
    folder: Path = field(compare=False)

    def __hash__(self) -> int:
        return hash((self.tag, self.model))

    @property
    def name(self) -> str:
        return self.tag.partition(":")[0]

    @property
    def version(self) -> str:
        return self.tag.partition(":")[2]

    @cached_property
    def facts(self) -> Facts:
        from dovetail_bentoml.served import Facts

        return Facts.read(self.folder / SOURCE)

    @classmethod
    def read(cls, folder: Path) -> Bento:
        """The Bento in a folder. Raises MaterializerError where there is none that dovetail-bentoml built."""
        import yaml

        from dovetail_bentoml.served import Facts

        try:
            about = yaml.safe_load((folder / _FILE).read_text(encoding="utf-8"))
            facts = Facts.read(folder / SOURCE)
            tag = f"{about['name']}:{about['version']}"
        except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
            raise MaterializerError(f"{folder} is not a Bento that dovetail-bentoml built: {error}. Build it by `build_bento`.") from error
        return cls(tag, facts.framework, facts.digest, facts.methods, dict(facts.labels), folder)
