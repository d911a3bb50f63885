package bypass_test

import (
	"net/http"
	"path"
	"strings"
	"testing"

	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/test/jaritest"
)

// dayE3 is a day of the small campaign that those may book who may book at the start.
const dayE3 = "2021-07-27"

// example says what a right request of an operation is, where the contract alone doesn't tell. An operation without a line
// is asked with what its path names of the world, and no body or one that its schema gives as an example.
type example struct {
	// prepare does what has to be done before, and returns the body and what the path needs beyond what the world has.
	prepare func(t *testing.T, w *world, by *jaritest.Citizen) (body any, path map[string]string)
	// answer is how the right request is answered; nothing for success. A refusal is one of the domain, made after all checks.
	answer verdict
	// again is how it is answered a second time; a POST has to say (answeredAgain). anew: that may have an effect again.
	again         verdict
	answeredAgain bool
	anew          bool
	// another is what somebody else is told who sends the same request with their own session and admission. Where the request
	// names nothing that belongs to anybody, nobodys says why.
	another verdict
	nobodys string
	// elsewhere is what is answered for the same request at the path of another campaign or room.
	elsewhere verdict
	anywhere  string // why it would be right there as well
	// early and late are what is answered before the window of those who ask opens, and after it has closed.
	early, late verdict
	anyTime     string // why the time doesn't matter
	// forged is what is answered when a token in the body isn't what it should be.
	forged verdict
	// more are ways to be wrong that only this operation has.
	more func(t *testing.T, w *world, s subject) []way
}

var (
	noBooking   = verdict{http.StatusNotFound, fault.CodeNoBooking}
	otherSite   = verdict{http.StatusForbidden, fault.CodeOtherSite}
	noHold      = verdict{http.StatusNotFound, fault.CodeNoHold}
	noRoom      = verdict{http.StatusNotFound, fault.CodeRoomNotFound}
	notEligible = verdict{http.StatusForbidden, fault.CodeNotEligible}
)

const (
	noLine   = "neither room has a line"
	ownAlone = "answers with what belongs to the session's person, whoever that is"
)

