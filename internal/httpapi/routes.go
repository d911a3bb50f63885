package httpapi

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"
	"github.com/swaggest/swgui"
	"github.com/swaggest/swgui/v5emb"

	"jari/internal/staff"
	"jari/openapi"
)

// guard says who may call an operation.
type guard string

const (
	public   guard = "public"   // anybody
	person   guard = "person"   // a session of a person
	entitled guard = "entitled" // a session of a person whom a wave behind the room of the path admits
	admitted guard = "admitted" // a session, and an admission of the same person to this campaign

	// A key of an administrator whose role is trusted with what this one is; staff.Role.May has the matrix.
	viewer    = guard(staff.Viewer)
	clinic    = guard(staff.Clinic)
	desk      = guard(staff.Desk)
	operator  = guard(staff.Operator)
	editor    = guard(staff.Editor)
	publisher = guard(staff.Publisher)
	owner     = guard(staff.Owner)
	anyStaff  = guard(staff.Anyone)
)

// guards are all that an operation may name.
var guards = []guard{public, person, entitled, admitted, viewer, clinic, desk, operator, editor, publisher, owner, anyStaff}

// operation is a line of the route table.
type operation struct {
	id    string // operationId of the contract, which has its method, path and shapes
	guard guard
}

// operations are all routes of the API, in the order of a citizen's way. The contract names each one's guard too, and
// the server doesn't start while the two differ, or while an operation of the contract is missing here.
var operations = []operation{
	// What is given away, to whom and when.
	{"listCampaigns", public},
	{"getCampaign", public},
	{"askEligibility", public},
	// Who asks.
	{"getIdentity", public},
	{"startVerification", public},
	{"resendVerification", public},
	{"confirmVerification", public},
	{"startSignIn", public},
	{"confirmSignIn", public},
	{"getMe", person},
	{"actFor", person},
	{"startPhoneChange", person},
	{"confirmPhoneChange", person},
	{"endSession", person},
	// Who may come in.
	{"getRoomStatus", public},
	{"register", entitled},
	{"takeTicket", entitled},
	{"getDraw", public},
	{"getLeaves", public},
	{"admit", person},
	// What is free.
	{"listSites", public},
	{"listSitesByHash", public},
	{"getRegionDay", public},
	{"getSiteSlots", public},
	// The same for other sites.
	{"getFeed", public},
	{"getFeedLocations", public},
	{"getFeedSchedules", public},
	{"getFeedSlots", public},
	// Holding a place.
	{"placeHold", admitted},
	{"getHold", person},
	{"releaseHold", person},
	// Making it durable.
	{"confirmBooking", admitted},
	{"getBooking", person},
	{"getCalendar", person},
	{"cancelBooking", person},
	// Administration.
	{"checkCampaign", editor},
	{"listVersions", viewer},
	{"publishVersion", publisher},
	{"rollbackVersion", publisher},
	{"listDrafts", viewer},
	{"getDraft", viewer},
	{"saveDraft", editor},
	{"dropDraft", editor},
	{"previewDraft", editor},
	{"publishDraft", publisher},
	{"changeSlot", editor},
	{"importSites", editor},
	{"putSite", editor},
	{"listSlotStock", viewer},
	{"createSlot", editor},
	{"importSlots", editor},
	{"generateSlots", editor},
	{"changeSlots", editor},
	{"listPlans", viewer},
	{"getPlan", viewer},
	{"discardPlan", editor},
	{"listPlanRows", viewer},
	{"applyPlan", editor},
	{"searchBookings", clinic},
	{"lookAtBooking", clinic},
	{"setAttendance", clinic},
	{"recordArrival", clinic},
	{"listDayBookings", clinic},
	{"exportDayBookings", clinic},
	{"getSiteCalendar", clinic},
	{"registerPerson", desk},
	{"searchPeople", desk},
	{"takePlaceFor", desk},
	{"bookFor", desk},
	{"cancelFor", desk},
	{"getReport", viewer},
	{"listMessageTexts", viewer},
	{"setMessageTexts", editor},
	{"previewMessageTexts", editor},
	{"listRooms", viewer},
	{"getRoom", viewer},
	{"turnDial", operator},
	{"announceValue", operator},
	{"planClearing", editor},
	{"getLive", viewer},
	{"getFunnel", viewer},
	{"listLists", viewer},
	{"removeList", editor},
	{"listListImports", viewer},
	{"importList", editor},
	{"getListImport", viewer},
	{"withdrawListImport", editor},
	{"signOffList", publisher},
	{"listFlagged", desk},
	{"settlePerson", desk},
	{"giveNewPhone", desk},
	{"correctName", desk},
	{"listApprovals", viewer},
	{"approve", publisher},
	{"startStaffSignIn", public},
	{"confirmStaffSignIn", public},
	{"getStaffMe", anyStaff},
	{"endStaffSession", anyStaff},
	{"listStaff", owner},
	{"endStaffSessions", owner},
	{"listKeys", owner},
	{"createKey", owner},
	{"revokeKey", owner},
	{"listAudit", owner},
	{"getAuditHead", viewer},
	// In development only.
	{"listInbox", public},
}

