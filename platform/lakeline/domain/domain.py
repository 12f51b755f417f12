"""A domain: functions in, ordinary Dagster assets out, with every convention set from a few arguments."""

import dagster as dg

from lakeline.domain.core import Daily, UnknownArgumentError
from lakeline.domain.feature_assets import FeatureAssets
from lakeline.domain.model_assets import ModelAssets
from lakeline.domain.search_assets import SearchAssets
from lakeline.domain.table_assets import TableAssets

__all__ = ["Daily", "Domain", "UnknownArgumentError"]


class Domain(TableAssets, FeatureAssets, ModelAssets, SearchAssets):
    """A team's data products.

    Every decorator returns an ordinary `dagster.AssetsDefinition`: key ``[domain, name]``, group ``<domain>_<layer>``,
    the function's docstring as description. The function is given the window of the run (daily assets), then one
    handle for each of ``reads`` in that order, then its features if it has ``features``, then its source.

    Attributes:
        name: First part of every key, and the namespace in the lake.
        owner: ``team:name`` or an e-mail address.
        partitions: Of its daily assets.
        automation: ``auto`` keeps its assets consistent by itself, ``manual`` leaves building to people; an asset may
            say otherwise.
        on_demand: What is computed from requests, declared by ``on_demand_view``.
    """

    @property
    def routine(self) -> list[dg.AssetsDefinition]:
        """Its assets but those that are left to people one by one, who may have to install something first."""
        from lakeline.domain.node import nodes_of

        if self.automation == "manual":
            return list(self.assets)
        found = nodes_of(self.assets).values()
        left = {
            dg.AssetKey(node.asset.split("/"))
            for node in found
            if node.extras["automation"] == "manual"
        }
        return [asset for asset in self.assets if left.isdisjoint(asset.keys)]