// examples are the only thing to add to when an operation is added, and only where the contract doesn't say enough.
var examples = map[string]example{
	"startVerification": {
		prepare: func(_ *testing.T, w *world, _ *jaritest.Citizen) (any, map[string]string) {
			return w.Stranger().Claims(), nil
		},
		answeredAgain: true, anew: true, // within the phone's budget
	},
	"resendVerification": {
		prepare: func(t *testing.T, w *world, _ *jaritest.Citizen) (any, map[string]string) {
			return nil, map[string]string{"verification": w.Stranger().StartVerification(t).VerificationId}
		},
		answer: verdict{http.StatusTooManyRequests, fault.CodeResendTooSoon},
	},
	"confirmVerification": {
		prepare: func(t *testing.T, w *world, _ *jaritest.Citizen) (any, map[string]string) {
			c := w.Stranger()
			v := c.StartVerification(t)
			return map[string]any{"code": c.Code(t)}, map[string]string{"verification": v.VerificationId}
		},
		answeredAgain: true, again: verdict{http.StatusGone, fault.CodeVerificationOver},
	},
	"startSignIn": {
		answer: verdict{http.StatusBadRequest, fault.CodeSchemeNotOffered}, answeredAgain: true, again: verdict{http.StatusBadRequest, fault.CodeSchemeNotOffered},
	},
	"confirmSignIn": {
		prepare: func(*testing.T, *world, *jaritest.Citizen) (any, map[string]string) {
			return map[string]any{"sign_in": "x", "state": "x", "code": "x"}, nil
		},
		answer: verdict{http.StatusBadRequest, fault.CodeSchemeNotOffered}, answeredAgain: true, again: verdict{http.StatusBadRequest, fault.CodeSchemeNotOffered},
	},
	"actFor": {
		prepare: func(*testing.T, *world, *jaritest.Citizen) (any, map[string]string) {
			return map[string]any{"minor": map[string]any{"name": "홍아기", "birth_date": "2015-05-05"}}, nil
		},
		answeredAgain: true, anew: true, // the same child, noted in the audit again
		nobodys: "declares a child of the session's person, whoever that is",
	},
	"startPhoneChange": {
		prepare: func(_ *testing.T, w *world, _ *jaritest.Citizen) (any, map[string]string) {
			return map[string]any{"phone": w.NewPhone()}, nil
		},
		answeredAgain: true, anew: true, // within the phone's budget
		nobodys: "sends a code to the phone of the session's person, whoever that is",
	},
	"confirmPhoneChange": {
		prepare: func(t *testing.T, w *world, by *jaritest.Citizen) (any, map[string]string) {
			var v httpapi.Verification
			by.Do(t, http.MethodPost, "/v1/me/phone", map[string]any{"phone": w.NewPhone()}).Want(t, http.StatusAccepted).Into(t, &v)
			return map[string]any{"code": by.Code(t)}, map[string]string{"verification": v.VerificationId}
		},
		answeredAgain: true, again: verdict{http.StatusGone, fault.CodeVerificationOver},
		another: verdict{http.StatusGone, fault.CodeVerificationOver},
	},
	"askEligibility": {
		prepare: func(*testing.T, *world, *jaritest.Citizen) (any, map[string]string) {
			return map[string]any{"birth_date": bornE3}, nil
		},
		answeredAgain: true,
	},
	"endSession": {again: verdict{http.StatusUnauthorized, fault.CodeSessionExpired}, nobodys: ownAlone},
	"getMe":      {nobodys: ownAlone},
	// The rooms of this walk have no line: what only a line has isn't there, whoever asks. test/journey has rooms with one.
	"getRoomStatus": {answer: noRoom},
	"getDraw":       {answer: noRoom},
	"getLeaves":     {answer: noRoom},
	"register":      {answer: noRoom, nobodys: ownAlone, anywhere: noLine},
	"takeTicket":    {answer: noRoom, nobodys: ownAlone, anywhere: noLine},
	"getRoom":       {answer: noRoom, anywhere: noLine},
	"turnDial": {
		prepare: func(*testing.T, *world, *jaritest.Citizen) (any, map[string]string) {
			return map[string]any{"rate_per_second": 1}, nil
		},
		answer: noRoom, anywhere: noLine,
	},
	"announceValue": {
		prepare: func(*testing.T, *world, *jaritest.Citizen) (any, map[string]string) {
			return map[string]any{"value": "00"}, nil
		},
		answer: noRoom, anywhere: noLine,
	},
	"getFeedLocations": {prepare: feedFile("Location")},
	"getFeedSchedules": {prepare: feedFile("Schedule")},
	"admit":            {nobodys: ownAlone, elsewhere: succeeds, anywhere: "both rooms admit at once"},
	"placeHold": {
		// A move, so that the request names something of its sender.
		prepare: func(t *testing.T, w *world, by *jaritest.Citizen) (any, map[string]string) {
			slots := w.Slots(t, jaritest.SiteOfMany, dayE3)
			return jaritest.HoldBody(slots[1].ID, "replaces", by.MustBook(t, slots[0].ID).BookingId), nil
		},
		another: noBooking, elsewhere: verdict{http.StatusNotFound, fault.CodeSlotNotFound},
		anyTime: "a move keeps to what its booking was judged by; who books anew is asked beside",
		more:    bookingAnew,
	},
	"getHold":     {prepare: holding, another: noHold, elsewhere: noHold},
	"releaseHold": {prepare: holding, nobodys: ownAlone, anywhere: "gives up what is held there: nothing"},
	"confirmBooking": {
		prepare: func(t *testing.T, w *world, by *jaritest.Citizen) (any, map[string]string) {
			return map[string]any{"hold_token": by.MustHold(t, w.Slot(t, jaritest.SiteOfMany, dayE3)).HoldToken}, nil
		},
		another:   verdict{http.StatusForbidden, fault.CodeHoldOfAnother},
		elsewhere: verdict{http.StatusForbidden, fault.CodeHoldOfAnother},
		forged:    verdict{http.StatusBadRequest, fault.CodeHoldTokenInvalid},
		anyTime:   "who may book was judged when the hold was placed, and is never judged again",
	},
	"getBooking":  {prepare: booked, another: noBooking, elsewhere: noBooking},
	"getCalendar": {prepare: booked, another: noBooking, elsewhere: noBooking},
	"cancelBooking": {
		prepare: func(t *testing.T, w *world, by *jaritest.Citizen) (any, map[string]string) {
			return nil, map[string]string{"booking": by.MustBook(t, w.Slot(t, jaritest.SiteOfMany, dayE3)).BookingId}
		},
		another: noBooking, elsewhere: noBooking,
	},
	"checkCampaign": {
		prepare: func(_ *testing.T, w *world, _ *jaritest.Citizen) (any, map[string]string) {
			return map[string]any{"campaign": w.Campaign}, nil // a document with faults: the report says so
		},
		answeredAgain: true, elsewhere: verdict{http.StatusBadRequest, fault.CodeInvalidRequest},
	},
	"listVersions": {anywhere: "the other campaign has versions too"},
	"publishVersion": {
		prepare: func(_ *testing.T, w *world, _ *jaritest.Citizen) (any, map[string]string) {
			return map[string]any{"document": map[string]any{"campaign": w.Campaign}}, nil
		},
		answer: verdict{http.StatusConflict, fault.CodeNotPublishable}, elsewhere: verdict{http.StatusBadRequest, fault.CodeInvalidRequest},
	},
	"rollbackVersion": {
		// The document that stands already: nothing is published.
		answeredAgain: true, anywhere: "the other campaign has a first version too",
	},
	"changeSlot": {
		prepare: func(t *testing.T, w *world, _ *jaritest.Citizen) (any, map[string]string) {
			return map[string]any{"capacity": 99}, map[string]string{"slot": w.Slot(t, jaritest.SiteOfMany, jaritest.LastDay)}
		},
		elsewhere: verdict{http.StatusNotFound, fault.CodeSlotNotFound},
	},
	"importSites": {
		prepare: func(*testing.T, *world, *jaritest.Citizen) (any, map[string]string) {
			return jaritest.List("site_id,region,name,address,wheelchair\nnew,seoul,x,y,no\n"), nil
		},
		answeredAgain: true, anew: true, // another plan
		anywhere: "a list can be tried in the other campaign too",
	},
	"importSlots": {
		prepare: func(*testing.T, *world, *jaritest.Citizen) (any, map[string]string) {
			return jaritest.List("site_id,date,from,to,capacity\nmany,2021-07-27,15:00,16:00,3\n"), nil
		},
		answeredAgain: true, anew: true, // another plan
		anywhere: "a list can be tried in the other campaign too",
	},
	"generateSlots": {
		prepare: func(*testing.T, *world, *jaritest.Citizen) (any, map[string]string) {
			hours := map[string]any{"from": "15:00", "to": "16:00", "every_minutes": 60, "capacity": 3}
			return map[string]any{"template": map[string]any{
				"weekdays": []string{"tue"}, "from": "2021-07-27", "to": "2021-07-27", "hours": []any{hours},
			}}, nil
		},
		answeredAgain: true, anew: true, // another plan
		anywhere: "a template can be tried in the other campaign too",
	},
	"changeSlots": {
		prepare: func(*testing.T, *world, *jaritest.Citizen) (any, map[string]string) {
			return map[string]any{"from": jaritest.LastDay, "to": jaritest.LastDay, "set_state": "closed"}, nil
		},
		answeredAgain: true, anew: true, // another plan
		anywhere: "the other campaign has slots too",
	},
	"createSlot": {
		prepare: func(*testing.T, *world, *jaritest.Citizen) (any, map[string]string) {
			return map[string]any{
				"site_id": "many", "starts_at": "2021-08-24T15:00:00+09:00", "ends_at": "2021-08-24T16:00:00+09:00", "capacity": 3,
			}, nil
		},
		answeredAgain: true, again: verdict{http.StatusConflict, fault.CodeSlotExists}, anywhere: "the other campaign has the site too",
	},
	"listSlotStock": {anywhere: "the other campaign has the site too"},
	"putSite": {
		prepare: func(*testing.T, *world, *jaritest.Citizen) (any, map[string]string) {
			return map[string]any{"region": "seoul", "name": "x", "address": "y", "wheelchair": false}, map[string]string{"site": "put"}
		},
		anywhere: "the other campaign may have such a site too",
	},
	"getPlan":      {prepare: planned},
	"listPlanRows": {prepare: planned},
	"discardPlan":  {prepare: planned, again: verdict{http.StatusNotFound, fault.CodePlanNotFound}},
	"applyPlan": {
		prepare: func(t *testing.T, w *world, _ *jaritest.Citizen) (any, map[string]string) {
			p := w.plan(t)
			return map[string]any{"checksum": p.Checksum}, map[string]string{"plan": p.PlanId}
		},
		answeredAgain: true, // the same answer
	},
	"searchBookings": {answeredAgain: true, anew: true, elsewhere: otherSite},
	"lookAtBooking": {
		prepare:       aboutBooking(func(httpapi.Booking) any { return map[string]any{"reason": "asks"} }),
		answeredAgain: true, anew: true, elsewhere: otherSite,
	},
	"setAttendance": {
		prepare:   aboutBooking(func(httpapi.Booking) any { return map[string]any{"attendance": "expected"} }),
		elsewhere: otherSite,
	},
	"recordArrival": {
		prepare: aboutBooking(func(b httpapi.Booking) any { return map[string]any{"reference": b.Reference} }),
		answer:  verdict{http.StatusConflict, fault.CodeBookingOtherDay}, elsewhere: otherSite,
	},
	"listDayBookings":   {anew: true, elsewhere: otherSite},
	"exportDayBookings": {answeredAgain: true, anew: true, elsewhere: otherSite},
	"getSiteCalendar":   {elsewhere: otherSite},
	"registerPerson": {
		prepare: func(_ *testing.T, w *world, _ *jaritest.Citizen) (any, map[string]string) {
			c := w.Stranger()
			return map[string]any{"name": c.Name, "birth_date": c.BirthDate, "phone": c.Phone, "another": true, "reason": "telephones"}, nil
		},
		answeredAgain: true, anew: true, // the same person, noted in the audit again
	},
	"searchPeople": {
		prepare: func(_ *testing.T, _ *world, by *jaritest.Citizen) (any, map[string]string) {
			return map[string]any{"person": map[string]any{"phone": by.Phone}, "reason": "telephones"}, nil
		},
		answeredAgain: true, anew: true,
	},
	"takePlaceFor": {
		prepare: func(t *testing.T, _ *world, by *jaritest.Citizen) (any, map[string]string) {
			return map[string]any{"reason": "telephones"}, map[string]string{"person": by.PersonID(t)}
		},
		answer: noRoom, anywhere: noLine,
	},
	"bookFor": {
		prepare: func(t *testing.T, w *world, by *jaritest.Citizen) (any, map[string]string) {
			return map[string]any{"slot_id": w.Slot(t, jaritest.SiteOfMany, dayE3), "reason": "telephones"}, map[string]string{"person": by.PersonID(t)}
		},
		elsewhere: verdict{http.StatusNotFound, fault.CodeSlotNotFound},
	},
	"cancelFor": {
		prepare:       aboutBooking(func(httpapi.Booking) any { return map[string]any{"reason": "telephones"} }),
		answeredAgain: true, elsewhere: noBooking,
	},
	"getReport":        {anywhere: "the other campaign has slots too"},
	"listMessageTexts": {anywhere: "the other campaign's people are told things too"},
	"setMessageTexts": {
		prepare: func(*testing.T, *world, *jaritest.Citizen) (any, map[string]string) {
			return map[string]any{"en": "{date} {time} {reference}", "reason": "shorter words"}, map[string]string{"kind": "moved"}
		},
		anywhere: "the other campaign may have its own words too",
	},
	"previewMessageTexts": {
		prepare: func(*testing.T, *world, *jaritest.Citizen) (any, map[string]string) {
			return map[string]any{"en": "{date} {time} {reference}"}, map[string]string{"kind": "moved"}
		},
		answeredAgain: true, anywhere: "the other campaign may have its own words too",
	},
	"planClearing": {
		prepare: func(*testing.T, *world, *jaritest.Citizen) (any, map[string]string) {
			return map[string]any{"site_id": jaritest.SiteOfOne, "date": dayE3}, nil
		},
		answeredAgain: true, anew: true, // another plan
		anywhere: "a site of the other campaign can close too",
	},
	"listListImports": {prepare: imported},
	"getListImport":   {prepare: imported},
	"importList": {
		prepare: func(*testing.T, *world, *jaritest.Citizen) (any, map[string]string) {
			return jaritest.List(oneNurse), map[string]string{"list": "nurses"}
		},
		answeredAgain: true, anew: true, // another import
	},
	"withdrawListImport": {prepare: imported},
	"signOffList": {
		prepare: func(t *testing.T, w *world, _ *jaritest.Citizen) (any, map[string]string) {
			i := w.imported(t)
			return map[string]any{"checksum": i.Checksum}, map[string]string{"list": i.List, "import": i.ImportId}
		},
		answeredAgain: true, // the same answer
	},
	"removeList": {
		prepare: func(t *testing.T, w *world, _ *jaritest.Citizen) (any, map[string]string) {
			i := w.imported(t)
			q := jaritest.JSON(http.MethodPost, "/admin/v1/lists/nurses/imports/"+i.ImportId+"/sign-off", map[string]any{"checksum": i.Checksum})
			w.Send(t, q.With("Authorization", "Bearer "+w.keys["publisher"])).Want(t, http.StatusOK)
			return nil, map[string]string{"list": i.List}
		},
		anew: true, // another removal that waits
	},
	"saveDraft": {
		prepare: func(t *testing.T, w *world, _ *jaritest.Citizen) (any, map[string]string) {
			run(t, w, `DELETE FROM campaign_drafts`)
			return map[string]any{"campaign": w.Campaign}, nil
		},
		again: draftChanged, elsewhere: verdict{http.StatusBadRequest, fault.CodeInvalidRequest},
	},
	"getDraft":     {prepare: drafted, elsewhere: noDraft},
	"previewDraft": {prepare: drafted, elsewhere: noDraft},
	"dropDraft":    {prepare: drafted, again: noDraft, elsewhere: noDraft},
	"publishDraft": {
		prepare: drafted, elsewhere: noDraft,
		answer: verdict{http.StatusConflict, fault.CodeNotPublishable},
	},
	"listFlagged": {anew: true}, // each look is in the audit
	"settlePerson": {
		prepare: func(t *testing.T, w *world, by *jaritest.Citizen) (any, map[string]string) {
			run(t, w, `UPDATE persons SET flagged_at = now() WHERE person_id = $1`, w.personOf(t, by))
			return map[string]any{"reason": atTheDesk}, map[string]string{"person": w.personOf(t, by).String()}
		},
		again: verdict{http.StatusNotFound, fault.CodeNotFound}, answeredAgain: true,
	},
	"giveNewPhone": {
		prepare: func(t *testing.T, w *world, by *jaritest.Citizen) (any, map[string]string) {
			return map[string]any{"phone": w.NewPhone(), "reason": atTheDesk}, map[string]string{"person": w.personOf(t, by).String()}
		},
		anew: true, // the audit says that somebody gave it again
	},
	"correctName": {
		prepare: func(t *testing.T, w *world, by *jaritest.Citizen) (any, map[string]string) {
			return map[string]any{"name": "남궁달", "reason": atTheDesk}, map[string]string{"person": w.personOf(t, by).String()}
		},
		anew: true, // the audit says that somebody corrected it again
	},
	"startStaffSignIn": {
		answer: verdict{http.StatusBadRequest, fault.CodeSchemeNotOffered}, answeredAgain: true, again: verdict{http.StatusBadRequest, fault.CodeSchemeNotOffered},
	},
	"confirmStaffSignIn": {
		prepare: func(*testing.T, *world, *jaritest.Citizen) (any, map[string]string) {
			return map[string]any{"sign_in": "x", "state": "x", "code": "x"}, nil
		},
		answer: verdict{http.StatusBadRequest, fault.CodeSchemeNotOffered}, answeredAgain: true, again: verdict{http.StatusBadRequest, fault.CodeSchemeNotOffered},
	},
	"endStaffSessions": {
		// Nobody signs in here, so there is nobody to send away.
		prepare: func(*testing.T, *world, *jaritest.Citizen) (any, map[string]string) {
			return nil, map[string]string{"staff": "0198a3f2-0000-4000-8000-000000000000"}
		},
		answer: verdict{http.StatusNotFound, fault.CodeStaffNotFound},
	},
	"createKey": {
		prepare: func(*testing.T, *world, *jaritest.Citizen) (any, map[string]string) {
			return map[string]any{"name": "another", "role": "viewer"}, nil
		},
		answeredAgain: true, anew: true, // another key, and the audit says so
	},
	"approve": {
		// Nothing is proposed here, so there is nothing to approve.
		prepare: func(*testing.T, *world, *jaritest.Citizen) (any, map[string]string) {
			return nil, map[string]string{"approval": "0198a3f2-0000-4000-8000-000000000000"}
		},
		answer: verdict{http.StatusNotFound, fault.CodeApprovalNotFound},
	},
	"revokeKey": {
		prepare: func(t *testing.T, w *world, _ *jaritest.Citizen) (any, map[string]string) {
			return nil, map[string]string{"key": strings.Split(w.AdminKey(t, "viewer"), ".")[2]}
		},
	},
}

