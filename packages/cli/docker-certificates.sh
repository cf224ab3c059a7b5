#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The certificates of manual mode, made with openssl as docs/certificates.md tells it: one CA, a server pair for the
# image of pod VMs, a client pair for the adaptor. Sets that are good for another day are left as they are.
# Usage: docker-certificates.sh DIRECTORY-FOR-PODVM DIRECTORY-FOR-ADAPTOR
set -eu
umask 077

podvm=$1
adaptor=$2
if openssl x509 -checkend 86400 -noout -in "$podvm/tls.crt" 2>/dev/null &&
  openssl verify -CAfile "$adaptor/ca.crt" "$podvm/tls.crt" "$adaptor/client.crt" >/dev/null 2>&1; then
  echo 'the certificates are good for another day'
  exit 0
fi

cd "$adaptor"
openssl req -newkey rsa:2048 -new -nodes -x509 -days 30 -out ca.crt -keyout /tmp/ca.key \
  -subj '/O=compose/CN=podvm_root_ca'

# issue NAME DIRECTORY FILE USAGE
issue() {
  openssl genrsa -out "$2/$3.key" 2048
  openssl req -new -key "$2/$3.key" -out /tmp/request.csr -subj "/O=compose/CN=$1"
  printf '%s\n' "subjectAltName=DNS:$1" "extendedKeyUsage=$4" 'keyUsage=critical,digitalSignature' >/tmp/extensions
  openssl x509 -req -in /tmp/request.csr -extfile /tmp/extensions -CA ca.crt -CAkey /tmp/ca.key -CAcreateserial \
    -CAserial /tmp/serial -days 30 -out "$2/$3.crt"
}
issue podvm-server "$podvm" tls serverAuth
issue podvm_client "$adaptor" client clientAuth
cp ca.crt "$podvm/ca.crt"
# Nobody signs with it again.
rm -f /tmp/ca.key
echo "made: $podvm/tls.crt tls.key ca.crt, $adaptor/client.crt client.key ca.crt"
