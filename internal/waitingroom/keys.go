package waitingroom

// Every key of a room carries the same hash tag, so that one script may touch several of them on a cluster. What they
// hold steers how fast people are called; nothing that is promised to anybody depends on it.

// insideKey are the people inside, by when their admission ends (milliseconds). It is trimmed by whoever leads the room.
func insideKey(room string) string { return "{room:" + room + "}:inside" }

// sinceKey is since when each of them is inside. It is trimmed together with insideKey.
func sinceKey(room string) string { return "{room:" + room + "}:since" }

// cameKey counts who came in, by the second of the room's open time in which they were called. It is trimmed by whoever
// leads the room.
func cameKey(room string) string { return "{room:" + room + "}:came" }