// plan is a plan that nobody has applied.
func (w *world) plan(t *testing.T) (p httpapi.Plan) {
	t.Helper()
	list := jaritest.CSV("/admin/v1/campaigns/"+w.Campaign+"/sites/import", "site_id,region,name,address,wheelchair\nnew,seoul,x,y,no\n")
	w.Send(t, list.With("Authorization", "Bearer "+w.keys["editor"])).Want(t, http.StatusCreated).Into(t, &p)
	return p
}

func planned(t *testing.T, w *world, _ *jaritest.Citizen) (any, map[string]string) {
	t.Helper()
	return nil, map[string]string{"plan": w.plan(t).PlanId}
}

// aboutBooking is a request about a booking at the site of the clinic's key.
func aboutBooking(body func(httpapi.Booking) any) func(*testing.T, *world, *jaritest.Citizen) (any, map[string]string) {
	return func(t *testing.T, w *world, by *jaritest.Citizen) (any, map[string]string) {
		t.Helper()
		b := by.MustBook(t, w.Slot(t, jaritest.SiteOfMany, dayE3))
		return body(b), map[string]string{"booking": b.BookingId}
	}
}

func holding(t *testing.T, w *world, by *jaritest.Citizen) (any, map[string]string) {
	t.Helper()
	by.MustHold(t, w.Slot(t, jaritest.SiteOfMany, dayE3))
	return nil, nil
}

