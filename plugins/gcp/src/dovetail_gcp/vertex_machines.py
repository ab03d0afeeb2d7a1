"""Which machine of Vertex AI gives a step what it asks for: the smallest that fits, of the types that custom training offers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dovetail.errors import ConfigurationError, near
from dovetail.values.amounts import bytes_in_words
from dovetail.values.settings import Resources

FAMILIES = ("e2", "n2", "n1", "c2", "m1", "g2", "a2", "a3", "a4")
ACCELERATORS = (
    "NVIDIA_TESLA_T4", "NVIDIA_L4", "NVIDIA_TESLA_P4", "NVIDIA_TESLA_P100", "NVIDIA_TESLA_V100", "NVIDIA_TESLA_A100", "NVIDIA_A100_80GB",
    "NVIDIA_H100_80GB", "NVIDIA_H100_MEGA_80GB", "NVIDIA_H200_141GB", "NVIDIA_B200", "NVIDIA_GB200", "NVIDIA_RTX_PRO_6000",
    "TPU_V2", "TPU_V3", "TPU_V4_POD", "TPU_V5_LITEPOD",
)  # fmt: skip
DEFAULT = "e2-standard-4"  # for a step that asks for nothing
_GIB = 2**30
_CORE = 7  # GiB of memory that cost what a core costs
_PRICE = {"e2": 0.7, "n1": 1.15, "c2": 1.1, "m1": 1.4}  # of a core, roughly, beside the other families

# family, size: cores and GiB for each of the numbers that follow. What a family offers in one ratio stands on one line.
_SIZES: Sequence[tuple[str, str, float, Sequence[int]]] = (
    ("e2", "standard", 4, (4, 8, 16, 32)),
    ("e2", "highmem", 8, (2, 4, 8, 16)),
    ("e2", "highcpu", 1, (16, 32)),
    ("n2", "standard", 4, (4, 8, 16, 32, 48, 64, 80)),
    ("n2", "highmem", 8, (2, 4, 8, 16, 32, 48, 64, 80)),
    ("n2", "highcpu", 1, (16, 32, 48, 64, 80)),
    ("n1", "standard", 3.75, (4, 8, 16, 32, 64, 96)),
    ("n1", "highmem", 6.5, (2, 4, 8, 16, 32, 64, 96)),
    ("n1", "highcpu", 0.9, (16, 32, 64, 96)),
    ("c2", "standard", 4, (4, 8, 16, 30, 60)),
    ("m1", "ultramem", 24.025, (40, 80, 160)),
)
# name, cores, GiB, its own accelerators
_WITH_GPUS: Sequence[tuple[str, int, int, str, int]] = (
    ("g2-standard-4", 4, 16, "NVIDIA_L4", 1),
    ("g2-standard-8", 8, 32, "NVIDIA_L4", 1),
    ("g2-standard-12", 12, 48, "NVIDIA_L4", 1),
    ("g2-standard-16", 16, 64, "NVIDIA_L4", 1),
    ("g2-standard-32", 32, 128, "NVIDIA_L4", 1),
    ("g2-standard-24", 24, 96, "NVIDIA_L4", 2),
    ("g2-standard-48", 48, 192, "NVIDIA_L4", 4),
    ("g2-standard-96", 96, 384, "NVIDIA_L4", 8),
    ("a2-highgpu-1g", 12, 85, "NVIDIA_TESLA_A100", 1),
    ("a2-highgpu-2g", 24, 170, "NVIDIA_TESLA_A100", 2),
    ("a2-highgpu-4g", 48, 340, "NVIDIA_TESLA_A100", 4),
    ("a2-highgpu-8g", 96, 680, "NVIDIA_TESLA_A100", 8),
    ("a2-megagpu-16g", 96, 1360, "NVIDIA_TESLA_A100", 16),
    ("a2-ultragpu-1g", 12, 170, "NVIDIA_A100_80GB", 1),
    ("a2-ultragpu-2g", 24, 340, "NVIDIA_A100_80GB", 2),
    ("a2-ultragpu-4g", 48, 680, "NVIDIA_A100_80GB", 4),
    ("a2-ultragpu-8g", 96, 1360, "NVIDIA_A100_80GB", 8),
    ("a3-highgpu-1g", 26, 234, "NVIDIA_H100_80GB", 1),
    ("a3-highgpu-2g", 52, 468, "NVIDIA_H100_80GB", 2),
    ("a3-highgpu-4g", 104, 936, "NVIDIA_H100_80GB", 4),
    ("a3-highgpu-8g", 208, 1872, "NVIDIA_H100_80GB", 8),
    ("a3-megagpu-8g", 208, 1872, "NVIDIA_H100_MEGA_80GB", 8),
    ("a3-ultragpu-8g", 224, 2952, "NVIDIA_H200_141GB", 8),
    ("a4-highgpu-8g", 224, 3968, "NVIDIA_B200", 8),
)
# What can be attached to machines of family n1: for each number of accelerators, the most cores that they go with.
_ATTACHED: Sequence[tuple[str, dict[int, int]]] = (
    ("NVIDIA_TESLA_T4", {1: 16, 2: 32, 4: 96}),
    ("NVIDIA_TESLA_P4", {1: 16, 2: 32, 4: 96}),
    ("NVIDIA_TESLA_P100", {1: 16, 2: 32, 4: 96}),
    ("NVIDIA_TESLA_V100", {1: 8, 2: 16, 4: 32, 8: 96}),
)


@dataclass(frozen=True, slots=True)
class Machine:
    """`memory`: in GiB. `accelerators`: how many of `accelerator` it comes with, or is to have attached."""

    name: str
    cores: float
    memory: float
    accelerator: str = ""
    accelerators: int = 0

    @property
    def family(self) -> str:
        return self.name.partition("-")[0]

    def spec(self) -> dict[str, Any]:
        """As the services of Vertex AI take it: their MachineSpec."""
        made: dict[str, Any] = {"machineType": self.name}
        return {**made, "acceleratorType": self.accelerator, "acceleratorCount": self.accelerators} if self.accelerator else made


def machine_spec(
    resources: Resources, machine_type: str | None = None, accelerator_type: str | None = None, accelerator_count: int | None = None,
    families: Sequence[str] = FAMILIES,
) -> dict[str, Any]:  # fmt: skip
    """The MachineSpec for what a step asks for. What is given besides `resources` comes first; `families` are those to choose from.

    Raises ConfigurationError where no machine has it, or the given one has less.
    """
    asked = accelerator_type or resources.gpu_type
    kind = accelerator(asked) if asked else ""
    count = accelerator_count if accelerator_count is not None else (resources.gpu or 0)
    if kind and not count:
        count = 1
    if machine_type is None:
        return _smallest(resources, kind, count, families).spec()
    return _given(machine_type, resources, kind, count).spec()


def accelerator(name: str) -> str:
    """Vertex AI's word for an accelerator: also of Compute Engine's, such as `nvidia-l4`, and of short ones, such as `T4`."""
    asked = name.strip().upper().replace("-", "_").replace(" ", "_")
    found = [known for known in ACCELERATORS if asked in (known, known.removeprefix("NVIDIA_"), known.removeprefix("NVIDIA_TESLA_"))]
    short = found or [known for known in ACCELERATORS if known.removeprefix("NVIDIA_").startswith(f"{asked.removeprefix('NVIDIA_')}_")]
    if not short:
        raise ConfigurationError(f"Vertex AI has no accelerator {name!r}. {near(asked, ACCELERATORS)}")
    return short[0]


def machines() -> Iterator[Machine]:
    """All types that are chosen from, each with the accelerators that it can have."""
    for family, kind, ratio, sizes in _SIZES:
        for cores in sizes:
            bare = Machine(f"{family}-{kind}-{cores}", cores, round(cores * ratio, 1))
            yield bare
            if family == "n1" and kind != "highcpu":
                yield from _with_attached(bare)
    for name, cores, memory, gpu, count in _WITH_GPUS:
        yield Machine(name, cores, memory, gpu, count)


def _with_attached(bare: Machine) -> Iterator[Machine]:
    for gpu, most in _ATTACHED:
        for count, cores in most.items():
            if bare.cores <= cores:
                yield Machine(bare.name, bare.cores, bare.memory, gpu, count)


def _smallest(resources: Resources, kind: str, count: int, families: Sequence[str]) -> Machine:
    if resources.cpu is None and resources.memory is None and not count and DEFAULT.partition("-")[0] in families:
        return next(machine for machine in machines() if machine.name == DEFAULT)
    fitting = [machine for machine in machines() if machine.family in families and _fits(machine, resources, kind, count)]
    if not fitting:
        raise ConfigurationError(_no_machine(resources, kind, count, families))
    return min(fitting, key=lambda machine: _cost(machine, families))


def _cost(machine: Machine, families: Sequence[str]) -> tuple[float, ...]:
    """What is the cheaper is the smaller: first by accelerators, then by cores and memory, then by the order of families."""
    kind = ACCELERATORS.index(machine.accelerator) if machine.accelerator else -1
    price = _PRICE.get(machine.family, 1.0) * (machine.cores * _CORE + machine.memory)
    return kind, machine.accelerators, price, list(families).index(machine.family)


def _fits(machine: Machine, resources: Resources, kind: str, count: int) -> bool:
    enough = machine.cores >= (resources.cpu or 0) and machine.memory * _GIB >= (resources.memory_bytes or 0)
    return enough and machine.accelerators == count and (not kind or machine.accelerator == kind)


def _given(name: str, resources: Resources, kind: str, count: int) -> Machine:
    """The machine that is asked for by name. One that is not known here is taken as it is: new ones come."""
    variants = [machine for machine in machines() if machine.name == name]
    if not variants:
        if count and not kind:
            raise ConfigurationError(
                f"{count} accelerators for machine type '{name}' are asked for, and not which. Say `accelerator_type`, or `gpu_type`."
            )
        return Machine(name, 0, 0, kind, count)
    own = variants[0].accelerator if len(variants) == 1 else ""
    wanted = count or (variants[0].accelerators if own else 0)
    fitting = [machine for machine in variants if _fits(machine, resources, kind, wanted)]
    if not fitting:
        has = f"Machine type '{name}' has {_words(variants[-1])}, and {_asked(resources, kind, count)} is asked for"
        raise ConfigurationError(f"{has}. Choose another `machine_type`, or leave it out.")
    return min(fitting, key=lambda machine: _cost(machine, FAMILIES))


def _words(machine: Machine) -> str:
    gpus = f" and up to {machine.accelerators} {machine.accelerator}" if machine.accelerator else " and no accelerator"
    return f"{machine.cores:g} cores, {machine.memory:g} GiB{gpus}"


def _asked(resources: Resources, kind: str, count: int) -> str:
    said = [f"cpu {resources.cpu:g}" if resources.cpu else "", f"memory {bytes_in_words(resources.memory_bytes)}" if resources.memory_bytes else ""]
    said.append(f"{count} {kind or 'accelerators'}" if count else "")
    return ", ".join(filter(None, said)) or "less"


def _no_machine(resources: Resources, kind: str, count: int, families: Sequence[str]) -> str:
    counts = sorted({machine.accelerators for machine in machines() if machine.accelerators and kind in ("", machine.accelerator)})
    if count and count not in counts:
        cure = f"Ask for {', '.join(map(str, counts))} of them"
    else:
        cure = "Ask for less, or name a `machine_type` in the settings"
    return f"No machine of Vertex AI's families {', '.join(families)} has {_asked(resources, kind, count)}. {cure}."
