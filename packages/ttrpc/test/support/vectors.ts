// SPDX-License-Identifier: Apache-2.0
// Reads the vector files. Shapes are stated here and trusted: the files are ours.
import { readFileSync } from 'node:fs';

export type Hex = string | { readonly repeat: string; readonly times: number };

export interface FrameVector {
  name: string;
  outcome: 'ok' | 'oversized' | 'incomplete' | 'tls';
  reason: string;
  input: Hex[];
  frames: { length: number; streamId: number; type: number; flags: number; payload: Hex | null }[];
}

export interface RequestVector {
  name: string;
  outcome: 'ok' | 'bad-request';
  reason: string;
  hex: string;
  request?: {
    service: string;
    method: string;
    payload: string;
    timeoutNano: string;
    metadata: { key: string; value: string }[];
  };
}

export interface ResponseVector {
  name: string;
  outcome: 'ok' | 'status' | 'bad-response';
  reason: string;
  hex: string;
  code?: number;
  message?: string;
  details?: { typeUrl: string; value: string }[];
  payload?: string;
  peek: number | null;
}

export interface ExpectedFrame {
  streamId: number;
  type: number;
  flags?: number;
  code?: number;
  message?: string;
  payload?: string;
}

export interface ExchangeVector {
  name: string;
  outcome: string;
  reason: string;
  /** Whether containerd's Go server is held to this exchange as well. */
  go: boolean;
  send: Hex[];
  expect: ExpectedFrame[];
}

export function bytesOf(hex: Hex): Buffer {
  return typeof hex === 'string'
    ? Buffer.from(hex, 'hex')
    : Buffer.alloc(hex.times, Buffer.from(hex.repeat, 'hex'));
}

export function vectors(file: 'frames'): FrameVector[];
export function vectors(file: 'requests'): RequestVector[];
export function vectors(file: 'responses'): ResponseVector[];
export function vectors(file: 'exchanges'): ExchangeVector[];
export function vectors(file: string): unknown {
  return JSON.parse(readFileSync(new URL(`../vectors/${file}.json`, import.meta.url), 'utf8'));
}
