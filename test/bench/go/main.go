// SPDX-License-Identifier: Apache-2.0

// Go side of the benchmarks: an echo agent, a load that plays the shim, a pair of proxies that decode each call and make
// it again, and a client that only shakes hands. Prints one JSON line per measurement.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/ttrpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	service = "grpc.AgentService"
	method  = "ExecProcess"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// serve answers every call with `answer`.
func serve(listener net.Listener, answer func(context.Context, *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error)) {
	server, err := ttrpc.NewServer()
	check(err)
	server.RegisterService(service, &ttrpc.ServiceDesc{Methods: map[string]ttrpc.Method{
		method: func(ctx context.Context, unmarshal func(any) error) (any, error) {
			var request wrapperspb.BytesValue
			if err := unmarshal(&request); err != nil {
				return nil, err
			}
			return answer(ctx, &request)
		},
	}})
	fmt.Println("ready")
	check(server.Serve(context.Background(), listener))
}

func agent(args []string) {
	flags := flag.NewFlagSet("agent", flag.ExitOnError)
	socket := flags.String("socket", "", "Unix socket to serve")
	check(flags.Parse(args))
	listener, err := net.Listen("unix", *socket)
	check(err)
	serve(listener, func(_ context.Context, request *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error) {
		return request, nil
	})
}

func load(args []string) {
	flags := flag.NewFlagSet("load", flag.ExitOnError)
	socket := flags.String("socket", "", "Unix socket to call")
	concurrency := flags.Int("concurrency", 1, "calls under way at once")
	sizeList := flags.String("size", "128", "bytes in a request and in its answer; several with commas between, in turn")
	seconds := flags.Float64("seconds", 2, "how long to count")
	warmup := flags.Float64("warmup", 0.3, "how long to call before counting, in seconds")
	check(flags.Parse(args))
	connection, err := net.Dial("unix", *socket)
	check(err)
	client := ttrpc.NewClient(connection)
	var payloads [][]byte
	for _, text := range strings.Split(*sizeList, ",") {
		size, err := strconv.Atoi(text)
		check(err)
		payloads = append(payloads, make([]byte, size))
	}
	calls, bytes := atomic.Int64{}, atomic.Int64{}
	counting := atomic.Bool{}
	done := atomic.Bool{}
	samples := make([][]time.Duration, *concurrency)
	var group sync.WaitGroup
	for worker := 0; worker < *concurrency; worker++ {
		group.Add(1)
		go func(worker int) {
			defer group.Done()
			for !done.Load() {
				var answer wrapperspb.BytesValue
				payload := payloads[int(calls.Add(1)-1)%len(payloads)]
				bytes.Add(int64(len(payload)))
				begun := time.Now()
				check(client.Call(context.Background(), service, method, &wrapperspb.BytesValue{Value: payload}, &answer))
				if len(answer.Value) != len(payload) {
					check(fmt.Errorf("answer of %d bytes to a call of %d", len(answer.Value), len(payload)))
				}
				if counting.Load() {
					samples[worker] = append(samples[worker], time.Since(begun))
				}
			}
		}(worker)
	}
	time.Sleep(time.Duration(*warmup * float64(time.Second)))
	counting.Store(true)
	begun := time.Now()
	time.Sleep(time.Duration(*seconds * float64(time.Second)))
	counting.Store(false)
	elapsed := time.Since(begun).Seconds()
	done.Store(true)
	group.Wait()
	var all []time.Duration
	for _, part := range samples {
		all = append(all, part...)
	}
	sort.Slice(all, func(a, b int) bool { return all[a] < all[b] })
	at := func(part float64) float64 { return float64(all[int(part*float64(len(all)-1))].Nanoseconds()) / 1e3 }
	if len(all) == 0 {
		check(fmt.Errorf("no call ended within %v seconds", *seconds))
	}
	print(map[string]any{"rps": float64(len(all)) / elapsed, "p50us": at(0.5), "p90us": at(0.9), "p99us": at(0.99), "maxus": at(1), "calls": calls.Load(), "bytes": bytes.Load()})
}

func print(value any) {
	line, err := json.Marshal(value)
	check(err)
	fmt.Println(string(line))
}

// material reads a pair and a bundle.
func material(cert, key, ca string) (tls.Certificate, *x509.CertPool) {
	pair, err := tls.LoadX509KeyPair(cert, key)
	check(err)
	text, err := os.ReadFile(ca)
	check(err)
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		check(fmt.Errorf("no certificate in %s", ca))
	}
	return pair, pool
}

