package config_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"jari/internal/config"
)

// development is the least environment that can be used.
func development(more ...string) []string {
	return append([]string{
		"JARI_ENV=development", "JARI_SMS_GATEWAY=inbox",
		"JARI_POSTGRES_URL=postgres://jari:hunter2@localhost/jari", "JARI_REDIS_URL=redis://:hunter2@localhost/0",
		"JARI_TOKEN_KEYS=hunter2", "JARI_DATA_KEYS=hunter2", "JARI_INDEX_KEYS=hunter2",
	}, more...)
}

// production is the least environment that a deployment can use.
func production(more ...string) []string {
	return append(development("JARI_ENV=production", "JARI_SMS_GATEWAY=http", "JARI_SMS_URL=https://sms.example.org/cgi-bin/sendsms",
		"JARI_SMS_USER=jari", "JARI_SMS_PASSWORD=hunter2", "JARI_SMS_FROM=15771000"), more...)
}

// faults are the lines of what Load says; each begins with the variable.
func faults(t *testing.T, environ []string) []string {
	t.Helper()
	_, err := config.Load(environ)
	if err == nil {
		return nil
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Fatalf("a fault repeats a secret: %v", err)
	}
	return strings.Split(err.Error(), "\n")
}

// wantFault fails unless there is one fault and it is of that variable.
func wantFault(t *testing.T, environ []string, variable, says string) {
	t.Helper()
	got := faults(t, environ)
	if len(got) != 1 || !strings.HasPrefix(got[0], variable+": ") || !strings.Contains(got[0], says) {
		t.Errorf("the faults are %q, and one of %s that says %q was expected", got, variable, says)
	}
}

func TestDefaultsAreValid(t *testing.T) {
	t.Parallel()
	c, err := config.Load(development())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(production()); err != nil {
		t.Errorf("in production: %v", err)
	}
	// Those that somebody relies on without having set them.
	if c.CodeAttempts != 5 || c.CodeLifetime != 3*time.Minute || c.ClockOffset != 0 || c.OpsListen != "127.0.0.1:9090" ||
		len(c.TrustedProxies) != 0 || len(c.AllowedOrigins) != 0 || c.LogLevel != slog.LevelInfo {
		t.Errorf("the defaults are %+v", c)
	}
}

