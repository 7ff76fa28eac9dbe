"use strict";
/* Reads what abaw/views/page/columns.py wrote. */

/** Whole numbers of several bytes each, whose bytes of one weight lie together, in two's complement. The highest byte
    has the sign, so that no number on the way is larger than what a double holds. */
function readPlanes(bytes, at, rows, numBytes) {
  const found = new Float64Array(rows);
  for (let i = 0; i < rows; i++) {
    let number = (bytes[at + (numBytes - 1) * rows + i] << 24) >> 24;
    for (let k = numBytes - 2; k >= 0; k--) number = number * 256 + bytes[at + k * rows + i];
    found[i] = number;
  }
  return found;
}

const readers = {
  values(bytes, column) {
    const differences = readPlanes(bytes, column.at, column.rows, 2);
    const found = new Float32Array(column.rows);
    let number = 0;
    for (let i = 0; i < column.rows; i++) {
      number = ((number + differences[i]) << 16) >> 16;
      found[i] = number === -32768 ? NaN : column.low + number * column.step;
    }
    return found;
  },
  times(bytes, column) {
    const found = readPlanes(bytes, column.at, column.rows, 7);
    let step = 0;
    let stamp = 0;
    for (let i = 0; i < column.rows; i++) {
      step += found[i];
      stamp += step;
      found[i] = stamp / 1e6;
    }
    return found;
  },
  flags(bytes, column) {
    return Uint8Array.from({ length: column.rows }, (_, i) => (bytes[column.at + (i >> 3)] >> (i & 7)) & 1);
  },
  bytes(bytes, column) {
    return bytes.slice(column.at, column.at + column.rows);
  },
};

/** The same object with an array in place of the description of each column. */
function readColumns(bytes, value) {
  if (Array.isArray(value)) return value.map((each) => readColumns(bytes, each));
  if (value === null || typeof value !== "object") return value;
  if (value.kind in readers && "at" in value) return readers[value.kind](bytes, value);
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, readColumns(bytes, each)]));
}

/** The index of the last of ascending times that is not after a time, at least 0. */
function lastAtOrBefore(times, time) {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] <= time) low = middle + 1;
    else high = middle;
  }
  return Math.max(0, low - 1);
}
