package kv

// These are the options of a watch, in addition to WithRev, WithPrevKV,
// WithRange, WithPrefix and WithFromKey. Each sets a field of WatchCreateRequest,
// except WithCreatedNotify, which the client implements.

// WithProgressNotify makes the server report its revision to a watch that has no
// events, every ten minutes by default.
func WithProgressNotify() OpOption {
	return watchOption("WithProgressNotify", func(op *Op) { op.progressNotify = true })
}

// WithCreatedNotify makes the first response of a watch confirm that the server
// has created it: the watch sees every change after that response's revision. A
// resumed watch does not get that response again.
func WithCreatedNotify() OpOption {
	return watchOption("WithCreatedNotify", func(op *Op) { op.createdNotify = true })
}

// WithFilterPut makes the server leave out a watch's PUT events.
func WithFilterPut() OpOption {
	return watchOption("WithFilterPut", func(op *Op) { op.filterPut = true })
}

// WithFilterDelete makes the server leave out a watch's DELETE events.
func WithFilterDelete() OpOption {
	return watchOption("WithFilterDelete", func(op *Op) { op.filterDelete = true })
}

// WithFragment lets the server split responses above its request limit (1.5 MiB)
// into several messages. Package watch always sets it, and reassembles the events
// of each revision; there the option changes nothing.
func WithFragment() OpOption {
	return watchOption("WithFragment", func(op *Op) { op.fragment = true })
}

func watchOption(option string, set func(*Op)) OpOption {
	return func(op *Op) {
		if op.applies(option, opWatch) {
			set(op)
		}
	}
}

// errWatchOp refuses an OpWatch in a call that has a single response.
func errWatchOp() *UsageError {
	return &UsageError{Op: opWatch.String(), Reason: "it has no single answer; give its key and options to Watcher.Watch"}
}
