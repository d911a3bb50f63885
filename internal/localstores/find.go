//go:build unix

package localstores

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// oldestPostgres is the oldest major version that Jari's migrations and statements are tested on.
const oldestPostgres = 15

// postgresServer is one installed version of Postgres.
type postgresServer struct {
	initdb   string
	postgres string
	major    int
}

// postgresVersion reads "postgres (PostgreSQL) 15.8" and "postgres (PostgreSQL) 18beta1".
var postgresVersion = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// findPostgres returns the installed versions that are new enough, newest first; there is at least one.
func findPostgres(ctx context.Context) ([]postgresServer, error) {
	var candidates []string
	if path, err := exec.LookPath("postgres"); err == nil {
		if resolved, err := filepath.EvalSymlinks(path); err == nil {
			candidates = append(candidates, filepath.Dir(resolved))
		}
	}
	// Debian and Ubuntu keep servers off PATH, and so does Homebrew for its versioned formulas.
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",
		"/usr/pgsql-*/bin",
		"/opt/homebrew/opt/postgresql@*/bin",
		"/usr/local/opt/postgresql@*/bin",
		"/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
	} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		candidates = append(candidates, found...)
	}

	var servers []postgresServer
	tooOld := 0
	for _, dir := range candidates {
		server := postgresServer{initdb: filepath.Join(dir, "initdb"), postgres: filepath.Join(dir, "postgres")}
		if _, err := os.Stat(server.initdb); err != nil {
			continue
		}
		out, err := exec.CommandContext(ctx, server.postgres, "--version").Output() //nolint:gosec // found above
		if err != nil {
			continue
		}
		match := postgresVersion.FindSubmatch(out)
		if match == nil {
			continue
		}
		if server.major, err = strconv.Atoi(string(match[1])); err != nil {
			continue
		}
		if server.major < oldestPostgres {
			tooOld = max(tooOld, server.major)
			continue
		}
		if !slices.ContainsFunc(servers, func(s postgresServer) bool { return s.major == server.major }) {
			servers = append(servers, server)
		}
	}
	if len(servers) == 0 {
		if tooOld > 0 {
			return nil, fmt.Errorf("PostgreSQL %d is installed, but %d or newer is needed: install a newer one beside it "+
				"(Debian and Ubuntu: apt-get install postgresql; macOS: brew install postgresql@17)", tooOld, oldestPostgres)
		}
		return nil, errors.New("PostgreSQL's server isn't installed (looked on PATH, in /usr/lib/postgresql and in " +
			"Homebrew's folders): `make run` installs it, or do it yourself (Debian and Ubuntu: apt-get install postgresql; " +
			"macOS: brew install postgresql@17)")
	}
	slices.SortFunc(servers, func(a, b postgresServer) int { return b.major - a.major })
	return servers, nil
}

// findRedis returns the path of redis-server or valkey-server.
func findRedis() (string, error) {
	for _, dir := range []string{"", "/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"} {
		for _, name := range []string{"redis-server", "valkey-server"} {
			if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
				return path, nil
			}
		}
	}
	return "", errors.New("neither Redis nor Valkey is installed (looked for redis-server and valkey-server): `make run` " +
		"installs one, or do it yourself (Debian and Ubuntu: apt-get install redis-server; macOS: brew install redis)")
}
