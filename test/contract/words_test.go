package contract_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/internal/slot"
	"jari/internal/token"
	"jari/test/jaritest"
	"jari/test/oidctest"
)

// refusal gets a server to refuse with one code, as often as it is sent.
type refusal struct {
	options []jaritest.Option
	ask     func(t *testing.T, s *jaritest.Server) jaritest.Request
	// alone: it changes what others of its kind would find, so it takes a server to itself. So does one with options.
	alone bool
	// provider: people sign in at one, which is handed in.
	provider func(t *testing.T, s *jaritest.Server, p *oidctest.Provider) jaritest.Request
}

func environment(name, value string) []jaritest.Option {
	return []jaritest.Option{jaritest.WithEnvironment(name, value)}
}

// ask is a refusal that needs nothing but a request of a citizen.
func ask(method, path string, body any) refusal {
	return refusal{ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		return s.NewCitizen(t, jaritest.BornForE3).Request(method, strings.ReplaceAll(path, "{campaign}", s.Campaign), body)
	}}
}

// sealed is a hold token of this deployment that no honest client has.
func sealed(t *testing.T, s *jaritest.Server, c *jaritest.Citizen, change func(*token.Hold)) string {
	t.Helper()
	box := s.Tokens(t)
	session, err := box.OpenSession(c.Session)
	if err != nil {
		t.Fatal(err)
	}
	id, _ := slot.ParseID(s.Slot(t, jaritest.SiteOfFew, dayE3))
	now := time.Now()
	h := token.Hold{
		ID: uuid.New(), Campaign: s.Campaign, Slot: id, Person: session.Person, Actor: session.Person,
		PlacedAt: now, ExpiresAt: now.Add(5 * time.Minute), Wave: "E3", RulesVersion: 1, JudgedAt: s.Clock.Now(),
	}
	change(&h)
	text, err := box.SealHold(h)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func confirm(c *jaritest.Citizen, s *jaritest.Server, text string) jaritest.Request {
	return c.Request(http.MethodPut, s.Path("/booking"), map[string]any{"hold_token": text})
}

func hold(c *jaritest.Citizen, s *jaritest.Server, slot string, more ...string) jaritest.Request {
	return c.Request(http.MethodPut, s.Path("/hold"), jaritest.HoldBody(slot, more...))
}

func run(t *testing.T, s *jaritest.Server, statement string) {
	t.Helper()
	if _, err := s.Pool.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// refusals has a way to every code of the contract.
var refusals = map[fault.Code]refusal{
	fault.CodeInvalidRequest:   ask(http.MethodPut, "/v1/campaigns/{campaign}/hold", map[string]any{}),
	fault.CodeNotFound:         ask(http.MethodGet, "/v1/nothing", nil),
	fault.CodeMethodNotAllowed: ask(http.MethodPost, "/v1/campaigns", nil),
	fault.CodeCampaignNotFound: ask(http.MethodGet, "/v1/campaigns/nothing", nil),
	fault.CodeRegionNotFound:   ask(http.MethodGet, "/v1/campaigns/{campaign}/regions/nowhere/sites", nil),
	fault.CodeFeedNotOffered:   ask(http.MethodGet, "/v1/feeds/$bulk-publish", nil),
	fault.CodeSiteNotFound:     ask(http.MethodGet, "/v1/campaigns/{campaign}/sites/nowhere/slots", nil),
	fault.CodeSlotNotFound:     ask(http.MethodPut, "/v1/campaigns/{campaign}/hold", jaritest.HoldBody("never")),
	fault.CodeRoomNotFound:     ask(http.MethodPut, "/v1/rooms/nowhere/admission", nil),
	fault.CodeNoHold:           ask(http.MethodGet, "/v1/campaigns/{campaign}/hold", nil),
	fault.CodeNoBooking:        ask(http.MethodGet, "/v1/campaigns/{campaign}/booking", nil),
	fault.CodeHoldTokenInvalid: ask(http.MethodPut, "/v1/campaigns/{campaign}/booking", map[string]any{"hold_token": "x"}),
	fault.CodeVerificationOver: ask(http.MethodPost, "/v1/verifications/unknown/resend", nil),
	fault.CodePhoneUnsupported: ask(http.MethodPost, "/v1/verifications",
		map[string]any{"scheme": "phone", "name": "남궁별이", "birth_date": "1964-05-05", "phone": "02-1234-5678"}),
	fault.CodeSchemeNotOffered: ask(http.MethodPost, "/v1/verifications",
		map[string]any{"scheme": "list", "name": "남궁별이", "birth_date": "1964-05-05", "phone": "010-2345-6789"}),
	fault.CodeMalformedJSON: {ask: func(_ *testing.T, s *jaritest.Server) jaritest.Request {
		return jaritest.Request{
			Method: http.MethodPost, Path: s.Path("/eligibility"), Body: []byte("{"), Header: http.Header{"Content-Type": {"application/json"}},
		}
	}},
	fault.CodeUnsupportedMedia: {ask: func(_ *testing.T, s *jaritest.Server) jaritest.Request {
		return jaritest.Request{Method: http.MethodPost, Path: s.Path("/eligibility"), Body: []byte("{}")}
	}},
	fault.CodeBodyTooLarge: {ask: func(_ *testing.T, s *jaritest.Server) jaritest.Request {
		return jaritest.JSON(http.MethodPost, s.Path("/eligibility"), strings.Repeat("x", 20_000))
	}},
	fault.CodeAddressLimit: {
		options: []jaritest.Option{
			jaritest.WithEnvironment("JARI_CODES_PER_BLOCK", "1"), jaritest.WithEnvironment("JARI_TRUSTED_PROXIES", "127.0.0.0/8,::1/128"),
		},
		ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
			first := jaritest.JSON(http.MethodPost, "/v1/verifications", s.Stranger(jaritest.BornForE3).Claims())
			first.Header.Set("X-Forwarded-For", "203.0.113.7")
			s.Send(t, first).Want(t, http.StatusAccepted)
			second := jaritest.JSON(http.MethodPost, "/v1/verifications", s.Stranger(jaritest.BornForE3).Claims())
			second.Header.Set("X-Forwarded-For", "203.0.113.200")
			return second
		},
	},
	fault.CodeCodesLimit: {
		options: environment("JARI_CODES_IN_ALL", "1"),
		ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
			s.Stranger(jaritest.BornForE3).StartVerification(t)
			return jaritest.JSON(http.MethodPost, "/v1/verifications", s.Stranger(jaritest.BornForE3).Claims())
		},
	},
	fault.CodeSMSBusy: {
		// A gateway that takes one a second, a code that lasts 30 s, and a line of codes before this one.
		options: []jaritest.Option{
			jaritest.WithEnvironment("JARI_SMS_GATEWAY", "http"), jaritest.WithEnvironment("JARI_SMS_URL", "http://127.0.0.1:9/sendsms"),
			jaritest.WithEnvironment("JARI_SMS_USER", "jari"), jaritest.WithEnvironment("JARI_SMS_PASSWORD", "jari"),
			jaritest.WithEnvironment("JARI_SMS_FROM", "1330"), jaritest.WithEnvironment("JARI_SMS_RATE", "1"),
			jaritest.WithEnvironment("JARI_CODE_LIFETIME", "30s"), jaritest.WithEnvironment("JARI_MESSAGE_WORKERS", "0"),
		},
		ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
			// Nobody waits in the room, so whoever comes is called at once.
			jaritest.Eventually(t, 20*time.Second, "the room in front of codes calls", func() bool {
				var r httpapi.RoomStatus
				s.Do(t, http.MethodGet, "/v1/rooms/_codes/status", nil).Want(t, http.StatusOK).Into(t, &r)
				return r.Serving > 0
			})
			run(t, s, `INSERT INTO message_lines (line, free_at) VALUES ('codes', now() + interval '60 s')`)
			return jaritest.JSON(http.MethodPost, "/v1/verifications", s.Stranger(jaritest.BornForE3).Claims())
		},
	},
	fault.CodeTooManyRequests: {
		options: environment("JARI_RATE_PERSON", "10"),
		ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
			c := s.NewCitizen(t, jaritest.BornForE3)
			for range 12 {
				s.Send(t, c.Request(http.MethodGet, "/v1/me", nil))
			}
			return c.Request(http.MethodGet, "/v1/me", nil)
		},
	},
	fault.CodeSessionRequired: {ask: func(*testing.T, *jaritest.Server) jaritest.Request {
		return jaritest.JSON(http.MethodGet, "/v1/me", nil)
	}},
	fault.CodeSessionExpired: {ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		c := s.NewCitizen(t, jaritest.BornForE3)
		c.Do(t, http.MethodDelete, "/v1/session", nil).Want(t, http.StatusNoContent)
		return c.Request(http.MethodGet, "/v1/me", nil)
	}},
	fault.CodeCrossOrigin: {ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		c := s.NewCitizen(t, jaritest.BornForE3)
		return jaritest.JSON(http.MethodPut, s.Path("/hold"), jaritest.HoldBody("1")).
			With("Cookie", "__Host-jari-session="+c.Session).With("Sec-Fetch-Site", "cross-site")
	}},
	fault.CodeAdmissionRequired: {ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		c := s.Stranger(jaritest.BornForE3)
		c.Verify(t)
		return hold(c, s, "1")
	}},
	fault.CodeAdmissionOfAnother: {ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		c := s.NewCitizen(t, jaritest.BornForE3)
		c.Admission = s.NewCitizen(t, jaritest.BornForE3).Admission
		return hold(c, s, "1")
	}},
	fault.CodeAdmissionExpired: {ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		c := s.NewCitizen(t, jaritest.BornForE3)
		session, err := s.Tokens(t).OpenSession(c.Session)
		if err != nil {
			t.Fatal(err)
		}
		if c.Admission, err = s.Tokens(t).SealAdmission(token.Admission{
			Room: s.Campaign, Campaign: s.Campaign, Person: session.Person, ExpiresAt: time.Now().Add(-time.Second),
		}); err != nil {
			t.Fatal(err)
		}
		return hold(c, s, "1")
	}},
	fault.CodePhoneLimit: {options: environment("JARI_CODES_PER_DAY", "1"), ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		c := s.Stranger(jaritest.BornForE3)
		c.StartVerification(t)
		return jaritest.JSON(http.MethodPost, "/v1/verifications", c.Claims())
	}},
	fault.CodeResendTooSoon: {ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		v := s.Stranger(jaritest.BornForE3).StartVerification(t)
		return jaritest.JSON(http.MethodPost, "/v1/verifications/"+v.VerificationId+"/resend", nil)
	}},
	fault.CodeCodeWrong: {ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		c := s.Stranger(jaritest.BornForE3)
		v := c.StartVerification(t)
		wrong := "000000"
		if c.Code(t) == wrong {
			wrong = "000001"
		}
		return jaritest.JSON(http.MethodPost, "/v1/verifications/"+v.VerificationId+"/confirm", map[string]any{"code": wrong})
	}},
	fault.CodePersonsPerPhone: {options: environment("JARI_PERSONS_PER_PHONE", "1"), ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		first, second := s.NewCitizen(t, jaritest.BornForE3), s.Stranger("1963-03-03")
		second.Phone = first.Phone
		v := second.StartVerification(t)
		return jaritest.JSON(http.MethodPost, "/v1/verifications/"+v.VerificationId+"/confirm", map[string]any{"code": second.Code(t)})
	}},
	fault.CodePossiblyRegistered: {options: environment("JARI_IDENTITY_NAMESAKES", "refuse"), ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		s.NewCitizen(t, jaritest.BornForE3)
		c := s.Stranger(jaritest.BornForE3)
		v := c.StartVerification(t)
		return jaritest.JSON(http.MethodPost, "/v1/verifications/"+v.VerificationId+"/confirm", map[string]any{"code": c.Code(t)})
	}},
	fault.CodeNotOnList: {
		options: append(append(environment("JARI_IDENTITY_SCHEME", "list"), environment("JARI_IDENTITY_BINDING", "list")...), environment("JARI_IDENTITY_LIST", "nurses")...),
		ask: func(_ *testing.T, s *jaritest.Server) jaritest.Request {
			return jaritest.JSON(http.MethodPost, "/v1/verifications", map[string]any{
				"scheme": "list", "name": "남궁별이", "birth_date": "1964-05-05", "number": "0012", "phone": s.NewPhone(),
			})
		},
	},
	fault.CodeOwnVerificationRequired: declaring("홍어른", jaritest.BornForE3, 0),
	fault.CodeBeneficiariesLimit:      {options: environment("JARI_BENEFICIARIES", "0"), ask: declaring("홍아기", "2015-05-05", 0).ask},
	fault.CodeDeclarationsLimit: {
		options: environment("JARI_IDENTITY_NAMESAKES", "refuse"), ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
			child := s.Stranger("2015-05-05")
			child.Verify(t)
			return declaring(child.Name, "2015-05-05", 10).ask(t, s)
		},
	},
	fault.CodeActingForAnother: {ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		child := s.NewCitizen(t, jaritest.BornForE3).ActFor(t, "홍아기", "2015-05-05")
		return child.Request(http.MethodPost, "/v1/me/phone", map[string]any{"phone": s.NewPhone()})
	}},
	fault.CodeSignInOver:       {options: signingIn(nil), ask: confirmingSignIn("x", "x")},
	fault.CodeSignInRefused:    atProvider(func(_, code string) (string, string) { return "another", code }),
	fault.CodeSignInIncomplete: atProvider(func(state, code string) (string, string) { return state, code }),
	fault.CodeProviderUnavailable: {options: signingIn(nil), ask: func(*testing.T, *jaritest.Server) jaritest.Request {
		return jaritest.JSON(http.MethodPost, "/v1/sign-ins", nil)
	}},
	fault.CodeNotEligible: {ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		return hold(s.NewCitizen(t, jaritest.BornForF1), s, s.Slot(t, jaritest.SiteOfOne, jaritest.FirstDay))
	}},
	fault.CodeRulesUnconfirmed: {options: environment("JARI_RULES_CONFIRMED", "2s"), ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		c := s.NewCitizen(t, jaritest.BornForE3)
		q := hold(c, s, s.Slot(t, jaritest.SiteOfOne, dayE3))
		run(t, s, `ALTER TABLE campaign_versions RENAME TO campaign_versions_away`)
		jaritest.Eventually(t, 20*time.Second, "the rules aren't confirmed any more", func() bool {
			return s.Send(t, q).Status == http.StatusServiceUnavailable
		})
		return q
	}},
	fault.CodeSlotClosed: {alone: true, ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		c := s.NewCitizen(t, jaritest.BornForE3)
		unit := s.Slot(t, jaritest.SiteOfOne, dayE3)
		closed := s.Send(t, administer(t, s, http.MethodPatch, "/slots/"+unit, map[string]any{"state": "closed"}))
		if closed.Status != http.StatusOK {
			t.Fatalf("closing a slot: %d", closed.Status)
		}
		return hold(c, s, unit)
	}},
	fault.CodeSlotFull: {ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		unit := s.Slot(t, jaritest.SiteOfOne, dayE3)
		s.NewCitizen(t, jaritest.BornForE3).MustHold(t, unit)
		return hold(s.NewCitizen(t, jaritest.BornForE3), s, unit)
	}},
	fault.CodeHoldsOther: {ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		c := s.NewCitizen(t, jaritest.BornForE3)
		c.MustHold(t, s.Slot(t, jaritest.SiteOfMany, dayE3))
		return hold(c, s, s.Slot(t, jaritest.SiteOfFew, dayE3))
	}},
	fault.CodeHoldEnding: {alone: true, ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		c := s.NewCitizen(t, jaritest.BornForE3)
		unit := s.Slot(t, jaritest.SiteOfOne, dayE3)
		c.MustHold(t, unit)
		// As if its time were over, and the moments in which Redis keeps it not yet.
		found, err := s.Redis.Keys(t.Context(), "{*:person:*").Result()
		if err != nil || len(found) != 1 {
			t.Fatalf("the person's hold isn't found: %v %v", found, err)
		}
		record, err := s.Redis.Get(t.Context(), found[0]).Result()
		if err != nil {
			t.Fatal(err)
		}
		fields := strings.Split(record, "|") // internal/slot/lua/person.lua: the fifth is when it expires
		fields[4] = strconv.FormatInt(time.Now().Add(-time.Second).UnixMilli(), 10)
		if err := s.Redis.Set(t.Context(), found[0], strings.Join(fields, "|"), redis.KeepTTL).Err(); err != nil {
			t.Fatal(err)
		}
		return hold(c, s, unit)
	}},
	fault.CodeHoldLimit: {options: environment("JARI_HOLDS_PER_PERSON", "1"), ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		c := s.NewCitizen(t, jaritest.BornForE3)
		h := c.MustHold(t, s.Slot(t, jaritest.SiteOfOne, dayE3))
		return hold(c, s, s.Slot(t, jaritest.SiteOfFew, dayE3), "instead_of", h.HoldId)
	}},
	fault.CodeHoldOfAnother: {ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		h := s.NewCitizen(t, jaritest.BornForE3).MustHold(t, s.Slot(t, jaritest.SiteOfMany, dayE3))
		return confirm(s.NewCitizen(t, jaritest.BornForE3), s, h.HoldToken)
	}},
	fault.CodeHoldExpired: {ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		c := s.NewCitizen(t, jaritest.BornForE3)
		return confirm(c, s, sealed(t, s, c, func(h *token.Hold) { h.ExpiresAt = time.Now().Add(-time.Minute) }))
	}},
	fault.CodeHoldReleased: {ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		c := s.NewCitizen(t, jaritest.BornForE3)
		h := c.MustHold(t, s.Slot(t, jaritest.SiteOfMany, dayE3))
		c.Do(t, http.MethodDelete, s.Path("/hold"), nil).Want(t, http.StatusNoContent)
		return confirm(c, s, h.HoldToken)
	}},
	fault.CodeHoldSpent: {ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		c := s.NewCitizen(t, jaritest.BornForE3)
		h := c.MustHold(t, s.Slot(t, jaritest.SiteOfMany, dayE3))
		var b httpapi.Booking
		c.Confirm(t, h.HoldToken).Want(t, http.StatusCreated).Into(t, &b)
		c.Cancel(t, b.BookingId).Want(t, http.StatusOK)
		return confirm(c, s, h.HoldToken)
	}},
	fault.CodeAlreadyBooked: {ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		c := s.NewCitizen(t, jaritest.BornForE3)
		c.MustBook(t, s.Slot(t, jaritest.SiteOfMany, dayE3))
		return confirm(c, s, sealed(t, s, c, func(*token.Hold) {}))
	}},
	fault.CodeReplacedGone: {ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		c := s.NewCitizen(t, jaritest.BornForE3)
		return confirm(c, s, sealed(t, s, c, func(h *token.Hold) { h.Replaces = uuid.New() }))
	}},
	fault.CodeOtherSite: {ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		return reception(t, s, s.ClinicKey(t, jaritest.SiteOfOne), http.MethodGet, "/sites/few/days/"+dayE3+"/bookings", nil)
	}},
	fault.CodeBookingElsewhere: {ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		return arrive(t, s, jaritest.SiteOfFew, bookedBy(t, s).Reference)
	}},
	fault.CodeBookingOtherDay: {ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		return arrive(t, s, jaritest.SiteOfMany, bookedBy(t, s).Reference)
	}},
	fault.CodeBookingCancelled: {ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		c := s.NewCitizen(t, jaritest.BornForE3)
		b := c.MustBook(t, s.Slot(t, jaritest.SiteOfMany, dayE3))
		c.Cancel(t, b.BookingId).Want(t, http.StatusOK)
		return arrive(t, s, jaritest.SiteOfMany, b.Reference)
	}},
	fault.CodeAttendanceDiffers: {alone: true, ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		b := bookedBy(t, s)
		s.Clock.Set(b.Slot.EndsAt)
		owner := s.AdminKey(t, "owner")
		s.Send(t, reception(t, s, owner, http.MethodPut, "/bookings/"+b.BookingId+"/attendance", map[string]any{"attendance": "no_show"})).Want(t, http.StatusOK)
		return arrive(t, s, jaritest.SiteOfMany, b.Reference)
	}},
	fault.CodeSlotNotOver: {ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		return reception(t, s, s.AdminKey(t, "owner"), http.MethodPut, "/bookings/"+bookedBy(t, s).BookingId+"/attendance",
			map[string]any{"attendance": "no_show"})
	}},
	fault.CodePersonNotFound: {ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		return bookFor(t, s, "0198a3f2-0000-4000-8000-000000000000")
	}},
	fault.CodeDeskShare: {options: environment("JARI_DESK_SHARE", "0"), ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		return bookFor(t, s, s.NewCitizen(t, jaritest.BornForE3).PersonID(t))
	}},
	fault.CodeDeskNotYet: {options: environment("JARI_DESK_AFTER", "200h"), ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		return bookFor(t, s, s.NewCitizen(t, jaritest.BornForE3).PersonID(t))
	}},
	fault.CodeChangeClosed: {alone: true, ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		c := s.NewCitizen(t, jaritest.BornForE3)
		b := c.MustBook(t, s.Slot(t, jaritest.SiteOfOne, dayE3))
		s.Clock.Set(b.Slot.StartsAt)
		return c.Request(http.MethodDelete, s.Path("/bookings/"+b.BookingId), nil)
	}},
	fault.CodeStoreUnavailable: {
		options: environment("JARI_REDIS_URL", "redis://127.0.0.1:1/0"), ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
			return hold(s.NewCitizen(t, jaritest.BornForE3), s, s.Slot(t, jaritest.SiteOfOne, dayE3))
		},
	},
	fault.CodeInternal: {alone: true, ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		c := s.NewCitizen(t, jaritest.BornForE3)
		run(t, s, `ALTER TABLE bookings RENAME TO bookings_away`)
		return c.Request(http.MethodGet, s.Path("/booking"), nil)
	}},
	fault.CodeKeyRequired: ask(http.MethodGet, "/admin/v1/campaigns/{campaign}/versions", nil),
	fault.CodeRoleRequired: {ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		return jaritest.JSON(http.MethodGet, "/admin/v1/keys", nil).With("Authorization", "Bearer "+s.AdminKey(t, "viewer"))
	}},
	fault.CodeKeyOfOtherEnvironment: {ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		key := strings.Replace(s.AdminKey(t, "owner"), ".development.", ".production.", 1)
		return jaritest.JSON(http.MethodGet, "/admin/v1/keys", nil).With("Authorization", "Bearer "+key)
	}},
	fault.CodeKeyNotFound: {ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		return jaritest.JSON(http.MethodDelete, "/admin/v1/keys/nobody", nil).With("Authorization", "Bearer "+s.AdminKey(t, "owner"))
	}},
	fault.CodeChangeFrozen: {options: environment("JARI_FREEZE_BEFORE", "1h"), ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		return administer(t, s, http.MethodPost, "/versions/1/rollback", nil)
	}},
	fault.CodeSecondPersonNeeded: {options: environment("JARI_SECOND_PERSON", "publish"), ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		return administer(t, s, http.MethodPost, "/versions/1/rollback", nil)
	}},
	fault.CodeSamePerson: {options: environment("JARI_SECOND_PERSON", "publish"), ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		return approval(t, s, false)
	}},
	fault.CodeStaffNotFound: {ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		return jaritest.JSON(http.MethodDelete, "/admin/v1/staff/nobody/sessions", nil).With("Authorization", "Bearer "+s.AdminKey(t, "owner"))
	}},
	fault.CodePersonUnknown: {options: []jaritest.Option{
		jaritest.WithEnvironment("JARI_SECOND_PERSON", "publish"), jaritest.WithEnvironment("JARI_ADMIN_OIDC_ISSUER", "https://id.example.org"),
		jaritest.WithEnvironment("JARI_ADMIN_OIDC_CLIENT_ID", "jari"), jaritest.WithEnvironment("JARI_ADMIN_OIDC_ROLES", "owner=heads"),
		jaritest.WithEnvironment("JARI_ADMIN_OIDC_REDIRECT_URL", "https://admin.example.org/back"),
	}, ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		proposed := s.Send(t, administer(t, s, http.MethodPost, "/versions/1/rollback", nil))
		id := proposed.Want(t, http.StatusConflict, fault.CodeSecondPersonNeeded).Problem(t).Approval.ApprovalId
		return jaritest.JSON(http.MethodPost, "/admin/v1/approvals/"+id, nil).With("Authorization", "Bearer "+s.AdminKey(t, "publisher"))
	}},
	fault.CodeApprovalOver: {options: environment("JARI_SECOND_PERSON", "publish"), ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		return approval(t, s, true)
	}},
	fault.CodeApprovalNotFound: {ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		return jaritest.JSON(http.MethodPost, "/admin/v1/approvals/nothing", nil).With("Authorization", "Bearer "+s.AdminKey(t, "owner"))
	}},
	fault.CodeVersionNotFound: {ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		return administer(t, s, http.MethodPost, "/versions/999/rollback", nil)
	}},
	fault.CodeNotPublishable: {ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		d := published(t, s)
		d["cases"] = []any{}
		return administer(t, s, http.MethodPost, "/versions", map[string]any{"document": d})
	}},
	fault.CodeEffectiveTooSoon: {ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		d := published(t, s)
		d["hold_seconds"] = 600
		return administer(t, s, http.MethodPost, "/versions", map[string]any{"document": d, "effective_at": s.Clock.Now()})
	}},
	fault.CodeCapacityBelowBooked: {alone: true, ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		run(t, s, `UPDATE slots SET booked = capacity, version = version + 1`)
		var id int64
		if err := s.Pool.QueryRow(t.Context(), `SELECT slot_id FROM slots LIMIT 1`).Scan(&id); err != nil {
			t.Fatal(err)
		}
		return administer(t, s, http.MethodPatch, fmt.Sprintf("/slots/%d", id), map[string]any{"capacity": 0})
	}},
	fault.CodeSlotReserved: {alone: true, ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		c := s.NewCitizen(t, jaritest.BornForE3)
		unit := s.Slot(t, jaritest.SiteOfOne, dayE3)
		run(t, s, `UPDATE slots SET cohort = 'F1'`)
		run(t, s, `UPDATE campaigns SET slots_revision = slots_revision + 1`)
		s.Refresh(t)
		return hold(c, s, unit)
	}},
	fault.CodeSlotExists: {ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		return administer(t, s, http.MethodPost, "/slots", map[string]any{
			"site_id": "one", "starts_at": "2021-07-27T09:00:00+09:00", "ends_at": "2021-07-27T10:00:00+09:00", "capacity": 1,
		})
	}},
	fault.CodePlanTooLarge: {options: environment("JARI_BULK_OPEN", "1"), ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		return administer(t, s, http.MethodPost, "/slots/change", map[string]any{"from": "2021-07-27", "to": "2021-08-24", "set_state": "closed"})
	}},
	fault.CodePlanNotFound: {ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		return jaritest.JSON(http.MethodGet, "/admin/v1/plans/nothing", nil).With("Authorization", "Bearer "+s.AdminKey(t, "viewer"))
	}},
	fault.CodeImportUnreadable: {ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		return administer(t, s, http.MethodPost, "/sites/import", jaritest.List("nothing"))
	}},
	fault.CodePlanOver:     {ask: applying(`UPDATE plans SET made_at = made_at - interval '2 hours', expires_at = expires_at - interval '2 hours' WHERE plan_id = '{plan}'`)},
	fault.CodePlanApplied:  {ask: applying(`UPDATE plans SET applied_by = 'another', applied_at = now() WHERE plan_id = '{plan}'`)},
	fault.CodePlanDiffers:  {ask: applying(`UPDATE plans SET checksum = repeat('0', 64) WHERE plan_id = '{plan}'`)},
	fault.CodePlanOutdated: {ask: applying(`UPDATE sites SET address = 'elsewhere'`)},
	fault.CodeListNotFound: {ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		return jaritest.JSON(http.MethodDelete, "/admin/v1/lists/nobodys", nil).With("Authorization", "Bearer "+s.AdminKey(t, "editor"))
	}},
	fault.CodeImportNotFound: {ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		return jaritest.JSON(http.MethodGet, "/admin/v1/lists/nobodys/imports/nothing", nil).With("Authorization", "Bearer "+s.AdminKey(t, "viewer"))
	}},
	fault.CodeRowsRefused: {ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		return jaritest.CSV("/admin/v1/lists/refused/imports", "name,birth_date,phone\n1,2,3\n").With("Authorization", "Bearer "+s.AdminKey(t, "editor"))
	}},
	fault.CodeChecksumDiffers:  {ask: signingOff(strings.Repeat("0", 24), ``)},
	fault.CodeImportOver:       {ask: signingOff("", `UPDATE list_imports SET state = 'withdrawn', settled_by = 'another', settled_at = now()`)},
	fault.CodeChangedMeanwhile: {ask: signingOff("", `UPDATE list_imports SET based_on = 99`)},
	fault.CodeDraftNotFound: {ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		return administer(t, s, http.MethodGet, "/draft", nil)
	}},
	fault.CodeDraftChanged: {ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		return administer(t, s, http.MethodPut, "/draft", map[string]any{"campaign": s.Campaign}).With("If-Match", `"999"`)
	}},
	fault.CodeVersionMoved: {ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		d := published(t, s)
		d["hold_seconds"] = 600
		return administer(t, s, http.MethodPost, "/versions", map[string]any{"document": d, "after_version": 0})
	}},
	fault.CodeOutcomeUnknown: {options: waitingLong(environment("JARI_CONFIRM_WAIT", "1s")), ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		crowd := stuck(t, s, 2)
		first := confirm(crowd[0], s, sealed(t, s, crowd[0], func(*token.Hold) {}))
		keepAsking(t, s, first)
		return confirm(crowd[1], s, sealed(t, s, crowd[1], func(*token.Hold) {}))
	}},
	fault.CodeOverloaded: {options: waitingLong(append(environment("JARI_FLUSH_QUEUE", "1"), environment("JARI_CONFIRM_WAIT", "1s")...)), ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		crowd := stuck(t, s, 3)
		keepAsking(t, s, confirm(crowd[0], s, sealed(t, s, crowd[0], func(*token.Hold) {})))
		keepAsking(t, s, confirm(crowd[1], s, sealed(t, s, crowd[1], func(*token.Hold) {})))
		return confirm(crowd[2], s, sealed(t, s, crowd[2], func(*token.Hold) {}))
	}},
}

