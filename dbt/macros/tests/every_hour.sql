{#- Hours of the window that an origin has no report for. -#}
{% test every_hour(model) %}
with hours as (
    select unnest(generate_series(min(date_trunc('day', event_ts)), max(event_ts), interval 1 hour)) as event_ts
    from {{ model }}
)

select hours.event_ts, origins.origin
from hours
cross join (select distinct origin from {{ model }}) as origins
anti join {{ model }} as reports using (event_ts, origin)
{% endtest %}
