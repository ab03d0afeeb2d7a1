"""Large objects are moved whole, in parts, in bounded memory; what breaks off is asked for again."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dovetail_aws.artifact_store import S3ArtifactStore
from dovetail_aws.transfers import SMALL, Source, uploaded
from front import CUT, DROP, SLOW_DOWN, Fault, Front, Request, once, times

PART = 8 << 20


@pytest.mark.parametrize("size", [PART, PART + 1, SMALL, SMALL + 1, 40_000_001])
def test_content_of_every_size_arrives_whole(store: S3ArtifactStore, tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    (tmp_path / "file").write_bytes(content)
    assert store.create("from a file", tmp_path / "file") is True
    assert store.create("from bytes", content) is True
    for path in ("from a file", "from bytes"):
        entry = store.stat(path)
        assert entry is not None and entry.size == size
        store.fetch(path, tmp_path / "fetched")
        assert (tmp_path / "fetched").read_bytes() == content
    assert store.read("from a file") == content


def test_a_large_object_is_moved_in_parts(store: S3ArtifactStore, watched: Front, tmp_path: Path) -> None:
    store.create("a", b"x" * (3 * PART + 1))
    assert sorted(watched.verbs()) == ["HEAD", "POST+uploadId", "POST+uploads", *["PUT+uploadId"] * 4]
    with watched.noted() as requests:
        store.fetch("a", tmp_path / "fetched")
    ranges = sorted(request.headers["range"] for request in requests)
    assert len(ranges) == 4
    assert all("if-match" in request.headers for request in requests if request.headers["range"] != f"bytes=0-{PART - 1}")


def is_part(request: Request) -> bool:
    return "partNumber" in request.query


@pytest.mark.parametrize("fault", [DROP, CUT, SLOW_DOWN])
def test_a_part_that_breaks_off_is_moved_again(store: S3ArtifactStore, watched: Front, tmp_path: Path, fault: Fault) -> None:
    content = os.urandom(3 * PART)
    with watched.faulty(times(2, fault, is_part)):
        assert store.create("a", content) is True
    with watched.faulty(times(2, fault)):
        store.fetch("a", tmp_path / "fetched")
    assert (tmp_path / "fetched").read_bytes() == content
    with watched.faulty(once(fault)):
        assert store.read("a") == content
    assert sum(watched.made.values()) == 5


def test_content_that_keeps_breaking_off_is_an_error(make_store: Callable[..., Any], watched: Front, tmp_path: Path) -> None:
    store = make_store(endpoint_url=watched.url, attempts=2)
    store.create("a", b"x" * 100_000)
    with watched.faulty(lambda _: CUT):
        with pytest.raises(ConnectionError, match="could not be asked for 'a'"):
            store.read("a")
        with pytest.raises(ConnectionError):
            store.fetch("a", tmp_path / "fetched")


def test_an_object_that_is_replaced_while_it_is_fetched_is_an_error_and_no_mixture(
    store: S3ArtifactStore, watched: Front, make_store: Callable[..., Any], tmp_path: Path
) -> None:
    store.overwrite("a", b"o" * (3 * PART))
    other = make_store()

    def replace(request: Request) -> None:
        if request.headers.get("range") == f"bytes={PART}-{2 * PART - 1}":
            other.overwrite("a", b"n" * (3 * PART))

    with watched.faulty(replace), pytest.raises(OSError, match="PreconditionFailed"):
        store.fetch("a", tmp_path / "fetched")


def test_the_size_of_parts_grows_with_the_object_and_their_number_stays_allowed() -> None:
    class Client:
        """Takes note of parts that are too large to be sent in a test."""

        sent: list[int] = []

        def create_multipart_upload(self, **_: Any) -> dict[str, str]:
            return {"UploadId": "1"}

        def upload_part(self, PartNumber: int, **_: Any) -> dict[str, str]:
            self.sent.append(PartNumber)
            return {"ETag": ""}

        def complete_multipart_upload(self, **_: Any) -> None:
            pass

    class Huge(Source):
        def part(self, start: int, size: int) -> bytes:
            return b""

    with uploaded(Client(), {"Bucket": "b", "Key": "k"}, Huge(b"", 1 << 40), 8) as complete:
        complete()
    assert sorted(Client.sent) == list(range(1, len(Client.sent) + 1))
    assert 5_000 < len(Client.sent) <= 10_000


_MOVE = """
import resource, sys
from pathlib import Path
from dovetail.components import Secret
from dovetail_aws.artifact_store import S3ArtifactStore
store = S3ArtifactStore(path=sys.argv[1], endpoint_url=sys.argv[2], key=Secret("testing"), secret=Secret("testing"))
store.create("warm", b"x")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert store.create("large", Path(sys.argv[3]))
store.fetch("large", Path(sys.argv[4]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="it tells no peak of memory")
def test_a_large_file_is_moved_in_little_memory(make_store: Callable[..., Any], tmp_path: Path) -> None:
    size, store = 200 << 20, make_store()
    with (tmp_path / "file").open("wb") as file:
        for _ in range(size >> 20):
            file.write(os.urandom(1 << 20))
    command = [sys.executable, "-c", _MOVE, store.path, store.endpoint_url, str(tmp_path / "file"), str(tmp_path / "fetched")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    unit = 1 if sys.platform == "darwin" else 1024  # in which the system counts
    assert int(done.stdout) * unit < 130 << 20
    assert _hash(tmp_path / "fetched") == _hash(tmp_path / "file")


def _hash(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest() if sys.version_info >= (3, 11) else hashlib.sha256(opened.read()).hexdigest()
