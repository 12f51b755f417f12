"""The code version changes when the code means something else, and only then."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest

from lakeline.domain.code_version import code_version, fingerprint, reached

LIBRARY = Path(__file__).parents[1] / "platform"

USES_LAKELINE = """
from lakeline.window import Window


def build(window):
    from lakeline.clock import SystemClock

    return Window, SystemClock().now()
"""

HELPERS = """
import polars as pl

FACTOR = 2


def doubled(x):
    return x * FACTOR


TOP = 5
CLIPPED = pl.col("x").clip(0, TOP)
"""

BASE = """
import datetime as dt
import enum
import functools
from dataclasses import dataclass

import helpers
import polars as pl
from helpers import CLIPPED as WITHIN

LIMIT = 10
NAMES = frozenset({"north", "south", "east", "west"})
SPAN = dt.timedelta(hours=3)
RULES = {"a": [1, 2], "b": (3,)}


CUTOFF_MIN = 15
IS_LATE = pl.col("delay_min") > CUTOFF_MIN
TYPES = {"at": pl.Datetime("us")}
CHECKS = []
CHECKS.append(pl.col("checked"))


class Level(enum.Enum):
    LOW = 1

    def is_low(self):
        return self.value < 2


class Weigher:
    extra = pl.lit(CUTOFF_MIN) + 1

    def __init__(self, by):
        self.by = by

    def weigh(self, x):
        return x * self.by

    @functools.cached_property
    def most(self):
        return MOST_G

    @functools.lru_cache
    def least(self):
        return LEAST_G


MOST_G = 900
LEAST_G = 1
WEIGHER = Weigher(by=2)


@dataclass(frozen=True)
class Policy:
    floor: float

    def is_over(self, x):
        return x > self.floor


POLICY = Policy(floor=0.5)


class Base:
    def size(self):
        return 1


class Scaler(Base):
    step = 3

    def scale(self, x):
        return x * self.step


def plus_one(x):
    return x + 1


def even(n):
    return n == 0 or odd(n - 1)


def odd(n):
    return n != 0 and even(n - 1)


def decorated(times):
    def around(function):
        @functools.wraps(function)
        def call(x):
            return function(x) * times
        return call
    return around


@decorated(times=2)
def often(x):
    return x


class Doubler:
    @decorated(times=4)
    def twice(self):
        return self


def make(offset):
    def inner(x):
        return x + offset
    return inner


shifted = make(5)
summed = make(pl.col("sum"))
partly = functools.partial(plus_one, 4)
small = lambda x: x < 3


def late():
    from late_helper import late_value
    return late_value()


def build(x, y=1):
    \"\"\"What it is.\"\"\"
    # Why it is so.
    total = [plus_one(n) for n in range(x)]
    return (
        total, even(x), helpers.doubled(x), LIMIT, NAMES, SPAN, RULES, POLICY, Scaler().scale(x), often(x), shifted(x),
        partly(), small(x), late(), y, IS_LATE, TYPES, CHECKS, Level.LOW.is_low(), WEIGHER.weigh(x), WITHIN, summed,
        Doubler().twice(),
    )
"""
LATE = """
from deeper import DEPTH


def late_value():
    return DEPTH
