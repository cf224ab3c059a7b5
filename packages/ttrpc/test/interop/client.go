// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/containerd/ttrpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func call(ctx context.Context, c *ttrpc.Client, method, text string) (string, error) {
	var out wrapperspb.StringValue
	err := c.Call(ctx, service, method, wrapperspb.String(text), &out)
	return out.Value, err
}

func wantStatus(err error, code codes.Code, text string) error {
	st, ok := status.FromError(err)
	if !ok || st.Code() != code || !strings.Contains(st.Message(), text) {
		return fmt.Errorf("got %v, want %v %q", err, code, text)
	}
	return nil
}

func wantText(got string, err error, want string) error {
	if err != nil || got != want {
		return fmt.Errorf("got %q, %v, want %q", shorten(got), err, shorten(want))
	}
	return nil
}

func shorten(text string) string {
	if len(text) > 60 {
		return fmt.Sprintf("%s… (%d bytes)", text[:60], len(text))
	}
	return text
}

func receiveAll(s ttrpc.ClientStream) (string, error) {
	got := ""
	for {
		var m wrapperspb.StringValue
		if err := s.RecvMsg(&m); errors.Is(err, io.EOF) {
			return got, nil
		} else if err != nil {
			return got, err
		}
		got += m.Value
	}
}

var checks = []struct {
	name string
	run  func(ctx context.Context, c *ttrpc.Client) error
}{
	{"a unary call", func(ctx context.Context, c *ttrpc.Client) error {
		got, err := call(ctx, c, "Say", "hello")
		return wantText(got, err, "hello")
	}},
	{"an empty message", func(ctx context.Context, c *ttrpc.Client) error {
		got, err := call(ctx, c, "Say", "")
		return wantText(got, err, "")
	}},
	{"a message of 4 MB", func(ctx context.Context, c *ttrpc.Client) error {
		text := strings.Repeat("x", 4_000_000)
		got, err := call(ctx, c, "Say", text)
		return wantText(got, err, text)
	}},
	{"a status", func(ctx context.Context, c *ttrpc.Client) error {
		_, err := call(ctx, c, "Fail", "")
		return wantStatus(err, codes.NotFound, "no such thing")
	}},
	{"a plain error", func(ctx context.Context, c *ttrpc.Client) error {
		_, err := call(ctx, c, "Plain", "")
		return wantStatus(err, codes.Unknown, "a plain error")
	}},
	{"an unknown method", func(ctx context.Context, c *ttrpc.Client) error {
		_, err := call(ctx, c, "Nope", "")
		return wantStatus(err, codes.Unimplemented, "method Nope")
	}},
	{"an unknown service", func(ctx context.Context, c *ttrpc.Client) error {
		err := c.Call(ctx, "no.Such", "Say", wrapperspb.String(""), &wrapperspb.StringValue{})
		return wantStatus(err, codes.Unimplemented, "service no.Such")
	}},
	{"a deadline that travels", func(ctx context.Context, c *ttrpc.Client) error {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		got, err := call(ctx, c, "Deadline", "")
		if ms, e := strconv.Atoi(got); err != nil || e != nil || ms < 50_000 || ms > 60_000 {
			return fmt.Errorf("got %q, %v", got, err)
		}
		return nil
	}},
	{"no deadline", func(ctx context.Context, c *ttrpc.Client) error {
		got, err := call(ctx, c, "Deadline", "")
		return wantText(got, err, "none")
	}},
	{"a deadline that passes", func(ctx context.Context, c *ttrpc.Client) error {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		defer cancel()
		_, err := call(ctx, c, "Wait", "")
		if errors.Is(err, context.DeadlineExceeded) {
			return nil
		}
		return wantStatus(err, codes.DeadlineExceeded, "")
	}},
	{"metadata", func(ctx context.Context, c *ttrpc.Client) error {
		md := ttrpc.MD{}
		md.Set("trace", "one", "two")
		got, err := call(ttrpc.WithMetadata(ctx, md), c, "Metadata", "")
		return wantText(got, err, "one,two")
	}},
	{"a thousand calls at once", func(ctx context.Context, c *ttrpc.Client) error {
		var wait sync.WaitGroup
		failures := make(chan error, 1000)
		for i := 0; i < 1000; i++ {
			i := i
			wait.Add(1)
			go func() {
				defer wait.Done()
				want := strconv.Itoa(i)
				got, err := call(ctx, c, "Say", want)
				if e := wantText(got, err, want); e != nil {
					failures <- e
				}
			}()
		}
		wait.Wait()
		close(failures)
		return <-failures
	}},
	{"a client stream", func(ctx context.Context, c *ttrpc.Client) error {
		s, err := c.NewStream(ctx, &ttrpc.StreamDesc{StreamingClient: true}, service, "Join", nil)
		if err != nil {
			return err
		}
		for i := 0; i < 100; i++ {
			if err := s.SendMsg(wrapperspb.String("x")); err != nil {
				return err
			}
		}
		if err := s.CloseSend(); err != nil {
			return err
		}
		var out wrapperspb.StringValue
		err = s.RecvMsg(&out)
		return wantText(out.Value, err, strings.Repeat("x", 100))
	}},
	{"a server stream", func(ctx context.Context, c *ttrpc.Client) error {
		s, err := c.NewStream(ctx, &ttrpc.StreamDesc{StreamingServer: true}, service, "Split", wrapperspb.String("abc"))
		if err != nil {
			return err
		}
		got, err := receiveAll(s)
		return wantText(got, err, "abc")
	}},
	{"a server stream of nothing", func(ctx context.Context, c *ttrpc.Client) error {
		s, err := c.NewStream(ctx, &ttrpc.StreamDesc{StreamingServer: true}, service, "Split", wrapperspb.String(""))
		if err != nil {
			return err
		}
		got, err := receiveAll(s)
		return wantText(got, err, "")
	}},
	{"a server stream that fails midway", func(ctx context.Context, c *ttrpc.Client) error {
		s, err := c.NewStream(ctx, &ttrpc.StreamDesc{StreamingServer: true}, service, "Split", wrapperspb.String("ab!c"))
		if err != nil {
			return err
		}
		got, err := receiveAll(s)
		if got != "ab" {
			return fmt.Errorf("got %q before %v", got, err)
		}
		return wantStatus(err, codes.OutOfRange, "no further")
	}},
	{"a bidirectional stream", func(ctx context.Context, c *ttrpc.Client) error {
		s, err := c.NewStream(ctx, &ttrpc.StreamDesc{StreamingClient: true, StreamingServer: true}, service, "Repeat", nil)
		if err != nil {
			return err
		}
		for _, text := range []string{"one", "", "three", strings.Repeat("y", 1_000_000)} {
			if err := s.SendMsg(wrapperspb.String(text)); err != nil {
				return err
			}
			var out wrapperspb.StringValue
			err := s.RecvMsg(&out)
			if err := wantText(out.Value, err, text); err != nil {
				return err
			}
		}
		if err := s.CloseSend(); err != nil {
			return err
		}
		if err := s.RecvMsg(&wrapperspb.StringValue{}); !errors.Is(err, io.EOF) {
			return fmt.Errorf("got %v, want EOF", err)
		}
		return nil
	}},
	{"a call after all that", func(ctx context.Context, c *ttrpc.Client) error {
		got, err := call(ctx, c, "Say", "still here")
		return wantText(got, err, "still here")
	}},
}

// check runs every check on one connection.
func check(path string) error {
	conn, err := net.Dial("unix", path)
	if err != nil {
		return err
	}
	client := ttrpc.NewClient(conn)
	defer client.Close()
	failed := 0
	for _, c := range checks {
		ctx, cancel := context.Background(), context.CancelFunc(func() {})
		if c.name != "no deadline" {
			ctx, cancel = context.WithTimeout(ctx, 2*time.Minute)
		}
		err := c.run(ctx, client)
		cancel()
		if err != nil {
			failed++
			fmt.Printf("not ok %s: %v\n", c.name, err)
		} else {
			fmt.Printf("ok %s\n", c.name)
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d checks failed", failed, len(checks))
	}
	return nil
}
