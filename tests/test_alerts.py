"""Every change of state is told once to every channel, nothing is lost while one cannot be told, and no tick waits long."""

import datetime as dt
import json
import logging
import socket
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lakeline.errors import LakelineError, SettingsError
from lakeline.freshness import outbox
from lakeline.freshness.alerts import Alert, alerts_of, announce, raise_alerts
from lakeline.freshness.channels import Channel, DeliveryError, LogChannel
from lakeline.freshness.decision import Decision, Plan
from lakeline.freshness.fresh import Freshness
from lakeline.freshness.webhooks import (
    ChannelAddressError,
    SlackChannel,
    WebhookChannel,
    slack_message,
)
from lakeline.ledger import Ledger, State, StateChange
from resources import alert_channels
from resources.settings import Settings, load_settings

NOW = dt.datetime(2026, 1, 10, 12, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
PATH = (
    "flights/departures[2026-01-09]: late",
    "source:flights/departures: silent since 2026-01-09",
)
SECRET = "T0/B0/very-secret"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield made
    made.close()


def fresh(word: str, asset: str = "flights/departures", **detail: Any) -> State:
    return State(asset=asset, partition="", name="fresh", state=word, detail=detail)


def tick(
    ledger: Ledger, channels: Sequence[Channel], *states: State, now: dt.datetime = NOW
) -> tuple[Alert, ...]:
    """What a sensor does: set states, then tell the channels of the changes."""
    alerts = alerts_of(ledger.set_states(states, now))
    raise_alerts(ledger, alerts, channels, now=now)
    return alerts


# --- a server on this machine -----------------------------------------------------------------


@dataclass(kw_only=True)
class Server:
    """Takes POSTs and answers as it is told; ``taken`` are the bodies that it answered with success."""

    port: int = 0
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    refuses: str = ""
    hangs: threading.Event | None = None
    taken: list[dict[str, Any]] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/services/{SECRET}"

    @property
    def kinds(self) -> list[str]:
        return [one["kind"] for one in self.taken]


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.asked.append((self.path, self.headers["Content-Type"]))
            if server.hangs is not None:
                server.hangs.wait(30)
            status = 400 if server.refuses and server.refuses in body.decode() else server.status
            if status == 200:
                server.taken.append(json.loads(body))
            self.send_response(status)
            for name, value in server.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"ok" if status == 200 else b"no_service")

        do_GET = do_POST  # noqa: N815 - http.server's name

        def log_message(self, *_: Any) -> None: ...

    httpd = ThreadingHTTPServer(("127.0.0.1", server.port), Handler)
    httpd.daemon_threads = True
    server.port = httpd.server_address[1]
    threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server
    finally:
        if server.hangs is not None:
            server.hangs.set()
        httpd.shutdown()
        httpd.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(Server()) as found:
        yield found


@pytest.fixture
def webhook(server: Server) -> WebhookChannel:
    return WebhookChannel(url=server.url)


