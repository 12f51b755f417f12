"""The project that a command works on: found from the current folder, its definitions loaded once."""

import importlib
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from lakeline.collecting import importing
from lakeline.errors import SettingsError

if TYPE_CHECKING:
    import dagster as dg

    from lakeline.clock import Clock
    from lakeline.deployment import Deployment
    from lakeline.domain.node import Node
    from lakeline.resource import Lakehouse

Resource = TypeVar("Resource")


class NoProjectError(SettingsError):
    """No folder from here upwards is a project."""

    def __init__(self, start: Path) -> None:
        super().__init__(
            f"{start} is in no lakeline project: neither it nor a folder above has a pyproject.toml with "
            "code_location_target_module under [tool.dg.project]. Go to the project's folder, or give --project FOLDER."
        )


class NoDefinitionsError(SettingsError):
    """A project's module cannot be imported, or holds no definitions."""

    def __init__(self, module: str, root: Path, why: str) -> None:
        super().__init__(
            f"Module '{module}', which pyproject.toml in {root} names as code_location_target_module, {why}. "
            "It must be importable from that folder and hold one dagster.Definitions."
        )


class NoResourceError(SettingsError):
    """A project's definitions lack a resource that the command line works with."""

    def __init__(self, module: str, kind: str, known: list[str]) -> None:
        super().__init__(
            f"The definitions of '{module}' have no resource of type {kind}. They have {', '.join(known) or 'none'}. "
            f"Add a lakeline {kind} to their resources."
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a project is, before anything of it is imported.

    Attributes:
        root: Folder of its pyproject.toml.
        module: Module that holds its definitions.
        location: Name of its code location in Dagster.
    """

    root: Path
    module: str
    location: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Project:
    """A loaded project."""

    place: Place
    definitions: "dg.Definitions"

    @property
    def house(self) -> "Lakehouse":
        """Its lakehouse.

        Raises:
            NoResourceError: It has none.
        """
        from lakeline.resource import Lakehouse

        return self._resource(Lakehouse)

    @property
    def deployment(self) -> "Deployment":
        """Where it keeps its state.

        Raises:
            NoResourceError: It does not say.
        """
        from lakeline.deployment import Deployment

        return self._resource(Deployment)

    @property
    def clock(self) -> "Clock":
        """What time it is for it: its clock resource's, or the machine's."""
        from lakeline.clock import SystemClock
        from lakeline.deployment import Timepiece

        held = dict(self.definitions.resources or {})
        found = [one for one in held.values() if type(one) is Timepiece]
        return found[0].clock if found else SystemClock()

    @property
    def nodes(self) -> "dict[str, Node]":
        """What domains know of its assets, by ``domain/name``."""
        import dagster as dg

        from lakeline.domain.node import nodes_of

        held = self.definitions.assets or ()
        return nodes_of(one for one in held if isinstance(one, dg.AssetsDefinition))

    @property
    def home(self) -> Path:
        """Folder of Dagster's storage."""
        return Path(self.deployment.dagster_home)

    def _resource(self, kind: type[Resource]) -> Resource:
        held = dict(self.definitions.resources or {})
        for value in held.values():
            if isinstance(value, kind):
                return value
        raise NoResourceError(self.place.module, kind.__name__, sorted(held))


def find_place(start: Path | None = None) -> Place:
    """The project in ``start`` or the nearest folder above it; left out, from the current folder.

    Raises:
        NoProjectError: There is none.
    """
    here = (start or Path.cwd()).absolute()
    for folder in (here, *here.parents):
        file = folder / "pyproject.toml"
        if not file.is_file():
            continue
        settings = tomllib.loads(file.read_text()).get("tool", {}).get("dg", {}).get("project", {})
        if module := settings.get("code_location_target_module"):
            return Place(
                root=folder, module=module, location=settings.get("code_location_name", module)
            )
    raise NoProjectError(here)


def load_project(start: Path | None = None) -> Project:
    """The project with its definitions.

    Raises:
        NoProjectError: There is none.
        NoDefinitionsError: Its module is missing, or holds no definitions.
        LakelineError: What the definitions themselves raise, such as a missing dbt manifest.
    """
    return load(find_place(start))


def load(place: Place) -> Project:
    """The project at a place; see `load_project`."""
    root = str(place.root)
    if root not in sys.path:  # First: another checkout may be among the installed packages.
        sys.path.insert(0, root)
    try:
        with importing():
            module = importlib.import_module(place.module)
            definitions = _definitions(place, module)
    except ModuleNotFoundError as error:
        if error.name is None or not place.module.startswith(error.name):
            raise
        raise NoDefinitionsError(place.module, place.root, "is not there") from error
    return Project(place=place, definitions=definitions)


def forget(place: Place, before: set[str]) -> None:
    """Take modules of the project that were imported since ``before`` out of this process, so that they load anew."""
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        is_library = name.partition(".")[0] == "lakeline"
        if (
            file
            and not is_library
            and Path(file).is_relative_to(place.root)
            and ".venv" not in Path(file).parts
        ):
            del sys.modules[name]


def _definitions(place: Place, module: ModuleType) -> "dg.Definitions":
    import dagster as dg
    from dagster.components.definitions import LazyDefinitions

    held: list[Any] = [
        one for one in vars(module).values() if isinstance(one, dg.Definitions | LazyDefinitions)
    ]
    if len(held) != 1:
        raise NoDefinitionsError(place.module, place.root, f"holds {len(held)} definitions")
    found = held[0]
    return found if isinstance(found, dg.Definitions) else found()