func booked(t *testing.T, w *world, by *jaritest.Citizen) (any, map[string]string) {
	t.Helper()
	by.MustBook(t, w.Slot(t, jaritest.SiteOfMany, dayE3))
	return nil, nil
}

// bookingAnew is somebody without a booking who asks for a place when they may not, and for what isn't theirs to give up.
func bookingAnew(t *testing.T, w *world, s subject) []way {
	t.Helper()
	slots := w.Slots(t, jaritest.SiteOfMany, dayE3)
	anew, holder := w.NewCitizen(t), w.NewCitizen(t)
	ask := func(c *jaritest.Citizen, slot string, more ...string) jaritest.Request {
		return c.Request(s.right.Method, s.right.Path, jaritest.HoldBody(slot, more...))
	}
	theirs := holder.MustHold(t, slots[0].ID)
	return []way{
		{name: "before the opening", ask: ask(anew, slots[0].ID), want: notEligible, at: beforeE3},
		{name: "after the closing", ask: ask(anew, slots[0].ID), want: notEligible, at: afterE3},
		{name: "a day of another wave", ask: ask(anew, w.Slot(t, jaritest.SiteOfMany, jaritest.FirstDay)), want: notEligible},
		{name: "a wave of others", ask: ask(w.Server.NewCitizen(t, jaritest.BornForF1), slots[0].ID), want: notEligible},
		{name: "a booking anew beside the one that is there", ask: ask(s.by, slots[1].ID), want: verdict{http.StatusConflict, fault.CodeAlreadyBooked}},
		{name: "a slot that isn't there", ask: ask(anew, "999999999"), want: verdict{http.StatusNotFound, fault.CodeSlotNotFound}},
		{name: "a slot that isn't an id", ask: ask(anew, "1 OR 1=1"), want: verdict{http.StatusNotFound, fault.CodeSlotNotFound}},
		{name: "the hold of another moved along", ask: ask(s.by, slots[1].ID, "instead_of", theirs.HoldId, "replaces", theirs.HoldId), want: noBooking},
	}
}