"""
FILES = {"helpers.py": HELPERS, "late_helper.py": LATE, "deeper.py": "DEPTH = 1\n", "base.py": BASE}


def load(folder: Path, name: str) -> ModuleType:
    """A module of the folder, made anew."""
    spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def version(folder: Path, monkeypatch: pytest.MonkeyPatch, **changes: tuple[str, str]) -> str:
    """Code version of ``build`` in a folder of its own, with texts replaced in some of its files."""
    folder.mkdir()
    for file, text in FILES.items():
        old, new = changes.get(file.removesuffix(".py"), ("", ""))
        assert old in text
        (folder / file).write_text(text.replace(old, new, 1) if old else text)
    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(folder))
        for name in ("helpers", "late_helper", "deeper", "base"):
            patch.delitem(sys.modules, name, raising=False)
        load(folder, "helpers")
        _forget()
        found = code_version(load(folder, "base").build)
        for name in ("helpers", "base"):
            sys.modules.pop(name, None)
    return found


def _forget() -> None:
    from lakeline.domain import source

    source.spec_of.cache_clear()


SAME = {
    "comment": ("# Why it is so.", "# Because."),
    "no comment": ("    # Why it is so.\n", ""),
    "docstring": ("What it is.", "Something else."),
    "formatting": (
        "total = [plus_one(n) for n in range(x)]",
        "total = [\n        plus_one(n)\n        for n in range(x)\n    ]",
    ),
    "quotes": ('"north"', "'north'"),
    "place": ("def build(x, y=1):", "\n\n\ndef build(x, y=1):"),
    "a function that is not called": (
        "def late():",
        "def unused():\n    return 8\n\n\ndef late():",
    ),
    "order of a set": ('"north", "south"', '"south", "north"'),
}
OTHER = {
    "own code": ("for n in range(x)", "for n in range(x + 1)"),
    "default": ("y=1", "y=2"),
    "constant": ("LIMIT = 10", "LIMIT = 11"),
    "member of a set": ('"west"', '"up"'),
    "length of time": ("hours=3", "hours=4"),
    "value in a container": ("[1, 2]", "[1, 3]"),
    "field of an object": ("floor=0.5", "floor=0.6"),
    "called function": ("return x + 1", "return x + 2"),
    "recursion": ("n != 0", "n > 0"),
    "method": ("x * self.step", "x + self.step"),
    "class attribute": ("step = 3", "step = 4"),
    "base class": ("return 1\n", "return 2\n"),
    "decorator of a called function": ("times=2", "times=3"),
    "decorator of a method": ("times=4", "times=5"),
    "code of that decorator": ("* times", "+ times"),
    "closure": ("make(5)", "make(6)"),
    "bound argument": ("partial(plus_one, 4)", "partial(plus_one, 5)"),
    "lambda": ("x < 3", "x < 4"),
    "expression": ('"delay_min"', '"arr_delay_min"'),
    "constant of an expression": ("CUTOFF_MIN = 15", "CUTOFF_MIN = 16"),
    "expression in a container": ('Datetime("us")', 'Datetime("ms")'),
    "expression that is added": ('"checked"', '"looked_at"'),
    "expression in a closure": ('"sum"', '"mean"'),
    "expression of a class": ("+ 1\n\n    def __init__", "+ 2\n\n    def __init__"),
    "state of an object": ("by=2", "by=3"),
    "method of an object": ("x * self.by", "x + self.by"),
    "constant of a cached method": ("LEAST_G = 1", "LEAST_G = 2"),
    "constant of a cached property": ("MOST_G = 900", "MOST_G = 901"),
    "method of a dataclass": ("x > self.floor", "x >= self.floor"),
    "method of an enumeration": ("self.value < 2", "self.value <= 2"),
}


@pytest.mark.parametrize("change", SAME)
def test_what_does_not_change_the_meaning_does_not_change_the_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    before = version(tmp_path / "before", monkeypatch)
    assert version(tmp_path / "after", monkeypatch, base=SAME[change]) == before


@pytest.mark.parametrize("change", OTHER)
def test_what_changes_the_meaning_changes_the_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    before = version(tmp_path / "before", monkeypatch)
    assert version(tmp_path / "after", monkeypatch, base=OTHER[change]) != before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("helpers", "x * FACTOR", "x + FACTOR"),
        ("helpers", "FACTOR = 2", "FACTOR = 3"),
        ("helpers", "clip(0, TOP)", "clip(1, TOP)"),
        ("helpers", "TOP = 5", "TOP = 6"),
        ("late_helper", "return DEPTH", "return -DEPTH"),
        ("deeper", "DEPTH = 1", "DEPTH = 2"),
    ],
)
def test_code_of_other_modules_counts_even_if_it_is_imported_when_the_function_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, old: str, new: str
) -> None:
    before = version(tmp_path / "before", monkeypatch)
    assert version(tmp_path / "after", monkeypatch, **{file: (old, new)}) != before


def test_a_module_that_is_imported_later_is_not_imported_for_the_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version(tmp_path / "folder", monkeypatch)
    assert "late_helper" not in sys.modules


def version_elsewhere(folder: Path, library: Path, module: str, seed: str = "0") -> str:
    """What another process says of `build` in a module of a folder, with lakeline from where it lies."""
    code = f"from {module} import build; from lakeline.domain.code_version import code_version; print(code_version(build))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": f"{folder}:{library}"},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def test_the_version_is_equal_in_every_process(tmp_path: Path) -> None:
    for file, text in FILES.items():
        (tmp_path / file).write_text(text)
    said = {version_elsewhere(tmp_path, LIBRARY, "base", seed) for seed in ("0", "1", "2")}
    assert len(said) == 1
    assert len(said.pop()) == 12


PORTABLE = """
import collections
import enum
import functools
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

FOLDER = Path("data")
Pair = collections.namedtuple("Pair", "a b")
Word = enum.Enum("Word", "YES NO")


class Level(enum.IntFlag):
    LOW = enum.auto()
    HIGH = enum.auto()


class Point(NamedTuple):
    x: int = 1


@runtime_checkable
class Sized(Protocol):
    size: int


