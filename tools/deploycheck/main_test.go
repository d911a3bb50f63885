package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The loader logs to one logger for the whole process, from which warnings are read: hence these tests take turns.

const checkout = "../.."

func TestTheCheckoutHasNoFault(t *testing.T) {
	var out, errs strings.Builder
	if status := run(t.Context(), []string{checkout}, &out, &errs); status != 0 {
		t.Errorf("status %d:\n%s", status, errs.String())
	}
}

func TestItSaysHowItIsAsked(t *testing.T) {
	var out, errs strings.Builder
	if status := run(t.Context(), nil, &out, &errs); status != 2 || !strings.Contains(errs.String(), "usage") {
		t.Errorf("status %d: %s", status, errs.String())
	}
	if status := run(t.Context(), []string{t.TempDir()}, &out, &errs); status != 1 {
		t.Errorf("status %d in an empty folder", status)
	}
}

// Every rule is seen red once, on a copy with one thing broken. A rule that nothing breaks checks nothing.
func TestEachBrokenFileIsSeen(t *testing.T) {
	const ignore, compose = dockerignore, composeFile
	const lastUser = "USER 65532:65532\n# The API."
	cases := []struct {
		name, file, old, new, want string
	}{
		{"an instruction that doesn't exist", dockerfile, "WORKDIR /src", "WORKDIRECTORY /src", "unknown instruction"},
		{"root", dockerfile, lastUser, "USER 0\n# The API.", `the final stage runs as "0"`},
		{"a user by name", dockerfile, lastUser, "USER nobody\n# The API.", `runs as "nobody"`},
		{"no user", dockerfile, lastUser, "# The API.", `runs as ""`},
		{"an entry point for a shell", dockerfile, `ENTRYPOINT ["/jari"]`, "ENTRYPOINT /jari", "no ENTRYPOINT in the form of a list"},
		{"no entry point", dockerfile, `ENTRYPOINT ["/jari"]`, "", "no ENTRYPOINT"},
		{"a stage that isn't there", dockerfile, "COPY --from=build /out/jari /jari", "COPY --from=builder /out/jari /jari", "--from=builder: no stage"},
		{"a base without a version", dockerfile, "golang:1.26.8-bookworm AS", "golang:bookworm AS", "isn't a version"},
		{"the latest base", dockerfile, "golang:1.26.8-bookworm AS", "golang:latest AS", "latest is a different image"},
		{"a base without a tag", dockerfile, "golang:1.26.8-bookworm AS", "golang AS", "needs a version"},
		{"a base that is too old", dockerfile, "golang:1.26.8-bookworm AS", "golang:1.9.7-bookworm AS", "older than go.mod"},
		{"a source that isn't there", dockerfile, "COPY . .", "COPY cmds ./cmds", "COPY cmds: the file isn't there"},
		{"a target that runs as root", dockerfile, "USER 65532:65532\nENTRYPOINT", "ENTRYPOINT", `the stage backup runs as ""`},
		{"a target for a shell", dockerfile, `["/usr/local/bin/jari"]`, "/usr/local/bin/jari", "the stage backup has no ENTRYPOINT"},
		{"no Dockerfile", dockerfile, "", "", "Dockerfile: "},

		{"secrets that reach the builder", ignore, "*\n!go.mod", "!go.mod", ".jari/dev/keys.env through"},
		{"a source that doesn't reach the builder", ignore, "!examples\n", "", "keeps examples/korea-2021/files.go from"},
		{"no .dockerignore", ignore, "", "", "is missing"},

		{"what isn't YAML", compose, "services:", "services: [", "docker-compose.yml: "},
		{"a key that isn't in the schema", compose, "    stop_signal:", "    stop_signals:", "stop_signals"},
		{"a value of the wrong type", compose, "      retries: 12", "      retries: twelve", "retries"},
		{"a variable without a default", compose, ":-development-only}@postgres:5432/jari?sslmode=disable\n      JARI_REDIS", "}@postgres:5432/jari?sslmode=disable\n      JARI_REDIS", "POSTGRES_PASSWORD"},
		{"a network that isn't declared", compose, "networks: [stores, edge]", "networks: [stores, outside]", "outside"},
		{"a service that isn't there", compose, "postgres: {condition: service_healthy}\n      redis", "postgresql: {condition: service_healthy}\n      redis", "postgresql"},
		{"a version, which compose stopped reading", compose, "name: jari\n", "name: jari\nversion: '3'\n", "version"},
		{"a variable that the configuration doesn't know", compose, "JARI_REDIS_URL:", "JARI_REDIS_ADDRESS:", "no JARI_REDIS_ADDRESS"},
		{"a mount that isn't there", compose, "./deploy/nginx:", "./deploy/nginxx:", "mounts deploy/nginxx"},
		{"a build that isn't there", compose, "build: .", "build: ./image", "image/Dockerfile isn't there"},
		{"a target that isn't there", compose, "target: backup", "target: backups", "no stage backups"},
		{"a target that nothing starts", compose, "target: backup", "target: build", "no stage build with"},
		{"a copy by older programs", compose, "postgres:15.14-bookworm", "postgres:16.4-bookworm", "older than the server's postgres:16.4"},
		{"the latest image", compose, "redis:7.2.10-alpine\n    #", "redis:latest\n    #", "latest is a different image"},
		{"an image without a version", compose, "nginx:1.28.0-alpine\n", "nginx:alpine\n", "isn't a version"},
		{"waiting for health that nobody checks", compose, "test: [CMD, redis-cli, ping]", "disable: true", "redis to be healthy"},
		{"a store for everybody", compose, "    shm_size:", "    ports: ['5432:5432']\n    shm_size:", "publishes 5432 to the world"},
		{"the inbox for everybody", compose, "127.0.0.1:8081:8080", "8081:8080", "publishes 8081 to the world"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			root := copied(t)
			path := filepath.Join(root, c.file)
			if c.old == "" {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			} else {
				content, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if strings.Count(string(content), c.old) != 1 {
					t.Fatalf("%s should say %q once", c.file, c.old)
				}
				if err := os.WriteFile(path, []byte(strings.Replace(string(content), c.old, c.new, 1)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			faults := strings.Join(check(t.Context(), root, some), "\n")
			if !strings.Contains(faults, c.want) || !strings.Contains(faults, c.file) {
				t.Errorf("should say %q, and says:\n%s", c.want, faults)
			}
		})
	}
	t.Run("nothing, where nothing is broken", func(t *testing.T) {
		if faults := check(t.Context(), copied(t), some); len(faults) > 0 {
			t.Errorf("found %q", faults)
		}
	})
	t.Run("a server that doesn't build", func(t *testing.T) {
		broken := func(context.Context, string) ([]string, error) { return nil, errors.New("no package") }
		if faults := check(t.Context(), copied(t), broken); len(faults) != 1 || !strings.Contains(faults[0], "no package") {
			t.Errorf("found %q", faults)
		}
	})
}

// some stands for what the Go command tells, which needs the whole checkout.
func some(context.Context, string) ([]string, error) {
	return []string{"go.mod", "go.sum", "cmd/jari/main.go", "internal/config/config.go", "examples/korea-2021/files.go"}, nil
}

// copied makes a copy of what is checked.
func copied(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for _, name := range []string{dockerfile, dockerignore, composeFile, "go.mod", "internal/config", "deploy/nginx"} {
		err := filepath.WalkDir(filepath.Join(checkout, name), func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			below, err := filepath.Rel(checkout, path)
			if err != nil {
				return err
			}
			to := filepath.Join(root, below)
			if entry.IsDir() {
				return os.MkdirAll(to, 0o700)
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(to, content, 0o600)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}
