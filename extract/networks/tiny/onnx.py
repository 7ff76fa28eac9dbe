"""Tiny networks in ONNX files: for pictures, for waveforms, and of silero's signature. They need the package onnx."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from onnx import NodeProto, ValueInfoProto


def write_face_net(
    path: Path,
    *,
    batch: int | str = "batch",
    px: int | str = 16,
    num_channels: int = 3,
    num_outputs: int = 8,
    is_nhwc: bool = False,
) -> Path:
    """Pictures -> convolution (tensor "map") -> mean over space ("features") -> linear (output "logits")."""
    from onnx import TensorProto, helper

    rng = np.random.default_rng(0)
    weights = {
        "kernel": rng.normal(size=(6, num_channels, 4, 4)),
        "linear": rng.normal(size=(6, num_outputs)),
        "bias": rng.normal(size=num_outputs),
    }
    if is_nhwc:
        px = "px"
    nodes = [
        helper.make_node("Conv", ["chw" if is_nhwc else "pictures", "kernel"], ["filtered"], strides=[4, 4]),
        helper.make_node("Relu", ["filtered"], ["map"]),
        helper.make_node("GlobalAveragePool", ["map"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
        helper.make_node("Gemm", ["features", "linear", "bias"], ["scores"]),
        helper.make_node("Identity", ["scores"], ["logits"]),
    ]
    if is_nhwc:
        nodes.insert(0, helper.make_node("Transpose", ["pictures"], ["chw"], perm=[0, 3, 1, 2]))
    shape: list[Any] = [batch, px, px, num_channels] if is_nhwc else [batch, num_channels, px, px]
    inputs = [helper.make_tensor_value_info("pictures", TensorProto.FLOAT, shape)]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, num_outputs])]
    return _save(path, nodes, inputs, outputs, weights)


def write_wave_net(path: Path, *, is_pooled: bool = False) -> Path:
    """A waveform (1, samples) -> rows of 400 samples every 320 (1, rows, 5), or their mean (1, 5)."""
    from onnx import TensorProto, helper

    weights = {"kernel": np.random.default_rng(1).normal(size=(5, 1, 400))}
    nodes = [
        helper.make_node("Unsqueeze", ["wave", "axis"], ["channel"]),
        helper.make_node("Conv", ["channel", "kernel"], ["filtered"], strides=[320]),
        helper.make_node("Tanh", ["filtered"], ["bounded"]),
        helper.make_node("Transpose", ["bounded"], ["rows"], perm=[0, 2, 1]),
    ]
    if is_pooled:
        nodes.append(helper.make_node("ReduceMean", ["rows"], ["mean"], axes=[1], keepdims=0))
    inputs = [helper.make_tensor_value_info("wave", TensorProto.FLOAT, [1, "samples"])]
    name = "mean" if is_pooled else "rows"
    shape: list[Any] = [1, 5] if is_pooled else [1, "rows", 5]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)]
    return _save(path, nodes, inputs, outputs, weights)


def write_vad_net(path: Path) -> Path:
    """A network with the inputs and outputs of silero's.

    Its output grows with the loudness of the 512 samples and their context, and with that of what came before, which
    fades by half from row to row.
    """
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("Abs", ["input"], ["size"]),
        helper.make_node("ReduceMean", ["size", "axis"], ["loudness"], keepdims=1),
        helper.make_node("Identity", ["state"], ["before"]),
        helper.make_node("ReduceMean", ["before", "axes"], ["memory"], keepdims=0),
        helper.make_node("Unsqueeze", ["memory", "axis"], ["column"]),
        helper.make_node("Add", ["loudness", "column"], ["sum"]),
        helper.make_node("Tanh", ["sum"], ["output"]),
        helper.make_node("Mul", ["state", "half"], ["faded"]),
        helper.make_node("Add", ["faded", "loudness"], ["stateN"]),
    ]
    inputs = [
        helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", "sequence"]),
        helper.make_tensor_value_info("state", TensorProto.FLOAT, [2, "batch", 128]),
        helper.make_tensor_value_info("sr", TensorProto.INT64, []),
    ]
    outputs = [
        helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", 1]),
        helper.make_tensor_value_info("stateN", TensorProto.FLOAT, [2, "batch", 128]),
    ]
    return _save(path, nodes, inputs, outputs, {"half": np.array(0.5)}, opset=18)


def _save(
    path: Path,
    nodes: list[NodeProto],
    inputs: list[ValueInfoProto],
    outputs: list[ValueInfoProto],
    weights: dict[str, np.ndarray],
    opset: int = 17,
) -> Path:
    import onnx
    from onnx import helper, numpy_helper

    stored = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    stored += [numpy_helper.from_array(np.array(axes), name) for name, axes in (("axis", [1]), ("axes", [0, 2]))]
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, [each for each in stored if each.name in used])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path
