// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"syscall"
	"time"
)

// What a kept pod was used for.
type kept struct {
	// Bytes that went into a process and came out of it again, in order.
	Echoed int64 `json:"echoed"`
	// Answered polls of its second container.
	Polls int64 `json:"polls"`
	// Commands that were run beside, one after the other, each with its output.
	Commands int64 `json:"commands"`
	// Exit code of the process that echoed, once its input was closed.
	Code int32 `json:"code"`
	// What the call that waited all the time for the second container was answered after its kill.
	Killed int32 `json:"killed"`
	// How long the slowest poll took, in milliseconds.
	Slowest int64    `json:"slowest"`
	Left    []string `json:"left"`
	Failure string   `json:"failure"`
}

// A pod that is in use, until over is closed or a use of it fails.
type use struct {
	*pod
	work   string
	result *kept
	over   chan struct{}
	failed chan error
}

// until repeats one use of the pod.
func (u *use) until(name string, step func() error) {
	for {
		select {
		case <-u.over:
			u.failed <- nil
			return
		default:
		}
		if err := step(); err != nil {
			u.failed <- fmt.Errorf("%s: %w", name, err)
			return
		}
	}
}

// echo writes to a process that copies its input, and reads what it says.
func (u *use) echo(stdin io.Writer, stdout io.Reader) func() error {
	count := 0
	return func() error {
		count++
		line := bytes.Repeat([]byte(fmt.Sprintf("line %d of what must come back\n", count)), 1+count%300)
		if n, err := stdin.Write(line); err != nil || n != len(line) {
			return fmt.Errorf("WriteStdin of %d bytes: %d, %w", len(line), n, err)
		}
		back := make([]byte, len(line))
		if _, err := io.ReadFull(stdout, back); err != nil {
			return fmt.Errorf("ReadStdout: %w", err)
		}
		if !bytes.Equal(back, line) {
			return fmt.Errorf("line %d came back as %.60q", count, back)
		}
		u.result.Echoed += int64(len(line))
		return nil
	}
}

func (u *use) poll(ctx context.Context) func() error {
	return func() error {
		began := time.Now()
		if _, err := u.StatsContainer(ctx, u.work); err != nil {
			return err
		}
		u.result.Polls++
		u.result.Slowest = max(u.result.Slowest, time.Since(began).Milliseconds())
		time.Sleep(20 * time.Millisecond)
		return nil
	}
}

func (u *use) command(ctx context.Context) func() error {
	return func() error {
		count := u.result.Commands + 1
		token, err := u.enter(ctx, fmt.Sprintf("echo command %d; exit 9", count))
		if err != nil {
			return err
		}
		end, err := u.outcome(ctx, u.ID(), token)
		if err != nil {
			return err
		}
		if end.Output != fmt.Sprintf("command %d\n", count) || end.Code != 9 {
			return fmt.Errorf("command %d said %q and ended with %d", count, end.Output, end.Code)
		}
		u.result.Commands = count
		time.Sleep(50 * time.Millisecond)
		return nil
	}
}

// all at once, until end is closed; then the second container is killed under the call that waits for it.
func (u *use) all(ctx context.Context, end io.Reader, up func()) error {
	token, err := u.enter(ctx, "cat; exit 3")
	if err != nil {
		return err
	}
	stdin, stdout, _, err := u.IOStream(u.ID(), token)
	if err != nil {
		return fmt.Errorf("IOStream: %w", err)
	}
	type exit struct {
		code int32
		err  error
	}
	waited := make(chan exit, 1)
	var early atomic.Bool
	early.Store(true)
	go func() {
		code, err := u.WaitProcess(ctx, u.work, u.work)
		if early.Load() {
			err = fmt.Errorf("too early, with code %d: %w", code, err)
		}
		waited <- exit{code, err}
	}()
	go u.until("echo", u.echo(stdin, stdout))
	go u.until("StatsContainer", u.poll(ctx))
	go u.until("command", u.command(ctx))
	up()
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, end)
		close(ended)
	}()
	left := 3
	select {
	case err = <-u.failed:
		left--
	case err = <-u.watcher:
		err = fmt.Errorf("the watcher: %w", err)
	case early := <-waited:
		return fmt.Errorf("WaitProcess: %w", early.err)
	case <-ended:
	}
	close(u.over)
	for ; left > 0; left-- {
		if failure := <-u.failed; err == nil {
			err = failure
		}
	}
	if err != nil {
		return err
	}
	if err := stdin.Close(); err != nil {
		return fmt.Errorf("CloseStdin: %w", err)
	}
	if u.result.Code, err = u.WaitProcess(ctx, u.ID(), token); err != nil {
		return fmt.Errorf("WaitProcess: %w", err)
	}
	early.Store(false)
	if err := u.KillContainer(ctx, u.work, syscall.SIGKILL, true); err != nil {
		return fmt.Errorf("KillContainer: %w", err)
	}
	last := <-waited
	u.result.Killed = last.code
	return last.err
}

// keepSandbox starts a pod with two containers, says so, and uses it until end is at its end.
func keepSandbox(socket, bundles, id string, end io.Reader, up func()) (result kept) {
	ctx, cancel := context.WithTimeout(context.Background(), 180*time.Second)
	defer cancel()
	result.Failure = said(func() (failure error) {
		p, err := startSandbox(ctx, socket, bundles, id, "/pause")
		defer p.tidy(&failure)
		if err != nil {
			return err
		}
		u := &use{pod: p, work: id + "-work", result: &result, over: make(chan struct{}), failed: make(chan error, 3)}
		if err := p.container(ctx, u.work, "exec sleep 600"); err != nil {
			return err
		}
		if err := u.all(ctx, end, up); err != nil {
			return err
		}
		return p.end(ctx, true)
	}())
	result.Left = left()
	return result
}
