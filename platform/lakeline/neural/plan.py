"""A plan: everything that decides what a network becomes, in one frozen value that a function returns.

def delay_mlp_plan(seed: int) -> Plan:
    return Plan(seed=seed, epochs=12, config={"hidden": [256, 128]})
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from lakeline.neural.errors import PlanError

Schedule = Literal["constant", "cosine"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]
SCHEDULES = ("constant", "cosine")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")

TRACELESS = ("seed", "checkpoint_steps", "prefetch", "profile", "spill")
"""Fields that change no byte of a model beside the seed, which a model carries by itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How a network is trained.

    Attributes:
        seed: Of weights, order and dropout.
        architecture: Name in `lakeline.neural.architectures.ARCHITECTURES`, or ``module:factory`` of your own.
        config: What the architecture's factory is given beside the sizes of its input; plain values.
        epochs: Passes over the rows, at most.
        batch_rows: Rows of a step, over all processes together.
        learning_rate: Highest of the schedule.
        weight_decay: Of AdamW.
        schedule: ``constant``, or ``cosine`` down to zero at the last step of the last epoch.
        warmup_steps: Steps over which the learning rate rises to its highest.
        clip_norm: Longest gradient; longer ones are scaled down to it. 0 never does.
        stop_days: Newest days of the training window, which are held out to tell when to stop; 0 trains every epoch on
            every row. They are never more than a fifth of the rows.
        patience: Epochs without a better loss on those days before the training stops.
        precision: ``auto`` is bfloat16 on a GPU that has it and float32 elsewhere.
        compile: Whether torch compiles the network first.
        threads: Threads of torch on a CPU.
        processes: Processes that share each step's rows; more than one are started by torchrun.
        memory_rows: Rows of a table up to which it is read into memory and shuffled whole; a larger one is streamed.
        buffer_rows: Rows of a streamed table that are shuffled together; its shards are shuffled besides.
        spill: Whether the encoded rows of a table are kept on this machine's disk for later epochs.
        prefetch: Buffers that are made ready ahead; 0 makes each when it is needed.
        checkpoint_steps: Steps between two checkpoints, beside that of each epoch; 0 writes none in between.
        profile: Whether some steps of the first epoch are traced.
    """

    seed: int = 0
    architecture: str = "tabular_mlp"
    config: Mapping[str, Any] = field(default_factory=dict)
    epochs: int = 10
    batch_rows: int = 1024
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    schedule: Schedule = "cosine"
    warmup_steps: int = 0
    clip_norm: float = 1.0
    stop_days: int = 14
    patience: int = 3
    precision: Precision = "auto"
    compile: bool = False
    # With two threads a step of the flights' network took 7 ms where one took 9, on two free cores, and 105 to 202 ms where one
    # took 7 to 9, on cores that others used too: each part of a step waits for the slower thread. See benchmarks/bench_train.py.
    threads: int = 1
    processes: int = 1
    memory_rows: int = 1_000_000
    buffer_rows: int = 131_072
    spill: bool = True
    prefetch: int = 1
    checkpoint_steps: int = 500
    profile: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_rows", "threads", "processes", "buffer_rows"):
            if getattr(self, name) < 1:
                raise PlanError(name, getattr(self, name), "at least 1")
        for name in ("memory_rows", "weight_decay", "warmup_steps", "clip_norm", "stop_days", "patience", "prefetch", "checkpoint_steps"):  # fmt: skip
            if getattr(self, name) < 0:
                raise PlanError(name, getattr(self, name), "0 or more")
        if not self.learning_rate > 0:
            raise PlanError("learning_rate", self.learning_rate, "above 0")
        if self.schedule not in SCHEDULES:
            raise PlanError("schedule", self.schedule, " or ".join(SCHEDULES))
        if self.precision not in PRECISIONS:
            raise PlanError("precision", self.precision, " or ".join(PRECISIONS))
        if self.batch_rows < self.processes:
            raise PlanError("batch_rows", self.batch_rows, f"at least processes={self.processes}")

    def to_dict(self) -> dict[str, Any]:
        """Every field by its name, in plain values."""
        return {**asdict(self), "config": dict(self.config)}

    def described(self) -> dict[str, Any]:
        """What a model says of its training: the fields that may change its bytes, but the seed and the architecture."""
        apart = (*TRACELESS, "architecture", "config")
        return {name: one for name, one in self.to_dict().items() if name not in apart}
