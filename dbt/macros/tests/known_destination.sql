{#- Destinations that are not among the airports, with the flights that go there. -#}
{% test known_destination(model) %}
select dest, count(*) as flights
from {{ model }}
where dest not in (select faa from {{ source('flights', 'airports') }})
group by dest
{% endtest %}
