//go:build unix

package localstores

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// state is what a data folder remembers from one start to the next.
type state struct {
	Postgres storeState `json:"postgres"`
	Redis    storeState `json:"redis"`
}

// storeState is what is remembered of one store.
type storeState struct {
	Port     int    `json:"port"`
	Password string `json:"password"`
	// Settings are those that the store was last started with. A store that is still running with other settings than
	// the ones asked for is restarted instead of being carried on with.
	Settings string `json:"settings"`
}

const (
	stateFile = "state.json"
	lockFile  = "lock"
)

// loadState reads the folder's state; a folder without one gets new passwords.
func loadState(dir string) (state, error) {
	var st state
	raw, err := os.ReadFile(filepath.Join(dir, stateFile)) //nolint:gosec // the caller's own folder
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case errors.Is(err, fs.ErrPermission):
		return st, fmt.Errorf("the data folder %s belongs to another user: start as that user, or choose another folder", dir)
	case err != nil:
		return st, err
	default:
		if err := json.Unmarshal(raw, &st); err != nil {
			return st, fmt.Errorf("%s is damaged: move the data folder away, or restore that file: %w",
				filepath.Join(dir, stateFile), err)
		}
	}
	for _, s := range []*storeState{&st.Postgres, &st.Redis} {
		if s.Password == "" {
			s.Password = rand.Text()
		}
	}
	return st, nil
}

// saveState writes the state in one step, so that a crash leaves the old or the new one.
func saveState(dir string, st state) error {
	raw, err := json.MarshalIndent(st, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, stateFile)
	if err := os.WriteFile(path+".new", append(raw, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// InUseError says that another process keeps stores in the same data folder.
type InUseError struct {
	// Dir is the data folder.
	Dir string
	// Pid is the other process, 0 where it can't be told.
	Pid int
}

// Error says who has the folder and what to do about it.
func (e *InUseError) Error() string {
	who := "another process"
	if e.Pid > 0 {
		who = "process " + strconv.Itoa(e.Pid)
	}
	return fmt.Sprintf("the stores in %s are in use by %s: stop it first, or choose another data folder", e.Dir, who)
}

// lock makes the folder this process's own until the returned file is closed or the process dies, however it dies.
func lock(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockFile)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the caller's own folder
	if err != nil {
		if errors.Is(err, fs.ErrPermission) {
			return nil, fmt.Errorf("the data folder %s belongs to another user: start as that user, or choose another folder",
				dir)
		}
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer file.Close() //nolint:errcheck // nothing was written
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s can't be locked: %w", path, err)
		}
		inUse := &InUseError{Dir: dir}
		if raw, err := os.ReadFile(path); err == nil { //nolint:gosec // as above
			inUse.Pid, _ = strconv.Atoi(strings.TrimSpace(string(raw))) // Without a number the message does without.
		}
		return nil, inUse
	}
	// The content is only for that message; the lock is the system's.
	if err := file.Truncate(0); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if _, err := file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// Ports are chosen below the range that systems take for outgoing connections (from 32768 on Linux), so that a
// remembered port isn't lost to one of those between two starts.
const (
	lowestPort = 20000
	ports      = 10000
)

// freePort chooses a port of 127.0.0.1 that nobody listens on.
func freePort(ctx context.Context) (int, error) {
	var last error
	for range 100 {
		n, err := rand.Int(rand.Reader, big.NewInt(ports))
		if err != nil {
			return 0, err
		}
		port := lowestPort + int(n.Int64())
		if last = portFree(ctx, port); last == nil {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no free port was found on 127.0.0.1: %w", last)
}

// portFree is nil when the port of 127.0.0.1 could be listened on a moment ago.
func portFree(ctx context.Context, port int) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp4", address(port))
	if err != nil {
		return err
	}
	return listener.Close()
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
