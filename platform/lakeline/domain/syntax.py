"""Reads the syntax tree of a Python file into its outline."""

import ast
import copy
import dis
import functools
import hashlib
import types
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from lakeline.domain.outline import MODULE, Chain, Origin, Outline, Piece, Statements, place_of

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_UNSAID = frozenset({"ctx", "kind", "type_comment"})
"""Fields of a tree that follow from where a node stands, or are only how it is written."""
_GLOBALS = {"LOAD_GLOBAL", "LOAD_NAME"}
_MEMBERS = {"LOAD_ATTR", "LOAD_METHOD"}
_BRANCHES = ("body", "orelse", "finalbody", "handlers", "cases")
"""Fields of a tree that hold statements."""
_HEADS = ("test", "iter", "subject", "type", "pattern", "guard")
"""Fields of a tree that decide which of them run, and with what."""


def read(source: bytes) -> Outline:
    """The outline of a file.

    Args:
        source: Its bytes; a module that was imported from it compiles.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # which were heard when the module was imported
        tree = ast.parse(source)
        _drop_words(tree)
        code = compile(tree, "<outline>", "exec", dont_inherit=True)
    names = _names_by_place(code)
    pieces = {place: _piece(node, names.get(place, [])) for place, node in _lambdas(tree)}
    for place, node in _definitions(tree):
        pieces[place] = _piece(node, names.get(place, []))
    return Outline({**pieces, MODULE: _piece(tree, [])}, _assigned(tree))


def chains_of(code: types.CodeType) -> list[Chain]:
    """Globals that a function's code looks up, and those of the functions, classes and comprehensions inside it."""
    return list(dict.fromkeys(chain for one in _codes(code) for chain in _loaded(one)))


def _piece(node: ast.AST, names: list[Chain]) -> Piece:
    bare = node
    if isinstance(node, Definition) and node.decorator_list:
        bare = copy.copy(node)
        bare.decorator_list = []
    text = _digest(node)
    return Piece(
        text=text,
        bare=text if bare is node else _digest(bare),
        imports=list(_imports(node)),
        asked=list(_asked(node)),
        names=names,
    )


