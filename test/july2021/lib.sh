# What the scripts share. Each person of the office has a file with their key in $OFFICE, and nothing else.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
campaign=july-2021
: "${JARI:=jari}" "${OFFICE:?a folder for the keys of the office}" "${JARI_ADMIN_URL:?the address of the server}"
export JARI_ADMIN_URL

# as WHO COMMAND…: an administrative command with somebody's key.
as() {
	local who=$1
	shift
	JARI_ADMIN_KEY_FILE="$OFFICE/$who" "$JARI" admin "$@"
}

# said NAME: the first value of a member in JSON on standard input, without another program.
said() { grep -o "\"$1\":\"[^\"]*\"" | head -n 1 | cut -d '"' -f 4; }

# second WHO COMMAND…: what needs a second person. Exit status 4 says so, and which approval is waited for; another publisher approves
# it, and the very same is asked again.
second() {
	local status=0
	as "$@" >"$OFFICE/answer" 2>"$OFFICE/words" || status=$?
	if [ "$status" = 4 ]; then
		local approval
		approval=$(sed -n 's/^ *approval_id  *//p' "$OFFICE/words")
		echo "approving $approval as another person" >&2
		as publisher-2 approve "$approval" >/dev/null
		status=0
		as "$@" >"$OFFICE/answer" 2>"$OFFICE/words" || status=$?
	fi
	cat "$OFFICE/answer"
	[ "$status" = 0 ] || { cat "$OFFICE/words" >&2; return "$status"; }
}

# draft FILE: writes a campaign file as the draft, and has the server say what publishing it would change.
draft() {
	as editor save-draft "$campaign" --file "$1" >/dev/null 2>"$OFFICE/words" || { cat "$OFFICE/words" >&2; return 1; }
	tag=$(sed -n 's/^ETag: //p' "$OFFICE/words") # what was seen is what is published
	as editor preview-draft "$campaign" --json | grep -q '"publishable":true' || {
		as editor preview-draft "$campaign"
		return 1
	}
}

# publish_draft: publishes the draft as it was seen, with a second person.
publish_draft() { second publisher-1 publish-draft "$campaign" --if-match "$tag"; }

# applied WHAT: shows the plan that was just made, with its rows, and applies exactly that.
applied() {
	local plan checksum
	plan=$(said plan_id <"$OFFICE/plan") checksum=$(said checksum <"$OFFICE/plan")
	as editor plan "$plan"
	as editor plan-rows "$plan"
	second editor apply-plan "$plan" --checksum "$checksum" --reason "$1"
}

# in_effect VERSION: waits until every instance can have read a version, a second or so.
in_effect() {
	local try
	for try in $(seq 200); do
		if as viewer versions "$campaign" --json | tr '{' '\n' | grep "\"version\":$1\b" | grep -q '"in_effect":true'; then return; fi
		sleep 0.1
	done
	echo "version $1 isn't in effect after $try tries" >&2
	return 1
}