class Scale:
    def __init__(self, by):
        self.by = by

    def up(self):
        return self.by


@functools.singledispatch
def told(x):
    return x


@told.register
def _(x: int):
    return len


def make(*held):
    return lambda: held


HELD = [Pair(1, 2), Point(), Word.YES, Level.LOW | Level.HIGH, Scale(2).up]
if HELD:
    MADE = make(Scale({1: Level(0)}), Scale(3).up, range(3), str.upper, max)


def build(rows, *, limit: float = 0.5):
    parts = [f"{', '.join(name for name in row) or 'none'}: {len(row):>{8}}" for row in rows]
    match rows:
        case [first, *_] if (size := len(first)) > limit:
            return Path(f"{FOLDER}/{size!r}"), u"x", lambda x, /, *y: (x, *y, parts)
        case {"a": None, **rest}:
            return rest
    return HELD, MADE(), told(1), Sized
"""


def test_the_version_is_equal_in_every_version_of_python(tmp_path: Path) -> None:
    (tmp_path / "portable.py").write_text(PORTABLE)
    assert version_elsewhere(tmp_path, LIBRARY, "portable") == "eb05b2abc275"


def test_the_version_is_equal_wherever_lakeline_lies(tmp_path: Path) -> None:
    installed = tmp_path / "site-packages"
    shutil.copytree(LIBRARY / "lakeline", installed / "lakeline")
    (tmp_path / "uses.py").write_text(USES_LAKELINE)
    checkout = version_elsewhere(tmp_path, LIBRARY, "uses")
    assert version_elsewhere(tmp_path, installed, "uses") == checkout
    clock = installed / "lakeline" / "clock.py"
    clock.write_text(clock.read_text() + "\n\nLATER = 1\n")
    assert version_elsewhere(tmp_path, installed, "uses") == checkout


def test_the_assets_decorator_does_not_count_but_what_else_it_depends_on_does() -> None:
    def build() -> None: ...

    assert code_version(build) == code_version(build)
    assert code_version(build, "a") != code_version(build, "b")


def test_equal_values_have_equal_fingerprints() -> None:
    assert fingerprint({"a": {1, 2}}) == fingerprint({"a": {2, 1}})
    assert fingerprint(Path("/here")) == fingerprint(Path("/there"))
    assert fingerprint(Path("here")) != fingerprint(Path("there"))
    assert fingerprint(1) != fingerprint("1")


def test_a_field_that_comes_later_with_a_default_changes_no_fingerprint(tmp_path: Path) -> None:
    lines = (
        "from dataclasses import dataclass\n\n@dataclass(frozen=True)\nclass Rule:\n    low: int\n"
    )
    found = set()
    for name, more in (("first", ""), ("second", "    high: float | None = None\n    hint: str = ''\n")):  # fmt: skip
        (tmp_path / name / "site-packages").mkdir(parents=True)
        (tmp_path / name / "site-packages" / "rules.py").write_text(lines + more)
        found.add(fingerprint(load(tmp_path / name / "site-packages", "rules").Rule(low=1)))
    assert len(found) == 1
    rule = load(tmp_path / "second" / "site-packages", "rules").Rule
    told = [rule(low=1), rule(low=2), rule(low=1, hint="x"), rule(low=1, high=0.0), rule(low=1, high=-0.0)]  # fmt: skip
    assert len({fingerprint(one) for one in told}) == len(told)


def test_a_value_that_holds_itself_ends() -> None:
    ring: list[object] = [1]
    ring.append(ring)
    assert len(fingerprint(ring)) == 12


class Anything:
    """Answers to every name, like an object that stands for a column."""

    def __getattr__(self, name: str) -> "Anything":
        return Anything()


def test_an_object_that_answers_to_every_name_is_known_by_its_class() -> None:
    anything = Anything()

    def build() -> object:
        return anything

    assert code_version(build) == code_version(build)
    assert Anything in set(reached(build))


def test_code_without_a_file_is_known_by_its_bytecode() -> None:
    first, second, again = dict[str, Any](), dict[str, Any](), dict[str, Any]()
    exec("def f(): return 1 + x", first)  # noqa: S102 - as in a shell
    exec("def f(): return 1 - x", second)  # noqa: S102
    exec("def f(): return 1 + x", again)  # noqa: S102
    assert code_version(first["f"]) == code_version(again["f"]) != code_version(second["f"])


def test_code_of_installed_packages_is_left_out() -> None:
    def build() -> object:
        return pytest.approx(1.0)

    assert [thing.__name__ for thing in reached(build)] == ["build"]


def test_a_column_says_the_same_whatever_its_words_are() -> None:
    from lakeline.contract import Contract, column
    from lakeline.contract.promise import promise

    class Old(Contract):
        name: str = column("Name", key=True)

    class Reworded(Contract):
        name: str = column("The name of it", key=True, tags={"team": "a"})

    class Stricter(Contract):
        name: str = column("Name", key=True, matches="[a-z]+")

    assert fingerprint(*promise(Old)) == fingerprint(*promise(Reworded))
    assert fingerprint(*promise(Old)) != fingerprint(*promise(Stricter))


CONTRACT = '''
from typing import ClassVar

from lakeline.contract import Contract, column

LOWEST = 0


def short():
    return len


class Named(Contract):
    name: str = column("Name", key=True)


class Loaf(Named, version="1.0", duplicates="reject"):
    """One loaf."""

    SIZES: ClassVar[tuple[int, ...]] = (500, 1000)

    weight_g: int = column("Weight", unit="g", ge=LOWEST, tags={"team": "a"}, checks=[short])

    @classmethod
    def halves(cls):
        return cls._half(2)

    @classmethod
    def _half(cls, by):
        return [size // by for size in cls.SIZES]


def build(rows):
    return rows.select(list(Loaf.columns))
'''


def test_contracts_that_hold_each_other_end() -> None:
    from lakeline.contract import Contract, column

    class Order(Contract):
        number: int = column("Number", key=True)

    class Item(Contract):
        ORDER: ClassVar[type[Contract]] = Order

        number: int = column("Number", key=True)

    Order.ITEM = Item  # type: ignore[attr-defined]
    assert len(fingerprint(Order)) == 12


def mentioning(tmp_path: Path, old: str, new: str) -> list[str]:
    """Code versions of what mentions the contract: as it is, changed, and as it is once more."""
    assert old in CONTRACT
    found = []
    for number, text in enumerate((CONTRACT, CONTRACT.replace(old, new), CONTRACT)):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "bread.py").write_text(text)
        found.append(code_version(load(folder, "bread").build))
    return found


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Weight", "What it weighs"),
        ("One loaf.", "One loaf of bread."),
        ('"Name"', '"What it is called"'),
        ('"team": "a"', '"team": "b"'),
    ],
)
def test_words_of_a_contract_that_a_function_mentions_do_not_count(
    tmp_path: Path, old: str, new: str
) -> None:
    before, reworded, again = mentioning(tmp_path, old, new)
    assert before == reworded == again


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LOWEST = 0", "LOWEST = 1"),
        ('unit="g"', 'unit="kg"'),
        ("reject", "warn"),
        ('"1.0"', '"2.0"'),
        ("key=True", "key=False"),
        ("return len", "return max"),
        ("(500, 1000)", "(500, 750)"),
        ("_half(2)", "_half(3)"),
        ("size // by", "size / by"),
    ],
)
def test_all_else_of_a_contract_that_a_function_mentions_counts(
    tmp_path: Path, old: str, new: str
) -> None:
    before, changed, again = mentioning(tmp_path, old, new)
    assert before == again != changed


MODEL = """
import pandera.polars as pa
import polars as pl