// pages are the routes outside of the contract: the contract itself, a readable page of it, and the schema of campaign
// files. All are public.
var pages = []string{"/openapi.yaml", "/campaign.schema.json", "/docs", "/docs/*"}

// register puts every route into e, or says which isn't declared.
func (s *Server) register(e *echo.Echo) error {
	contract, err := readContract()
	if err != nil {
		return err
	}
	declaredAs := make(map[string]guard, len(operations))
	for _, o := range operations {
		declaredAs[o.id] = o.guard
	}
	middlewares := make(map[string][]echo.MiddlewareFunc, len(operations))
	for id, c := range contract.operations {
		g, declared := declaredAs[id]
		if !declared || g != c.guard || !slices.Contains(guards, g) {
			return fmt.Errorf("operation %s has the guard %q in the contract and %q in the route table", id, c.guard, g)
		}
		if c.developmentOnly && !s.Development {
			middlewares[id] = []echo.MiddlewareFunc{unknownPath}
			continue
		}
		if answer, ok := rush[id]; ok {
			middlewares[id] = append(middlewares[id], s.answerRush(g, priorityOf(id), answer))
		}
		if forDraw, ok := places[id]; ok {
			middlewares[id] = append(middlewares[id], s.answerPlace(g, priorityOf(id), forDraw))
		}
		bodyBytes, wait := max(c.bodyBytes, s.BodyBytes), s.Deadline
		if c.long {
			wait = s.Bulk.Timeout
			middlewares[id] = append(middlewares[id], s.atLeisure)
		}
		if c.file {
			bodyBytes = s.Bulk.Bytes + formBytes
			middlewares[id] = append(middlewares[id], s.gate.bounded(priorityOf(id), 0), deadline(wait), s.guard(g),
				s.spend(budgetOf(id, g, c.route.Method)), s.oneOfFew, contract.validateFile(c, bodyBytes))
			continue
		}
		hurry := []echo.MiddlewareFunc{deadline(wait)}
		if _, free := documents[echoPath(c.route.Path)]; !free { // making a document asks no store and takes microseconds
			hurry = []echo.MiddlewareFunc{s.gate.bounded(priorityOf(id), bodyBytes), deadline(wait)}
		}
		if c.streams {
			hurry = []echo.MiddlewareFunc{s.streamed(g, hurry)}
		}
		middlewares[id] = append(middlewares[id], hurry...)
		middlewares[id] = append(middlewares[id], s.guard(g),
			s.spend(budgetOf(id, g, c.route.Method)), contract.validate(c, bodyBytes))
	}
	for _, o := range operations {
		if _, known := contract.operations[o.id]; !known {
			return fmt.Errorf("operation %s is in the route table and not in the contract", o.id)
		}
	}
	RegisterHandlersWithOptions(composing{e}, NewStrictHandler(s, nil), RegisterHandlersOptions{OperationMiddlewares: middlewares})

	e.GET("/openapi.yaml", func(c echo.Context) error {
		c.Response().Header().Set(echo.HeaderCacheControl, "public, max-age=300")
		return c.Blob(http.StatusOK, "application/yaml; charset=utf-8", openapi.Document)
	})
	e.GET("/campaign.schema.json", func(c echo.Context) error {
		c.Response().Header().Set(echo.HeaderCacheControl, "public, max-age=300")
		return c.Blob(http.StatusOK, "application/schema+json", openapi.CampaignSchema)
	})
	docs := v5emb.NewWithConfig(swgui.Config{SettingsUI: map[string]string{
		"validatorUrl": "null", // the page asks nobody outside what they think of the document
		"deepLinking":  "true",
	}})("Jari", "/openapi.yaml", "/docs")
	page := func(c echo.Context) error {
		c.Response().Header().Set("Content-Security-Policy",
			"default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:")
		docs.ServeHTTP(c.Response(), c.Request())
		return nil
	}
	e.GET("/docs", page)
	e.GET("/docs/*", page)
	for id, c := range contract.operations {
		if c.guard == public && c.route.Method == http.MethodGet && !c.developmentOnly {
			e.HEAD(echoPath(c.route.Path), asGet(e))
		}
		for path, d := range documents {
			if d.operation == id && (c.guard != public || c.route.Method != http.MethodGet || echoPath(c.route.Path) != path) {
				return fmt.Errorf("operation %s isn't a public GET of %s, and would be answered before its guard", id, path)
			}
		}
	}
	return checkDeclared(e, contract)
}

