"""From rows and a plan to a model, in one process; with others beside it, each calls this with its own rank."""

import hashlib
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lakeline.models.surroundings import Report, Surroundings, say_nothing
from lakeline.models.training_set import TrainingSet
from lakeline.neural.architectures import build_network, factory_module
from lakeline.neural.blocks import (
    Block,
    Blocks,
    MemoryBlocks,
    StreamedBlocks,
    encode_all,
    encoder,
    mixed_seed,
)
from lakeline.neural.checkpoints import Checkpoints
from lakeline.neural.fitting import Fitted, fit_encoding
from lakeline.neural.loop import Loop
from lakeline.neural.model import NetworkModel
from lakeline.neural.place import Place, find_place, repeatable
from lakeline.neural.progress import Progress
from lakeline.neural.scoring import payload_of
from lakeline.neural.spilling import Spill
from lakeline.neural.state import State
from lakeline.neural.tracing import Tracer

if TYPE_CHECKING:
    from lakeline.models.rows import Rows
    from lakeline.neural.plan import Plan


def fit(
    rows: "Rows", plan: "Plan", *, name: str, around: Surroundings, rank: int = 0, world: int = 1
) -> NetworkModel:
    """A network for the label of some rows.

    Args:
        rows: Labelled.
        plan: How it is trained.
        name: What the model is called.
        around: Where checkpoints go, who is told, which device.
        rank: Number of this process.
        world: How many share the work.

    Raises:
        UntrainableError: There are no rows, or all have the same label.
        LossError: A loss is no number.
        DeviceError: The device is not there.
    """
    place = find_place(around.device, plan, rank=rank, world=world)
    if not place.is_first:
        around = replace(around, report=say_nothing)
    with repeatable(place, plan):
        loop = loop_of(rows, plan, place, name=name, report=around.report)
        loop.checkpoints = _checkpoints(rows, plan, place, name=name, around=around)
        _resume(loop)
        with _traced(loop, around):
            loop.run()
    if loop.checkpoints is not None and place.is_first:
        loop.checkpoints.clear()
    return _model(loop)


def loop_of(
    rows: "Rows", plan: "Plan", place: Place, *, name: str, report: Report = say_nothing
) -> Loop:
    """The loop of a training before its first step, to be used inside `lakeline.neural.place.repeatable`.

    Raises:
        UntrainableError: There are no rows, or all have the same label.
    """
    learn, held = rows.split(plan.stop_days)
    fitted = fit_encoding(learn)
    torch.manual_seed(mixed_seed(plan.seed))
    encoding = fitted.encoding
    network = build_network(
        plan.architecture, plan.config, sizes=encoding.sizes, numbers=encoding.numbers
    ).to(place.device)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay, fused=True
    )
    scaler = torch.amp.GradScaler(place.device.type, enabled=place.precision == "float16")
    steps = math.ceil(fitted.rows / plan.batch_rows)
    about = {"model": name, "epochs": plan.epochs, "device": place.device.type}
    return Loop(
        name=name,
        plan=plan,
        place=place,
        forward=_forward(network, plan, place),
        state=State(network=network, optimizer=optimizer, scaler=scaler),
        encoding=encoding,
        blocks=blocks_of(learn, plan, fitted),
        held=_held(held, fitted, place),
        steps=steps,
        progress=Progress(report=report, about=about, steps=steps * plan.epochs),
    )


def _forward(network: nn.Module, plan: "Plan", place: Place) -> Callable[..., Tensor]:
    shared: nn.Module = network
    if place.world > 1:
        devices = [place.device.index] if place.is_gpu else None
        shared = nn.parallel.DistributedDataParallel(network, device_ids=devices)
    forward: Callable[..., Tensor] = torch.compile(shared) if plan.compile else shared
    return forward


def blocks_of(rows: "Rows", plan: "Plan", fitted: Fitted) -> Blocks:
    """Some rows as the loop takes them: a frame is encoded once, a table is read by shards."""
    sizes = {"batch_rows": plan.batch_rows, "buffer_rows": plan.buffer_rows}
    if isinstance(rows, TrainingSet):
        block = encode_all(rows, fitted.encoding)
        assert block is not None  # an encoding is made of rows that there are
        return MemoryBlocks(block=block, **sizes)
    read, spill = encoder(rows, fitted.encoding), Spill(is_wanted=plan.spill)
    return StreamedBlocks(
        shards=rows.shards(),
        shard=lambda name: spill.blocks(name, lambda: read(name)),
        **sizes,
    )


def _held(rows: "Rows | None", fitted: Fitted, place: Place) -> Block | None:
    if rows is None:
        return None
    block = encode_all(rows, fitted.encoding)
    return block.on(place.device) if block is not None and len(block) else None


def _resume(loop: Loop) -> None:
    if loop.checkpoints is None:
        return
    found = loop.checkpoints.newest()
    if found is not None:
        loop.kept, content = found
        loop.state.take(content)
        position = loop.state.position
        loop.progress.tell(
            "resumed", step=position.step, epoch=position.epoch, checkpoint=loop.kept
        )


@contextmanager
def _traced(loop: Loop, around: Surroundings) -> Iterator[None]:
    """Trace some steps while the block lasts, if the plan asks for it."""
    if not (loop.plan.profile and loop.place.is_first):
        yield
        return

    def take(trace: bytes, table: str) -> None:
        where = None
        if around.checkpoints is not None:
            store = Checkpoints(around.checkpoints, "", around.properties)
            where = store.put_beside(f"{_plain(loop.name)}-trace.json", trace)
        position = loop.state.position
        loop.progress.tell(
            "traced", step=position.step, epoch=position.epoch, trace=where, table=table
        )

    loop.tracer = Tracer(take)
    try:
        yield
    finally:
        loop.tracer.close()


def _model(loop: Loop) -> NetworkModel:
    plan, position, encoding = loop.plan, loop.state.position, loop.encoding
    params: dict[str, Any] = {
        **plan.described(),
        "precision": loop.place.precision,
        "device": loop.place.device.type,
        "epochs_kept": position.best_epoch or position.epoch,
    }
    return NetworkModel(
        name=loop.name,
        features=encoding.features,
        categories=encoding.categories,
        params=params,
        seed=plan.seed,
        payload=payload_of(loop.state.network),
        architecture=plan.architecture,
        config=dict(plan.config),
        means=encoding.means,
        scales=encoding.scales,
        flagged=encoding.flagged,
        history=tuple(position.history),
    )


def _checkpoints(
    rows: "Rows", plan: "Plan", place: Place, *, name: str, around: Surroundings
) -> Checkpoints | None:
    if around.checkpoints is None:
        return None
    told = [
        *sorted(plan.described().items()),
        *(plan.seed, plan.architecture, sorted(plan.config.items())),
        *(rows.content, rows.features, rows.categorical),
        *(place.device.type, place.precision, place.world, torch.__version__),
        _code(plan.architecture),
    ]
    key = hashlib.sha256(repr(told).encode()).hexdigest()[:16]
    return Checkpoints(around.checkpoints, f"{_plain(name)}-{key}", around.properties)


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "-", name)


def _code(architecture: str) -> str:
    """Hash of the code that trains: this package, and the module of the network."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    spec = find_spec(factory_module(architecture))
    if spec is not None and spec.origin is not None:
        files.append(Path(spec.origin))
    return hashlib.sha256(b"\0".join(one.read_bytes() for one in files)).hexdigest()
