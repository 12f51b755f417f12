"""Every form in which code holds a value or leads to other code is seen; how it is written is not."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lakeline.domain.code_version import code_version
from lakeline.domain.source import spec_of
from lakeline.domain.syntax import chains_of

HEAD = """
import collections
import enum
import functools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl


class Scale:
    def __init__(self, by):
        self.by = by

    def up(self, x):
        return x * self.by


class Slotted:
    __slots__ = ("by",)

    def __init__(self, by):
        self.by = by


@dataclass
class Rule:
    kept: object


def make(held):
    def build(window):
        return held
    return build
"""

CLOSURES = {
    "expression": ('pl.col("x") > 0', "> 0", "> 2"),
    "argument of an expression": ('pl.col("x").round(1)', "round(1)", "round(2)"),
    "selector": ("pl.selectors.numeric()", "numeric", "string"),
    "expression around a python function": ('pl.col("x").map_batches(len) > 0', "> 0", "> 2"),
    "values of a series": ("pl.Series([1])", "[1]", "[2]"),
    "name of a series": ('pl.Series("a", [1])', '"a"', '"b"'),
    "type of a series": ("pl.Series([1], dtype=pl.Int8)", "Int8", "Int16"),
    "frame": ('pl.DataFrame({"a": [1]})', "[1]", "[2]"),
    "type": ('pl.Datetime("us")', "us", "ms"),
    "array": ("np.array([1])", "[1]", "[2]"),
    "number of numpy": ("np.int64(1)", "(1)", "(2)"),
    "range": ("range(3)", "3", "4"),
    "queue": ("collections.deque([1])", "[1]", "[2]"),
    "object": ("Scale(1)", "1", "2"),
    "object with slots": ("Slotted(1)", "1", "2"),
    "expression of an object": ("Scale(pl.lit(1))", "1", "2"),
    "dataclass with an expression": ("Rule(pl.lit(1))", "1", "2"),
    "expression in a dictionary": ('{"a": [pl.lit(1)]}', "1", "2"),
    "bound method": ("Scale(1).up", "1", "2"),
    "built-in function": ("max", "max", "min"),
    "method of a built-in class": ("str.upper", "upper", "lower"),
    "function of numpy": ("np.log", "log", "exp"),
    "built-in method": ('{"a": 1}.get', "1", "2"),
    "bound argument": ("functools.partial(print, pl.lit(1))", "1", "2"),
    "closure in a closure": ("make(pl.lit(1))", "1", "2"),
    "class that a function made": ("(lambda x: type('Made', (), {'x': x}))(1)", "(1)", "(2)"),
}

FORMS = {
    "bound method": (
        "UP = Scale(1).up\ndef build(window):\n    return UP(window)\n",
        "Scale(1)",
        "Scale(2)",
    ),
    "bound method in a partial": (
        "UP = functools.partial(Scale(1).up, 3)\ndef build(window):\n    return UP()\n",
        "Scale(1)",
        "Scale(2)",
    ),
    "class of a classmethod": (
        "class Base:\n    @classmethod\n    def one(cls):\n        return cls.n\n"
        "class Child(Base):\n    n = 1\nONE = Child.one\ndef build(window):\n    return ONE()\n",
        "n = 1",
        "n = 2",
    ),
    "closures in a dictionary": (
        "ALL = {'a': make(pl.lit(1))}\ndef build(window):\n    return ALL['a'](window)\n",
        "lit(1)",
        "lit(2)",
    ),
    "object in place of a function": (
        "TWICE = functools.update_wrapper(Scale(1), make)\ndef build(window):\n    return TWICE.up(1)\n",
        "Scale(1)",
        "Scale(2)",
    ),
    "method of a named tuple": (
        "class Pair(NamedTuple):\n    a: int\n    def most(self):\n        return self.a\n"
        "PAIR = Pair(1)\ndef build(window):\n    return PAIR.most()\n",
        "return self.a",
        "return -self.a",
    ),
    "order of a named tuple": (
        "Pair = collections.namedtuple('Pair', 'a b')\nPAIR = Pair(1, 2)\ndef build(window):\n    return PAIR.a\n",
        "a b",
        "b a",
    ),
    "method of a dictionary": (
        "class Rules(dict):\n    def most(self):\n        return 1\n"
        "RULES = Rules(a=1)\ndef build(window):\n    return RULES.most()\n",
        "return 1",
        "return 2",
    ),
    "method of a text": (
        "class Name(str):\n    def short(self):\n        return self[:1]\n"
        "NAME = Name('a')\ndef build(window):\n    return NAME.short()\n",
        "[:1]",
        "[:2]",
    ),
    "member of a text": (
        "class Name(str):\n    pass\nNAME = Name('a')\nNAME.size = 1\ndef build(window):\n    return NAME.size\n",
        "size = 1",
        "size = 2",
    ),
    "member of an enumeration without a class of its own": (
        "Level = enum.Enum('Level', 'LOW HIGH')\ndef build(window):\n    return Level.LOW.value\n",
        "LOW HIGH",
        "HIGH LOW",
    ),
    "condition": (
        "FLAG = True\nif FLAG:\n    X = pl.lit(1)\nelse:\n    X = pl.lit(2)\ndef build(window):\n    return X\n",
        "FLAG = True",
        "FLAG = False",
    ),
    "branch": (
        "X = pl.lit(1)\nif len:\n    X = pl.lit(2)\nelse:\n    pass\ndef build(window):\n    return X\n",
        "    X = pl.lit(2)\nelse:\n    pass\n",
        "    pass\nelse:\n    X = pl.lit(2)\n",
    ),
    "loop": (
        "X = []\nfor n in [1, 2]:\n    X.append(pl.lit(n))\ndef build(window):\n    return X\n",
        "[1, 2]",
        "[3, 2]",
    ),
    "case": (
        "match len('ab'):\n    case 2:\n        X = pl.lit(1)\n    case _:\n        X = pl.lit(2)\ndef build(window):\n    return X\n",
        "case 2",
        "case 3",
    ),
    "assignment in an expression": (
        "print(X := pl.lit(1))\ndef build(window):\n    return X\n",
        "lit(1)",
        "lit(2)",
    ),
    "object that a function fills": (
        "def fill(it, by):\n    it.by = by\nX = Scale(1)\nfill(X, 2)\ndef build(window):\n    return X.by\n",
        "fill(X, 2)",
        "fill(X, 3)",
    ),
    "single dispatch": (
        "@functools.singledispatch\ndef cents(x):\n    return x\n@cents.register(float)\ndef of_float(x):\n    return x * 100\n"
        "def build(window):\n    return cents(1.0)\n",
        "* 100",
        "* 1000",
    ),
    "helper of a single-dispatch method": (
        "def helper():\n    return 1\nclass K:\n    @functools.singledispatchmethod\n    def go(self, x):\n        return x\n"
        "    @go.register\n    def _(self, x: int):\n        return helper()\ndef build(window):\n    return K().go(1)\n",
        "return 1",
        "return 2",
    ),
    "metaclass": (
        "class Meta(type):\n    def __call__(cls, x):\n        return x + 1\nclass K(metaclass=Meta):\n    pass\n"
        "def build(window):\n    return K(1)\n",
        "x + 1",
        "x + 2",
    ),
    "helper of a setter": (
        "def helper():\n    return 1\nclass K:\n    @property\n    def n(self):\n        return 0\n    @n.setter\n"
        "    def n(self, value):\n        self.m = helper()\ndef build(window):\n    K().n = 1\n",
        "return 1",
        "return 2",
    ),
}

UNCHANGED = {
    "docstring of a function": ("def build(window):\n", "def build(window):\n    'Words.'\n"),
    "docstring of a called function": (
        "def helper(x):\n",
        "def helper(x):\n    '''Words.\n\n    More.\n    '''\n",
    ),
    "docstring of a class": ("class K:\n", "class K:\n    'Words.'\n"),
    "docstring of an attribute": ("n = 1\n", "n = 1\n    'Words.'\n"),
    "docstring of a method": ("def go(self):\n", "def go(self):\n        'Words.'\n"),
    "docstring in place of pass": ("pass\n", "'Words.'\n"),
    "docstring before pass": ("    pass\n", "    'Words.'\n    pass\n"),
    "docstring of a module": ("class K:", "'Words.'\nclass K:"),
}
DOCUMENTED = """
class K:
    n = 1
    def go(self):
        return self.n