// composing registers handlers with their middlewares around them already: the framework would put them together anew for
// every request.
type composing struct{ *echo.Echo }

func compose(h echo.HandlerFunc, around []echo.MiddlewareFunc) echo.HandlerFunc {
	for _, m := range slices.Backward(around) {
		h = m(h)
	}
	return h
}

func (e composing) GET(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return e.Echo.GET(path, compose(h, m))
}

func (e composing) POST(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return e.Echo.POST(path, compose(h, m))
}

func (e composing) PUT(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return e.Echo.PUT(path, compose(h, m))
}

func (e composing) PATCH(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return e.Echo.PATCH(path, compose(h, m))
}

func (e composing) DELETE(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	return e.Echo.DELETE(path, compose(h, m))
}

// asGet answers HEAD as GET is answered; the server that writes the answer leaves the body out.
func asGet(e *echo.Echo) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		get := *r
		get.Method = http.MethodGet
		c.SetRequest(&get)
		// The same route, so it has the same parameters, with the handler of GET.
		e.Router().Find(http.MethodGet, echo.GetPath(r), c)
		return c.Handler()(c)
	}
}

// unknownPath answers as if the route didn't exist.
func unknownPath(echo.HandlerFunc) echo.HandlerFunc {
	return func(echo.Context) error { return echo.ErrNotFound }
}

// checkDeclared refuses a server with a route that neither the contract nor the list of pages knows: such a route would
// have no guard.
func checkDeclared(e *echo.Echo, contract *contract) error {
	known := map[string]bool{}
	for _, c := range contract.operations {
		known[c.route.Method+" "+echoPath(c.route.Path)] = true
		if c.guard == public && c.route.Method == http.MethodGet {
			known[http.MethodHead+" "+echoPath(c.route.Path)] = true
		}
	}
	for _, p := range pages {
		known[http.MethodGet+" "+p] = true
	}
	for _, r := range e.Routes() {
		if !known[r.Method+" "+r.Path] {
			return fmt.Errorf("route %s %s declares no guard: it is in neither the contract nor the list of pages", r.Method, r.Path)
		}
	}
	return nil
}
