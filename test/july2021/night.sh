#!/usr/bin/env bash
# The evening of F1: the announced value is typed in by two operators, which makes the draw; then the dial.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
value=${1:?the announced value, in hexadecimal}
room=$campaign.evening

# The list is closed by the server within a second of its time; until then no value is expected (no_draw).
for _ in $(seq 100); do
	status=0
	as operator-1 announce-value "$room" --value "$value" 2>"$OFFICE/words" || status=$?
	grep -q no_draw "$OFFICE/words" || break
	sleep 0.1
done
[ "$status" = 0 ] || [ "$status" = 4 ] || { cat "$OFFICE/words" >&2; exit 1; }
as operator-2 announce-value "$room" --value "$value"
as operator-1 room "$room"
as operator-1 turn-dial "$room" --rate-per-second 200 --max-active 5000
as viewer room "$room"
