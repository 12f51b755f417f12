"""What the command line and the sensors need to know of a deployment beyond its lakehouse."""

import dagster as dg
from pydantic import Field


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
