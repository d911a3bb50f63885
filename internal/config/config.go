// Package config is the one struct that a deployment fills from its environment. Every field is documented here and in
// the table that `jari config` prints; Validate reports all faults at once, so that nobody restarts ten times.
package config

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
)

// The environments. There is no third: a rehearsal runs as production with its own keys and stores.
const (
	Development = "development"
	Production  = "production"
)

// MaxRulesConfirmed is the longest that an instance may go without confirming the published versions.
const MaxRulesConfirmed = time.Minute

// Secret is a value that never shows itself in logs or messages.
type Secret string

// LogValue hides the value.
func (Secret) LogValue() slog.Value { return slog.StringValue("(secret)") }

// String hides the value.
func (Secret) String() string { return "(secret)" }

// Format hides the value from every verb, also from those that look behind String.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText hides the value in JSON, such as that of a log line with a whole configuration in it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Config is everything that a deployment decides. Durations are written as 90s, 5m or 336h.
type Config struct {
	Environment string `env:"JARI_ENV" doc:"development or production; no default. Keys and tokens carry it: those of one are refused by the other"`

	Listen         string         `env:"JARI_LISTEN"          envDefault:":8080"           doc:"address of the public API"`
	OpsListen      string         `env:"JARI_OPS_LISTEN"      envDefault:"127.0.0.1:9090"  doc:"address of /livez, /readyz and /metrics; keep it inside"`
	TrustedProxies []netip.Prefix `env:"JARI_TRUSTED_PROXIES"                              doc:"address ranges whose X-Forwarded-For is believed, separated by commas; nobody's by default"`
	AllowedOrigins []string       `env:"JARI_ALLOWED_ORIGINS"                              doc:"origins besides the API's own whose pages may call it, separated by commas, such as https://booking.example.org; the session cookie is only sent by pages of the same site"`
	PublicURL      string         `env:"JARI_PUBLIC_URL"                                   doc:"the address that the public reaches the API by, such as https://api.example.org; addresses in the feed for other sites (/v1/feeds/$bulk-publish) begin with it, and without it there is no feed"`
	BookingPage    string         `env:"JARI_BOOKING_PAGE"                                 doc:"the page on which people begin to book, for the feed to lead to; {campaign}, {region}, {site} and {slot} in it are replaced, such as https://booking.example.org/?slot={slot}. Without it the feed leads nowhere"`
	LogLevel       slog.Level     `env:"JARI_LOG_LEVEL"       envDefault:"INFO"            doc:"DEBUG, INFO, WARN or ERROR"`

	PostgresURL            Secret        `env:"JARI_POSTGRES_URL"                            doc:"postgres://user:password@host:port/database"`
	PostgresConnections    int           `env:"JARI_POSTGRES_CONNECTIONS" envDefault:"16"    doc:"connections of one instance to Postgres; one for each of JARI_FLUSH_LANES is kept for confirming"`
	PostgresConnectTimeout time.Duration `env:"JARI_POSTGRES_CONNECT_TIMEOUT" envDefault:"3s" doc:"how long opening one connection may take"`
	RedisURL               Secret        `env:"JARI_REDIS_URL"                               doc:"redis://user:password@host:port/database; its maxmemory-policy must be noeviction"`
	RedisConnections       int           `env:"JARI_REDIS_CONNECTIONS" envDefault:"16"       doc:"connections of one instance to Redis"`
	RedisTimeout           time.Duration `env:"JARI_REDIS_TIMEOUT" envDefault:"500ms"        doc:"how long one round trip to Redis may take"`

	TokenKeys Secret `env:"JARI_TOKEN_KEYS" doc:"keyset that seals sessions, admissions and holds; made by jari keys generate"`
	DataKeys  Secret `env:"JARI_DATA_KEYS"  doc:"keyset that seals personal data"`
	IndexKeys Secret `env:"JARI_INDEX_KEYS" doc:"keyset that finds sealed data; must stay the same while a campaign runs"`
	// BackupKeys aren't a server's.
	BackupKeys Secret `env:"JARI_BACKUP_KEYS" doc:"keyset that seals backups, for jari backup and jari restore; servers don't need it and shouldn't have it"`

	RequestTimeout  time.Duration `env:"JARI_REQUEST_TIMEOUT"  envDefault:"15s"   doc:"how long reading a request and answering it may take"`
	LiveListeners   int           `env:"JARI_LIVE_LISTENERS"   envDefault:"20"    doc:"administrators who may listen to the live numbers of one instance at the same time; more are refused with overloaded"`
	RequestsInside  int           `env:"JARI_REQUESTS_INSIDE"  envDefault:"2000"  doc:"requests that one instance works on at the same time; more are refused with overloaded, those that only look at 60 percent of it, holds at 80, giving back at 90, confirms last"`
	HeaderTimeout   time.Duration `env:"JARI_HEADER_TIMEOUT"   envDefault:"5s"    doc:"how long a client may take to send its headers"`
	StopTimeout     time.Duration `env:"JARI_STOP_TIMEOUT"     envDefault:"20s"   doc:"how long a stopping instance lets requests finish"`
	StopDelay       time.Duration `env:"JARI_STOP_DELAY"       envDefault:"0s"    doc:"how long a stopping instance still takes new requests, after /readyz said no, so that the balancer can notice"`
	BodyBytes       int64         `env:"JARI_BODY_BYTES"       envDefault:"16384" doc:"largest body of a request, in bytes"`
	HeaderBytes     int           `env:"JARI_HEADER_BYTES"     envDefault:"16384" doc:"largest headers of a request, in bytes"`
	ClockSkew       time.Duration `env:"JARI_CLOCK_SKEW"       envDefault:"500ms" doc:"how far the clocks of this machine, Postgres and Redis may be apart before the instance isn't ready"`
	ClockOffset     time.Duration `env:"JARI_CLOCK_OFFSET"     envDefault:"0s"    doc:"development only: how far the time that rules and people see is ahead of the real one"`
	CrashAt         string        `env:"JARI_CRASH_AT"                            doc:"development only: the named point of the work at which this process kills itself, so that what a power cut leaves behind can be seen; see internal/crash"`
	RulesConfirmed  time.Duration `env:"JARI_RULES_CONFIRMED"  envDefault:"5s"    doc:"how recently an instance must have confirmed the published versions to place holds"`
	Retention       time.Duration `env:"JARI_RETENTION"        envDefault:"2160h" doc:"how long after a campaign's last slot its people stay known; jari campaign forget refuses before"`
	SessionLifetime time.Duration `env:"JARI_SESSION_LIFETIME" envDefault:"336h"  doc:"how long a session of a person lasts; let it be more than from the opening of a registration until its room closes, or who registered early needs a new code in the rush"`

	AdmissionLifetime time.Duration `env:"JARI_ADMISSION_LIFETIME" envDefault:"30m" doc:"how long an admission lasts without being used; each use renews it"`
	AdmissionLongest  time.Duration `env:"JARI_ADMISSION_LONGEST"  envDefault:"2h"  doc:"how long an admission lasts at most, however often it is used; not less than JARI_ADMISSION_LIFETIME"`
	PlacesQueue       int           `env:"JARI_PLACES_QUEUE"       envDefault:"20000" doc:"people who may wait on one instance for their place in a line to be written; more are refused with overloaded"`
	DrandURLs         []string      `env:"JARI_DRAND_URLS"         envDefault:"https://api.drand.sh,https://drand.cloudflare.com" doc:"relays of drand that draws take their public value from, separated by commas; none of them is believed"`
	DrawPatience      time.Duration `env:"JARI_DRAW_PATIENCE"      envDefault:"30m" doc:"how long after its moment the value of a drand draw is awaited before two administrators may type in another public one; the signature of the announced round they may always hand in"`

	HoldsPerPerson int           `env:"JARI_HOLDS_PER_PERSON" envDefault:"20"  doc:"holds that a person may place in JARI_HOLDS_WINDOW"`
	HoldsWindow    time.Duration `env:"JARI_HOLDS_WINDOW"     envDefault:"10m" doc:"see JARI_HOLDS_PER_PERSON"`
	HoldsQueue     int           `env:"JARI_HOLDS_QUEUE"      envDefault:"4096" doc:"placements that may wait for Redis on one instance; more are refused with overloaded"`
	ConfirmWait    time.Duration `env:"JARI_CONFIRM_WAIT"     envDefault:"10s" doc:"how long a confirm waits for its outcome before it answers outcome_unknown"`
	FlushRows      int           `env:"JARI_FLUSH_ROWS"       envDefault:"256" doc:"bookings that one transaction may confirm"`
	FlushLanes     int           `env:"JARI_FLUSH_LANES"      envDefault:"1"   doc:"transactions that may confirm at the same time on one instance; a second one makes smaller flushes, which cost more each, but goes on where the first waits for the disk or for a row that somebody locked"`
	FlushLockWait  time.Duration `env:"JARI_FLUSH_LOCK_WAIT"  envDefault:"1s"  doc:"how long a transaction that confirms waits for slots that somebody else has locked; then it goes on with all others, and only who wants those waits, until JARI_CONFIRM_WAIT"`
	FlushQueue     int           `env:"JARI_FLUSH_QUEUE"      envDefault:"4096" doc:"confirms that may wait in one lane; more are refused with overloaded"`

	DeskShare int           `env:"JARI_DESK_SHARE" envDefault:"10" doc:"percent of a site's places on a day that the desk may book for people, rounded down; 0 for none. Public, in the campaign's answer"`
	DeskAfter time.Duration `env:"JARI_DESK_AFTER" envDefault:"0s" doc:"how long after a wave opened the desk begins to book for it; who is booked has to be called in the wave's room in any case. Public, too"`

	MessageWorkers int `env:"JARI_MESSAGE_WORKERS" envDefault:"4" doc:"messages that one instance works off at the same time; 0 leaves them to other instances, so that those which take bookings do nothing else"`

	CodeLifetime    time.Duration  `env:"JARI_CODE_LIFETIME"     envDefault:"3m"  doc:"how long a code sent by SMS is valid; at most 10m"`
	CodeAttempts    int            `env:"JARI_CODE_ATTEMPTS"     envDefault:"5"   doc:"guesses at one verification; a resend doesn't renew them"`
	CodeResendWait  time.Duration  `env:"JARI_CODE_RESEND_WAIT"  envDefault:"30s" doc:"how long to wait before a code may be sent again"`
	CodesPerDay     int            `env:"JARI_CODES_PER_DAY"     envDefault:"10"  doc:"codes sent to one phone in a day"`
	FailuresPerDay  int            `env:"JARI_FAILURES_PER_DAY"  envDefault:"20"  doc:"wrong codes for one phone in a day; at most 25, which keeps the chance of guessing a phone's code within any 24 hours at 5 in 100,000"`
	KeptForDevices  int            `env:"JARI_KEPT_FOR_DEVICES"  envDefault:"40"  doc:"percent of both that is kept for devices that verified the phone before, so that a stranger who types a number can't end its owner's night"`
	DeviceLifetime  time.Duration  `env:"JARI_DEVICE_LIFETIME"   envDefault:"2160h" doc:"how long a device is known as one that verified a phone"`
	CodesPerBlock   int            `env:"JARI_CODES_PER_BLOCK"   envDefault:"2000" doc:"codes in an hour to strangers of one address block (JARI_BLOCK_IPV4, JARI_BLOCK_IPV6)"`
	CodesPerPrefix  map[string]int `env:"JARI_CODES_PER_PREFIX" envDefault:"82:2000000" doc:"codes in a day by country prefix, such as 82:2000000,81:5000"`
	CodesPerOther   int            `env:"JARI_CODES_PER_OTHER_PREFIX" envDefault:"5000" doc:"codes in a day for each country prefix that isn't listed there"`
	CodesInAll      int            `env:"JARI_CODES_IN_ALL"      envDefault:"3000000" doc:"codes in a day of the whole deployment"`
	BlockIPv4       int            `env:"JARI_BLOCK_IPV4"        envDefault:"24"  doc:"leading bits of an IPv4 address that make a block; loopback and private addresses are a proxy's and belong to none"`
	BlockIPv6       int            `env:"JARI_BLOCK_IPV6"        envDefault:"56"  doc:"leading bits of an IPv6 address that make a block"`
	RatePerson      int            `env:"JARI_RATE_PERSON" envDefault:"300"   doc:"requests in a minute of one person, besides placing and confirming; more are refused with too_many_requests"`
	RateKey         int            `env:"JARI_RATE_KEY"    envDefault:"1200"  doc:"requests in a minute with one administrator's key"`
	RateBlock       int            `env:"JARI_RATE_BLOCK"  envDefault:"30000" doc:"requests in a minute from one address block, besides public documents, placing and confirming"`
	RateVerify      int            `env:"JARI_RATE_VERIFY" envDefault:"3000"  doc:"requests in a minute from one address block that begin or end a verification"`
	PersonsPerPhone int            `env:"JARI_PERSONS_PER_PHONE" envDefault:"5"   doc:"people who may be verified with one phone; at most 100"`
	PhoneRegion     string         `env:"JARI_PHONE_REGION"      envDefault:"KR"  doc:"region (ISO 3166) that national phone numbers belong to"`
	PhoneRegions    []string       `env:"JARI_PHONE_REGIONS"     envDefault:"KR"  doc:"regions that codes are sent to, separated by commas"`

	IdentityScheme    string        `env:"JARI_IDENTITY_SCHEME"     envDefault:"phone" doc:"what makes two requests the same person: phone, national_id, list or oidc; one for the deployment"`
	IdentityBinding   string        `env:"JARI_IDENTITY_BINDING"                       doc:"with national_id or list, what ties the number to whoever gives it: list (codes go to the phone in the imported list only) or provider (the number comes from the OpenID provider); no default"`
	IdentityList      string        `env:"JARI_IDENTITY_LIST"                          doc:"with list, as a scheme or a binding: name of the imported list"`
	IdentityNamesakes string        `env:"JARI_IDENTITY_NAMESAKES"  envDefault:"flag"  doc:"with phone: flag lets in whoever says the name and birth date of somebody with another phone and shows them to the desk, refuse answers possibly_registered"`
	Beneficiaries     int           `env:"JARI_BENEFICIARIES"       envDefault:"4"     doc:"for how many people one person may act besides themself; 0 for nobody"`
	MinorAge          int           `env:"JARI_MINOR_AGE"           envDefault:"19"    doc:"age in completed years from which somebody can't be declared by another any more and verifies for themself; 0: nobody can be declared"`
	OIDCIssuer        string        `env:"JARI_OIDC_ISSUER"                     doc:"with oidc, or provider as a binding: the OpenID provider's issuer, an https address"`
	OIDCClientID      string        `env:"JARI_OIDC_CLIENT_ID"                  doc:"what the provider calls this deployment"`
	OIDCClientSecret  Secret        `env:"JARI_OIDC_CLIENT_SECRET"              doc:"the secret that goes with it; may be empty where the provider trusts PKCE alone"`
	OIDCRedirectURL   string        `env:"JARI_OIDC_REDIRECT_URL"               doc:"the page that the provider leads back to, which hands state and code in at /v1/sign-ins/confirm"`
	OIDCScopes        []string      `env:"JARI_OIDC_SCOPES"  envDefault:"openid,profile" doc:"what the provider is asked for, separated by commas"`
	OIDCNumberClaim   string        `env:"JARI_OIDC_NUMBER_CLAIM"               doc:"with provider as a binding: the claim that has the national id, or the number of the list's entry, as a text"`
	OIDCTimeout       time.Duration `env:"JARI_OIDC_TIMEOUT" envDefault:"5s"    doc:"how long one request to the provider may take"`
	SignInLifetime    time.Duration `env:"JARI_SIGN_IN_LIFETIME" envDefault:"10m" doc:"how long somebody may be at the provider"`

	AdminOIDCIssuer       string        `env:"JARI_ADMIN_OIDC_ISSUER"                    doc:"the OpenID provider at which administrators sign in, an https address; without it they have keys alone"`
	AdminOIDCClientID     string        `env:"JARI_ADMIN_OIDC_CLIENT_ID"                 doc:"what it calls this deployment; tokens for anybody else are refused"`
	AdminOIDCClientSecret Secret        `env:"JARI_ADMIN_OIDC_CLIENT_SECRET"             doc:"the secret that goes with it; may be empty where the provider trusts PKCE alone"`
	AdminOIDCRedirectURL  string        `env:"JARI_ADMIN_OIDC_REDIRECT_URL"              doc:"the page that it leads back to, which hands state and code in at /admin/v1/sign-ins/confirm"`
	AdminOIDCScopes       []string      `env:"JARI_ADMIN_OIDC_SCOPES" envDefault:"openid,profile" doc:"what it is asked for, separated by commas"`
	AdminOIDCGroupsClaim  string        `env:"JARI_ADMIN_OIDC_GROUPS_CLAIM" envDefault:"groups" doc:"the claim with somebody's groups, a text or a list; dots lead into objects, such as realm_access.roles"`
	AdminOIDCRoles        []string      `env:"JARI_ADMIN_OIDC_ROLES" envSeparator:";"    doc:"which group has which role, such as owner=jari-owners;operator=night;clinic/korea-2021/seoul-17=nurses-17; whoever is in none of them isn't let in"`
	AdminSession          time.Duration `env:"JARI_ADMIN_SESSION"     envDefault:"8h"    doc:"how long an administrator who signed in stays so; at most 12h"`

	SMSGateway         string        `env:"JARI_SMS_GATEWAY"  envDefault:""    doc:"inbox (development only: messages are shown at /dev/inbox), sens (NAVER Cloud), solapi, or http (a gateway with Kannel's sendsms form); no default in production"`
	SMSURL             string        `env:"JARI_SMS_URL"                       doc:"address of the gateway: with http of its sendsms, whose user in Kannel needs max-messages = 10 and concatenation = true, or long texts are cut; with sens https://sens.apigw.ntruss.com or, for the public sector, https://sens.apigw.gov-ntruss.com; with solapi https://api.solapi.com"`
	SMSUser            string        `env:"JARI_SMS_USER"                      doc:"with http the user name, with sens the access key, with solapi the API key"`
	SMSPassword        Secret        `env:"JARI_SMS_PASSWORD"                  doc:"with http the password, with sens the secret key, with solapi the API secret"`
	SMSService         string        `env:"JARI_SMS_SERVICE"                   doc:"with sens: the id of the service, such as ncp:sms:kr:123456789:agency"`
	SMSFrom            string        `env:"JARI_SMS_FROM"                      doc:"the sender's number, as it is registered at the gateway"`
	SMSTimeout         time.Duration `env:"JARI_SMS_TIMEOUT"  envDefault:"10s" doc:"how long the gateway may take for one message; at most 30s"`
	SMSRate            int           `env:"JARI_SMS_RATE"     envDefault:"20"  doc:"messages a second that the gateway takes from the whole deployment; while more people want a code than that, they wait in a room of their own (_codes); the inbox has no line"`
	CodeTurn           time.Duration `env:"JARI_CODE_TURN"    envDefault:"10m" doc:"how long a phone that is called in the room in front of codes may ask for them; afterwards it takes a new place"`
	CodePlacesPerBlock int           `env:"JARI_CODE_PLACES_PER_BLOCK" envDefault:"300" doc:"places in that room in a minute to strangers of one address block"`

	Reminders     bool `env:"JARI_REMINDERS"      envDefault:"true" doc:"whether people are reminded of their booking the day before"`
	RemindersFrom int  `env:"JARI_REMINDERS_FROM" envDefault:"10"   doc:"hour of the day, in the zone of the campaign, from which reminders are sent"`
	RemindersTo   int  `env:"JARI_REMINDERS_TO"   envDefault:"20"   doc:"hour of the day until which reminders are sent; what couldn't be sent until then is dropped"`

	SecondPerson     []string      `env:"JARI_SECOND_PERSON"                        doc:"what another administrator's key must approve, separated by commas: publish (any version), close_early (somebody loses a time to book: a version, a clearing, or a room that is closed for good), loosen (somebody gains one), bulk (applying any plan); nothing by default"`
	ApprovalLifetime time.Duration `env:"JARI_APPROVAL_LIFETIME" envDefault:"1h"    doc:"how long a proposal waits to be approved and used"`
	FreezeBefore     time.Duration `env:"JARI_FREEZE_BEFORE"     envDefault:"0s"    doc:"how long before a wave opens nothing is published and no slot is changed over the API, unless an owner and a second person override it; 0s doesn't freeze"`
	FreezeAfter      time.Duration `env:"JARI_FREEZE_AFTER"      envDefault:"0s"    doc:"how long after a wave opened the same holds"`

	PlanLifetime time.Duration `env:"JARI_PLAN_LIFETIME" envDefault:"1h"       doc:"how long a bulk change that was tried can be applied"`
	ImportBytes  int64         `env:"JARI_IMPORT_BYTES"  envDefault:"33554432" doc:"largest file that is imported, in bytes; it is held in memory while it is read"`
	ImportRows   int           `env:"JARI_IMPORT_ROWS"   envDefault:"1000000"  doc:"rows that one imported file may have"`
	BulkTimeout  time.Duration `env:"JARI_BULK_TIMEOUT"  envDefault:"2m"       doc:"how long sending, trying or applying one bulk change may take"`
	BulkOpen     int           `env:"JARI_BULK_OPEN"     envDefault:"20000"    doc:"existing slots that one bulk change may change while a wave is open: they are locked until it is committed; new ones aren't bounded"`
	BulkAtOnce   int           `env:"JARI_BULK_AT_ONCE"  envDefault:"2"        doc:"bulk changes that one instance works on at the same time; more are refused with overloaded"`
}

