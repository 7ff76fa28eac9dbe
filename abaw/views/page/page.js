"use strict";
/* Puts the page together: the player, the charts and what the reader does. */

const TRAIL_S = 3;
const SLACK = 1; // seconds by which a file may differ from what was analysed: headers are rough
const NOT_OURS = "input, select, textarea, summary, a";

const byId = (id) => document.getElementById(id);

function formatTime(time) {
  const millis = Math.abs(Math.round(time * 1000));
  const [hours, minutes, seconds] = [millis / 3600000, (millis / 60000) % 60, (millis / 1000) % 60].map((x, i) => (i < 2 ? Math.floor(x) : x));
  const rest = seconds.toFixed(3).padStart(6, "0");
  const shown = hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
  return (time < 0 && millis ? "-" : "") + shown;
}

/** A name that does not change the order of what stands beside it, as one written from right to left would. */
function isolate(name) {
  return /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/.test(name) ? `\u2068${name}\u2069` : name;
}

/** What the row says of each person: lines of text, and bars of its probabilities. */
function readRow(data, row) {
  const several = data.persons.length > 1;
  return data.persons.flatMap((person, place) => {
    if (person.isHidden) return [];
    const parts = [];
    const bars = [];
    for (const { label, series } of data.lines) {
      const { values, bands } = series[place];
      if (Number.isNaN(values[row])) continue;
      const band = bands.find((widths) => widths && !Number.isNaN(widths[row]));
      parts.push(`${isolate(label)} ${values[row].toFixed(2)}${band ? ` \u00b1 ${band[row].toFixed(2)}` : ""}`);
    }
    for (const { person: whose, labels, colours, series, chosen } of data.rows) {
      if (whose !== place) continue;
      const number = chosen ? chosen[row] : 0; // of the most probable class, from 1
      if (number) parts.push(isolate(labels[number - 1]) + (series.length ? ` ${series[number - 1][row].toFixed(2)}` : ""));
      if (!series.length || Number.isNaN(series[0][row])) continue; // there is no chart of this person, or a gap
      labels.forEach((label, k) => bars.push({ label, colour: colours[k], value: series[k][row] }));
    }
    if (!person.observed[row]) parts.push("not observed: no prediction");
    if (person.seen && !person.seen[row]) parts.push("face not seen");
    return { name: several ? `${person.name}: ` : "", text: parts.join(", "), bars };
  });
}

function headOf(data, row) {
  return `Frame ${row + 1}, ${formatTime(data.times[row])}${data.voice[row] ? ", voice heard" : ""}`;
}

function makeText(tag, className, text) {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

function describeRow(data, row, withBars) {
  const found = [makeText("p", "head", headOf(data, row))];
  const persons = readRow(data, row);
  for (const { name, text, bars } of persons) {
    found.push(makeText("p", "", name + text));
    if (!withBars || !bars.length || persons.length > 1) continue;
    const grid = makeText("div", "bars", "");
    for (const { label, colour, value } of bars) {
      const bar = makeText("div", "bar", "");
      const inside = document.createElement("span");
      inside.style.width = `${100 * value}%`;
      inside.style.background = colour;
      bar.append(inside);
      grid.append(makeText("span", "", label), bar, makeText("span", "value", value.toFixed(2)));
    }
    found.push(grid);
  }
  return found;
}

/** Ask whether a file is the one that was analysed where it is shorter, or longer though it is no part of a file. */
function checkLength(element, data) {
  const { duration } = element;
  const [start, end] = data.span;
  const { name, offset, isPart } = data.media;
  const isShort = duration < data.times[data.times.length - 1] - data.times[0] - SLACK;
  const isLong = !isPart && duration > Math.max(end, end - start) + Math.abs(offset) + SLACK;
  if (!Number.isFinite(duration) || !(isShort || isLong)) return;
  const lengths = `lasts ${duration.toFixed(1)} s, but what was analysed ends at ${end.toFixed(1)} s`;
  byId("unplayable").firstElementChild.textContent = `${name} ${lengths}: is it another file?`;
  byId("unplayable").hidden = false;
}

/** Begin to load the media, beside the page or embedded in it, once the player listens to their first frame. */
function openMedia(data) {
  const element = byId("media") ?? byId("picture");
  if (!element) return;
  const fail = () => {
    byId("unplayable").firstElementChild.textContent = `${data.media.name} is not where it was, or this browser cannot play it.`;
    byId("unplayable").hidden = false;
  };
  element.addEventListener("error", fail);
  element.addEventListener("loadedmetadata", () => checkLength(element, data));
  byId("chooser").addEventListener("change", ({ target }) => {
    byId("unplayable").hidden = true;
    element.src = URL.createObjectURL(target.files[0]);
  });
  const packed = byId("embedded");
  if (packed) {
    const raw = Uint8Array.from(atob(packed.textContent), (character) => character.charCodeAt(0));
    element.src = URL.createObjectURL(new Blob([raw], { type: data.media.type }));
    packed.remove();
  } else element.src = data.media.address;
}

function followPointer(data, charts, player) {
  const timeline = byId("timeline");
  const [line, tip] = [byId("pointer"), byId("tip")];
  let pressed = null;
  const xOf = (event) => event.clientX - timeline.getBoundingClientRect().left;
  const hide = () => {
    line.hidden = tip.hidden = true;
  };
  timeline.addEventListener("pointermove", (event) => {
    const { left, width } = charts.frame();
    const x = xOf(event);
    if (x < left || x > left + width || event.buttons) return hide();
    const row = player.rowAt(charts.timeAt(x));
    line.hidden = tip.hidden = false;
    line.style.transform = `translateX(${x}px)`;
    tip.replaceChildren(...describeRow(data, row, false));
    const isLeft = event.clientX > innerWidth / 2;
    tip.style.left = isLeft ? "" : `${event.clientX + 16}px`;
    tip.style.right = isLeft ? `${document.documentElement.clientWidth - event.clientX + 16}px` : "";
    tip.style.top = `${Math.min(event.clientY + 12, innerHeight - tip.offsetHeight - 8)}px`;
  });
  timeline.addEventListener("pointerleave", hide);
  timeline.addEventListener("pointerdown", (event) => {
    pressed = event.button === 0 ? [event.clientX, event.clientY] : null;
  }, true);
  timeline.addEventListener("pointerup", (event) => {
    if (!pressed || Math.hypot(event.clientX - pressed[0], event.clientY - pressed[1]) > 4) return;
    const { left, width } = charts.frame();
    const x = xOf(event);
    if (x >= left && x <= left + width) player.seek(player.rowAt(charts.timeAt(x)));
  }, true);
}

function followKeys(data, charts, player) {
  const bySecond = (sign) => {
    const row = player.rowAt(data.times[player.row] + sign);
    player.seek(row === player.row ? row + sign : row);
  };
  const actions = {
    ArrowLeft: (shift) => (shift ? bySecond(-1) : player.seek(player.row - 1)),
    ArrowRight: (shift) => (shift ? bySecond(1) : player.seek(player.row + 1)),
    Home: () => player.seek(0),
    End: () => player.seek(data.times.length - 1),
    " ": () => player.toggle(),
    "+": () => charts.zoom(0.5, data.times[player.row]),
    "=": () => charts.zoom(0.5, data.times[player.row]),
    "-": () => charts.zoom(2, data.times[player.row]),
    0: () => charts.showAll(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.(NOT_OURS)) return;
    if (event.key === " " && event.target.closest?.("button")) return;
    if (!(event.key in actions)) return;
    event.preventDefault();
    event.stopPropagation(); // a focused player has keys of its own
    if (player.isPlaying && event.key.startsWith("Arrow")) player.element.pause();
    actions[event.key](event.shiftKey);
  }, true);
  byId("closer").addEventListener("click", actions["+"]);
  byId("farther").addEventListener("click", actions["-"]);
  byId("all").addEventListener("click", actions[0]);
  for (const button of document.querySelectorAll("#moments button")) {
    button.addEventListener("click", () => player.seek(Number(button.dataset.index)));
  }
}

