package main

import (
	"strings"
	"time"
)

// welcome says where to go, and gives a journey to paste.
func welcome(base, operations, campaign string, now time.Time) string {
	zone, err := time.LoadLocation("Asia/Seoul")
	if err == nil {
		now = now.In(zone)
	}
	return strings.NewReplacer("BASE", base, "OPERATIONS", operations, "CAMPAIGN", campaign,
		"NOW", now.Format("Monday 2 January 2006, 15:04:05 -07:00")).Replace(`
  Jari is serving.

    API            BASE/v1/campaigns/CAMPAIGN
    manual         BASE/docs
    other sites    BASE/v1/feeds/$bulk-publish
    inbox (SMS)    BASE/dev/inbox
    ready?         OPERATIONS/readyz

  The server's time is NOW.
  In another terminal, "make demo" books a place and prints every request and answer. Or paste:

    api=BASE/v1; json='Content-Type: application/json'
    field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }
    curl -s $api/campaigns/CAMPAIGN/eligibility -H "$json" -d '{"birth_date":"1964-05-06"}'; echo
    verification=$(curl -s $api/verifications -H "$json" \
      -d '{"scheme":"phone","name":"홍길동","birth_date":"1964-05-06","phone":"010-2000-1000"}' | field verification_id)
    sleep 1; code=$(curl -s BASE/dev/inbox | grep -o '[0-9]\{6\} ' | head -1)
    token=$(curl -s $api/verifications/$verification/confirm -H "$json" -d "{\"code\":\"${code% }\"}" | field token)
    me="Authorization: Bearer $token"
    in="Jari-Admission: $(curl -s -X PUT $api/rooms/CAMPAIGN/admission -H "$me" | field admission)"
    slot=$(curl -s $api/campaigns/CAMPAIGN/sites/seoul-001/slots | grep -o '"slot_id":"[0-9]*"' | sed -n '30p' | tr -dc 0-9)
    hold=$(curl -s -X PUT $api/campaigns/CAMPAIGN/hold -H "$me" -H "$in" -H "$json" -d "{\"slot_id\":\"$slot\"}" | field hold_token)
    curl -s -X PUT $api/campaigns/CAMPAIGN/booking -H "$me" -H "$in" -H "$json" -d "{\"hold_token\":\"$hold\"}"; echo

  Ctrl-C stops the server and its stores; what was booked stays.

`)
}
