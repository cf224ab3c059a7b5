// SPDX-License-Identifier: Apache-2.0
import t from 'tap';
import { FrameWalk } from '../../src/session/frame-walk.js';
import { bytesOf, dataFrame, requestFrame, responseFrame } from '../support/frames.js';

const frames = [
  requestFrame(1),
  responseFrame(1, bytesOf('x'.repeat(300))),
  dataFrame(3, bytesOf('')),
  requestFrame(5),
];
const all = Buffer.concat(frames);
const ends = new Set<number>([0]);
let end = 0;
for (const frame of frames) ends.add((end += frame.length));

t.test('a boundary is where a frame ends and nowhere else, in pieces of any size', async t => {
  for (let size = 1; size <= all.length; size += 1) {
    const walk = new FrameWalk();
    for (let at = 0; at < all.length; at += size) {
      const to = Math.min(at + size, all.length);
      walk.over(all, at, to);
      if (walk.atBoundary !== ends.has(to)) throw new Error(`pieces of ${size}: at ${to}`);
    }
  }
  t.pass();
});

t.test('a walk to the boundary stops behind the frame that is under way, or that begins there', async t => {
  for (let from = 0; from < all.length; from += 1) {
    const walk = new FrameWalk();
    walk.over(all, 0, from);
    const next = [...ends].find(one => one > from);
    t.equal(walk.toBoundary(all, from, all.length), next, `from ${from}`);
    t.ok(walk.atBoundary);
  }
});
