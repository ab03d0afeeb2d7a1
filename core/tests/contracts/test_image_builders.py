"""A right image builder keeps the contract, and each wrong one is caught by the promise that it breaks."""

from __future__ import annotations

import contextlib
import inspect
import shutil
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from dovetail.components import ContainerRegistry, Credentials, ImageBuilder, Secret
from dovetail.errors import ImageError
from dovetail.testing import ImageBuilderContract

_KEPT: dict[str, set[str]] = {}
_PUSHED: dict[str, str] = {}


class Registry(ContainerRegistry):
    def find(self, reference: str) -> str | None:
        return _PUSHED.get(reference)

    def credentials(self) -> Credentials | None:
        return None


class Right(ImageBuilder):
    """Runs a Dockerfile's instructions in a folder, and keeps what the image is called."""

    place: str
    index: Secret = Secret("https://me:hunter22@index.example.com")

    @property
    def kept(self) -> set[str]:
        return _KEPT.setdefault(self.place, set())

    def find(self, reference: str) -> bool:
        return reference in self.kept

    def build(self, context: Path, reference: str) -> None:
        dockerfile = (context / "Dockerfile").read_text()
        image = context / uuid.uuid4().hex
        image.mkdir()
        for number, line in enumerate(dockerfile.splitlines(), 1):
            self.follow(line, number, context, image, reference, dockerfile)
        self.kept.add(reference)

    def follow(self, line: str, number: int, context: Path, image: Path, reference: str, dockerfile: str) -> None:
        word, _, rest = line.partition(" ")
        if word == "COPY":
            shutil.copy(context / rest.split()[0], image / rest.split()[1])
        elif word == "RUN":
            ran = subprocess.run(["sh", "-c", rest], cwd=image, capture_output=True, text=True, check=False)
            if ran.returncode:
                raise self.failed(reference, ran.stdout + ran.stderr, dockerfile, number)

    def push(self, reference: str, registry: ContainerRegistry) -> None:
        if reference not in self.kept:
            raise ImageError(f"There is no image {reference}.")
        _PUSHED[reference] = "sha256:0"


class TestRight(ImageBuilderContract):
    @pytest.fixture
    def image_builder(self, tmp_path: Path) -> Right:
        return Right(place=str(tmp_path))

    @pytest.fixture
    def base(self) -> str:
        return "scratch"

    @pytest.fixture
    def container_registry(self) -> Registry:
        return Registry(uri="registry.example.com")


class Latest(Right):
    """Calls all images of a repository the same."""

    caught_by: ClassVar = "test_another_image_has_another_name"

    def reference(self, repository: str, tag: str) -> str:
        return f"{repository}:latest"


class Hopeful(Right):
    """Believes that everything is there."""

    caught_by: ClassVar = "test_what_nobody_built_is_not_found"

    def find(self, reference: str) -> bool:
        return True


class Broad(Right):
    """Looks at the beginning of a name."""

    caught_by: ClassVar = "test_what_was_built_is_found_under_its_name_alone"

    def find(self, reference: str) -> bool:
        return any(reference.startswith(kept) for kept in self.kept)


class Private(Right):
    """Keeps what it built to itself."""

    caught_by: ClassVar = "test_another_instance_with_its_configuration_finds_it"

    @property
    def kept(self) -> set[str]:
        return self.__dict__.setdefault("_own", set())


class Lazy(Right):
    """Starts each instruction from nothing."""

    caught_by: ClassVar = "test_instructions_run_one_after_the_other_on_the_files_of_the_folder"

    def follow(self, line: str, number: int, context: Path, image: Path, reference: str, dockerfile: str) -> None:
        shutil.rmtree(image)
        image.mkdir()
        super().follow(line, number, context, image, reference, dockerfile)


class Terse(Right):
    """Says no more than that it failed."""

    caught_by: ClassVar = "test_a_build_that_fails_says_at_which_line_and_ends_with_its_log"

    def failed(self, reference: str, log: str, dockerfile: str, step: int | None = None, hidden: Sequence[str] = ()) -> ImageError:
        return ImageError(f"Image {reference} could not be built.")


