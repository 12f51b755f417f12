"""Dagster as it is deployed on Kubernetes: storage in Postgres, its servers as processes, runs as pods of a cluster."""

import subprocess
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import dagster as dg
import yaml

from tests.kubernetes.api import Manifest
from tests.kubernetes.children import Children
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.deployment import ACCOUNT, INSTANCE_CONFIG, Deployment, Site
from tests.kubernetes.launchers import plain
from tests.kubernetes.namespace import Namespace, fresh_namespace
from tests.kubernetes.reaper import marked
from tests.kubernetes.waiting import until
from tests.kubernetes.webserver import ASSET_JOB, LOCATION, Webserver
from tests.services import HOST, Postgres, free_ports

ROOT = Path(__file__).parents[2]
PATHS = ("ui", "backfill", "sensor", "job", "schedule", "cli")
PARTITION, BACKFILL = "dagster/partition", "dagster/backfill"
LAUNCH_S, ASK_AGAIN_S = 90, 15


class NoRunError(RuntimeError):
    """A launch brought about no run; the message has what was printed."""


class DagsterStack:
    """A running deployment.

    Attributes:
        deployment: What was asked for.
        site: Where it is: its namespace, home, environment and image.
        instance: Dagster's instance, opened in this process.
        web: What the pages can do.
        children: Its servers; ``children.log("daemon")``.
    """

    def __init__(
        self,
        deployment: Deployment,
        *,
        site: Site,
        instance: dg.DagsterInstance,
        web: Webserver,
        children: Children,
    ) -> None:
        self.deployment, self.site, self.instance = deployment, site, instance
        self.web, self.children = web, children

    @property
    def namespace(self) -> Namespace:
        """Where its pods are."""
        return self.site.namespace

    def launch(self, path: str, asset: str, partition: str | None = None) -> str:
        """Id of a run that builds an asset, launched in one of the ways of ``PATHS``.

        A sensor, job or schedule is the one that ``launchers.launchers(asset)`` defines. The command line ends with the
        run; the others return once it is queued. A backfill takes up to 30 s for that, a schedule 60.

        Raises:
            NoRunError: The command line did not come to a run.
        """
        before = {run.run_id for run in self.instance.get_runs()}
        tags = {PARTITION: partition} if partition else {}
        match path:
            case "ui":
                return self.web.launch(ASSET_JOB, [asset], tags=tags)
            case "job":
                return self.web.launch(f"{plain(asset)}_job", tags=tags)
            case "backfill":
                assert partition, "A backfill is of a partition"
                return self._found({BACKFILL: self.web.backfill([asset], [partition])}, before)
            case "sensor":
                return self._asked(asset, partition, before)
            case "schedule":
                return self._scheduled(asset, before)
            case "cli":
                return self._from_command_line(asset, partition, before)
        raise ValueError(f"{path} is none of {PATHS}")

    def cli(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Dagster's command line, as a person beside the servers uses it: it knows no image."""
        return subprocess.run(
            ["dagster", *words],
            cwd=ROOT,
            env=self.children.env,
            capture_output=True,
            text=True,
            check=False,
        )

    def wait(self, run_id: str, *, within_s: float = 120.0) -> str:
        """How a run ended: ``SUCCESS``, ``FAILURE`` or ``CANCELED``.

        Raises:
            TimeoutError: It did not; the message has its events.
        """
        try:
            until(lambda: self.run(run_id).is_finished, within_s=within_s, every_s=0.2)
        except TimeoutError as error:
            said = "\n".join(self.messages(run_id))
            raise TimeoutError(f"{self.run(run_id).status} after {within_s} s:\n{said}") from error
        return str(self.run(run_id).status.value)

    def run(self, run_id: str) -> dg.DagsterRun:
        """A run as stored."""
        run = self.instance.get_run_by_id(run_id)
        assert run, f"There is no run {run_id}"
        return run

    def messages(self, run_id: str) -> list[str]:
        """What the event log says of a run, oldest first, errors with their causes."""
        return [_said(entry) for entry in self.instance.all_logs(run_id)]

    def jobs(self, run_id: str, component: str = "") -> list[Manifest]:
        """Kubernetes' Jobs of a run as stored; the component is ``run_worker`` or ``step_worker``."""
        return self.namespace.listed("Job", _labels(run_id, component))

    def pods(self, run_id: str, component: str = "") -> list[Manifest]:
        """Pods that Dagster made for a run, as stored."""
        return self.namespace.listed("Pod", _labels(run_id, component))

    def _found(self, tags: Mapping[str, str], before: set[str], within_s: float = LAUNCH_S) -> str:
        wanted = dg.RunsFilter(tags=dict(tags))

        def new() -> list[str]:
            found = [run.run_id for run in self.instance.get_runs(wanted)]
            return [run_id for run_id in found if run_id not in before]

        return until(new, within_s=within_s, every_s=0.2)[0]

    def _asked(self, asset: str, partition: str | None, before: set[str]) -> str:
        tags, token = {"dagster/sensor_name": f"{plain(asset)}_sensor"}, uuid.uuid4().hex
        for _ in range(LAUNCH_S // ASK_AGAIN_S):
            self.web.ask_sensor(asset, partition, token)
            with suppress(TimeoutError):
                return self._found(tags, before, within_s=ASK_AGAIN_S)
        raise TimeoutError(f"The sensor of {asset} launched nothing in {LAUNCH_S} s")

    def _scheduled(self, asset: str, before: set[str]) -> str:
        name = f"{plain(asset)}_schedule"
        schedule = self.web.start_schedule(asset)
        try:
            return self._found({"dagster/schedule_name": name}, before)
        finally:
            # The daemon writes down once how far it came, and would overwrite a stop that came before that.
            until(lambda: self._has_come_far(name), within_s=LAUNCH_S)
            self.web.stop_schedule(schedule)

    def _has_come_far(self, schedule: str) -> bool:
        states = self.instance.all_instigator_state()
        data = next(state.instigator_data for state in states if state.name == schedule)
        return getattr(data, "last_iteration_timestamp", None) is not None

    def _from_command_line(self, asset: str, partition: str | None, before: set[str]) -> str:
        where = ["-f", str(self.deployment.definitions), "-d", str(ROOT)]
        which = ["--select", asset, *(["--partition", partition] if partition else [])]
        done = self.cli("asset", "materialize", *where, *which)
        runs = [run for run in self.instance.get_runs() if run.run_id not in before]
        # Those of the servers know where their code server is.
        own = [run.run_id for run in runs if run.remote_job_origin is None]
        if not own:
            raise NoRunError(f"Code {done.returncode}: {done.stdout}{done.stderr}")
        return own[0]


@contextmanager
def dagster_stack(
    cluster: Cluster, postgres: Postgres, deployment: Deployment, folder: Path
) -> Iterator[DagsterStack]:
    """A deployment in a namespace and a database of its own; its servers and pods end with it.

    Args:
        cluster: Where its pods run.
        postgres: Where its storage is.
        deployment: What to deploy.
        folder: An empty one, for its home and its logs.
    """
    home, state = folder / "home", folder / "state"
    home.mkdir()
    state.mkdir()
    with postgres.database() as url, fresh_namespace(cluster) as namespace, marked() as mark:
        site = deployment.at(namespace, home=home, state=state)
        _configure(site, deployment, url)
        env = {**cluster.env, **mark, **site.env, "DAGSTER_HOME": str(home)}
        children = Children(folder, env)
        web = Webserver(_start_servers(children, deployment))
        try:
            children.wait("webserver", web.is_ready)
            with dg.DagsterInstance.from_config(str(home)) as instance:
                yield DagsterStack(
                    deployment, site=site, instance=instance, web=web, children=children
                )
        finally:
            web.close()
            children.stop()


class Stacks:
    """Deployments for the tests of a session: one at a time, kept while the next test asks for the same.

    Args:
        cluster: Where their pods run.
        postgres: Where their storage is.
        folder: For their homes.
    """

    def __init__(self, cluster: Cluster, postgres: Postgres, folder: Path) -> None:
        self._cluster, self._postgres, self._folder = cluster, postgres, folder
        self._open: DagsterStack | None = None
        self._held = ExitStack()
        self._count = 0

    def of(self, deployment: Deployment) -> DagsterStack:
        """The deployment, started if it is not the one that runs."""
        if self._open is None or self._open.deployment != deployment:
            self.close()
            self._count += 1
            folder = self._folder / str(self._count)
            folder.mkdir()
            stack = dagster_stack(self._cluster, self._postgres, deployment, folder)
            self._open = self._held.enter_context(stack)
        return self._open

    def close(self) -> None:
        """End the one that runs."""
        self._open = None
        self._held.close()


def _configure(site: Site, deployment: Deployment, url: str) -> None:
    """Write ``dagster.yaml``, and make in the namespace what Dagster's pods refer to."""
    config = {
        "storage": {"postgres": {"postgres_url": url}},
        "run_coordinator": {
            "module": "dagster",
            "class": "QueuedRunCoordinator",
            "config": {"dequeue_interval_seconds": 1},
        },
        "run_monitoring": {"enabled": True, "poll_interval_seconds": 5},
        "telemetry": {"enabled": False},
        **deployment.launching(site),
    }
    text = yaml.safe_dump(config)
    (site.home / "dagster.yaml").write_text(text)
    site.namespace.create("ServiceAccount", ACCOUNT)
    site.namespace.create("ConfigMap", INSTANCE_CONFIG, data={"dagster.yaml": text})


def _start_servers(children: Children, deployment: Deployment) -> int:
    """Start the code server and, once it answers, the daemon and the webserver; gives the port of the last."""
    code, web = free_ports(2)
    workspace = children.folder / "workspace.yaml"
    server = {"host": HOST, "port": code, "location_name": LOCATION}
    workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}))
    where: Sequence[str] = ["-f", str(deployment.definitions), "-d", str(ROOT)]
    listen = ["-h", HOST, "-p", str(code)]
    image = {"DAGSTER_CURRENT_IMAGE": deployment.image}
    children.start("code", ["dagster", "api", "grpc", *where, *listen], **image)
    children.wait("code", lambda: _answers(code))
    children.start("daemon", ["dagster-daemon", "run", "-w", workspace])
    children.start("webserver", ["dagster-webserver", "-h", HOST, "-p", str(web), "-w", workspace])
    return web


def _answers(port: int) -> bool:
    from dagster._grpc.client import DagsterGrpcClient

    return bool(DagsterGrpcClient(host=HOST, port=port).ping("there?"))


def _labels(run_id: str, component: str) -> dict[str, str]:
    labels = {"dagster/run-id": run_id}
    return labels | ({"app.kubernetes.io/component": component} if component else {})


def _said(entry: dg.EventLogEntry) -> str:
    error = getattr(entry.dagster_event and entry.dagster_event.event_specific_data, "error", None)
    return f"{entry.user_message or entry.message} {error.to_string() if error else ''}".strip()
