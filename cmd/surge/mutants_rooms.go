package main

const (
	fileAdmission = "internal/waitingroom/admission.go"
	fileStore     = "internal/waitingroom/store.go"
	fileRooms     = "internal/waitingroom/postgres.go"
	fileRoom      = "internal/waitingroom/room.go"
	fileCodes     = "internal/waitingroom/codes.go"
	fileAnnounce  = "internal/waitingroom/announce.go"
	fileRoomTable = "migrations/000015_rooms.up.sql"
	pkgWaiting    = "./internal/waitingroom"
	pkgJourney    = "./test/journey"
)

// roomMutants are bugs of waiting rooms.
var roomMutants = []mutant{
	{
		name: "the freeze of a draw doesn't keep anybody out",
		edits: []edit{
			{fileStore, "				WHERE room_no = $1 AND state = 'registration'\n", "				WHERE room_no = $1\n"},
			{fileRoomTable, " AND (drawn IS NULL OR drawn = registered)", ""},
		},
		tests: []mutantTest{{pkgWaiting, "TestWhoComesAfterTheFreezeIsBehindIt"}},
	},
	{
		name: "a leader writes without comparing",
		edits: []edit{
			{fileRooms, "WHERE room_no = $1 AND leader = $2 AND leader_until > clock_timestamp() AND state = 'open'\n				AND serving = $5 AND late_serving = $6", "WHERE room_no = $1 AND ($2::uuid, $5::bigint, $6::bigint) IS NOT NULL"},
		},
		tests: []mutantTest{{pkgWaiting, "TestWhoLeadsNoMoreWritesNothing"}},
	},
	{
		name:  "whoever likes leads",
		edits: []edit{{fileRooms, "WHERE room_id = $1 AND (leader = $2 OR leader_until IS NULL OR leader_until < clock_timestamp())", "WHERE room_id = $1"}},
		cells: []string{"room"},
		tests: []mutantTest{{pkgWaiting, "TestWhoLeadsNoMoreWritesNothing"}},
	},
	{
		name:  "the serving number may go back",
		edits: []edit{{fileRoomTable, "OR NEW.serving < OLD.serving ", ""}},
		tests: []mutantTest{{pkgWaiting, "TestTheRowRefusesToGoBack"}},
	},
	{
		name:  "who vanishes keeps the room's row",
		edits: []edit{{fileRooms, "`SET LOCAL idle_in_transaction_session_timeout = '2s'`", "`SELECT 1`"}},
		tests: []mutantTest{{pkgWaiting, "TestALeaderThatVanishesWithTheRoomLockedIsReplaced"}},
	},
	{
		name:  "a block of numbers is kept after its second",
		edits: []edit{{fileStore, "WHERE clock_timestamp() < $5::timestamptz + $6::interval", "WHERE ($5::timestamptz, $6::interval) IS NOT NULL"}},
		tests: []mutantTest{{pkgWaiting, "TestABlockOfNumbersDies"}},
	},
	{
		name:  "a block of numbers is given twice",
		edits: []edit{{fileStore, "		RETURNING numbers - $2, open_ms,", "		RETURNING greatest(0, numbers - $2 - 1), open_ms,"}},
		tests: []mutantTest{{pkgJourney, "TestNobodyComesInByAnotherWay"}},
	},
	{
		name:  "the late lane gives a number each time",
		edits: []edit{{fileRooms, "return err == nil && (missed == nil || *missed != number), err", "return false, err"}},
		tests: []mutantTest{{pkgWaiting, "TestTheLateLaneGivesOneNumber"}},
	},
	{
		name:  "an admission of another person is taken",
		edits: []edit{{fileAdmission, "case a.Person != person || a.Campaign != campaign:", "case a.Campaign != campaign:"}},
		tests: []mutantTest{{pkgWaiting, "TestAnAdmissionIsCheckedAtEveryStep"}},
	},
	{
		name:  "a ticket of another person lets in",
		edits: []edit{{fileAdmission, "case t.Person != c.Person || t.Room != c.Room:", "case t.Room != c.Room:"}},
		cells: []string{"room"},
		tests: []mutantTest{{pkgJourney, "TestNobodyComesInByAnotherWay"}},
	},
	{
		name:  "who isn't called comes in",
		edits: []edit{{fileAdmission, "	if position >= v.Serving {\n		return Admission{}, s.notYet(v, &position)", "	if position >= v.Serving+50 {\n		return Admission{}, s.notYet(v, &position)"}},
		cells: []string{"room"},
	},
	{
		name:  "one person types in a draw's value twice",
		edits: []edit{{fileAnnounce, "		case mine:\n", "		case mine && !same:\n"}},
		tests: []mutantTest{{pkgWaiting, "TestAnotherValueTakesTheSourcesPlace"}},
	},
	{
		name:  "the dial turns nothing",
		edits: []edit{{fileRoom, "	if v.Room.Rate != nil {\n", "	if v.Room.Rate != nil && v.Room.OpenMS < 0 {\n"}},
		tests: []mutantTest{{pkgWaiting, "TestTheDialCountsAtTheNextStepAndLook"}},
	},
	{
		name:  "who is called waits for a code behind everybody",
		edits: []edit{{fileCodes, "	if first {\n		p, err = s.firstPlace(", "	if first && w.Ticket == \"\" {\n		p, err = s.firstPlace("}},
		tests: []mutantTest{{pkgWaiting, "TestWhoIsCalledWhileWaitingForACodeIsToldToAskAgain"}},
	},
	{
		name:  "an instance that doesn't know of the freeze tells positions",
		edits: []edit{{fileRoom, "return v.N() + place, v.State != Scheduled && v.State != Registering", "return v.N() + place, true"}},
		tests: []mutantTest{{pkgWaiting, "TestBeforeTheFreezeIsKnownNobodyHasAPosition"}},
	},
}
