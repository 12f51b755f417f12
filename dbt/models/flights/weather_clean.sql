-- One row an hour and origin, keyed by the source's own UTC hour, which tells apart the two reports of the hour that
-- comes twice when summer time ends; by the local clock they share a key.
select
    observed_ts as event_ts,
    origin,
    observed_ts + interval 1 hour as known_ts,
    temp_f,
    dewpoint_f,
    humidity_pct,
    wind_speed_mph,
    precip_in,
    pressure_hpa,
    visibility_mi
from {{ source('flights', 'weather') }}
