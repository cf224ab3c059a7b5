// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/kata-containers/kata-containers/src/runtime/pkg/resourcecontrol"
	vc "github.com/kata-containers/kata-containers/src/runtime/virtcontainers"
	"github.com/kata-containers/kata-containers/src/runtime/virtcontainers/types"
)

// What kata keeps of its sandboxes on the worker.
const runDir = "/run/vc/sbs"

// One check of the agent by kata's watcher, every five seconds, and time for its answer.
const oneWatch = 6 * time.Second

type ended struct {
	Output string `json:"output"`
	Errors string `json:"errors"`
	Code   int32  `json:"code"`
}

type life struct {
	Worked     ended    `json:"worked"`
	Entered    ended    `json:"entered"`
	Signalled  int32    `json:"signalled"`
	Killed     int32    `json:"killed"`
	Processes  uint64   `json:"processes"`
	Interfaces int      `json:"interfaces"`
	Metrics    bool     `json:"metrics"`
	States     []string `json:"states"`
	// What the watcher said and what the call that waited for the container's end was answered, once the VM had gone.
	Watcher string `json:"watcher"`
	Waiting string `json:"waiting"`
	// Files that kata's own record of the sandbox left.
	Left    []string `json:"left"`
	Failure string   `json:"failure"`
}

// A pod as the shim of containerd has it: a sandbox with its pause container, below a directory of bundles.
type pod struct {
	*vc.Sandbox
	bundles string
	watcher chan error
}

// bundle is a container as containerd describes it: a directory on the worker, an image that the guest pulls itself.
func (p *pod) bundle(id, kind string, command types.Cmd) (vc.ContainerConfig, error) {
	directory := filepath.Join(p.bundles, id)
	root := filepath.Join(directory, "rootfs")
	kinds := map[string]string{"sandbox": "pod_sandbox", "container": "pod_container"}
	annotations := map[string]string{
		"io.kubernetes.cri.container-type":         kind,
		"io.kubernetes.cri.image-name":             "registry.invalid/" + id,
		"io.katacontainers.pkg.oci.container_type": kinds[kind],
		"io.katacontainers.pkg.oci.bundle_path":    directory,
	}
	return vc.ContainerConfig{
		ID:          id,
		RootFs:      vc.RootFs{Target: root, Mounted: true},
		Annotations: annotations,
		Cmd:         command,
		CustomSpec: &specs.Spec{
			Version:     specs.Version,
			Process:     &specs.Process{Args: command.Args, Cwd: "/", Env: []string{"PATH=/usr/bin:/bin"}},
			Root:        &specs.Root{Path: "rootfs"},
			Hostname:    "kata",
			Annotations: annotations,
			Linux: &specs.Linux{
				Namespaces:  []specs.LinuxNamespace{{Type: specs.MountNamespace}, {Type: specs.PIDNamespace}},
				CgroupsPath: "/" + id,
				Resources:   &specs.LinuxResources{},
			},
		},
	}, os.MkdirAll(root, 0o755)
}

func shell(script string) types.Cmd {
	return program("/bin/sh", "-c", script)
}

func program(args ...string) types.Cmd {
	return types.Cmd{
		Args:         args,
		Envs:         []types.EnvVar{{Var: "PATH", Value: "/usr/bin:/bin"}},
		WorkDir:      "/",
		User:         "0",
		PrimaryGroup: "0",
	}
}

// startSandbox makes the VM, starts its pause container and has kata's watcher look at it.
func startSandbox(ctx context.Context, socket, bundles, id, entrypoint string) (*pod, error) {
	p := &pod{bundles: bundles}
	pause, err := p.bundle(id, "sandbox", program(entrypoint))
	if err != nil {
		return p, err
	}
	sandbox, err := vc.CreateSandbox(ctx, vc.SandboxConfig{
		ID:             id,
		Hostname:       "kata",
		HypervisorType: vc.RemoteHypervisor,
		HypervisorConfig: vc.HypervisorConfig{
			RemoteHypervisorSocket:  socket,
			RemoteHypervisorTimeout: 60,
			SandboxName:             id,
			SandboxNamespace:        "default",
			NumVCPUsF:               1,
			MemorySize:              512,
			DisableGuestSeLinux:     true,
		},
		AgentConfig:            vc.KataAgentConfig{LongLiveConn: true},
		NetworkConfig:          vc.NetworkConfig{DisableNewNetwork: true},
		Containers:             []vc.ContainerConfig{pause},
		Annotations:            map[string]string{},
		ForceGuestPull:         true,
		CreateContainerTimeout: 60,
		DisableGuestSeccomp:    true,
		SandboxCgroupOnly:      true,
		StaticResourceMgmt:     true,
	}, nil, nil)
	if err != nil {
		return p, fmt.Errorf("CreateSandbox: %w", err)
	}
	p.Sandbox = sandbox.(*vc.Sandbox)
	if err := p.Start(ctx); err != nil {
		return p, fmt.Errorf("Start: %w", err)
	}
	if p.watcher, err = p.Monitor(ctx); err != nil {
		return p, fmt.Errorf("Monitor: %w", err)
	}
	return p, nil
}

