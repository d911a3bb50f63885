package httpapi

import (
	"net"
	"net/netip"

	"github.com/labstack/echo/v4"

	"jari/internal/identity"
)

// ipNet is a range as the web framework wants it.
func ipNet(p netip.Prefix) *net.IPNet {
	p = p.Masked()
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// Blocks say how many leading bits of an address are one client's for budgets: a household or a company changes the rest as
// it likes.
type Blocks struct{ IPv4, IPv6 int }

// of is the block of an address, or empty for one that no citizen has: what comes from a loopback or private address comes
// from a proxy that isn't named among the trusted ones, and a budget of it would be everybody's.
func (b Blocks) of(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	ip = ip.Unmap().WithZone("")
	if ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsUnspecified() {
		return ""
	}
	bits := b.IPv6
	if ip.Is4() {
		bits = b.IPv4
	}
	block, err := ip.Prefix(bits)
	if err != nil {
		return ""
	}
	return block.String()
}

// fromOf is where a request comes from. A cookie counts only from our own pages; other sites' can't send it anyway.
func (s *Server) fromOf(c echo.Context) identity.From {
	r := c.Request()
	from := identity.From{Device: r.Header.Get(deviceHeader), Block: s.Blocks.of(c.RealIP())}
	if from.Device != "" || s.origins.Check(r) != nil {
		return from
	}
	if cookie, err := r.Cookie(deviceCookie); err == nil {
		from.Device = cookie.Value
	}
	return from
}
