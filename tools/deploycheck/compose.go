package main

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/sirupsen/logrus"
)

const composeFile = "docker-compose.yml"

// checkCompose loads the file as compose does: schema, interpolation, references between services, networks and volumes.
// Then come the rules of the house.
func checkCompose(ctx context.Context, root string) (faults []string) {
	refuse := func(format string, args ...any) {
		faults = append(faults, composeFile+": "+fmt.Sprintf(format, args...))
	}
	warned := &warnings{}
	// Where the loader says what it accepts and doesn't like. There is one such logger for the whole process.
	logrus.StandardLogger().ReplaceHooks(logrus.LevelHooks{logrus.WarnLevel: {warned}, logrus.ErrorLevel: {warned}})
	logrus.SetOutput(warned)
	options, err := cli.NewProjectOptions([]string{filepath.Join(root, composeFile)},
		cli.WithWorkingDirectory(root), cli.WithResolvedPaths(true), cli.WithProfiles([]string{"*"}))
	if err != nil {
		return []string{composeFile + ": " + err.Error()}
	}
	// No environment at all: every variable needs a default, so that one command is enough.
	project, err := options.LoadProject(ctx)
	if err != nil {
		return []string{composeFile + ": " + err.Error()}
	}
	for _, w := range warned.said {
		refuse("%s", w)
	}
	known, err := variables(root)
	if err != nil {
		refuse("%v", err)
	}
	for _, name := range slices.Sorted(maps.Keys(project.Services)) {
		for _, fault := range checkService(root, project, project.Services[name], known) {
			refuse("services.%s: %s", name, fault)
		}
	}
	return faults
}

func checkService(root string, project *types.Project, s types.ServiceConfig, known map[string]bool) (faults []string) {
	refuse := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if s.Image != "" {
		if err := pinned(s.Image); err != nil {
			refuse("image %s: %v", s.Image, err)
		}
	}
	if s.Build != nil {
		if _, err := os.Stat(filepath.Join(s.Build.Context, s.Build.Dockerfile)); err != nil {
			refuse("build: %s isn't there", relative(root, filepath.Join(s.Build.Context, s.Build.Dockerfile)))
		}
		if s.Build.Target != "" {
			stage, there := stagesOf(root)[strings.ToLower(s.Build.Target)]
			if !there || !runs(stage) {
				refuse("build: %s has no stage %s with an ENTRYPOINT", dockerfile, s.Build.Target)
			}
			if err := dumps(stage.BaseName, project.Services["postgres"].Image); err != nil {
				refuse("build: the stage %s %v", s.Build.Target, err)
			}
		}
	}
	for _, v := range s.Volumes {
		if v.Type != types.VolumeTypeBind {
			continue
		}
		if _, err := os.Stat(v.Source); err != nil {
			refuse("mounts %s, which isn't there: the engine would make an empty folder of it", relative(root, v.Source))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Environment)) {
		if strings.HasPrefix(name, "JARI_") && !known[name] {
			refuse("environment: the configuration has no %s", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.DependsOn)) {
		health := project.Services[name].HealthCheck
		if s.DependsOn[name].Condition == types.ServiceConditionHealthy && (health == nil || health.Disable) {
			refuse("depends_on: waits for %s to be healthy, which has no healthcheck", name)
		}
	}
	for _, p := range s.Ports {
		if address, err := netip.ParseAddr(p.HostIP); s.Name != edge && (err != nil || !address.IsLoopback()) {
			refuse("ports: publishes %s to the world; only %s may, others to 127.0.0.1", p.Published, edge)
		}
	}
	return faults
}

// edge is the service that the world may reach.
const edge = "nginx"

func relative(root, path string) string {
	if r, err := filepath.Rel(root, path); err == nil {
		return r
	}
	return path
}

// warnings collects what the loader logs.
type warnings struct{ said []string }

func (w *warnings) Levels() []logrus.Level {
	return []logrus.Level{logrus.WarnLevel, logrus.ErrorLevel}
}

func (w *warnings) Fire(e *logrus.Entry) error {
	w.said = append(w.said, e.Message)
	return nil
}

// Write keeps the log's own lines off the terminal: they are told as faults.
func (w *warnings) Write(p []byte) (int, error) { return len(p), nil }

// variables are the names in the env tags of the server's configuration, read from its source: this module doesn't depend
// on the server's.
func variables(root string) (map[string]bool, error) {
	files, err := filepath.Glob(filepath.Join(root, "internal", "config", "*.go"))
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, name := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			field, ok := n.(*ast.Field)
			if !ok || field.Tag == nil {
				return true
			}
			if text, err := strconv.Unquote(field.Tag.Value); err == nil {
				variable, _, _ := strings.Cut(reflect.StructTag(text).Get("env"), ",")
				known[variable] = true
			}
			return true
		})
	}
	delete(known, "")
	if len(known) == 0 {
		return nil, errors.New("internal/config names no variable")
	}
	return known, nil
}
