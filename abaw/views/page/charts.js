"use strict";
/* Fills the charts, which are Bokeh's, with the rows in view, and says where a time is on the screen. */

const CELLS = 1000; // at most this many in view
const MIN_STEP = 1e-5; // seconds
const MARGIN = 0.4; // of the view, on either side of it, is filled in too, so that panning needs no new rows
const WIDE_LINES = 1500; // rows at most, of lines wider than a pixel, which take several times as long to draw
const THEMES = {
  light: { ink: "#1b1d21", quiet: "#5c626b", line: "#d5d9df", gap: 0x808080 },
  dark: { ink: "#e8eaed", quiet: "#a3abb6", line: "#3a404a", gap: 0xa0a0a0 },
};
const BLACK = "#000000";
const WHITE = "#ffffff";

/** A colour #rrggbb as the number that a pixel of an image has, without its opacity. */
function pixelOf(colour) {
  const number = parseInt(colour.slice(1), 16);
  return ((number & 255) << 16) | (number & 0xff00) | (number >> 16);
}

function isBright(colour) {
  const number = parseInt(colour.slice(1), 16);
  return 0.3 * (number >> 16) + 0.59 * ((number >> 8) & 255) + 0.11 * (number & 255) > 110;
}

class Charts {
  /** ``data``: with columns as arrays. ``charts``: Bokeh's document and the ids of its charts by name. */
  static async open(data, charts) {
    const roots = Object.fromEntries(Object.entries(charts.ids).map(([name, id]) => [id, `chart-${name}`]));
    for (const id of Object.values(roots)) document.getElementById(id).replaceChildren();
    const docid = Object.keys(charts.document)[0];
    const items = [{ docid, roots, root_ids: Object.keys(roots) }];
    const views = await Bokeh.embed.embed_items(charts.document, items);
    return new Charts(data, charts, views);
  }

  constructor(data, charts, views) {
    this.data = data;
    this.names = charts.ids;
    this.bokeh = Bokeh.documents[Bokeh.documents.length - 1];
    this.range = this.bokeh.get_model_by_name("time");
    this.first = this.bokeh.get_model_by_id(charts.ids.lanes);
    this.view = [...views].flatMap((each) => [...(each.roots ?? [each])]).find((each) => each.model === this.first);
    this.listeners = [];
    this.filled = null;
    for (const end of ["start", "end"]) {
      this.range.properties[end].change.connect(() => {
        this.fill();
        for (const listener of this.listeners) listener();
      });
    }
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", () => this.paint(dark.matches));
    this.paint(dark.matches);
  }

  /** The left end and the width of the time axis, in pixels from the left end of the timeline. */
  frame() {
    const box = this.view.frame.bbox;
    return { left: box.left, width: box.width };
  }

  xOf(time) {
    const { left, width } = this.frame();
    return left + ((time - this.range.start) / (this.range.end - this.range.start)) * width;
  }

  timeAt(x) {
    const { left, width } = this.frame();
    return this.range.start + ((x - left) / width) * (this.range.end - this.range.start);
  }

  /** Show the times from ``start`` to ``end``, moved into the clip where they are outside of it. */
  show(start, end) {
    const [first, last] = this.data.span;
    const width = Math.min(Math.max(end - start, 0.05), last - first);
    const from = Math.min(Math.max(start, first), last - width);
    this.range.setv({ start: from, end: from + width });
  }

  zoom(factor, around) {
    const { start, end } = this.range;
    const middle = around >= start && around <= end ? around : (start + end) / 2;
    this.show(middle - (middle - start) * factor, middle + (end - middle) * factor);
  }

  showAll() {
    this.show(...this.data.span);
  }

