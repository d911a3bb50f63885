package staff

import "slices"

// Role is what somebody is trusted with. A route of the API names the least role that it needs.
type Role string

// The roles.
const (
	Viewer    Role = "viewer"    // looks at what is configured and published; no personal data
	Clinic    Role = "clinic"    // one site's bookings and who has come; nothing of another site
	Desk      Role = "desk"      // the telephone: all sites' bookings, and acting for people who ask for it
	Operator  Role = "operator"  // the night: rooms, rates, pausing
	Editor    Role = "editor"    // drafts, sites, slots, lists
	Publisher Role = "publisher" // publishes what editors prepare
	Owner     Role = "owner"     // all of it, keys and the audit too
)

// Roles are all of them, from the least to the most.
var Roles = []Role{Viewer, Clinic, Desk, Operator, Editor, Publisher, Owner}

// may is the whole matrix: for each role, the roles whose routes it may use. It isn't a ladder: whoever publishes doesn't
// see a clinic's patients, and a clinic sees nothing but them.
var may = map[Role][]Role{
	Viewer:    {Viewer},
	Clinic:    {Clinic},
	Desk:      {Clinic, Desk},
	Operator:  {Viewer, Operator},
	Editor:    {Viewer, Editor},
	Publisher: {Viewer, Editor, Publisher},
	Owner:     {Viewer, Clinic, Desk, Operator, Editor, Publisher, Owner},
}

// Anyone is needed by routes that everybody who administers may use; it is nobody's role.
const Anyone Role = "staff"

// May tells whether somebody with this role may do what needs the other.
func (r Role) May(needs Role) bool {
	return slices.Contains(may[r], needs) || needs == Anyone && r.Known()
}

// Known tells whether there is such a role.
func (r Role) Known() bool { return slices.Contains(Roles, r) }
