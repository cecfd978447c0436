package watch

import "slices"

// Buffered tells what waits for the consumers of all watches of w, and how many
// of them are taken off their streams meanwhile. The machine must be idle.
func Buffered(w Watcher) (events, bytes, off int) {
	x := w.(*service).m.machine
	for _, l := range x.lanes {
		all := slices.Clone(l.watchers)
		for _, w := range l.watchers {
			if w.carries() {
				all = append(all, w.group.riders...)
			}
		}
		for _, w := range all {
			w.mu.Lock()
			events += w.events + len(w.rest.events)
			bytes += w.bytes
			w.mu.Unlock()
			if w.phase == paused || w.late || w.held() {
				off++
			}
		}
	}
	return events, bytes, off
}
