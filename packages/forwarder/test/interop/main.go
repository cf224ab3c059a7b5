// SPDX-License-Identifier: Apache-2.0

// An adaptor in Go, with the TLS, ttrpc and message types that upstream's is built on. `prepare DIR` makes certificates
// in upstream's shape and the apf.json for a pod VM; `call ADDRESS DIR WHO VERSION` dials a forwarder and drives the
// agent behind it. Results are JSON on stdout.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/ttrpc"
	agent "github.com/kata-containers/kata-containers/src/runtime/virtcontainers/pkg/agent/protocols/grpc"
)

const serverName = "podvm-nginx-0123abcd"

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

// Upstream gives CA and leaves the same key usage, and the client is its own anchor.
func certificate(organization, name string, usage x509.ExtKeyUsage, isCA bool, issuer *x509.Certificate, issuerKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	serial := must(rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 128)))
	start := time.Now().Add(-5 * time.Minute).UTC()
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{Organization: []string{organization}, CommonName: name},
		NotBefore:             start,
		NotAfter:              start.Add(17520 * time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{usage},
		BasicConstraintsValid: true,
		IsCA:                  isCA,
	}
	if name != "" {
		template.DNSNames = []string{name}
	}
	if issuer == nil {
		issuer, issuerKey = template, key
	}
	der := must(x509.CreateCertificate(rand.Reader, template, issuer, &key.PublicKey, issuerKey))
	return must(x509.ParseCertificate(der)), key
}

func certPEM(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

func keyPEM(key *ecdsa.PrivateKey) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(key))}))
}

func write(dir, name, text string) {
	must(0, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
}

func prepare(dir string) {
	ca, caKey := certificate("agent-protocol-forwarder", "", x509.ExtKeyUsageServerAuth, true, nil, nil)
	server, serverKey := certificate("agent-protocol-forwarder", serverName, x509.ExtKeyUsageServerAuth, false, ca, caKey)
	write(dir, "ca.crt", certPEM(ca))
	for _, who := range []string{"adaptor", "stranger"} {
		client, key := certificate("cloud-api-adaptor", "", x509.ExtKeyUsageClientAuth, false, nil, nil)
		write(dir, who+".crt", certPEM(client))
		write(dir, who+".key", keyPEM(key))
	}
	config := struct {
		PodNetwork   map[string]any `json:"pod-network"`
		PodNamespace string         `json:"pod-namespace"`
		PodName      string         `json:"pod-name"`
		Key          string         `json:"tls-server-key,omitempty"`
		Cert         string         `json:"tls-server-cert,omitempty"`
		ClientCA     string         `json:"tls-client-ca,omitempty"`
		MinVersion   string         `json:"tls-min-version,omitempty"`
	}{map[string]any{"podip": "", "routes": nil}, "default", "nginx<&>", keyPEM(serverKey), certPEM(server),
		string(must(os.ReadFile(filepath.Join(dir, "adaptor.crt")))), "VersionTLS12"}
	write(dir, "apf.json", string(must(json.MarshalIndent(config, "", "    "))))
}

type outcome struct {
	Version  string `json:"version"`
	Serving  bool   `json:"serving"`
	Agent    string `json:"agent"`
	Answered int    `json:"answered"`
	Blocked  bool   `json:"blocked"`
	Failure  string `json:"failure"`
}

func call(address, dir, who, version string) (result outcome) {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(must(os.ReadFile(filepath.Join(dir, "ca.crt"))))
	pair := must(tls.LoadX509KeyPair(filepath.Join(dir, who+".crt"), filepath.Join(dir, who+".key")))
	config := &tls.Config{RootCAs: roots, ServerName: serverName, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if version == "1.2" {
		config.MaxVersion = tls.VersionTLS12
	}
	conn, err := tls.Dial("tcp", address, config)
	if err != nil {
		result.Failure = err.Error()
		return
	}
	result.Version = tls.VersionName(conn.ConnectionState().Version)
	client := ttrpc.NewClient(conn)
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	health := agent.NewHealthClient(client)
	check, err := health.Check(ctx, &agent.CheckRequest{})
	if err != nil {
		result.Failure = err.Error()
		return
	}
	result.Serving = check.GetStatus() == agent.HealthCheckResponse_SERVING
	result.Agent = must(health.Version(ctx, &agent.CheckRequest{})).GetAgentVersion()
	service := agent.NewAgentServiceClient(client)
	must(service.CreateContainer(ctx, &agent.CreateContainerRequest{
		ContainerId: "from-go",
		OCI: &agent.Spec{
			Hostname: "nginx",
			Linux:    &agent.Linux{Namespaces: []*agent.LinuxNamespace{{Type: "mount"}}},
		},
	}))
	waiting, stop := context.WithTimeout(ctx, 200*time.Millisecond)
	defer stop()
	blocked := make(chan error, 1)
	go func() {
		_, err := service.WaitProcess(waiting, &agent.WaitProcessRequest{ContainerId: "from-go"})
		blocked <- err
	}()
	answers := make(chan error, 64)
	for i := 0; i < 64; i++ {
		go func() {
			_, err := health.Check(ctx, &agent.CheckRequest{})
			answers <- err
		}()
	}
	for i := 0; i < 64; i++ {
		if <-answers == nil {
			result.Answered++
		}
	}
	result.Blocked = <-blocked != nil
	return
}

func main() {
	if os.Args[1] == "prepare" {
		prepare(os.Args[2])
		return
	}
	must(0, json.NewEncoder(os.Stdout).Encode(call(os.Args[2], os.Args[3], os.Args[4], os.Args[5])))
}
