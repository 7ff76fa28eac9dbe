"""Networks in ONNX files: the input follows the settings, the output is the requested tensor."""

import json
import shutil

import cv2
import numpy as np
import pytest

from extract.encoders import ENCODERS
from extract.encoders.base import joined
from extract.media import Sound, sound
from extract.networks.hub import MissingWeights
from extract.networks.tiny.onnx import write_face_net, write_wave_net

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nets")
    return {
        "face": write_face_net(folder / "face.onnx"),
        "nhwc": write_face_net(folder / "nhwc.onnx", is_nhwc=True),
        "one": write_face_net(folder / "one.onnx", batch=1),
        "pair": write_face_net(folder / "pair.onnx", batch=2),
        "any": write_face_net(folder / "any.onnx", px="side"),
        "wave": write_wave_net(folder / "wave.onnx"),
        "window": write_wave_net(folder / "window.onnx", is_pooled=True),
    }


def faces(num, px=16, seed=0):
    return [np.random.default_rng([seed, i]).integers(0, 255, (px, px, 3), np.uint8) for i in range(num)]


def rows(encoder, pictures):
    return encoder.forward(encoder.prepare(pictures))


def library(path, batch, output=None):
    """onnxruntime's own documented call."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run([output] if output else None, {session.get_inputs()[0].name: batch.astype(np.float32)})[0]


def by_hand(path, pictures, tensor):
    """A tensor inside: the network is run with every tensor as an output."""
    import onnx
    import onnxruntime

    model = onnx.load(str(path))
    model.graph.output.append(onnx.ValueInfoProto(name=tensor))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    batch = ((np.stack(pictures) / 255 - MEAN) / STD).transpose(0, 3, 1, 2).astype(np.float32)
    return session.run([tensor], {"pictures": batch})[0]


def test_rows_equal_the_librarys_on_normalised_rgb_with_channels_first(nets):
    pictures = faces(3)
    encoder = ENCODERS.build("onnx", file=str(nets["face"]))
    batch = ((np.stack(pictures) / 255 - MEAN) / STD).transpose(0, 3, 1, 2)
    assert np.allclose(rows(encoder, pictures), library(nets["face"], batch), atol=1e-5)
    assert (encoder.crop.size_px, encoder.dim) == (16, 8)


def test_channel_order_scale_mean_and_std_follow_the_settings(nets):
    pictures = faces(2)
    settings = {"channels": "bgr", "scale": 1.0, "mean": "1/2/3", "std": 2}
    encoder = ENCODERS.build("onnx", file=str(nets["face"]), **settings)
    batch = ((np.stack(pictures)[..., ::-1] - np.array([1.0, 2, 3])) / 2).transpose(0, 3, 1, 2)
    assert np.allclose(rows(encoder, pictures), library(nets["face"], batch), rtol=1e-4)


def test_channels_last_is_read_from_the_file_and_gives_the_same_rows(nets):
    pictures = faces(2)
    last = ENCODERS.build("onnx", file=str(nets["nhwc"]), crop_px=16)
    first = ENCODERS.build("onnx", file=str(nets["face"]))
    assert last.prepare(pictures).shape == (2, 16, 16, 3)
    assert np.allclose(rows(last, pictures), rows(first, pictures), atol=1e-5)


def test_a_whole_picture_is_resized_to_the_networks_size(nets):
    picture = np.random.default_rng(0).integers(0, 255, (48, 80, 3), np.uint8)
    encoder = ENCODERS.build("onnx", file=str(nets["face"]), crop="none")
    assert encoder.crop is None
    small = cv2.resize(picture, (16, 16), interpolation=cv2.INTER_AREA)
    assert np.allclose(rows(encoder, [picture]), rows(encoder, [small]))


def test_the_output_may_be_any_tensor_inside_or_the_last_hidden_layer(nets):
    pictures = faces(3)
    inner = by_hand(nets["face"], pictures, "features")
    for output in ("features", "hidden"):
        encoder = ENCODERS.build("onnx", file=str(nets["face"]), output=output)
        assert encoder.dim == 6
        assert np.allclose(rows(encoder, pictures), inner, atol=1e-5)
    logits = ENCODERS.build("onnx", file=str(nets["face"]), output="logits")
    assert np.array_equal(rows(logits, pictures), rows(ENCODERS.build("onnx", file=str(nets["face"])), pictures))


def test_a_map_is_averaged_over_space(nets):
    pictures = faces(2)
    encoder = ENCODERS.build("onnx", file=str(nets["face"]), output="map")
    assert np.allclose(rows(encoder, pictures), by_hand(nets["face"], pictures, "map").mean((2, 3)), atol=1e-5)


def test_tokens_are_pooled_as_set(tmp_path):
    path = _tokens(tmp_path / "tokens.onnx")
    pictures = faces(2)
    batch = ((np.stack(pictures) / 255 - MEAN) / STD).transpose(0, 3, 1, 2)
    tokens = library(path, batch)
    assert tokens.shape == (2, 256, 3)
    mean, first = (ENCODERS.build("onnx", file=str(path), pool=pool) for pool in ("mean", "cls"))
    assert np.allclose(rows(mean, pictures), tokens.mean(1), atol=1e-5)
    assert np.allclose(rows(first, pictures), tokens[:, 0], atol=1e-5)


def _tokens(path):
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("Reshape", ["pictures", "axis"], ["flat"]),
        helper.make_node("Transpose", ["flat"], ["tokens"], perm=[0, 2, 1]),
    ]
    inputs = [helper.make_tensor_value_info("pictures", TensorProto.FLOAT, ["batch", 3, 16, 16])]
    outputs = [helper.make_tensor_value_info("tokens", TensorProto.FLOAT, ["batch", 256, 3])]
    graph = helper.make_graph(
        nodes, "tokens", inputs, outputs, [helper.make_tensor("axis", TensorProto.INT64, [3], [0, 3, -1])]
    )
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()
    )
    return path


@pytest.mark.parametrize("name", ["one", "pair"])
def test_a_file_of_a_fixed_batch_gives_the_rows_of_an_open_one(nets, name):
    pictures = faces(5)
    fixed, free = (ENCODERS.build("onnx", file=str(nets[each])) for each in (name, "face"))
    assert rows(fixed, pictures).shape == (5, 8)
    assert np.allclose(rows(fixed, pictures), rows(free, pictures), atol=1e-5)


def test_a_network_in_half_precision_runs(tmp_path, nets):
    import onnx
    from onnx import TensorProto, numpy_helper

    model = onnx.load(str(nets["face"]))
    for each in model.graph.initializer:
        each.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(each).astype(np.float16), each.name))
    for each in (*model.graph.input, *model.graph.output):
        each.type.tensor_type.elem_type = TensorProto.FLOAT16
    path = tmp_path / "half.onnx"
    onnx.save(model, str(path))
    pictures = faces(2)
    half, full = (ENCODERS.build("onnx", file=str(each)) for each in (path, nets["face"]))
    assert half.prepare(pictures).dtype == np.float16
    assert rows(half, pictures).dtype == np.float32
    assert 0 < np.abs(rows(half, pictures) - rows(full, pictures)).max() < 0.05


def test_a_size_that_the_file_does_not_fix_must_be_given(nets):
    with pytest.raises(ValueError, match="takes pictures of any size .*: give crop_px"):
        ENCODERS.build("onnx", file=str(nets["any"]))
    assert ENCODERS.build("onnx", file=str(nets["any"]), crop_px=24).crop.size_px == 24


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"output": 3}, "has no output 3: it has 1, counted from 0: logits"),
        ({"output": -1}, "has no output -1: it has 1, counted from 0"),
        ({"output": "featuers"}, "neither an output nor a tensor 'featuers'; did you mean 'features'. outputs: logits"),
        ({"channels": "grey"}, r"which does not fit 1 channels \(layout auto\): give channels=rgb, bgr or grey"),
        ({"layout": "nhwc"}, r"does not fit 3 channels \(layout nhwc\)"),
        ({"mean": "1/2"}, "mean is '1/2', expected one number, or 3 separated by slashes"),
        ({"std": "a"}, "std is 'a', expected one number"),
        ({"std": 0}, "std is '0.0', expected one number.*none of them 0"),
        ({"device": "cuda"}, "no device 'cuda' on this machine: onnxruntime offers .*give --device cpu"),
        ({"device": "mps"}, "no device 'mps' on this machine"),
        ({"batch_size": 0}, "onnx: batch_size is 0, expected 1 or more"),
        ({"threads": -1}, r"threads is -1, expected 0 \(one for each core\) or more"),
    ],
)
def test_settings_that_do_not_fit_are_refused(nets, settings, words):
    with pytest.raises(ValueError, match=words):
        ENCODERS.build("onnx", file=str(nets["face"]), **settings)


def test_a_missing_truncated_or_wrong_file_is_refused(nets, tmp_path):
    with pytest.raises(MissingWeights, match="no ONNX file at .*none.onnx: give file=PATH"):
        ENCODERS.build("onnx", file=str(tmp_path / "none.onnx"))
    whole = nets["face"].read_bytes()
    for content in (b"", whole[: len(whole) // 2], b"this is not a network", whole[:-3]):
        path = tmp_path / "bad.onnx"
        path.write_bytes(content)
        with pytest.raises(ValueError, match="bad.onnx is not an ONNX network, or is damaged or truncated"):
            ENCODERS.build("onnx", file=str(path))


def test_a_network_of_another_kind_is_refused(nets):
    with pytest.raises(ValueError, match=r"the input of .* has 2 axes .*, expected 4: batch, channels, height, width"):
        ENCODERS.build("onnx", file=str(nets["wave"]))
    with pytest.raises(ValueError, match=r"the input of .* has 4 axes .*, expected a waveform"):
        ENCODERS.build("onnx_sound", file=str(nets["face"]), field=400, hop=320)


def test_a_network_of_several_inputs_is_refused(media):
    with pytest.raises(ValueError, match=r"has 3 inputs \(input, state, sr\), expected one"):
        ENCODERS.build("onnx_sound", file=str(media / "weights" / "silero_vad_16k_op15.onnx"), field=576, hop=512)


def test_a_network_without_a_linear_layer_has_no_output_called_hidden(nets):
    with pytest.raises(ValueError, match="does not end in a linear layer: give output=NAME"):
        ENCODERS.build("onnx_sound", file=str(nets["wave"]), field=400, hop=320, output="hidden")


def test_the_recipe_follows_the_weights_and_not_threads_or_batches(nets, tmp_path):
    path = tmp_path / "net.onnx"
    shutil.copy(nets["face"], path)
    recipe = ENCODERS.build("onnx", file=str(path)).recipe()
    assert ENCODERS.build("onnx", file=str(path), threads=2, batch_size=1).recipe() == recipe
    assert json.loads(json.dumps(recipe)) == recipe
    write_face_net(path, batch=4)
    assert ENCODERS.build("onnx", file=str(path)).recipe()["weights"] != recipe["weights"]


def test_a_real_network_runs(media):
    file = media / "weights" / "yunet_n_640_640.onnx"
    encoder = ENCODERS.build("onnx", file=str(file), output="obj_32", channels="bgr", scale=1.0, mean=0.0, std=1.0)
    assert encoder.crop.size_px == 640
    assert rows(encoder, faces(2, 640)).shape == (2, 1)


def wave(seconds, start_s=0.0, seed=0):
    samples = np.random.default_rng(seed).normal(size=round(seconds * 16000)).astype(np.float32)
    return Sound(0.1 * samples, 16000, start_s)


def build_sound(nets, name="wave", **settings):
    return ENCODERS.build("onnx_sound", file=str(nets[name]), **{"field": 400, "hop": 320, **settings})


def test_rows_over_time_equal_the_librarys_at_the_centres_of_their_fields(nets):
    recording = wave(1.0, start_s=2.0)
    encoder = build_sound(nets)
    track = joined(encoder.encode(recording), encoder.dim)
    assert np.allclose(track.values, library(nets["wave"], recording.samples[None])[0], atol=1e-6)
    assert track.times_s[0] == pytest.approx(2.0 + 199.5 / 16000)
    assert np.diff(track.times_s) == pytest.approx(0.02)


def test_chunks_of_a_network_without_context_equal_one_pass(nets):
    recording = wave(2.37)
    for normalize in (False, True):
        whole, cut = (build_sound(nets, chunk_s=s, overlap_s=0.1, normalize=normalize) for s in (30.0, 0.5))
        one, many = (joined(each.encode(recording), each.dim) for each in (whole, cut))
        assert len(list(cut.encode(recording))) > 3
        assert np.array_equal(one.times_s, many.times_s)
        assert np.allclose(one.values, many.values, atol=1e-5)


def test_a_pass_is_normalised_where_set(nets):
    quiet = wave(1.0)
    loud = Sound(quiet.samples * 5 + 0.1, 16000, 0.0)
    plain, level = build_sound(nets), build_sound(nets, normalize=True)
    same = [joined(level.encode(each), 5).values for each in (quiet, loud)]
    assert np.allclose(*same, atol=1e-3)
    assert not np.allclose(*(joined(plain.encode(each), 5).values for each in (quiet, loud)), atol=1e-2)


def test_a_network_that_gives_one_row_runs_on_each_window(nets):
    recording = wave(4.0, start_s=1.0)
    encoder = build_sound(nets, "window", field=1600, hop=800)
    pieces = list(encoder.encode(recording))
    assert [len(piece) for piece in pieces] == [64, 15]
    track = joined(pieces, encoder.dim)
    assert np.allclose(track.values[70], library(nets["window"], recording.samples[None, 56000:57600])[0], atol=1e-6)
    assert track.times_s[70] == pytest.approx(1.0 + (56000 + 799.5) / 16000)


@pytest.mark.parametrize("name", ["wave", "window"])
@pytest.mark.parametrize("num", [0, 1, 399])
def test_a_sound_shorter_than_a_row_gives_no_rows(nets, name, num):
    encoder = build_sound(nets, name)
    assert len(joined(encoder.encode(Sound(np.zeros(num, np.float32), 16000, 0.0)), encoder.dim)) == 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"hop": 0}, "field 400, hop 0, rate_hz 16000: expected 1 or more"),
        ({"overlap_s": 20.0}, "overlap_s is 20.0, expected 0 or more and less than half of chunk_s"),
        ({"field": 100}, r"cannot take an input of shape \(1, 100\)"),
    ],
)
def test_sound_settings_that_do_not_fit_are_refused(nets, settings, words):
    with pytest.raises(ValueError, match=words):
        build_sound(nets, **settings)


@pytest.mark.parametrize("hop", [160, 640])
def test_wrong_strides_are_refused(nets, hop):
    with pytest.raises(ValueError, match=rf"gave 49 rows for 16000 samples, expected \d+ by field 400 and hop {hop}"):
        list(build_sound(nets, hop=hop).encode(wave(1.0)))


def test_an_hour_takes_no_more_memory_than_some_chunks(nets):
    recording = wave(4.0)
    lengths = []

    class Disk(np.ndarray):
        def __getitem__(self, place):
            part = np.asarray(self)[place]
            lengths.append(len(part))
            return part

    object.__setattr__(recording, "samples", recording.samples.view(Disk))
    list(build_sound(nets, chunk_s=0.5, overlap_s=0.1).encode(recording))
    assert max(lengths) <= 8000 + 400


def test_a_real_voice_gives_rows_over_its_whole_length(nets, media):
    recording = sound(media / "clips" / "id2_vcd_swwp2s.mpg")
    track = joined(build_sound(nets, normalize=True).encode(recording), 5)
    assert len(track) == (len(recording.samples) - 400) // 320 + 1
