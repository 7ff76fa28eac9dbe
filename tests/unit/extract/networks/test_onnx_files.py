"""The weights that an ONNX network keeps outside its file are found under every name and hashed."""

import hashlib

import numpy as np
import pytest

from abaw.errors import InputError
from extract.encoders import ENCODERS
from extract.networks.onnx_files import external_locations, hash_network
from extract.networks.tiny.onnx import write_face_net

onnx = pytest.importorskip("onnx", reason="onnx writes the networks of these tests")


def outside(name, location, **more):
    """A tensor whose weights are in another file."""
    tensor = onnx.TensorProto(name=name, data_type=onnx.TensorProto.FLOAT, dims=[2])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {**more, "location": location}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def write_network(path):
    """A network with weights wherever a network can have some; it cannot be run."""
    helper = onnx.helper
    inner = helper.make_graph([], "inner", [], [], initializer=[outside("a", "inner.bin")])
    sparse = onnx.SparseTensorProto(values=outside("b", "values"), indices=outside("c", "indices"))
    nodes = [
        helper.make_node("If", ["x"], ["y"], then_branch=inner),
        helper.make_node("Constant", [], ["z"], value=outside("d", "sub/constant 2.dat", offset="4", length="8")),
        helper.make_node("Several", [], ["w"], many=[outside("e", "é")], graphs=[inner]),
        helper.make_node("Sparse", [], ["v"], sparse_value=sparse),
    ]
    kept = onnx.numpy_helper.from_array(np.ones(2, np.float32), "inside")
    graph = helper.make_graph(nodes, "g", [], [], initializer=[kept, outside("f", "weights.pb")])
    function = helper.make_function("own", "F", [], ["o"], nodes[1:2], [])
    function.node[0].attribute[0].t.external_data[-1].value = "of_function"
    model = helper.make_model(graph, functions=[function])
    model.graph.sparse_initializer.append(sparse)
    path.write_bytes(model.SerializeToString())
    return path


def test_every_place_where_a_network_keeps_weights_is_found(tmp_path):
    expected = {"inner.bin", "values", "indices", "sub/constant 2.dat", "é", "weights.pb", "of_function"}
    assert external_locations(write_network(tmp_path / "net.onnx")) == expected


def test_files_of_weights_are_hashed_whatever_their_names(tmp_path):
    path = write_network(tmp_path / "net.onnx")
    (tmp_path / "sub").mkdir()
    for name in ("weights.pb", "sub/constant 2.dat", "unrelated.data"):
        (tmp_path / name).write_bytes(name.encode())
    hashes = hash_network(path)
    assert hashes.keys() == {"net.onnx", "weights.pb", "sub/constant 2.dat"}
    assert hashes["weights.pb"] == hashlib.sha256(b"weights.pb").hexdigest()


@pytest.mark.parametrize("location", ["../weights", "/etc/hostname", "sub/../../weights"])
def test_weights_outside_the_networks_folder_are_refused(tmp_path, location):
    graph = onnx.helper.make_graph([], "g", [], [], initializer=[outside("a", location)])
    path = tmp_path / "net.onnx"
    path.write_bytes(onnx.helper.make_model(graph).SerializeToString())
    with pytest.raises(InputError, match=r"net\.onnx reads weights from '.*', expected a file in its own folder"):
        hash_network(path)


def test_the_recipe_follows_weights_in_a_file_of_any_name(tmp_path):
    path = write_face_net(tmp_path / "net.onnx")
    recipe = ENCODERS.build("onnx", file=str(path)).recipe()
    model = onnx.load(str(path))
    onnx.save_model(model, path, save_as_external_data=True, location="weights", size_threshold=0)
    first = ENCODERS.build("onnx", file=str(path)).recipe()
    assert first["weights"].keys() == {"net.onnx", "weights"}
    assert first["weights"]["net.onnx"] != recipe["weights"]["net.onnx"]
    content = bytearray((tmp_path / "weights").read_bytes())
    content[3] ^= 1
    (tmp_path / "weights").write_bytes(content)
    assert ENCODERS.build("onnx", file=str(path)).recipe()["weights"]["weights"] != first["weights"]["weights"]


def test_of_damaged_files_nothing_is_expected_but_an_end(tmp_path):
    whole = write_network(tmp_path / "net.onnx").read_bytes()
    rng = np.random.default_rng(0)
    for i in range(200):
        damaged = bytearray(whole[: rng.integers(len(whole) + 1)] if i % 2 else whole)
        for position in rng.integers(max(1, len(damaged)), size=3 if damaged else 0):
            damaged[position] = rng.integers(256)
        (tmp_path / "damaged.onnx").write_bytes(damaged)
        assert isinstance(external_locations(tmp_path / "damaged.onnx"), set)
