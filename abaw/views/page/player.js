"use strict";
/* The player: which frame it shows, by timestamps and never by a frame rate, and how to make it show another one. */

const TOLERANCE = 0.0015; // seconds by which browsers round the timestamp of a frame

class Player {
  /** ``element``: video or audio, or null where nothing can be played. ``times``, ``stops``: of the frames, in
      container seconds. ``offset``: what to add to the time of the element's file to have these. */
  constructor(element, times, stops, offset) {
    this.element = element;
    this.times = times;
    this.stops = stops;
    this.offset = offset;
    this.row = 0;
    this.listeners = [];
    if (!element) return;
    if (element.requestVideoFrameCallback) {
      let isFirst = true;
      const shown = (_, { mediaTime }) => {
        if (isFirst) this.fitOffset(mediaTime);
        isFirst = false;
        this.tell(this.rowOf(mediaTime));
        element.requestVideoFrameCallback(shown);
      };
      element.requestVideoFrameCallback(shown);
      return;
    }
    const poll = () => {
      if (!element.paused) this.tell(this.rowAt(element.currentTime + this.offset));
      requestAnimationFrame(poll);
    };
    requestAnimationFrame(poll);
    element.addEventListener("seeked", () => this.tell(this.rowAt(element.currentTime + this.offset)));
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
    const time = mediaTime + this.offset;
    const row = lastAtOrBefore(this.times, time);
    return row + 1 < this.times.length && this.times[row + 1] - time < time - this.times[row] ? row + 1 : row;
  }

  /** Browsers differ in whether their time of a file that starts late begins at 0 or at its start. What they say of
      the first frame tells: where no frame has this time, theirs begins at 0. */
  fitOffset(mediaTime) {
    const row = this.rowOf(mediaTime);
    if (Math.abs(this.times[row] - mediaTime - this.offset) > 2 * TOLERANCE) this.offset = this.times[0] - mediaTime;
  }

  /** Show the frame of a row. A moment inside of the frame is sought, so that rounding cannot lead to its neighbour. */
  seek(row) {
    const wanted = Math.min(Math.max(row, 0), this.times.length - 1);
    if (this.element) {
      const inside = Math.min(0.5 * (this.stops[wanted] - this.times[wanted]), 0.01);
      this.element.currentTime = Math.max(0, this.times[wanted] + inside - this.offset);
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
