"""Python's collector, kept from looking again and again at what stays for as long as the process.

Dagster, its storages and a project's definitions are some 400,000 objects; each full collection goes through all of them, and
importing sets off several. Without them a command such as `lakeline status` takes a third less CPU, and a run that imports
Polars and PyIceberg 0.3 s less.
"""

import atexit
import functools
import gc
from collections.abc import Iterator
from contextlib import contextmanager


@functools.cache
def settle() -> None:
    """Take what there is out of what the collector looks at, once in a process; what is not used any more goes as before."""
    gc.freeze()
    # Libraries such as torch's look at the end whether all that they made was taken away.
    atexit.register(gc.unfreeze)


@contextmanager
def importing() -> Iterator[None]:
    """For imports: nothing is collected inside, and what they brought is settled; not where the collector is off already."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        settle()
        gc.enable()
