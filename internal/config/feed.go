package config

import (
	"net/url"
	"strings"
)

// bookingPageNames are what the feed fills into the address of the booking page.
var bookingPageNames = strings.NewReplacer("{campaign}", "x", "{region}", "x", "{site}", "x", "{slot}", "1")

// validateFeed refuses addresses that other sites couldn't follow, each with the first that is wrong with it.
func (c Config) validateFeed(refuse func(name, format string, args ...any)) {
	if c.PublicURL != "" && c.validateAddress(refuse, "JARI_PUBLIC_URL", c.PublicURL) {
		if u, err := url.Parse(c.PublicURL); err == nil && (strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil) {
			refuse("JARI_PUBLIC_URL", "must be an address without a path, such as https://api.example.org")
		}
	}
	switch page := bookingPageNames.Replace(c.BookingPage); {
	case page == "":
	case strings.ContainsAny(page, "{}"):
		refuse("JARI_BOOKING_PAGE", "may have {campaign}, {region}, {site} and {slot} in braces, and nothing else")
	default:
		c.validateAddress(refuse, "JARI_BOOKING_PAGE", page)
	}
}