class Loaf(pa.DataFrameModel):
    name: str
    weight_g: float = pa.Field(gt=0.0, raise_warning=True)

    @pa.check("name")
    def is_short(cls, data):
        return data.lazyframe.select(pl.col("name").str.len_chars() < LONGEST)


LONGEST = 20
SCHEMA = pa.DataFrameSchema({"name": pa.Column(str, pa.Check(lambda data: data.lazyframe.select(pl.col("name") != "x")))})
"""


@pytest.mark.parametrize(
    ("spec", "old", "new"),
    [
        ("Loaf", "gt=0.0", "gt=1.0"),
        ("Loaf", "< LONGEST", "<= LONGEST"),
        ("Loaf", "LONGEST = 20", "LONGEST = 21"),
        ("SCHEMA", '!= "x"', '!= "y"'),
    ],
)
def test_the_checks_of_a_pandera_model_count(tmp_path: Path, spec: str, old: str, new: str) -> None:
    from lakeline.contract import resolve
    from lakeline.contract.promise import promise

    said: list[str] = []
    for text in (MODEL, MODEL.replace(old, new), MODEL):
        folder = tmp_path / str(len(said))
        folder.mkdir()
        (folder / "loaves.py").write_text(text)
        module = load(folder, "loaves")
        said.append(fingerprint(*promise(resolve(getattr(module, spec)))))
    assert said[0] == said[2] != said[1]


def test_the_environment_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    def asks() -> str | None:
        return os.environ.get("COLOUR")

    before = code_version(asks)
    monkeypatch.setenv("COLOUR", "green")
    assert code_version(asks) == before
