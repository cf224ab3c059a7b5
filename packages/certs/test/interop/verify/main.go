// SPDX-License-Identifier: Apache-2.0

// verify reads a server pair, a client pair and both ends' anchors from the working directory, verifies the leaves
// with crypto/x509, and makes a mutual handshake with crypto/tls. Its argument says whether the client is to be
// accepted or refused.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: verify accept|refuse")
		os.Exit(2)
	}
	version, err := run()
	if os.Args[1] == "refuse" {
		if err == nil {
			fmt.Fprintln(os.Stderr, "the client was accepted")
			os.Exit(1)
		}
		fmt.Println("refused:", err)
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("accepted over", tls.VersionName(version))
}

func run() (uint16, error) {
	serverRoots, err := pool("ca.crt")
	if err != nil {
		return 0, err
	}
	clientRoots, err := pool("client-ca.crt")
	if err != nil {
		return 0, err
	}
	for _, name := range []string{"podvm-x-1", "127.0.0.1"} {
		err = verify("server.crt", x509.VerifyOptions{DNSName: name, Roots: serverRoots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
		if err != nil {
			return 0, fmt.Errorf("server as %s: %w", name, err)
		}
	}
	err = verify("client.crt", x509.VerifyOptions{Roots: clientRoots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return 0, fmt.Errorf("client: %w", err)
	}
	return handshake(serverRoots, clientRoots)
}

func pool(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	anchors := x509.NewCertPool()
	if !anchors.AppendCertsFromPEM(text) {
		return nil, errors.New("no certificate in " + file)
	}
	return anchors, nil
}

func verify(file string, options x509.VerifyOptions) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	block, rest := pem.Decode(text)
	if block == nil || len(rest) > 0 {
		return errors.New(file + " is not one PEM block")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err
	}
	_, err = leaf.Verify(options)
	return err
}

func handshake(serverRoots, clientRoots *x509.CertPool) (uint16, error) {
	serverPair, err := tls.LoadX509KeyPair("server.crt", "server.key")
	if err != nil {
		return 0, err
	}
	clientPair, err := tls.LoadX509KeyPair("client.crt", "client.key")
	if err != nil {
		return 0, err
	}
	near, far := net.Pipe()
	server := tls.Server(near, &tls.Config{Certificates: []tls.Certificate{serverPair}, ClientCAs: clientRoots, ClientAuth: tls.RequireAndVerifyClientCert})
	client := tls.Client(far, &tls.Config{Certificates: []tls.Certificate{clientPair}, RootCAs: serverRoots, ServerName: "podvm-x-1"})
	done := make(chan error, 1)
	go func() {
		_, err := server.Write([]byte("x"))
		done <- err
		server.Close()
	}()
	_, err = io.ReadFull(client, make([]byte, 1))
	if err != nil {
		return 0, err
	}
	return client.ConnectionState().Version, <-done
}
