package attempt

import "slices"

// Avoidance collects endpoints for Attempt.Avoid, for those who open a stream again
// until it is well. Nil is none.
type Avoidance []string

// Add adds an endpoint; an empty name is none. When it is there already, it was
// picked all the same: all members have had their turn, and the list starts over.
func (l *Avoidance) Add(endpoint string) {
	switch {
	case endpoint == "":
	case slices.Contains(*l, endpoint):
		*l = Avoidance{endpoint}
	default:
		*l = append(slices.Clip(*l), endpoint)
	}
}
