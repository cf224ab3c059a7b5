// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/containerd/ttrpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const service = "interop.Test"

type unmarshal = func(interface{}) error

// methods answers single requests; every message is a google.protobuf.StringValue.
func methods() map[string]ttrpc.Method {
	return map[string]ttrpc.Method{
		"Say": func(_ context.Context, read unmarshal) (interface{}, error) {
			var in wrapperspb.StringValue
			if err := read(&in); err != nil {
				return nil, err
			}
			return &in, nil
		},
		"Fail": func(context.Context, unmarshal) (interface{}, error) {
			return nil, status.Error(codes.NotFound, "no such thing")
		},
		"Plain": func(context.Context, unmarshal) (interface{}, error) {
			return nil, errors.New("a plain error")
		},
		"Wait": func(ctx context.Context, _ unmarshal) (interface{}, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
		"Deadline": func(ctx context.Context, _ unmarshal) (interface{}, error) {
			at, ok := ctx.Deadline()
			if !ok {
				return wrapperspb.String("none"), nil
			}
			return wrapperspb.String(fmt.Sprint(time.Until(at).Milliseconds())), nil
		},
		"Metadata": func(ctx context.Context, _ unmarshal) (interface{}, error) {
			md, _ := ttrpc.GetMetadata(ctx)
			values, _ := md.Get("trace")
			return wrapperspb.String(strings.Join(values, ",")), nil
		},
	}
}

// echo is the part of the vectors' service that needs no streams. An empty message keeps the bytes it does not know,
// which makes it a message of bare bytes for those that happen to be valid protobuf.
func echo() map[string]ttrpc.Method {
	return map[string]ttrpc.Method{
		"Say": func(_ context.Context, read unmarshal) (interface{}, error) {
			var in emptypb.Empty
			if err := read(&in); err != nil {
				return nil, err
			}
			return &in, nil
		},
		"Wait": func(ctx context.Context, _ unmarshal) (interface{}, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
		"Fail": func(context.Context, unmarshal) (interface{}, error) {
			return nil, errors.New("the handler gave up")
		},
	}
}

func streams() map[string]ttrpc.Stream {
	return map[string]ttrpc.Stream{
		"Join": {StreamingClient: true, Handler: func(_ context.Context, s ttrpc.StreamServer) (interface{}, error) {
			joined := ""
			for {
				var in wrapperspb.StringValue
				if err := s.RecvMsg(&in); errors.Is(err, io.EOF) {
					return wrapperspb.String(joined), nil
				} else if err != nil {
					return nil, err
				}
				joined += in.Value
			}
		}},
		"Split": {StreamingServer: true, Handler: func(_ context.Context, s ttrpc.StreamServer) (interface{}, error) {
			var in wrapperspb.StringValue
			if err := s.RecvMsg(&in); err != nil {
				return nil, err
			}
			for _, letter := range in.Value {
				if letter == '!' {
					return nil, status.Error(codes.OutOfRange, "no further")
				}
				if err := s.SendMsg(wrapperspb.String(string(letter))); err != nil {
					return nil, err
				}
			}
			return nil, nil
		}},
		"Repeat": {StreamingClient: true, StreamingServer: true, Handler: func(_ context.Context, s ttrpc.StreamServer) (interface{}, error) {
			for {
				var in wrapperspb.StringValue
				if err := s.RecvMsg(&in); errors.Is(err, io.EOF) {
					return nil, nil
				} else if err != nil {
					return nil, err
				}
				if err := s.SendMsg(&in); err != nil {
					return nil, err
				}
			}
		}},
	}
}

func serve(path string) error {
	server, err := ttrpc.NewServer()
	if err != nil {
		return err
	}
	server.RegisterService("test.Echo", &ttrpc.ServiceDesc{Methods: echo()})
	server.RegisterService(service, &ttrpc.ServiceDesc{Methods: methods(), Streams: streams()})
	listener, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	fmt.Println("listening")
	return server.Serve(context.Background(), listener)
}