func (p *pod) end(ctx context.Context, force bool) error {
	if err := p.Stop(ctx, force); err != nil {
		return fmt.Errorf("Stop: %w", err)
	}
	if err := p.Delete(ctx); err != nil {
		return fmt.Errorf("Delete: %w", err)
	}
	return nil
}

// tidy ends a pod that failed on its way, so that no VM and no cgroup stays.
func (p *pod) tidy(failure *error) {
	if p.Sandbox == nil || *failure == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := p.end(ctx, true); err != nil {
		*failure = fmt.Errorf("%w; and then %w", *failure, err)
	}
}

// container makes a container next to the pause container and starts it.
func (p *pod) container(ctx context.Context, id, script string) error {
	config, err := p.bundle(id, "container", shell(script))
	if err != nil {
		return err
	}
	if _, err := p.CreateContainer(ctx, config); err != nil {
		return fmt.Errorf("CreateContainer: %w", err)
	}
	if _, err := p.StartContainer(ctx, id); err != nil {
		return fmt.Errorf("StartContainer: %w", err)
	}
	return nil
}

// outcome reads what a process says until it has ended.
func (p *pod) outcome(ctx context.Context, container, process string) (end ended, err error) {
	_, stdout, stderr, err := p.IOStream(container, process)
	if err != nil {
		return end, fmt.Errorf("IOStream: %w", err)
	}
	if end.Output, err = all(stdout); err != nil {
		return end, fmt.Errorf("ReadStdout: %w", err)
	}
	if end.Errors, err = all(stderr); err != nil {
		return end, fmt.Errorf("ReadStderr: %w", err)
	}
	if end.Code, err = p.WaitProcess(ctx, container, process); err != nil {
		return end, fmt.Errorf("WaitProcess: %w", err)
	}
	return end, nil
}

func all(from io.Reader) (string, error) {
	said, err := io.ReadAll(from)
	// The agent tells the end of an output as an error.
	if err != nil && !strings.Contains(strings.ToLower(err.Error()), "eof") {
		return "", err
	}
	return string(said), nil
}

func (p *pod) enter(ctx context.Context, script string) (string, error) {
	_, process, err := p.EnterContainer(ctx, p.ID(), shell(script))
	if err != nil {
		return "", fmt.Errorf("EnterContainer: %w", err)
	}
	return process.Token, nil
}

// live takes a pod through what a shim does with one: a container that reads, a command beside the pause container, a
// signal, a pause, a look at it, and the kill at the end.
func (p *pod) live(ctx context.Context, script string, result *life) error {
	work := p.ID() + "-work"
	if err := p.container(ctx, work, script); err != nil {
		return err
	}
	stats, err := p.StatsContainer(ctx, work)
	if err != nil {
		return fmt.Errorf("StatsContainer: %w", err)
	}
	if stats.CgroupStats != nil {
		result.Processes = stats.CgroupStats.PidsStats.Current
	}
	stdin, _, _, err := p.IOStream(work, work)
	if err != nil {
		return fmt.Errorf("IOStream: %w", err)
	}
	if _, err := fmt.Fprintln(stdin, "from the worker"); err != nil {
		return fmt.Errorf("WriteStdin: %w", err)
	}
	if err := stdin.Close(); err != nil {
		return fmt.Errorf("CloseStdin: %w", err)
	}
	if result.Worked, err = p.outcome(ctx, work, work); err != nil {
		return err
	}
	if _, err := p.StopContainer(ctx, work, false); err != nil {
		return fmt.Errorf("StopContainer: %w", err)
	}
	if _, err := p.DeleteContainer(ctx, work); err != nil {
		return fmt.Errorf("DeleteContainer: %w", err)
	}

	token, err := p.enter(ctx, "echo inside; exit 9")
	if err != nil {
		return err
	}
	if result.Entered, err = p.outcome(ctx, p.ID(), token); err != nil {
		return err
	}
	if token, err = p.enter(ctx, "exec sleep 300"); err != nil {
		return err
	}
	if err := p.SignalProcess(ctx, p.ID(), token, syscall.SIGTERM, false); err != nil {
		return fmt.Errorf("SignalProcess: %w", err)
	}
	if result.Signalled, err = p.WaitProcess(ctx, p.ID(), token); err != nil {
		return fmt.Errorf("WaitProcess: %w", err)
	}
	return p.look(ctx, result)
}

