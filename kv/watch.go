package kv

// The options of a watch besides WithRev, WithPrevKV, WithRange, WithPrefix and
// WithFromKey. Each one sets a field of WatchCreateRequest, but for
// WithCreatedNotify, which is the client's.

// WithProgressNotify makes the server tell a watch without events, every ten
// minutes unless it is configured otherwise, which revision it has reached.
func WithProgressNotify() OpOption {
	return watchOption("WithProgressNotify", func(op *Op) { op.progressNotify = true })
}

// WithCreatedNotify makes the first response of a watch say that the server has
// made it: every change after that response's revision is seen. What is resumed
// later is not told again.
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
// into several messages. Package watch always does, and puts a revision's events
// together again, so that there the option is accepted and changes nothing.
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

// errWatchOp refuses an OpWatch where a request with one answer is wanted.
func errWatchOp() *UsageError {
	return &UsageError{Op: opWatch.String(), Reason: "it has no single answer; give its key and options to Watcher.Watch"}
}
