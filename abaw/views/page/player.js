"use strict";
/* The player: which frame it shows, by timestamps and never by a frame rate, and how to make it show another one. */

const TOLERANCE = 0.0015; // seconds by which browsers round the timestamp of a frame

class Player {
  /** ``element``: video or audio, or null where nothing can be played. ``times``, ``stops``: of the frames, in
      container seconds. ``start``: the container time at which the element's own time begins. */
  constructor(element, times, stops, start) {
    this.element = element;
    this.times = times;
    this.stops = stops;
    this.start = start;
    this.row = 0;
    this.listeners = [];
    if (!element) return;
    if (element.requestVideoFrameCallback) {
      const shown = (_, { mediaTime }) => {
        this.tell(this.rowOf(mediaTime));
        element.requestVideoFrameCallback(shown);
      };
      element.requestVideoFrameCallback(shown);
      return;
    }
    const poll = () => {
      if (!element.paused) this.tell(this.rowAt(element.currentTime + this.start));
      requestAnimationFrame(poll);
    };
    requestAnimationFrame(poll);
    element.addEventListener("seeked", () => this.tell(this.rowAt(element.currentTime + this.start)));
  }

  get isPlaying() {
    return this.element !== null && !this.element.paused;
  }

  /** The row whose frame is on the screen at a container time. */
  rowAt(time) {
    return lastAtOrBefore(this.times, time + TOLERANCE);
  }

  /** The row of the frame that a browser gives this timestamp: the nearest one. */
  rowOf(mediaTime) {
    const time = mediaTime + this.start;
    const row = lastAtOrBefore(this.times, time);
    return row + 1 < this.times.length && this.times[row + 1] - time < time - this.times[row] ? row + 1 : row;
  }

  /** Show the frame of a row. A moment inside of the frame is sought, so that rounding cannot lead to its neighbour. */
  seek(row) {
    const wanted = Math.min(Math.max(row, 0), this.times.length - 1);
    if (this.element) {
      const inside = Math.min(0.5 * (this.stops[wanted] - this.times[wanted]), 0.01);
      this.element.currentTime = Math.max(0, this.times[wanted] + inside - this.start);
    }
    this.tell(wanted);
  }

  tell(row) {
    this.row = row;
    for (const listener of this.listeners) listener(row);
  }

  async toggle() {
    if (!this.element) return;
    if (this.element.paused) await this.element.play();
    else this.element.pause();
  }
}
