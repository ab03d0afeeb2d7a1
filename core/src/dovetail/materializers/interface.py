"""What a materializer is: a class that writes one value into a local folder and reads it back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from dovetail.values.artifacts import ArtifactType
from dovetail.values.encoding import Json


class Nested(Protocol):
    """Saves and loads values inside another value's folder, each by its own materializer.

    `trusted`: whether everyone who can write to the store is trusted; a payload from elsewhere deserves a closer look.
    """

    trusted: bool

    def save(self, value: Any, folder: str) -> None:
        """Write the value into `folder`, which is made, with a note of what it was written by."""

    def load(self, folder: str) -> Any:
        """The value that `save` wrote there."""

    def save_all(self, values: Mapping[str, Any], folder: str, materializer: type[BaseMaterializer]) -> None:
        """Write values by one materializer that is `together` into `folder`, as `save` does with one."""

    def load_all(self, folder: str) -> Mapping[str, Any]:
        """The values that `save_all` wrote there."""

    def find(self, cls: type) -> type[BaseMaterializer]:
        """The materializer by which `save` would write a value of this class, or MaterializerError where there is none."""

    def resolve(self, type_name: str, kind: type | None = None) -> Any:
        """The data type, or subclass of `kind`, that a `module:qualname` in the payload names; MaterializerError where it may not be followed."""


class BaseMaterializer(ABC):
    """Subclass, set ASSOCIATED_TYPES, write `save` and `load` against the local folder `self.uri`.

    The folder exists, is empty before `save`, and is always local: Dovetail moves it to and from the artifact store.
    After loading, files may be read-only and shared; `load` must not change them.

    ASSOCIATED_TYPES holds classes, or their full names as strings (`"pandas.core.frame.DataFrame"`) so that declaring
    imports nothing; subclasses are found along the value's MRO. FORMAT_VERSION is part of the digest: raise it when
    `save` writes something else. `deterministic`: equal values give equal bytes; `save` may set it on the instance for a
    value of which that is not certain. `pickled`: loading may run code, so it is done only from a store that says
    `trusted: true`. `together`: the values of one container are saved and loaded all at once, by `save_all` and `load_all`.
    """

    ASSOCIATED_TYPES: ClassVar[tuple[type | str, ...]] = ()
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA
    FORMAT_VERSION: ClassVar[int] = 1
    deterministic: bool = True
    pickled: ClassVar[bool] = False
    together: ClassVar[bool] = False

    def __init__(self, uri: str, nested: Nested) -> None:
        self.uri = uri
        self.nested = nested

    @abstractmethod
    def save(self, value: Any) -> None:
        """Write `value` as files below `self.uri`."""

    @abstractmethod
    def load(self, data_type: Any) -> Any:
        """Read the value back. `data_type`: the class that the reader's annotation or the record names, else `object`."""

    def save_all(self, values: Mapping[str, Any]) -> None:
        """Write the values of one container below `self.uri`; a value's name says where in the container it stands."""
        raise NotImplementedError

    def load_all(self) -> Mapping[str, Any]:
        """What `save_all` wrote, by the same names."""
        raise NotImplementedError

    def extract_metadata(self, value: Any) -> Mapping[str, Json]:
        """Small facts to show and search by, such as a shape; JSON values. Kept outside the digest."""
        return {}

    def save_visualizations(self, value: Any) -> Mapping[str, str]:
        """Write pictures or pages below `self.uri` and return their paths below it with their kind: html, image, markdown or csv."""
        return {}


@dataclass(frozen=True, slots=True)
class MaterializerSpec:
    """Declares a materializer without importing it or the library it serves.

    `types`: full class names (`numpy.ndarray`), or one of the kinds `enum`, `namedtuple`, `dataclass` and `pydantic` for the
    classes that a payload may name. `target`: import string (`package.module:Class`). `exact`: not for subclasses, because
    they may hold more than is saved.
    """

    types: Sequence[str]
    target: str
    exact: bool = False
