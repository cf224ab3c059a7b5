// SPDX-License-Identifier: Apache-2.0
// What a relay must know about a call it carries without reading it: may it wait, may it run twice, does it take long.
// One table for the whole agent protocol. No messages and no protobuf here.

export interface MethodTraits {
  /** May wait without limit for something outside the agent: a process, its output, a reader, an event. */
  readonly blocks: boolean;
  /** May be sent again after a lost link: whether the agent ran it once or twice makes no difference to anybody. */
  readonly replay: boolean;
  /** Takes seconds in ordinary use: pulls an image, mounts, waits for devices or for processes to die. */
  readonly slow: boolean;
}

export const agentServiceName = 'grpc.AgentService';
export const healthServiceName = 'grpc.Health';

const plain: MethodTraits = { blocks: false, replay: false, slow: false };
const reads: MethodTraits = { blocks: false, replay: true, slow: false };
const slow: MethodTraits = { blocks: false, replay: false, slow: true };
const waits: MethodTraits = { blocks: true, replay: true, slow: false };

const agent = {
  // Starting twice would start a second container, process or mount.
  CreateContainer: slow,
  StartContainer: plain,
  ExecProcess: plain,
  UpdateEphemeralMounts: slow,
  // The second of two would report the thing as missing or as done already, though the first succeeded.
  RemoveContainer: slow,
  PauseContainer: plain,
  ResumeContainer: plain,
  RemoveStaleVirtiofsShareMounts: slow,
  // A signal that arrives twice has been sent twice.
  SignalProcess: plain,
  // Waiting again is waiting: the exit code is kept until somebody has it.
  WaitProcess: waits,
  // Absolute values, but one sent again late would undo a newer one that went through before it.
  UpdateContainer: plain,
  TtyWinResize: plain,
  // Looks, and changes nothing.
  StatsContainer: reads,
  GetDiagnosticData: reads,
  // What was written is in the pipe: again means doubled bytes.
  WriteStdin: { blocks: true, replay: false, slow: false },
  // A chunk that was read and lost with the link is gone either way. Asking again gets the next one; any status a shim
  // takes for the end of the output, and with it all that would have followed.
  ReadStdout: waits,
  ReadStderr: waits,
  // Closed is closed.
  CloseStdin: reads,
  // Guest network: the lists only look; the others change tables whose earlier state is not known any more.
  UpdateInterface: plain,
  UpdateRoutes: plain,
  ListInterfaces: reads,
  ListRoutes: reads,
  AddARPNeighbors: plain,
  GetIPTables: reads,
  SetIPTables: plain,
  GetMetrics: reads,
  MemAgentMemcgSet: plain,
  MemAgentCompactSet: plain,
  // Once per VM.
  CreateSandbox: slow,
  DestroySandbox: slow,
  OnlineCPUMem: slow,
  ReseedRandomDev: plain,
  GetGuestDetails: reads,
  MemHotplugByProbe: slow,
  // The time in it is old by the time it is sent again.
  SetGuestDateTime: plain,
  // The last piece renames the file into place; sent again it would begin a new one.
  CopyFile: plain,
  // An event that was taken and lost with the link is gone either way; waiting for the next one is all there is.
  GetOOMEvent: waits,
  AddSwap: slow,
  AddSwapPath: slow,
  GetVolumeStats: reads,
  ResizeVolume: slow,
  // The policy that is now in force may forbid setting one.
  SetPolicy: plain,
} as const satisfies Readonly<Record<string, MethodTraits>>;

const health = { Check: reads, Version: reads } as const satisfies Readonly<Record<string, MethodTraits>>;

/** The name of an AgentService method. */
export type AgentMethod = keyof typeof agent;

/** The 42 methods of `grpc.AgentService`. */
export const agentMethods: readonly string[] = Object.keys(agent);

const services = new Map<string, ReadonlyMap<string, MethodTraits>>([
  [agentServiceName, new Map(Object.entries(agent))],
  [healthServiceName, new Map(Object.entries(health))],
]);

/** The traits of a method. A method newer than this table gets the careful answer: it may not run twice. */
export function traitsOf(service: string, method: string): MethodTraits {
  return services.get(service)?.get(method) ?? plain;
}
