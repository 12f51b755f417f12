"""A promise breaks at one moment that follows from the watermark, by the clock of its zone, and bad ones say what to write."""

import datetime as dt
import itertools

import dagster as dg
import pytest

from assets.flights.archive import FlightArchive
from lakeline.domain import Daily, Domain
from lakeline.domain.node import node_of
from lakeline.errors import DomainError
from lakeline.freshness.promise import (
    Deadline,
    MaximumAge,
    PromiseError,
    length_of_time,
    parse_promise,
    require_reachable,
)
from lakeline.freshness.rhythm import RhythmError, rhythm_of
from lakeline.window import Window
from tests.shop import Sale

DAY = dt.timedelta(days=1)
HOUR = dt.timedelta(hours=1)
SECOND = dt.timedelta(seconds=1)
NEW_YORK = "by 07:00 America/New_York on weekdays"
EVERY_DAY = "by 07:00 America/New_York daily"


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


NOW = utc("2026-01-10T12:00")


def breaks(text: str, watermark: str) -> str:
    return f"{parse_promise(text).breaks_at(utc(watermark), NOW):%Y-%m-%d %H:%M}"


# --- at most so old ---------------------------------------------------------------------------


def test_a_length_is_kept_up_to_the_moment_it_breaks_and_not_after():
    promise = parse_promise("36h")
    watermark = NOW - dt.timedelta(hours=36)
    assert promise.breaks_at(watermark, NOW) == NOW
    assert promise.is_kept(watermark, NOW)
    assert promise.share_used(watermark, NOW) == 1
    assert not promise.is_kept(watermark - SECOND, NOW)
    assert promise.share_used(watermark - SECOND, NOW) > 1


def test_a_watermark_ahead_of_the_clock_has_used_nothing():
    assert parse_promise("36h").share_used(NOW + HOUR, NOW) == 0
    assert parse_promise("36h").is_kept(NOW + HOUR, NOW)


@pytest.mark.parametrize("text", ["36h", NEW_YORK])
def test_nothing_is_promised_well_without_a_watermark(text):
    promise = parse_promise(text)
    assert not promise.is_kept(None, NOW)
    assert promise.breaks_at(None, NOW) == NOW
    assert promise.share_used(None, NOW) == 1


@pytest.mark.parametrize(
    ("text", "length"), [("90m", 90 * HOUR / 60), ("36h", 36 * HOUR), ("30d", 30 * DAY)]
)
def test_lengths_are_minutes_hours_or_days(text, length):
    assert parse_promise(f" {text} ") == MaximumAge(text=text, age=length)


def test_what_is_no_length_of_time_is_none():
    assert length_of_time("1w") is None


# --- by a time of day -------------------------------------------------------------------------


def test_a_deadline_wants_data_up_to_the_midnight_before_it():
    # Midnight in New York is 05:00 UTC in winter: one second short of it, and the deadline of that day is not met.
    assert breaks(NEW_YORK, "2026-01-07T04:59:59") == "2026-01-07 12:00"
    assert breaks(NEW_YORK, "2026-01-07T05:00") == "2026-01-08 12:00"


def test_a_deadline_is_met_at_its_very_moment_and_missed_after():
    promise = parse_promise(NEW_YORK)
    watermark = utc("2026-01-06T05:00")
    assert promise.is_kept(watermark, utc("2026-01-07T12:00"))
    assert not promise.is_kept(watermark, utc("2026-01-07T12:00:01"))


def test_nothing_is_due_at_the_weekend():
    friday = "2026-01-09T05:00"
    assert breaks(NEW_YORK, friday) == "2026-01-12 12:00"
    assert breaks(EVERY_DAY, friday) == "2026-01-10 12:00"
    assert parse_promise(NEW_YORK).is_kept(utc(friday), utc("2026-01-11T23:00"))


