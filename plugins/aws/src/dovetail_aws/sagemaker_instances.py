"""Which machine of SageMaker's a step's resources come to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from dovetail.errors import ConfigurationError
from dovetail.values.settings import Resources

JobType = Literal["processing", "training"]
_GIB = 1 << 30


@dataclass(frozen=True)
class Instance:
    """`weight`: what it costs beside the others, as far as choosing the cheapest that fits takes; no price of any region."""

    name: str
    cpu: int
    memory_gib: int
    gpus: int
    gpu_type: str
    weight: float
    training_only: bool = False

    def fits(self, resources: Resources, job_type: JobType) -> bool:
        """Machines with GPUs are for who asks for some."""
        if (self.training_only and job_type == "processing") or bool(self.gpus) != bool(resources.gpu):
            return False
        enough = self.cpu >= (resources.cpu or 0) and self.memory_gib * _GIB >= (resources.memory_bytes or 0)
        wanted = resources.gpu_type is None or self.gpu_type == resources.gpu_type.lower().removeprefix("nvidia-")
        return enough and wanted and self.gpus >= (resources.gpu or 0)


_SIZES = {
    "large": 2, "xlarge": 4, "2xlarge": 8, "4xlarge": 16, "8xlarge": 32, "9xlarge": 36, "12xlarge": 48,
    "16xlarge": 64, "18xlarge": 72, "24xlarge": 96,
}  # fmt: skip
_FAMILIES = (  # GiB for each core, and sizes
    ("c5", 2, ("xlarge", "2xlarge", "4xlarge", "9xlarge", "18xlarge")),
    ("m5", 4, ("large", "xlarge", "2xlarge", "4xlarge", "12xlarge", "24xlarge")),
    ("r5", 8, ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge", "24xlarge")),
)
_SMALL = (("t3.medium", 2, 4, 50), ("t3.large", 2, 8, 100))
_GPUS = (  # name, cores, GiB, GPUs, which, weight
    ("g4dn.xlarge", 4, 16, 1, "t4", 740), ("g4dn.2xlarge", 8, 32, 1, "t4", 940), ("g6.xlarge", 4, 16, 1, "l4", 1010),
    ("g6.2xlarge", 8, 32, 1, "l4", 1220), ("g5.xlarge", 4, 16, 1, "a10g", 1410), ("g4dn.4xlarge", 16, 64, 1, "t4", 1500),
    ("g5.2xlarge", 8, 32, 1, "a10g", 1520), ("g6.4xlarge", 16, 64, 1, "l4", 1650), ("g5.4xlarge", 16, 64, 1, "a10g", 2030),
    ("g6e.xlarge", 4, 32, 1, "l40s", 2330), ("g6.8xlarge", 32, 128, 1, "l4", 2520), ("g4dn.8xlarge", 32, 128, 1, "t4", 2720),
    ("g6e.2xlarge", 8, 64, 1, "l40s", 2800), ("g5.8xlarge", 32, 128, 1, "a10g", 3060), ("g6e.4xlarge", 16, 128, 1, "l40s", 3760),
    ("p3.2xlarge", 8, 61, 1, "v100", 3830), ("g6.16xlarge", 64, 256, 1, "l4", 4250), ("g4dn.12xlarge", 48, 192, 4, "t4", 4890),
    ("g5.16xlarge", 64, 256, 1, "a10g", 5120), ("g4dn.16xlarge", 64, 256, 1, "t4", 5440), ("g6.12xlarge", 48, 192, 4, "l4", 5750),
    ("g6e.8xlarge", 32, 256, 1, "l40s", 5660), ("g5.12xlarge", 48, 192, 4, "a10g", 7090), ("p5.4xlarge", 16, 256, 1, "h100", 7900),
    ("g6.24xlarge", 96, 384, 4, "l4", 8340), ("g6e.16xlarge", 64, 512, 1, "l40s", 9470), ("g5.24xlarge", 96, 384, 4, "a10g", 10180),
    ("g6e.12xlarge", 48, 384, 4, "l40s", 13120), ("p3.8xlarge", 32, 244, 4, "v100", 14690), ("g6.48xlarge", 192, 768, 8, "l4", 16690),
    ("g6e.24xlarge", 96, 768, 4, "l40s", 18830), ("g5.48xlarge", 192, 768, 8, "a10g", 20360), ("p3.16xlarge", 64, 488, 8, "v100", 28150),
    ("p4d.24xlarge", 96, 1152, 8, "a100", 37690), ("g6e.48xlarge", 192, 1536, 8, "l40s", 37660), ("p5.48xlarge", 192, 2048, 8, "h100", 113070),
)  # fmt: skip
_TRAINING_ONLY = frozenset({"p4d.24xlarge", "p5.48xlarge"})


def _all() -> Iterator[Instance]:
    for name, cpu, memory, weight in _SMALL:
        yield Instance(f"ml.{name}", cpu, memory, 0, "", weight)
    for family, ratio, sizes in _FAMILIES:
        for size in sizes:
            cpu = _SIZES[size]
            yield Instance(f"ml.{family}.{size}", cpu, cpu * ratio, 0, "", 40 * cpu + 4.5 * cpu * ratio)
    for name, cpu, memory, gpus, which, weight in _GPUS:
        yield Instance(f"ml.{name}", cpu, memory, gpus, which, weight, name in _TRAINING_ONLY)


INSTANCES = tuple(sorted(_all(), key=lambda each: (each.weight, each.name)))


def known(name: str) -> Instance | None:
    return next((each for each in INSTANCES if each.name == name), None)


def smallest(resources: Resources, job_type: JobType) -> str:
    """The cheapest machine that has what is asked for. Raises ConfigurationError where none has."""
    found = next((each.name for each in INSTANCES if each.fits(resources, job_type)), None)
    if found is None:
        types = sorted({f"nvidia-{each.gpu_type}" for each in INSTANCES if each.gpu_type})
        raise ConfigurationError(
            f"No instance type that is known here has {_asked(resources)} for a {job_type} job. Ask for less, name another GPU "
            f"({', '.join(types)}), or name the machine yourself: settings={{'sagemaker': {{'instance_type': 'ml.…'}}}}."
        )
    return found


def lacking(name: str, resources: Resources, job_type: JobType) -> str | None:
    """What a machine that was named lacks of what a step asks for; None where nothing, or where it is not known here."""
    instance = known(name)
    if instance is None or instance.fits(resources, job_type) or (not resources.gpu and instance.gpus and _beside_gpu(instance, resources)):
        return None
    has = f"{instance.cpu} cores, {instance.memory_gib} GiB" + (f", {instance.gpus} GPUs ({instance.gpu_type})" if instance.gpus else "")
    only = " and is for training jobs alone" if instance.training_only and job_type == "processing" else ""
    return f"{name} has {has}{only}, and the step asks for {_asked(resources)}. Leave `instance_type` out, or ask for less."


def _beside_gpu(instance: Instance, resources: Resources) -> bool:
    """Whether a machine with GPUs, which nobody asked for, has all else."""
    return instance.cpu >= (resources.cpu or 0) and instance.memory_gib * _GIB >= (resources.memory_bytes or 0)


def _asked(resources: Resources) -> str:
    said = [f"{resources.cpu:g} cores"] if resources.cpu else []
    said += [f"{resources.memory_bytes / _GIB:g} GiB of memory"] if resources.memory_bytes else []
    said += [f"{resources.gpu} GPUs{f' of {resources.gpu_type}' if resources.gpu_type else ''}"] if resources.gpu else []
    return ", ".join(said) or "nothing in particular"