class OffByOne(Right):
    """Counts instructions from nought."""

    caught_by: ClassVar = "test_a_build_that_fails_says_at_which_line_and_ends_with_its_log"

    def failed(self, reference: str, log: str, dockerfile: str, step: int | None = None, hidden: Sequence[str] = ()) -> ImageError:
        return super().failed(reference, log, dockerfile, (step or 1) - 1, hidden)


class Early(Right):
    """Gives the name before the work is done."""

    caught_by: ClassVar = "test_a_build_that_failed_leaves_no_image_of_that_name"

    def build(self, context: Path, reference: str) -> None:
        self.kept.add(reference)
        super().build(context, reference)


class Resentful(Right):
    """Does not try again what failed once."""

    caught_by: ClassVar = "test_what_failed_can_be_built_later"

    def build(self, context: Path, reference: str) -> None:
        tried = self.__dict__.setdefault("_tried", set())
        if reference in tried:
            raise ImageError("It failed before.")
        tried.add(reference)
        super().build(context, reference)


class Silent(Right):
    """Does not say that there is nothing to push."""

    caught_by: ClassVar = "test_what_it_does_not_hold_is_not_pushed"

    def push(self, reference: str, registry: ContainerRegistry) -> None:
        with contextlib.suppress(ImageError):
            super().push(reference, registry)


class Keeping(Right):
    """Keeps to itself what it should push."""

    caught_by: ClassVar = "test_what_was_pushed_is_in_the_registry"

    def push(self, reference: str, registry: ContainerRegistry) -> None:
        self.find(reference)


class Long(Right):
    """Has pip work in two instructions."""

    caught_by: ClassVar = "test_what_pip_is_to_do_is_one_instruction"

    def install(self, arguments: Sequence[str]) -> str:
        return f"ENV A=b\n{super().install(arguments)}"


class Talkative(Right):
    """Writes the index with its password into the Dockerfile."""

    caught_by: ClassVar = "test_no_secret_shows_itself"

    def install(self, arguments: Sequence[str]) -> str:
        return f"{super().install(arguments)} --index-url {self.index.reveal()}"


class Moody(Right):
    """Names images by what differs between two processes."""

    caught_by: ClassVar = "test_what_images_are_named_by_is_the_same_for_everybody"

    def traits(self) -> Mapping[str, str]:
        return {"made by": str(id(self))}


class Inventive(Right):
    """Knows what is in an image that does not exist."""

    caught_by: ClassVar = "test_the_versions_in_an_image_are_told_or_not_at_all"

    def versions_in(self, reference: str) -> Mapping[str, str] | None:
        return {}


_WRONG = [
    Latest, Hopeful, Broad, Private, Lazy, Terse, OffByOne, Early, Resentful, Silent, Keeping, Long, Talkative, Moody, Inventive,
]  # fmt: skip


@pytest.mark.parametrize("wrong", _WRONG, ids=lambda wrong: wrong.__name__)
def test_each_wrong_builder_is_caught_by_the_promise_it_breaks(wrong: Any, tmp_path: Path) -> None:
    promise = getattr(ImageBuilderContract, wrong.caught_by)
    contract = TestRight()

    def context(*lines: str) -> Path:
        folder = tmp_path / uuid.uuid4().hex
        folder.mkdir()
        (folder / "note.txt").write_text("kneaded\n")
        (folder / "Dockerfile").write_text("\n".join(["FROM scratch", *lines, ""]))
        return folder

    for cls in (Right, wrong):
        tag = uuid.uuid4().hex
        builder = cls(place=str(tmp_path / tag))
        given = {
            "self": contract, "image_builder": builder, "tag": tag, "reference": builder.reference("dovetail-contract", tag), "context": context,
            "container_registry": Registry(uri="registry.example.com"),
        }  # fmt: skip
        arguments = {name: given[name] for name in inspect.signature(promise).parameters}
        if cls is Right:
            promise(**arguments)
        else:
            with pytest.raises((AssertionError, ImageError, OSError, pytest.fail.Exception)):
                promise(**arguments)
