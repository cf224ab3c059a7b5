// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"net"
	"runtime"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

type made struct {
	MTU       int    `json:"mtu"`
	Up        bool   `json:"up"`
	Address   string `json:"address"`
	Routes    int    `json:"routes"`
	Reachable bool   `json:"reachable"`
	// Frames sent into the tunnel, and frames that left the VM by its own interface meanwhile.
	Tunnelled uint64 `json:"tunnelled"`
	Left      uint64 `json:"left"`
}

// makeNetwork makes the letter's tunnel as upstream's forwarder does, with the library it uses: in the VM's namespace,
// which is the current one, then moved into the pod's. `primary` is the VM's own interface.
func makeNetwork(config, podNamespace, primary string) (result made, err error) {
	letter, err := readConfig(config)
	if err != nil {
		return
	}
	n := letter.PodNetwork
	if err = n.check(); err != nil {
		return
	}
	runtime.LockOSThread()
	host := must(netlink.NewHandle())
	defer host.Close()
	sent := func() uint64 { return must(host.LinkByName(primary)).Attrs().Statistics.TxPackets }
	before := sent()
	fail(host.LinkAdd(&netlink.Vxlan{
		LinkAttrs: netlink.LinkAttrs{Name: "vxlan0"},
		VxlanId:   n.VXLANID,
		Group:     n.WorkerNodeIP.Addr().AsSlice(),
		Port:      n.VXLANPort,
	}))
	pod := must(netns.GetFromName(podNamespace))
	defer pod.Close()
	fail(host.LinkSetNsFd(must(host.LinkByName("vxlan0")), int(pod)))
	inside := must(netlink.NewHandleAt(pod))
	defer inside.Close()
	device := must(inside.LinkByName("vxlan0"))
	fail(inside.LinkSetName(device, n.InterfaceName))
	fail(inside.LinkSetHardwareAddr(device, must(net.ParseMAC(n.PodHwAddr))))
	fail(inside.LinkSetMTU(device, min(n.MTU, 1450)))
	fail(inside.AddrAdd(device, must(netlink.ParseAddr(n.PodIP.String()))))
	fail(inside.LinkSetUp(device))
	if !n.PodIP.IsSingleIP() || len(n.Routes) > 0 {
		err = errors.New("routes are none of a tunnel that leads nowhere")
		return
	}

	// The kernel itself sends the first frames, to find its IPv6 neighbours.
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		device = must(inside.LinkByName(n.InterfaceName))
		if result.Tunnelled = device.Attrs().Statistics.TxPackets; result.Tunnelled > 0 {
			break
		}
	}
	result.MTU = device.Attrs().MTU
	result.Up = device.Attrs().Flags&net.FlagUp != 0
	result.Address = must(inside.AddrList(device, netlink.FAMILY_V4))[0].IPNet.String()
	result.Routes = len(must(inside.RouteList(device, netlink.FAMILY_V4)))
	fail(netns.Set(pod))
	_, dialled := net.Dial("udp", "198.51.100.1:9")
	result.Reachable = !errors.Is(dialled, syscall.ENETUNREACH)
	result.Left = sent() - before
	return
}
