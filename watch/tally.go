package watch

import (
	"time"

	"github.com/getcd/getcd/internal/census"
)

// enlist makes the watches count in the census of the client that they are on.
func (m *manager) enlist(c *census.Census) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.running || m.census == c {
		return
	}
	if m.census != nil {
		m.census.Leave(m)
	}
	m.census = c
	c.Join(m)
}

// Tell implements census.Teller. The machine, which never waits, has the answer.
func (m *manager) Tell(sum *census.Tally) {
	answer := make(chan census.Tally, 1)
	m.mu.Lock()
	asked := m.running && !m.closed
	if asked {
		m.postLocked(command{kind: cmdTally, tally: answer})
	}
	m.mu.Unlock()
	if !asked {
		return
	}
	t := <-answer // a machine that is running takes every command before it ends
	sum.Watches += t.Watches
	sum.Resuming += t.Resuming
	sum.Paused += t.Paused
	sum.Buffered += t.Buffered
	sum.Late(t.Lag)
}

// tally looks at all watches.
func (x *machine) tally(now time.Time) (t census.Tally) {
	for _, l := range x.lanes {
		if st := l.current; st != nil && st.opened && st.waiting() && len(st.active) > 0 {
			t.Late(now.Sub(st.heard))
		}
		for _, w := range l.watchers {
			if !w.carries() {
				w.tally(&t, w, now)
				continue
			}
			for _, r := range w.group.riders {
				r.tally(&t, w, now)
			}
		}
	}
	return t
}

// tally counts a watch, whose events come to on.
func (w *watcher) tally(t *census.Tally, on *watcher, now time.Time) {
	t.Watches++
	switch {
	case on.phase == paused, w.late, w.held(): // what waits in the buffer is older
		t.Paused++
	case on.phase != active:
		t.Resuming++
		t.Late(now.Sub(on.off))
	}
	events, since := w.backlog()
	t.Buffered += events + len(w.rest.events)
	if !since.IsZero() {
		t.Late(now.Sub(since))
	}
}

// backlog returns how many events wait in the buffer, and since when a response has waited
// for the consumer; zero if none does.
func (w *watcher) backlog() (events int, since time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.out) > 0 {
		return w.events, w.handed
	}
	if len(w.queue) > 0 {
		since = w.queue[0].at
	}
	return w.events, since
}
