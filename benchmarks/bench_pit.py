"""Random point-in-time joins against a brute-force oracle, and the same ones through Feast's dask and duckdb stores.

Ties, nulls, hours of summer time, edges of a microsecond, several keys, times to live, rows known before and after their
event, duplicates. Cases are laid together in a few tables, with the case as one more key. A rival is given the time of
knowing as Feast's time of creation, once as it is by default and once with its filter; where nothing tells rows apart,
any of their values is right for it, while lakeline must give the last.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness import report
from benchmarks.pit.cases import Family, families
from benchmarks.pit.frames import (
    RIVAL_PYTHON,
    ask_table,
    asked,
    described,
    row_table,
    to_lake,
    view_read,
)
from benchmarks.pit.oracle import answer, answers
from lakeline.features.offline.history import history
from lakeline.lake import Lake

CASES = 10_000
RIVALS = ("dask", "duckdb")
REACH = {
    "lakeline.differences": "0",
    "lakeline.rows_lost": "0",
    "cases": f">= {CASES:,} (less in a small run)",
}


def main() -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=CASES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-rivals", action="store_true")
    args = parser.parse_args()
    made = list(families(args.cases, args.seed))
    with tempfile.TemporaryDirectory(prefix="bench-pit-") as folder:
        ours = _ours(Path(folder), made)
        rivals = {} if args.no_rivals else _rivals(Path(folder), made)
    figures = {
        "cases": args.cases,
        "entity_rows": sum(len(asked(family)) for family in made),
        "feature_rows": sum(len(case.rows) for family in made for case in family.cases),
        "lakeline": dict(ours),
        **rivals,
    }
    met = not ours["differences"] and not ours["rows_lost"]
    return report("pit", figures, REACH, met=met)


def _ours(folder: Path, made: Sequence[Family]) -> Counter[str]:
    lake, found = Lake.in_folder(folder / "lake"), Counter(differences=0, rows_lost=0)
    for family in made:
        to_lake(lake, family)
        result = history(lake, ask_table(family), [view_read(family)]).table()
        right = [answer(ask, rows, family.rule) for ask, rows in asked(family)]
        found["rows_lost"] += len(right) - result.num_rows
        in_order = result["ask"].to_pylist() == list(range(len(right)))
        assert in_order, "entity rows come back in another order"
        given = result["value"].to_pylist()
        found["differences"] += sum(one != other for one, other in zip(right, given, strict=True))
    return found


def _rivals(folder: Path, made: Sequence[Family]) -> dict[str, dict[str, object]]:
    import pyarrow.parquet as pq

    if not RIVAL_PYTHON.exists():
        raise SystemExit("Feast's own stores need an environment of their own. Run: make bench-pit")
    (folder / "families.json").write_text(json.dumps([described(family) for family in made]))
    for family in made:
        pq.write_table(row_table(family), folder / f"rows_{family.number}.parquet")
        pq.write_table(ask_table(family), folder / f"asks_{family.number}.parquet")
    script = Path(__file__).parent / "pit/rival.py"
    for rival in RIVALS:
        subprocess.run(
            [str(RIVAL_PYTHON), str(script), str(folder), rival],
            check=True,
            stdout=sys.stderr,
        )
    return {
        f"{rival}_{way}": _judged(folder, rival, way, made)
        for rival in RIVALS
        for way in ("plain", "filtered")
    }


def _judged(folder: Path, rival: str, way: str, made: Sequence[Family]) -> dict[str, object]:
    """What a rival got wrong; families without a time of knowing have no filter, and count as they are in both ways."""
    import pyarrow.parquet as pq

    found: Counter[str] = Counter(differences=0, rows_lost=0, rows_failed=0)
    errors: set[str] = set()
    for family in made:
        name = f"{rival}_{family.number}_{way if family.rule.hides else 'plain'}"
        if (folder / f"{name}.txt").exists():
            found["rows_failed"] += len(asked(family))
            errors.add((folder / f"{name}.txt").read_text()[:200])
            continue
        table = pq.read_table(folder / f"{name}.parquet")
        given = dict(zip(table["ask"].to_pylist(), table["value"].to_pylist(), strict=True))
        for number, (ask, rows) in enumerate(asked(family)):
            if number not in given:
                found["rows_lost"] += 1
            elif _plain(given[number]) not in answers(ask, rows, family.rule):
                found["differences"] += 1
    return {**found, "errors": sorted(errors)}


def _plain(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value


if __name__ == "__main__":
    sys.exit(main())