// waitingLong is a deployment whose flushes don't go around what is locked.
func waitingLong(options []jaritest.Option) []jaritest.Option {
	return append(options, environment("JARI_FLUSH_LOCK_WAIT", "10s")...)
}

// declaring is a minor's declaration that was refused so many times before.
func declaring(name, born string, times int) refusal {
	return refusal{ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		c := s.NewCitizen(t, jaritest.BornForE3)
		minor := map[string]any{"name": name, "birth_date": born}
		for range times {
			c.Exchange(t, "minor", minor)
		}
		return c.Request(http.MethodPost, "/v1/me/acting-for", map[string]any{"minor": minor})
	}}
}

// signingIn is a deployment of which people sign in at the provider, or at none where that is nil.
func signingIn(p *oidctest.Provider) []jaritest.Option {
	issuer := "http://127.0.0.1:1"
	if p != nil {
		issuer = p.Issuer
	}
	return []jaritest.Option{
		jaritest.WithEnvironment("JARI_IDENTITY_SCHEME", "oidc"), jaritest.WithEnvironment("JARI_OIDC_ISSUER", issuer),
		jaritest.WithEnvironment("JARI_OIDC_CLIENT_ID", oidctest.ClientID), jaritest.WithEnvironment("JARI_OIDC_CLIENT_SECRET", oidctest.ClientSecret),
		jaritest.WithEnvironment("JARI_OIDC_REDIRECT_URL", oidctest.RedirectURL),
	}
}

