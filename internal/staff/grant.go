package staff

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Grant is a role that somebody may take: a clinic's is for one site.
type Grant struct {
	Role           Role
	Campaign, Site string // of a clinic
}

// String is how a grant is written: "operator", or "clinic/korea-2021/seoul-17".
func (g Grant) String() string {
	if g.Role == Clinic {
		return strings.Join([]string{string(g.Role), g.Campaign, g.Site}, "/")
	}
	return string(g.Role)
}

// ParseGrant reads what String writes.
func ParseGrant(text string) (Grant, error) {
	parts := strings.Split(text, "/")
	g := Grant{Role: Role(parts[0])}
	switch {
	case !g.Role.Known():
		return Grant{}, fmt.Errorf("%q isn't a role", parts[0])
	case g.Role == Clinic && len(parts) == 3 && parts[1] != "" && parts[2] != "":
		g.Campaign, g.Site = parts[1], parts[2]
	case g.Role == Clinic:
		return Grant{}, errors.New("a clinic is written clinic/campaign/site")
	case len(parts) > 1:
		return Grant{}, fmt.Errorf("only a clinic is for a site, and %q isn't one", text)
	}
	return g, nil
}

// Mapping gives a grant to whom the provider counts among a group.
type Mapping struct {
	Grant Grant
	Group string
}

// ParseMapping reads "role=group". A group may have any sign in it.
func ParseMapping(text string) (Mapping, error) {
	role, group, found := strings.Cut(strings.TrimSpace(text), "=")
	if !found || group == "" {
		return Mapping{}, fmt.Errorf("%q isn't written role=group", text)
	}
	g, err := ParseGrant(role)
	return Mapping{g, group}, err
}

// granted are the grants of somebody who is in groups, the one with the most to say first.
func granted(mappings []Mapping, groups []string) (all []Grant) {
	for _, m := range mappings {
		if slices.Contains(groups, m.Group) && !slices.Contains(all, m.Grant) {
			all = append(all, m.Grant)
		}
	}
	slices.SortStableFunc(all, func(a, b Grant) int { return slices.Index(Roles, b.Role) - slices.Index(Roles, a.Role) })
	return all
}

// texts reads a claim that is a text or a list of them; a name with dots leads into objects, as Keycloak's realm_access.roles.
func texts(claims map[string]any, name string) (all []string) {
	value, found := claims[name]
	if !found {
		value = any(claims)
		for part := range strings.SplitSeq(name, ".") {
			inner, _ := value.(map[string]any)
			value = inner[part]
		}
	}
	switch v := value.(type) {
	case string:
		return []string{v}
	case []any:
		for _, one := range v {
			if text, ok := one.(string); ok {
				all = append(all, text)
			}
		}
	}
	return all
}
