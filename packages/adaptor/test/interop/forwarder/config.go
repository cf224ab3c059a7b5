// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
)

// configuration is apf.json with the Go types it is read into: an address that is none fails to decode.
type configuration struct {
	PodNetwork   *podNetwork `json:"pod-network"`
	PodNamespace string      `json:"pod-namespace"`
	PodName      string      `json:"pod-name"`
	ServerKey    string      `json:"tls-server-key,omitempty"`
	ServerCert   string      `json:"tls-server-cert,omitempty"`
	ClientCA     string      `json:"tls-client-ca,omitempty"`
	MinVersion   string      `json:"tls-min-version,omitempty"`
	CipherSuites []string    `json:"tls-cipher-suites,omitempty"`
}

type podNetwork struct {
	PodIP         netip.Prefix `json:"podip"`
	PodHwAddr     string       `json:"pod-hw-addr"`
	InterfaceName string       `json:"interface"`
	WorkerNodeIP  netip.Prefix `json:"worker-node-ip"`
	TunnelType    string       `json:"tunnel-type"`
	Routes        []struct {
		Dst netip.Prefix `json:"dst"`
		GW  netip.Addr   `json:"gw"`
		Dev string       `json:"dev"`
	} `json:"routes"`
	Neighbors []struct {
		IP netip.Addr `json:"ip"`
	} `json:"neighbors"`
	MTU                 int  `json:"mtu"`
	Index               int  `json:"index"`
	VXLANPort           int  `json:"vxlan-port,omitempty"`
	VXLANID             int  `json:"vxlan-id,omitempty"`
	Dedicated           bool `json:"dedicated"`
	ExternalNetViaPodVM bool `json:"external-net-via-pod-vm"`
}

// check is what has to be there before a tunnel can be made; without it upstream's forwarder ends before it listens.
func (n *podNetwork) check() error {
	switch {
	case n == nil:
		return errors.New("no pod-network: upstream's forwarder would crash here")
	case n.TunnelType != "vxlan":
		return fmt.Errorf("unknown tunnel type: %q", n.TunnelType)
	case n.InterfaceName == "":
		return errors.New("no interface")
	case !n.WorkerNodeIP.IsValid():
		return errors.New("no worker-node-ip")
	case !n.PodIP.IsValid():
		return errors.New("no podip")
	case n.Dedicated:
		return errors.New("the primary interface is no dedicated one")
	}
	_, err := net.ParseMAC(n.PodHwAddr)
	return err
}

type tlsFiles struct{ ca, cert, key string }

// secured serves TLS with the pair and the anchors of the flags, else of the letter. Unlike upstream's it has no way to
// serve without anchors.
func secured(listener net.Listener, letter *configuration, files tlsFiles) (net.Listener, error) {
	cert, key, ca := []byte(letter.ServerCert), []byte(letter.ServerKey), []byte(letter.ClientCA)
	var err error
	if files.cert != "" && files.key != "" {
		if cert, err = os.ReadFile(files.cert); err != nil {
			return nil, err
		}
		if key, err = os.ReadFile(files.key); err != nil {
			return nil, err
		}
	}
	if files.ca != "" {
		if ca, err = os.ReadFile(files.ca); err != nil {
			return nil, err
		}
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	anchors := x509.NewCertPool()
	if !anchors.AppendCertsFromPEM(ca) {
		return nil, errors.New("no anchor for clients")
	}
	config := &tls.Config{
		Certificates: []tls.Certificate{pair},
		ClientCAs:    anchors,
		ClientAuth:   tls.RequireAndVerifyClientCert,
		MinVersion:   tls.VersionTLS12,
	}
	switch letter.MinVersion {
	case "", "VersionTLS12":
	case "VersionTLS13":
		config.MinVersion = tls.VersionTLS13
	default:
		return nil, fmt.Errorf("invalid minVersion %q", letter.MinVersion)
	}
	if len(letter.CipherSuites) > 0 {
		// Go gives no choice among the suites of TLS 1.3: a list is about 1.2, which is then spoken, so that it counts.
		config.MaxVersion = tls.VersionTLS12
		for _, name := range letter.CipherSuites {
			id, err := suite(name)
			if err != nil {
				return nil, err
			}
			config.CipherSuites = append(config.CipherSuites, id)
		}
	}
	return tls.NewListener(listener, config), nil
}

func suite(name string) (uint16, error) {
	for _, one := range tls.CipherSuites() {
		if one.Name == name {
			return one.ID, nil
		}
	}
	return 0, fmt.Errorf("invalid cipherSuites: %q", name)
}