// confirmingSignIn hands in what no provider led back with.
func confirmingSignIn(ticket, state string) func(*testing.T, *jaritest.Server) jaritest.Request {
	return func(*testing.T, *jaritest.Server) jaritest.Request {
		return jaritest.JSON(http.MethodPost, "/v1/sign-ins/confirm", map[string]any{"sign_in": ticket, "state": state, "code": "x"})
	}
}

// atProvider hands in what a provider led back with, who says no name, after change.
func atProvider(change func(state, code string) (string, string)) refusal {
	return refusal{provider: func(t *testing.T, s *jaritest.Server, p *oidctest.Provider) jaritest.Request {
		var in httpapi.SignIn
		s.Do(t, http.MethodPost, "/v1/sign-ins", nil).Want(t, http.StatusOK).Into(t, &in)
		state, code := change(p.Agree(t, in.RedirectUrl, oidctest.User{Subject: "1"}))
		return jaritest.JSON(http.MethodPost, "/v1/sign-ins/confirm", map[string]any{"sign_in": in.SignIn, "state": state, "code": code})
	}}
}

// approval is a request to approve what its own key proposed, or what is over.
func approval(t *testing.T, s *jaritest.Server, over bool) jaritest.Request {
	t.Helper()
	proposed := administer(t, s, http.MethodPost, "/versions/1/rollback", nil)
	id := s.Send(t, proposed).Want(t, http.StatusConflict, fault.CodeSecondPersonNeeded).Problem(t).Approval.ApprovalId
	q := jaritest.JSON(http.MethodPost, "/admin/v1/approvals/"+id, nil).With("Authorization", proposed.Header.Get("Authorization"))
	if over {
		run(t, s, `UPDATE approvals SET expires_at = proposed_at`)
	}
	return q
}

