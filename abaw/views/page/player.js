"use strict";
/* The player: which frame it shows, by timestamps and never by a frame rate, and how to make it show another one. */

const TOLERANCE = 0.0015; // seconds by which browsers round the timestamp of a frame
const SLOW = 0.1; // playback rate while a frame is looked for
const TRIES = 3; // to play up to it
const PATIENCE_MS = 1500; // for each of them
const SETTLED_MS = 120; // after a jump, when no other frame is going to be shown

class Player {
  /** ``element``: video or audio, or null where nothing can be played. ``times``, ``stops``: of the frames, in
      container seconds. ``offset``: what to add to the time of the element's file to have these. */
  constructor(element, times, stops, offset) {
    this.element = element;
    this.times = times;
    this.stops = stops;
    this.offset = offset;
    this.row = 0; // where the cursor is
    this.shown = null; // the row whose frame was shown last, as the browser says
    this.wanted = null; // the row that is looked for
    this.isLate = false; // whether the last moment of its frame was tried
    this.search = null; // what is to be restored after it was looked for by playing
    this.listeners = [];
    if (!element) return;
    if (element.requestVideoFrameCallback) this.followFrames();
    else this.followTime();
  }

  get isPlaying() {
    return this.element !== null && !this.element.paused && this.search === null;
  }

  /** The row whose frame is on the screen at a container time. */
  rowAt(time) {
    const row = lastAtOrBefore(this.times, time);
    return row + 1 < this.times.length && this.times[row + 1] - time <= this.tolerance(row) ? row + 1 : row;
  }

  /** How far a time may be before the end of a row's frame and stand for the next one: of short frames, a part. */
  tolerance(row) {
    return Math.min(TOLERANCE, 0.25 * (this.stops[row] - this.times[row]));
  }

  /** The row of the frame that a browser gives this timestamp: the nearest one. */
  rowOf(mediaTime) {
    const time = mediaTime + this.offset;
    const row = lastAtOrBefore(this.times, time);
    return row + 1 < this.times.length && this.times[row + 1] - time < time - this.times[row] ? row + 1 : row;
  }

  followFrames() {
    const { element } = this;
    const note = (_, { mediaTime }) => {
      if (this.shown === null) this.fitOffset(mediaTime);
      this.shown = this.rowOf(mediaTime);
      if (this.wanted === null) this.tell(this.shown);
      else if (!element.seeking) this.compare();
      element.requestVideoFrameCallback(note);
    };
    element.requestVideoFrameCallback(note);
    element.addEventListener("seeked", () => {
      if (this.search) return;
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.look(), SETTLED_MS);
    });
    // browsers know too short a duration of files that start late, until they have read their end
    element.addEventListener("durationchange", () => {
      const isShort = this.wanted !== null && !this.search && element.currentTime < this.moment(this.wanted) - TOLERANCE;
      if (isShort) element.currentTime = this.moment(this.wanted);
    });
  }

  followTime() {
    const { element } = this;
    const note = () => this.tell(this.rowAt(element.currentTime + this.offset));
    const poll = () => {
      if (!element.paused) note();
      requestAnimationFrame(poll);
    };
    requestAnimationFrame(poll);
    element.addEventListener("seeked", note);
  }

  /** Browsers differ in whether their time of a file that starts late begins at 0 or at its start. What they say of
      the first frame tells: it is at 0, or where no frame is. */
  fitOffset(mediaTime) {
    const isAt = (row) => Math.abs(this.times[row] - this.offset - mediaTime) < 2 * TOLERANCE;
    if (!isAt(0) && (mediaTime < TOLERANCE || !isAt(this.rowOf(mediaTime)))) this.offset = this.times[0] - mediaTime;
  }

  /** The browser's time at which the frame of a row is shown: inside of it, so that rounding leads to no neighbour. */
  moment(row) {
    return Math.max(0, this.times[row] + 0.5 * (this.stops[row] - this.times[row]) - this.offset);
  }

  /** The last moment of the frame of a row. */
  lastMoment(row) {
    const isLast = row === this.times.length - 1;
    const end = isLast ? this.element.duration : this.stops[row] - this.offset;
    return Math.max(0, end - this.tolerance(row));
  }

  /** Show the frame of a row. */
  seek(row) {
    const wanted = Math.min(Math.max(row, 0), this.times.length - 1);
    if (this.element) {
      this.settle();
      if (this.element.requestVideoFrameCallback && this.element.paused) this.wanted = wanted;
      this.isLate = false;
      this.element.currentTime = this.moment(wanted);
    }
    this.tell(wanted);
  }

  /** Look for the wanted frame. Chromium jumps to an earlier one where frames are stored with other durations than they
      have, as those of variable rates are. Then the last moment of the frame is tried, and if that does not help the
      video is played from the first one on, slowly and without sound, until the frame is shown. */
  look() {
    const { element } = this;
    if (this.wanted === null || element.seeking || this.search) return;
    if (this.shown === this.wanted) return this.settle();
    if (!this.isLate) {
      this.isLate = true;
      element.currentTime = this.lastMoment(this.wanted);
      return;
    }
    this.search = { muted: element.muted, rate: element.playbackRate, triesLeft: TRIES };
    element.muted = true;
    element.playbackRate = SLOW;
    this.searchAgain();
    element.play().catch(() => this.settle());
  }

  /** End the search where the wanted frame is shown, and play towards it again where it was passed. */
  compare() {
    if (this.shown === this.wanted) this.settle();
    else if (this.search && this.shown > this.wanted) this.searchAgain();
  }

  /** Play towards the wanted frame, from the start or again: a busy browser passes it without showing it. */
  searchAgain() {
    clearTimeout(this.timer);
    if (this.search.triesLeft === 0) return this.settle();
    this.search.triesLeft -= 1;
    this.element.currentTime = this.moment(this.wanted);
    this.timer = setTimeout(() => this.settle(), PATIENCE_MS);
  }

  /** End a search. The cursor goes to the frame that is shown, whichever it is. */
  settle() {
    clearTimeout(this.timer);
    if (this.search) {
      this.element.pause();
      this.element.muted = this.search.muted;
      this.element.playbackRate = this.search.rate;
    }
    const searched = this.wanted !== null;
    this.search = this.wanted = null;
    if (searched && this.shown !== null) this.tell(this.shown);
  }

  tell(row) {
    this.row = row;
    for (const listener of this.listeners) listener(row);
  }

  async toggle() {
    if (!this.element) return;
    const { isPlaying } = this;
    this.settle();
    if (isPlaying) this.element.pause();
    else await this.element.play();
  }
}
