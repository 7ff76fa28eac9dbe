"""Damaged inputs from sound ones: by bytes, by lines and cells of text, by values of JSON and YAML, by columns.

Every function takes a ``random.Random``, so that a seed gives the same input again.
"""

import copy
import io
import json
import random
import struct
from collections.abc import Callable

import numpy as np
import pyarrow as pa
from pyarrow import parquet

TEXTS = (
    "", " ", "0", "-0", "-1", "+1", "1_0", "1.0", "1e400", "1e-400", "-1e9", "nan", "inf", "-inf", "0x10", "null",
    "\uff11\uff12", "\u0663", "1,5", "1;2", "1.5.2", "--1", "9" * 30, "9" * 5000, "a" * 300, "../../victim",
    "/etc/passwd", "~", "~/x", "\0", "a\0b", "\ufeff", "é", "e\u0301", "\u202e", "\u2028", "\x85", "\r", "\t", "\"",
    "'", "{}", "[]", "*a", "&a", "!!int x", "#", ":", "- ", "%s", "{0}", "$HOME", "`id`", "\\", "CON", "nul", "-5",
    "7.5", "2147483648", "-9223372036854775809",
)  # fmt: skip
VALUES = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**70), 10**400, 0.5, -0.0, 1e308, float("nan"), float("inf"),
    "", [], {}, [[]], {"": 0}, [None], {"a": {"b": {}}}, *TEXTS,
)  # fmt: skip


