package rig

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is a part that runs in a process of its own, so that its use of the machine has an account of its own. It is
// this very program with a hidden command. It ends when told to, and by itself when this process is gone.
type Process struct {
	// Name is the part's, for messages.
	Name string
	// URL is where it answers, empty for one that serves nothing; Operations is its inner listener, if it has one.
	URL, Operations string

	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Scanner
	log   string
	done  chan struct{} // closed when it has ended
	err   error         // how; to be read after done
	wait  sync.Once     // for its end
}

// greeting is the first line of a process, and okay or failed begins each further one.
const (
	greeting = "ready"
	okay     = "ok"
	failed   = "failed"
)

// startWithin is how long a process may take to say that it's ready, on a machine that does everything else at once too.
const startWithin = 2 * time.Minute

// Run starts this program with the given arguments and returns when it's ready. Its environment is that of a server on
// the rig's stores, with the given KEY=VALUE pairs in addition. Its log is name.log in the rig's folder.
func (r *Rig) Run(ctx context.Context, name string, arguments, environment []string) (*Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	p := &Process{Name: name, log: filepath.Join(r.Dir, name+".log"), done: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, fmt.Errorf("opening the log of %s: %w", name, err)
	}
	defer log.Close() //nolint:errcheck // the process has its own copy
	// The background context: it ends by Stop, so that it can finish what is inside.
	p.cmd = exec.CommandContext(context.WithoutCancel(ctx), self, arguments...) //nolint:gosec // this very program
	p.cmd.Env = append(append([]string{}, r.environment...), environment...)
	p.cmd.Stderr = log
	// A terminal's Ctrl-C is for this process, which ends the others in order.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	p.lines = bufio.NewScanner(out)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	r.mu.Lock()
	r.processes = append(r.processes, p)
	r.mu.Unlock()

	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	first, err := p.line(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s doesn't start: %w; its last words:\n%s", name, err, p.lastWords()), p.Kill())
	}
	words := strings.Fields(first)
	if len(words) == 0 || words[0] != greeting {
		return nil, errors.Join(fmt.Errorf("%s says %q instead of being ready", name, first), p.Kill())
	}
	words = append(words, "", "")
	p.URL, p.Operations = words[1], words[2]
	return p, nil
}

// Pid is its process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Ask sends a command and returns the answer, or the process's refusal as an error.
func (p *Process) Ask(ctx context.Context, command string) (answer string, err error) {
	if _, err := io.WriteString(p.in, command+"\n"); err != nil {
		return "", fmt.Errorf("%s doesn't listen: %w; its last words:\n%s", p.Name, err, p.lastWords())
	}
	line, err := p.line(ctx)
	if err != nil {
		return "", fmt.Errorf("%s doesn't answer: %w; its last words:\n%s", p.Name, err, p.lastWords())
	}
	word, rest, _ := strings.Cut(line, " ")
	if word != okay {
		return "", fmt.Errorf("%s: %s", p.Name, rest)
	}
	return rest, nil
}

// line reads the next line of the process.
func (p *Process) line(ctx context.Context) (string, error) {
	type read struct {
		text string
		err  error
	}
	next := make(chan read, 1)
	go func() {
		if p.lines.Scan() {
			next <- read{text: p.lines.Text()}
			return
		}
		next <- read{err: errors.Join(errors.New("it ended"), p.lines.Err())}
	}()
	select {
	case r := <-next:
		return r.text, r.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// lastWords is the end of its log.
func (p *Process) lastWords() string {
	raw, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	const most = 2000
	return strings.TrimSpace(string(raw[max(0, len(raw)-most):]))
}

// Pause has it do nothing, as if it weren't there, until Resume.
func (p *Process) Pause() error { return p.signal(syscall.SIGSTOP) }

// Resume lets it go on.
func (p *Process) Resume() error { return p.signal(syscall.SIGCONT) }

func (p *Process) signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("pausing or resuming %s: %w", p.Name, err)
	}
	return nil
}

// Stop asks it to end and waits until it has; when the context ends first it is killed. A process that has ended already
// is no error.
func (p *Process) Stop(ctx context.Context) error {
	return p.end(ctx, syscall.SIGTERM)
}

// Ended is closed when it has ended, however it did. It isn't to be asked anything afterwards.
func (p *Process) Ended() <-chan struct{} {
	p.wait.Do(func() {
		go func() {
			p.err = p.cmd.Wait()
			close(p.done)
		}()
	})
	return p.done
}

// Log is the path of what it logs.
func (p *Process) Log() string { return p.log }

// Kill ends it as a power cut would.
func (p *Process) Kill() error {
	return p.end(context.Background(), syscall.SIGKILL)
}

func (p *Process) end(ctx context.Context, signal syscall.Signal) error {
	select {
	case <-p.done:
		return nil
	default:
	}
	if err := p.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("ending %s: %w", p.Name, err)
	}
	_ = p.cmd.Process.Signal(syscall.SIGCONT) // one that is paused couldn't even end
	p.Ended()
	select {
	case <-p.done:
	case <-ctx.Done():
		if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("killing %s: %w", p.Name, err)
		}
		<-p.done
		return fmt.Errorf("%s didn't end in time and was killed; its last words:\n%s", p.Name, p.lastWords())
	}
	if signal == syscall.SIGTERM && p.err != nil {
		return fmt.Errorf("%s ended badly: %w; its last words:\n%s", p.Name, p.err, p.lastWords())
	}
	return nil
}

// Attend is the other side of Process: it says that it's ready (with the addresses, if it serves) and answers each
// command of the process that started it, until that is gone or ctx ends.
func Attend(ctx context.Context, in io.Reader, out io.Writer, ready string, answer func(command string) (string, error)) error {
	if _, err := fmt.Fprintln(out, strings.TrimSpace(greeting+" "+ready)); err != nil {
		return fmt.Errorf("saying that it's ready: %w", err)
	}
	commands := make(chan string)
	go func() {
		defer close(commands)
		lines := bufio.NewScanner(in)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			select {
			case commands <- lines.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case command, open := <-commands:
			if !open {
				return nil
			}
			said, err := answer(command)
			line := okay + " " + said
			if err != nil {
				line = failed + " " + strings.ReplaceAll(err.Error(), "\n", "; ")
			}
			if _, err := fmt.Fprintln(out, line); err != nil {
				return fmt.Errorf("answering: %w", err)
			}
		}
	}
}
