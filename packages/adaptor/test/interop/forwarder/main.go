// SPDX-License-Identifier: Apache-2.0

// A pod VM in Go, built from what upstream's is built from: crypto/tls, containerd/ttrpc, kata's message types, the same
// strict YAML and the same JSON types. `create` and `delete` are commands of the adaptor's exec provider; `serve` is the
// forwarder: it decodes every call and makes it again on the agent; `network` makes the letter's tunnel in a namespace.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/containerd/ttrpc"
	agent "github.com/kata-containers/kata-containers/src/runtime/virtcontainers/pkg/agent/protocols/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
	yaml "gopkg.in/yaml.v2"
)

const configName = "/run/peerpod/apf.json"

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func must[T any](value T, err error) T {
	fail(err)
	return value
}

// create makes one instance: the letter's files below DIR/ID, and a forwarder that outlives this command.
func create(dir string, options []string) {
	var document struct {
		Name     string `json:"name"`
		UserData string `json:"userData"`
	}
	fail(json.NewDecoder(os.Stdin).Decode(&document))
	var letter struct {
		WriteFiles []struct {
			Path    string `yaml:"path"`
			Content string `yaml:"content"`
		} `yaml:"write_files"`
	}
	fail(yaml.UnmarshalStrict([]byte(document.UserData), &letter))
	home := filepath.Join(dir, document.Name)
	for _, file := range letter.WriteFiles {
		path := filepath.Join(home, file.Path)
		fail(os.MkdirAll(filepath.Dir(path), 0o700))
		fail(os.WriteFile(path, []byte(file.Content), 0o600))
	}
	log := must(os.Create(filepath.Join(home, "log")))
	args := append([]string{"serve", "-config", filepath.Join(home, configName),
		"-listen", "127.0.0.1:" + os.Getenv("PEERPOD_FORWARDER_PORT")}, options...)
	server := exec.Command(must(os.Executable()), args...)
	server.Stderr = log
	server.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out := must(server.StdoutPipe())
	fail(server.Start())
	fail(os.WriteFile(filepath.Join(home, "pid"), []byte(strconv.Itoa(server.Process.Pid)), 0o600))
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "listening\n" {
		server.Wait()
		fail(fmt.Errorf("the forwarder ended: %s", must(os.ReadFile(log.Name()))))
	}
	fail(json.NewEncoder(os.Stdout).Encode(map[string]any{"id": document.Name, "ips": []string{"127.0.0.1"}}))
}

func remove(dir, id string) {
	home := filepath.Join(dir, id)
	if pid, err := os.ReadFile(filepath.Join(home, "pid")); err == nil {
		syscall.Kill(must(strconv.Atoi(string(pid))), syscall.SIGKILL)
	}
	fail(os.RemoveAll(home))
}

// edited is the agent, but for what a forwarder adds to a container.
type edited struct {
	agent.AgentServiceService
	namespace string
}

func (e edited) CreateContainer(ctx context.Context, req *agent.CreateContainerRequest) (*emptypb.Empty, error) {
	req.OCI.Linux.Namespaces = append(req.OCI.Linux.Namespaces, &agent.LinuxNamespace{Type: "network", Path: e.namespace})
	return e.AgentServiceService.CreateContainer(ctx, req)
}

func serve(args []string) error {
	var files tlsFiles
	flags := flag.NewFlagSet("serve", flag.ExitOnError)
	config := flags.String("config", configName, "")
	listen := flags.String("listen", "0.0.0.0:15150", "")
	agentSocket := flags.String("kata-agent-socket", "/run/kata-containers/agent.sock", "")
	namespace := flags.String("pod-namespace", "/run/netns/podns", "")
	disableTLS := flags.Bool("disable-tls", false, "")
	flags.StringVar(&files.ca, "ca-cert-file", "", "")
	flags.StringVar(&files.cert, "cert-file", "", "")
	flags.StringVar(&files.key, "cert-key", "", "")
	flags.Parse(args)

	letter, err := readConfig(*config)
	if err != nil {
		return err
	}
	if err := letter.PodNetwork.check(); err != nil {
		return fmt.Errorf("failed to set up pod network: %w", err)
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	if !*disableTLS {
		if listener, err = secured(listener, letter, files); err != nil {
			return err
		}
	}
	connection, err := net.Dial("unix", *agentSocket)
	if err != nil {
		return err
	}
	client := ttrpc.NewClient(connection)
	server := must(ttrpc.NewServer())
	// A client of the service has the service's own methods: every call is decoded and made again.
	agent.RegisterAgentServiceService(server, edited{agent.NewAgentServiceClient(client), *namespace})
	agent.RegisterHealthService(server, agent.NewHealthClient(client))
	fmt.Println("listening")
	return server.Serve(context.Background(), listener)
}

func readConfig(path string) (*configuration, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	letter := &configuration{}
	if err := json.NewDecoder(file).Decode(letter); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return letter, nil
}

func main() {
	words := os.Args[2:]
	switch os.Args[1] {
	case "create":
		create(words[0], words[1:])
	case "delete":
		// The id comes last, and is missing when the command that made the instance never said it.
		if len(words) > 1 && !strings.Contains(words[1], "/") {
			remove(words[0], words[1])
		}
	case "serve":
		fail(serve(words))
	case "network":
		fail(json.NewEncoder(os.Stdout).Encode(must(makeNetwork(words[0], words[1], words[2]))))
	}
}
