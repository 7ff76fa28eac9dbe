"use strict";
/* The rows in view as at most a few points for each pixel, so that no peak vanishes: of each cell of time the lowest
   and the highest value, or the highest probability. Cells lie on a fixed grid, so that nothing flickers while panning. */

/** The cells from one time to another, ``step`` seconds each. */
function makeCells(from, to, step) {
  const first = Math.floor(from / step);
  return { first, num: Math.max(1, Math.ceil(to / step) - first), step };
}

/** Call with row, first cell and last cell for each row that is shown in some of these cells. */
function forRows(times, stops, cells, visit) {
  const from = cells.first * cells.step;
  const last = lastAtOrBefore(times, from + cells.num * cells.step);
  for (let row = lastAtOrBefore(times, from); row <= last; row++) {
    const low = Math.floor(times[row] / cells.step + 1e-9) - cells.first;
    const high = Math.ceil(stops[row] / cells.step - 1e-9) - 1 - cells.first;
    if (high < 0 || low >= cells.num) continue;
    visit(row, Math.max(0, low), Math.min(cells.num - 1, Math.max(low, high)));
  }
}

/** The points of a line: the lowest and highest value of each cell in their order, broken where a cell has none. */
function reduceLine(times, stops, values, cells) {
  const x = [];
  const y = [];
  let length = 0; // points since the last break
  let last = -1; // row of the last point
  const end = () => {
    if (length === 1) { // a single row between gaps: as wide as its frame
      x.push(stops[last]);
      y.push(values[last]);
    }
    if (length > 0) {
      x.push(NaN);
      y.push(NaN);
    }
    length = 0;
  };
  const add = (row) => {
    x.push(times[row]);
    y.push(values[row]);
    length++;
    last = row;
  };
  let cell = null;
  let lowest = -1;
  let highest = -1;
  const flush = () => {
    if (cell === null) return;
    if (lowest < 0) return end();
    if (lowest === highest) return add(lowest);
    add(Math.min(lowest, highest));
    add(Math.max(lowest, highest));
  };
  forRows(times, stops, cells, (row, first) => {
    if (first !== cell) {
      flush();
      cell = first;
      lowest = highest = -1;
    }
    if (Number.isNaN(values[row])) return;
    if (lowest < 0 || values[row] < values[lowest]) lowest = row;
    if (highest < 0 || values[row] > values[highest]) highest = row;
  });
  flush();
  end();
  return { x, y };
}

/** The band of a value: its lowest lower and highest upper end in cells of four pixels, which are drawn fast. Around
    cells without it the band has no width, because Bokeh's does not break. */
function reduceBand(times, stops, values, widths, cells) {
  const found = { x: [], low: [], high: [] };
  const wide = { first: Math.floor(cells.first / 4), num: Math.ceil(cells.num / 4) + 1, step: cells.step * 4 };
  let cell = null;
  let start = 0;
  let low = NaN;
  let high = NaN;
  let isOpen = false;
  const add = (x, bottom, top) => {
    found.x.push(x);
    found.low.push(bottom);
    found.high.push(top);
  };
  const flush = () => {
    if (cell === null) return;
    const isThere = !Number.isNaN(low);
    if (isThere && !isOpen) add(start, (low + high) / 2, (low + high) / 2);
    if (isThere) add(start, low, high);
    else if (isOpen) {
      const last = found.x.length - 1;
      const middle = (found.low[last] + found.high[last]) / 2;
      add(start, found.low[last], found.high[last]);
      add(start, middle, middle);
    }
    isOpen = isThere;
  };
  forRows(times, stops, wide, (row, first) => {
    if (first !== cell) {
      flush();
      cell = first;
      start = times[row];
      low = high = NaN;
    }
    if (Number.isNaN(values[row]) || Number.isNaN(widths[row])) return;
    const [bottom, top] = [values[row] - widths[row], values[row] + widths[row]];
    if (!(low <= bottom)) low = bottom;
    if (!(high >= top)) high = top;
  });
  flush();
  return found;
}

/** The highest value of each cell, 0 where there is none. */
function reduceHighest(times, stops, values, cells) {
  const found = new Float32Array(cells.num);
  forRows(times, stops, cells, (row, first, last) => {
    for (let cell = first; cell <= last; cell++) if (values[row] > found[cell]) found[cell] = values[row];
  });
  return found;
}

/** The share of the rows of each cell that have the flag, 0 where there are no rows. */
function reduceShare(times, stops, flags, cells) {
  const found = new Float32Array(cells.num);
  const counts = new Uint32Array(cells.num);
  forRows(times, stops, cells, (row, first, last) => {
    for (let cell = first; cell <= last; cell++) {
      found[cell] += flags[row];
      counts[cell]++;
    }
  });
  return found.map((sum, cell) => (counts[cell] ? sum / counts[cell] : 0));
}

/** The most frequent number from 1 to ``num`` of each cell, 0 where there is none. */
function reduceMode(times, stops, numbers, num, cells) {
  const counts = new Uint32Array(cells.num * (num + 1));
  forRows(times, stops, cells, (row, first, last) => {
    for (let cell = first; cell <= last; cell++) counts[cell * (num + 1) + numbers[row]]++;
  });
  return Uint8Array.from({ length: cells.num }, (_, cell) => {
    const own = counts.subarray(cell * (num + 1) + 1, (cell + 1) * (num + 1));
    const most = own.reduce((best, count, place) => (count > own[best] ? place : best), 0);
    return own[most] ? most + 1 : 0;
  });
}
