#!/usr/bin/env bash
# Adds cohorts of waves.csv to the published rules: wave.sh T9, or several at once. What that changes is shown before it is done, and
# a second person approves it.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
[ $# -gt 0 ] || { echo "the names of waves in waves.csv" >&2; exit 1; }

next="$OFFICE/campaign.next.yaml"
cp "$OFFICE/campaign.yaml" "$next"
day() { printf '1980-01-%02d' $((10 + $1 % 10)); }
for wave in "$@"; do
	row=$(grep "^$wave," "$here/waves.csv") || { echo "waves.csv has no $wave" >&2; exit 1; }
	ko=$(cut -d '"' -f 2 <<<"$row") en=$(cut -d '"' -f 4 <<<"$row")
	IFS=, read -r from to digit opens closes slots_from slots_to <<<"$(cut -d '"' -f 5 <<<"$row" | sed 's/^,//')"
	grep -q "wave: $wave\$" "$next" && { echo "$wave is there already" >&2; exit 1; }
	cat >>"$next" <<EOF
  - wave: $wave
    title: {ko: "$ko", en: "$en"}
    who_in_words: {ko: "$ko", en: "$en"}
    who: {all: [{birth_date: {from: "$from", to: "$to"}}, {birth_day_digit: [$digit]}]}
    opens_at: "$opens"
    closes_at: "$closes"
    slots: {from: "$slots_from", to: "$slots_to"}
EOF
	# What the office expects of it: one who may, one whose birthday ends otherwise.
	sed -i "s|^waves:|  - {name: $wave, birth_date: \"$(day "$digit")\", at: \"$opens\", expect: \"yes\", wave: $wave}\\
  - {name: $wave and another digit, birth_date: \"$(day $((digit + 1)))\", at: \"$opens\", expect: \"no\", wave: $wave}\\
waves:|" "$next"
done

draft "$next"
"$JARI" campaign check "$next" --against "$OFFICE/campaign.yaml" --today 2021-08-01 | grep -A 60 -i "gain" || true
publish_draft
mv "$next" "$OFFICE/campaign.yaml"