  /** Fill in the rows around the view, if they are not there yet. */
  fill() {
    const { start, end } = this.range;
    const step = 2 ** Math.ceil(Math.log2(Math.max((end - start) / CELLS, MIN_STEP)));
    const there = this.filled;
    if (there && there.step === step && start >= there.from && end <= there.to) return;
    const [first, last] = this.data.span;
    const from = Math.max(first, start - MARGIN * (end - start));
    const to = Math.min(last, end + MARGIN * (end - start));
    this.filled = { step, from: from <= first ? -Infinity : from, to: to >= last ? Infinity : to };
    const cells = makeCells(from, to, step);
    const numRows = lastAtOrBefore(this.data.times, to) - lastAtOrBefore(this.data.times, from);
    this.data.lines.forEach((each) => this.fillLines(each, cells, numRows <= WIDE_LINES ? 2 : 1));
    for (const each of this.data.rows) if (each.chart) this.fillRibbon(each, cells, end - start);
    this.fillLanes(cells);
    if (this.data.sound) this.fillSound(this.data.sound, cells, end - start);
  }

  fillLines({ chart, series }, cells, lineWidth) {
    const { times, stops } = this.data;
    series.forEach(({ values, bands }, place) => {
      bands.forEach((widths, number) => {
        if (widths) this.set(`${chart}.band${place}.${number}`, reduceBand(times, stops, values, widths, cells));
      });
      this.set(`${chart}.line${place}`, reduceLine(times, stops, values, cells));
      for (const { glyph } of this.drawn(chart, place)) if ("line_width" in glyph) glyph.line_width = lineWidth;
    });
    this.fillGaps(chart, this.data.observed, cells);
  }

  /** The line and the bands of a person in a chart. */
  drawn(chart, place) {
    return this.bokeh.get_model_by_id(this.names[chart]).renderers.filter(({ name }) => name === `${chart}.glyph${place}`);
  }

  /** Show or hide the lines of a person. */
  showPerson(place, isShown) {
    for (const { chart } of this.data.lines) for (const each of this.drawn(chart, place)) each.visible = isShown;
  }

  fillRibbon({ chart, person, labels, colours, series, chosen }, cells, width) {
    const { times, stops } = this.data;
    const rows = series.map((values, place) => [pixelOf(colours[place]), reduceHighest(times, stops, values, cells)]);
    if (chosen) {
      const modes = reduceMode(times, stops, chosen, labels.length, cells);
      rows.unshift([modes, colours.map(pixelOf)]);
      this.set(`${chart}.names`, this.placeNames(modes, labels, colours, rows.length, cells, width));
    }
    this.setImage(`${chart}.rows`, cells, rows);
    this.fillGaps(chart, this.data.persons[person].observed, cells);
  }

  /** The name of the class at the start of each span that is wide enough, and again along long ones. */
  placeNames(modes, labels, colours, numRows, cells, width) {
    const found = { x: [], y: [], text: [], colour: [] };
    const pixel = width / this.frame().width;
    let start = 0;
    for (let cell = 1; cell <= cells.num; cell++) {
      if (cell < cells.num && modes[cell] === modes[start]) continue;
      const number = modes[start] - 1;
      const span = (cell - start) * cells.step;
      for (let at = 0; number >= 0 && span - at > (8 * labels[number].length + 8) * pixel; at += width / 2) {
        found.x.push((cells.first + start) * cells.step + at);
        found.y.push(numRows - 0.5);
        found.text.push(labels[number]);
        found.colour.push(isBright(colours[number]) ? BLACK : WHITE);
      }
      start = cell;
    }
    return found;
  }

  fillLanes(cells) {
    const { times, stops, persons, voice, lanes } = this.data;
    const flags = lanes.lanes.map(({ person }) => (person === null ? voice : persons[person].seen));
    const rows = lanes.lanes.map(({ colour }, place) => [pixelOf(colour), reduceShare(times, stops, flags[place], cells)]);
    this.setImage("lanes.rows", cells, rows);
  }

  fillSound({ chart, start, step, peaks, words }, cells, width) {
    const x = [];
    const y = [];
    const from = Math.max(0, Math.floor((cells.first * cells.step - start) / step));
    const to = Math.min(peaks.length, Math.ceil(((cells.first + cells.num) * cells.step - start) / step));
    const each = Math.max(1, Math.floor(cells.step / step));
    for (let i = from - (from % each); i < to; i += each) {
      let peak = 0;
      for (let k = i; k < Math.min(i + each, peaks.length); k++) peak = Math.max(peak, peaks[k] / 255);
      x.push(start + i * step, start + (i + each / 2) * step);
      y.push(peak, -peak);
    }
    this.set(`${chart}.envelope`, { x, y });
    if (!words.length) return;
    const found = { x: [], y: [], text: [] };
    const pixel = width / this.frame().width;
    let end = -Infinity; // of the last word that is shown: others would lie on it
    for (const [begin, stop, text] of words) {
      const middle = (begin + stop) / 2;
      const half = (4 * text.length + 3) * pixel;
      if (middle - half < end) continue;
      end = middle + half;
      found.x.push(middle);
      found.y.push(-1.5);
      found.text.push(text);
    }
    this.set(`${chart}.words`, found);
  }

