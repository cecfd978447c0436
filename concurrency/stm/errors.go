package stm

// CommitError is a commit that failed for another reason than a conflict. It
// unwraps to the connection's error.
type CommitError struct {
	// Err is the connection's error.
	Err error

	ambiguous bool
}

// Ambiguous reports whether the writes may have been applied, or may be applied later,
// all of them or none. Reading the keys does not settle this. Use middleware/once, which
// settles it, or a function that does no harm when it is run twice.
// When false it is certain that nothing was applied. client.IsAmbiguous finds it.
func (e *CommitError) Ambiguous() bool { return e.ambiguous }

// Error implements error.
func (e *CommitError) Error() string {
	if !e.ambiguous {
		return "stm: not committed: " + e.Err.Error()
	}
	return "stm: the commit may have been applied, and was not repeated: " + e.Err.Error()
}

// Unwrap returns Err.
func (e *CommitError) Unwrap() error { return e.Err }
