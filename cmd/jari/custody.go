package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"jari/internal/keys"
)

type keysCheckCommand struct{}

// Help is shown below the flags.
func (keysCheckCommand) Help() string {
	return `Opens a sample of people with JARI_DATA_KEYS and finds them by JARI_INDEX_KEYS, in the database that JARI_POSTGRES_URL names:
the one that serves, or one that a backup was restored into to see that it can be. Shows nobody.`
}

// Run tries the keys.
func (keysCheckCommand) Run(w surroundings) error {
	o, err := openOffice(w)
	if err != nil {
		return err
	}
	defer o.Close()
	p, err := o.ProveKeys(w.ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(w.out, "of %d people, JARI_DATA_KEYS opens %d; JARI_INDEX_KEYS finds %d of %d\n", p.Opened+p.Unopened, p.Opened, p.Found, p.Found+p.NotFound)
	switch {
	case p.Opened+p.Unopened == 0:
		fmt.Fprintln(w.out, "there is nobody yet to try them on")
	case p.Unopened > 0:
		return errors.New("JARI_DATA_KEYS aren't those of this database, or not all of them")
	case p.NotFound > 0:
		return errors.New("JARI_INDEX_KEYS aren't those of this database")
	}
	return nil
}

type keysSplitCommand struct {
	Needed int `default:"2" help:"How many parts give the keysets back."`
	Of     int `default:"3" help:"How many parts are made."`
}

// Help is shown below the flags.
func (keysSplitCommand) Help() string {
	return `Reads the lines that jari keys generate printed and prints one line for each custodian. Fewer parts than are needed say
nothing about the keys; any that are enough give them back (jari keys join). Each part has a check, so that it can be kept on
paper. Give each custodian theirs alone:

  jari keys generate --environment=production > keys       (on a machine that isn't connected, in memory: /dev/shm)
  jari keys split --needed 2 --of 3 < keys`
}

// Run prints the parts.
func (c keysSplitCommand) Run(w surroundings) error {
	raw, err := w.readInput("-")
	if err != nil {
		return err
	}
	secret := bytes.TrimSpace(raw)
	for i, line := range strings.Split(string(secret), "\n") {
		name, _, ok := strings.Cut(line, "=")
		if !ok || !strings.HasPrefix(name, "JARI_") {
			return fmt.Errorf("line %d isn't a variable such as JARI_DATA_KEYS=…, as jari keys generate prints them", i+1)
		}
	}
	parts, err := keys.Split(secret, c.Needed, c.Of)
	if err != nil {
		return err
	}
	fmt.Fprintln(w.out, strings.Join(parts, "\n"))
	return nil
}

type keysJoinCommand struct{}

// Run prints what was split.
func (keysJoinCommand) Run(w surroundings) error {
	raw, err := w.readInput("-")
	if err != nil {
		return err
	}
	secret, err := keys.Join(strings.Split(string(bytes.TrimSpace(raw)), "\n"))
	if err != nil {
		return err
	}
	fmt.Fprintln(w.out, string(secret))
	return nil
}
