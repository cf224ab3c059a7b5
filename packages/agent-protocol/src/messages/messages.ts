// SPDX-License-Identifier: Apache-2.0
// The generated message classes under the names of their protobuf packages, and short names for those in daily use.
import type { grpc, hypervisor, podvminfo, types } from '../../gen/messages.js';

export { google, grpc, hypervisor, peerpod, podvminfo, types } from '../../gen/messages.js';

export type CreateVMRequest = hypervisor.CreateVMRequest;
export type CreateVMResponse = hypervisor.CreateVMResponse;
export type StartVMRequest = hypervisor.StartVMRequest;
export type StopVMRequest = hypervisor.StopVMRequest;
export type GetInfoRequest = podvminfo.GetInfoRequest;
export type GetInfoResponse = podvminfo.GetInfoResponse;
export type CreateSandboxRequest = grpc.CreateSandboxRequest;
export type CreateContainerRequest = grpc.CreateContainerRequest;
export type ExecProcessRequest = grpc.ExecProcessRequest;
export type StatsContainerResponse = grpc.StatsContainerResponse;
export type Interface = types.Interface;
