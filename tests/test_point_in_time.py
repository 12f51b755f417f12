"""Point-in-time joins, against a brute-force reading of their definition."""

import datetime as dt
import random
from typing import Any

import polars as pl
import pytest

from lakeline.errors import ColumnsMissingError, FeatureClashError, KeyTypeError, NotAMomentError
from lakeline.features.point_in_time import FeatureSource, point_in_time_join

NOON = dt.datetime(2013, 1, 1, 12, tzinfo=dt.UTC)
TICK = dt.timedelta(microseconds=1)
HOUR = dt.timedelta(hours=1)
TIMESTAMP = pl.Datetime("us", "UTC")
SCHEMA: dict[str, Any] = {
    "origin": pl.String,
    "carrier": pl.Int64,
    "event_ts": TIMESTAMP,
    "known_ts": TIMESTAMP,
    "backlog": pl.Float64,
}
Row = tuple[str | None, int | None, dt.datetime | None, dt.datetime | None, float | None]


def source(*rows: Row, **changes: Any) -> FeatureSource:
    given: dict[str, Any] = {
        "name": "backlog",
        "frame": pl.DataFrame(list(rows), schema=SCHEMA, orient="row"),
        "entities": ("origin",),
        "event_time": "event_ts",
        "knowledge_time": "known_ts",
        "features": ("backlog",),
    }
    return FeatureSource(**(given | changes))


def decisions(*rows: tuple[str | None, int | None, dt.datetime | None]) -> pl.DataFrame:
    schema: dict[str, Any] = {"origin": pl.String, "carrier": pl.Int64, "at": TIMESTAMP}
    return pl.DataFrame(list(rows), schema=schema, orient="row")


def joined(entities: pl.DataFrame, *sources: FeatureSource) -> list[float | None]:
    return point_in_time_join(entities, sources, at="at")["backlog"].to_list()


def expected(entities: pl.DataFrame, given: FeatureSource) -> list[float | None]:
    """The definition, word for word: of the rows seen, the greatest by event time, knowledge time and place."""
    return [answer(entity, given) for entity in entities.iter_rows(named=True)]


def answer(entity: dict[str, Any], given: FeatureSource) -> float | None:
    if entity["at"] is None or any(entity[key] is None for key in given.entities):
        return None
    moment = entity["at"] - given.offset
    seen = [
        (row[given.event_time], row[given.known], place, row["backlog"])
        for place, row in enumerate(given.frame.lazy().collect().iter_rows(named=True))
        if all(row[key] == entity[key] for key in given.entities)
        and None not in (row[given.event_time], row[given.known])
        and max(row[given.event_time], row[given.known]) <= moment
    ]
    if not seen:
        return None
    event, _, _, value = max(seen, key=lambda row: row[:3])
    return None if given.ttl is not None and moment - event > given.ttl else value