func TestEveryVariableIsRead(t *testing.T) {
	t.Parallel()
	c, err := config.Load(development("JARI_TRUSTED_PROXIES=10.0.0.0/8,fd00::/8", "JARI_LOG_LEVEL=debug",
		"JARI_ALLOWED_ORIGINS=https://booking.example.org,https://other.example.org:8443", "JARI_PHONE_REGIONS=KR,JP",
		"JARI_CLOCK_OFFSET=-43800h", "JARI_LISTEN=127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	if want := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}; !slices.Equal(c.TrustedProxies, want) {
		t.Errorf("proxies %v", c.TrustedProxies)
	}
	if c.LogLevel != slog.LevelDebug || c.ClockOffset != -43800*time.Hour || c.Listen != "127.0.0.1:0" ||
		!slices.Equal(c.PhoneRegions, []string{"KR", "JP"}) || len(c.AllowedOrigins) != 2 {
		t.Errorf("read as %+v", c)
	}
}

func TestAllFaultsAreToldAtOnce(t *testing.T) {
	t.Parallel()
	got := faults(t, []string{
		"JARI_ENV=staging", "JARI_SMS_GATEWAY=pigeon", "JARI_CLOCK_OFFSET=1h", "JARI_BODY_BYTES=1", "JARI_CODE_LIFETIME=11m",
		"JARI_ALLOWED_ORIGINS=booking.example.org", "JARI_PHONE_REGION=korea",
	})
	for _, variable := range []string{
		"JARI_ENV", "JARI_POSTGRES_URL", "JARI_REDIS_URL", "JARI_TOKEN_KEYS", "JARI_DATA_KEYS", "JARI_INDEX_KEYS",
		"JARI_SMS_GATEWAY", "JARI_CLOCK_OFFSET", "JARI_BODY_BYTES", "JARI_CODE_LIFETIME", "JARI_ALLOWED_ORIGINS", "JARI_PHONE_REGION",
	} {
		if !slices.ContainsFunc(got, func(line string) bool { return strings.HasPrefix(line, variable+": ") }) {
			t.Errorf("nothing is said of %s", variable)
		}
	}
	if len(got) != 12 {
		t.Errorf("%d faults, and 12 were made: %q", len(got), got)
	}
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	t.Parallel()
	for _, variable := range []string{
		"JARI_ENV", "JARI_POSTGRES_URL", "JARI_REDIS_URL", "JARI_TOKEN_KEYS", "JARI_DATA_KEYS", "JARI_INDEX_KEYS", "JARI_SMS_GATEWAY",
	} {
		t.Run(variable, func(t *testing.T) {
			t.Parallel()
			without := slices.DeleteFunc(production(), func(pair string) bool { return strings.HasPrefix(pair, variable+"=") })
			wantFault(t, without, variable, "is missing")
			wantFault(t, append(without, variable+"="), variable, "is missing")
		})
	}
	t.Run("in development a missing gateway is told of the inbox", func(t *testing.T) {
		t.Parallel()
		wantFault(t, development("JARI_SMS_GATEWAY="), "JARI_SMS_GATEWAY", "inbox")
	})
	t.Run("in production it isn't", func(t *testing.T) {
		t.Parallel()
		if got := faults(t, production("JARI_SMS_GATEWAY=")); len(got) != 1 || strings.Contains(got[0], "inbox") {
			t.Errorf("%q", got)
		}
	})
}

func TestProductionRefusesWhatBelongsToDevelopment(t *testing.T) {
	t.Parallel()
	t.Run("an inbox that shows everybody's codes", func(t *testing.T) {
		t.Parallel()
		wantFault(t, production("JARI_SMS_GATEWAY=inbox"), "JARI_SMS_GATEWAY", "development only")
	})
	for _, offset := range []string{"1ms", "-43800h"} {
		t.Run("a clock moved by "+offset, func(t *testing.T) {
			t.Parallel()
			wantFault(t, production("JARI_CLOCK_OFFSET="+offset), "JARI_CLOCK_OFFSET", "only development")
		})
	}
	for _, environment := range []string{"", "Development", "dev", "test", "staging", " development"} {
		t.Run(fmt.Sprintf("an environment called %q gets none of it", environment), func(t *testing.T) {
			t.Parallel()
			got := faults(t, development("JARI_ENV="+environment, "JARI_CLOCK_OFFSET=1h"))
			if len(got) != 3 {
				t.Errorf("%q", got)
			}
		})
	}
}

func TestOnlyDevelopmentMayKillItself(t *testing.T) {
	t.Parallel()
	wantFault(t, production("JARI_CRASH_AT=committed"), "JARI_CRASH_AT", "only development")
	if got := faults(t, development("JARI_CRASH_AT=committed")); len(got) > 0 {
		t.Errorf("development is refused: %v", got)
	}
}

func TestTheGatewayNeedsAllItsParts(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "sms.example.org", "ftp://sms.example.org", "https://", "/cgi-bin/sendsms", "http://[::1"} {
		wantFault(t, production("JARI_SMS_URL="+address), "JARI_SMS_URL", "address of a gateway")
	}
	for _, variable := range []string{"JARI_SMS_USER", "JARI_SMS_PASSWORD", "JARI_SMS_FROM"} {
		wantFault(t, production(variable+"="), "JARI_SMS_USER, JARI_SMS_PASSWORD, JARI_SMS_FROM", "needed")
	}
}

func TestOriginsAndRegionsHaveTheirForm(t *testing.T) {
	t.Parallel()
	for _, origin := range []string{"booking.example.org", "https://booking.example.org/", "https://", "*", "null", "://x"} {
		wantFault(t, development("JARI_ALLOWED_ORIGINS=https://a.example.org,"+origin), "JARI_ALLOWED_ORIGINS", "origin")
	}
	for _, region := range []string{"kr", "KOR", "82", "K", "korea"} {
		wantFault(t, development("JARI_PHONE_REGION="+region), "JARI_PHONE_REGION", "two capital letters")
		wantFault(t, development("JARI_PHONE_REGIONS=KR,"+region), "JARI_PHONE_REGIONS", "two capital letters")
	}
	wantFault(t, development("JARI_PHONE_REGIONS=KR, JP"), "JARI_PHONE_REGIONS", `" JP"`)
}

