// SPDX-License-Identifier: Apache-2.0
// TypeScript files as JavaScript, kept in a cache folder. A kept file has the modification time of its source: any
// other time means it is old.
import { mkdirSync, readFileSync, renameSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { root } from '../steps.mjs';

const cache = join(root, 'node_modules', '.cache', 'typescript');
const keptAt = file => join(cache, `${relative(root, file)}.js`);
const changed = path => statSync(path, { throwIfNoEntry: false })?.mtime.getTime();

function isKept(file) {
  const time = changed(file);
  return time !== undefined && changed(keptAt(file)) === time;
}

/** The JavaScript of one file; from the cache, or made now. */
export async function translated(file) {
  if (isKept(file)) return readFileSync(keptAt(file), 'utf8');
  const [text = ''] = await translate([file]);
  return text;
}

/** Translates whatever of these files is not in the cache yet, all at once. */
export async function translateAll(files) {
  const old = files.filter(file => !isKept(file));
  if (old.length > 0) await translate(old);
}

async function translate(files) {
  // Not loaded where everything is kept, which is nearly always.
  const { build } = await import('esbuild');
  // Read before the sources are: one that is changed meanwhile is translated again next time.
  const times = new Map(files.map(file => [file, changed(file)]));
  const { outputFiles } = await build({
    entryPoints: files,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    // Beside the sources, so that source maps point at them; nothing is written there.
    outbase: root,
    outdir: root,
    write: false,
    sourcemap: 'inline',
    sourcesContent: false,
    logLevel: 'error',
  });
  return outputFiles.map(({ path, text }) => {
    const file = path.replace(/\.js$/, '.ts');
    keep(file, text, times.get(file));
    return text;
  });
}

function keep(file, text, time) {
  const path = keptAt(file);
  const fresh = `${path}.${process.pid}`;
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(fresh, text);
    utimesSync(fresh, new Date(time), new Date(time));
    renameSync(fresh, path);
  } catch (error) {
    // Another user's checkout, or a full disk: the file is translated again next time.
    if (!['EACCES', 'EROFS', 'ENOSPC'].includes(error.code)) throw error;
  }
}
