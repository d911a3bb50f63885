package backup

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// find finds a tool of Postgres.
func find(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s isn't installed: it comes with PostgreSQL's client programs (Debian and Ubuntu: apt-get install "+
			"postgresql-client; the image's target backup has it)", name)
	}
	return path, nil
}

// settings are what an address can say beside where and who, as libpq names it in the environment.
var settings = map[string]string{
	"sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY", "sslcrl": "PGSSLCRL",
	"connect_timeout": "PGCONNECT_TIMEOUT", "target_session_attrs": "PGTARGETSESSIONATTRS", "channel_binding": "PGCHANNELBINDING",
	"options": "PGOPTIONS", "passfile": "PGPASSFILE", "krbsrvname": "PGKRBSRVNAME",
}

// environ is the environment of a tool: the address with its password goes there and not among the arguments, which
// everybody on the machine sees. Nothing else of this process's environment does, least of all keys.
func environ(address string) ([]string, error) {
	cfg, err := pgconn.ParseConfig(address)
	if err != nil {
		return nil, errors.New("the Postgres URL can't be read; its form is postgres://user:password@host:port/database")
	}
	hosts, ports := []string{cfg.Host}, []string{strconv.Itoa(int(cfg.Port))}
	for _, f := range cfg.Fallbacks {
		host, port := f.Host, strconv.Itoa(int(f.Port))
		if last := len(hosts) - 1; net.JoinHostPort(host, port) != net.JoinHostPort(hosts[last], ports[last]) {
			hosts, ports = append(hosts, host), append(ports, port)
		}
	}
	variables := []string{
		"PGHOST=" + strings.Join(hosts, ","), "PGPORT=" + strings.Join(ports, ","), "PGUSER=" + cfg.User, "PGPASSWORD=" + cfg.Password,
		"PGDATABASE=" + cfg.Database, "PGAPPNAME=jari backup", "PGTZ=UTC", "LC_ALL=C",
	}
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "SSL_CERT_FILE", "LD_LIBRARY_PATH"} {
		if value, ok := os.LookupEnv(name); ok {
			variables = append(variables, name+"="+value)
		}
	}
	if u, err := url.Parse(address); err == nil {
		for name, values := range u.Query() {
			if variable, ok := settings[name]; ok && len(values) > 0 {
				variables = append(variables, variable+"="+values[0])
			}
		}
	}
	return variables, nil
}

// database is the name of the database of an address that was read before.
func database(address string) string {
	cfg, err := pgconn.ParseConfig(address)
	if err != nil {
		return ""
	}
	return cfg.Database
}

// failed says why a tool failed, in its own words: they name tables and versions, and no rows.
func failed(tool string, err error, words string) error {
	words = strings.TrimSpace(words)
	const most = 2000
	if len(words) > most {
		words = words[len(words)-most:]
	}
	return fmt.Errorf("%s: %w\n%s", tool, err, words)
}
