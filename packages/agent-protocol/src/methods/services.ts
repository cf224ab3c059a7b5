// SPDX-License-Identifier: Apache-2.0
// The services of a peer pod as typed descriptors for ttrpc servers and clients. No logic.
import { defineService, unary } from '@peerpod-tls/ttrpc';
import { google, grpc, peerpod, podvminfo, types } from '../../gen/messages.js';
import { agentServiceName, healthServiceName } from './method-traits.js';

/** Tells which VM carries a pod; served on the same socket as the hypervisor service. */
export const podVmInfoService = defineService('podvminfo.PodVMInfo', {
  GetInfo: unary(podvminfo.GetInfoRequest, podvminfo.GetInfoResponse),
});

/** What a person asks an adaptor for; ours, served on the same socket as the hypervisor service. */
export const operatorService = defineService('peerpod.Operator', {
  ListOrphans: unary(peerpod.ListOrphansRequest, peerpod.ListOrphansResponse),
  DeleteOrphan: unary(peerpod.DeleteOrphanRequest, peerpod.DeleteOrphanResponse),
  Hold: unary(peerpod.HoldRequest, peerpod.HoldResponse),
  Release: unary(peerpod.ReleaseRequest, peerpod.ReleaseResponse),
});

/** The agent in the VM. */
export const agentService = defineService(agentServiceName, {
  CreateContainer: unary(grpc.CreateContainerRequest, google.protobuf.Empty),
  StartContainer: unary(grpc.StartContainerRequest, google.protobuf.Empty),
  RemoveContainer: unary(grpc.RemoveContainerRequest, google.protobuf.Empty),
  ExecProcess: unary(grpc.ExecProcessRequest, google.protobuf.Empty),
  SignalProcess: unary(grpc.SignalProcessRequest, google.protobuf.Empty),
  WaitProcess: unary(grpc.WaitProcessRequest, grpc.WaitProcessResponse),
  UpdateContainer: unary(grpc.UpdateContainerRequest, google.protobuf.Empty),
  UpdateEphemeralMounts: unary(grpc.UpdateEphemeralMountsRequest, google.protobuf.Empty),
  StatsContainer: unary(grpc.StatsContainerRequest, grpc.StatsContainerResponse),
  PauseContainer: unary(grpc.PauseContainerRequest, google.protobuf.Empty),
  ResumeContainer: unary(grpc.ResumeContainerRequest, google.protobuf.Empty),
  RemoveStaleVirtiofsShareMounts: unary(grpc.RemoveStaleVirtiofsShareMountsRequest, google.protobuf.Empty),
  GetDiagnosticData: unary(grpc.GetDiagnosticDataRequest, grpc.GetDiagnosticDataResponse),
  WriteStdin: unary(grpc.WriteStreamRequest, grpc.WriteStreamResponse),
  ReadStdout: unary(grpc.ReadStreamRequest, grpc.ReadStreamResponse),
  ReadStderr: unary(grpc.ReadStreamRequest, grpc.ReadStreamResponse),
  CloseStdin: unary(grpc.CloseStdinRequest, google.protobuf.Empty),
  TtyWinResize: unary(grpc.TtyWinResizeRequest, google.protobuf.Empty),
  UpdateInterface: unary(grpc.UpdateInterfaceRequest, types.Interface),
  UpdateRoutes: unary(grpc.UpdateRoutesRequest, grpc.Routes),
  ListInterfaces: unary(grpc.ListInterfacesRequest, grpc.Interfaces),
  ListRoutes: unary(grpc.ListRoutesRequest, grpc.Routes),
  AddARPNeighbors: unary(grpc.AddARPNeighborsRequest, google.protobuf.Empty),
  GetIPTables: unary(grpc.GetIPTablesRequest, grpc.GetIPTablesResponse),
  SetIPTables: unary(grpc.SetIPTablesRequest, grpc.SetIPTablesResponse),
  GetMetrics: unary(grpc.GetMetricsRequest, grpc.Metrics),
  MemAgentMemcgSet: unary(grpc.MemAgentMemcgConfig, google.protobuf.Empty),
  MemAgentCompactSet: unary(grpc.MemAgentCompactConfig, google.protobuf.Empty),
  CreateSandbox: unary(grpc.CreateSandboxRequest, google.protobuf.Empty),
  DestroySandbox: unary(grpc.DestroySandboxRequest, google.protobuf.Empty),
  OnlineCPUMem: unary(grpc.OnlineCPUMemRequest, google.protobuf.Empty),
  ReseedRandomDev: unary(grpc.ReseedRandomDevRequest, google.protobuf.Empty),
  GetGuestDetails: unary(grpc.GuestDetailsRequest, grpc.GuestDetailsResponse),
  MemHotplugByProbe: unary(grpc.MemHotplugByProbeRequest, google.protobuf.Empty),
  SetGuestDateTime: unary(grpc.SetGuestDateTimeRequest, google.protobuf.Empty),
  CopyFile: unary(grpc.CopyFileRequest, google.protobuf.Empty),
  GetOOMEvent: unary(grpc.GetOOMEventRequest, grpc.OOMEvent),
  AddSwap: unary(grpc.AddSwapRequest, google.protobuf.Empty),
  AddSwapPath: unary(grpc.AddSwapPathRequest, google.protobuf.Empty),
  GetVolumeStats: unary(grpc.VolumeStatsRequest, grpc.VolumeStatsResponse),
  ResizeVolume: unary(grpc.ResizeVolumeRequest, google.protobuf.Empty),
  SetPolicy: unary(grpc.SetPolicyRequest, google.protobuf.Empty),
});

/** Whether the agent serves, and its versions. */
export const healthService = defineService(healthServiceName, {
  Check: unary(grpc.CheckRequest, grpc.HealthCheckResponse),
  Version: unary(grpc.CheckRequest, grpc.VersionCheckResponse),
});