def test_a_watermark_within_the_weekend_does_not_meet_monday():
    assert breaks(NEW_YORK, "2026-01-11T20:00") == "2026-01-12 12:00"
    assert breaks(NEW_YORK, "2026-01-12T05:00") == "2026-01-13 12:00"


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        ("daily", "2026-01-10"),
        ("on weekends", "2026-01-10"),
        ("on weekdays", "2026-01-12"),
        ("on mon,thu", "2026-01-12"),
        ("on thu, tue", "2026-01-13"),
        ("on Fri", "2026-01-16"),
    ],
)
def test_days_of_the_week_are_named_alone_or_together(days, expected):
    assert breaks(f"by 06:30 UTC {days}", "2026-01-09T00:00") == f"{expected} 06:30"


def test_in_spring_the_deadline_is_an_hour_earlier_by_utc_and_the_day_is_short():
    # On 8 March 2026 New York's clocks jump from 02:00 to 03:00.
    assert breaks(EVERY_DAY, "2026-03-07T05:00") == "2026-03-08 11:00"
    assert breaks(EVERY_DAY, "2026-03-08T05:00") == "2026-03-09 11:00"
    assert breaks(EVERY_DAY, "2026-03-09T03:59") == "2026-03-09 11:00"
    assert breaks(EVERY_DAY, "2026-03-09T04:00") == "2026-03-10 11:00"


def test_in_autumn_the_deadline_is_an_hour_later_by_utc_and_the_day_is_long():
    # On 1 November 2026 they go back from 02:00 to 01:00.
    assert breaks(EVERY_DAY, "2026-10-31T04:00") == "2026-11-01 12:00"
    assert breaks(EVERY_DAY, "2026-11-01T04:00") == "2026-11-02 12:00"
    assert breaks(EVERY_DAY, "2026-11-02T04:59") == "2026-11-02 12:00"
    assert breaks(EVERY_DAY, "2026-11-02T05:00") == "2026-11-03 12:00"


def test_a_deadline_that_the_clock_skips_is_as_much_later_as_the_clock_jumps():
    assert (
        breaks("by 02:30 America/New_York daily", "2026-03-07T05:00") == "2026-03-08 07:30"
    )  # 03:30 there


def test_a_deadline_that_comes_twice_is_the_first():
    assert breaks("by 01:30 America/New_York daily", "2026-10-31T04:00") == "2026-11-01 05:30"


def test_a_day_whose_midnight_is_skipped_begins_when_the_clock_has_jumped():
    # Beirut's clocks jump from 00:00 to 01:00 on 29 March 2026, at 22:00 UTC of the day before.
    assert breaks("by 07:00 Asia/Beirut daily", "2026-03-28T21:59") == "2026-03-29 04:00"
    assert breaks("by 07:00 Asia/Beirut daily", "2026-03-28T22:00") == "2026-03-30 04:00"


def test_time_is_used_up_between_midnight_and_the_deadline():
    promise = parse_promise(NEW_YORK)
    thursday = utc("2026-01-08T05:00")
    assert promise.share_used(thursday, utc("2026-01-09T04:00")) == 0
    assert promise.share_used(thursday, utc("2026-01-09T08:30")) == 0.5
    assert promise.share_used(thursday, utc("2026-01-09T12:00")) == 1
    assert promise.share_used(thursday, utc("2026-01-09T19:00")) == 2


def test_at_any_hour_of_the_year_a_share_below_one_means_that_it_is_kept():
    promise = parse_promise("by 02:30 America/New_York on weekdays")
    hours = [utc("2026-01-01T00:00") + n * HOUR for n in range(0, 24 * 365, 5)]
    for watermark, now in itertools.pairwise(hours):
        later = now + 30 * HOUR
        assert promise.is_kept(watermark, later) == (promise.share_used(watermark, later) <= 1)
        assert promise.is_kept(watermark, later) == (
            later <= promise.breaks_at(watermark, later) > watermark
        )


# --- what cannot be read ----------------------------------------------------------------------

