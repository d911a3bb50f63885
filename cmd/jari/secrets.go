package main

import (
	"errors"
	"fmt"

	"jari/internal/config"
	"jari/internal/keys"
)

type keysRotateCommand struct {
	Keyset string `arg:"" enum:"tokens,data,backup" help:"tokens (JARI_TOKEN_KEYS), data (JARI_DATA_KEYS) or backup (JARI_BACKUP_KEYS). The index keeps its key."`
	Step   string `arg:"" enum:"add,promote,retire" help:"add, promote or retire."`
	Yes    bool   `help:"With retire, and tokens or backup: every token that was sealed with the old key has expired; every backup is gone, or its key is kept elsewhere."`
}

// Help is shown below the flags.
func (keysRotateCommand) Help() string {
	return `Reads the keyset from the environment and prints the line that replaces it; nothing is changed elsewhere. Roll each
step out to every instance before the next:

  add      a key that opens and doesn't seal yet
  promote  the new key seals from now on, the old one still opens
  retire   the old key is gone

Tokens: retire when the last one sealed with the old key has expired (the longest of JARI_SESSION_LIFETIME and
JARI_DEVICE_LIFETIME after promoting); who still has one is asked to verify again. Data: run jari keys reseal first; while a
row needs the old key, retire refuses. Backups are opened with the keys that were there when they were made: keep the old line as
long as the oldest of them. Destroy the lines before: whoever has one can open what was sealed until then.`
}

// Run prints the next line.
func (c keysRotateCommand) Run(w surroundings) error {
	cfg, err := config.Read(w.environ)
	if err != nil {
		return err
	}
	name, line, purpose := "JARI_TOKEN_KEYS", string(cfg.TokenKeys), keys.Tokens
	switch c.Keyset {
	case "data":
		name, line, purpose = "JARI_DATA_KEYS", string(cfg.DataKeys), keys.Data
	case "backup":
		name, line, purpose = "JARI_BACKUP_KEYS", string(cfg.BackupKeys), keys.Backup
	}
	if keys.Step(c.Step) == keys.Retire {
		if err := c.mayRetire(w); err != nil {
			return err
		}
	}
	next, err := keys.Rotate(line, cfg.Environment, purpose, keys.Step(c.Step))
	if err != nil {
		return fmt.Errorf("%s %w", name, err)
	}
	fmt.Fprintf(w.out, "%s=%s\n", name, next)
	return nil
}

// mayRetire refuses while something may still need the old key.
func (c keysRotateCommand) mayRetire(w surroundings) error {
	switch {
	case c.Keyset == "tokens" && !c.Yes:
		return errors.New("sessions sealed with the old key end with it: say --yes when they have expired")
	case c.Keyset == "backup" && !c.Yes:
		return errors.New("backups sealed with the old key can't be opened without it: say --yes when none is left")
	case c.Keyset != "data":
		return nil
	}
	o, err := openOffice(w)
	if err != nil {
		return err
	}
	defer o.Close()
	rows, err := o.UnderOtherKeys(w.ctx)
	if err != nil {
		return err
	}
	if rows > 0 {
		return fmt.Errorf("%d rows are still sealed with an older key: run jari keys reseal", rows)
	}
	return nil
}

type keysResealCommand struct{}

// Run seals personal data with the newest key.
func (keysResealCommand) Run(w surroundings) error {
	o, err := openOffice(w)
	if err != nil {
		return err
	}
	defer o.Close()
	done, err := o.Reseal(w.ctx)
	fmt.Fprintf(w.out, "%d rows were sealed with the primary key\n", done.Rows)
	if err == nil && done.Unopened > 0 {
		err = fmt.Errorf("%d rows can't be opened with any key of JARI_DATA_KEYS and were left as they are", done.Unopened)
	}
	return err
}

type forgetCommand struct {
	Campaign string `arg:"" help:"The campaign's id."`
	Yes      bool   `help:"Really forget; without it, say what would be forgotten."`
	Reason   string `help:"Why, for the audit." default:"retention is over"`
}

// Help is shown below the flags.
func (forgetCommand) Help() string {
	return `Once JARI_RETENTION has passed since the campaign's last slot: deletes its messages and blanks everybody who has no
booking in another campaign and wasn't verified lately. Bookings and counts stay, with ids that lead to nobody. The campaign
can't be published again. May be broken off and run again; both ends are in the audit.

Copies of the database still have what was blanked, sealed. To end that too: jari keys rotate data add, promote, then jari
keys reseal, then rotate data retire, and destroy the old line.`
}

// Run forgets, or says what would be.
func (c forgetCommand) Run(w surroundings) error {
	o, err := openOffice(w)
	if err != nil {
		return err
	}
	defer o.Close()
	plan, err := o.PlanForgetting(w.ctx, c.Campaign)
	if err != nil {
		return err
	}
	fmt.Fprintf(w.out, "%s ended %s and may be forgotten from %s on.\n", c.Campaign, plan.EndsAt.Format("2006-01-02 15:04 MST"), plan.DueAt.Format("2006-01-02 15:04 MST"))
	would := "would be"
	if c.Yes {
		if plan, err = o.ForgetCampaign(w.ctx, c.Campaign, c.Reason); err != nil {
			return err
		}
		would = "were"
	}
	fmt.Fprintf(w.out, "%d people %s forgotten; %d of this campaign stay known: they have another booking, or were here lately.\n", plan.Persons, would, plan.Kept)
	if plan.Entries > 0 {
		fmt.Fprintf(w.out, "%d entries of lists that only this campaign names %s deleted.\n", plan.Entries, would)
	}
	fmt.Fprintf(w.out, "%d messages %s deleted. %d bookings stay, for the counts.\n", plan.Messages, would, plan.Bookings)
	if c.Yes {
		fmt.Fprintln(w.out, "Copies of the database can still be opened: jari keys rotate --help says how to end that.")
	}
	return nil
}
