{#- The rows of a model go to the run that asked for them; it audits and publishes them. -#}
{% materialization lake, adapter='duckdb' %}
  {%- set target = this.incorporate(type='table') -%}
  {#- Run by hand, the model's own table in the lake is there as a view. -#}
  {%- do drop_relation_if_exists(load_cached_relation(this)) -%}
  {{ run_hooks(pre_hooks) }}
  {% call statement('main') -%}
    {{ create_table_as(False, target, compiled_code) }}
  {%- endcall %}
  {{ run_hooks(post_hooks) }}
  {{ adapter.commit() }}
  {% do adapter.store_relation('lake', target, [], '', 'table', config) %}
  {{ return({'relations': [target]}) }}
{% endmaterialization %}

{#- A model's schema is the domain: the folder it lies in, as it stands. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
  {{ custom_schema_name or node.fqn[1] }}
{%- endmacro %}

{#- First and last moment of the window that is built; a run by hand has none. -#}
{% macro window_start() -%}
  timestamptz '{{ env_var("LAKELINE_START", "1970-01-01T00:00:00+00:00") }}'
{%- endmacro %}

{% macro window_end() -%}
  timestamptz '{{ env_var("LAKELINE_END", "2100-01-01T00:00:00+00:00") }}'
{%- endmacro %}
