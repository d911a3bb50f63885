package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"jari/internal/app"
	"jari/internal/config"
)

type serveCommand struct{}

// Run serves until it is told to stop.
func (serveCommand) Run(w surroundings) error {
	cfg, err := config.Load(w.environ)
	if err != nil {
		return fmt.Errorf("the configuration can't be used (jari config lists all variables):\n%w", err)
	}
	log := logger(w.err, cfg.LogLevel)
	public, err := listen(w.ctx, cfg.Listen)
	if err != nil {
		return fmt.Errorf("JARI_LISTEN: %w", err)
	}
	operations, err := listen(w.ctx, cfg.OpsListen)
	if err != nil {
		return errors.Join(fmt.Errorf("JARI_OPS_LISTEN: %w", err), public.Close())
	}
	app.Tune()
	a, err := app.New(w.ctx, cfg, log)
	if err != nil {
		return errors.Join(err, public.Close(), operations.Close())
	}
	log.Info("serving", "address", public.Addr().String(), "operations", operations.Addr().String(), "environment", cfg.Environment)
	return a.Serve(w.ctx, public, operations)
}

// listen opens a listener and says in plain words why it can't.
func listen(ctx context.Context, address string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("something else is listening at %s already: %w", address, err)
	case err != nil:
		return nil, fmt.Errorf("can't listen at %s: %w", address, err)
	}
	return l, nil
}
