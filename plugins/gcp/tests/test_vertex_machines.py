"""A step gets the smallest machine of Vertex AI that has what it asks for, and none where none has it."""

from __future__ import annotations

from typing import Any

import pytest

from dovetail.errors import ConfigurationError
from dovetail.values.settings import Resources
from dovetail_gcp.vertex_machines import accelerator, machine_spec, machines


@pytest.mark.parametrize(
    ("asked", "machine", "gpu"),
    [
        ({}, "e2-standard-4", None),
        ({"cpu": 1}, "e2-highmem-2", None),
        ({"cpu": 0.5, "memory": "30GiB"}, "e2-highmem-4", None),
        ({"cpu": 5, "memory": "1GiB"}, "e2-standard-8", None),
        ({"cpu": 33}, "n2-highcpu-48", None),
        ({"cpu": 90}, "n1-highcpu-96", None),
        ({"memory": "600GiB"}, "n2-highmem-80", None),
        ({"memory": "700GiB"}, "m1-ultramem-40", None),
        ({"gpu": 1}, "n1-highmem-2", ("NVIDIA_TESLA_T4", 1)),
        ({"gpu": 8}, "g2-standard-96", ("NVIDIA_L4", 8)),
        ({"gpu": 1, "gpu_type": "nvidia-l4"}, "g2-standard-4", ("NVIDIA_L4", 1)),
        ({"gpu": 1, "gpu_type": "L4", "cpu": 20}, "g2-standard-32", ("NVIDIA_L4", 1)),
        ({"gpu": 2, "gpu_type": "nvidia-tesla-a100"}, "a2-highgpu-2g", ("NVIDIA_TESLA_A100", 2)),
        ({"gpu": 4, "gpu_type": "nvidia-a100-80gb"}, "a2-ultragpu-4g", ("NVIDIA_A100_80GB", 4)),
        ({"gpu": 8, "gpu_type": "H100"}, "a3-highgpu-8g", ("NVIDIA_H100_80GB", 8)),
        ({"gpu": 1, "gpu_type": "V100", "cpu": 8}, "n1-standard-8", ("NVIDIA_TESLA_V100", 1)),
    ],
)
def test_it_is_the_smallest_that_fits(asked: dict[str, Any], machine: str, gpu: tuple[str, int] | None) -> None:
    found = machine_spec(Resources(**asked))
    assert found["machineType"] == machine
    assert (found.get("acceleratorType"), found.get("acceleratorCount")) == (gpu or (None, None))


def test_a_machine_is_never_less_than_asked_for() -> None:
    by_name = {machine.name: machine for machine in machines()}
    for cores in (0.1, 1, 3, 7, 15, 31, 63, 79, 95):
        for gib in (0.5, 4, 15, 60, 250, 600):
            if cores > 80 and gib > 620:
                continue
            found = by_name[machine_spec(Resources(cpu=cores, memory=int(gib * 2**30)))["machineType"]]
            assert found.cores >= cores
            assert found.memory >= gib


@pytest.mark.parametrize(
    ("asked", "given", "said"),
    [
        ({"cpu": 500}, {}, "cpu 500"),
        ({"memory": "20TiB"}, {}, "memory 22 TB"),
        ({"gpu": 3, "gpu_type": "L4"}, {}, "Ask for 1, 2, 4, 8 of them"),
        ({"gpu": 1, "gpu_type": "L44"}, {}, "NVIDIA_L4"),
        ({"cpu": 8}, {"machine_type": "e2-standard-4"}, "4 cores, 16 GiB"),
        ({"gpu": 1, "gpu_type": "L4"}, {"machine_type": "n2-standard-4"}, "no accelerator"),
        ({"gpu": 2}, {"machine_type": "x9-new-1"}, "accelerator_type"),
        ({"cpu": 60}, {"families": ["e2"]}, "families e2"),
    ],
)
def test_what_no_machine_has_is_told_with_the_way_out(asked: dict[str, Any], given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        machine_spec(Resources(**asked), **given)


def test_a_machine_that_comes_with_accelerators_is_asked_for_with_them() -> None:
    assert machine_spec(Resources(), "g2-standard-24") == {"machineType": "g2-standard-24", "acceleratorType": "NVIDIA_L4", "acceleratorCount": 2}


def test_a_machine_that_is_not_known_here_is_asked_for_as_it_is() -> None:
    assert machine_spec(Resources(cpu=3), "x9-new-1") == {"machineType": "x9-new-1"}


def test_accelerators_are_known_by_the_names_that_google_has_for_them() -> None:
    assert [accelerator(name) for name in ("nvidia-tesla-t4", "NVIDIA_L4", "a100", "nvidia-h100-80gb", "TPU_V5_LITEPOD")] == [
        "NVIDIA_TESLA_T4", "NVIDIA_L4", "NVIDIA_TESLA_A100", "NVIDIA_H100_80GB", "TPU_V5_LITEPOD"
    ]  # fmt: skip
