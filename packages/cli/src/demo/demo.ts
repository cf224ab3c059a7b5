// SPDX-License-Identifier: Apache-2.0
// `peerpod demo`: its beginning and its end. The story in between is show.ts.
import type { Line } from '../command.js';
import { ExitCode, type Io } from '../io.js';
import { isBrokenPipe } from '../errors.js';
import { chooseCommand } from './command.js';
import { Ending } from './ending.js';
import { Place } from './place.js';
import { Show } from './show.js';
import { JsonStage, TextStage } from './stage.js';

export interface DemoValues {
  readonly once: boolean;
  readonly command: string | undefined;
  readonly 'keep-dir': string | undefined;
  readonly json: boolean;
}

export async function demo({ values, tail, out: style }: Line<DemoValues>, io: Io): Promise<number> {
  const command = chooseCommand(values.command, tail);
  const ending = new Ending(io);
  let place: Place;
  try {
    place = Place.make(values['keep-dir']);
  } catch (error) {
    ending.close();
    throw error;
  }
  ending.guard(place);
  const stage = values.json
    ? new JsonStage(io.stdout)
    : new TextStage(io.stdout, style, io.stdout.isTTY === true);
  const show = new Show({ place, stage, style, io, command, once: values.once, signal: ending.signal });
  try {
    // Whoever ends it wins: the story, or a second signal that has swept everything away.
    return await Promise.race([show.run(), ending.swept]);
  } catch (error) {
    if (isBrokenPipe(error) || ending.brokenPipe) return ExitCode.hangup;
    throw error;
  } finally {
    stage.close();
    ending.close();
    await place.clear();
  }
}
