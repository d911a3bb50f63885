#!/usr/bin/env bash
# Sets the campaign up on a server that has nothing. Needs JARI_ADMIN_URL, OFFICE (a folder for keys, readable by nobody else), and
# for the very first key and the slots the database: JARI_ENV and JARI_POSTGRES_URL.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

echo "== keys"
umask 077
"$JARI" keys create --role owner --name "the head of the office" --days 30 >"$OFFICE/owner" 2>/dev/null
for who in publisher-1:publisher publisher-2:publisher editor:editor operator-1:operator operator-2:operator viewer:viewer; do
	as owner create-key --role "${who#*:}" --name "${who%%:*}" --days 30 --json | said key >"$OFFICE/${who%%:*}"
done
as owner keys

echo "== the rules, first as a dry run"
cp "$here/campaign.yaml" "$OFFICE/campaign.yaml"
"$JARI" campaign check "$OFFICE/campaign.yaml" --today 2021-07-14
as editor check-campaign "$campaign" --file "$OFFICE/campaign.yaml" --json | grep -q '"publishable":true'
second publisher-1 publish-version "$campaign" --document "$OFFICE/campaign.yaml"
in_effect 1

echo "== sites: tried, looked at, and applied as they were shown"
as editor import-sites "$campaign" --file "$here/sites.csv" --json >"$OFFICE/plan"
plan=$(said plan_id <"$OFFICE/plan") checksum=$(said checksum <"$OFFICE/plan")
as editor plan "$plan"
as editor plan-rows "$plan" --all
[ "$checksum" = "$(sha256sum "$here/sites.csv" | cut -d ' ' -f 1)" ]
second editor apply-plan "$plan" --checksum "$checksum" --reason "the sites of the campaign"

. "$here/slots.sh"

echo "== what people are told"
as editor preview-message-texts "$campaign" booked --file "$here/texts/preview.yaml"
as editor set-message-texts "$campaign" booked --file "$here/texts/booked.yaml"

echo "== what stands"
as viewer versions "$campaign"
as viewer rooms
as owner audit --all
