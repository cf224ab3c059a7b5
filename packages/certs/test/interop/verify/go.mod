module peerpod-tls/certs/interop/verify

go 1.21
