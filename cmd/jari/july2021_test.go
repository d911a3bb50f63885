package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"jari/test/jaritest"
	"jari/test/storetest"
)

// build gives the command as it is shipped. The binary of the tests would do the same, but with the race detector it takes a
// second or two to read the contract, and the scripts call it more than a hundred times.
func build(t *testing.T, root string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "jari")
	command := exec.CommandContext(t.Context(), "go", "build", "-o", path, "./cmd/jari")
	command.Dir = root
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("the command isn't built: %v\n%s", err, out)
	}
	return path
}

// bureau runs the scripts of test/july2021.
type bureau struct {
	server  *jaritest.Server
	folder  string
	environ []string
}

func (b *bureau) script(t *testing.T, environ []string, name string, arguments ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "bash", append([]string{filepath.Join(b.folder, name)}, arguments...)...)
	command.Env = append(append(os.Environ(), b.environ...), environ...)
	var words strings.Builder
	command.Stderr = &words
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s\n%s", name, strings.Join(arguments, " "), err, out, words.String())
	}
	return string(out)
}

// citizen is a phone with curl.
func (b *bureau) citizen(t *testing.T, session string, arguments ...string) string {
	t.Helper()
	return strings.TrimSpace(b.script(t, []string{"SESSION=" + session}, "citizen.sh", append([]string{b.server.URL}, arguments...)...))
}

// The campaign of July 2021, from an empty database to citizens with bookings and a report of them, by files, scripts and curl
// alone. Publishing needs a second person throughout.
func TestJuly2021IsSetUpByFilesAndTheCommandLine(t *testing.T) {
	t.Parallel()
	root, err := storetest.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	s := jaritest.Start(t, jaritest.WithNothingPublished(), jaritest.WithEnvironment("JARI_SECOND_PERSON", "publish"))
	at := func(instant string) { s.Clock.Set(jaritest.Instant(instant)) }
	at("2021-07-16T12:00:00+09:00")
	office := t.TempDir()
	b := &bureau{server: s, folder: filepath.Join(root, "test/july2021"), environ: append(s.Environ(),
		"JARI="+build(t, root), "OFFICE="+office, "JARI_ADMIN_URL="+s.URL, "LC_ALL=C.UTF-8",
		"JARI_CLOCK_OFFSET="+time.Until(s.Clock.Now()).String())}

	said := b.script(t, nil, "setup.sh")
	for _, want := range []string{
		"sites.import", "slots.generate", "slots.import", "list.sign_off", "campaign.publish", "july-2021.evening", "approval.approve",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("setting up doesn't say %q:\n%s", want, said)
		}
	}
	// One cohort, and then those of the nights after it.
	for _, waves := range [][]string{{"T9"}, {"T0", "T1", "T2", "T3", "T4", "T5", "T6", "T7", "T8"}} {
		said := b.script(t, nil, "wave.sh", waves...)
		for _, wave := range waves {
			if !strings.Contains(said, wave+" 2021-08-") || !strings.Contains(said, "day ends in") {
				t.Errorf("adding %s doesn't say who gains it:\n%s", wave, said)
			}
		}
	}

	reference := regexp.MustCompile(`^[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}$`)
	e3 := b.citizen(t, "", "verify", "김하나", "1964-05-05", "01012345678")
	if got := b.citizen(t, e3, "book", "july-2021", "clinic", "2021-07-27"); !reference.MatchString(got) {
		t.Errorf("a citizen of E3 has %q", got)
	}
	listed := b.citizen(t, "", "verify", "정넷", "2003-02-05", "01012345671")
	if got := b.citizen(t, listed, "book", "july-2021", "hall", "2021-07-31"); !reference.MatchString(got) {
		t.Errorf("a citizen on the list has %q", got)
	}
	f1 := b.citizen(t, "", "verify", "이둘", "1967-03-09", "01012345679")
	b.citizen(t, f1, "register", "july-2021.evening")

	at("2021-07-19T19:52:30+09:00")
	b.script(t, nil, "night.sh", "2021071919520042")
	at("2021-07-19T20:00:01+09:00")
	// The line moves with time.
	moving, stop := context.WithCancel(t.Context())
	moved := make(chan struct{})
	go func() {
		defer close(moved)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for moving.Err() == nil {
			s.Clock.Advance(50 * time.Millisecond)
			<-tick.C
		}
	}()
	defer func() { stop(); <-moved }()
	if got := b.citizen(t, f1, "book", "july-2021.evening", "hall", "2021-08-17"); !reference.MatchString(got) {
		t.Errorf("a citizen of F1 has %q", got)
	}

	at("2021-08-09T20:00:01+09:00")
	t9 := b.citizen(t, "", "verify", "박아홉", "1980-01-19", "01012345670")
	if got := b.citizen(t, t9, "book", "july-2021", "hall", "2021-08-26"); !reference.MatchString(got) {
		t.Errorf("a citizen of T9 has %q", got)
	}
	s.CatchUp(t)
	said = b.script(t, nil, "report.sh", "2021-07-27", "2021-08-26")
	for _, want := range []string{"hall", "clinic", "2021-07-27,", "booked"} {
		if !strings.Contains(said, want) {
			t.Errorf("the report doesn't say %q:\n%s", want, said)
		}
	}
	s.CheckBooks(t)
}