// administer is a request with an administrator's key.
func administer(t *testing.T, s *jaritest.Server, method, rest string, body any) jaritest.Request {
	t.Helper()
	return jaritest.JSON(method, "/admin/v1/campaigns/"+s.Campaign+rest, body).With("Authorization", "Bearer "+s.AdminKey(t, "publisher"))
}

// applying is a request to apply a plan, after something was done to {plan}.
func applying(statement string) func(*testing.T, *jaritest.Server) jaritest.Request {
	return func(t *testing.T, s *jaritest.Server) jaritest.Request {
		t.Helper()
		try := administer(t, s, http.MethodPost, "/sites/import", jaritest.List("site_id,region,name,address,wheelchair\none,seoul,x,y,no\n"))
		var p httpapi.Plan
		s.Send(t, try).Want(t, http.StatusCreated).Into(t, &p)
		run(t, s, strings.ReplaceAll(statement, "{plan}", p.PlanId))
		return jaritest.JSON(http.MethodPost, "/admin/v1/plans/"+p.PlanId+"/apply", map[string]any{"checksum": p.Checksum}).
			With("Authorization", try.Header.Get("Authorization"))
	}
}

// reception is a request of somebody who works with people.
func reception(t *testing.T, s *jaritest.Server, key, method, rest string, body any) jaritest.Request {
	t.Helper()
	return jaritest.JSON(method, "/admin/v1/campaigns/"+s.Campaign+rest, body).With("Authorization", "Bearer "+key)
}

