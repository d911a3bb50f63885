package rig

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	goredis "github.com/redis/go-redis/v9"

	"jari/internal/config"
	"jari/internal/keys"
	"jari/internal/localstores"
	"jari/internal/postgres"
	"jari/internal/redis"
	"jari/internal/token"
)

// Options say what is to be set up.
type Options struct {
	// Dir is the data folder of the stores and of the servers' logs. The stores in it are kept for the next run; what is
	// in them isn't.
	Dir string
	// Log gets what happens, in sentences.
	Log *slog.Logger
	// Crowd, if it isn't 0, asks for a campaign for readers instead of the one for booking.
	Crowd Crowd
	// Bare asks for none of the two: campaigns are staged.
	Bare bool
	// Room asks for the campaign for booking with a waiting room in front of it; see RoomID.
	Room bool
}

// Rig is a running pair of stores with a published campaign. Its methods are for one goroutine, but for People's.
type Rig struct {
	Dir      string
	Stores   *localstores.Stores
	Pool     *pgxpool.Pool
	Redis    *goredis.Client
	Box      *token.Box
	Campaign Campaign
	People   *People

	log         *slog.Logger
	data        *keys.Sealer
	postgresURL string
	environment []string

	mu        sync.Mutex
	processes []*Process
}

// settings of Postgres for measuring. None of them makes it forget anything.
var settings = map[string]string{
	"shared_buffers": "1GB",
	// No checkpoint within a part: it would fall into one and not into the other.
	"max_wal_size":       "8GB",
	"checkpoint_timeout": "1h",
	"wal_buffers":        "16MB",
}

// databasePrefix begins the names of databases that a run made and that the next may drop.
const databasePrefix = "surge_"

// Start starts the stores, makes a database, migrates it and publishes the campaign. On an error nothing keeps running.
// localstores.InUseError says that another run has the folder.
func Start(ctx context.Context, opts Options) (_ *Rig, err error) {
	r := &Rig{Dir: opts.Dir, log: opts.Log}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close(context.WithoutCancel(ctx)))
		}
	}()
	if err := os.MkdirAll(opts.Dir, 0o755); err != nil { //nolint:gosec // the stores' own user must be able to pass
		return nil, fmt.Errorf("making the data folder: %w", err)
	}
	if r.Stores, err = localstores.Start(ctx, localstores.Options{
		Dir: filepath.Join(opts.Dir, "stores"), Log: opts.Log, PostgresSettings: settings,
	}); err != nil {
		return nil, err
	}
	if err := r.makeDatabase(ctx); err != nil {
		return nil, err
	}
	if err := postgres.Migrate(ctx, r.postgresURL); err != nil {
		return nil, err
	}
	if r.Pool, err = postgres.Open(ctx, r.postgresURL, postgres.Options{MaxConnections: 4}); err != nil {
		return nil, err
	}
	if r.Redis, err = redis.Open(r.Stores.RedisURL(), redis.Options{PoolSize: 2, Timeout: 5 * time.Second}); err != nil {
		return nil, err
	}
	// A Redis that an earlier run left behind knows holds of slots that are others now.
	if err := r.Redis.FlushAll(ctx).Err(); err != nil {
		return nil, fmt.Errorf("emptying the private Redis: %w", err)
	}
	if err := r.makeKeys(); err != nil {
		return nil, err
	}
	if opts.Bare {
		return r, nil
	}
	if opts.Crowd != 0 {
		r.Campaign, err = publishCrowd(ctx, r.Pool, opts.Crowd)
	} else {
		r.Campaign, err = publish(ctx, r.Pool, opts.Room)
	}
	if err != nil {
		return nil, err
	}
	r.People = newPeople(r.Pool, r.Box, r.Campaign.ID)
	return r, nil
}

