"""What domains declare as Feast objects: entities, sources, feature views, on-demand views and a service for each model."""

import datetime as dt
import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from feast import Entity, FeatureService, FeatureView, Field, RequestSource
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_contents import RepoContents
from feast.transformation.pandas_transformation import PandasTransformation
from feast.types import Bool, FeastType, Float64, Int64, String, UnixTimestamp

from lakeline.domain.features import Joined, features_of
from lakeline.domain.node import Node, nodes_of
from lakeline.feast.fields import fields_of, key_type
from lakeline.feast.source import IcebergSource
from lakeline.features.on_demand import OnDemand

if TYPE_CHECKING:
    import pandas as pd

    from lakeline.domain import Domain

ASSET_TAG = "lakeline_asset"
REQUEST_TYPES: dict[type, FeastType] = {
    bool: Bool,
    int: Int64,
    float: Float64,
    str: String,
    dt.datetime: UnixTimestamp,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Objects:
    """Everything that a domain declares to Feast.

    Attributes:
        views: Feature views by name.
        on_demand: On-demand views by name.
        services: Feature services by name.
        entities: Entities by name.
    """

    entities: dict[str, Entity]
    views: dict[str, FeatureView]
    on_demand: dict[str, OnDemandFeatureView]
    services: dict[str, FeatureService]

    @property
    def all(self) -> list[Any]:
        """In an order in which they can be applied."""
        return [
            *self.entities.values(),
            *(view.batch_source for view in self.views.values()),
            *self.views.values(),
            *self.on_demand.values(),
            *self.services.values(),
        ]

    def contents(self) -> RepoContents:
        """As `feast apply` takes them."""
        return RepoContents(
            projects=[],
            data_sources=[one for view in self.views.values() if (one := view.batch_source)],
            entities=list(self.entities.values()),
            feature_views=list(self.views.values()),
            on_demand_feature_views=list(self.on_demand.values()),
            stream_feature_views=[],
            label_views=[],
            feature_services=list(self.services.values()),
            permissions=[],
        )


def objects_of(nodes: Iterable[Node], on_demand: Sequence[OnDemand] = ()) -> Objects:
    """The Feast objects of some assets.

    Args:
        nodes: Feature views among them become feature views; models and what they are trained on, feature services.
        on_demand: What is computed from requests.

    Raises:
        FeastTypeError: Feast has no type for a column.
    """
    held = list(nodes)
    joined = [_joined(node) for node in held]
    views = {node.name: node for node in held if node.entities}
    views |= {read.node.name: read.node for one in joined for read in one.views}
    computed = {
        one.name: one for one in (*on_demand, *(v for one in joined for v in one.on_demand))
    }
    entities = _entities(views.values())
    made = {name: view_of(node, entities) for name, node in views.items()}
    asked = {name: on_demand_of(one) for name, one in computed.items()}
    services = {
        node.name: _service(node, served, columns, {**made, **asked})
        for node in held
        if (served := _served(node))
        for columns in [_wanted(node)]
    }
    return Objects(entities=entities, views=made, on_demand=asked, services=services)


def objects_of_domain(domain: "Domain") -> Objects:
    """The Feast objects of everything that a domain declares."""
    return objects_of(nodes_of(domain.assets).values(), domain.on_demand)


def view_of(node: Node, entities: dict[str, Entity]) -> FeatureView:
    """The Feast feature view of a feature view's asset."""
    contract = node.columns
    return FeatureView(
        name=node.name,
        entities=[entities[key] for key in node.entities],
        ttl=dt.timedelta(seconds=node.ttl_s or 0),
        schema=fields_of(contract, (*node.entities, *features_of(node))),
        source=IcebergSource(
            name=f"{node.name}_source",
            table=node.table,
            timestamp_field=str(contract.event_time),
            knowledge_time_field=str(contract.knowledge_time),
        ),
        online=bool(node.extras.get("online")),
        description=inspect.getdoc(node.function) or "",
        owner=str(node.extras.get("owner", "")),
        tags={ASSET_TAG: node.asset},
    )


def on_demand_of(view: OnDemand) -> OnDemandFeatureView:
    """The Feast on-demand view of a function; Feast calls it with pandas frames."""
    request = RequestSource(
        name=f"{view.name}_request",
        schema=[Field(name=name, dtype=REQUEST_TYPES[kind]) for name, kind in view.request.items()],
    )
    return OnDemandFeatureView(
        name=view.name,
        sources=[request],
        # Bare: Feast compares them with those that it infers, which have no descriptions.
        schema=[
            Field(name=one.name, dtype=one.dtype) for one in fields_of(view.contract, view.features)
        ],
        feature_transformation=PandasTransformation(
            udf=on_pandas(view), udf_string=source_of(view)
        ),
        mode="pandas",
        description=inspect.getdoc(view.function) or "",
        owner=view.owner,
    )


def on_pandas(view: OnDemand) -> "Callable[[pd.DataFrame], pd.DataFrame]":
    """The view's function on pandas frames, found by its name when it is called."""
    module, name = view.function.__module__, view.function.__qualname__

    def compute(frame):  # type: ignore[no-untyped-def]  # Feast reads annotations, and pandas is not imported here
        from lakeline.domain.feast.computing import compute_on_pandas

        return compute_on_pandas(module, name, frame)

    compute.__name__ = view.name
    return compute


def source_of(view: OnDemand) -> str:
    """The text that Feast keeps of the function and runs wherever the registry is read: a call of the real one.

    The real one stands below it as a comment, so that Feast's UI shows it, and a change of it is a change of the view.
    """
    module, name = view.function.__module__, view.function.__qualname__
    shown = inspect.getsource(view.function).rstrip().replace("\n", "\n# ")
    return (
        f"def {view.name}(frame):\n"
        "    from lakeline.domain.feast.computing import compute_on_pandas\n\n"
        f"    return compute_on_pandas({module!r}, {name!r}, frame)\n\n"
        f"# {shown}\n"
    )


def _joined(node: Node) -> Joined:
    found = node.extras.get("features")
    return found if isinstance(found, Joined) else Joined()


def _served(node: Node) -> Joined:
    """What a model is served with: the features that its training set joins."""
    if "learning" not in node.extras:
        return Joined()
    return _joined(node.reads[0].node)


def _wanted(node: Node) -> set[str]:
    return set(node.extras["learning"].features)


def _service(node: Node, served: Joined, wanted: set[str], views: dict[str, Any]) -> FeatureService:
    """The features that a model reads, by the model's name."""
    chosen = {
        view: [feature for feature in features if feature in wanted]
        for view, features in served.names.items()
    }
    return FeatureService(
        name=node.name,
        features=[views[view][features] for view, features in chosen.items() if features],
        description=inspect.getdoc(node.function) or "",
        owner=str(node.extras.get("owner", "")),
        tags={ASSET_TAG: node.asset},
    )


def _entities(views: Iterable[Node]) -> dict[str, Entity]:
    """One entity for each key column, described by the first view that has it."""
    found: dict[str, Entity] = {}
    for node in views:
        for key in node.entities:
            if key not in found:
                found[key] = Entity(
                    name=key,
                    join_keys=[key],
                    value_type=key_type(node.columns, key),
                    description=node.columns.columns[key].doc,
                )
    return found
