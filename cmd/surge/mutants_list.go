package main

// edit replaces a text that a file has exactly once.
type edit struct{ file, old, new string }

// mutant is one bug, and what should catch it: cells of faults, and tests by package.
type mutant struct {
	name  string
	edits []edit
	cells []string
	tests []mutantTest
}

type mutantTest struct{ pkg, run string }

const (
	fileBatcher = "internal/booking/batcher.go"
	fileDecide  = "internal/booking/decide.go"
	fileFlush   = "internal/booking/flush.go"
	fileWrite   = "internal/booking/write.go"
	filePlace   = "internal/slot/lua/place_holds.lua"
	fileRelease = "internal/slot/lua/release_hold.lua"
	fileApply   = "internal/slot/lua/apply_slots.lua"
	pkgBooking  = "./internal/booking"
	pkgSlot     = "./internal/slot"
)

// mutants are bugs that others shipped, or that one of the reasons in the code is there to keep out.
var mutants = append(bookingMutants, roomMutants...)

// bookingMutants are bugs of holding and confirming.
var bookingMutants = []mutant{
	{
		name: "a booking is acknowledged before it is committed",
		edits: []edit{
			{fileFlush, "	defer conn.Release()\n", `	defer func() {
		go func() {
			time.Sleep(20 * time.Millisecond)
			_, _ = conn.Exec(context.Background(), "COMMIT")
			conn.Release()
		}()
	}()
`},
			{fileFlush, "batch.Queue(`COMMIT`)", "batch.Queue(`SELECT 1`)"},
			{fileFlush, `tag.String() != "COMMIT"`, `tag.String() == "ROLLBACK"`},
		},
		cells: []string{"kill-answered"},
	},
	{
		name:  "commits are acknowledged before they are on disk",
		edits: []edit{{fileFlush, "batch.Queue(`COMMIT`)", "batch.Queue(`SET LOCAL synchronous_commit = off`)\n\tbatch.Queue(`COMMIT`)"}},
		cells: []string{"postgres-killed"},
	},
	{
		name: "nothing keeps a person from two active bookings",
		edits: []edit{
			{"migrations/000004_bookings.up.sql", "CREATE UNIQUE INDEX bookings_one_active_per_person", "CREATE INDEX bookings_one_active_per_person"},
		},
		cells: []string{"none"},
		tests: []mutantTest{{pkgBooking, "TestOnePersonOneBookingOnTwoInstances"}},
	},
	{
		name: "a copy is replaced by whatever comes, older or newer",
		edits: []edit{{
			fileApply, "local newer = g ~= generation or tonumber(v) < tonumber(version)", "local newer = true",
		}},
		cells: []string{"none"},
		tests: []mutantTest{{pkgSlot, "TestCopyIsReplacedOnlyByANewerOne"}},
	},
	{
		name: "slots are locked in any order",
		edits: []edit{
			{fileFlush, "ANY($1) ORDER BY slot_id FOR UPDATE", "ANY($1) ORDER BY random() FOR UPDATE"},
			{fileFlush, "			ORDER BY slot_id FOR UPDATE", "			ORDER BY random() FOR UPDATE"},
		},
		cells: []string{"none"},
	},
	{
		name:  "placing a hold always says yes",
		edits: []edit{{filePlace, "return copy.left - held, held", "return 1, held"}},
		cells: []string{"none"},
	},
	{
		name:  "a call forgets what it placed itself",
		edits: []edit{{filePlace, "  counts[holds] = held\nend", "end"}},
		cells: []string{"none"},
		tests: []mutantTest{{pkgSlot, "TestACallOfManyDoesWhatAsManyCallsDo"}},
	},
	{
		name:  "a call counts a slot's holds before it has written all that it placed there",
		edits: []edit{{filePlace, "    settle(holds)\n    held = redis", "    held = redis"}},
		cells: []string{"none"},
		tests: []mutantTest{{pkgSlot, "TestACallOfManyDoesWhatAsManyCallsDo"}},
	},
	{
		name:  "a flush that goes around locked rows decides also what it has no lock for",
		edits: []edit{{fileFlush, "	if h.around {\n		before", "	if false {\n		before"}},
		cells: []string{"none"},
		tests: []mutantTest{{pkgBooking, "TestALockedRowKeepsOnlyThoseWhoWantIt"}},
	},
	{
		name:  "a hold that was given up is booked",
		edits: []edit{{fileDecide, "if r.givenUp {", "if false {"}},
		tests: []mutantTest{{pkgBooking, "TestVerdicts"}},
	},
	{
		name: "the old booking of a move is given up before it is known whether there is room",
		edits: []edit{
			{fileDecide, "		return verdict{reason: Full}\n", "		return verdict{reason: Full, moved: moved}\n"},
			{fileWrite, "			superseded = append(superseded, v.moved.ID)\n", `			superseded = append(superseded, v.moved.ID)
			if v.reason != "" {
				sure.units[v.moved.Slot]--
				others = append(others, rowOf(q, verdict{reason: v.reason}, l.began))
				continue
			}
`},
		},
		cells: []string{"none"},
		tests: []mutantTest{{pkgBooking, "TestFailedRescheduleKeepsTheOld"}},
	},
	{
		name:  "a late release takes whatever the person holds now",
		edits: []edit{{fileRelease, "if not mine or mine.hold ~= ARGV[1] or mine.slot ~= ARGV[2] then", "if not mine then"}},
		tests: []mutantTest{{pkgSlot, "TestALateReleaseSparesALaterHold"}},
	},
	{
		name:  "placing again makes another hold",
		edits: []edit{{filePlace, "if live and instead ~= mine.hold then", "if false then"}},
		cells: []string{"none"},
		tests: []mutantTest{{pkgSlot, "TestAskingAgainGivesTheSameHold"}},
	},
	{
		name: "a hold that is decided is decided again",
		edits: []edit{
			{fileDecide, "if _, known := l.decided[r.hold.ID]; known {", "if false {"},
			{"migrations/000004_bookings.up.sql", "    CONSTRAINT bookings_hold_decided_once UNIQUE (campaign_id, hold_id),\n", ""},
		},
		cells: []string{"none"},
		tests: []mutantTest{{pkgBooking, "TestADecidedHoldIsNotDecidedAgain"}},
	},
	{
		name:  "one too many fits",
		edits: []edit{{fileDecide, "room.Booked+taken >= room.Capacity", "room.Booked+taken > room.Capacity"}},
		cells: []string{"none"},
		tests: []mutantTest{{pkgBooking, "TestVerdictsNeverOversell"}},
	},
	{
		name:  "a cancel gives no place back",
		edits: []edit{{fileWrite, "		sure.units[e.slot]--\n", "		sure.units[e.slot] += 0\n"}},
		cells: []string{"none"},
	},
	{
		name:  "a second cancel gives a second place back",
		edits: []edit{{fileDecide, "b.Person == e.person && b.Status == Active && !b.Attended() {", "b.Person == e.person && !b.Attended() {"}},
		cells: []string{"none"},
		tests: []mutantTest{{pkgBooking, "TestDoubleCancelFreesOneUnit"}},
	},
	{
		name:  "a hold that ended long ago is booked",
		edits: []edit{{fileDecide, "if l.now.After(r.hold.ExpiresAt.Add(lateBy)) {", "if false {"}},
		tests: []mutantTest{{pkgBooking, "TestVerdicts"}},
	},
	{
		name:  "a commit that failed counts as done",
		edits: []edit{{fileBatcher, "	case errors.Is(err, errAfterCommit):\n", "	case errors.Is(err, errAfterCommit):\n		for _, w := range group {\n			w.succeed(Booking{ID: w.id, Campaign: w.campaign, Slot: w.slot(), Person: w.hold.Person, Status: Active, Reference: w.reference}, true)\n		}\n		return nil\n"}},
		cells: []string{"postgres-killed"},
	},
	{
		name:  "decided holds stay in Redis",
		edits: []edit{{fileApply, "dropped = dropped + redis.call('ZREM', holds, unpack(over, i, math.min(i + at_once - 1, decided)))", "dropped = dropped + 0"}},
		cells: []string{"none"},
		tests: []mutantTest{{pkgSlot, "TestDecidedHoldsAreDropped"}},
	},
	{
		name:  "a later hold of a person is dropped with an earlier one",
		edits: []edit{{fileApply, "if theirs == '' or theirs == hold then", "if true then"}},
		tests: []mutantTest{{pkgSlot, "TestADecidedHoldSparesALaterHold"}},
	},
	{
		name:  "an outcome that is open is told as a no",
		edits: []edit{{fileBatcher, "		for _, w := range group {\n			w.uncertain = true\n		}\n", "		for _, w := range group {\n			w.fail(fault.New(fault.Conflict, fault.CodeSlotFull))\n		}\n		group = nil\n"}},
		cells: []string{"postgres-answers-lost"},
	},
}
