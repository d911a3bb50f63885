package rig

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Edge is a running nginx in front of a server.
type Edge struct {
	URL string

	process *exec.Cmd
	log     *os.File
}

// StartEdge starts nginx with the configuration in a folder, before a server. Only where it listens and where the server is
// is replaced, and the way for administrators is left out.
func (r *Rig) StartEdge(ctx context.Context, folder string, server *Process) (*Edge, error) {
	program, err := exec.LookPath("nginx")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/nginx"); err != nil {
			return nil, errors.New("nginx isn't installed: `scripts/install nginx` installs it")
		}
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("looking for a free port: %w", err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		return nil, err
	}
	prefix, err := filepath.Abs(filepath.Join(r.Dir, "edge"))
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.RemoveAll(prefix), os.MkdirAll(prefix, 0o755)); err != nil { //nolint:gosec // nginx's workers must pass
		return nil, fmt.Errorf("making the edge's folder: %w", err)
	}
	for name, swap := range map[string][2]string{
		"nginx.conf":    {"include admin.conf;", ""},
		"jari.conf":     {"listen 8080;", "listen " + address + ";"},
		"upstream.conf": {"server jari:8080;", "server " + strings.TrimPrefix(server.URL, "http://") + ";"},
	} {
		content, err := os.ReadFile(filepath.Join(folder, name)) //nolint:gosec // the folder that the person at the terminal chose
		if err != nil {
			return nil, fmt.Errorf("reading the edge's configuration: %w", err)
		}
		if strings.Count(string(content), swap[0]) != 1 {
			return nil, fmt.Errorf("%s should say %q once", name, swap[0])
		}
		changed := strings.Replace(string(content), swap[0], swap[1], 1)
		if err := os.WriteFile(filepath.Join(prefix, name), []byte(changed), 0o600); err != nil { //nolint:gosec // names of this file
			return nil, fmt.Errorf("writing the edge's configuration: %w", err)
		}
	}
	directives := "daemon off;"
	if os.Geteuid() == 0 {
		directives += " user root;" // or its workers become somebody who can't read the folder
	}
	arguments := []string{"-p", prefix, "-c", filepath.Join(prefix, "nginx.conf"), "-g", directives}
	if told, err := exec.CommandContext(ctx, program, append(arguments, "-t")...).CombinedOutput(); err != nil { //nolint:gosec // the configuration above
		return nil, fmt.Errorf("nginx refuses the configuration: %s", told)
	}
	e := &Edge{URL: "http://" + address}
	if e.log, err = os.Create(filepath.Join(r.Dir, "edge.log")); err != nil {
		return nil, fmt.Errorf("opening the edge's log: %w", err)
	}
	e.process = exec.CommandContext(context.WithoutCancel(ctx), program, arguments...) //nolint:gosec // as above
	e.process.Stdout, e.process.Stderr = e.log, e.log
	e.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := e.process.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("starting nginx: %w", err), e.log.Close())
	}
	if err := e.await(ctx); err != nil {
		return nil, errors.Join(err, e.Stop())
	}
	return e, nil
}

// await waits until it answers.
func (e *Edge) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if status, _, err := get(ctx, e.URL+"/livez"); err == nil && status == http.StatusNotFound {
			return nil // its own answer: what is inside isn't shown outside
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("nginx doesn't answer: %w; see %s", ctx.Err(), e.log.Name())
		case <-tick.C:
		}
	}
}

// Stop ends it.
func (e *Edge) Stop() error {
	err := e.process.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(stopWithin, func() { _ = e.process.Process.Kill() })
	defer kill.Stop()
	if err == nil || errors.Is(err, os.ErrProcessDone) {
		err = e.process.Wait()
	}
	return errors.Join(err, e.log.Close())
}