func pairFront(args []string) {
	flags := flag.NewFlagSet("pair-front", flag.ExitOnError)
	socket := flags.String("socket", "", "Unix socket to serve")
	dial := flags.String("dial", "", "host:port of the other half")
	cert, key, ca := flags.String("cert", "", ""), flags.String("key", "", ""), flags.String("ca", "", "")
	name := flags.String("name", "", "server name to expect")
	check(flags.Parse(args))
	pair, pool := material(*cert, *key, *ca)
	connection, err := tls.Dial("tcp", *dial, &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool, ServerName: *name, MinVersion: tls.VersionTLS13})
	check(err)
	listener, err := net.Listen("unix", *socket)
	check(err)
	again(listener, ttrpc.NewClient(connection))
}

func pairBack(args []string) {
	flags := flag.NewFlagSet("pair-back", flag.ExitOnError)
	listen := flags.String("listen", "", "host:port to serve")
	socket := flags.String("agent", "", "Unix socket of the agent")
	cert, key, ca := flags.String("cert", "", ""), flags.String("key", "", ""), flags.String("ca", "", "")
	check(flags.Parse(args))
	pair, pool := material(*cert, *key, *ca)
	listener, err := tls.Listen("tcp", *listen, &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true})
	check(err)
	connection, err := net.Dial("unix", *socket)
	check(err)
	again(listener, ttrpc.NewClient(connection))
}

// again decodes each call and makes it once more on `client`.
func again(listener net.Listener, client *ttrpc.Client) {
	serve(listener, func(ctx context.Context, request *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error) {
		var answer wrapperspb.BytesValue
		if err := client.Call(ctx, service, method, request, &answer); err != nil {
			return nil, err
		}
		return &answer, nil
	})
}

func handshakes(args []string) {
	flags := flag.NewFlagSet("handshakes", flag.ExitOnError)
	dial := flags.String("dial", "", "host:port to dial")
	count := flags.Int("count", 500, "handshakes to make, one after another")
	cert, key, ca := flags.String("cert", "", ""), flags.String("key", "", ""), flags.String("ca", "", "")
	name := flags.String("name", "", "server name to expect")
	check(flags.Parse(args))
	pair, pool := material(*cert, *key, *ca)
	config := &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool, ServerName: *name, MinVersion: tls.VersionTLS13}
	begun := time.Now()
	for i := 0; i < *count; i++ {
		connection, err := tls.Dial("tcp", *dial, config)
		check(err)
		check(connection.CloseWrite())
		// The server has judged the client once it closes its side.
		check(connection.SetReadDeadline(time.Now().Add(5 * time.Second)))
		_, err = connection.Read(make([]byte, 1))
		if err != nil && err != io.EOF {
			if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
				check(fmt.Errorf("the server did not close: %w", err))
			}
		}
		connection.Close()
	}
	print(map[string]any{"count": *count, "seconds": time.Since(begun).Seconds()})
}

// issue makes keys and certificates the way a Go authority would: key, signature, both files written and synced.
func issue(args []string) {
	flags := flag.NewFlagSet("issue", flag.ExitOnError)
	folder := flags.String("folder", "", "where the files go")
	count := flags.Int("count", 300, "certificates to make")
	check(flags.Parse(args))
	authority, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	root := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	begun := time.Now()
	for i := 0; i < *count; i++ {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		check(err)
		leaf := &x509.Certificate{SerialNumber: big.NewInt(int64(i + 2)), NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"podvm-bench"}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
		der, err := x509.CreateCertificate(rand.Reader, leaf, root, &key.PublicKey, authority)
		check(err)
		private, err := x509.MarshalPKCS8PrivateKey(key)
		check(err)
		text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)
		writeSynced(fmt.Sprintf("%s/go-%d.pem", *folder, i), text)
	}
	print(map[string]any{"count": *count, "seconds": time.Since(begun).Seconds()})
}

func writeSynced(path string, text []byte) {
	file, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	check(err)
	_, err = file.Write(text)
	check(err)
	check(file.Sync())
	check(file.Close())
	check(os.Rename(path+".tmp", path))
}

func main() {
	commands := map[string]func([]string){
		"agent": agent, "load": load, "pair-front": pairFront, "pair-back": pairBack, "handshakes": handshakes, "issue": issue,
	}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		check(fmt.Errorf("usage: bench agent|load|pair-front|pair-back|handshakes|issue [flags]"))
	}
	commands[os.Args[1]](os.Args[2:])
}
