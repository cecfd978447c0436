package watch

// A watch of a part of a range rides on a watch of the whole, if the options are the same,
// as it does on one of its own range. The bounds are on what nobody should pay for: a group
// compares each event with each of its narrower ranges, and makes their watches anew when the
// last watch of the whole has gone.
const (
	// maxWide is how many ranges are looked at for each new one.
	maxWide = 64
	// maxNarrow is how many watches of narrower ranges a group has.
	maxNarrow = 64
)

// covers reports whether k's watch on the server is sent all that o's is. Of the server's
// own notifications of progress a watch that has much to say is sent none.
func (k shareKey) covers(o shareKey) bool {
	if k.options != o.options || k.options&withProgress != 0 {
		return false
	}
	from, to := k.bounds()
	begin, end := o.bounds()
	return from <= begin && (to == "" || end != "" && end <= to)
}

// bounds are the first key and the one after the last, or "" if there is no last one.
func (r keyRange) bounds() (begin, end string) {
	switch begin = max(r.key, "\x00"); r.end {
	case "":
		return begin, begin + "\x00"
	case "\x00":
		return begin, ""
	}
	return begin, r.end
}

// widerThan finds a share that covers another one.
func (x *machine) widerThan(k shareKey) *share {
	for _, s := range x.wide {
		if s.key.covers(k) {
			return s
		}
	}
	return nil
}

// wider is the watch of a wider range that w may ride on, if there is one.
func (w *watcher) wider() *watcher {
	for s := w.share.wider; s != nil; s = s.wider {
		if h := s.host; h != nil && h.lane != nil && (h.group == nil || h.group.narrow < maxNarrow) {
			return h
		}
	}
	return nil
}

// narrow reports whether w rides on the watch of a wider range.
func (w *watcher) narrow() bool { return w.share != w.group.carrier.share }

// of is what of the batch is of the keys that w watches.
func (b *batch) of(w *watcher) batch {
	var events []*Event
	begin, end := w.share.key.bounds()
	for _, e := range b.events {
		if key := string(e.Kv.Key); begin <= key && (end == "" || key < end) {
			events = append(events, e)
		}
	}
	return newBatch(b.header, events)
}
