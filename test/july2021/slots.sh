# Slots from weekly templates: the files are published by the command that needs the database. The rules stay as they are.
echo "== slots"
cp "$here/sites.csv" "$here/slots.yaml" "$OFFICE/"
{
	cat "$here/campaign.yaml"
	echo "sites: sites.csv"
	echo "slots: slots.yaml"
} >"$OFFICE/with-slots.yaml"
"$JARI" campaign publish "$OFFICE/with-slots.yaml"
