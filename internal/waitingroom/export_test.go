package waitingroom

// What the tests outside of the package hold against what is promised.
const (
	RefreshEvery = refreshEvery
	StepEvery    = stepEvery
)