func arrive(t *testing.T, s *jaritest.Server, site, reference string) jaritest.Request {
	t.Helper()
	return reception(t, s, s.AdminKey(t, "owner"), http.MethodPost, "/sites/"+site+"/arrivals", map[string]any{"reference": reference})
}

func bookedBy(t *testing.T, s *jaritest.Server) httpapi.Booking {
	t.Helper()
	return s.NewCitizen(t, jaritest.BornForE3).MustBook(t, s.Slot(t, jaritest.SiteOfMany, dayE3))
}

func bookFor(t *testing.T, s *jaritest.Server, person string) jaritest.Request {
	t.Helper()
	return reception(t, s, s.AdminKey(t, "desk"), http.MethodPut, "/people/"+person+"/booking",
		map[string]any{"slot_id": s.Slot(t, jaritest.SiteOfMany, dayE3), "reason": "telephones"})
}

// published is the document that is in effect.
func published(t *testing.T, s *jaritest.Server) (document map[string]any) {
	t.Helper()
	var raw []byte
	if err := s.Pool.QueryRow(t.Context(), `SELECT document FROM campaign_versions ORDER BY version DESC LIMIT 1`).Scan(&raw); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &document); err != nil {
		t.Fatal(err)
	}
	return document
}

// stuck locks the slot that sealed holds are for, until the test's end, so that no confirm of it can be decided.
func stuck(t *testing.T, s *jaritest.Server, people int) []*jaritest.Citizen {
	t.Helper()
	crowd := make([]*jaritest.Citizen, people)
	for i := range crowd {
		crowd[i] = s.NewCitizen(t, jaritest.BornForE3)
	}
	tx, err := s.Pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) })
	if _, err := tx.Exec(t.Context(), `SELECT 1 FROM slots FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	return crowd
}

// keepAsking keeps a lane busy, beside the test, until its end.
func keepAsking(t *testing.T, s *jaritest.Server, q jaritest.Request) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	asking.Go(func() {
		for ctx.Err() == nil {
			_, _ = s.Exchange(ctx, q)
		}
	})
	t.Cleanup(func() {
		stop()
		asking.Wait()
	})
}

func TestEveryCodeSaysItInKoreanAndInEnglish(t *testing.T) {
	t.Parallel()
	codes := jaritest.Document(t).Components.Schemas["ProblemCode"].Value.Enum
	if len(codes) < 40 {
		t.Fatalf("the contract has %d codes", len(codes))
	}
	shared := jaritest.Start(t)
	for _, value := range codes {
		code := fault.Code(value.(string))
		way, ok := refusals[code]
		if !ok {
			t.Errorf("no request is known here that is refused with %s: add one, so that its words are seen", code)
			continue
		}
		t.Run(string(code), func(t *testing.T) {
			t.Parallel()
			s := shared
			if way.alone || len(way.options) > 0 {
				s = jaritest.Start(t, way.options...)
			}
			var q jaritest.Request
			if way.provider != nil {
				p := oidctest.Start(t)
				p.CodesAgain = true // each language asks once
				s = jaritest.Start(t, signingIn(p)...)
				q = way.provider(t, s, p)
			} else {
				q = way.ask(t, s)
			}
			said := map[string]httpapi.Problem{}
			for _, language := range []string{"ko-KR,ko;q=0.9,en;q=0.8", "en-GB,en;q=0.9,ko;q=0.1", "", "fr"} {
				said[language] = refused(t, s, q.With("Accept-Language", language), code)
			}
			ko, en := said["ko-KR,ko;q=0.9,en;q=0.8"], said["en-GB,en;q=0.9,ko;q=0.1"]
			wantWords(t, ko, true)
			wantWords(t, en, false)
			for _, other := range []string{"", "fr"} {
				if said[other].Title != ko.Title {
					t.Errorf("whose language is %q reads %q", other, said[other].Title)
				}
			}
		})
	}
}

// refused sends until the server says this code: two of them only come once the lane is busy.
func refused(t *testing.T, s *jaritest.Server, q jaritest.Request, code fault.Code) httpapi.Problem {
	t.Helper()
	var got jaritest.Response
	jaritest.Eventually(t, 20*time.Second, "the answer is "+string(code), func() bool {
		got = s.Send(t, q)
		waits := code == fault.CodeOutcomeUnknown || code == fault.CodeOverloaded
		if got.Code != code && !waits {
			t.Fatalf("the answer is %d %s", got.Status, got.Code)
		}
		return got.Code == code
	})
	return got.Problem(t)
}

func wantWords(t *testing.T, p httpapi.Problem, korean bool) {
	t.Helper()
	texts := []string{p.Title}
	if p.Detail != nil {
		texts = append(texts, *p.Detail)
	}
	for _, text := range texts {
		if strings.TrimSpace(text) == "" || korean != strings.ContainsFunc(text, func(r rune) bool { return unicode.Is(unicode.Hangul, r) }) {
			t.Errorf("the words are %q", text)
		}
	}
	if unexpected := p.Title == "예상하지 못한 오류가 발생했습니다." || p.Title == "Something unexpected happened."; unexpected != (p.Code == "internal") {
		t.Errorf("%s has the words of another code: %q", p.Code, p.Title)
	}
}

// signingOff is a request to sign a list off, with another checksum than its own where one is given, after something was done
// to its import.
func signingOff(checksum, statement string) func(*testing.T, *jaritest.Server) jaritest.Request {
	return func(t *testing.T, s *jaritest.Server) jaritest.Request {
		t.Helper()
		list := "list-" + s.NewPhone()
		var i httpapi.ListImport
		s.Send(t, jaritest.CSV("/admin/v1/lists/"+list+"/imports", "name,birth_date,phone\n홍길동,1990-05-05,010-2000-1000\n").
			With("Authorization", "Bearer "+s.AdminKey(t, "editor"))).Want(t, http.StatusCreated).Into(t, &i)
		if statement != "" {
			run(t, s, statement+` WHERE list = '`+list+`'`)
		}
		if checksum == "" {
			checksum = i.Checksum
		}
		return jaritest.JSON(http.MethodPost, "/admin/v1/lists/"+list+"/imports/"+i.ImportId+"/sign-off", map[string]any{"checksum": checksum}).
			With("Authorization", "Bearer "+s.AdminKey(t, "publisher"))
	}
}
