// SPDX-License-Identifier: Apache-2.0

// A shim of kata's own code. `pod SOCKET POD SCRIPT` runs one shell command: kata's remote hypervisor makes, starts and
// stops the VM, and its agent client drives the agent. `sandbox SOCKET BUNDLES POD SCRIPT` leaves both to kata's sandbox
// code, with a container of SCRIPT, through a pod's whole life; `lose SOCKET BUNDLES POD` says `up` once a pod runs and
// waits for the loss of its VM; `keep SOCKET BUNDLES POD` says `up` as well, and then uses its pod in every way
// at once until its stdin ends. Their outcome is a line of JSON on stdout. `cgroup POD` tries whether a sandbox could
// have its cgroup here.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	vc "github.com/kata-containers/kata-containers/src/runtime/virtcontainers"
	"github.com/kata-containers/kata-containers/src/runtime/virtcontainers/pkg/agent/protocols/client"
	agent "github.com/kata-containers/kata-containers/src/runtime/virtcontainers/pkg/agent/protocols/grpc"
	"github.com/kata-containers/kata-containers/src/runtime/virtcontainers/types"
)

type outcome struct {
	Serving   bool   `json:"serving"`
	Agent     string `json:"agent"`
	Output    string `json:"output"`
	ExitCode  int32  `json:"exitCode"`
	OOMBlocks bool   `json:"oomBlocks"`
	Stopped   bool   `json:"stopped"`
	Step      string `json:"step"`
	Failure   string `json:"failure"`
}

func run(socket, pod, script string) (result outcome) {
	ctx := context.Background()
	id := "kata-" + pod
	failed := func(step string, err error) bool {
		if err != nil {
			result.Step, result.Failure = step, err.Error()
		}
		return err != nil
	}
	hypervisor, err := vc.NewHypervisor(vc.RemoteHypervisor)
	if failed("NewHypervisor", err) {
		return
	}
	network, err := vc.NewNetwork(&vc.NetworkConfig{NetworkID: "/proc/self/ns/net", DisableNewNetwork: true})
	if failed("NewNetwork", err) {
		return
	}
	if failed("CreateVM", hypervisor.CreateVM(ctx, id, network, &vc.HypervisorConfig{
		RemoteHypervisorSocket:  socket,
		RemoteHypervisorTimeout: 60,
		SandboxName:             pod,
		SandboxNamespace:        "default",
		NumVCPUsF:               2,
		MemorySize:              2048,
	})) {
		return
	}
	defer func() {
		err := hypervisor.StopVM(ctx, false)
		result.Stopped = err == nil
		if result.Failure == "" {
			failed("StopVM", err)
		}
	}()
	if failed("StartVM", hypervisor.StartVM(ctx, 60)) {
		return
	}
	path, err := hypervisor.GenerateSocket(id)
	if failed("GenerateSocket", err) {
		return
	}
	remote := path.(types.RemoteSock)
	connection, err := client.NewAgentClient(ctx, remote.String(), 10)
	if failed("NewAgentClient", err) {
		return
	}
	defer connection.Close()
	if failed("agent", drive(connection, id, script, &result)) {
		return
	}
	return
}

func drive(connection *client.AgentClient, id, script string, result *outcome) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	health, calls := connection.HealthClient, connection.AgentServiceClient
	check, err := health.Check(ctx, &agent.CheckRequest{})
	if err != nil {
		return err
	}
	result.Serving = check.GetStatus() == agent.HealthCheckResponse_SERVING
	details, err := calls.GetGuestDetails(ctx, &agent.GuestDetailsRequest{MemBlockSize: true})
	if err != nil {
		return err
	}
	result.Agent = details.GetAgentDetails().GetVersion()

	// As the shim's watcher does: a call that nothing answers while the others go on.
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	blocked := make(chan error, 1)
	go func() {
		_, err := calls.GetOOMEvent(waiting, &agent.GetOOMEventRequest{})
		blocked <- err
	}()
	if _, err := calls.CreateSandbox(ctx, &agent.CreateSandboxRequest{Hostname: "kata", SandboxId: id}); err != nil {
		return err
	}
	spec, err := agent.OCItoGRPC(&specs.Spec{
		Version:  specs.Version,
		Process:  &specs.Process{Args: []string{"/bin/sh", "-c", script}, Cwd: "/", Env: []string{"PATH=/usr/bin:/bin"}},
		Root:     &specs.Root{Path: "rootfs"},
		Hostname: "kata",
		Linux:    &specs.Linux{Namespaces: []specs.LinuxNamespace{{Type: specs.MountNamespace}}},
	})
	if err != nil {
		return err
	}
	if _, err := calls.CreateContainer(ctx, &agent.CreateContainerRequest{ContainerId: id, ExecId: id, OCI: spec}); err != nil {
		return err
	}
	if _, err := calls.StartContainer(ctx, &agent.StartContainerRequest{ContainerId: id}); err != nil {
		return err
	}
	for {
		chunk, err := calls.ReadStdout(ctx, &agent.ReadStreamRequest{ContainerId: id, ExecId: id, Len: 4096})
		if err != nil {
			if strings.Contains(err.Error(), "eof") {
				break
			}
			return err
		}
		result.Output += string(chunk.GetData())
	}
	ended, err := calls.WaitProcess(ctx, &agent.WaitProcessRequest{ContainerId: id, ExecId: id})
	if err != nil {
		return err
	}
	result.ExitCode = ended.GetStatus()
	if _, err := calls.RemoveContainer(ctx, &agent.RemoveContainerRequest{ContainerId: id}); err != nil {
		return err
	}
	select {
	case <-blocked:
	default:
		result.OOMBlocks = true
	}
	stop()
	if _, err = calls.DestroySandbox(ctx, &agent.DestroySandboxRequest{}); err != nil && err.Error() == closedInVM {
		return nil
	}
	return err
}

// The agent ends with DestroySandbox. Where its answer and the end of its connection are there at once, ttrpc's client in Go
// takes either (client.go, dispatch), so a VM in Go may answer with this status. A connection of the shim's own that is
// closed reads otherwise, and stays an error.
const closedInVM = "rpc error: code = Unknown desc = ttrpc: closed"

func main() {
	var result any
	switch args := os.Args[2:]; os.Args[1] {
	case "pod":
		result = run(args[0], args[1], args[2])
	case "sandbox":
		result = runSandbox(args[0], args[1], args[2], args[3])
	case "lose":
		result = loseSandbox(args[0], args[1], args[2], func() { fmt.Println("up") })
	case "fail":
		result = failSandbox(args[0], args[1], args[2])
	case "keep":
		result = keepSandbox(args[0], args[1], args[2], os.Stdin, func() { fmt.Println("up") })
	case "cgroup":
		if err := tryCgroup(args[0]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
