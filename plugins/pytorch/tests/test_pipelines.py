"""Models and tensors from step to step in real runs, also in processes of their own and from another program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = '''
import torch
from torch import nn
from dovetail import Client, pipeline, step


class Net(nn.Module):
    def __init__(self, hidden: int):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, rows):
        return self.layers(rows)


@step
def data() -> tuple[torch.Tensor, torch.Tensor]:
    rows = torch.arange(20.0).reshape(10, 2)
    return rows, rows.sum(1, keepdim=True)


@step
def train(rows: torch.Tensor, targets: torch.Tensor, hidden: int = 8) -> Net:
    torch.manual_seed(0)
    model = Net(hidden)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(50):
        optimizer.zero_grad()
        (model(rows) - targets).square().mean().backward()
        optimizer.step()
    return model.eval()


@step(isolated=True)
def evaluate(model: Net, rows: torch.Tensor, targets: torch.Tensor) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        return {"error": (model(rows) - targets).abs().mean(), "weights": model.layers[0].weight}


@pipeline
def training(hidden: int = 8):
    rows, targets = data()
    evaluate(train(rows, targets, hidden), rows, targets)


if __name__ == "__main__":
    run = training()
    print(run.status.value, run.steps["train"].output.manifest.metadata["parameters"], run.steps["evaluate"].output.load()["error"].item() < 5)
'''
READER = """
from dovetail import Client
model = Client().get_pipeline("training").last_run.steps["train"].output.load()
print(type(model).__module__, type(model).__name__, sum(each.numel() for each in model.parameters()))
"""


def test_a_model_goes_from_step_to_step_is_cached_and_is_read_by_another_program(isolated: Path) -> None:
    (isolated / "training.py").write_text(PROGRAM, encoding="utf-8")
    (isolated / ".dovetail").mkdir()
    (isolated / ".dovetail" / "project.yaml").write_text("name: training\n", encoding="utf-8")
    said = [run("training.py"), run("training.py"), run("-c", READER)]
    assert said == ["completed 33 True", "cached 33 True", "training Net 33"]


def run(*arguments: str) -> str:
    done = subprocess.run([sys.executable, "-W", "error", *arguments], capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]
