"""What the command line and the sensors need to know of a deployment beyond its lakehouse."""

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

if TYPE_CHECKING:
    from lakeline.clock import Clock


class Timepiece(dg.ConfigurableResource["Timepiece"]):
    """What time it is for sources and freshness: the system's clock, or a replay."""

    replay_start: str = Field(default="", description="First moment of a replay, ISO 8601; empty goes on with the one that the anchor remembers, or uses the system's clock")  # fmt: skip
    replay_speed: float = Field(default=0.0, ge=0, description="Seconds of replay a second; 0 stands still")  # fmt: skip
    replay_anchor: str = Field(default="", description="File that remembers when the replay began")
    replay_can_jump: bool = Field(default=False, description="Whether asking for later days moves the replay there")  # fmt: skip

    @property
    def clock(self) -> "Clock":
        """The clock."""
        from lakeline.clock import ReplayClock, SystemClock, going_replay

        anchor = Path(self.replay_anchor)
        if not self.replay_start:
            going = (
                going_replay(anchor, can_jump=self.replay_can_jump) if self.replay_anchor else None
            )
            return going or SystemClock()
        start = dt.datetime.fromisoformat(self.replay_start)
        return ReplayClock(
            start=start.astimezone(dt.UTC) if start.tzinfo else start.replace(tzinfo=dt.UTC),
            speed=self.replay_speed,
            anchor=anchor,
            can_jump=self.replay_can_jump,
        )


class Deployment(dg.ConfigurableResource["Deployment"]):
    """Where a deployment keeps its state on this machine, and what its demo shows.

    Given under any key in a deployment's resources; assets do not ask for it. `lakeline` finds it by its type.
    """

    state: str = Field(description="Folder of everything that is kept on this machine")
    dagster_home: str = Field(description="Folder of Dagster's own storage")
    demo_from: str = Field(description="First day that the demo builds, YYYY-MM-DD")
    demo_to: str = Field(description="Last day that the demo builds, YYYY-MM-DD")
    replay_anchor: str = Field(
        default="", description="File that remembers where a replay is; empty without replays"
    )
    replay_start_variable: str = Field(
        default="", description="Environment variable with a replay's first moment"
    )
    replay_speed_variable: str = Field(
        default="", description="Environment variable with a replay's speed"
    )

    def replaying(self, start: str, speed: float) -> dict[str, str]:
        """The environment in which this deployment replays from ``start`` on, ``speed`` times as fast as the wall."""
        return {self.replay_start_variable: start, self.replay_speed_variable: str(speed)}