// limits are the least and the most of every variable that has them, with the steps that lie just outside.
var limits = []struct{ variable, below, least, most, above string }{
	{"JARI_POSTGRES_CONNECTIONS", "3", "4", "1000", "1001"},
	{"JARI_REDIS_CONNECTIONS", "0", "1", "1000", "1001"},
	{"JARI_BODY_BYTES", "1023", "1024", "1048576", "1048577"},
	{"JARI_HEADER_BYTES", "4095", "4096", "1048576", "1048577"},
	{"JARI_HOLDS_PER_PERSON", "0", "1", "10000", "10001"},
	{"JARI_LIVE_LISTENERS", "0", "1", "1000", "1001"},
	{"JARI_REQUESTS_INSIDE", "9", "10", "1000000", "1000001"},
	{"JARI_HOLDS_QUEUE", "0", "1", "1048576", "1048577"},
	{"JARI_MESSAGE_WORKERS", "-1", "0", "8", "9"}, // half of the connections
	{"JARI_DESK_SHARE", "-1", "0", "100", "101"},
	{"JARI_DESK_AFTER", "-1s", "0s", "2160h", "2161h"},
	{"JARI_FLUSH_ROWS", "0", "1", "1000", "1001"},
	{"JARI_FLUSH_LANES", "0", "1", "8", "9"}, // half of the connections
	{"JARI_FLUSH_LOCK_WAIT", "9ms", "10ms", "10s", "10001ms"},
	{"JARI_FLUSH_QUEUE", "0", "1", "1048576", "1048577"},
	{"JARI_CODE_ATTEMPTS", "0", "1", "10", "11"},
	{"JARI_CODES_PER_DAY", "0", "1", "100", "101"},
	{"JARI_KEPT_FOR_DEVICES", "-1", "0", "90", "91"},
	{"JARI_CODES_PER_BLOCK", "0", "1", "10000000", "10000001"},
	{"JARI_CODES_PER_OTHER_PREFIX", "-1", "0", "100000000", "100000001"},
	{"JARI_CODES_IN_ALL", "0", "1", "100000000", "100000001"},
	{"JARI_CODE_TURN", "59s", "1m", "1h", "1h1s"},
	{"JARI_CODE_PLACES_PER_BLOCK", "0", "1", "10000000", "10000001"},
	{"JARI_SMS_RATE", "0", "1", "100000", "100001"},
	{"JARI_REMINDERS_FROM", "-1", "0", "19", "24"},
	{"JARI_REMINDERS_TO", "0", "11", "24", "25"},
	{"JARI_RATE_PERSON", "9", "10", "10000000", "10000001"},
	{"JARI_RATE_KEY", "9", "10", "10000000", "10000001"},
	{"JARI_RATE_BLOCK", "9", "10", "10000000", "10000001"},
	{"JARI_RATE_VERIFY", "9", "10", "10000000", "10000001"},
	{"JARI_BLOCK_IPV4", "7", "8", "32", "33"},
	{"JARI_BLOCK_IPV6", "15", "16", "128", "129"},
	{"JARI_DEVICE_LIFETIME", "59m59s", "1h", "9600h", "9600h1s"},
	{"JARI_FAILURES_PER_DAY", "0", "1", "25", "26"},
	{"JARI_PERSONS_PER_PHONE", "0", "1", "100", "101"},
	{"JARI_BENEFICIARIES", "-1", "0", "100", "101"},
	{"JARI_MINOR_AGE", "-1", "0", "25", "26"},
	{"JARI_OIDC_TIMEOUT", "499ms", "500ms", "1m", "1m1ms"},
	{"JARI_SIGN_IN_LIFETIME", "59s", "1m", "1h", "1h1ms"},
	{"JARI_ADMIN_SESSION", "4m59s", "5m", "12h", "12h0m0.001s"},
	{"JARI_CODE_LIFETIME", "29.999s", "30s", "10m", "10m1ms"},
	{"JARI_CODE_RESEND_WAIT", "999ms", "1s", "10m", "10m1ms"},
	{"JARI_RETENTION", "23h59m59s", "24h", "87600h", "87600h1s"},
	{"JARI_SESSION_LIFETIME", "59s", "1m", "2160h", "2160h1s"},
	{"JARI_ADMISSION_LIFETIME", "59s", "1m", "24h", "24h1s"},
	{"JARI_ADMISSION_LONGEST", "59s", "1m", "168h", "168h1s"},
	{"JARI_PLACES_QUEUE", "0", "1", "1048576", "1048577"},
	{"JARI_DRAW_PATIENCE", "59s", "1m", "24h", "24h1s"},
	{"JARI_HOLDS_WINDOW", "999ms", "1s", "24h", "24h1s"},
	{"JARI_CONFIRM_WAIT", "999ms", "1s", "13s", ""}, // two seconds less than a request may take
	{"JARI_REQUEST_TIMEOUT", "11.999s", "12s", "5m", "5m1ms"},
	{"JARI_HEADER_TIMEOUT", "999ms", "1s", "1m", "1m1ms"},
	{"JARI_STOP_TIMEOUT", "999ms", "1s", "5m", "5m1ms"},
	{"JARI_STOP_DELAY", "-1ms", "0s", "5m", "5m1ms"},
	{"JARI_POSTGRES_CONNECT_TIMEOUT", "99ms", "100ms", "1m", "1m1ms"},
	{"JARI_REDIS_TIMEOUT", "9ms", "10ms", "10s", "10.001s"},
	{"JARI_CLOCK_SKEW", "9ms", "10ms", "1m", "1m1ms"},
	{"JARI_RULES_CONFIRMED", "1.999s", "2s", "1m", "1m1ms"},
	{"JARI_SMS_TIMEOUT", "999ms", "1s", "30s", "30s1ms"},
	{"JARI_APPROVAL_LIFETIME", "59s", "1m", "168h", "168h1s"},
	{"JARI_FREEZE_BEFORE", "-1ms", "0s", "168h", "168h1s"},
	{"JARI_FREEZE_AFTER", "-1ms", "0s", "168h", "168h1s"},
	{"JARI_PLAN_LIFETIME", "59s", "1m", "168h", "168h1s"},
	{"JARI_IMPORT_BYTES", "1023", "1024", "1073741824", "1073741825"},
	{"JARI_IMPORT_ROWS", "0", "1", "10000000", "10000001"},
	{"JARI_BULK_TIMEOUT", "9s", "10s", "1h", "1h1s"},
	{"JARI_BULK_OPEN", "0", "1", "10000000", "10000001"},
	{"JARI_BULK_AT_ONCE", "0", "1", "100", "101"},
}

