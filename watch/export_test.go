package watch

// Buffered tells what waits for the consumers of all watches of w, and how many
// of them are taken off their streams meanwhile. The machine must be idle.
func Buffered(w Watcher) (events, bytes, off int) {
	x := w.(*service).m.machine
	for _, l := range x.lanes {
		for _, w := range l.watchers {
			w.mu.Lock()
			events += w.events
			bytes += w.bytes
			w.mu.Unlock()
			if w.phase == paused {
				off++
			}
		}
	}
	return events, bytes, off
}
