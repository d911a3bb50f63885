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

# second WHO COMMAND…: what needs a second person. Exit status 4 says so; another publisher looks at what waits, approves it, and the
# very same is asked again.
second() {
	local status=0
	as "$@" >"$OFFICE/answer" 2>"$OFFICE/words" || status=$?
	if [ "$status" = 4 ]; then
		local approval
		approval=$(as publisher-2 approvals --json | said approval_id)
		echo "approving $approval as another person" >&2
		as publisher-2 approve "$approval" >/dev/null
		status=0
		as "$@" >"$OFFICE/answer" 2>"$OFFICE/words" || status=$?
	fi
	cat "$OFFICE/answer"
	[ "$status" = 0 ] || { cat "$OFFICE/words" >&2; return "$status"; }
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
