//go:build unix

package localstores

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a running store: a child of ours, or one that an earlier process of ours left behind.
type process struct {
	pid int
	// done is closed once the process is dead (and, if a child, reaped).
	done chan struct{}
	// how it ended, for a message; to be read only once done is closed.
	how string
}

// pollEvery is how often a condition is looked at that nothing announces.
const pollEvery = 20 * time.Millisecond

// launch starts a command that outlives the call.
func launch(cmd *exec.Cmd) (*process, error) {
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{pid: cmd.Process.Pid, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		if err := cmd.Wait(); err != nil {
			p.how = err.Error()
			return
		}
		p.how = "it stopped by itself"
	}()
	return p, nil
}

// adopt watches over a process that isn't a child of ours: the system doesn't tell strangers of its end, hence a poll.
func adopt(pid int) *process {
	p := &process{pid: pid, done: make(chan struct{}), how: "it ended"}
	go func() {
		defer close(p.done)
		for alive(pid) {
			time.Sleep(5 * pollEvery)
		}
	}()
	return p
}

// ended tells whether the process is dead.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// signal sends sig to the process. A process that is already dead is no error.
func (p *process) signal(sig syscall.Signal) error {
	if p.ended() { // Its id may be somebody else's by now.
		return nil
	}
	if err := syscall.Kill(p.pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal %v to process %d: %w", sig, p.pid, err)
	}
	return nil
}

// wait returns once the process is dead, or with the context's error.
func (p *process) wait(ctx context.Context) error {
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// killAll kills the process and its children at once, as a power cut would, and waits until all are gone. The children
// of Postgres each have a session of their own, so that no signal to a group would reach them.
func (p *process) killAll(ctx context.Context) error {
	if p.ended() {
		return nil
	}
	// Stopped first, so that it gets no further children, nor a chance to see the first of them die.
	if err := p.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	family, err := children(ctx, p.pid)
	if err != nil {
		return errors.Join(err, p.signal(syscall.SIGKILL))
	}
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	for _, pid := range family {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("kill process %d: %w", pid, err)
		}
	}
	if err := p.wait(ctx); err != nil {
		return err
	}
	return poll(ctx, func() (bool, error) {
		for _, pid := range family {
			if alive(pid) {
				return false, nil
			}
		}
		return true, nil
	})
}

// signalAll sends sig to the process and then to its children.
func (p *process) signalAll(ctx context.Context, sig syscall.Signal) error {
	if p.ended() {
		return nil
	}
	if err := p.signal(sig); err != nil {
		return err
	}
	family, err := children(ctx, p.pid)
	if err != nil {
		return err
	}
	for _, pid := range family {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("signal %v to process %d: %w", sig, pid, err)
		}
	}
	return nil
}

// poll looks at a condition until it holds, it fails, or the context ends.
func poll(ctx context.Context, condition func() (bool, error)) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if ok, err := condition(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// alive tells whether a process runs. A dead one that its parent hasn't reaped yet doesn't: inside a container nobody
// may ever reap it.
func alive(pid int) bool {
	if pid <= 0 {
		return false
	}
	if err := syscall.Kill(pid, 0); err != nil && !errors.Is(err, syscall.EPERM) {
		return false
	}
	state, _, err := procStat(pid)
	return err != nil || state != "Z"
}

// procStat reads a process's state and its parent from /proc. Where there's no /proc it is an error.
func procStat(pid int) (status string, parent int, err error) {
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return "", 0, err
	}
	// "1234 (a name (with) spaces) S 1 …"
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	if len(fields) < 2 {
		return "", 0, fmt.Errorf("/proc/%d/stat can't be read", pid)
	}
	parent, err = strconv.Atoi(fields[1])
	return fields[0], parent, err
}

// children lists the processes that a process has started itself.
func children(ctx context.Context, pid int) ([]int, error) {
	var found []int
	entries, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		child, err := strconv.Atoi(filepath.Base(entry))
		if err != nil {
			continue
		}
		if _, parent, err := procStat(child); err == nil && parent == pid {
			found = append(found, child)
		}
	}
	if len(entries) > 0 {
		return found, nil
	}
	out, err := exec.CommandContext(ctx, "ps", "-A", "-o", "pid=,ppid=").Output()
	if err != nil {
		return nil, fmt.Errorf("ps: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		var child, parent int
		if _, err := fmt.Sscan(line, &child, &parent); err == nil && parent == pid {
			found = append(found, child)
		}
	}
	return found, nil
}

// commandLine is what a process was started with, its arguments parted by spaces; empty where it can't be told.
func commandLine(ctx context.Context, pid int) string {
	if raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline")); err == nil {
		return strings.TrimSpace(strings.ReplaceAll(string(raw), "\x00", " "))
	}
	out, err := exec.CommandContext(ctx, "ps", "-o", "command=", "-p", strconv.Itoa(pid)).Output() //nolint:gosec // a number
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// logFile is what a store writes to its standard output and error.
type logFile struct {
	*os.File
	// from is where the present run's lines begin.
	from int64
}

// logLimit is the size in bytes over which an old log is put aside (as .1, the one before that is lost).
const logLimit = 16 << 20

func openLog(path string) (*logFile, error) {
	if info, err := os.Stat(path); err == nil && info.Size() > logLimit {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, err
		}
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600) //nolint:gosec // in our own folder
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &logFile{File: file, from: info.Size()}, nil
}

// tail is the last lines of the present run, for a message to a person.
func (l *logFile) tail() string {
	const atMost = 2 << 10
	info, err := l.Stat()
	if err != nil || info.Size() <= l.from {
		return "(it wrote nothing)"
	}
	from := max(l.from, info.Size()-atMost)
	text := make([]byte, info.Size()-from)
	if _, err := l.ReadAt(text, from); err != nil && !errors.Is(err, io.EOF) {
		return "(its log can't be read)"
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-8):], "\n")
}