// Load reads the environment, as KEY=VALUE pairs, and validates it.
func Load(environ []string) (Config, error) {
	c, err := Read(environ)
	if err != nil {
		return Config{}, err
	}
	return c, c.Validate()
}

// Read reads the environment without validating, for commands that need only a part of it.
func Read(environ []string) (Config, error) {
	c, err := env.ParseAsWithOptions[Config](env.Options{Environment: env.ToMap(environ)})
	if err == nil {
		return c, nil
	}
	// Say every field that couldn't be read, but never a value: it may be a secret that landed in the wrong variable.
	if all, ok := errors.AsType[env.AggregateError](err); ok {
		var faults []error
		for _, e := range all.Errors {
			if pe, ok := errors.AsType[env.ParseError](e); ok {
				faults = append(faults, fmt.Errorf("%s: isn't a %s", variable(pe.Name), readable(pe.Type)))
				continue
			}
			faults = append(faults, e)
		}
		err = errors.Join(faults...)
	}
	return Config{}, err
}

// readable names a type the way a person who writes an environment file would.
func readable(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return "duration such as 90s, 5m or 336h"
	case reflect.TypeFor[netip.Prefix](), reflect.TypeFor[[]netip.Prefix]():
		return "list of address ranges such as 10.0.0.0/8"
	case reflect.TypeFor[slog.Level]():
		return "log level (DEBUG, INFO, WARN or ERROR)"
	}
	switch t.Kind() {
	case reflect.Map:
		return "list such as 82:2000000,81:5000"
	case reflect.Int, reflect.Int64:
		return "whole number"
	default:
		return t.String()
	}
}

