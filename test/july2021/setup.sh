#!/usr/bin/env bash
# Sets the campaign up on a server that has nothing. Needs JARI_ADMIN_URL, OFFICE (a folder for keys, readable by nobody else), and
# for the very first key the database: JARI_ENV and JARI_POSTGRES_URL.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

echo "== keys"
umask 077
"$JARI" keys create --role owner --name "the head of the office" --days 30 >"$OFFICE/owner" 2>/dev/null
for who in publisher-1:publisher publisher-2:publisher editor:editor operator-1:operator operator-2:operator viewer:viewer; do
	as owner create-key --role "${who#*:}" --name "${who%%:*}" --days 30 --json | said key >"$OFFICE/${who%%:*}"
done
as owner keys

echo "== the rules: a draft, a look at what it would do, and published by two people"
cp "$here/campaign.yaml" "$OFFICE/campaign.yaml"
"$JARI" campaign check "$OFFICE/campaign.yaml" --today 2021-07-14
draft "$OFFICE/campaign.yaml"
publish_draft
in_effect 1

echo "== sites: tried, looked at, and applied as they were shown"
as editor import-sites "$campaign" --file "$here/sites.csv" --json >"$OFFICE/plan"
[ "$(said checksum <"$OFFICE/plan")" = "$(sha256sum "$here/sites.csv" | cut -d ' ' -f 1)" ]
applied "the sites of the campaign"

. "$here/slots.sh"

echo "== who is entitled by name: imported by one person, signed off by another"
as editor import-list examinees --file "$here/list.csv" --json >"$OFFICE/import"
as publisher-1 sign-off-list examinees "$(said import_id <"$OFFICE/import")" --checksum "$(said checksum <"$OFFICE/import")"

echo "== what people are told"
as editor preview-message-texts "$campaign" booked --file "$here/texts/preview.yaml"
as editor set-message-texts "$campaign" booked --file "$here/texts/booked.yaml"

echo "== what stands"
as viewer versions "$campaign"
as viewer rooms
as owner audit --all
