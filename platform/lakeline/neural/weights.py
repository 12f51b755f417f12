"""Tensors as bytes: equal tensors give equal bytes, on any machine, and nothing in them is code.

The format is that of safetensors (https://huggingface.co/docs/safetensors, "Format"), which other tools read: eight bytes
with the length of a JSON header, the header with type, shape and place of each tensor, then their values, little-endian.
Tensors stand in the order of their names. torch.save would write a zip with a pickle inside.
"""

import json
import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING

from lakeline.neural.errors import NoTensorsError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Tensors = dict[str, npt.NDArray[np.generic]]

DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "U8": "|u1",
    "BOOL": "|b1",
}
"""Types of safetensors and what NumPy calls them."""

ALIGNMENT = 8


def pack(tensors: "Mapping[str, npt.NDArray[np.generic]]") -> bytes:
    """The tensors as bytes.

    Raises:
        NoTensorsError: One is of a type that the format does not have.
    """
    import numpy as np

    of_numpy = {one: name for name, one in DTYPES.items()}
    header: dict[str, object] = {}
    parts: list[bytes] = []
    place = 0
    for name in sorted(tensors):
        little = np.ascontiguousarray(tensors[name])
        little = little.astype(little.dtype.newbyteorder("<"), copy=False)
        kind = of_numpy.get(little.dtype.str)
        if kind is None:
            raise NoTensorsError(f"{name} is {little.dtype}")
        parts.append(little.tobytes())
        end = place + len(parts[-1])
        header[name] = {"dtype": kind, "shape": list(tensors[name].shape), "data_offsets": [place, end]}  # fmt: skip
        place = end
    told = json.dumps(header, separators=(",", ":")).encode()
    told += b" " * (-len(told) % ALIGNMENT)
    return b"".join([struct.pack("<Q", len(told)), told, *parts])


def unpack(content: bytes) -> "Tensors":
    """The tensors of :func:`pack`; they are copies and may be written to.

    Raises:
        NoTensorsError: The bytes are something else, or are cut off.
    """
    import numpy as np

    try:
        (length,) = struct.unpack_from("<Q", content)
        header = json.loads(content[8 : 8 + length])
        found: Tensors = {}
        for name, one in header.items():
            if name == "__metadata__":
                continue
            start, end = one["data_offsets"]
            values = np.frombuffer(
                content[8 + length + start : 8 + length + end], DTYPES[one["dtype"]]
            )
            found[name] = values.reshape(one["shape"]).copy()
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise NoTensorsError(str(error) or type(error).__name__) from error
    return found
