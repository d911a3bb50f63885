package rig

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/prometheus/procfs"
)

// Meter reads how much of the machine each process used. It needs Linux's /proc.
type Meter struct{ proc procfs.FS }

// ErrNoAccounts says that this system doesn't tell what each process used.
var ErrNoAccounts = errors.New("CPU shares need Linux: this system has no /proc")

// NewMeter returns a meter on /proc, or ErrNoAccounts.
func NewMeter() (*Meter, error) { return newMeter(procfs.DefaultMountPoint) }

func newMeter(mount string) (*Meter, error) {
	proc, err := procfs.NewFS(mount)
	if err != nil {
		return nil, ErrNoAccounts
	}
	return &Meter{proc}, nil
}

// ticks of the kernel's accounts in a second; it is 100 wherever Linux runs Go.
const ticks = 100

// CPU is processor time: of processes, or of the whole machine.
type CPU time.Duration

func ofTicks(n int) CPU { return CPU(time.Duration(n) * time.Second / ticks) }

// Seconds is the time in seconds.
func (c CPU) Seconds() float64 { return time.Duration(c).Seconds() }

// Own is what a process itself used so far, without its children.
func (m *Meter) Own(pid int) (CPU, error) {
	p, err := m.proc.Proc(pid)
	if err != nil {
		return 0, err
	}
	s, err := p.Stat()
	if err != nil {
		return 0, err
	}
	return ofTicks(int(s.UTime + s.STime)), nil
}

// Family is what a process and its children used so far, including children that have ended: their time went over to
// their parent's account. The difference of two readings is what all of them used in between, whoever came and went.
func (m *Meter) Family(pid int) (CPU, error) {
	all, err := m.proc.AllProcs()
	if err != nil {
		return 0, err
	}
	total, found := 0, false
	for _, p := range all {
		s, err := p.Stat()
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // It ended while we looked; the parent's account is read in a moment, or was a moment ago.
		}
		if err != nil {
			return 0, err
		}
		switch pid {
		case s.PID:
			found = true
			total += int(s.UTime+s.STime) + s.CUTime + s.CSTime
		case s.PPID:
			total += int(s.UTime + s.STime)
		}
	}
	if !found {
		return 0, &fs.PathError{Op: "reading the account of", Path: "process " + strconv.Itoa(pid), Err: os.ErrNotExist}
	}
	return ofTicks(total), nil
}

// Resident is how much memory a process has in use, in bytes.
func (m *Meter) Resident(pid int) (int64, error) {
	p, err := m.proc.Proc(pid)
	if err != nil {
		return 0, err
	}
	s, err := p.Stat()
	if err != nil {
		return 0, err
	}
	return int64(s.ResidentMemory()), nil
}

// Machine is what everybody on the machine used so far, including what a host took away for others.
func (m *Meter) Machine() (CPU, error) {
	s, err := m.proc.Stat()
	if err != nil {
		return 0, err
	}
	t := s.CPUTotal
	return CPU((t.User + t.Nice + t.System + t.IRQ + t.SoftIRQ + t.Steal) * float64(time.Second)), nil
}

// Accounts are what each used, all at one instant, or between two.
type Accounts struct {
	At      time.Time
	Elapsed time.Duration // between two readings
	// Server is the part that is measured, Generator this process.
	Server, Postgres, Redis, Generator CPU
	// Writer is the process that changes slots meanwhile, where there is one.
	Writer CPU
	// Machine is what everybody used, all of these included.
	Machine CPU
}

// Accounts reads all accounts. Server and writer are nil where there is none.
func (m *Meter) Accounts(r *Rig, server, writer *Process) (a Accounts, err error) {
	read := func(into *CPU, of func(int) (CPU, error), pid int) {
		if err == nil {
			*into, err = of(pid)
		}
	}
	a.At = time.Now()
	if server != nil {
		read(&a.Server, m.Family, server.Pid())
	}
	if writer != nil {
		read(&a.Writer, m.Family, writer.Pid())
	}
	read(&a.Postgres, m.Family, r.Stores.Postgres().Pid())
	read(&a.Redis, m.Own, r.Stores.Redis().Pid())
	read(&a.Generator, m.Own, os.Getpid())
	if err == nil {
		a.Machine, err = m.Machine()
	}
	return a, err
}

// During is what each used while run ran; nothing on a system that keeps no accounts, where there is no meter. What run returns as an
// error is returned as it is.
func (m *Meter) During(r *Rig, server, writer *Process, run func() error) (Accounts, error) {
	if m == nil {
		return Accounts{}, run()
	}
	before, err := m.Accounts(r, server, writer)
	if err != nil {
		return Accounts{}, fmt.Errorf("reading the accounts: %w", err)
	}
	if err := run(); err != nil {
		return Accounts{}, err
	}
	after, err := m.Accounts(r, server, writer)
	if err != nil {
		return Accounts{}, fmt.Errorf("reading the accounts: %w", err)
	}
	return after.Since(before), nil
}

// Since is what was used since an earlier reading.
func (a Accounts) Since(before Accounts) Accounts {
	return Accounts{
		At: a.At, Elapsed: a.At.Sub(before.At), Server: a.Server - before.Server, Postgres: a.Postgres - before.Postgres,
		Redis: a.Redis - before.Redis, Generator: a.Generator - before.Generator, Machine: a.Machine - before.Machine,
		Writer: a.Writer - before.Writer,
	}
}

// Plus adds what was used at another time.
func (a Accounts) Plus(b Accounts) Accounts {
	return Accounts{
		At: b.At, Elapsed: a.Elapsed + b.Elapsed, Server: a.Server + b.Server, Postgres: a.Postgres + b.Postgres,
		Redis: a.Redis + b.Redis, Generator: a.Generator + b.Generator, Machine: a.Machine + b.Machine,
		Writer: a.Writer + b.Writer,
	}
}

// ServerAndStores is what answering took, without the generator.
func (a Accounts) ServerAndStores() CPU { return a.Server + a.Postgres + a.Redis }

// Shares are the parts of the machine's whole time that each used, from 0 to 1. "others" is everybody else on the
// machine, and the kernel where it worked for nobody in particular; what is missing to 1 was idle.
func (a Accounts) Shares(processors int) map[string]float64 {
	whole := a.Elapsed.Seconds() * float64(processors)
	if whole <= 0 {
		return map[string]float64{}
	}
	ours := a.ServerAndStores() + a.Generator + a.Writer
	shares := map[string]float64{
		"server": a.Server.Seconds() / whole, "postgres": a.Postgres.Seconds() / whole, "redis": a.Redis.Seconds() / whole,
		"generator": a.Generator.Seconds() / whole, "others": max(a.Machine-ours, 0).Seconds() / whole,
	}
	if a.Writer > 0 {
		shares["writer"] = a.Writer.Seconds() / whole
	}
	return shares
}
