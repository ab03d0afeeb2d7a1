"""`python -m dovetail_mlflow.models_command …` is `mlflow models …`, without the rest of MLflow's commands, whose import takes as long again."""

from __future__ import annotations

from mlflow.models.cli import commands

if __name__ == "__main__":
    commands(prog_name="mlflow models")
