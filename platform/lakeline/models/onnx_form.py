"""A model's ONNX form, which a server runs without LightGBM or torch: one matrix in, one score a row out.

Every flavor gets the same ends: ``input``, float32 of shape ``(N, D)``, as `lakeline.models.training.feature_matrix` makes it,
and ``score``, float32 of shape ``(N,)``. What belongs between, a network's scaling for example, is in the graph.
"""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lakeline.errors import MissingExtraError, ModelError, names

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from onnx import ModelProto

    from lakeline.models.booster import BoosterModel
    from lakeline.models.training import TrainedModel
    from lakeline.neural.model import NetworkModel

INPUT, SCORE = "input", "score"
OPSET_TREES, OPSET_NETWORK = 15, 18
PACKAGES = frozenset({"google", "onnx", "onnxmltools", "onnxruntime", "onnxscript", "skl2onnx"})
ERRORS_ALONE = 3
"""ONNX Runtime's level of log: it warns at every call of a booster that a shape is another than expected."""


class NoOnnxFormError(ModelError):
    """A model is of a flavor that has no ONNX form."""

    def __init__(self, name: str, flavor: str) -> None:
        super().__init__(
            f"Model '{name}' is of flavor '{flavor}', which has no ONNX form; {names(_WRITERS)} have one."
        )


def onnx_of(model: "TrainedModel") -> bytes:
    """The ONNX form of a model; whether it says the same is for `lakeline.models.servable` to check.

    Raises:
        NoOnnxFormError: Its flavor has none.
        MissingExtraError: The extra ``serving``, or what the flavor needs, is not installed.
    """
    write = _WRITERS.get(model.flavor)
    if write is None:
        raise NoOnnxFormError(model.name, model.flavor)
    try:
        return bytes(write(model))
    except ModuleNotFoundError as error:
        raise _missing(f"The ONNX form of model '{model.name}'", error) from error


def onnx_scores(content: bytes, matrix_ND: "npt.NDArray[np.float32]") -> "npt.NDArray[np.float64]":
    """What the form answers for rows, shape ``(N,)``; with one thread, on the CPU.

    Raises:
        MissingExtraError: The extra ``serving`` is not installed.
    """
    import numpy as np

    try:
        import onnxruntime as ort
    except ModuleNotFoundError as error:
        raise _missing("Asking an ONNX form", error) from error
    options = ort.SessionOptions()
    options.log_severity_level = ERRORS_ALONE
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    [found] = session.run([SCORE], {INPUT: matrix_ND})
    return np.asarray(found, dtype=np.float64).reshape(-1)


def _of_trees(model: "BoosterModel") -> bytes:
    import onnxmltools
    from onnx import TensorProto, helper
    from onnxmltools.convert.common.data_types import FloatTensorType

    from lakeline.models.booster import native_booster

    columns = len(model.features)
    made = onnxmltools.convert_lightgbm(
        native_booster(in_float32(model.payload)),
        initial_types=[(INPUT, FloatTensorType([None, columns]))],
        target_opset=OPSET_TREES,
        zipmap=False,
    )
    graph = made.graph
    # It ends in a label and two probabilities, of which the second is the score.
    probabilities = graph.output[1].name
    index = helper.make_tensor("second", TensorProto.INT64, [], [1])
    graph.initializer.append(index)
    graph.node.append(helper.make_node("Gather", [probabilities, "second"], [SCORE], axis=1))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(SCORE, TensorProto.FLOAT, [None]))
    _drop_unused(graph)
    graph.name = "booster"  # a random one else, and equal models would have unequal forms
    return bytes(made.SerializeToString())