/** Show the lines and numbers of the persons that are ticked. */
function followPersons(data, charts, player) {
  const boxes = [...document.querySelectorAll("#persons input")];
  const show = () => {
    boxes.forEach(({ checked }, place) => {
      data.persons[place].isHidden = !checked;
      charts.showPerson(place, checked);
    });
    player.tell(player.row);
  };
  for (const box of boxes) box.addEventListener("change", show);
  byId("everybody")?.addEventListener("click", () => {
    const isShown = boxes.some(({ checked }) => !checked);
    for (const box of boxes) box.checked = isShown;
    show();
  });
}

/** Show a row: the cursor, its numbers, the trail, and where the view must move. */
function makeCursor(data, charts, player) {
  const [cursor, timeline, row] = [byId("cursor"), byId("timeline"), byId("row")];
  const move = () => {
    const { left, width } = charts.frame();
    const x = charts.xOf(data.times[player.row]);
    cursor.hidden = x < left - 1 || x > left + width + 1;
    cursor.style.transform = `translateX(${x}px)`;
  };
  const show = (number) => {
    const time = data.times[number];
    const { start, end } = charts.range;
    if (time < start || time > end) charts.show(time - 0.1 * (end - start), time + 0.9 * (end - start));
    move();
    row.replaceChildren(...describeRow(data, number, true));
    charts.trail(number, TRAIL_S);
    timeline.setAttribute("aria-valuenow", number + 1);
    if (!player.isPlaying) {
      const persons = readRow(data, number).map(({ name, text }) => name + text);
      timeline.setAttribute("aria-valuetext", [headOf(data, number), ...persons].join(". "));
    }
  };
  charts.listeners.push(move);
  new ResizeObserver(() => requestAnimationFrame(move)).observe(timeline);
  player.listeners.push(show);
  show(player.row);
}

async function main() {
  const described = readJson("data");
  const bytes = await unpack("columns");
  const data = readColumns(bytes, described);
  data.stops = Float64Array.from(data.times, (_, row) => data.times[row + 1] ?? described.lastStop);
  data.observed = data.times.map((_, row) => (data.persons.some((person) => person.observed[row]) ? 1 : 0));
  const player = new Player(byId("media"), data.times, data.stops, described.media.offset);
  openMedia(data);
  await runPacked("bokeh");
  Bokeh.set_log_level("error");
  const charts = await Charts.open(data, readJson("charts"));
  makeCursor(data, charts, player);
  followPointer(data, charts, player);
  followKeys(data, charts, player);
  followPersons(data, charts, player);
  window.abaw = { data, player, charts };
  document.body.dataset.ready = "yes";
}

document.addEventListener("DOMContentLoaded", main);
