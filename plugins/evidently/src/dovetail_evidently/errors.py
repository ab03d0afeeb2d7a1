"""What Evidently raises, said as Dovetail says it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dovetail.errors import DefinitionError, DovetailError, ValidationError

_LONGEST = 300  # characters of an error of Evidently's in one of ours


@contextmanager
def making(what: str, cure: str) -> Iterator[None]:
    """A check that Evidently refuses to make is a mistake of who wrote it."""
    try:
        yield
    except DovetailError:
        raise
    except Exception as error:
        raise DefinitionError(f"Evidently cannot make {what}: {_said(error)}. {cure}") from error


@contextmanager
def measuring(what: str) -> Iterator[None]:
    try:
        yield
    except DovetailError:
        raise
    except Exception as error:
        raise ValidationError(
            f"Evidently could not measure {what}: {_said(error)}. Look at the columns first, with Check('schema'), and at what each check takes."
        ) from error


def _said(error: Exception) -> str:
    text = " ".join(str(error).split()).rstrip(".")
    return f"{type(error).__name__}: {text[:_LONGEST]}{'…' if len(text) > _LONGEST else ''}" if text else type(error).__name__
