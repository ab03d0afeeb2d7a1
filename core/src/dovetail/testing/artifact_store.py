"""What every artifact store keeps: the promises of `dovetail.components.ArtifactStore`."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dovetail.components import ArtifactStore
from dovetail.errors import Corrupt
from dovetail.ledger import layout
from dovetail.local.orchestrator import LocalOrchestrator
from dovetail.testing.contract import Contract
from dovetail.testing.elsewhere import elsewhere
from dovetail.testing.given import alike
from dovetail.testing.races import at_once, rounds, sizes_seen, ways_to_look
from dovetail.testing.store_model import run_against_model
from dovetail.testing.trial import TrialProject
from dovetail.values.plan import Status

_CREATORS = 100
_NO_DENIED_STORE = "Give a fixture `denied_store`, or waive this promise with the reason that nothing can be denied."
_LARGE = 2 << 20  # bytes
_MANY = 1_100  # more than any store lists in one answer
_NAMES = ("größe", "数据", "नमस्ते", "with space", "a+b-c_d.e", "_hidden", "0", "x" * 200, "ﬁnal", "İ", "e.json")


class ArtifactStoreContract(Contract):
    """Fixture `store`: the store to try; it may hold objects of others. Fixture `denied_store`: one where nothing is allowed."""

    @pytest.fixture
    def denied_store(self) -> ArtifactStore | None:
        """A store whose credentials or permissions allow neither reading nor writing."""
        return None

    @pytest.fixture
    def place(self) -> str:
        """A folder of the test's own."""
        return f"contract/{uuid.uuid4().hex}"

    # -- objects -------------------------------------------------------------------------------------------------------

    def test_what_was_created_is_read_back(self, store: ArtifactStore, place: str) -> None:
        for number, content in enumerate((b"", b"\x00\r\n\xff", b"x" * 100_000)):
            assert store.create(f"{place}/{number}", content) is True
            assert store.read(f"{place}/{number}") == content

    def test_an_object_is_created_from_a_file_too(self, store: ArtifactStore, place: str, tmp_path: Path) -> None:
        for number, content in enumerate((b"", b"from a file" * 100_000)):
            file = tmp_path / str(number)
            file.write_bytes(content)
            assert store.create(f"{place}/{number}", file) is True
            assert store.read(f"{place}/{number}") == content
            assert file.read_bytes() == content, "the file it was made from is not the store's to change"

    def test_creating_again_says_so_and_changes_nothing(self, store: ArtifactStore, place: str, tmp_path: Path) -> None:
        (tmp_path / "other").write_bytes(b"third")
        assert store.create(f"{place}/a", b"first") is True
        before = store.stat(f"{place}/a")
        assert store.create(f"{place}/a", b"second, and longer") is False
        assert store.create(f"{place}/a", tmp_path / "other") is False
        assert store.read(f"{place}/a") == b"first"
        assert store.stat(f"{place}/a") == before

    def test_of_many_creators_of_one_path_exactly_one_wins(self, store: ArtifactStore, place: str) -> None:
        for attempt, creators in enumerate([_CREATORS, *[16] * 60]):
            contents = [f"{number} ".encode() * 500 for number in range(creators)]
            won = at_once([partial(store.create, f"{place}/{attempt}", content) for content in contents])
            assert won.count(True) == 1, f"{won.count(True)} creators were told that they won"
            assert won.count(False) == creators - 1
            assert store.read(f"{place}/{attempt}") == contents[won.index(True)]

    def test_of_creators_in_other_processes_exactly_one_wins(
        self, store: ArtifactStore, place: str, project: TrialProject
    ) -> None:
        with elsewhere(project, store, "create_many", [[place, 40, f"process {number}"] for number in range(3)]) as answers:
            assert sorted(number for won in answers for number in won) == list(range(40))
        for number, won in enumerate(answers):
            assert all(store.read(f"{place}/{path}") == f"process {number}".encode() for path in won)

    def test_a_create_that_fails_leaves_nothing(self, store: ArtifactStore, place: str, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            store.create(f"{place}/a", tmp_path / "there is no such file")
        assert store.stat(f"{place}/a") is None
        assert store.create(f"{place}/a", b"later") is True

    def test_a_reader_never_sees_half_an_object(self, store: ArtifactStore, place: str, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"y" * _LARGE)
        sources: list[bytes | Path] = [b"x" * _LARGE, tmp_path / "file"]
        for number in rounds():
            path = f"{place}/{number}"
            seen = sizes_seen(partial(store.create, path, sources[number % 2]), *ways_to_look(store, path))
            assert seen <= {None, _LARGE}, f"a reader saw sizes {seen} of an object of {_LARGE} bytes"
            store.delete(path)

    def test_a_reader_of_an_overwritten_object_sees_the_old_or_the_new_one(self, store: ArtifactStore, place: str) -> None:
        old, new = b"o" * _LARGE, b"n" * (_LARGE - 1)
        store.overwrite(f"{place}/beat", old)
        for number in rounds():
            content = (new, old)[number % 2]
            seen = sizes_seen(partial(store.overwrite, f"{place}/beat", content), *ways_to_look(store, f"{place}/beat"))
            assert seen <= {len(old), len(new)}, f"a reader saw sizes {seen}"

    def test_overwriting_replaces_whatever_was_there(self, store: ArtifactStore, place: str) -> None:
        for content in (b"the first is the longest", b"second", b""):
            store.overwrite(f"{place}/beat", content)
            assert store.read(f"{place}/beat") == content
        assert store.create(f"{place}/beat", b"x") is False

    def test_overwriting_moves_the_time_on_by_the_stores_own_clock(self, store: ArtifactStore, place: str) -> None:
        times: list[float] = []
        until = time.monotonic() + 3  # some stores count in seconds
        while len(set(times)) < 2 and time.monotonic() < until:
            store.overwrite(f"{place}/beat", b"x")
            entry = store.stat(f"{place}/beat")
            assert entry is not None
            times.append(entry.modified)
            time.sleep(0.02)
        assert times[0] < times[-1] <= store.now() < times[-1] + 60

    def test_the_clock_leaves_nothing_behind(self, store: ArtifactStore) -> None:
        before = {entry.name for entry in store.scan("")}
        first, second = store.now(), store.now()
        assert first <= second
        assert {path for folder in {entry.name for entry in store.scan("")} - before for path, _ in store.walk(folder)} == set()

    def test_an_object_is_fetched_into_a_file(self, store: ArtifactStore, place: str, tmp_path: Path) -> None:
        store.create(f"{place}/a", b"content" * 50_000)
        (tmp_path / "target").write_bytes(b"what was there before" * 50_000)
        store.fetch(f"{place}/a", tmp_path / "target")
        assert (tmp_path / "target").read_bytes() == b"content" * 50_000

    # -- what is missing, what is denied ---------------------------------------------------------------------------------

    def test_reading_what_is_not_there_raises_file_not_found(self, store: ArtifactStore, place: str, tmp_path: Path) -> None:
        store.create(f"{place}/object", b"x")
        store.create(f"{place}/folder/object", b"x")
        for path in (f"{place}/nothing", f"{place}/nowhere/nothing", f"{place}/folder", f"{place}/object/below"):
            with pytest.raises(FileNotFoundError):
                store.read(path)
            with pytest.raises(FileNotFoundError):
                store.fetch(path, tmp_path / "fetched")

    def test_what_is_not_there_has_no_entry(self, store: ArtifactStore, place: str) -> None:
        store.create(f"{place}/object", b"x")
        store.create(f"{place}/folder/object", b"x")
        for path in (f"{place}/nothing", f"{place}/nowhere/nothing", f"{place}/folder", f"{place}/object/below"):
            assert store.stat(path) is None, path

    def test_what_is_denied_raises_permission_error(self, denied_store: ArtifactStore | None, place: str) -> None:
        assert denied_store is not None, _NO_DENIED_STORE
        attempts: list[Callable[[], Any]] = [
            lambda: denied_store.create(f"{place}/a", b"x"),
            lambda: denied_store.overwrite(f"{place}/a", b"x"),
            lambda: denied_store.read(f"{place}/a"),
            lambda: denied_store.stat(f"{place}/a"),
            lambda: list(denied_store.scan(place)),
            lambda: denied_store.delete(f"{place}/a"),
            lambda: denied_store.delete_folder(place),
        ]
        for attempt in attempts:
            with pytest.raises(PermissionError):
                attempt()

    def test_a_store_that_denies_everything_is_found_by_its_check(self, denied_store: ArtifactStore | None) -> None:
        assert denied_store is not None, _NO_DENIED_STORE
        (problem,) = denied_store.check()
        assert len(problem) > 20, "a problem is a sentence with its cure"

    # -- folders -------------------------------------------------------------------------------------------------------

    def test_an_entry_says_name_size_and_time(self, store: ArtifactStore, place: str) -> None:
        began = store.now()
        store.create(f"{place}/a.json", b"12345")
        entry = store.stat(f"{place}/a.json")
        assert entry is not None
        assert (entry.name, entry.is_folder, entry.size) == ("a.json", False, 5)
        assert began - 2 <= entry.modified <= store.now() + 2
        assert list(store.scan(place)) == [entry]

    def test_a_folder_lists_its_direct_children(self, store: ArtifactStore, place: str) -> None:
        for path in ("a/one", "a/b/two", "a/b/c/three", "ab/four", "a.b"):
            store.create(f"{place}/{path}", path.encode())
        assert sorted((e.name, e.is_folder, e.size) for e in store.scan(f"{place}/a")) == [("b", True, 0), ("one", False, 5)]
        assert sorted((e.name, e.is_folder) for e in store.scan(place)) == [("a", True), ("a.b", False), ("ab", True)]
        assert place.partition("/")[0] in {entry.name for entry in store.scan("")}
        assert sorted(store.folders(place)) == ["a", "ab"]

    def test_nothing_lies_in_a_folder_that_does_not_exist(self, store: ArtifactStore, place: str) -> None:
        store.create(f"{place}/object", b"x")
        for folder in (f"{place}/nothing", f"{place}/object", f"{place}/obj"):
            assert list(store.scan(folder)) == []
            assert store.folders(folder) == []
            assert list(store.walk(folder)) == []

    def test_walking_finds_every_object_below(self, store: ArtifactStore, place: str) -> None:
        paths = {"a/one", "a/b/two", "a/b/c/three", "a/b/c/d/e/f/g/h/i/j/k/l/deep"}
        for path in (*paths, "ab/four"):
            store.create(f"{place}/{path}", path.encode())
        walked = dict(store.walk(f"{place}/a"))
        assert set(walked) == {f"{place}/{path}" for path in paths}
        assert all(
            path.endswith(f"/{e.name}") and not e.is_folder and e.size == len(path) - len(place) - 1 for path, e in walked.items()
        )

    def test_a_folder_of_many_objects_is_listed_whole(self, store: ArtifactStore, place: str) -> None:
        with ThreadPoolExecutor(16) as threads:
            assert all(threads.map(lambda number: store.create(f"{place}/{number}", b"x"), range(_MANY)))
        assert sorted(int(entry.name) for entry in store.scan(place)) == list(range(_MANY))
        assert len(list(store.walk(place))) == _MANY

    def test_every_name_that_passes_the_check_is_kept_as_it_is(self, store: ArtifactStore, place: str) -> None:
        for name in _NAMES:
            assert store.create(f"{place}/{name}/{name}", name.encode()) is True
        assert sorted(entry.name for entry in store.scan(place)) == sorted(_NAMES)
        for name in _NAMES:
            assert store.read(f"{place}/{name}/{name}") == name.encode()
            assert [entry.name for entry in store.scan(f"{place}/{name}")] == [name]

    # -- deleting ------------------------------------------------------------------------------------------------------

    def test_what_was_deleted_is_gone_and_can_be_created_again(self, store: ArtifactStore, place: str) -> None:
        for path in ("a", "ab", "a.b"):
            store.create(f"{place}/{path}", b"x")
        store.delete(f"{place}/a")
        assert store.stat(f"{place}/a") is None
        assert sorted(entry.name for entry in store.scan(place)) == ["a.b", "ab"]
        assert store.create(f"{place}/a", b"again") is True
        assert store.read(f"{place}/a") == b"again"

    def test_deleting_what_is_not_there_is_no_error_and_deletes_nothing(self, store: ArtifactStore, place: str) -> None:
        store.create(f"{place}/folder/object", b"x")
        for path in (f"{place}/nothing", f"{place}/nowhere/nothing", f"{place}/folder", f"{place}/folder/object/below"):
            store.delete(path)
        assert store.read(f"{place}/folder/object") == b"x"

    def test_deleting_a_folder_deletes_all_below_and_nothing_beside(self, store: ArtifactStore, place: str) -> None:
        for path in ("a/one", "a/b/two", "ab", "a.b/three"):
            store.create(f"{place}/{path}", b"x")
        store.delete_folder(f"{place}/a")
        store.delete_folder(f"{place}/nothing")
        assert sorted(path for path, _ in store.walk(place)) == [f"{place}/a.b/three", f"{place}/ab"]

    @settings(
        max_examples=40,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # an example is not made smaller, since each try would cost dozens of requests
    @given(data=st.data())
    def test_after_any_sequence_of_calls_it_holds_what_a_dictionary_would(
        self, store: ArtifactStore, data: st.DataObject
    ) -> None:
        run_against_model(store, f"contract/{uuid.uuid4().hex}", data)

    # -- local folders -------------------------------------------------------------------------------------------------

    def test_a_local_folder_is_adopted_whole_or_left_as_it_is(self, store: ArtifactStore, place: str, tmp_path: Path) -> None:
        folder = _folder_with_files((store.staging_folder() or tmp_path) / uuid.uuid4().hex)
        adopted = store.adopt(folder, f"{place}/adopted")
        found = {path.removeprefix(f"{place}/adopted/"): store.read(path) for path, _ in store.walk(f"{place}/adopted")}
        assert found == ({"a": b"1", "deep/b": b"22"} if adopted else {})
        assert (folder / "deep" / "b").exists() is not adopted

    def test_a_folder_is_not_adopted_where_something_is(self, store: ArtifactStore, place: str, tmp_path: Path) -> None:
        store.create(f"{place}/taken/other", b"first")
        folder = _folder_with_files((store.staging_folder() or tmp_path) / uuid.uuid4().hex)
        assert store.adopt(folder, f"{place}/taken") is False
        assert (folder / "a").read_bytes() == b"1"
        assert [path for path, _ in store.walk(f"{place}/taken")] == [f"{place}/taken/other"]

    def test_a_local_folder_holds_the_stores_own_bytes(self, store: ArtifactStore, place: str) -> None:
        store.create(f"{place}/below/a", b"content")
        local = store.local_folder(f"{place}/below")
        assert (store.local_folder("") is None) is (local is None)
        assert local is None or {file.name: file.read_bytes() for file in local.iterdir()} == {"a": b"content"}

    # -- the component -------------------------------------------------------------------------------------------------

    def test_it_names_the_call_by_which_it_creates(self, store: ArtifactStore) -> None:
        assert type(store).atomic_create, "a store without an atomic create holds no ledger"

    def test_its_own_check_finds_nothing_wrong_and_leaves_nothing(self, store: ArtifactStore) -> None:
        assert store.check() == []
        assert list(store.walk("canary")) == []

    def test_another_instance_with_its_configuration_is_the_same_store(self, store: ArtifactStore, place: str) -> None:
        store.create(f"{place}/a", b"by the first")
        other = alike(store)
        assert other.read(f"{place}/a") == b"by the first"
        assert other.create(f"{place}/a", b"x") is False
        other.create(f"{place}/b", b"by the second")
        assert store.read(f"{place}/b") == b"by the second"

    # -- the ledger and the payload on it --------------------------------------------------------------------------------

    def test_a_whole_pipeline_runs_on_it_and_is_queried(
        self, store: ArtifactStore, project: TrialProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        trial = project.on(LocalOrchestrator(), store)
        made = trial.run(project.pipelines.journey)
        monkeypatch.setenv("DOVETAIL_CACHE", str(tmp_path / "another machine"))
        run = project.on(LocalOrchestrator(), alike(store)).client.get_run(made.id)
        assert run.status is Status.COMPLETED, run.error
        assert run.steps["total"].output.load() == 6
        assert [child.output.load() for child in run.steps["scaled"].children] == [0, 2, 4]
        assert run.steps["total"].output.producer == run.steps["total"]
        assert "weighed" in {consumer.name for consumer in run.steps["packed"].output.consumers}
        assert run.steps["logging_step"].metrics == {"loss": 1 / 3, "score": 0.75}
        assert "line 1 of größe" in run.steps["chatty"].log()

    def test_a_second_run_takes_everything_from_the_cache(self, store: ArtifactStore, project: TrialProject) -> None:
        seven = time.time_ns()  # nobody has run this on a store that others use
        trial = project.on(LocalOrchestrator(), store)
        first = trial.run(project.pipelines.single, value=seven)
        second = trial.run(project.pipelines.single, value=seven)
        third = trial.run(project.pipelines.single, value=seven + 1)
        assert [run.status for run in (first, second, third)] == [Status.COMPLETED, Status.CACHED, Status.COMPLETED]
        assert second.steps["scaled"].output.digest == first.steps["scaled"].output.digest

    def test_a_materializer_that_knows_only_folders_works(self, store: ArtifactStore, project: TrialProject) -> None:
        run = project.on(LocalOrchestrator(), store).run(project.pipelines.journey)
        assert run.steps["weighed"].output.load() == {"empty": 0, "größe/数据": 600_000, "deep/er/and deeper": 1}
        assert run.steps["packed"].output.load().parts["größe/数据"] == b"\x00\xff" * 300_000

    def test_a_step_in_another_process_finds_its_way_by_the_address(self, store: ArtifactStore, project: TrialProject) -> None:
        run = project.on(LocalOrchestrator(), store).run(project.pipelines.with_process)
        assert run.status is Status.COMPLETED, run.error
        assert run.steps["there"].output.load() == 16

    def test_payload_that_was_tampered_with_is_refused(
        self, store: ArtifactStore, project: TrialProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        artifact = (
            project.on(LocalOrchestrator(), store).run(project.pipelines.single, value=time.time_ns()).steps["scaled"].output
        )
        monkeypatch.setenv("DOVETAIL_CACHE", str(tmp_path / "another machine"))
        name = next(iter(artifact.manifest.files))
        path = f"{layout.artifact(artifact.digest)}/data/{name}"
        kept = store.read(path)
        store.delete(path)
        store.create(path, bytes([kept[0] ^ 1]) + kept[1:])
        with pytest.raises(Corrupt, match="not what was written"):
            project.on(LocalOrchestrator(), store).client.ledger.artifacts.load(artifact.digest)


def _folder_with_files(folder: Path) -> Path:
    (folder / "deep").mkdir(parents=True)
    (folder / "a").write_bytes(b"1")
    (folder / "deep" / "b").write_bytes(b"22")
    return folder