def by_bytes(data: bytes, rng: random.Random) -> bytes:
    """One to three of: flip a bit, set, zero, cut, delete, insert, double, swap and splice bytes."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at = rng.randrange(len(out) + 1)
        span = min(len(out) - at, rng.choice((1, 2, 4, 16, 256, 4096, len(out) // 5)))
        kind = rng.randrange(10)
        if kind == 0 and out:
            out[at % len(out)] ^= 1 << rng.randrange(8)
        elif kind == 1 and out:
            out[at % len(out)] = rng.randrange(256)
        elif kind == 2:
            out[at : at + span] = bytes(span)
        elif kind == 3:
            del out[at:]
        elif kind == 4:
            del out[at : at + span]
        elif kind == 5:
            out[at:at] = rng.randbytes(rng.choice((1, 2, 64)))
        elif kind == 6:
            out[at:at] = out[at : at + span]
        elif kind == 7:
            other = rng.randrange(len(out) + 1)
            out[other:other] = out[at : at + span]
        elif kind == 8:
            out[at : at + span] = rng.randbytes(span)
        else:
            out[at:at] = rng.choice(TEXTS)[:64].encode("utf-8", "surrogatepass")
    return bytes(out)


def by_one_bit(data: bytes, rng: random.Random) -> bytes:
    """One bit is flipped, as a failing disk does it."""
    out = bytearray(data)
    out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def by_text(data: bytes, rng: random.Random) -> bytes:
    """One to three changes of lines or cells; then sometimes another encoding or other line ends."""
    lines = data.decode("utf-8", "replace").split("\n")
    for _ in range(rng.choice((1, 1, 2, 3))):
        i = rng.randrange(len(lines))
        kind = rng.randrange(9)
        if kind <= 3:
            cells = lines[i].split(",")
            cells[rng.randrange(len(cells))] = rng.choice(TEXTS)
            lines[i] = ",".join(cells)
        elif kind == 4:
            lines.insert(i, rng.choice((*TEXTS, lines[i])))
        elif kind == 5 and len(lines) > 1:
            del lines[i]
        elif kind == 6:
            j = rng.randrange(len(lines))
            lines[i], lines[j] = lines[j], lines[i]
        elif kind == 7:
            lines[i] += rng.choice((",", ",0", " ", "\t", "\r", " # x", "\0", "\u200b"))
        else:
            at = rng.randrange(len(lines[i]) + 1)
            lines[i] = lines[i][:at] + rng.choice(TEXTS)[:40] + lines[i][at + rng.randrange(3) :]
    text = rng.choice(("\n", "\n", "\n", "\r\n", "\r")).join(lines)
    encoding = rng.choice(("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"))
    return text.encode(encoding, "replace")


def by_values(document: object, rng: random.Random) -> object:
    """One to three values of a JSON document are swapped for others, removed, renamed or nested deeply."""
    document = copy.deepcopy(document)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        places = list(_places(document))
        if not places:
            return rng.choice(VALUES)
        holder, key = rng.choice(places)
        kind = rng.randrange(8)
        if kind <= 3:
            holder[key] = copy.deepcopy(rng.choice(VALUES))
        elif kind == 4:
            del holder[key]
        elif kind == 5:
            other, there = rng.choice(places)
            try:
                holder[key] = copy.deepcopy(other[there])
            except (IndexError, KeyError):
                continue
        elif kind == 6 and isinstance(holder, dict):
            holder[rng.choice((*TEXTS, f"{key}x", str(key).upper()))] = holder.pop(key)
        else:
            value = holder[key]
            for _ in range(rng.choice((1, 3, 60, 400))):
                value = [value] if rng.random() < 0.5 else {"a": value}
            holder[key] = value
    return document


def by_json(data: bytes, rng: random.Random) -> bytes:
    """A JSON text whose values were changed; sometimes nested beyond any parser."""
    if rng.random() < 0.03:
        return b"[" * 100_000 if rng.random() < 0.5 else b'{"a":' * 100_000
    return json.dumps(by_values(json.loads(data), rng), indent=2).encode("utf-8", "surrogatepass")


def by_yaml(data: bytes, rng: random.Random) -> bytes:
    """A YAML text whose lines were changed, or to which aliases that stand for billions of values were added."""
    kind = rng.randrange(12)
    if kind == 0:
        rows = [f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 9)}]" for i in range(1, 12)]
        return data + "\n".join(["", "x0: &x0 [1, 1]", *rows, ""]).encode()
    if kind == 1:
        return data + rng.choice(
            (b"[" * 100_000, b"- " * 100_000, b"{a: " * 20_000, b"x: &x {<<: *x}\n", b"x: &x [*x]\n")
        )
    lines = data.decode().split("\n")
    for _ in range(rng.choice((1, 1, 2))):
        i = rng.randrange(len(lines))
        key, colon, _ = lines[i].partition(":")
        if colon and kind <= 8:
            lines[i] = f"{key}: {rng.choice(TEXTS)}"
        elif kind == 9:
            lines[i] = rng.choice(("  ", "\t")) + lines[i]
        elif kind == 10:
            lines.insert(i, lines[rng.randrange(len(lines))])
        else:
            lines[i] = lines[i].replace(
                ":", rng.choice(("", "::", ": !!float", ": !!python/object:os.system", ": &a")), 1
            )
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def by_columns(data: bytes, rng: random.Random) -> bytes:
    """A Parquet file with a changed, removed, renamed, retyped, shortened or reordered column, or changed rows."""
    table = parquet.read_table(io.BytesIO(data))
    i, kind = rng.randrange(table.num_columns), rng.randrange(9)
    name, num = table.column_names[i], table.num_rows
    if kind == 0:
        table = table.remove_column(i)
    elif kind == 1:
        table = table.rename_columns([*table.column_names[:i], rng.choice(TEXTS), *table.column_names[i + 1 :]])
    elif kind == 2:
        types = (
            pa.string(),
            pa.int64(),
            pa.float64(),
            pa.int8(),
            pa.bool_(),
            pa.null(),
            pa.list_(pa.int8()),
            pa.binary(),
        )
        table = table.set_column(i, name, pa.array([None] * num, rng.choice(types)))
    elif kind == 3:
        values = table[name].to_pylist()
        values[rng.randrange(num)] = rng.choice((None, float("nan"), float("inf"), -1e30, 7.5, 0, -1))
        try:
            table = table.set_column(i, name, pa.array(values))
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            table = table.set_column(i, name, pa.array([str(each) for each in values]))
    elif kind == 4:
        table = table.slice(0, rng.randrange(num))
    elif kind == 5:
        table = table.take([rng.randrange(num) for _ in range(num)])
    elif kind == 6:
        table = table.append_column(rng.choice((name, "extra")), table[name])
    elif kind == 7:
        table = table.set_column(i, name, pa.array([str(each) for each in table[name].to_pylist()]))
    else:
        table = pa.concat_tables([table, table])
    out = io.BytesIO()
    parquet.write_table(table, out)
    return out.getvalue()


def by_tensors(data: bytes, rng: random.Random) -> bytes:
    """A safetensors file with a changed header, or changed numbers of one tensor."""
    (length,) = struct.unpack("<Q", data[:8])
    header, body = json.loads(data[8 : 8 + length]), bytearray(data[8 + length :])
    names = [name for name in header if name != "__metadata__"]
    if rng.random() < 0.5:
        header = by_values(header, rng)
    else:
        start, end = header[rng.choice(names)]["data_offsets"]
        numbers = np.frombuffer(bytes(body[start:end]), np.uint8)
        body[start:end] = rng.choice((numbers[::-1], numbers * 0, numbers ^ 255)).tobytes()
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(text)) + text + bytes(body)


def either(first: Callable, second: Callable) -> Callable[[bytes, random.Random], bytes]:
    """A mutation by one of two ways, each as often as the other."""
    return lambda data, rng: (first if rng.random() < 0.5 else second)(data, rng)


def _places(value: object):
    if isinstance(value, dict):
        for key, each in value.items():
            yield value, key
            yield from _places(each)
    elif isinstance(value, list):
        for i, each in enumerate(value):
            yield value, i
            yield from _places(each)
