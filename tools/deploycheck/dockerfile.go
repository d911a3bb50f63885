package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/distribution/reference"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

const (
	dockerfile   = "Dockerfile"
	dockerignore = ".dockerignore"
)

// checkDockerfile parses as the builder does, and holds what it reads against the rules of the house.
func checkDockerfile(root string) (faults []string) {
	refuse := func(line int, format string, args ...any) {
		faults = append(faults, fmt.Sprintf("%s:%d: ", dockerfile, line)+fmt.Sprintf(format, args...))
	}
	file, err := os.DirFS(root).Open(dockerfile)
	if err != nil {
		return []string{dockerfile + ": " + err.Error()}
	}
	defer func() { _ = file.Close() }()
	parsed, err := parser.Parse(file)
	if err != nil {
		return []string{dockerfile + ": " + err.Error()}
	}
	for _, w := range parsed.Warnings {
		refuse(0, "%s", w.Short)
	}
	stages, _, err := instructions.Parse(parsed.AST, nil)
	if err != nil {
		return append(faults, dockerfile+": "+err.Error())
	}
	if len(stages) == 0 {
		return append(faults, dockerfile+": has no stage")
	}
	known := map[string]bool{}
	for i, stage := range stages {
		if i == len(stages)-1 || runs(stage) {
			faults = append(faults, checkRun(stage)...)
		}
		line := stage.Location[0].Start.Line
		if !known[strings.ToLower(stage.BaseName)] && stage.BaseName != "scratch" {
			if err := pinned(stage.BaseName); err != nil {
				refuse(line, "FROM %s: %v", stage.BaseName, err)
			}
			if err := newEnough(root, stage.BaseName); err != nil {
				refuse(line, "FROM %s: %v", stage.BaseName, err)
			}
		}
		for _, command := range stage.Commands {
			copied, ok := command.(*instructions.CopyCommand)
			if !ok {
				continue
			}
			line := copied.Location()[0].Start.Line
			switch {
			case copied.From == "":
				for _, source := range copied.SourcePaths {
					if _, err := fs.Stat(os.DirFS(root), path.Clean(source)); err != nil {
						refuse(line, "COPY %s: the file isn't there", source)
					}
				}
			case !known[strings.ToLower(copied.From)]:
				refuse(line, "COPY --from=%s: no stage above has that name", copied.From)
			}
		}
		if stage.Name != "" {
			known[strings.ToLower(stage.Name)] = true
		}
		known[strconv.Itoa(i)] = true
	}
	return faults
}

// runs tells whether a stage is an image that somebody starts, by its name as a target, and not only a step on the way.
func runs(stage instructions.Stage) bool {
	return slices.ContainsFunc(stage.Commands, func(c instructions.Command) bool {
		_, entry := c.(*instructions.EntrypointCommand)
		return entry
	})
}

// stagesOf are the stages of a Dockerfile by name, or nothing where it can't be read, which checkDockerfile says.
func stagesOf(root string) map[string]instructions.Stage {
	named := map[string]instructions.Stage{}
	file, err := os.DirFS(root).Open(dockerfile)
	if err != nil {
		return named
	}
	defer func() { _ = file.Close() }()
	parsed, err := parser.Parse(file)
	if err != nil {
		return named
	}
	stages, _, err := instructions.Parse(parsed.AST, nil)
	if err != nil {
		return named
	}
	for _, stage := range stages {
		named[strings.ToLower(stage.Name)] = stage
	}
	return named
}

var postgresImage = regexp.MustCompile(`^postgres:([0-9]+)\.([0-9]+)`)

// dumps tells why the Postgres programs of an image can't copy a server of another one: they must not be older.
func dumps(image, server string) error {
	has, needs := postgresImage.FindStringSubmatch(image), postgresImage.FindStringSubmatch(server)
	if has == nil || needs == nil {
		return nil
	}
	number := func(m []string) int {
		major, _ := strconv.Atoi(m[1]) // Digits, by the pattern.
		minor, _ := strconv.Atoi(m[2])
		return major*1000 + minor
	}
	if number(has) < number(needs) {
		return fmt.Errorf("is of %s, older than the server's %s: pg_dump refuses that", image, server)
	}
	return nil
}

