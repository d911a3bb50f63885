// Command deploycheck reads the files that a container engine would, without an engine: the Dockerfile, .dockerignore and
// docker-compose.yml of a checkout. It says what an engine would refuse, and what this house doesn't want.
//
//	go -C tools/deploycheck run . ../..
//
// It is a module of its own, so that what it needs never touches the server's.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// run returns the exit status: 0 all well, 1 faults found, 2 not asked properly.
func run(ctx context.Context, arguments []string, out, errs io.Writer) int {
	if len(arguments) != 1 {
		fmt.Fprintln(errs, "usage: deploycheck ROOT, where ROOT has the Dockerfile and docker-compose.yml")
		return 2
	}
	root, err := filepath.Abs(arguments[0])
	if err != nil {
		fmt.Fprintln(errs, "deploycheck:", err)
		return 2
	}
	faults := check(ctx, root, builtOf)
	for _, f := range faults {
		fmt.Fprintln(errs, f)
	}
	if len(faults) > 0 {
		fmt.Fprintf(errs, "deploycheck: %d faults\n", len(faults))
		return 1
	}
	fmt.Fprintln(out, "deploycheck: Dockerfile, .dockerignore and docker-compose.yml are as they should be")
	return 0
}

// check returns all faults, each a line that begins with the name of the file. sources tells which files of the root the
// server is built of.
func check(ctx context.Context, root string, sources func(ctx context.Context, root string) ([]string, error)) []string {
	faults := checkDockerfile(root)
	faults = append(faults, checkIgnored(ctx, root, sources)...)
	return append(faults, checkCompose(ctx, root)...)
}

// builtOf asks the Go command for every file of the module that goes into the server.
func builtOf(ctx context.Context, root string) ([]string, error) {
	const each = `{{if not .Standard}}{{$dir := .Dir}}` +
		`{{range .GoFiles}}{{$dir}}/{{.}}{{"\n"}}{{end}}{{range .EmbedFiles}}{{$dir}}/{{.}}{{"\n"}}{{end}}{{end}}`
	cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-f", each, "./cmd/jari")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	var words strings.Builder
	cmd.Stderr = &words
	listed, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list ./cmd/jari: %w: %s", err, strings.TrimSpace(words.String()))
	}
	files := []string{"go.mod", "go.sum"}
	for _, line := range strings.Fields(string(listed)) {
		if file, err := filepath.Rel(root, line); err == nil && filepath.IsLocal(file) {
			files = append(files, filepath.ToSlash(file))
		}
	}
	return files, nil
}
