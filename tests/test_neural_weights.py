"""Weights as bytes, and the encoding of rows: both need no torch."""

import json
import struct
from dataclasses import fields
from typing import Any

import numpy as np
import polars as pl
import pytest

from lakeline.errors import FeatureTypeError, UnlabelledError, UntrainableError
from lakeline.models.training import feature_matrix
from lakeline.models.training_set import TrainingSet
from lakeline.neural.encoding import FARTHEST
from lakeline.neural.errors import NoTensorsError
from lakeline.neural.fitting import fit_encoding
from lakeline.neural.weights import pack, unpack
from tests.networks import sightings, train

TENSORS: dict[str, Any] = {
    "b": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a": np.array([1, -2], dtype=np.int64),
    "empty": np.zeros((0, 4), dtype=np.float32),
    "one": np.array(0.5, dtype=np.float64),
}


def test_tensors_come_back_as_they_were():
    found = unpack(pack(TENSORS))
    assert set(found) == set(TENSORS)
    for name, one in TENSORS.items():
        assert found[name].dtype == one.dtype
        assert found[name].shape == one.shape
        assert (found[name] == one).all()


def test_equal_tensors_give_equal_bytes_in_any_order_and_layout():
    turned = dict(reversed(TENSORS.items()))
    turned["b"] = np.asfortranarray(turned["b"]).astype(">f4")
    assert pack(turned) == pack(TENSORS)
    assert pack({**TENSORS, "b": TENSORS["b"] + 1}) != pack(TENSORS)


def test_the_bytes_are_those_of_safetensors():
    content = pack(TENSORS)
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + length])
    assert list(header) == ["a", "b", "empty", "one"]
    assert header["b"] == {"dtype": "F32", "shape": [2, 3], "data_offsets": [16, 40]}
    assert (8 + length) % 8 == 0
    assert np.frombuffer(content[8 + length + 16 : 8 + length + 40], "<f4").tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]  # fmt: skip


@pytest.mark.parametrize("content", [b"", b"short", pack(TENSORS)[:-1], b"\0" * 64, b"PK" * 40])
def test_bytes_that_are_no_tensors_or_are_cut_off_are_refused(content: bytes):
    with pytest.raises(NoTensorsError, match="These bytes hold no tensors"):
        unpack(content)


def test_a_type_that_the_format_lacks_is_refused():
    with pytest.raises(NoTensorsError, match="c is complex64"):
        pack({"c": np.zeros(2, dtype=np.complex64)})


def encoded(frame: pl.DataFrame):
    encoding = fit_encoding(train()).encoding
    return encoding.encode(feature_matrix(frame, encoding.features, encoding.categories))


def test_numbers_are_on_one_scale_nulls_are_the_mean_and_flagged_and_strangers_have_their_own_code():
    codes, numbers = encoded(sightings())
    assert codes.dtype == np.int32
    assert sorted(np.unique(codes)) == [1, 2, 3]
    assert numbers.shape == (960, 3)  # wind, light, and whether light is null
    assert abs(numbers[:, 0].mean()) < 1e-5
    assert numbers[:, 0].std() == pytest.approx(1, abs=1e-4)
    is_null = sightings()["light"].is_null().to_numpy()
    assert (numbers[is_null, 1] == 0).all()
    assert (numbers[:, 2] == is_null).all()
    strange = pl.DataFrame({"tree": ["yew", None, "ash"], "wind": [None, 1e9, 3.0], "light": [0.0, 1.0, 2.0]})  # fmt: skip
    codes, numbers = encoded(strange)
    assert codes[:, 0].tolist() == [0, 0, 1]
    assert numbers[0, 0] == 0
    assert numbers[1, 0] == FARTHEST


class Halves(TrainingSet):
    """The same rows in two shards of several frames."""

    def shards(self) -> tuple[str, ...]:
        return ("first", "second")

    def read(self, shard: str):
        half = self.frame.height // 2
        part = self.frame[:half] if shard == "first" else self.frame[half:]
        yield from part.iter_slices(100)


def halves() -> Halves:
    whole = train()
    return Halves(**{one.name: getattr(whole, one.name) for one in fields(whole)})


def test_statistics_of_parts_merge_to_those_of_the_whole():
    whole, parts = fit_encoding(train()), fit_encoding(halves())
    assert parts.rows == whole.rows == 960
    assert parts.share == whole.share
    assert parts.encoding.categories == whole.encoding.categories
    assert parts.encoding.flagged == whole.encoding.flagged == ("light",)
    assert parts.encoding.means == pytest.approx(whole.encoding.means, rel=1e-12)
    assert parts.encoding.scales == pytest.approx(whole.encoding.scales, rel=1e-12)
    light = sightings()["light"]
    assert whole.encoding.means[1] == pytest.approx(light.mean())
    assert whole.encoding.scales[1] == pytest.approx(light.std(ddof=0))


def test_a_constant_and_a_column_of_nulls_divide_by_nothing():
    frame = sightings().with_columns(wind=pl.lit(7.0), light=pl.lit(None, dtype=pl.Float64))
    encoding = fit_encoding(train(frame)).encoding
    assert encoding.scales == (1.0, 1.0)
    _, numbers = encoding.encode(feature_matrix(frame, encoding.features, encoding.categories))
    assert (numbers == [0, 0, 1]).all()


def test_rows_that_nothing_can_be_learnt_from_are_refused():
    with pytest.raises(UntrainableError, match="0 rows: there are none"):
        fit_encoding(train(sightings().head(0)))
    with pytest.raises(UntrainableError, match="960 rows: all have the same seen"):
        fit_encoding(train(sightings().with_columns(seen=True)))
    with pytest.raises(UnlabelledError, match=r"of 960 rows have no seen"):
        fit_encoding(train(sightings().with_columns(seen=pl.when(pl.col("wind") > 5).then("seen"))))
    with pytest.raises(FeatureTypeError, match="tree is String"):
        fit_encoding(train(categorical=()))


def test_the_newest_days_are_held_out_and_never_more_than_a_fifth():
    learn, held = train().split(5)
    assert held is not None
    assert learn.frame.height + held.frame.height == 960
    assert held.frame.height == 5 * 24 + 1
    assert learn.frame["at"].to_list()[-1] < held.frame["at"].to_list()[0]
    _, most = train().split(365)
    assert most is not None
    assert most.frame.height == 960 // 5
    every = train()
    assert every.split(0) == (every, None)
