{#- Hours of the window, or of all rows where there is no window, that an origin has no report for. -#}
{% test every_hour(model, origins) %}
with span as (
    {% if env_var("LAKELINE_START", "") -%}
    select {{ window_start() }} as first_ts, {{ window_end() }} - interval 1 hour as last_ts
    {%- else -%}
    select min(event_ts) as first_ts, max(event_ts) as last_ts from {{ model }}
    {%- endif %}
),

hours as (
    select unnest(generate_series(first_ts, last_ts, interval 1 hour)) as event_ts
    from span
),

origins as (
    select unnest({{ origins }}) as origin
)

select hours.event_ts, origins.origin
from hours
cross join origins
anti join {{ model }} as reports using (event_ts, origin)
{% endtest %}
