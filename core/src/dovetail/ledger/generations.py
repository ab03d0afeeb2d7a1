"""What is kept by content, `artifacts/<digest>` and `code/<digest>`, stands in generations, so that it can be collected while others write.

Who wants to use it creates `used/<day>` before looking whether it is there. A collection creates `condemned/<g>` before it
looks at those marks for the last time. So one of the two sees the other: the collection spares what is used, or the writer
stores its content as the next generation, which the collection does not touch. Marks are never taken back.
"""

from __future__ import annotations

from dovetail.components.artifact_store import ArtifactStore
from dovetail.ledger import layout


def place(folder: str, generation: int) -> str:
    """The folder of a generation: the first is the folder itself."""
    return f"{folder}/g{generation}" if generation else folder


def note_use(store: ArtifactStore, folder: str) -> None:
    store.create(used_mark(folder), b"")


def used_mark(folder: str) -> str:
    return f"{folder}/used/{layout.today()}"


def condemned_mark(folder: str, generation: int) -> str:
    return f"{folder}/condemned/{generation}"


def for_writing(store: ArtifactStore, folder: str) -> int:
    """The generation that no collection has condemned."""
    generation = 0
    while store.stat(condemned_mark(folder, generation)) is not None:
        generation += 1
    return generation


def for_reading(store: ArtifactStore, folder: str, last_written: str) -> int:
    """The newest generation that is whole, told by the object that is written last: what was condemned may have been spared."""
    generation = for_writing(store, folder)
    while generation and store.stat(f"{place(folder, generation)}/{last_written}") is None:
        generation -= 1
    return generation
