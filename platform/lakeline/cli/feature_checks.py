"""What `lakeline doctor` looks at of features: the online store answers and is filled, and the registry can be reached."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lakeline.cli.console import count, moment
from lakeline.cli.finding import Finding, is_unborn, without_secret

if TYPE_CHECKING:
    from lakeline.domain.node import Node
    from lakeline.project import Project


def features(project: "Project") -> Iterator[Finding]:
    """Findings of the online store and the registry; none where no domain has features.

    Raises:
        StoreDownError: The online store does not answer.
        MissingExtraError: Its client is not installed.
    """
    views = [node for node in project.nodes.values() if node.entities]
    if not views:
        return
    yield _registry(project)
    yield from _online(project, [node for node in views if node.extras.get("online")])


def _registry(project: "Project") -> Finding:
    import sqlalchemy as sa
    from sqlalchemy.exc import SQLAlchemyError

    url = project.house.registry_url
    where = without_secret(url)
    if is_unborn(url):
        said = f"{where} will be made when features are first joined"
        return Finding(status="ok", subject="registry", said=said)
    engine = sa.create_engine(url)
    try:
        with engine.connect() as connection:
            views = connection.execute(sa.text("SELECT count(*) FROM feature_views")).scalar_one()
    except SQLAlchemyError as error:
        return Finding(
            status="fail",
            subject="registry",
            said=f"{where} cannot be read: {str(error).splitlines()[0]}",
            todo="Check that the server runs and that LAKELINE_FEATURE_REGISTRY is right, then run: lakeline features apply",
        )
    finally:
        engine.dispose()
    return Finding(status="ok", subject="registry", said=f"{where}, {count(views, 'view')}")


def _online(project: "Project", views: "list[Node]") -> Iterator[Finding]:
    from lakeline.domain.serving import online_view
    from lakeline.online import open_store

    url = project.house.online_url
    where = without_secret(url)
    if is_unborn(url) or not views:
        yield Finding(
            status="ok", subject="online", said=f"{where} will be made on the first filling"
        )
        return
    for node in views:
        store = open_store(url, prefix=node.domain)
        state = store.state(online_view(node))
        store.close()
        said = f"{where}, {node.asset} up to {moment(state.watermark)}"
        if state.pending:
            todo = f"Its last filling did not end. Run: lakeline backfill --select {node.name}_online --from DAY --to DAY"
            yield Finding(status="warn", subject="online", said=said, todo=todo)
        else:
            yield Finding(status="ok", subject="online", said=said)