FORMS = (
    "Write a length of time such as 90m, 36h or 30d, or a deadline such as by 07:00 America/New_York on weekdays, "
    "by 07:00 Europe/Berlin daily or by 06:30 UTC on mon,thu."
)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("soon", f"is neither a length of time nor a deadline. {FORMS}"),
        ("", f"is neither a length of time nor a deadline. {FORMS}"),
        ("36 h", f"is neither a length of time nor a deadline. {FORMS}"),
        ("by 07:00 UTC", f"is neither a length of time nor a deadline. {FORMS}"),
        ("by 7:00 UTC daily", f"is neither a length of time nor a deadline. {FORMS}"),
        ("0h", f"leaves no time at all. {FORMS}"),
        ("by 25:00 UTC daily", f"has no time of day 25:00. {FORMS}"),
        (
            "by 00:00 UTC daily",
            "leaves no time between the end of a day and its deadline. Write a later time, such as 00:30.",
        ),
        (
            "by 07:00 Mars/Olympus daily",
            "names no time zone: Mars/Olympus. Write its IANA name, such as Europe/Berlin or UTC.",
        ),
        (
            "by 07:00 Europe daily",
            "names no time zone: Europe. Write its IANA name, such as Europe/Berlin or UTC.",
        ),
        (
            "by 07:00 UTC on someday",
            "names no day of the week: someday. Write mon, tue, wed, thu, fri, sat, sun, weekdays or weekends.",
        ),
    ],
)
def test_what_cannot_be_read_is_named_with_what_to_write(text, problem):
    with pytest.raises(PromiseError) as caught:
        parse_promise(text, asset="shop/orders")
    assert str(caught.value) == f"'shop/orders': the promise '{text}' {problem}"


def test_without_an_asset_the_promise_alone_is_named():
    with pytest.raises(PromiseError, match=r"^the promise 'soon' is neither"):
        parse_promise("soon")


# --- shorter than the source's rhythm ---------------------------------------------------------


def test_a_promise_as_long_as_the_rhythm_is_the_shortest():
    require_reachable("shop/orders", parse_promise("36h"), DAY, 12 * HOUR)
    with pytest.raises(PromiseError) as caught:
        require_reachable("shop/orders", parse_promise("35h"), DAY, 12 * HOUR)
    assert str(caught.value) == (
        "'shop/orders': the promise '35h' cannot be kept: its source publishes every 24h, 12h after its end. "
        "The shortest that can hold is '36h', and building takes time on top."
    )


def test_a_lag_that_fills_no_hours_is_told_in_minutes():
    with pytest.raises(PromiseError, match=r"every 15m, 5m after its end\. The shortest .* '20m'"):
        require_reachable("a/b", parse_promise("19m"), 15 * HOUR / 60, dt.timedelta(seconds=270))


@pytest.mark.parametrize(
    ("text", "every", "lag", "shortest"),
    [
        # Berlin's midnight is 22:00 or 23:00 UTC, so the UTC day that ends next is wanted, an hour or two later.
        ("by 07:00 Europe/Berlin daily", DAY, 4 * HOUR, None),
        ("by 07:00 Europe/Berlin daily", DAY, 12 * HOUR, "by 14:00 Europe/Berlin daily"),
        ("by 06:30 UTC on mon,thu", DAY, 12 * HOUR, "by 12:00 UTC on mon,thu"),
        ("by 12:00 UTC daily", DAY, 12 * HOUR, None),
        # New York's midnight comes after that of UTC: the day that covers it ends in the evening there.
        (EVERY_DAY, DAY, HOUR, "by 21:00 America/New_York daily"),
        (NEW_YORK, DAY, 12 * HOUR, "36h"),
        (NEW_YORK, HOUR, 6 * HOUR, None),
        (NEW_YORK, HOUR, 8 * HOUR, "by 08:00 America/New_York on weekdays"),
        # Eight hours after midnight it is nine where the clock jumps that night, on a Sunday.
        (EVERY_DAY, HOUR, 8 * HOUR, "by 09:00 America/New_York daily"),
        (NEW_YORK, 7 * DAY, 6 * HOUR, None),
    ],
)
def test_a_deadline_before_the_source_publishes_is_refused(text, every, lag, shortest):
    promise = parse_promise(text)
    assert promise.shortest(every, lag) == shortest
    if shortest is not None:
        require_reachable("a/b", parse_promise(shortest), every, lag)
        with pytest.raises(PromiseError, match=f"The shortest that can hold is '{shortest}'"):
            require_reachable("a/b", promise, every, lag)