// oneNurse is a list of one.
const oneNurse = "name,birth_date,phone\n홍길동,1990-05-05,010-2000-1000\n"

// atTheDesk is why the desk does something.
const atTheDesk = "showed an identity card"

var (
	draftChanged = verdict{http.StatusPreconditionFailed, fault.CodeDraftChanged}
	noDraft      = verdict{http.StatusNotFound, fault.CodeDraftNotFound}
)

// imported is a list that waits for its sign-off.
func (w *world) imported(t *testing.T) (i httpapi.ListImport) {
	t.Helper()
	q := jaritest.CSV("/admin/v1/lists/nurses/imports", oneNurse)
	w.Send(t, q.With("Authorization", "Bearer "+w.keys["editor"])).Want(t, http.StatusCreated).Into(t, &i)
	return i
}

func imported(t *testing.T, w *world, _ *jaritest.Citizen) (any, map[string]string) {
	t.Helper()
	i := w.imported(t)
	return nil, map[string]string{"list": i.List, "import": i.ImportId}
}

// drafted is a draft that isn't right yet, as whoever has seen it.
func drafted(t *testing.T, w *world, _ *jaritest.Citizen) (any, map[string]string) {
	t.Helper()
	run(t, w, `DELETE FROM campaign_drafts`)
	q := jaritest.JSON(http.MethodPut, "/admin/v1/campaigns/"+w.Campaign+"/draft", map[string]any{"campaign": w.Campaign})
	got := w.Send(t, q.With("Authorization", "Bearer "+w.keys["editor"])).Want(t, http.StatusCreated)
	return nil, map[string]string{"If-Match": got.Header.Get("ETag")}
}

func run(t *testing.T, w *world, statement string, args ...any) {
	t.Helper()
	if _, err := w.Pool.Exec(t.Context(), statement, args...); err != nil {
		t.Fatal(err)
	}
}

// feedFile finds the name of a file of the feed that is named by its content.
func feedFile(kind string) func(*testing.T, *world, *jaritest.Citizen) (any, map[string]string) {
	return func(t *testing.T, w *world, _ *jaritest.Citizen) (any, map[string]string) {
		var m httpapi.FeedManifest
		w.Do(t, http.MethodGet, "/v1/feeds/$bulk-publish", nil).Want(t, http.StatusOK).Into(t, &m)
		for _, o := range m.Output {
			if string(o.Type) == kind && strings.Contains(o.Url, "/"+w.Campaign+"/regions/"+w.places["region"]+"/") {
				return nil, map[string]string{"file": path.Base(o.Url)}
			}
		}
		t.Fatalf("the feed has no %s of %s", kind, w.Campaign)
		return nil, nil
	}
}