// makeDatabase makes a database for this run and drops those of earlier ones.
func (r *Rig) makeDatabase(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, r.Stores.PostgresURL())
	if err != nil {
		return fmt.Errorf("connecting to the private Postgres: %w", err)
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is lost with it
	rows, err := conn.Query(ctx, `SELECT datname FROM pg_database WHERE starts_with(datname, $1)`, databasePrefix)
	if err != nil {
		return fmt.Errorf("looking for databases of earlier runs: %w", err)
	}
	old, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("looking for databases of earlier runs: %w", err)
	}
	for _, name := range old {
		if _, err := conn.Exec(ctx, `DROP DATABASE `+pgx.Identifier{name}.Sanitize()+` WITH (FORCE)`); err != nil {
			return fmt.Errorf("dropping the database of an earlier run: %w", err)
		}
	}
	name := databasePrefix + strconv.FormatInt(time.Now().UnixNano(), 36)
	if _, err := conn.Exec(ctx, `CREATE DATABASE `+pgx.Identifier{name}.Sanitize()); err != nil {
		return fmt.Errorf("making a database: %w", err)
	}
	u, err := url.Parse(r.Stores.PostgresURL())
	if err != nil {
		return fmt.Errorf("reading the address of Postgres: %w", err)
	}
	u.Path = "/" + name
	r.postgresURL = u.String()
	return nil
}

// makeKeys generates the keysets and opens the one that seals tokens.
func (r *Rig) makeKeys() error {
	lines := map[keys.Purpose]string{}
	for _, purpose := range []keys.Purpose{keys.Tokens, keys.Data, keys.Index} {
		line, err := keys.Generate(config.Development, purpose)
		if err != nil {
			return err
		}
		lines[purpose] = line
	}
	sealer, err := keys.NewSealer(lines[keys.Tokens], config.Development, keys.Tokens)
	if err != nil {
		return err
	}
	r.Box = token.NewBox(sealer, config.Development)
	if r.data, err = keys.NewSealer(lines[keys.Data], config.Development, keys.Data); err != nil {
		return err
	}
	// A benchmark is about the code: what the caller's environment configures for another server stays away.
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "JARI_") {
			r.environment = append(r.environment, pair)
		}
	}
	r.environment = append(r.environment,
		"JARI_ENV="+config.Development,
		"JARI_SMS_GATEWAY=inbox",
		"JARI_LOG_LEVEL=INFO",
		"JARI_POSTGRES_URL="+r.postgresURL,
		"JARI_REDIS_URL="+r.Stores.RedisURL(),
		"JARI_TOKEN_KEYS="+lines[keys.Tokens],
		"JARI_DATA_KEYS="+lines[keys.Data],
		"JARI_INDEX_KEYS="+lines[keys.Index],
	)
	return nil
}

// Settle has Postgres tidy up what the parts before left behind, so that no part pays for another's.
func (r *Rig) Settle(ctx context.Context) error {
	if _, err := r.Pool.Exec(ctx, `VACUUM (ANALYZE)`); err != nil {
		return fmt.Errorf("tidying up Postgres: %w", err)
	}
	return nil
}

// LastCheckpoint names the last checkpoint; two different names mean that there was one in between.
func (r *Rig) LastCheckpoint(ctx context.Context) (name string, err error) {
	err = r.Pool.QueryRow(ctx, `SELECT checkpoint_lsn::text FROM pg_control_checkpoint()`).Scan(&name)
	if err != nil {
		return "", fmt.Errorf("asking for the last checkpoint: %w", err)
	}
	return name, nil
}

// stopWithin is how long processes and stores may take to end before they are killed.
const stopWithin = time.Minute

// Close ends all processes, drops the database and stops the stores.
func (r *Rig) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopWithin)
	defer cancel()
	var err error
	r.mu.Lock()
	processes := r.processes
	r.mu.Unlock()
	for _, p := range processes {
		err = errors.Join(err, p.Stop(ctx))
	}
	if r.Redis != nil {
		err = errors.Join(err, r.Redis.Close())
	}
	if r.Pool != nil {
		r.Pool.Close()
	}
	if r.Stores != nil {
		err = errors.Join(err, r.dropDatabase(ctx), r.Stores.Stop(ctx))
	}
	return err
}

// dropDatabase gives back the disk that the run took.
func (r *Rig) dropDatabase(ctx context.Context) error {
	if r.postgresURL == "" {
		return nil
	}
	u, err := url.Parse(r.postgresURL)
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, r.Stores.PostgresURL())
	if err != nil {
		return fmt.Errorf("connecting to the private Postgres: %w", err)
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is lost with it
	name := pgx.Identifier{strings.TrimPrefix(u.Path, "/")}.Sanitize()
	if _, err := conn.Exec(ctx, `DROP DATABASE IF EXISTS `+name+` WITH (FORCE)`); err != nil {
		return fmt.Errorf("dropping the run's database: %w", err)
	}
	return nil
}
