"""All scenarios by name: what can happen to a graph of data, each in a few lines.

Every scenario starts on a Friday at 06:00 with 60 days built and consistent. Day numbers count as in `day`: -1 is the
newest day at the start, 0 the first.
"""

from collections.abc import Mapping

from benchmarks.freshness import scenarios_data, scenarios_rest, scenarios_runs
from benchmarks.freshness.script import Scenario

SCENARIOS: Mapping[str, Scenario] = {
    **scenarios_data.SCENARIOS,
    **scenarios_runs.SCENARIOS,
    **scenarios_rest.SCENARIOS,
}
