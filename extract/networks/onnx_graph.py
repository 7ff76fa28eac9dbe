"""Frozen networks in ONNX files, run by onnxruntime, with any tensor of theirs as the output."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from abaw.errors import InputError
from abaw.processes import count_cores
from abaw.registry import nearest
from extract.networks.hub import MissingWeights
from extract.networks.onnx_files import hash_network

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto
    from onnxruntime import InferenceSession

DTYPES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}
LINEAR = ("Gemm", "MatMul")
HIDDEN = "hidden"  # the value of ``output`` that means the last hidden layer, whatever its tensor is called


class Graph:
    """A network with one input and one output.

    ``shape`` is the input's shape, with a name or None for an axis of any length. ``output`` is the index or the name
    of one of the file's outputs, the name of any tensor inside the network, or "hidden": the input of the last linear
    layer before the first output. The files in which it keeps weights are hashed with it.
    """

    def __init__(self, file: Path, output: int | str, *, device: str = "cpu", threads: int = 0) -> None:
        if not file.is_file():
            raise MissingWeights(f"no ONNX file at {file}: give file=PATH of the network")
        if threads < 0:
            raise InputError(f"threads is {threads}, expected 0 (one for each core) or more")
        self.weights = hash_network(file)
        self._session = open_session(file, file, device, threads)
        outputs = [each.name for each in self._session.get_outputs()]
        self.output = _chosen(file, output, outputs)
        if self.output not in outputs:
            self._session = open_session(file, _cut(file, self.output, outputs), device, threads)
            self.output = self._session.get_outputs()[0].name
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            names = ", ".join(each.name for each in inputs)
            raise InputError(f"{file} has {len(inputs)} inputs ({names}), expected one: pictures or a waveform")
        self.file, self.input, self.shape = file, inputs[0].name, list(inputs[0].shape)
        if inputs[0].type not in DTYPES:
            raise InputError(f"the input of {file} is a {inputs[0].type}, expected one of {', '.join(DTYPES)}")
        self.dtype: type[np.generic] = DTYPES[inputs[0].type]

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """The output, float32. Raises InputError where the network cannot take this shape, or gives no numbers."""
        try:
            (found,) = self._session.run([self.output], {self.input: values.astype(self.dtype, copy=False)})
        except Exception as error:  # onnxruntime's errors have no common class
            raise InputError(f"{self.file} cannot take an input of shape {values.shape}: {_reason(error)}") from error
        if not isinstance(found, np.ndarray) or found.dtype.kind not in "fiu":
            raise InputError(
                f"output {self.output!r} of {self.file} is not an array of numbers: give output=NAME of another tensor"
            )
        return found.astype(np.float32, copy=False)


def open_session(file: Path, source: Path | bytes, device: str = "cpu", threads: int = 0) -> InferenceSession:
    """The network of ``file`` as onnxruntime's session; ``source`` is what to load: the file or the content of one.

    ``threads``: 0 means one for each core. Raises InputError where the file is damaged or there is no such device.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # always set: by default onnxruntime binds its threads to cores, which a container may forbid
    options.intra_op_num_threads = threads or int(os.environ.get("OMP_NUM_THREADS") or count_cores())
    options.add_session_config_entry(
        "session.intra_op.allow_spinning", "0"
    )  # leaves the cores to the decoders between batches
    provider = _provider(device, onnxruntime.get_available_providers())
    try:
        session = onnxruntime.InferenceSession(
            source if isinstance(source, bytes) else str(source), options, providers=[provider]
        )
    except Exception as error:  # onnxruntime's errors have no common class
        raise InputError(
            f"{file} is not an ONNX network, or is damaged or truncated: download it again ({_reason(error)})"
        ) from error
    if session.get_providers()[0] != provider[0]:  # it falls back to the CPU without an error
        raise InputError(f"no device {device!r} on this machine: {provider[0]} does not start; give --device cpu")
    return session


def _provider(device: str, offered: list[str]) -> tuple[str, dict[str, Any]]:
    """The device's execution provider and its options. Raises InputError where onnxruntime has none."""
    kind, _, number = device.partition(":")
    if kind == "cpu":
        return "CPUExecutionProvider", {}
    if kind == "cuda" and "CUDAExecutionProvider" in offered:
        return "CUDAExecutionProvider", {"device_id": int(number or 0), "use_tf32": 0}  # fp32 means fp32, as on a CPU
    raise InputError(
        f"no device {device!r} on this machine: onnxruntime offers {', '.join(offered)}; install onnxruntime-gpu for "
        "cuda, or give --device cpu"
    )


def _chosen(file: Path, output: int | str, outputs: list[str]) -> str:
    """The name of the requested tensor. A name is not checked here: the tensor may be inside the network."""
    if isinstance(output, str):
        return output
    if not 0 <= output < len(outputs):
        raise InputError(f"{file} has no output {output}: it has {len(outputs)}, counted from 0: {', '.join(outputs)}")
    return outputs[output]


def _cut(file: Path, output: str, outputs: list[str]) -> bytes:
    """The network with the tensor of that name as its only output. Raises InputError where there is none."""
    import onnx

    model = onnx.load(str(file))
    known = [name for node in model.graph.node for name in node.output if name]
    name = _last_hidden(file, model.graph) if output == HIDDEN and output not in known else output
    if name not in known:
        raise InputError(
            f"{file} has neither an output nor a tensor {output!r}{nearest(output, known)} outputs: "
            f"{', '.join(outputs)}; the last of {len(known)} tensors: {', '.join(known[-8:])}"
        )
    del model.graph.output[:]
    model.graph.output.append(onnx.ValueInfoProto(name=name))
    cut: bytes = model.SerializeToString()
    return cut


def _last_hidden(file: Path, graph: GraphProto) -> str:
    """The input of the last linear layer before the first output. Raises InputError where there is none."""
    makers: dict[str, NodeProto] = {name: node for node in graph.node for name in node.output}
    node = makers.get(graph.output[0].name)
    while node is not None and node.op_type not in LINEAR:
        node = next((makers[name] for name in node.input if name in makers), None)
    made = [name for name in node.input if name in makers] if node is not None else []
    if not made:
        raise InputError(f"{file} does not end in a linear layer: give output=NAME of the tensor to read")
    return made[0]


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
