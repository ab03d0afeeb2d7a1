"""What every image builder keeps: an image is there under its name once it was built, and a build that failed says at which line."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from dovetail.components import ContainerRegistry, ImageBuilder, Secret
from dovetail.errors import ImageError
from dovetail.testing.contract import Contract
from dovetail.testing.given import alike

Context = Callable[..., Path]


class ImageBuilderContract(Contract):
    """Fixtures `image_builder`: the one to try. `base`: an image that it can build from, which holds a shell. `container_registry`:
    one that it can push to, or None.
    """

    @pytest.fixture
    def container_registry(self) -> ContainerRegistry | None:
        return None

    @pytest.fixture
    def tag(self) -> str:
        """The tag of an image of the test's own."""
        return uuid.uuid4().hex

    @pytest.fixture
    def reference(self, image_builder: ImageBuilder, tag: str) -> str:
        return image_builder.reference("dovetail-contract", tag)

    @pytest.fixture
    def context(self, tmp_path: Path, base: str) -> Context:
        """A folder with a Dockerfile of these lines, and a file `note.txt` beside it."""

        def made(*lines: str) -> Path:
            folder = tmp_path / uuid.uuid4().hex
            folder.mkdir()
            (folder / "note.txt").write_text("kneaded\n", encoding="utf-8")
            (folder / "Dockerfile").write_text("\n".join([f"FROM {base}", *lines, ""]), encoding="utf-8")
            return folder

        return made

    def test_another_image_has_another_name(self, image_builder: ImageBuilder, tag: str) -> None:
        named = [image_builder.reference(*parts) for parts in (("dovetail", tag), ("dovetail", f"{tag}b"), ("dovetail-b", tag))]
        assert len(set(named)) == 3

    def test_what_nobody_built_is_not_found(self, image_builder: ImageBuilder, reference: str) -> None:
        assert image_builder.find(reference) is False

    def test_what_was_built_is_found_under_its_name_alone(self, image_builder: ImageBuilder, reference: str, context: Context) -> None:
        image_builder.build(context("COPY note.txt note.txt"), reference)
        assert image_builder.find(reference) is True
        assert image_builder.find(f"{reference}b") is False

    def test_another_instance_with_its_configuration_finds_it(self, image_builder: ImageBuilder, reference: str, context: Context) -> None:
        image_builder.build(context("COPY note.txt note.txt"), reference)
        assert alike(image_builder).find(reference) is True

    def test_instructions_run_one_after_the_other_on_the_files_of_the_folder(
        self, image_builder: ImageBuilder, reference: str, context: Context
    ) -> None:
        image_builder.build(
            context("COPY note.txt note.txt", 'RUN read word < note.txt; [ "$word" = kneaded ]; echo baked > bread.txt', "RUN [ -f bread.txt ]"), reference
        )
        assert image_builder.find(reference) is True

    def test_a_build_that_fails_says_at_which_line_and_ends_with_its_log(
        self, image_builder: ImageBuilder, reference: str, context: Context
    ) -> None:
        failing = "RUN echo the-dough-is-too-dry; exit 3"
        with pytest.raises(ImageError) as caught:
            image_builder.build(context("COPY note.txt note.txt", failing, "RUN echo never"), reference)
        said = str(caught.value)
        assert f"`{failing}`" in said
        assert said.count("the-dough-is-too-dry") >= 2, "the log's last lines are missing"
        assert reference in said

    def test_a_build_that_failed_leaves_no_image_of_that_name(self, image_builder: ImageBuilder, reference: str, context: Context) -> None:
        with pytest.raises(ImageError):
            image_builder.build(context("RUN exit 3"), reference)
        assert image_builder.find(reference) is False

    def test_what_failed_can_be_built_later(self, image_builder: ImageBuilder, reference: str, context: Context) -> None:
        with pytest.raises(ImageError):
            image_builder.build(context("RUN exit 3"), reference)
        image_builder.build(context("RUN exit 0"), reference)
        assert image_builder.find(reference) is True

    def test_what_it_does_not_hold_is_not_pushed(self, image_builder: ImageBuilder, container_registry: ContainerRegistry | None, tag: str) -> None:
        if container_registry is None:
            pytest.skip("there is no registry to push to")
        reference = container_registry.reference("contract", tag)
        with pytest.raises(ImageError):
            image_builder.push(reference, container_registry)
        assert container_registry.find(reference) is None

    def test_what_was_pushed_is_in_the_registry(
        self, image_builder: ImageBuilder, container_registry: ContainerRegistry | None, tag: str, context: Context
    ) -> None:
        if container_registry is None:
            pytest.skip("there is no registry to push to")
        reference = container_registry.reference("contract", tag)
        image_builder.build(context("COPY note.txt note.txt"), reference)
        assert container_registry.find(reference) is None
        image_builder.push(reference, container_registry)
        assert container_registry.find(reference)

    def test_what_pip_is_to_do_is_one_instruction(self, image_builder: ImageBuilder) -> None:
        line = image_builder.install(["--no-deps", "-r", "/opt/a file.txt"])
        assert line.startswith("RUN ")
        assert "\n" not in line
        assert "--no-deps" in line

    def test_no_secret_shows_itself(self, image_builder: ImageBuilder) -> None:
        secrets = [value.reveal() for value in image_builder.configuration().values() if isinstance(value, Secret)]
        shown = f"{image_builder!r} {image_builder.install(['x'])} {image_builder.base_image('3.11')} {image_builder.traits()}"
        assert [secret for secret in secrets if secret in shown] == []

    def test_what_images_are_named_by_is_the_same_for_everybody(self, image_builder: ImageBuilder) -> None:
        facts = [(each.base_image("3.11"), dict(each.traits()), each.machine()) for each in (image_builder, alike(image_builder))]
        assert facts[0] == facts[1]

    def test_the_versions_in_an_image_are_told_or_not_at_all(self, image_builder: ImageBuilder, reference: str) -> None:
        assert image_builder.versions_in(reference) is None, "there is no such image"

    def test_its_own_check_finds_nothing_wrong(self, image_builder: ImageBuilder) -> None:
        assert image_builder.check() == []
