"""A connection that is tried before it is used."""

from __future__ import annotations

from dovetail_mlflow.connection import MlflowConnection


class CheckedConnection(MlflowConnection):
    """Its `check` says what keeps MLflow from being used."""

    def require(self) -> None:
        """Raises ConnectionError at once where the server would be tried in vain for long."""
        problems = self.check() if self.is_server else []
        if problems:
            raise ConnectionError(problems[0])

    def check(self) -> list[str]:
        from dovetail_mlflow.reaching import problems

        return problems(self)
