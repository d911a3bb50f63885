#!/usr/bin/env bash
# What a citizen's phone does, with curl:
#
#   SESSION=$(citizen.sh URL verify NAME BIRTH_DATE PHONE)    the code comes from the development inbox
#   SESSION=… citizen.sh URL register ROOM                    before a draw
#   SESSION=… citizen.sh URL book ROOM SITE DAY               comes in, holds, confirms; prints the reference
set -euo pipefail
url=$1 verb=$2
shift 2
campaign=july-2021
: "${SESSION:=}"
admission=

call() { # METHOD PATH [JSON]
	local arguments=(--silent --show-error --fail-with-body --request "$1" "$url$2" --header 'Content-Type: application/json')
	[ -z "$SESSION" ] || arguments+=(--header "Authorization: Bearer $SESSION")
	[ -z "$admission" ] || arguments+=(--header "Jari-Admission: $admission")
	[ -z "${3:-}" ] || arguments+=(--data "$3")
	curl "${arguments[@]}" || { echo " ($1 $2)" >&2; return 1; }
}
said() { grep -o "\"$1\":\"[^\"]*\"" | head -n 1 | cut -d '"' -f 4; }

verify() { # NAME BIRTH_DATE PHONE
	local verification code=
	verification=$(call POST /v1/verifications "{\"scheme\":\"phone\",\"name\":\"$1\",\"birth_date\":\"$2\",\"phone\":\"$3\"}" | said verification_id)
	for _ in $(seq 200); do
		code=$(call GET /dev/inbox | tr '{' '\n' | grep -F "${3: -8}" | grep -F '"kind":"code"' | said text | grep -o '[0-9]\{6\}' | head -n 1) || true
		[ -z "$code" ] || break
		sleep 0.1
	done
	call POST "/v1/verifications/$verification/confirm" "{\"code\":\"$code\"}" | said token
}

book() { # ROOM SITE DAY
	local ticket slot token
	ticket=
	if [ "$1" != "$campaign" ]; then
		ticket=$(call PUT "/v1/rooms/$1/ticket" | said ticket)
	fi
	for _ in $(seq 200); do
		admission=$(call PUT "/v1/rooms/$1/admission" "{${ticket:+\"ticket\":\"$ticket\"}}" 2>/dev/null | said admission) && [ -n "$admission" ] && break
		sleep 0.1 # not called yet
	done
	slot=$(call GET "/v1/campaigns/$campaign/sites/$2/slots" | tr '{' '\n' | grep "\"starts_at\":\"$3" | said slot_id)
	token=$(call PUT "/v1/campaigns/$campaign/hold" "{\"slot_id\":\"$slot\"}" | said hold_token)
	call PUT "/v1/campaigns/$campaign/booking" "{\"hold_token\":\"$token\"}" | said reference
}

case $verb in
verify) verify "$@" ;;
register) call PUT "/v1/rooms/$1/registration" ;;
book) book "$@" ;;
*)
	echo "verify, register or book" >&2
	exit 1
	;;
esac
