//go:build unix

package localstores

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// owner is the user that the stores run as and that owns their folders.
type owner struct {
	name string
	uid  int
	gid  int
	// drop is whether the stores run as somebody other than this process.
	drop bool
}

// nobody is the user and group id that systems leave to processes that own nothing.
const nobody = 65534

// storeOwner is this process's user, except that root hands the stores to an unprivileged user: initdb and postgres
// refuse to run as root, and Redis has no need of it.
func storeOwner() owner {
	if os.Geteuid() != 0 {
		return owner{name: "user " + strconv.Itoa(os.Geteuid()), uid: os.Geteuid(), gid: os.Getegid()}
	}
	for _, name := range []string{"postgres", "_postgres"} { // macOS calls it _postgres.
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errUID := strconv.Atoi(u.Uid)
		gid, errGID := strconv.Atoi(u.Gid)
		if errUID == nil && errGID == nil && uid != 0 {
			return owner{name: "user " + name, uid: uid, gid: gid, drop: true}
		}
	}
	return owner{name: "user nobody", uid: nobody, gid: nobody, drop: true}
}

// attributes are those of every process that this package starts. A session of its own keeps the terminal's Ctrl-C and
// hang-up away from it.
func (o owner) attributes() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setsid: true}
	if o.drop {
		a.Credential = &syscall.Credential{Uid: uint32(o.uid), Gid: uint32(o.gid)} //nolint:gosec // user ids fit
	}
	return a
}

// makeFolder makes a folder that belongs to the stores' user and that nobody else can enter.
func (o owner) makeFolder(path string) error {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return o.give(path)
}

// writeFile writes a file that only the stores' user can read.
func (o owner) writeFile(path, content string) error {
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil { //nolint:gosec // in our own folder
		return err
	}
	return o.give(path)
}

func (o owner) give(path string) error {
	if !o.drop {
		return nil
	}
	return os.Lchown(path, o.uid, o.gid)
}

// canEnter asks the system itself, as the stores' user, whether that user can enter a folder: permissions on the way
// to it, access lists and mount options all have a say.
func (o owner) canEnter(ctx context.Context, dir string) bool {
	if !o.drop {
		return true
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", `cd "$1"`, "sh", dir) //nolint:gosec // dir is an argument
	cmd.Dir = "/"
	cmd.SysProcAttr = o.attributes()
	return cmd.Run() == nil
}

// reachableFolder makes the data folder, or, where the stores' user can't get to it (a checkout under root's home), a
// folder for the same purpose under the system's own folder for temporary files. The name of that one depends on dir
// alone, so that the next start finds it.
func (o owner) reachableFolder(ctx context.Context, log *slog.Logger, dir string) (string, error) {
	if err := makePath(dir); err != nil {
		return "", fmt.Errorf("the data folder can't be made: %w", err)
	}
	if o.canEnter(ctx, dir) {
		return dir, nil
	}
	// The folder itself may be made passable, since what is secret in it has its own mode; the ones above it are not ours
	// to change.
	if info, err := os.Stat(dir); err == nil && os.Chmod(dir, info.Mode().Perm()|0o011) == nil && o.canEnter(ctx, dir) {
		return dir, nil
	}
	sum := sha256.Sum256([]byte(dir))
	base := "/var/tmp" // Unlike /tmp it survives a reboot on most systems.
	if info, err := os.Stat(base); err != nil || !info.IsDir() {
		base = os.TempDir()
	}
	other := filepath.Join(base, "jari-"+hex.EncodeToString(sum[:6]))
	if err := os.Mkdir(other, 0o711); err != nil && !errors.Is(err, fs.ErrExist) { //nolint:gosec // must be passed through
		return "", fmt.Errorf("the data folder %s can't be entered by %s, who runs the stores, and neither can another be "+
			"made: %w", dir, o.name, err)
	}
	// Anybody may write to the folder for temporary files: what lies under the name must be our own.
	info, err := os.Lstat(other)
	if err != nil {
		return "", err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || !ok || int(stat.Uid) != os.Geteuid() {
		return "", fmt.Errorf("%s was made by somebody else: move it away, or choose a data folder that %s can enter", other,
			o.name)
	}
	if !o.canEnter(ctx, other) {
		return "", fmt.Errorf("neither %s nor %s can be entered by %s, who runs the stores because Postgres refuses root: "+
			"choose another data folder, or start as an ordinary user", dir, other, o.name)
	}
	log.WarnContext(ctx, "Postgres refuses to run as root, and the user who runs it instead can't enter the data folder: "+
		"the stores' data is elsewhere", "wanted", dir, "used", other, "as", o.name)
	return other, nil
}

// makePath makes a folder and the missing ones above it, passable for everybody whatever the umask says: a secret is
// protected by its own file's mode.
func makePath(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := makePath(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) { //nolint:gosec // must be passed through
		return err
	}
	return os.Chmod(dir, 0o755) //nolint:gosec // as above
}