// look asks for what a node's agent shows of a pod, stops its processes and lets them go on.
func (p *pod) look(ctx context.Context, result *life) error {
	for _, move := range []func(context.Context, string) error{p.PauseContainer, p.ResumeContainer} {
		if err := move(ctx, p.ID()); err != nil {
			return fmt.Errorf("pause or resume: %w", err)
		}
		status, err := p.StatusContainer(p.ID())
		if err != nil {
			return fmt.Errorf("StatusContainer: %w", err)
		}
		result.States = append(result.States, string(status.State.State))
	}
	interfaces, err := p.ListInterfaces(ctx)
	if err != nil {
		return fmt.Errorf("ListInterfaces: %w", err)
	}
	result.Interfaces = len(interfaces)
	metrics, err := p.GetAgentMetrics(ctx)
	if err != nil {
		return fmt.Errorf("GetAgentMetrics: %w", err)
	}
	result.Metrics = strings.Contains(metrics, "kata_agent")
	return nil
}

// runSandbox takes a pod through its whole life.
func runSandbox(socket, bundles, id, script string) (result life) {
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	began := time.Now()
	result.Failure = said(func() (failure error) {
		p, err := startSandbox(ctx, socket, bundles, id, "/pause")
		defer p.tidy(&failure)
		if err != nil {
			return err
		}
		if err := p.live(ctx, script, &result); err != nil {
			return err
		}
		select {
		case err := <-p.watcher:
			return fmt.Errorf("the watcher: %w", err)
		case <-time.After(time.Until(began.Add(oneWatch))):
		}
		if err := p.KillContainer(ctx, id, syscall.SIGKILL, true); err != nil {
			return fmt.Errorf("KillContainer: %w", err)
		}
		if result.Killed, err = p.WaitProcess(ctx, id, id); err != nil {
			return fmt.Errorf("WaitProcess: %w", err)
		}
		return p.end(ctx, false)
	}())
	result.Left = left()
	return result
}

// loseSandbox starts a pod, says so, and waits for its VM to be taken away.
func loseSandbox(socket, bundles, id string, up func()) (result life) {
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	result.Failure = said(func() (failure error) {
		p, err := startSandbox(ctx, socket, bundles, id, "/pause")
		defer p.tidy(&failure)
		if err != nil {
			return err
		}
		waited := make(chan error, 1)
		go func() {
			_, err := p.WaitProcess(ctx, id, id)
			waited <- err
		}()
		up()
		result.Waiting = said(<-waited)
		result.Watcher = said(<-p.watcher)
		return p.end(ctx, true)
	}())
	result.Left = left()
	return result
}

// failSandbox starts a pod whose own container cannot be started, and ends it as containerd has its shim do then.
func failSandbox(socket, bundles, id string) (result life) {
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	p, err := startSandbox(ctx, socket, bundles, id, "/no/such/entrypoint")
	result.Waiting = said(err)
	if p.Sandbox != nil {
		result.Failure = said(p.end(ctx, true))
	}
	result.Left = left()
	return result
}

func said(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func left() []string {
	names := []string{}
	_ = filepath.WalkDir(runDir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names = append(names, path)
		}
		return nil
	})
	return names
}

// tryCgroup makes a cgroup with kata's code as its sandboxes do, joins it and removes it.
func tryCgroup(id string) error {
	path, err := resourcecontrol.RenameCgroupPath("/" + id)
	if err != nil {
		return err
	}
	cgroup, err := resourcecontrol.NewSandboxResourceController(path, &specs.LinuxResources{}, true)
	if err != nil {
		return err
	}
	if err := cgroup.AddProcess(os.Getpid()); err != nil {
		return err
	}
	if err := cgroup.MoveTo(cgroup.Parent()); err != nil {
		return err
	}
	return cgroup.Delete()
}