func TestLimitsHoldAtTheirEdges(t *testing.T) {
	t.Parallel()
	for _, limit := range limits {
		t.Run(limit.variable, func(t *testing.T) {
			t.Parallel()
			for _, inside := range []string{limit.least, limit.most} {
				if got := faults(t, edge(limit.variable, inside)); got != nil {
					t.Errorf("%s is refused: %q", inside, got)
				}
			}
			for _, outside := range []string{limit.below, limit.above} {
				if outside == "" {
					continue
				}
				wantFault(t, edge(limit.variable, outside), limit.variable, "must be between")
			}
		})
	}
	t.Run("a confirm may not wait longer than its request", func(t *testing.T) {
		t.Parallel()
		wantFault(t, development("JARI_CONFIRM_WAIT=13.001s"), "JARI_REQUEST_TIMEOUT", "must be between")
	})
}

// edge sets a variable, and keeps what shares the connections out of the way of their limits.
func edge(variable, value string) []string {
	set := []string{variable + "=" + value}
	if variable == "JARI_POSTGRES_CONNECTIONS" {
		set = append(set, "JARI_FLUSH_LANES=1", "JARI_MESSAGE_WORKERS=1")
	}
	return development(set...)
}

func TestEveryNumberHasALimit(t *testing.T) {
	t.Parallel()
	limited := map[string]bool{"JARI_CLOCK_OFFSET": true} // any, in development
	for _, limit := range limits {
		limited[limit.variable] = true
	}
	for f := range reflect.TypeFor[config.Config]().Fields() {
		switch {
		case f.Type == reflect.TypeFor[time.Duration](), f.Type.Kind() == reflect.Int, f.Type.Kind() == reflect.Int64:
			if name := f.Tag.Get("env"); !limited[name] && f.Type != reflect.TypeFor[slog.Level]() {
				t.Errorf("%s may be anything", name)
			}
		default:
		}
	}
}