class Hourly:
    publishes_every = HOUR


class Never:
    publishes_every = dt.timedelta()


class Backwards(Hourly):
    publishes_after = -HOUR


class Configured(dg.ConfigurableResource["Configured"]):
    publishes_every: dt.timedelta = DAY
    publishes_after: dt.timedelta = 2 * HOUR


def test_a_source_may_say_its_rhythm():
    assert rhythm_of("a/b", None) is None
    assert rhythm_of("a/b", object) is None
    assert rhythm_of("a/b", Hourly) == (HOUR, dt.timedelta())
    assert rhythm_of("a/b", FlightArchive) == (DAY, 12 * HOUR)
    assert FlightArchive().lag_h == 12


def test_a_rhythm_that_is_none_names_the_class():
    with pytest.raises(RhythmError, match=r"'a/b' is read from Never, whose publishes_every is"):
        rhythm_of("a/b", Never)
    with pytest.raises(RhythmError, match=r"whose publishes_after is .* not negative"):
        rhythm_of("a/b", Backwards)


# --- Dagster's policy -------------------------------------------------------------------------


def test_a_length_warns_at_four_fifths():
    assert parse_promise("36h").policy() == dg.FreshnessPolicy.time_window(
        fail_window=36 * HOUR, warn_window=28.8 * HOUR
    )


def test_a_minute_has_no_warning_because_dagster_takes_none():
    assert parse_promise("1m").policy() == dg.FreshnessPolicy.time_window(fail_window=HOUR / 60)


@pytest.mark.parametrize(
    ("text", "cron", "hours", "zone"),
    [
        (NEW_YORK, "0 7 * * 1,2,3,4,5", 7, "America/New_York"),
        ("by 06:30 UTC on sun,thu", "30 6 * * 4,0", 6.5, "UTC"),
        ("by 23:00 Europe/Berlin daily", "0 23 * * *", 23, "Europe/Berlin"),
    ],
)
def test_a_deadline_is_a_cron_in_its_zone(text, cron, hours, zone):
    assert parse_promise(text).policy() == dg.FreshnessPolicy.cron(
        deadline_cron=cron, lower_bound_delta=hours * HOUR, timezone=zone
    )


def test_a_deadline_compares_by_what_it_says():
    assert parse_promise(NEW_YORK) == parse_promise(NEW_YORK)
    assert isinstance(parse_promise(NEW_YORK), Deadline)
    assert issubclass(PromiseError, DomainError)


# --- where an asset is declared ---------------------------------------------------------------


def declared(fresh: str, source: type | None = None) -> dg.AssetsDefinition:
    domain = Domain("shop", owner="team:shop", partitions=Daily("2024-03-01"))

    def sales(window: Window) -> None: ...

    def sold(window: Window, hourly: object) -> None: ...

    table = domain.table(contract=Sale, source=source, fresh=fresh)
    return table(sales if source is None else sold)


def test_a_domain_takes_deadlines_and_keeps_the_text():
    asset = declared(NEW_YORK)
    spec = asset.get_asset_spec(dg.AssetKey(["shop", "sales"]))
    assert spec.freshness_policy == parse_promise(NEW_YORK).policy()
    assert node_of(asset).extras["promise"] == NEW_YORK


def test_a_domain_refuses_a_promise_that_its_source_does_not_let_it_keep():
    declared("60m", Hourly)
    with pytest.raises(
        PromiseError, match=r"^'shop/sold': the promise '59m' cannot be kept: .* '1h'"
    ):
        declared("59m", Hourly)