  fillGaps(chart, observed, cells) {
    const { times, stops } = this.data;
    const gaps = observed.map((flag) => 1 - flag);
    const shares = reduceShare(times, stops, gaps, cells).map((share) => (share > 0 ? 0.22 + 0.25 * share : 0));
    this.setImage(`${chart}.gaps`, cells, [[this.theme.gap, shares]]);
  }

  set(name, columns) {
    this.bokeh.get_model_by_name(name).data = columns;
  }

  /** Rows of an image from top to bottom: a colour with opacities, or numbers from 1 with the colour of each. */
  setImage(name, cells, rows) {
    const pixels = new Uint32Array(cells.num * rows.length);
    rows.forEach(([first, second], place) => {
      const at = (rows.length - 1 - place) * cells.num;
      for (let cell = 0; cell < cells.num; cell++) {
        const isColour = typeof first === "number";
        const alpha = isColour ? Math.round(255 * second[cell]) : 255 * (first[cell] > 0);
        const colour = isColour ? first : second[first[cell] - 1];
        pixels[at + cell] = alpha ? ((alpha << 24) | colour) >>> 0 : 0;
      }
    });
    const source = this.bokeh.get_model_by_name(name);
    const Image = source.data.image[0].constructor;
    const { y, dh } = source.data;
    const image = [new Image(pixels, [rows.length, cells.num])];
    source.data = { image, x: [cells.first * cells.step], y, dw: [cells.num * cells.step], dh };
  }

  /** Draw the points of the last seconds before a row, and the person's place in it. */
  trail(row, seconds) {
    const { circumplex, lines, times, persons } = this.data;
    if (!circumplex) return;
    const from = lastAtOrBefore(times, times[row] - seconds);
    const every = Math.max(1, Math.ceil((row - from) / 60));
    persons.forEach((person, place) => {
      if (person.isHidden) {
        this.set(`circumplex.trail${place}`, { x: [], y: [], alpha: [], size: [] });
        this.set(`circumplex.head${place}`, { x: [], y: [], text: [] });
        return;
      }
      const [xs, ys] = [circumplex.x, circumplex.y].map((line) => lines[line].series[place].values);
      const found = { x: [], y: [], alpha: [], size: [] };
      for (let i = row - every * Math.floor((row - from) / every); i < row; i += every) {
        const age = (times[row] - times[i]) / seconds;
        if (age > 1) continue;
        found.x.push(xs[i]);
        found.y.push(ys[i]);
        found.alpha.push(0.75 - 0.65 * age);
        found.size.push(7 - 4 * age);
      }
      this.set(`circumplex.trail${place}`, found);
      const text = persons.length > 1 ? person.number : "";
      this.set(`circumplex.head${place}`, { x: [xs[row]], y: [ys[row]], text: [text] });
    });
  }

  paint(isDark) {
    this.theme = isDark ? THEMES.dark : THEMES.light;
    document.body.classList.toggle("drawn-dark", isDark);
    const { ink, quiet, line } = this.theme;
    for (const id of Object.values(this.names)) {
      const chart = this.bokeh.get_model_by_id(id);
      chart.outline_line_color = line;
      for (const axis of [...chart.left, ...chart.below]) {
        axis.major_label_text_color = ink;
        axis.axis_label_text_color = ink;
        axis.axis_line_color = axis.major_tick_line_color = quiet;
      }
      for (const grid of chart.center) grid.grid_line_color = line;
      for (const { name, glyph } of chart.renderers) if (name === "words") glyph.text_color = ink;
    }
    this.filled = null;
    this.fill();
  }
}
