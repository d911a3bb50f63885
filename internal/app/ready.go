package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/internal/postgres"
	"jari/internal/redis"
)

// checks are what an instance needs to be ready.
func (a *App) checks() []httpapi.Check {
	return []httpapi.Check{
		{Name: "stopping", Run: func(context.Context) error {
			if a.stopping.Load() {
				return errors.New("this instance is stopping")
			}
			return nil
		}},
		{Name: "postgres", Run: func(ctx context.Context) error {
			skew, err := postgres.Skew(ctx, a.pool, a.clock.Real)
			if err != nil {
				return errors.New("can't be reached")
			}
			if err := postgres.CheckDurable(ctx, a.pool); err != nil {
				return err
			}
			return a.checkSkew(skew)
		}},
		{Name: "redis", Run: func(ctx context.Context) error {
			skew, err := redis.Skew(ctx, a.redis, a.clock.Real)
			if err != nil {
				return errors.New("can't be reached")
			}
			if err := a.redisWillDo(); err != nil {
				return err
			}
			return a.checkSkew(skew)
		}},
		{Name: "migrations", Run: a.checkMigrations},
		{Name: "rules", Run: func(context.Context) error {
			if a.campaigns.Confirmed() != nil {
				return errors.New("the published campaigns aren't confirmed")
			}
			return nil
		}},
	}
}

// redisWillDo says what was wrong with Redis when it was asked last what it is.
func (a *App) redisWillDo() error {
	checked := *a.redisChecked.Load()
	if fault.CodeOf(checked) == fault.CodeStoreUnavailable {
		return errors.New("it isn't known whether its version and its maxmemory-policy will do")
	}
	return checked
}

// checkSkew measures without the offset of development: it is about the machines' clocks.
func (a *App) checkSkew(skew time.Duration) error {
	if skew.Abs() > a.cfg.ClockSkew {
		return fmt.Errorf("its clock is %s away from this machine's; at most %s is allowed",
			skew.Round(time.Millisecond), a.cfg.ClockSkew)
	}
	return nil
}

func (a *App) checkMigrations(ctx context.Context) error {
	applied, dirty, err := postgres.Applied(ctx, a.pool)
	if err != nil {
		return errors.New("the schema version can't be read; has `jari migrate up` been run?")
	}
	newest, err := postgres.Newest()
	switch {
	case err != nil:
		return err
	case dirty:
		return fmt.Errorf("migration %d broke off halfway", applied)
	case applied < newest:
		return fmt.Errorf("the schema is at %d and this binary needs %d: run `jari migrate up`", applied, newest)
	}
	return nil // a newer schema is fine: migrations never break the code before
}