func variable(field string) string {
	f, ok := reflect.TypeFor[Config]().FieldByName(field)
	if !ok {
		return field
	}
	name, _, _ := strings.Cut(f.Tag.Get("env"), ",")
	return name
}

// region is the form of a code of ISO 3166.
var region = regexp.MustCompile(`^[A-Z]{2}$`)

// countryPrefix is the form of a country calling code of E.164.
var countryPrefix = regexp.MustCompile(`^[1-9][0-9]{0,2}$`)

// Validate returns every fault of the configuration, joined, or nil.
func (c Config) Validate() error {
	var faults []error
	refuse := func(name, format string, args ...any) {
		faults = append(faults, fmt.Errorf(name+": "+format, args...))
	}
	switch c.Environment {
	case Development, Production:
	case "":
		refuse("JARI_ENV", "is missing: development or production")
	default:
		refuse("JARI_ENV", "is %q and must be development or production", c.Environment)
	}
	for _, required := range []struct{ name, value, form string }{
		{"JARI_POSTGRES_URL", string(c.PostgresURL), "postgres://user:password@host:port/database"},
		{"JARI_REDIS_URL", string(c.RedisURL), "redis://user:password@host:port/database"},
		{"JARI_TOKEN_KEYS", string(c.TokenKeys), "made by `jari keys generate`"},
		{"JARI_DATA_KEYS", string(c.DataKeys), "made by `jari keys generate`"},
		{"JARI_INDEX_KEYS", string(c.IndexKeys), "made by `jari keys generate`"},
	} {
		if required.value == "" {
			refuse(required.name, "is missing: %s", required.form)
		}
	}
	production := c.Environment != Development
	if production && c.ClockOffset != 0 {
		refuse("JARI_CLOCK_OFFSET", "only development may move the clock")
	}
	if production && c.CrashAt != "" {
		refuse("JARI_CRASH_AT", "only development may kill itself")
	}
	switch c.SMSGateway {
	case "inbox":
		if production {
			refuse("JARI_SMS_GATEWAY", "inbox shows everybody's codes and is for development only")
		}
	case "http", "sens", "solapi":
		if u, err := url.Parse(c.SMSURL); err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
			refuse("JARI_SMS_URL", "must be the address of a gateway such as https://sms.example.org/cgi-bin/sendsms")
		}
		if c.SMSUser == "" || c.SMSPassword == "" || c.SMSFrom == "" {
			refuse("JARI_SMS_USER, JARI_SMS_PASSWORD, JARI_SMS_FROM", "are needed with JARI_SMS_GATEWAY=%s", c.SMSGateway)
		}
		if c.SMSGateway == "sens" && c.SMSService == "" {
			refuse("JARI_SMS_SERVICE", "is needed with JARI_SMS_GATEWAY=sens")
		}
	case "":
		refuse("JARI_SMS_GATEWAY", "is missing: sens, solapi, http%s", map[bool]string{false: ", or inbox in development"}[production])
	default:
		refuse("JARI_SMS_GATEWAY", "is %q and must be sens, solapi, http, or inbox in development", c.SMSGateway)
	}
	if c.RemindersFrom >= c.RemindersTo && c.RemindersFrom < 24 && c.RemindersTo > 0 {
		refuse("JARI_REMINDERS_FROM", "is %d and must be before JARI_REMINDERS_TO, which is %d", c.RemindersFrom, c.RemindersTo)
	}
	c.validateIdentity(refuse)
	c.validateFeed(refuse)
	c.validateAdminSignIn(refuse)
	for _, origin := range c.AllowedOrigins {
		if u, err := url.Parse(origin); err != nil || u.Scheme == "" || u.Host == "" || u.Path != "" {
			refuse("JARI_ALLOWED_ORIGINS", "%q isn't an origin such as https://booking.example.org", origin)
		}
	}
	for _, act := range c.SecondPerson {
		if !slices.Contains([]string{"publish", "close_early", "loosen", "bulk"}, act) {
			refuse("JARI_SECOND_PERSON", "has %q and must be of publish, close_early, loosen and bulk", act)
		}
	}
	// A region of another form belongs to no phone: every citizen would be refused, one by one.
	if !region.MatchString(c.PhoneRegion) {
		refuse("JARI_PHONE_REGION", "is %q and must be two capital letters such as KR", c.PhoneRegion)
	}
	for _, r := range c.PhoneRegions {
		if !region.MatchString(r) {
			refuse("JARI_PHONE_REGIONS", "has %q and must be of two capital letters each, such as KR,JP", r)
		}
	}
	for prefix, codes := range c.CodesPerPrefix {
		if !countryPrefix.MatchString(prefix) || codes < 0 || codes > 100_000_000 {
			refuse("JARI_CODES_PER_PREFIX", "has %q and must be of country prefixes with 0 to 100000000 codes each, such as 82:2000000", prefix)
		}
	}
	for _, limit := range []struct {
		name          string
		value         int64
		least, most   int64
		unit          string
		shownDuration bool
	}{
		{"JARI_POSTGRES_CONNECTIONS", int64(c.PostgresConnections), 4, 1000, "connections", false},
		{"JARI_REDIS_CONNECTIONS", int64(c.RedisConnections), 1, 1000, "connections", false},
		{"JARI_BODY_BYTES", c.BodyBytes, 1024, 1 << 20, "bytes", false},
		{"JARI_HEADER_BYTES", int64(c.HeaderBytes), 4096, 1 << 20, "bytes", false},
		{"JARI_HOLDS_PER_PERSON", int64(c.HoldsPerPerson), 1, 10_000, "holds", false},
		{"JARI_LIVE_LISTENERS", int64(c.LiveListeners), 1, 1000, "listeners", false},
		{"JARI_REQUESTS_INSIDE", int64(c.RequestsInside), 10, 1_000_000, "requests", false},
		{"JARI_HOLDS_QUEUE", int64(c.HoldsQueue), 1, 1 << 20, "placements", false},
		{"JARI_MESSAGE_WORKERS", int64(c.MessageWorkers), 0, int64(max(1, c.PostgresConnections/2)), "messages (half of JARI_POSTGRES_CONNECTIONS)", false},
		{"JARI_DESK_SHARE", int64(c.DeskShare), 0, 100, "percent", false},
		{"JARI_DESK_AFTER", int64(c.DeskAfter), 0, int64(90 * 24 * time.Hour), "", true},
		{"JARI_FLUSH_ROWS", int64(c.FlushRows), 1, 1000, "bookings", false},
		{"JARI_FLUSH_LANES", int64(c.FlushLanes), 1, int64(max(1, c.PostgresConnections/2)), "transactions (half of JARI_POSTGRES_CONNECTIONS)", false},
		{"JARI_FLUSH_LOCK_WAIT", int64(c.FlushLockWait), int64(10 * time.Millisecond), int64(10 * time.Second), "", true},
		{"JARI_FLUSH_QUEUE", int64(c.FlushQueue), 1, 1 << 20, "confirms", false},
		{"JARI_CODE_ATTEMPTS", int64(c.CodeAttempts), 1, 10, "guesses", false},
		{"JARI_CODES_PER_DAY", int64(c.CodesPerDay), 1, 100, "codes", false},
		{"JARI_FAILURES_PER_DAY", int64(c.FailuresPerDay), 1, 25, "wrong codes", false},
		{"JARI_KEPT_FOR_DEVICES", int64(c.KeptForDevices), 0, 90, "percent", false},
		{"JARI_CODES_PER_BLOCK", int64(c.CodesPerBlock), 1, 10_000_000, "codes", false},
		{"JARI_CODES_PER_OTHER_PREFIX", int64(c.CodesPerOther), 0, 100_000_000, "codes", false},
		{"JARI_CODES_IN_ALL", int64(c.CodesInAll), 1, 100_000_000, "codes", false},
		{"JARI_SMS_RATE", int64(c.SMSRate), 1, 100_000, "messages", false},
		{"JARI_CODE_TURN", int64(c.CodeTurn), int64(time.Minute), int64(time.Hour), "", true},
		{"JARI_CODE_PLACES_PER_BLOCK", int64(c.CodePlacesPerBlock), 1, 10_000_000, "places", false},
		{"JARI_REMINDERS_FROM", int64(c.RemindersFrom), 0, 23, "o'clock", false},
		{"JARI_REMINDERS_TO", int64(c.RemindersTo), 1, 24, "o'clock", false},
		{"JARI_RATE_PERSON", int64(c.RatePerson), 10, 10_000_000, "requests", false},
		{"JARI_RATE_KEY", int64(c.RateKey), 10, 10_000_000, "requests", false},
		{"JARI_RATE_BLOCK", int64(c.RateBlock), 10, 10_000_000, "requests", false},
		{"JARI_RATE_VERIFY", int64(c.RateVerify), 10, 10_000_000, "requests", false},
		{"JARI_BLOCK_IPV4", int64(c.BlockIPv4), 8, 32, "bits", false},
		{"JARI_BLOCK_IPV6", int64(c.BlockIPv6), 16, 128, "bits", false},
		{"JARI_DEVICE_LIFETIME", int64(c.DeviceLifetime), int64(time.Hour), int64(400 * 24 * time.Hour), "", true},
		{"JARI_PERSONS_PER_PHONE", int64(c.PersonsPerPhone), 1, 100, "people", false},
		{"JARI_BENEFICIARIES", int64(c.Beneficiaries), 0, 100, "people", false},
		{"JARI_MINOR_AGE", int64(c.MinorAge), 0, 25, "years", false},
		{"JARI_OIDC_TIMEOUT", int64(c.OIDCTimeout), int64(500 * time.Millisecond), int64(time.Minute), "", true},
		{"JARI_SIGN_IN_LIFETIME", int64(c.SignInLifetime), int64(time.Minute), int64(time.Hour), "", true},
		{"JARI_ADMIN_SESSION", int64(c.AdminSession), int64(5 * time.Minute), int64(12 * time.Hour), "", true},
		{"JARI_CODE_LIFETIME", int64(c.CodeLifetime), int64(30 * time.Second), int64(10 * time.Minute), "", true},
		{"JARI_CODE_RESEND_WAIT", int64(c.CodeResendWait), int64(time.Second), int64(10 * time.Minute), "", true},
		{"JARI_RETENTION", int64(c.Retention), int64(24 * time.Hour), int64(10 * 365 * 24 * time.Hour), "", true},
		{"JARI_SESSION_LIFETIME", int64(c.SessionLifetime), int64(time.Minute), int64(90 * 24 * time.Hour), "", true},
		{"JARI_ADMISSION_LIFETIME", int64(c.AdmissionLifetime), int64(time.Minute), int64(24 * time.Hour), "", true},
		{"JARI_ADMISSION_LONGEST", int64(c.AdmissionLongest), int64(time.Minute), int64(7 * 24 * time.Hour), "", true},
		{"JARI_PLACES_QUEUE", int64(c.PlacesQueue), 1, 1 << 20, "people", false},
		{"JARI_DRAW_PATIENCE", int64(c.DrawPatience), int64(time.Minute), int64(24 * time.Hour), "", true},
		{"JARI_HOLDS_WINDOW", int64(c.HoldsWindow), int64(time.Second), int64(24 * time.Hour), "", true},
		{"JARI_CONFIRM_WAIT", int64(c.ConfirmWait), int64(time.Second), int64(time.Minute), "", true},
		// Two seconds more than a confirm waits, so that its answer is the one that is given.
		{"JARI_REQUEST_TIMEOUT", int64(c.RequestTimeout), int64(c.ConfirmWait + 2*time.Second), int64(5 * time.Minute), "", true},
		{"JARI_HEADER_TIMEOUT", int64(c.HeaderTimeout), int64(time.Second), int64(time.Minute), "", true},
		{"JARI_STOP_TIMEOUT", int64(c.StopTimeout), int64(time.Second), int64(5 * time.Minute), "", true},
		{"JARI_STOP_DELAY", int64(c.StopDelay), 0, int64(5 * time.Minute), "", true},
		{"JARI_POSTGRES_CONNECT_TIMEOUT", int64(c.PostgresConnectTimeout), int64(100 * time.Millisecond), int64(time.Minute), "", true},
		{"JARI_REDIS_TIMEOUT", int64(c.RedisTimeout), int64(10 * time.Millisecond), int64(10 * time.Second), "", true},
		{"JARI_CLOCK_SKEW", int64(c.ClockSkew), int64(10 * time.Millisecond), int64(time.Minute), "", true},
		{"JARI_RULES_CONFIRMED", int64(c.RulesConfirmed), int64(2 * time.Second), int64(MaxRulesConfirmed), "", true},
		{"JARI_SMS_TIMEOUT", int64(c.SMSTimeout), int64(time.Second), int64(30 * time.Second), "", true},
		{"JARI_APPROVAL_LIFETIME", int64(c.ApprovalLifetime), int64(time.Minute), int64(7 * 24 * time.Hour), "", true},
		{"JARI_FREEZE_BEFORE", int64(c.FreezeBefore), 0, int64(7 * 24 * time.Hour), "", true},
		{"JARI_FREEZE_AFTER", int64(c.FreezeAfter), 0, int64(7 * 24 * time.Hour), "", true},
		{"JARI_PLAN_LIFETIME", int64(c.PlanLifetime), int64(time.Minute), int64(7 * 24 * time.Hour), "", true},
		{"JARI_IMPORT_BYTES", c.ImportBytes, 1024, 1 << 30, "bytes", false},
		{"JARI_IMPORT_ROWS", int64(c.ImportRows), 1, 10_000_000, "rows", false},
		{"JARI_BULK_TIMEOUT", int64(c.BulkTimeout), int64(10 * time.Second), int64(time.Hour), "", true},
		{"JARI_BULK_OPEN", int64(c.BulkOpen), 1, 10_000_000, "slots", false},
		{"JARI_BULK_AT_ONCE", int64(c.BulkAtOnce), 1, 100, "bulk changes", false},
	} {
		if limit.value >= limit.least && limit.value <= limit.most {
			continue
		}
		if limit.shownDuration {
			refuse(limit.name, "is %s and must be between %s and %s",
				time.Duration(limit.value), time.Duration(limit.least), time.Duration(limit.most))
			continue
		}
		refuse(limit.name, "is %d and must be between %d and %d %s", limit.value, limit.least, limit.most, limit.unit)
	}
	return errors.Join(faults...)
}

// Table writes every variable with its default and meaning, as a Markdown table: the one in the README.
func Table(w io.Writer) error {
	var b strings.Builder
	b.WriteString("| variable | default | meaning |\n|---|---|---|\n")
	for f := range fields() {
		name, _, _ := strings.Cut(f.Tag.Get("env"), ",")
		value := f.Tag.Get("envDefault")
		if value != "" {
			value = "`" + value + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, value, f.Tag.Get("doc"))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func fields() func(yield func(reflect.StructField) bool) {
	return slices.Values(reflect.VisibleFields(reflect.TypeFor[Config]()))
}
