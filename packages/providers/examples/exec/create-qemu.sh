#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes a pod VM with qemu: the disk of PEERPOD_IMAGE, which stays as it is, and the user-data on a NoCloud disk. It is
# reached on a loopback address of its own, and reaches nothing itself. delete.sh and list.sh go with it.
#
# Needs qemu-system-x86_64 and genisoimage. The kernel and initrd are those beside the image: vmlinuz, initrd.img or
# initrd; with neither, the image boots by itself.
set -eu
umask 077
here=$(dirname "$(readlink -f "$0")")
. "$here/common.sh"

image=${PEERPOD_IMAGE:?is the disk of the pod VMs}
port=${PEERPOD_FORWARDER_PORT:-15150}
# Where the forwarder listens in the guest, which is the image's affair.
guest_port=${PEERPOD_GUEST_PORT:-15150}
document=$(cat)
id=$(machine_of "$(field owner)" "$(field token)")
dir=$state/$id
begin_machine

mkdir "$dir/seed"
field userData >"$dir/seed/user-data"
printf 'instance-id: %s\nlocal-hostname: %s\n' "$id" "$(cat "$dir/name")" >"$dir/seed/meta-data"
genisoimage -quiet -volid cidata -joliet -rock -output "$dir/seed.iso" "$dir/seed" || fail "no seed disk was made"
rm -r "$dir/seed"

vcpus=$(number vcpus)
memory=$(number memoryMiB)
format=raw
[ "$(head -c 3 "$image")" != QFI ] || format=qcow2
set --
boot=$(dirname "$(readlink -f "$image")")
if [ -f "$boot/vmlinuz" ]; then
  set -- -kernel "$boot/vmlinuz" -append 'root=/dev/vda rw console=ttyS0 quiet panic=-1 net.ifnames=0'
  for initrd in "$boot/initrd.img" "$boot/initrd"; do
    [ ! -f "$initrd" ] || set -- "$@" -initrd "$initrd"
  done
fi
address=$(reserve_address "$id")

# qemu returns when it has opened everything; its own words would hold our standard output open.
start() {
  qemu-system-x86_64 -name "$id" -nodefaults -no-user-config -display none -no-reboot -daemonize -machine pc "$@" \
    -smp "$([ "$vcpus" -gt 0 ] && echo "$vcpus" || echo 1)" \
    -m "$([ "$memory" -gt 0 ] && echo "$memory" || echo 1024)" \
    -drive "file=$image,if=virtio,format=$format,snapshot=on,cache=unsafe" \
    -drive "file=$dir/seed.iso,if=virtio,format=raw,readonly=on" \
    -netdev "user,id=net,restrict=on,hostfwd=tcp:$address:$port-:$guest_port" -device virtio-net-pci,netdev=net,romfile= \
    -device virtio-rng-pci -serial "file:$dir/console.log" </dev/null >>"$dir/qemu.log" 2>&1
}

# A machine may offer KVM and not be able to run anything with it; emulation always can.
if ! { [ -w /dev/kvm ] && start -accel kvm -cpu host "$@"; }; then
  start -accel tcg,thread=multi -cpu max "$@" || {
    tail -n 5 "$dir/qemu.log" >&2
    fail "qemu did not start"
  }
fi
# qemu has it open; no name of it has to stay.
rm "$dir/seed.iso"
finish_machine "$address"
