#!/usr/bin/env bash
# What came of it: places by site and by day, who came how far, and everything that the office did. Tables for people, and a file
# for a spreadsheet.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
from=${1:?the first day} to=${2:?the last day, at most 30 later}
rm -f "$OFFICE/report.csv"

echo "== places, from $from to $to"
as viewer report "$campaign" --by site --from "$from" --to "$to" --all
as viewer report "$campaign" --by day --from "$from" --to "$to" --format csv --out "$OFFICE/report.csv"
head -n 3 "$OFFICE/report.csv"
echo "== who came how far"
as viewer funnel "$campaign"
echo "== who did what"
as owner audit --all
as viewer audit-head
