-- Typed departures with their label, the parts of their delay, and what is known of plane and carrier.
with flights as (
    select
        *,
        timezone('America/New_York', event_ts) as local_ts,
        event_ts + dep_delay_min * interval 1 minute as departed_ts
    from {{ source('flights', 'departures') }}
)

select
    flights.event_ts,
    flights.carrier,
    flights.flight,
    flights.origin,
    flights.dest,
    flights.known_ts,
    airlines.name as carrier_name,
    extract('hour' from flights.local_ts) as local_hour,
    60 * extract('hour' from flights.local_ts) + extract('minute' from flights.local_ts) as local_minute,
    extract('isodow' from flights.local_ts) as weekday,
    flights.distance_mi,
    planes.seats,
    greatest(extract('year' from flights.local_ts) - planes.built_year, 0) as plane_age_y,
    flights.departed_ts,
    flights.dep_delay_min,
    flights.arr_delay_min - flights.dep_delay_min as enroute_delay_min,
    flights.arr_delay_min,
    coalesce(not flights.is_departed, false) as is_cancelled,
    flights.arr_delay_min > 15 as is_late
from flights
left join {{ source('flights', 'planes') }} as planes using (tailnum)
left join {{ source('flights', 'airlines') }} as airlines using (carrier)
