"""The training loop: steps, epochs, when to stop, and the checkpoints in between.

Profiled on one core (benchmarks/bench_train.py), a step of the flights' network takes 7 ms: dropout 30 %, backward 28 %, the
layers 9 %. What the loop adds to torch, the seed of the step, the look at the loss and the learning rate, is below 2 %.

Shapes: B rows of this process's part of a batch.
"""

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lakeline.models.evaluation import auc
from lakeline.neural.blocks import Block, Blocks, mixed_seed
from lakeline.neural.errors import LossError
from lakeline.neural.prefetching import Prefetched
from lakeline.neural.scoring import SCORED_ROWS

if TYPE_CHECKING:
    from lakeline.neural.checkpoints import Checkpoints
    from lakeline.neural.encoding import Encoding
    from lakeline.neural.place import Place
    from lakeline.neural.plan import Plan
    from lakeline.neural.progress import Progress
    from lakeline.neural.state import State
    from lakeline.neural.tracing import Tracer

CHECK_STEPS = 50
"""Steps between two looks at the losses on a GPU: each look waits until the GPU has caught up."""


@dataclass(kw_only=True)
class Loop:
    """One training, in one of its processes.

    Attributes:
        name: Of the model, for messages.
        forward: The network as a step calls it: compiled or shared between processes, where the plan says so.
        state: The network itself, its optimizer and how far they are.
        encoding: How rows become the network's input.
        blocks: The rows.
        held: Rows that tell when to stop; None trains every epoch.
        steps: Steps of an epoch.
        checkpoints: None keeps none.
        tracer: None traces nothing.
        kept: Name of the last checkpoint.
        pool: The thread that makes blocks ready.
    """

    name: str
    plan: "Plan"
    place: "Place"
    forward: Callable[..., Tensor]
    state: "State"
    encoding: "Encoding"
    blocks: Blocks
    held: Block | None
    steps: int
    progress: "Progress"
    checkpoints: "Checkpoints | None" = None
    tracer: "Tracer | None" = None
    kept: str | None = None
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "prefetch"))
    _losses: list[tuple[int, Tensor]] = field(default_factory=list)

    def run(self) -> None:
        """Train from where the state is to the end; the network then has the weights to keep.

        Raises:
            LossError: A loss is no number. The last checkpoint stays.
        """
        position = self.state.position
        self.progress.begin(position.step)
        with self.pool:
            while position.epoch < self.plan.epochs and not self._is_enough():
                self.epoch()
                self._save()
        self.state.restore_best()

    def epoch(self) -> None:
        """The present epoch, or what is left of it, and how the network does after it."""
        position, begun_s = self.state.position, time.perf_counter()
        first = position.step
        waited_s = self._steps()
        spent_s = time.perf_counter() - begun_s
        speed = {
            "rows_s": (position.step - first) * self.plan.batch_rows / spent_s,
            "loader_share": waited_s / spent_s,
        }
        position.end_epoch({"epoch": position.epoch + 1, **self._measured(), **speed})
        self.progress.tell(
            "epoch",
            step=position.step,
            learning_rate=self._rate(position.step - 1),
            eta_s=self.progress.eta_s(position.step),
            **position.history[-1],
        )

    def _steps(self) -> float:
        """The steps of an epoch that are still to be done; the time that was spent waiting for rows."""
        position, device = self.state.position, self.place.device
        blocks = self.blocks.epoch(self.plan.seed, position.epoch)
        staged = (block.on(device) for block in blocks)
        ahead = Prefetched(staged, self.plan.prefetch, self.pool)
        self.state.network.train()
        with closing(ahead):
            for number, (part, rows) in enumerate(self._batches(ahead)):
                if number >= position.batch:  # those before were done before it was resumed
                    self._step(part, rows)
        self._check_losses()
        return ahead.waited_s

    def _batches(self, blocks: "Prefetched[Block]") -> Iterator[tuple[Block, int]]:
        """This process's part of each batch, and the rows of the whole batch."""
        for block in blocks:
            for start in range(0, len(block), self.plan.batch_rows):
                rows = min(self.plan.batch_rows, len(block) - start)
                low, high = self.place.share(rows)
                yield block.cut(start + low, start + high), rows

    def _step(self, part: Block, rows: int) -> None:
        position, optimizer, scaler = self.state.position, self.state.optimizer, self.state.scaler
        for group in optimizer.param_groups:
            group["lr"] = self._rate(position.step)
        self._seed(position.step)
        with self.place.narrowed():
            logits_B = self.forward(part.codes_NC, part.numbers_NK)
        loss = nn.functional.binary_cross_entropy_with_logits(logits_B.float(), part.labels_N, reduction="sum")  # fmt: skip
        self._note(loss.detach(), len(part))
        optimizer.zero_grad(set_to_none=True)
        # Processes average their gradients; the sum over the whole batch, divided by its rows, is what one would have.
        scaler.scale(loss * (self.place.world / rows)).backward()
        if self.plan.clip_norm:
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(self.state.network.parameters(), self.plan.clip_norm)
        scaler.step(optimizer)
        scaler.update()
        position.step, position.batch = position.step + 1, position.batch + 1
        if self.tracer is not None:
            self.tracer.step()
        every = self.plan.checkpoint_steps
        if every and position.step % every == 0 and position.batch < self.steps:
            self._save()

    def _rate(self, step: int) -> float:
        """The learning rate of a step."""
        return learning_rate(self.plan, step, self.plan.epochs * self.steps)

    def _seed(self, step: int) -> None:
        seed = mixed_seed(self.plan.seed, step, self.place.rank)
        torch.default_generator.manual_seed(seed)
        if self.place.is_gpu:
            torch.cuda.manual_seed(seed)

    def _note(self, loss: Tensor, rows: int) -> None:
        """Count a loss in; on a CPU it is known at once, on a GPU it is looked at later."""
        position = self.state.position
        position.rows += rows
        self._losses.append((position.batch, loss))
        if not self.place.is_gpu or len(self._losses) >= CHECK_STEPS:
            self._check_losses()
            mean = position.loss_sum / max(1, position.rows)
            self.progress.tell_step(position.step, position.epoch, mean)

    def _check_losses(self) -> None:
        if not self._losses:
            return
        position = self.state.position
        places, losses = zip(*self._losses, strict=True)
        values = [losses[0].item()] if len(losses) == 1 else torch.stack(losses).tolist()
        self._losses.clear()
        for batch, value in zip(places, values, strict=True):
            if not math.isfinite(value):
                step = position.epoch * self.steps + batch
                raise LossError(self.name, step=step, epoch=position.epoch + 1, batch=batch, kept=self.kept)  # fmt: skip
            position.loss_sum += value

    def _measured(self) -> dict[str, float]:
        """The losses of an epoch, over the rows of all processes."""
        position, place = self.state.position, self.place
        told = torch.tensor([position.loss_sum, float(position.rows)], dtype=torch.float64)
        if place.world > 1:
            told = told.to(place.device)
            torch.distributed.all_reduce(told)
        loss_sum, rows = told.tolist()
        figures = {"train_loss": loss_sum / max(1.0, rows)}
        if self.held is None:
            return figures
        held = {name: self._agreed(one) for name, one in self._on_held(self.held).items()}
        if held["held_loss"] < position.best_loss:
            position.best_loss, position.best_epoch = held["held_loss"], position.epoch + 1
            self.state.keep_best()
        return figures | held

    def _on_held(self, held: Block) -> dict[str, float]:
        network = self.state.network.eval()
        parts = (held.cut(start, start + SCORED_ROWS) for start in range(0, len(held), SCORED_ROWS))
        with torch.inference_mode():
            found = [network(one.codes_NC, one.numbers_NK).double() for one in parts]
        logits_N, labels_N = torch.cat(found), held.labels_N.double()
        loss = nn.functional.binary_cross_entropy_with_logits(logits_N, labels_N)
        ranked = auc(labels_N.cpu().numpy(), logits_N.cpu().numpy())
        return {"held_loss": float(loss), "held_auc": ranked}

    def _agreed(self, value: float) -> float:
        """The first process's value, so that all stop at the same epoch."""
        if self.place.world == 1:
            return value
        told = torch.tensor([value], dtype=torch.float64, device=self.place.device)
        torch.distributed.broadcast(told, 0)
        return float(told)

    def _is_enough(self) -> bool:
        position = self.state.position
        if self.held is None or not self.plan.patience:
            return False
        is_over = position.epoch - position.best_epoch >= self.plan.patience
        if is_over:
            self.progress.tell("stopped", step=position.step, epoch=position.epoch, best=position.best_epoch)  # fmt: skip
        return is_over

    def _save(self) -> None:
        self._check_losses()
        if self.checkpoints is not None and self.place.is_first:
            self.kept = self.checkpoints.write(self.state.position.step, self.state.to_bytes())


def learning_rate(plan: "Plan", step: int, steps: int) -> float:
    """Of one step of ``steps``: up to the plan's over the warm-up, then as its schedule says.

    The cosine is that of SGDR without restarts (https://arxiv.org/abs/1608.03983, equation 5).
    """
    if step < plan.warmup_steps:
        return plan.learning_rate * (step + 1) / plan.warmup_steps
    if plan.schedule == "constant":
        return plan.learning_rate
    done = (step - plan.warmup_steps) / max(1, steps - plan.warmup_steps)
    return plan.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