def nothing():
    pass


def helper(x):
    return K().go(), nothing()


def build(window):
    return helper(window)
"""


def load(path: Path, text: str) -> ModuleType:
    """A module of this text."""
    path.parent.mkdir()
    path.write_text(text)
    spec = importlib.util.spec_from_file_location("forms", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["forms"] = module
    spec.loader.exec_module(module)
    return module


def versions(folder: Path, text: str, old: str, new: str) -> tuple[str, str, str]:
    """Code versions of ``build``: as it is, changed, and as it is once more."""
    assert old in text
    first, changed, again = (
        code_version(load(folder / str(number) / "forms.py", one).build)
        for number, one in enumerate((text, text.replace(old, new), text))
    )
    return first, changed, again


@pytest.mark.parametrize("form", CLOSURES)
def test_what_a_closure_holds_counts(tmp_path: Path, form: str) -> None:
    held, old, new = CLOSURES[form]
    text = f"{HEAD}\nbuild = make({held})\n"
    changed = f"{HEAD}\nbuild = make({held.replace(old, new)})\n"
    first, other, again = versions(tmp_path, text, text, changed)
    assert first == again != other


@pytest.mark.parametrize("form", FORMS)
def test_what_is_held_in_other_forms_counts(tmp_path: Path, form: str) -> None:
    text, old, new = FORMS[form]
    first, other, again = versions(tmp_path, f"{HEAD}\n{text}", f"\n{text}", f"\n{text.replace(old, new)}")  # fmt: skip
    assert first == again != other


def test_a_member_of_a_module_is_followed_after_many_other_names() -> None:
    many = ", ".join(f"name_{number}" for number in range(300))
    scope = dict[str, Any]()
    exec(f"def build(): return {many}, tools.go()", scope)  # noqa: S102 - as in a shell
    assert chains_of(scope["build"].__code__)[-1] == ("tools", "go")


def test_objects_that_hold_each_other_end(tmp_path: Path) -> None:
    ring = "(lambda all: [vars(one).update(others=all) for one in all] and all)([Scale(n) for n in range(50)])"
    text = f"{HEAD}\nbuild = make({ring})\n"
    first, other, again = versions(tmp_path, text, "range(50)", "range(1, 51)")
    assert first == again != other


def test_a_module_that_is_handed_on_counts_with_all_that_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    for text in ("def go():\n    return 1\n", "def go():\n    return 2\n"):
        folder = tmp_path / str(len(said))
        built = load(folder / "forms.py", "def build(window):\n    return TOOLS[0].go()\n")
        (folder / "tools.py").write_text(text)
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(folder))
            patch.delitem(sys.modules, "tools", raising=False)
            spec_of.cache_clear()
            built.TOOLS = [importlib.import_module("tools")]  # type: ignore[attr-defined]
            said.append(code_version(built.build))
        sys.modules.pop("tools")
    assert said[0] != said[1]


@pytest.mark.parametrize("change", UNCHANGED)
def test_docstrings_are_no_change_where_there_were_none(tmp_path: Path, change: str) -> None:
    first, other, again = versions(tmp_path, DOCUMENTED, *UNCHANGED[change])
    assert first == again == other


@pytest.mark.parametrize(
    "held",
    [
        "__import__('threading').Lock()",
        "__import__('random').Random()",
        "__import__('pathlib').Path.home()",
        "Scale(__import__('threading').Lock())",
        "pl.col('x').map_batches(lambda x: __file__)",
        "pl.lit(object(), dtype=pl.Object)",
        "enum.Enum('E', {'A': pl.col('x')}).A",
    ],
)
def test_what_differs_from_process_to_process_does_not_count(tmp_path: Path, held: str) -> None:
    text = f"{HEAD}\nbuild = make({held})\n"
    first, _, again = versions(tmp_path, text, "", "")
    assert first == again
