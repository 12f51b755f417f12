"""What Dagster's pages send to its webserver, sent from a test."""

from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from tests.kubernetes.launchers import ask, plain

LOCATION = "test"
ASSET_JOB = "__ASSET_JOB"
LAUNCH = """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  ... on RunConfigValidationInvalid { errors { message } } } }"""
BACKFILL = """mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
CURSOR = """mutation($which: SensorSelector!, $cursor: String) {
  setSensorCursor(sensorSelector: $which, cursor: $cursor) {
  __typename ... on Sensor { name } ... on PythonError { message } } }"""
START = """mutation($which: ScheduleSelector!) { startSchedule(scheduleSelector: $which) {
  __typename ... on ScheduleStateResult { scheduleState { id } } ... on PythonError { message } } }"""
STOP = """mutation($id: String!) { stopRunningSchedule(id: $id) {
  __typename ... on ScheduleStateResult { scheduleState { id } } ... on PythonError { message } } }"""
TERMINATE = """mutation($run: String!) { terminateRun(runId: $run) {
  __typename ... on TerminateRunSuccess { run { runId } } ... on PythonError { message } } }"""


class Webserver:
    """A client of a webserver with one code location.

    Args:
        port: Where it listens on loopback.
    """

    def __init__(self, port: int) -> None:
        self._client = httpx.Client(
            base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60
        )

    def close(self) -> None:
        """Give back its connections."""
        self._client.close()

    def is_ready(self) -> bool:
        """Whether it has loaded the code location."""
        found = self.query(
            "{ repositoriesOrError { ... on RepositoryConnection { nodes { name } } } }"
        )
        return bool(found["repositoriesOrError"].get("nodes"))

    def query(self, text: str, **variables: Any) -> dict[str, Any]:
        """The data of a query's answer.

        Raises:
            RuntimeError: It has errors.
        """
        answer = self._client.post("/graphql", json={"query": text, "variables": variables}).json()
        if answer.get("errors"):
            raise RuntimeError(str(answer["errors"]))
        return dict(answer["data"])

    def launch(
        self, job: str, assets: Sequence[str] = (), *, tags: Mapping[str, str] | None = None
    ) -> str:
        """Id of a run: of a job, or of assets as the button Materialize launches them."""
        selector: dict[str, Any] = {**_where(), "pipelineName": job}
        if assets:
            selector["assetSelection"] = [_key(asset) for asset in assets]
        params = {"selector": selector, "runConfigData": {}, "mode": "default"}
        params["executionMetadata"] = {"tags": _tags(tags)}
        return str(self._do(LAUNCH, params=params)["run"]["runId"])

    def backfill(self, assets: Sequence[str], partitions: Sequence[str]) -> str:
        """Id of a backfill of assets."""
        keys = [_key(asset) for asset in assets]
        params = {"assetSelection": keys, "partitionNames": list(partitions)}
        return str(self._do(BACKFILL, params=params)["backfillId"])

    def ask_sensor(self, asset: str, partition: str | None, token: str) -> None:
        """Let an asset's sensor launch one run for a token; a tick that goes on meanwhile may overwrite it, so ask again."""
        which = {**_where(), "sensorName": f"{plain(asset)}_sensor"}
        self._do(CURSOR, which=which, cursor=ask(partition, token))

    def start_schedule(self, asset: str) -> str:
        """Id of an asset's schedule, which is started."""
        which = {**_where(), "scheduleName": f"{plain(asset)}_schedule"}
        return str(self._do(START, which=which)["scheduleState"]["id"])

    def stop_schedule(self, schedule: str) -> None:
        """Stop a schedule."""
        self._do(STOP, id=schedule)

    def terminate(self, run_id: str) -> None:
        """Ask a run to end."""
        self._do(TERMINATE, run=run_id)

    def _do(self, mutation: str, **variables: Any) -> dict[str, Any]:
        (result,) = self.query(mutation, **variables).values()
        if len(result) == 1 or "message" in result or "errors" in result:
            raise RuntimeError(str(result))
        return dict(result)


def _where() -> dict[str, str]:
    return {"repositoryLocationName": LOCATION, "repositoryName": "__repository__"}


def _key(asset: str) -> dict[str, list[str]]:
    return {"path": asset.split("/")}


def _tags(tags: Mapping[str, str] | None) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in (tags or {}).items()]
