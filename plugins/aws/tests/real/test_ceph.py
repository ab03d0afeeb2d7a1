"""The same promises on a real S3: Ceph's own gateway. `nox -s real-aws` asks for it."""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import ceph

if "DOVETAIL_REAL" not in os.environ:
    pytest.skip("needs a real S3, which DOVETAIL_REAL=1 starts", allow_module_level=True)
if ceph.missing():
    pytest.skip(f"not installed: {', '.join(ceph.missing())}", allow_module_level=True)

from dovetail.components import Secret
from dovetail.ledger.records import Records
from dovetail.ledger.verifying import verify
from dovetail.testing import ArtifactStoreContract
from dovetail.testing.races import at_once
from dovetail.values.plan import Status
from dovetail_aws.artifact_store import S3ArtifactStore
from front import CUT, DROP, LOSE, Fault, Front, front

KEYS = {"key": Secret(ceph.KEY), "secret": Secret(ceph.SECRET), "region": "default"}
LARGE = 1 << 30


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ceph.Ceph]:
    with ceph.ceph(tmp_path_factory.mktemp("ceph")) as running:
        S3ArtifactStore(path="s3://trial", endpoint_url=running.url, **KEYS)._s3.create_bucket(Bucket="trial")
        yield running


@pytest.fixture
def seen(gateway: ceph.Ceph) -> Iterator[Front]:
    with front(gateway.port) as standing:
        yield standing


@pytest.fixture
def make_real(gateway: ceph.Ceph) -> Callable[..., S3ArtifactStore]:
    path = f"s3://trial/{uuid.uuid4().hex}"
    return lambda **fields: S3ArtifactStore(**{"path": path, "endpoint_url": gateway.url, **KEYS, **fields})


class TestS3OnCeph(ArtifactStoreContract):
    @pytest.fixture
    def store(self, make_real: Callable[..., S3ArtifactStore]) -> S3ArtifactStore:
        return make_real()

    @pytest.fixture
    def denied_store(self, make_real: Callable[..., S3ArtifactStore]) -> S3ArtifactStore:
        return make_real(secret=Secret("not the secret"))


def test_of_a_hundred_creators_exactly_one_wins_many_times(make_real: Callable[..., S3ArtifactStore]) -> None:
    store = make_real()
    for number in range(20):
        contents = [f"{writer} ".encode() * 50 for writer in range(100)]
        won = at_once([partial(store.create, str(number), content) for content in contents])
        assert won.count(True) == 1
        assert store.read(str(number)) == contents[won.index(True)]


def test_many_writers_of_one_log_take_every_number_once(make_real: Callable[..., S3ArtifactStore]) -> None:
    ledgers = [Records(make_real()) for _ in range(4)]
    taken = at_once([partial(ledgers[number % 4].append, "names/artifacts/n", {"writer": number}) for number in range(40)])
    assert sorted(taken) == list(range(1, 41))


def test_a_run_keeps_its_promises_though_connections_break(
    project: Any, make_real: Callable[..., S3ArtifactStore], seen: Front
) -> None:
    store, count = make_real(endpoint_url=seen.url), [0]

    def now_and_then(_: Any) -> Fault | None:
        count[0] += 1
        return {0: LOSE, 15: DROP, 30: CUT}.get(count[0] % 45)

    with seen.faulty(now_and_then):
        trial = project.on(store)
        run, again = trial.run(project.steps.diamond, size=5), trial.run(project.steps.diamond, size=5)
    assert (run.status, again.status) == (Status.COMPLETED, Status.CACHED)
    assert sum(seen.made.values()) >= 2
    found = verify(project.on(make_real()).client.ledger)
    assert found.is_sound, found.findings


def test_a_gigabyte_moves_about_as_fast_as_fsspec_moves_it(
    make_real: Callable[..., S3ArtifactStore], gateway: ceph.Ceph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At least 0.8 of its speed, the best of two each."""
    s3fs = pytest.importorskip("s3fs")
    for name in ("AWS_REQUEST_CHECKSUM_CALCULATION", "AWS_RESPONSE_CHECKSUM_VALIDATION"):
        monkeypatch.setenv(name, "when_required")
    files = s3fs.S3FileSystem(key=ceph.KEY, secret=ceph.SECRET, endpoint_url=gateway.url, client_kwargs={"region_name": "default"})
    source, target, store = tmp_path / "source", tmp_path / "target", make_real()
    with source.open("wb") as file:
        for _ in range(LARGE >> 20):
            file.write(os.urandom(1 << 20))
    theirs: list[tuple[float, float]] = []
    mine: list[tuple[float, float]] = []
    for number in range(2):
        theirs.append((timed(files.put_file, str(source), "trial/theirs"), timed(files.get_file, "trial/theirs", str(target))))
        files.rm("trial/theirs")
        mine.append((timed(store.create, f"{number}", source), timed(store.fetch, f"{number}", target)))
        store.delete(f"{number}")
    for which, name in enumerate(("written", "read")):
        ratio = min(pair[which] for pair in theirs) / min(pair[which] for pair in mine)
        print(f"a gigabyte is {name} at {ratio:.2f} of the speed of s3fs", file=sys.stderr)
        assert ratio >= 0.8


def timed(call: Callable[..., Any], *arguments: Any) -> float:
    began = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - began
