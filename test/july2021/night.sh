#!/usr/bin/env bash
# The evening of F1: the announced value is typed in by two operators, which makes the draw; then the dial.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
value=${1:?the announced value, in hexadecimal}
room=$campaign.evening

as operator-1 announce-value "$room" --value "$value" || [ $? = 4 ]
as operator-2 announce-value "$room" --value "$value"
as operator-1 room "$room"
as operator-1 turn-dial "$room" --rate-per-second 200 --max-active 5000
as viewer room "$room"