def unheard() -> str:
    """Address of a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/services/{SECRET}"


# --- which changes are told -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        (None, "kept", None),
        (None, "broken", "broken"),
        ("kept", "about_to_break", "about_to_break"),
        ("about_to_break", "broken", "broken"),
        ("broken", "about_to_break", "about_to_break"),
        ("broken", "kept", "recovered"),
        ("passed", "failed", None),
        ("ready", "blocked", "blocked"),
        ("blocked", "gave_up", "gave_up"),
        ("rebuilding", "over_budget", "budget"),
        ("blocked", "rebuilding", "recovered"),
    ],
)
def test_a_change_to_or_from_a_bad_word_is_told(before, after, kind):
    state = State(asset="a/b", name="fresh", state=after, since_ts=NOW)
    found = alerts_of([StateChange(state=state, before=before)])
    assert [one.kind for one in found] == ([kind] if kind else [])


def test_an_alert_says_what_the_state_says():
    detail = {
        "message": "a/b reaches 9 January",
        "path": PATH,
        "since": "2026-01-09T00:00:00+00:00",
    }
    state = State(
        asset="a/b", partition="x", name="fresh", state="broken", detail=detail, since_ts=NOW
    )
    (alert,) = alerts_of([StateChange(state=state, before=None)])
    assert alert == Alert(
        kind="broken",
        asset="a/b",
        partition="x",
        since=dt.datetime(2026, 1, 9, tzinfo=dt.UTC),
        message="a/b reaches 9 January",
        path=PATH,
        topic="fresh",
    )
    assert Alert.from_json(json.loads(json.dumps(alert.as_json()))) == alert


def test_a_state_without_words_is_told_in_ours():
    state = State(asset="a/b", partition="x", name="build", state="gave_up", since_ts=NOW)
    (alert,) = alerts_of([StateChange(state=state, before="ready")])
    assert (
        alert.message
        == "a/b[x]: it failed too often and is not tried again before its inputs or code change"
    )


def test_the_path_leads_over_what_holds_data_back_to_what_keeps_that_from_being_built():
    day = "2026-01-09"
    failed = Decision(
        action="gave_up", asset="a/raw", partition=day, reason="it failed 5 times: no such column"
    )
    blocked = Decision(
        action="blocked", asset="a/clean", partition=day, reason="a/raw failed", by=("a/raw", day)
    )
    plan = Plan(now=NOW, decisions=(blocked, failed))
    reach = Freshness(
        asset="a/model",
        watermark=NOW - 48 * 60 * MINUTE,
        promise="36h",
        is_fresh=False,
        held_back_by="a/clean",
        held_back_since=NOW - 60 * 60 * MINUTE,
    )
    changes = [StateChange(state=replace(fresh("broken", "a/model"), since_ts=NOW), before="fresh")]
    (alert,) = alerts_of(changes, plan, {"a/model": reach})
    assert alert.path == (
        "a/model: reaches 2026-01-08 12:00",
        "a/clean: reaches 2026-01-08 00:00",
        f"a/clean[{day}]: a/raw failed",
        f"a/raw[{day}]: it failed 5 times: no such column",
    )
    state = State(asset="a/raw", name="consistent", state="gave_up", since_ts=NOW)
    (alert,) = alerts_of([StateChange(state=state, before="rebuilding")], plan, {})
    assert alert.path == (f"a/raw[{day}]: it failed 5 times: no such column",)


# --- once a change, with the path to the cause ------------------------------------------------


def test_each_change_is_posted_once_with_the_path_to_its_cause(ledger, server, webhook):
    for word in ("kept", "broken", "broken", "broken", "kept", "kept"):
        tick(ledger, [webhook], fresh(word, message="late", path=PATH))
    assert server.kinds == ["broken", "recovered"]
    assert server.taken[0] == {
        "id": server.taken[0]["id"],
        "kind": "broken",
        "asset": "flights/departures",
        "partition": "",
        "topic": "fresh",
        "since": NOW.isoformat(),
        "message": "late",
        "path": list(PATH),
    }
    assert server.asked[0] == (f"/services/{SECRET}", "application/json")


def test_a_ledger_that_is_opened_anew_tells_nothing_twice(ledger, server, webhook):
    tick(ledger, [webhook], fresh("broken"))
    again = Ledger(ledger.url)
    tick(again, [webhook], fresh("broken"))
    again.close()
    assert server.kinds == ["broken"]


def test_announcing_sets_the_states_and_tells_the_changes(ledger, server, webhook):
    for word in ("kept", "broken", "broken"):
        changes = announce(ledger, [fresh(word)], [webhook], now=NOW)
    assert changes == ()
    assert server.kinds == ["broken"]
    assert [one.state for one in ledger.states(name="fresh")] == ["broken"]


def test_announcing_returns_the_changes_of_its_states_alone(ledger, webhook):
    (change,) = announce(ledger, [fresh("broken")], [webhook], now=NOW)
    assert (change.state.name, change.state.state, change.before) == ("fresh", "broken", None)


def test_a_crash_after_the_states_were_set_loses_no_alert(ledger, server, webhook, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(outbox, "deliver", crash)
        with pytest.raises(KeyboardInterrupt):
            announce(ledger, [fresh("broken")], [webhook], now=NOW)
    announce(ledger, [fresh("broken")], [webhook], now=NOW)
    assert server.kinds == ["broken"]


def crash(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


# --- a channel that cannot be told ------------------------------------------------------------


def test_what_a_dead_server_missed_is_told_when_it_is_back(ledger, caplog):
    server = Server()
    with serving(server):
        pass  # it has a port now, and is gone
    channel = WebhookChannel(url=server.url)
    tick(ledger, [channel], fresh("broken"))
    tick(ledger, [channel], fresh("kept"), now=NOW + MINUTE)
    tick(ledger, [channel], now=NOW + 2 * MINUTE)
    assert "2 alerts wait for webhook and are sent again" in caplog.text
    with serving(server):
        tick(ledger, [channel], now=NOW + 3 * MINUTE)
        tick(ledger, [channel], now=NOW + 4 * MINUTE)
    assert server.kinds == ["broken", "recovered"]


@pytest.mark.parametrize("status", [500, 503, 429, 408])
def test_a_server_that_is_busy_is_asked_again_and_not_for_every_alert(
    ledger, server, webhook, status
):
    server.status = status
    tick(ledger, [webhook], fresh("broken"), fresh("broken", "flights/weather"))
    assert len(server.asked) == 1
    server.status = 200
    tick(ledger, [webhook])
    assert server.kinds == ["broken", "broken"]


def test_an_alert_that_is_refused_does_not_keep_the_others_back(ledger, server, webhook):
    server.refuses = "flights/a"
    tick(ledger, [webhook], fresh("broken", "flights/a"), fresh("broken", "flights/b"))
    assert [one["asset"] for one in server.taken] == ["flights/b"]
    server.refuses = ""
    tick(ledger, [webhook])
    assert [one["asset"] for one in server.taken] == ["flights/b", "flights/a"]


def test_a_redirect_is_no_delivery(ledger, server, webhook):
    server.status, server.headers = 302, {"Location": "/elsewhere"}
    tick(ledger, [webhook], fresh("broken"))
    assert len(server.asked) == 1
    server.status = 200
    tick(ledger, [webhook])
    assert server.kinds == ["broken"]


def test_one_dead_channel_does_not_keep_another_from_being_told(ledger, server, webhook):
    dead = SlackChannel(url=unheard())
    tick(ledger, [dead, webhook], fresh("broken"))
    tick(ledger, [dead, webhook])
    assert server.kinds == ["broken"]


def test_a_server_that_never_answers_holds_a_tick_up_for_a_bounded_time(ledger, monkeypatch):
    hanging = Server(hangs=threading.Event())
    monkeypatch.setattr(outbox._patience, "within_s", 0.3)
    with serving(hanging), serving(Server()) as well:
        channels = [WebhookChannel(url=hanging.url), WebhookChannel(url=well.url, name="well")]
        tick(ledger, channels, fresh("broken"))
        tick(ledger, channels)  # the first attempt still hangs and is not started again
        assert well.kinds == ["broken"]
        assert len(hanging.asked) == 1
        assert [one.state for one in ledger.states(name="alert:webhook")] == ["pending"]
        assert [one.state for one in ledger.states(name="alert:well")] == ["sent"]
        assert hanging.hangs is not None
        hanging.hangs.set()
        until(lambda: hanging.kinds == ["broken"] and not busy())
        tick(ledger, channels)
    # It took the alert after we had stopped waiting: it is told again, and sees by the id that it knows it.
    assert hanging.kinds == ["broken", "broken"]
    assert len({one["id"] for one in hanging.taken}) == 1
    assert [one.state for one in ledger.states(name="alert:webhook")] == ["sent"]


def busy() -> bool:
    return any(thread.is_alive() for thread in outbox._patience._busy.values())


def until(holds: Any) -> None:
    ends = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.02)


def test_what_changes_to_and_fro_while_nobody_is_told_is_told_once(ledger, server, webhook):
    server.status = 503
    for n in range(6):
        tick(ledger, [webhook], fresh("broken" if n % 2 == 0 else "kept"), now=NOW + n * MINUTE)
    server.status = 200
    tick(ledger, [webhook], fresh("broken"), now=NOW + 6 * MINUTE)
    assert server.kinds == ["recovered", "broken"]  # in the order of their last time


def test_a_tick_tells_a_channel_so_much_and_the_next_tick_the_rest(ledger, server, webhook):
    states = [fresh("broken", f"flights/a{n:02}") for n in range(outbox.A_TICK + 5)]
    tick(ledger, [webhook], *states)
    assert len(server.taken) == outbox.A_TICK
    tick(ledger, [webhook])
    assert sorted(one["asset"] for one in server.taken) == [one.asset for one in states]


def test_beyond_the_backlog_the_oldest_are_dropped_and_logged(
    ledger, server, webhook, caplog, monkeypatch
):
    monkeypatch.setattr(outbox, "BACKLOG", 2)
    server.status = 503
    for n in range(3):
        tick(ledger, [webhook], fresh("broken", f"flights/a{n}"), now=NOW + n * MINUTE)
    assert "Dropped for webhook, which takes nothing" in caplog.text
    assert "flights/a0" in caplog.text
    server.status = 200
    tick(ledger, [webhook])
    assert [one["asset"] for one in server.taken] == ["flights/a1", "flights/a2"]


# --- formats and secrets ----------------------------------------------------------------------


def test_slack_gets_text_and_blocks_without_markup_of_ours(ledger, server):
    channel = SlackChannel(url=server.url)
    tick(ledger, [channel], fresh("broken", message="a < b & c", path=PATH))
    (body,) = server.taken
    assert body["text"] == "broken: flights/departures: a &lt; b &amp; c"
    texts = [one["text"]["text"] for one in body["blocks"] if one["type"] == "section"]
    assert texts == [
        ":red_circle: *broken: flights/departures*\na &lt; b &amp; c",
        "\n".join(f"↳ {step}" for step in PATH),
    ]
    assert (
        body["blocks"][-1]["elements"][0]["text"]
        == f"since <!date^{int(NOW.timestamp())}^{{date_num}} {{time}}|2026-01-10 12:00 UTC>"
    )


def test_a_long_message_is_cut_to_what_slack_takes():
    alert = Alert(
        kind="recovered",
        asset="",
        partition="",
        since=NOW,
        message="x" * 9_000,
        path=("y" * 9_000,),
    )
    blocks = slack_message(alert)["blocks"]
    assert blocks[0]["text"]["text"].startswith(":white_check_mark: *recovered: all assets*")
    assert all(len(one["text"]["text"]) <= 3_000 for one in blocks[:2])


def test_the_log_is_told_with_a_level_by_how_bad_it_is(ledger, caplog):
    caplog.set_level(logging.INFO, "lakeline.alerts")
    tick(ledger, [LogChannel()], fresh("about_to_break", message="late", path=PATH[:1]))
    tick(ledger, [LogChannel()], fresh("broken", message="too late"))
    tick(ledger, [LogChannel()], fresh("kept", message="back"))
    assert [(one.levelname, one.message) for one in caplog.records] == [
        ("WARNING", f"about_to_break: late (since 2026-01-10 12:00 UTC)\n  because {PATH[0]}"),
        ("ERROR", "broken: too late (since 2026-01-10 12:00 UTC)"),
        ("INFO", "recovered: back (since 2026-01-10 12:00 UTC)"),
    ]


@pytest.mark.parametrize("kind", [WebhookChannel, SlackChannel])
@pytest.mark.parametrize("status", [0, 302, 404, 500])
def test_no_address_is_shown(kind, status, ledger, server, caplog):
    server.status = status
    channel = kind(url=server.url if status else unheard())
    tick(ledger, [channel], fresh("broken"))
    with pytest.raises(DeliveryError) as caught:
        channel.send(
            alerts_of([StateChange(state=fresh("broken", since=NOW.isoformat()), before=None)])[0]
        )
    assert "127.0.0.1" in str(caught.value)
    assert SECRET not in f"{caught.value} {channel!r} {caplog.text} {caught.value.__cause__}"


@pytest.mark.parametrize("url", ["hooks.example.com/x", "ftp://h/x", "http://", "http://[x/y"])
def test_an_address_that_is_none_is_refused_without_being_shown(url):
    with pytest.raises(ChannelAddressError) as caught:
        SlackChannel(url=url)
    assert str(caught.value) == (
        "The address of the channel slack is none. Give one that begins with https:// or http://."
    )


def test_a_server_that_speaks_no_http_is_told_of(ledger):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(b"nonsense\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        channel = WebhookChannel(url=f"http://127.0.0.1:{listener.getsockname()[1]}/{SECRET}")
        with pytest.raises(DeliveryError, match="speaks no HTTP") as caught:
            channel.send(Alert(kind="broken", asset="a/b", partition="", since=NOW, message="m"))
    assert isinstance(caught.value, LakelineError)


def test_the_settings_choose_the_channels_and_do_not_show_them():
    assert [one.name for one in alert_channels(Settings())] == ["log"]
    settings = Settings(alert_webhook=f"https://h/{SECRET}", alert_slack=f"https://s/{SECRET}")
    channels = alert_channels(settings)
    assert [one.name for one in channels] == ["log", "webhook", "slack"]
    assert SECRET not in f"{settings!r} {settings} {channels}"


def test_a_secret_setting_of_a_wrong_form_is_not_shown(monkeypatch):
    monkeypatch.setenv("LAKELINE_ALERT_SLACK", SECRET)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value) == (
        "A setting cannot be used: LAKELINE_ALERT_SLACK: the value is no address. Write it with its scheme, https://…."
    )
    assert SECRET not in "".join(traceback.format_exception(caught.value))
