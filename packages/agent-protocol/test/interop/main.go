// SPDX-License-Identifier: Apache-2.0

// Reads agent messages with the types the Go shim is built with. `fields` prints the fields of every message as
// JSON lines; without a word it takes CreateContainer requests as lines of hexadecimal and prints what it made of each.
package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"os"

	agent "github.com/kata-containers/kata-containers/src/runtime/virtcontainers/pkg/agent/protocols/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "github.com/kata-containers/kata-containers/src/runtime/protocols/hypervisor"
)

type reading struct {
	Error       bool              `json:"error"`
	Namespaces  [][2]string       `json:"namespaces"`
	Annotations map[string]string `json:"annotations"`
	// Everything else, written again in one fixed order.
	Rest string `json:"rest"`
}

func read(line []byte) reading {
	message := make([]byte, hex.DecodedLen(len(line)))
	if _, err := hex.Decode(message, line); err != nil {
		return reading{Error: true}
	}
	var request agent.CreateContainerRequest
	if proto.Unmarshal(message, &request) != nil {
		return reading{Error: true}
	}
	out := reading{Namespaces: [][2]string{}, Annotations: request.GetOCI().GetAnnotations()}
	for _, namespace := range request.GetOCI().GetLinux().GetNamespaces() {
		out.Namespaces = append(out.Namespaces, [2]string{namespace.GetType(), namespace.GetPath()})
	}
	if oci := request.GetOCI(); oci != nil {
		oci.Annotations = nil
		if oci.Linux != nil {
			oci.Linux.Namespaces = nil
		}
	}
	rest, err := proto.MarshalOptions{Deterministic: true}.Marshal(&request)
	if err != nil {
		return reading{Error: true}
	}
	out.Rest = hex.EncodeToString(rest)
	return out
}

type field struct {
	Message string `json:"message"`
	Name    string `json:"name"`
	Number  int    `json:"number"`
	Kind    string `json:"kind"`
	List    bool   `json:"list"`
	Map     bool   `json:"map"`
}

func printFields(out *json.Encoder, messages protoreflect.MessageDescriptors) {
	for i := 0; i < messages.Len(); i++ {
		message := messages.Get(i)
		if message.IsMapEntry() {
			continue
		}
		for j := 0; j < message.Fields().Len(); j++ {
			f := message.Fields().Get(j)
			line := field{string(message.FullName()), string(f.Name()), int(f.Number()), f.Kind().String(), f.IsList(), f.IsMap()}
			if err := out.Encode(line); err != nil {
				os.Exit(1)
			}
		}
		printFields(out, message.Messages())
	}
}

func main() {
	out := json.NewEncoder(os.Stdout)
	if len(os.Args) > 1 && os.Args[1] == "fields" {
		protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
			printFields(out, file.Messages())
			return true
		})
		return
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		if err := out.Encode(read(lines.Bytes())); err != nil {
			os.Exit(1)
		}
	}
}