@pytest.mark.parametrize("seed", range(300))
def test_a_join_gives_what_its_definition_gives(seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 - not for secrets
    step = draw.choice([TICK, HOUR])
    span = draw.choice([3, 12])  # few distinct times make many ties

    def moment() -> dt.datetime | None:
        return None if draw.random() < 0.05 else NOON + draw.randrange(span) * step

    def key(values: list[Any]) -> Any:
        return None if draw.random() < 0.05 else draw.choice(values)

    rows = [
        (
            key(["EWR", "JFK"]),
            key([1, 2]),
            moment(),
            moment(),
            None if draw.random() < 0.1 else float(i),
        )
        for i in range(draw.randrange(0, 25))
    ]
    entities = decisions(
        *((key(["EWR", "JFK", "LGA"]), key([1, 2]), moment()) for _ in range(draw.randrange(0, 15)))
    )
    given = source(
        *rows,
        entities=draw.choice([(), ("origin",), ("origin", "carrier")]),
        knowledge_time=draw.choice([None, "known_ts"]),
        ttl=draw.choice([None, 0 * step, 2 * step]),
        offset=draw.choice([0 * step, 1 * step]),
    )
    assert joined(entities, given) == expected(entities, given)


def test_a_value_is_seen_from_the_microsecond_that_it_is_known():
    given = source(("EWR", 1, NOON - HOUR, NOON, 7.0))
    assert joined(decisions(("EWR", 1, NOON - TICK), ("EWR", 1, NOON)), given) == [None, 7.0]


def test_a_value_as_old_as_its_time_to_live_is_used_and_a_microsecond_older_is_not():
    given = source(("EWR", 1, NOON, NOON, 7.0), ttl=HOUR)
    assert joined(decisions(("EWR", 1, NOON + HOUR), ("EWR", 1, NOON + HOUR + TICK)), given) == [
        7.0,
        None,
    ]


def test_a_late_correction_of_an_older_event_does_not_hide_a_newer_event():
    given = source(("EWR", 1, NOON, NOON, 1.0), ("EWR", 1, NOON - HOUR, NOON + HOUR, 2.0))
    assert joined(decisions(("EWR", 1, NOON + 2 * HOUR)), given) == [1.0]


def test_a_correction_counts_only_from_when_it_was_known():
    given = source(("EWR", 1, NOON, NOON, 1.0), ("EWR", 1, NOON, NOON + HOUR, 2.0))
    assert joined(decisions(("EWR", 1, NOON), ("EWR", 1, NOON + HOUR)), given) == [1.0, 2.0]


def test_what_is_known_before_it_happens_waits_for_its_event():
    forecast = source(("EWR", 1, NOON, NOON - HOUR, 1.0))
    assert joined(decisions(("EWR", 1, NOON - TICK), ("EWR", 1, NOON)), forecast) == [None, 1.0]


def test_entity_rows_stay_whole_in_order_and_each_once():
    entities = decisions(("LGA", 1, NOON), ("EWR", 2, NOON), ("EWR", 2, NOON), (None, None, None))
    found = point_in_time_join(entities, [source(("EWR", 1, NOON, NOON, 1.0))], at="at")
    assert found.drop("backlog").equals(entities)
    assert found["backlog"].to_list() == [None, 1.0, 1.0, None]


def test_features_of_several_sources_come_side_by_side_with_their_types():
    weather = FeatureSource(
        name="weather",
        frame=pl.LazyFrame({"event_ts": [NOON], "sky": ["clear"], "codes": [[1, 2]]}).with_columns(
            pl.col("sky").cast(pl.Categorical)
        ),
        entities=(),
        event_time="event_ts",
        features=("sky", "codes"),
    )
    found = point_in_time_join(
        decisions(("EWR", 1, NOON)), [source(("EWR", 1, NOON, NOON, 1.0)), weather], at="at"
    )
    assert found.columns == ["origin", "carrier", "at", "backlog", "sky", "codes"]
    assert found.row(0)[3:] == (1.0, "clear", [1, 2])
    assert found.schema["sky"] == pl.Categorical


def test_a_key_may_have_another_name_in_the_entities():
    entities = decisions(("EWR", 1, NOON)).rename({"origin": "left_from"})
    given = source(("EWR", 1, NOON, NOON, 1.0))
    assert point_in_time_join(entities, [given], at="at", keys={"origin": "left_from"})[
        "backlog"
    ].to_list() == [1.0]


def test_categorical_keys_and_narrow_integers_match_by_value():
    frame = source(("LGA", 1, NOON, NOON, 0.0), ("EWR", 1, NOON, NOON, 1.0)).frame.lazy()
    given = source(
        frame=frame.cast({"origin": pl.Categorical, "carrier": pl.Int16}),
        entities=("origin", "carrier"),
    )
    entities = decisions(("EWR", 1, NOON)).cast({"origin": pl.Enum(["EWR", "JFK"])})
    assert joined(entities, given) == [1.0]


def test_times_of_other_zones_and_precisions_are_the_same_instants():
    frame = source(("EWR", 1, NOON, NOON, 1.0)).frame.lazy()
    frame = frame.cast(
        {
            "event_ts": pl.Datetime("ms", "America/New_York"),
            "known_ts": pl.Datetime("ns", "Asia/Tokyo"),
        }
    )
    assert joined(decisions(("EWR", 1, NOON - TICK), ("EWR", 1, NOON)), source(frame=frame)) == [
        None,
        1.0,
    ]


def test_a_missing_column_names_the_source():
    with pytest.raises(
        ColumnsMissingError, match=r"Feature source 'backlog' has no column delay. It has origin"
    ):
        joined(decisions(), source(features=("delay",)))
    with pytest.raises(ColumnsMissingError, match="The entity frame has no column then"):
        point_in_time_join(decisions(), [], at="then")


def test_a_feature_of_two_sources_is_refused():
    other = source(name="other")
    with pytest.raises(FeatureClashError, match="backlog from source 'backlog', source 'other'"):
        joined(decisions(), source(), other)


def test_a_feature_that_the_entities_have_already_is_refused():
    with pytest.raises(FeatureClashError, match="carrier from the entity frame, source 'backlog'"):
        joined(decisions(), source(features=("carrier",)))


def test_a_time_without_a_zone_is_refused():
    naive = source(frame=source().frame.lazy().cast({"known_ts": pl.Datetime("us")}))
    with pytest.raises(NotAMomentError, match="'backlog' has known_ts as Datetime"):
        joined(decisions(), naive)


def test_keys_of_different_types_are_refused():
    text = source(frame=source().frame.lazy().cast({"carrier": pl.String}), entities=("carrier",))
    with pytest.raises(KeyTypeError, match="carrier as String, the entities have it as Int64"):
        joined(decisions(), text)