def in_float32(booster: bytes) -> bytes:
    """The booster with each threshold rounded down to a float32: it answers float32 rows as before, and ONNX can hold it.

    A form has float32 thresholds. Rounded to the nearest, as converters do, a value that lies on one goes the other way:
    up to 0.004 of probability on rows moved by a tenth of their spread.
    """
    import numpy as np

    def rounded(found: re.Match[bytes]) -> bytes:
        exact = np.array(found[1].split(), dtype=np.float64)
        nearest = exact.astype(np.float32)
        below = np.where(nearest > exact, np.nextafter(nearest, np.float32("-inf")), nearest)
        return b"threshold=" + b" ".join(b"%.17g" % one for one in below.astype(np.float64))

    # Without the sizes of its trees, which are others now, LightGBM reads them one after the other.
    text = re.sub(rb"^tree_sizes=.*\n", b"", booster, flags=re.MULTILINE)
    return re.sub(rb"^threshold=(.*)$", rounded, text, flags=re.MULTILINE)


def _drop_unused(graph: Any) -> None:
    """Take out the nodes that the outputs do not come from."""
    wanted, kept = {one.name for one in graph.output}, []
    for node in reversed(graph.node):
        if wanted & set(node.output):
            wanted |= set(node.input)
            kept.append(node)
    del graph.node[:]
    graph.node.extend(reversed(kept))


def _of_network(model: "NetworkModel") -> bytes:
    import numpy as np
    import onnxscript  # noqa: F401 - torch's exporter takes it, and its own message names no extra
    import torch

    with _only_errors("torch.onnx"):  # it remarks that torchvision is not there
        program = torch.onnx.export(
            _with_encoding(model),
            (torch.from_numpy(np.zeros((2, len(model.features)), dtype=np.float32)),),
            input_names=[INPUT],
            output_names=[SCORE],
            dynamic_shapes=({0: torch.export.Dim("rows")},),
            opset_version=OPSET_NETWORK,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    return _without_remarks(program.model_proto)


@contextmanager
def _only_errors(name: str) -> Iterator[None]:
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _without_remarks(model: "ModelProto") -> bytes:
    """The form without the exporter's notes, which name the folders of this machine."""
    for part in (model, model.graph, *model.graph.node, *model.graph.input, *model.graph.output):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    for part in (*model.graph.value_info, *model.graph.initializer):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    return bytes(model.SerializeToString(deterministic=True))


def _with_encoding(model: "NetworkModel") -> Any:
    """The network with what `lakeline.neural.encoding` does before it and the sigmoid after it, as a module of torch."""
    import torch

    from lakeline.neural.encoding import FARTHEST

    encoding = model.encoding
    named = [place for place, name in enumerate(model.features) if name in model.categories]
    amounts = [place for place, name in enumerate(model.features) if name not in model.categories]
    flagged = [model.features.index(name) for name in encoding.flagged]

    class Whole(torch.nn.Module):  # type: ignore[misc, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.network = model.native()
            self.means = torch.nn.Buffer(torch.tensor(encoding.means, dtype=torch.float32))
            self.scales = torch.nn.Buffer(torch.tensor(encoding.scales, dtype=torch.float32))

        def forward(self, matrix_ND: torch.Tensor) -> torch.Tensor:
            codes_NC = (matrix_ND[:, named] + 1).to(torch.int32)
            amounts_NA = matrix_ND[:, amounts]
            scaled_NA = (amounts_NA - self.means) / self.scales
            # Before they are cut: what clipping makes of NaN is not the same everywhere.
            known_NA = torch.where(torch.isnan(amounts_NA), torch.zeros_like(scaled_NA), scaled_NA)
            cut_NA = torch.clamp(known_NA, -FARTHEST, FARTHEST)
            flags_NF = torch.isnan(matrix_ND[:, flagged]).to(torch.float32)
            logits_N = self.network(codes_NC, torch.cat([cut_NA, flags_NF], dim=1))
            return torch.sigmoid(logits_N)

    return Whole().eval()


def _missing(what: str, error: ModuleNotFoundError) -> Exception:
    """What to install; an error of another package's own imports stays what it is."""
    if (error.name or "").partition(".")[0] in PACKAGES:
        return MissingExtraError(what, "serving")
    return error


_WRITERS: dict[str, Any] = {"lightgbm": _of_trees, "torch": _of_network}
