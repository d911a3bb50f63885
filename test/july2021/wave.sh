#!/usr/bin/env bash
# Adds one cohort of waves.csv to the published rules: wave.sh T9. What it changes is shown before it is done, and a second person
# approves it.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
wave=${1:?the name of a wave in waves.csv}

row=$(grep "^$wave," "$here/waves.csv") || { echo "waves.csv has no $wave" >&2; exit 1; }
ko=$(cut -d '"' -f 2 <<<"$row") en=$(cut -d '"' -f 4 <<<"$row")
IFS=, read -r from to digit opens closes slots_from slots_to <<<"$(cut -d '"' -f 5 <<<"$row" | sed 's/^,//')"
grep -q "wave: $wave\$" "$OFFICE/campaign.yaml" && { echo "$wave is there already" >&2; exit 1; }

next="$OFFICE/campaign.next.yaml"
cat "$OFFICE/campaign.yaml" - >"$next" <<EOF
  - wave: $wave
    title: {ko: "$ko", en: "$en"}
    who_in_words: {ko: "$ko", en: "$en"}
    who: {all: [{birth_date: {from: "$from", to: "$to"}}, {birth_day_digit: [$digit]}]}
    opens_at: "$opens"
    closes_at: "$closes"
    slots: {from: "$slots_from", to: "$slots_to"}
EOF
# What the office expects of it: one who may, one whose birthday ends otherwise.
day() { printf '1980-01-%02d' $((10 + $1 % 10)); }
sed -i "s|^waves:|  - {name: $wave, birth_date: \"$(day "$digit")\", at: \"$opens\", expect: \"yes\", wave: $wave}\\
  - {name: $wave and another digit, birth_date: \"$(day $((digit + 1)))\", at: \"$opens\", expect: \"no\", wave: $wave}\\
waves:|" "$next"

as editor check-campaign "$campaign" --file "$next" --json | grep -q '"publishable":true' || {
	as editor check-campaign "$campaign" --file "$next"
	exit 1
}
"$JARI" campaign check "$next" --against "$OFFICE/campaign.yaml" --today 2021-08-01 | grep -A 20 -i "gain" || true
second publisher-1 publish-version "$campaign" --document "$next"
mv "$next" "$OFFICE/campaign.yaml"
