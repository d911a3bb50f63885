package main

import "fmt"

type auditCommand struct {
	Verify auditVerifyCommand `cmd:"" help:"Read the whole audit and name the first entry that was changed, deleted, inserted or swapped."`
	Head   auditHeadCommand   `cmd:"" help:"Print the last link of the audit's chain. Keep it outside of the database: verify --head finds what came before it changed."`
}

type auditHeadCommand struct{}

// Run prints the head.
func (auditHeadCommand) Run(w surroundings) error {
	o, err := openOffice(w)
	if err != nil {
		return err
	}
	defer o.Close()
	if err := o.Audit.Chain(w.ctx); err != nil {
		return err
	}
	head, err := o.Audit.Head(w.ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(w.out, head)
	return nil
}

type auditVerifyCommand struct {
	Head string `help:"A head that was kept outside, as jari audit head printed it."`
}

// Run verifies, and fails if something is wrong.
func (c auditVerifyCommand) Run(w surroundings) error {
	o, err := openOffice(w)
	if err != nil {
		return err
	}
	defer o.Close()
	v, err := o.VerifyAudit(w.ctx, c.Head)
	if err != nil {
		return err
	}
	if v.Fault != nil {
		return fmt.Errorf("the audit was tampered with: %w (%d entries before it are right)", v.Fault, v.Entries)
	}
	fmt.Fprintf(w.out, "%d entries are right; the head is %s\n", v.Entries, v.Head)
	return nil
}
