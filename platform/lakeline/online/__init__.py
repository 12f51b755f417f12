"""Features online: the newest row of every entity, read in one round trip and decoded as columns.

A `View` says what a row holds, a store (`open_store`) holds one packed row an entity, `materialise` brings the partitions
that changed into it, and a `Reader` answers requests. Nothing here imports Feast; `lakeline.feast.online` lets Feast's
API write and read the same rows.

**Why rows are packed, and not laid out as Feast's own Redis store lays them out.** That store keeps one hash an entity
with one field a feature, named by a hash of view and feature, each value a protobuf message of its own. Reading 3 views of
30 features for 100 entities so takes 9,000 replies of the server, each parsed by itself. Here a view is one hash, with one
field an entity, whose value is the whole row: 300 replies, joined and seen as columns by NumPy without a copy.

In one run of ``benchmarks/bench_online.py``, which asks all in turns, on two busy cores, median us for 1 / 25 / 100 rows:

==========================================================  =======  =========  =========
bare HMGET of Feast's fields, nothing decoded                   135       4240      13300
bare HMGET of the packed rows, nothing decoded                   81        267        424
direct reader on Redis, columns and masks of all features       107        302        479
direct reader on SQLite                                         110        321        904
Feast's ``get_online_features`` on its own Redis store         3630      23400      76300
==========================================================  =======  =========  =========

Even without decoding anything, Feast's layout takes 14 times the direct reader's time at 25 rows and 28 times at 100. A row
that is one value cannot have its encoding, so Feast's own Redis client cannot read what is here; Feast's API does, through
`lakeline.feast.online.LakelineOnlineStore`.
"""

from lakeline.online.answer import Answer
from lakeline.online.materialising import Materialised, materialise
from lakeline.online.reader import Reader
from lakeline.online.store import Batch, OnlineStore, ViewState, open_store
from lakeline.online.view import View

__all__ = [
    "Answer",
    "Batch",
    "Materialised",
    "OnlineStore",
    "Reader",
    "View",
    "ViewState",
    "materialise",
    "open_store",
]