// checkRun looks at a stage that becomes an image.
func checkRun(stage instructions.Stage) (faults []string) {
	name := "the final stage"
	if stage.Name != "" {
		name = "the stage " + stage.Name
	}
	refuse := func(format string, args ...any) {
		faults = append(faults, fmt.Sprintf("%s:%d: ", dockerfile, stage.Location[0].Start.Line)+fmt.Sprintf(format, args...))
	}
	user, entry := "", false
	for _, command := range stage.Commands {
		switch c := command.(type) {
		case *instructions.UserCommand:
			user = c.User
		case *instructions.EntrypointCommand:
			entry = !c.PrependShell && len(c.CmdLine) > 0
		}
	}
	id, _, _ := strings.Cut(user, ":")
	if n, err := strconv.Atoi(id); err != nil || n == 0 {
		refuse("%s runs as %q: USER must be a number other than 0", name, user)
	}
	if !entry {
		refuse("%s has no ENTRYPOINT in the form of a list: a shell would swallow the signal to stop", name)
	}
	return faults
}

// version is what a tag must have to name a release: two numbers at least.
var version = regexp.MustCompile(`(^|[^0-9.])[0-9]+\.[0-9]+`)

// pinned tells why an image's name doesn't say which one is meant.
func pinned(image string) error {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return fmt.Errorf("isn't the name of an image: %w", err)
	}
	tag := ""
	if t, ok := named.(reference.Tagged); ok {
		tag = t.Tag()
	}
	switch _, digested := named.(reference.Digested); {
	case tag == "latest":
		return errors.New("latest is a different image every month")
	case digested:
		return nil
	case tag == "":
		return errors.New("needs a version as its tag: without one it is latest, a different image every month")
	case !version.MatchString(tag):
		return fmt.Errorf("the tag %q isn't a version such as 1.28.0-alpine", tag)
	}
	return nil
}

var goDirective = regexp.MustCompile(`(?m)^go ([0-9]+)\.([0-9]+)`)

var goImage = regexp.MustCompile(`^golang:([0-9]+)\.([0-9]+)`)

// newEnough tells whether a builder's Go is older than go.mod asks for.
func newEnough(root, image string) error {
	have := goImage.FindStringSubmatch(image)
	if have == nil {
		return nil
	}
	content, err := fs.ReadFile(os.DirFS(root), "go.mod")
	if err != nil {
		return err
	}
	need := goDirective.FindStringSubmatch(string(content))
	if need == nil {
		return errors.New("go.mod has no go line")
	}
	number := func(major, minor string) int {
		a, _ := strconv.Atoi(major) // Digits, by the patterns.
		b, _ := strconv.Atoi(minor)
		return a*1000 + b
	}
	if number(have[1], have[2]) < number(need[1], need[2]) {
		return fmt.Errorf("is older than go.mod's go %s.%s", need[1], need[2])
	}
	return nil
}

// checkIgnored holds .dockerignore against what the server is built of, and against what must never leave the checkout.
func checkIgnored(ctx context.Context, root string, sources func(context.Context, string) ([]string, error)) (faults []string) {
	refuse := func(format string, args ...any) {
		faults = append(faults, dockerignore+": "+fmt.Sprintf(format, args...))
	}
	file, err := os.DirFS(root).Open(dockerignore)
	if errors.Is(err, fs.ErrNotExist) {
		return []string{dockerignore + ": is missing, so that history, data and secrets go to the builder"}
	} else if err != nil {
		return []string{dockerignore + ": " + err.Error()}
	}
	defer func() { _ = file.Close() }()
	patterns, err := ignorefile.ReadAll(file)
	if err != nil {
		return []string{dockerignore + ": " + err.Error()}
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		return []string{dockerignore + ": " + err.Error()}
	}
	ignored := func(path string) bool {
		is, err := matcher.MatchesOrParentMatches(path)
		return err == nil && is
	}
	for _, secret := range []string{".git/config", ".jari/dev/keys.env", ".env", "bin/jari"} {
		if !ignored(secret) {
			refuse("lets %s through to the builder", secret)
		}
	}
	files, err := sources(ctx, root)
	if err != nil {
		refuse("what the server is built of can't be told: %v", err)
	}
	for _, f := range files {
		if ignored(f) {
			refuse("keeps %s from the builder, and the server is built of it", f)
		}
	}
	return faults
}