def _digest(node: ast.AST) -> str:
    return hashlib.sha256(_written(node).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _written(value: object) -> str:
    """A tree as text that is the same in every version of Python; `ast.unparse` and `ast.dump` are not."""
    if isinstance(value, ast.JoinedStr):  # Python 3.12 puts an empty text behind a nested format.
        return f"JoinedStr({[_written(one) for one in value.values if getattr(one, 'value', None) != '']})"
    if isinstance(value, ast.AST):
        said = []
        for name in value._fields:
            one = getattr(value, name, None)
            if one is not None and one != [] and name not in _UNSAID:
                said.append(f"{name}={_written(one)}")
        return f"{type(value).__name__}({', '.join(said)})"
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"
    return repr(value)


def _imports(node: ast.AST) -> Iterator[Origin]:
    for one in ast.walk(node):
        if isinstance(one, ast.Import):
            yield from ((0, alias.name, "") for alias in one.names)
        elif isinstance(one, ast.ImportFrom):
            yield from ((one.level, one.module or "", alias.name) for alias in one.names)


def _asked(node: ast.AST) -> Iterator[Chain]:
    parts: list[ast.AST | None] = []
    if isinstance(node, ast.ClassDef):
        own = (one for one in node.body if not isinstance(one, Definition))
        parts = [one.value if isinstance(one, ast.AnnAssign) else one for one in own]
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        parts = [*node.args.defaults, *node.args.kw_defaults]
    return (chain for one in parts if one is not None for chain in _chains(one))


def _chains(node: ast.AST) -> Iterator[Chain]:
    """The names that a statement mentions."""
    members: list[str] = []
    inner = node
    while isinstance(inner, ast.Attribute):
        members.append(inner.attr)
        inner = inner.value
    if isinstance(inner, ast.Name):
        yield (inner.id, *reversed(members))
    else:
        for child in ast.iter_child_nodes(inner):
            yield from _chains(child)


def _definitions(tree: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    waiting: list[tuple[ast.AST, str]] = [(tree, "")]
    while waiting:
        parent, prefix = waiting.pop()
        for node in _statements(parent):
            inside = prefix
            if isinstance(node, ast.ClassDef):
                inside = f"{prefix}{node.name}."
                yield prefix + node.name, node
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                inside = f"{prefix}{node.name}.<locals>."
                line = min(one.lineno for one in (node, *node.decorator_list))
                yield place_of(line, node.name), node
            waiting.append((node, inside))


def _lambdas(tree: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """The first statement, or part of one, around a lambda that begins on a line."""
    seen: set[int] = set()
    for parent in ast.walk(tree):
        for node in ast.iter_child_nodes(parent):
            if isinstance(node, ast.Lambda) and node.lineno not in seen:
                seen.add(node.lineno)
                yield place_of(node.lineno, "<lambda>"), parent


def _assigned(tree: ast.AST) -> dict[str, Statements]:
    found: defaultdict[str, Statements] = defaultdict(lambda: Statements([], [], []))
    waiting: list[tuple[ast.AST, Sequence[tuple[str, ast.AST]]]] = [(tree, ())]
    while waiting:
        parent, around = waiting.pop()
        for branch, node in _branches(parent):
            when = [*around, *((branch, one) for one in _heads(parent))]
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    origin = (node.level, node.module or "", alias.name)
                    found[alias.asname or alias.name].origins.append(origin)
                    _add_heads(found[alias.asname or alias.name], when)
            elif not isinstance(node, Definition):
                for name in _bound(node):
                    _add_heads(found[name], when)
                    found[name].text.append(_digest(node))
                    found[name].chains.extend(_chains(node))
                waiting.append((node, when))
    return dict(found)


def _add_heads(statements: Statements, heads: Iterable[tuple[str, ast.AST]]) -> None:
    """Add what decides whether, or with what, a statement runs: ``if FLAG:`` and ``for name in NAMES:`` around it."""
    for branch, head in heads:
        statements.text.append(f"{branch}: {_digest(head)}")
        statements.chains.extend(_chains(head))


def _bound(node: ast.AST) -> list[str]:
    """Names that a statement assigns to, or to a member or an item of.

    Also those whose method it calls, as ``RULES.append(…)``, and those that it gives to a function, as ``fill(RULES)``.
    """
    targets = [*getattr(node, "targets", ()), getattr(node, "target", None)]
    targets += [item.optional_vars for item in getattr(node, "items", ())]
    parts = _heads(node) if any(_statements(node)) else [node]
    targets += [
        one.target for part in parts for one in ast.walk(part) if isinstance(one, ast.NamedExpr)
    ]
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        called = node.value
        given = [*called.args, *(one.value for one in called.keywords)]
        targets += [called.func] if isinstance(called.func, ast.Attribute) else given
    found = []
    while targets:
        one = targets.pop()
        if isinstance(one, ast.Name):
            found.append(one.id)
        elif isinstance(one, ast.Tuple | ast.List):
            targets += one.elts
        elif isinstance(one, ast.Attribute | ast.Subscript | ast.Starred):
            targets.append(one.value)
    return found


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """The statements inside a statement, those of its branches too; no expressions."""
    return (one for _, one in _branches(node))


def _branches(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    for branch in _BRANCHES:
        inner = getattr(node, branch, None)
        yield from ((branch, one) for one in inner) if isinstance(inner, list) else ()


def _heads(node: ast.AST) -> list[ast.AST]:
    """What a statement says beside its branches."""
    parts = [getattr(node, name, None) for name in _HEADS]
    return [one for one in (*parts, *getattr(node, "items", ())) if isinstance(one, ast.AST)]


def _drop_words(tree: ast.AST) -> None:
    """Take out docstrings, other texts that stand alone and what is imported for type checkers alone, in place."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and not node.orelse and _is_for_types(node.test):
            node.body = [ast.copy_location(ast.Pass(), node.body[0])]
        for branch in ("body", "orelse", "finalbody"):
            inner = getattr(node, branch, None)
            if isinstance(inner, list) and any(map(_is_text, inner)):
                left = [one for one in inner if not _is_text(one)]
                setattr(node, branch, left or [ast.copy_location(ast.Pass(), inner[0])])
        waiting.extend(_statements(node))


def _is_text(node: ast.AST) -> bool:
    said = node.value if isinstance(node, ast.Expr) else None
    return isinstance(said, ast.Constant) and isinstance(said.value, str)


def _is_for_types(test: ast.expr) -> bool:
    return (
        getattr(test, "id", None) == "TYPE_CHECKING"
        or getattr(test, "attr", None) == "TYPE_CHECKING"
    )


def _names_by_place(code: types.CodeType) -> dict[str, list[Chain]]:
    """Of each function and lambda of a file; two that begin on one line and have one name are taken together."""
    found: defaultdict[str, list[Chain]] = defaultdict(list)
    for one in _codes(code):
        found[place_of(one.co_firstlineno, one.co_name)] += chains_of(one)
    return found


@functools.lru_cache(maxsize=1024)
def _loaded(code: types.CodeType) -> tuple[Chain, ...]:
    found: list[Chain] = []
    chain: list[str] = []
    for step in dis.get_instructions(code):
        if step.opname == "EXTENDED_ARG":
            continue
        if step.opname in _MEMBERS and chain:
            chain.append(step.argval)
            continue
        if chain:
            found.append(tuple(chain))
        chain = [step.argval] if step.opname in _GLOBALS else []
    return tuple(found)


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """A function's code and that of the functions, classes and comprehensions inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)
