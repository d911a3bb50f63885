# Slots from weekly templates, and single ones from a list. Each is a plan, which is looked at and applied as it was shown.
echo "== slots"
for template in slots-hall slots-clinics; do
	as editor generate-slots "$campaign" --file "$here/$template.yaml" --json >"$OFFICE/plan"
	applied "$template"
done
as editor import-slots "$campaign" --file "$here/slots.csv" --json >"$OFFICE/plan"
[ "$(said checksum <"$OFFICE/plan")" = "$(sha256sum "$here/slots.csv" | cut -d ' ' -f 1)" ]
applied "single slots"
