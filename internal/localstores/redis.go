//go:build unix

package localstores

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// redis runs Redis or Valkey out of the folder's redis/.
type redis struct {
	home   *home
	server string
}

func (r *redis) data() string     { return filepath.Join(r.home.dir, "redis") }
func (r *redis) log() string      { return filepath.Join(r.home.dir, "redis.log") }
func (r *redis) snapshot() string { return filepath.Join(r.data(), "dump.rdb") }

func (r *redis) stopSignal() syscall.Signal { return syscall.SIGTERM }

func (r *redis) url() string {
	known := r.home.known().Redis
	u := url.URL{Scheme: "redis", User: url.UserPassword("", known.Password), Host: address(known.Port), Path: "0"}
	return u.String()
}

// client is a connection for looking after the store. It doesn't retry: whoever waits polls.
func (r *redis) client() *goredis.Client {
	known := r.home.known().Redis
	return goredis.NewClient(&goredis.Options{
		Addr:                     address(known.Port),
		Password:                 known.Password,
		PoolSize:                 1,
		MaxRetries:               -1,
		DialerRetries:            1,
		DialTimeout:              time.Second,
		ReadTimeout:              5 * time.Second,
		ContextTimeoutEnabled:    true,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
}

func (r *redis) start(ctx context.Context, first bool) (*process, error) {
	if err := r.home.owner.makeFolder(r.data()); err != nil {
		return nil, err
	}
	wanted := r.server + "\n" + r.settings()
	running, err := r.findRunning(ctx)
	if err != nil {
		return nil, err
	}
	if running != nil {
		if first && r.home.known().Redis.Settings == wanted {
			r.home.log.InfoContext(ctx, "Redis is still running from an earlier start; carrying on with it", "process",
				running.pid, "port", r.home.known().Redis.Port)
			return running, nil
		}
		r.home.log.InfoContext(ctx, "a Redis that an earlier start left behind is stopped", "process", running.pid)
		if err := running.killAll(ctx); err != nil { // It keeps nothing that a gentle end would save.
			return nil, err
		}
	}
	proc, err := r.launch(ctx, first)
	if err != nil {
		return nil, err
	}
	return proc, r.home.remember(func(st *state) { st.Redis.Settings = wanted })
}

// settings are the lines of its configuration, but for the port and the password.
func (r *redis) settings() string {
	return strings.Join([]string{
		"bind 127.0.0.1",
		"protected-mode yes",
		"daemonize no",
		`logfile ""`,
		"dir " + strconv.Quote(r.data()),
		"dbfilename " + filepath.Base(r.snapshot()),
		"pidfile " + strconv.Quote(filepath.Join(r.data(), "redis.pid")),
		"databases " + strconv.Itoa(r.home.opts.RedisDatabases),
		// Evicting a hold to make room would give its place to somebody else.
		"maxmemory-policy noeviction",
		// Nothing is written: what Redis knows may be lost at any moment, and development should meet that too.
		`save ""`,
		"appendonly no",
	}, "\n") + "\n"
}

// findRunning returns the Redis that runs out of our folder, nil when none does. One that doesn't answer is killed.
func (r *redis) findRunning(ctx context.Context) (*process, error) {
	known := r.home.known().Redis
	raw, err := os.ReadFile(filepath.Join(r.data(), "redis.pid"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // none is an ordinary answer
	}
	if err != nil {
		return nil, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	// Redis writes its address into its own command line.
	if err != nil || !alive(pid) || !strings.Contains(commandLine(ctx, pid), address(known.Port)) {
		return nil, nil //nolint:nilnil // as above
	}
	proc := adopt(pid)
	if answering, err := r.answeringPid(ctx); err == nil && answering == pid {
		return proc, nil
	}
	r.home.log.WarnContext(ctx, "a Redis that an earlier start left behind doesn't answer and is killed", "process", pid)
	return nil, proc.killAll(ctx)
}

// answeringPid is the process that answers on our port to our password.
func (r *redis) answeringPid(ctx context.Context) (pid int, err error) {
	// Looked at first, because the client writes a line to standard error for each connection that is refused.
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp4", address(r.home.known().Redis.Port))
	if err != nil {
		return 0, err
	}
	if err := conn.Close(); err != nil {
		return 0, err
	}
	client := r.client()
	defer func() { err = errors.Join(err, client.Close()) }()
	info, err := client.Info(ctx, "server").Result()
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(info) {
		if id, ok := strings.CutPrefix(line, "process_id:"); ok {
			return strconv.Atoi(strings.TrimSpace(id))
		}
	}
	return 0, errors.New("Redis doesn't tell its process id")
}

func (r *redis) launch(ctx context.Context, first bool) (*process, error) {
	for try := 1; ; try++ {
		port, err := r.home.choosePort(ctx, "Redis", func(st *state) *storeState { return &st.Redis }, first)
		if err != nil {
			return nil, err
		}
		proc, words, err := r.launchOnce(ctx, port)
		if err == nil {
			return proc, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if !strings.Contains(words, "Address already in use") || try == 5 {
			return nil, err
		}
	}
}

func (r *redis) launchOnce(ctx context.Context, port int) (proc *process, words string, err error) {
	// A file rather than arguments, which everybody on the machine can read.
	config := filepath.Join(r.data(), "redis.conf")
	known := r.home.known().Redis
	content := fmt.Sprintf("%sport %d\nrequirepass %s\n", r.settings(), port, known.Password)
	if err := r.home.owner.writeFile(config, content); err != nil {
		return nil, "", err
	}
	logs, err := openLog(r.log())
	if err != nil {
		return nil, "", err
	}
	defer logs.Close() //nolint:errcheck // the server has its own copy
	// The background context, because the server outlives this call; it ends by the signals of Stop.
	cmd := exec.CommandContext(context.Background(), r.server, config) //nolint:gosec // looked for by name
	cmd.Dir, cmd.Env, cmd.SysProcAttr = r.data(), environment(r.data()), r.home.owner.attributes()
	cmd.Stdout, cmd.Stderr = logs.File, logs.File
	if proc, err = launch(cmd); err != nil {
		return nil, "", fmt.Errorf("Redis can't be started: %w", err)
	}
	waiting, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	err = poll(waiting, func() (bool, error) {
		if proc.ended() {
			return false, fmt.Errorf("Redis stopped right after its start (%s); its last words:\n%s", proc.how, logs.tail())
		}
		pid, err := r.answeringPid(waiting)
		return err == nil && pid == proc.pid, nil
	})
	if err != nil {
		if waiting.Err() != nil && ctx.Err() == nil {
			err = fmt.Errorf("Redis didn't answer within %s; its last words:\n%s", answerWithin, logs.tail())
		}
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return nil, logs.tail(), errors.Join(err, proc.killAll(clean))
	}
	r.home.log.InfoContext(ctx, "Redis is running", "port", port, "process", proc.pid, "folder", r.data())
	return proc, "", nil
}

// SnapshotRedis has Redis write all that it knows to a file, and returns that file's path in the data folder. A later
// snapshot overwrites it.
func (s *Stores) SnapshotRedis(ctx context.Context) (path string, err error) {
	r := s.redis.engine.(*redis) //nolint:forcetypeassert // Start made it one
	client := r.client()
	defer func() { err = errors.Join(err, client.Close()) }()
	if err := client.Save(ctx).Err(); err != nil {
		return "", fmt.Errorf("Redis can't write a snapshot: %w", err)
	}
	kept := filepath.Join(r.data(), "kept.rdb")
	return kept, os.Rename(r.snapshot(), kept)
}

// RestartRedisFrom stops Redis if it runs and starts it with what a file of SnapshotRedis holds: what a failover
// to an old copy, or a restored backup, looks like.
func (s *Stores) RestartRedisFrom(ctx context.Context, snapshot string) error {
	r := s.redis.engine.(*redis) //nolint:forcetypeassert // Start made it one
	s.redis.mu.Lock()
	defer s.redis.mu.Unlock()
	defer os.Remove(r.snapshot()) //nolint:errcheck // gone already if the start failed early
	return s.redis.restart(ctx, func() error {
		content, err := os.ReadFile(snapshot) //nolint:gosec // the caller's own file
		if err != nil {
			return err
		}
		return r.home.owner.writeFile(r.snapshot(), string(content))
	})
}
