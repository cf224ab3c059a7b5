module peerpod-tls.test/forwarder-interop

go 1.23.0

require (
	github.com/containerd/ttrpc v1.2.7
	github.com/kata-containers/kata-containers/src/runtime v0.0.0-20250627024506-a43e06e0ebd5
)

require (
	github.com/containerd/log v0.1.0 // indirect
	github.com/golang/protobuf v1.5.4 // indirect
	github.com/opencontainers/runtime-spec v1.2.0 // indirect
	github.com/sirupsen/logrus v1.9.3 // indirect
	golang.org/x/sys v0.31.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20240401170217-c3f982113cda // indirect
	google.golang.org/grpc v1.62.0 // indirect
	google.golang.org/protobuf v1.35.2 // indirect
)
