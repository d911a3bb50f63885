package config_test

import "testing"

func TestAddressesOfTheFeedCanBeFollowed(t *testing.T) {
	t.Parallel()
	for _, right := range []string{
		"JARI_PUBLIC_URL=https://api.example.org", "JARI_PUBLIC_URL=https://api.example.org:8443/",
		"JARI_BOOKING_PAGE=https://booking.example.org", "JARI_BOOKING_PAGE=https://booking.example.org/{campaign}/{region}?site={site}&slot={slot}",
	} {
		if got := faults(t, production(right)); got != nil {
			t.Errorf("%s: %q", right, got)
		}
	}
	if got := faults(t, development("JARI_PUBLIC_URL=http://localhost:8080")); got != nil {
		t.Errorf("in development: %q", got)
	}
	for wrong, says := range map[string]string{
		"http://api.example.org": "https", "api.example.org": "https", "https://": "https", "https://api.example.org#x": "https",
		"https://api.example.org/v1": "without a path", "https://api.example.org?x=1": "without a path", "https://somebody@api.example.org": "without a path",
	} {
		wantFault(t, production("JARI_PUBLIC_URL="+wrong), "JARI_PUBLIC_URL", says)
	}
	for wrong, says := range map[string]string{
		"http://booking.example.org/{slot}": "https", "https://{host}/": "braces", "https://booking.example.org/{person}": "braces",
		"https://booking.example.org/{slot": "braces",
	} {
		wantFault(t, production("JARI_BOOKING_PAGE="+wrong), "JARI_BOOKING_PAGE", says)
	}
}