func TestWhatCantBeReadIsNamedWithoutItsValue(t *testing.T) {
	t.Parallel()
	for variable, says := range map[string]string{
		"JARI_POSTGRES_CONNECTIONS": "whole number", "JARI_BODY_BYTES": "whole number",
		"JARI_CODE_LIFETIME": "duration such as", "JARI_LOG_LEVEL": "log level", "JARI_TRUSTED_PROXIES": "address ranges",
	} {
		for _, value := range []string{"hunter2", "hunter2,hunter2", " 5 hunter2"} {
			wantFault(t, development(variable+"="+value), variable, says)
		}
	}
	t.Run("and all of them at once", func(t *testing.T) {
		t.Parallel()
		got := faults(t, development("JARI_FLUSH_ROWS=hunter2", "JARI_CLOCK_SKEW=hunter2", "JARI_TRUSTED_PROXIES=10.0.0.0/33"))
		if len(got) != 3 {
			t.Errorf("%q", got)
		}
	})
	t.Run("numbers that overflow", func(t *testing.T) {
		t.Parallel()
		wantFault(t, development("JARI_FLUSH_ROWS=99999999999999999999"), "JARI_FLUSH_ROWS", "whole number")
		wantFault(t, development("JARI_CODE_LIFETIME=9999999999h"), "JARI_CODE_LIFETIME", "duration")
	})
}

func TestASecretNeverShowsItself(t *testing.T) {
	t.Parallel()
	c, err := config.Load(production())
	if err != nil {
		t.Fatal(err)
	}
	if string(c.TokenKeys) != "hunter2" || string(c.SMSPassword) != "hunter2" {
		t.Fatal("the secrets weren't read")
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T %[1]v"} {
		for _, value := range []any{c.TokenKeys, &c.TokenKeys, c, &c, []config.Secret{c.TokenKeys}, map[string]config.Secret{"a": c.TokenKeys}} {
			shown := fmt.Sprintf(verb, value)
			if strings.Contains(shown, "hunter2") || strings.Contains(shown, "68756e74657232") {
				t.Errorf("%s of a %T shows it", verb, value)
			}
		}
	}
	if got := fmt.Sprint(c.TokenKeys); got != "(secret)" {
		t.Errorf("printed as %q", got)
	}
	if shown := errors.Join(fmt.Errorf("with %w and %v", errors.New("x"), c.DataKeys)).Error(); strings.Contains(shown, "hunter2") {
		t.Error("an error shows it")
	}
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(raw, []byte("hunter2")) {
		t.Error("JSON shows it")
	}
	var log bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewJSONHandler(&log, nil), slog.NewTextHandler(&log, nil)} {
		slog.New(handler).With("config", c).Info("starting", "secret", c.TokenKeys, "pointer", &c.TokenKeys, "all", &c,
			slog.Group("group", "secret", c.SMSPassword))
	}
	if strings.Contains(log.String(), "hunter2") {
		t.Errorf("the log shows it: %s", log.String())
	}
}

func TestTheTableListsEveryField(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := config.Table(&b); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	fields := slices.Collect(reflect.TypeFor[config.Config]().Fields())
	if len(lines) != 2+len(fields) {
		t.Fatalf("%d lines for %d fields", len(lines), len(fields))
	}
	for i, f := range fields {
		doc, name := f.Tag.Get("doc"), f.Tag.Get("env")
		if doc == "" || !strings.HasPrefix(name, "JARI_") {
			t.Errorf("%s has no variable or isn't documented", f.Name)
		}
		standing := ""
		if value := f.Tag.Get("envDefault"); value != "" {
			standing = "`" + value + "`"
		}
		if want := "| `" + name + "` | " + standing + " | " + doc + " |"; lines[2+i] != want {
			t.Errorf("the line is %q, not %q", lines[2+i], want)
		}
		if strings.Contains(doc, "|") || strings.Contains(doc, "\n") {
			t.Errorf("the words about %s break the table", name)
		}
	}
}

func TestTheTableSaysWhenItCantBeWritten(t *testing.T) {
	t.Parallel()
	if err := config.Table(full{}); err == nil {
		t.Fatal("it didn't")
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("the disk is full") }

func TestReadingChecksNothing(t *testing.T) {
	t.Parallel()
	c, err := config.Read([]string{"JARI_POSTGRES_URL=postgres://localhost/jari", "UNRELATED", "=x", "JARI_FLUSH_ROWS=" + strconv.Itoa(1<<30)})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("postgres://localhost/jari", string(c.PostgresURL)); diff != "" {
		t.Error(diff)
	}
}
