"""Finding the domain of a folder: its modules are imported, which declares its assets."""

import importlib
import pkgutil
from types import ModuleType

from lakeline.collecting import importing
from lakeline.domain.domain import Domain
from lakeline.domain.node import nodes, nodes_of
from lakeline.domain.retraining import require_triggers
from lakeline.errors import DomainError


class NoDomainError(DomainError):
    """A package does not hold exactly one domain."""

    def __init__(self, package: str, found: list[str]) -> None:
        has = f"{len(found)} domains ({', '.join(found)})" if found else "no domain"
        super().__init__(
            f"Package {package} has {has}. A domain's folder holds one: Domain('name', owner=…, partitions=Daily(…))."
        )


def load_domain(package: ModuleType) -> Domain:
    """The domain of a package, with every asset that the package's modules declare.

    Args:
        package: A folder of ``assets/``, imported.

    Raises:
        NoDomainError: Its modules hold no domain, or several.
        TriggerError: A model watches a report that cannot tell it anything.
    """
    names = [found.name for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")]
    with importing():
        modules = [importlib.import_module(name) for name in names]
    values = [value for module in modules for value in vars(module).values()]
    domains = {value.name: value for value in values if isinstance(value, Domain)}
    if len(domains) != 1:
        raise NoDomainError(package.__name__, sorted(domains))
    domain = next(iter(domains.values()))
    require_triggers(nodes(), domain.name)
    domain.complete()
    for node in nodes_of(domain.assets).values():
        node.extras["package"] = package.__name__
    return domain
